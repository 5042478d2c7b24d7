// Anthropic tells the prompt's tokens with the first event, so of a stream that ends early only the answer is estimated.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { clientKinds } from "../support/clients.mjs";
import { eventually, scope, startWorld } from "../support/harness.mjs";

const model = "claude-haiku-4-5";
const counts = { prompt_tokens: 1000, cached_tokens: 3000, cache_write_tokens: 500, completion_tokens: 77 };
const prompt_nusd = 1000 * 1000 + 3000 * 100 + 500 * 1250;

describe("a cut stream bills the prompt that was told", () => {
    const world = scope();
    let sim, gateway, key;
    before(async () => {
        ({ sim, gateway, key } = await startWorld(world, { providers: ["anthropic"], env: { MAX_ATTEMPTS: "1" } }));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    const assertPrompt = (row) => {
        assert.deepEqual([row.prompt_tokens, row.cache_read_tokens, row.cache_write_5m_tokens, row.estimated], [4500, 3000, 500, 1]);
        assert.equal(row.cost_nusd, prompt_nusd + row.completion_tokens * 5000);
    };

    for (const name of Object.keys(clientKinds)) {
        test(`${name}: cut by the provider`, async () => {
            const c = clientKinds[name](gateway, key);
            await sim.script({ ...counts, tokens: 10, token_bytes: 40, reset_at: "c6" });
            await assert.rejects(c.say([c.user("cut")], { model, stream: true }));
            const [row] = await gateway.rows(`status = 'upstream_cut' AND dialect = '${name}'`);
            assertPrompt(row);
            assert.ok(row.completion_tokens >= 30 && row.completion_tokens <= 60, `${row.completion_tokens} of five pieces of 40 bytes`);
        });

        test(`${name}: left by the client`, async () => {
            const c = clientKinds[name](gateway, key);
            const abort = new AbortController();
            await sim.script({ ...counts, tokens: 100, token_bytes: 40, stall_at: "c6" });
            await c.say([c.user("left")], { model, stream: true, signal: abort.signal, onText: (t) => t.length > 100 && abort.abort() }).catch(() => {});
            await eventually(async () => (await sim.requests())[0].client_gone, "the simulator to see its client leave");
            const [row] = await gateway.rows(`status = 'client_gone' AND dialect = '${name}'`);
            assertPrompt(row);
        });
    }

    test("an error between the prompt and the answer moves on, and the prompt is billed", async (t) => {
        const world = await startWorld(t, { providers: ["anthropic", "local"], env: { LOCAL_FALLBACK_MODEL: "llama3.2" } });
        await world.sim.script({ ...counts, error_at: 1, path: "/v1/messages" });
        const c = clientKinds.own(world.gateway, world.key);
        const r = await c.say([c.user("hello")], { model, stream: true });
        assert.equal(r.text, "You said: hello");
        const row = await world.gateway.row(r.id);
        assert.deepEqual([row.status, row.provider, row.attempts], ["success", "local", 2]);
        assert.ok(row.cost_nusd >= prompt_nusd, `${row.cost_nusd}`);
    });
});
