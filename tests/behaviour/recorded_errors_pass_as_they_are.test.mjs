// The recorded errors of OpenAI-speaking providers: status and body reach the client unchanged.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import { fixtures, startWorld } from "../support/harness.mjs";

const wherefrom = (name) =>
    name.startsWith("openai-embeddings") ? "/v1/embeddings" : name.startsWith("openai-completions") ? "/v1/completions" : "/v1/chat/completions";

const errors = readdirSync(fixtures, { recursive: true })
    .filter((f) => f.endsWith(".json") && !f.endsWith(".body.json"))
    .filter((f) => !["anthropic", "bedrock", "gemini", "openai-responses"].includes(f.split(path.sep)[0])) // they speak other dialects than the provider here
    .map((f) => ({ name: f.replace(/\.json$/, ""), ...JSON.parse(readFileSync(path.join(fixtures, f), "utf8")) }))
    .filter((f) => f.response.status >= 400);

describe("recorded errors pass as they are", () => {
    test("there are some of several providers", () => {
        assert.ok(errors.length >= 10);
        assert.ok(new Set(errors.map((e) => e.name.split(path.sep)[0])).size >= 5);
    });

    // A gateway of its own for each: a breaker or a pause of one must not change the next.
    for (const { name, request, response } of errors) {
        test(`${name}: ${response.status}`, async (t) => {
            const { sim, gateway, post } = await startWorld(t);
            await sim.script([{ fixture: name, times: 0 }]);
            // A negative max_tokens the gateway refuses by itself, because no bound can be reserved for it.
            const send = JSON.stringify(request.body.max_tokens < 0 ? { ...request.body, max_tokens: 1 } : request.body);
            const direct = await fetch(sim.origin + wherefrom(name), { method: "POST", body: send });
            const answer = await post(wherefrom(name), send);
            assert.equal(answer.status, direct.status);
            assert.equal(await answer.text(), await direct.text());
            assert.equal(answer.headers.get("content-type"), direct.headers.get("content-type"));
            const row = await gateway.row(answer);
            
            assert.deepEqual([row.status, row.http_status, row.cost_nusd], ["error", direct.status, 0]);
            const message = response.body.error?.message ?? response.body.message;
            if (message) assert.ok(row.error_message.startsWith(message.slice(0, 100)), row.error_message);
        });
    }
});
