// Until the first content nothing of a stream goes out: an error inside the 200, a cut or a silence before it moves on to the next
// target, and the client sees one whole stream. GUARD_STREAMS=false passes everything on as it comes.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { scope, sse, startGateway, startSim } from "../support/harness.mjs";

const config = (a, b, guard) => `
routing: {guard_streams: ${guard}}
providers:
  first: {dialect: openai, base_url: "${a.base}", passes_unknown: true, timeout: {first_byte: 400ms, idle: 2s}}
  second: {dialect: openai, base_url: "${b.base}", passes_unknown: true}
models:
  "m*":
    targets: [[{provider: first}], [{provider: second}]]
`;

for (const guard of [true, false]) {
    describe(`guard_streams: ${guard}`, () => {
        const world = scope();
        let a, b, gateway, key;
        before(async () => {
            [a, b] = [await startSim(world), await startSim(world)];
            gateway = await startGateway(world, { config: config(a, b, guard) });
            key = (await gateway.createTenant({ rate_limit: 100000 })).api_key;
        });
        after(() => world.end());
        afterEach(() => Promise.all([a.reset(), b.reset()]));

        const chat = async () => {
            const answer = await gateway.request(key, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "hello" }], stream: true });
            const events = [];
            if (answer.status === 200) for await (const e of sse(answer)) events.push(e.data);
            return { answer, events };
        };
        const text = (events) => events.filter((e) => e !== "[DONE]").map((e) => JSON.parse(e).choices?.[0]?.delta?.content ?? "").join("");

        for (const [what, script] of [
            ["an error event after the first, empty one", { error_at: 1, tokens: 5 }],
            ["a cut after the first, empty event", { close_at: "c1", flush: true, tokens: 5 }],
            ["a reset after the first, empty event", { reset_at: "c1", flush: true, rate: "20ms", tokens: 5 }],
            ["silence after the first, empty event", { stall_at: "c1", flush: true, tokens: 5 }],
        ]) {
            test(what, async () => {
                await a.script([{ times: 0, ...script }]);
                const { answer, events } = await chat();
                if (!guard) {
                    assert.ok(answer.status === 200 || answer.status === 502 || answer.status === 504, `${answer.status}`);
                    return;
                }
                assert.equal(answer.status, 200);
                assert.equal(answer.headers.get("x-llm-gateway-provider"), "second");
                assert.equal(answer.headers.get("x-llm-gateway-attempts"), "2");
                assert.equal(text(events), "You said: hello");
                assert.equal(events.at(-1), "[DONE]");
                assert.equal(new Set(events.filter((e) => e !== "[DONE]").map((e) => JSON.parse(e).id)).size, 1, "one stream, not two");
                assert.equal((await gateway.row(answer)).status, "success");
            });
        }

        test("an error after content is the client's to see", async () => {
            await a.script([{ times: 0, error_at: 4, tokens: 8 }]);
            const { answer, events } = await chat();
            assert.equal(answer.status, 200);
            assert.equal(answer.headers.get("x-llm-gateway-provider"), "first");
            assert.equal(typeof JSON.parse(events.at(-1)).error.message, "string");
            assert.equal((await b.requests()).length, 0);
        });
    });
}
