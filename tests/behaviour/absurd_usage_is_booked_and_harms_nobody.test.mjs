import assert from "node:assert/strict";
import { test } from "node:test";

import { startWorld } from "../support/harness.mjs";

test("a provider that tells absurd numbers of tokens is booked up to a bound", async (t) => {
    const { sim, gateway, chat } = await startWorld(t, { priced: true, env: { MAX_ATTEMPTS: "1" } });
    const most = "9223372036854775807";
    const body = `{"id":"x","object":"chat.completion","model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":${most},"completion_tokens":${most},"total_tokens":${most}}}`;
    await sim.script({ content_type: "application/json", body });
    const answer = await chat("hi");
    assert.equal(answer.status, 200);
    const row = await gateway.row(answer);
    assert.deepEqual([row.prompt_tokens, row.completion_tokens, row.total_tokens], [2 ** 40, 2 ** 40, 2 ** 41]);
    assert.ok(row.cost_nusd > 0);
    assert.equal((await chat("again")).status, 200);
});
