// Fallback from a target that speaks Anthropic to one that speaks OpenAI, and back, for a client of either dialect.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { anthropicClient, clientKinds } from "../support/clients.mjs";
import { startWorld } from "../support/harness.mjs";

const config = (sim) => `
providers:
  first: { dialect: anthropic, base_url: "${sim.origin}", keys: [sk-a], models: [claude-haiku-4-5] }
  second: { dialect: openai, base_url: "${sim.base}", keys: [sk-o], models: [gpt-4o-mini] }
models:
  forth:
    targets: [[{ provider: first, model: claude-haiku-4-5 }], [{ provider: second, model: gpt-4o-mini }]]
  back:
    targets: [[{ provider: second, model: gpt-4o-mini }], [{ provider: first, model: claude-haiku-4-5 }]]
`;
const paths = { forth: ["/v1/messages", "/v1/chat/completions"], back: ["/v1/chat/completions", "/v1/messages"] };
const tools = [{ name: "shell", description: "Runs it", schema: { type: "object", properties: { command: { type: "string" } }, required: ["command"] } }];

describe("a target of another dialect takes over", () => {
    const failures = {
        "an overloaded one": { status: 529 },
        "one that refuses our key": { status: 401 },
        "a body that is no JSON": { malformed: "json" },
        "a reset": { reset_at: "h20" },
        "an error as the first event": { error_at: 0, streamed: true },
    };
    for (const model of Object.keys(paths)) {
        for (const [what, { streamed, ...behaviour }] of Object.entries(failures)) {
            for (const name of Object.keys(clientKinds)) {
                for (const stream of streamed ? [true] : [false, true]) {
                    test(`${model}, ${name}${stream ? ", streamed" : ""}: ${what}`, async (t) => {
                        const { sim, gateway, key } = await startWorld(t, { config });
                        const c = clientKinds[name](gateway, key);
                        const isAble = name !== "own";
                        await sim.script({ ...behaviour, path: paths[model][0] });
                        const r = await c.say([c.user("hello")], { model, stream, ...(isAble && { tools }), headers: { "x-llm-gateway-cache": "off" } });
                        assert.deepEqual((await sim.requests()).map((q) => q.path), paths[model]);
                        if (isAble) assert.deepEqual(r.calls.map((k) => k.input), [{ command: "hello" }]);
                        else assert.equal(r.text, "You said: hello");
                        const row = await gateway.row(r.id);
                        assert.deepEqual([row.status, row.attempts, row.provider], ["success", 2, model === "forth" ? "second" : "first"]);
                    });
                }
            }
        }
    }

    test("what was dropped for the first target is not said of the second", async (t) => {
        const { sim, gateway, key } = await startWorld(t, { config });
        await sim.script({ status: 529, path: "/v1/chat/completions" });
        const { response } = await anthropicClient(gateway, key)
            .client.messages.create({ model: "back", max_tokens: 10, top_k: 3, messages: [{ role: "user", content: "hi" }] }, { headers: { "anthropic-version": "2023-06-01" } })
            .withResponse();
        assert.equal(response.headers.get("x-llm-gateway-dropped"), null);
        assert.equal((await sim.requests()).at(-1).json.top_k, 3);
    });
});
