// A prompt is at most its bytes in tokens. Where a budget would refuse that bound, its tokens are counted by the model's own
// tokenizer: a long text that fits is served, and one that does not is still refused.
import assert from "node:assert/strict";
import { test } from "node:test";

import { startGateway, startSim } from "../support/harness.mjs";
import { ask } from "../support/witness.mjs";

const prose = "The gateway reserves what a request may cost before it is sent, and settles what it did cost after. ".repeat(100);
const body = (model, content) => ({ model, max_tokens: 10, messages: [{ role: "user", content }] });

async function start(t) {
    const sim = await startSim(t);
    const gateway = await startGateway(t, { env: { OPENAI_API_KEY: "sk-test", OPENAI_UPSTREAM_URL: sim.base } });
    await sim.script([{ times: 0, prompt_tokens: 2000, completion_tokens: 5 }]);
    return { sim, gateway };
}

test("a budget that covers the tokens of a text, but not its bytes, lets it pass", async (t) => {
    const { gateway } = await start(t);
    // 10,000 bytes at 150 nano-USD a token are 0.0015 USD; some 2,000 tokens are 0.0003.
    const tenant = await gateway.createTenant({ monthly_budget: 0.0006 });
    const answer = await ask(gateway.port, tenant.api_key, body("gpt-4o-mini", prose));
    assert.equal(answer.status, 200, String(answer.body));
    const row = await gateway.row(answer.id);
    assert.ok(row.reserved_nusd < 600_000 && row.reserved_nusd > row.cost_nusd, `${row.reserved_nusd}`);
});

test("a budget that covers neither refuses", async (t) => {
    const { gateway } = await start(t);
    const tenant = await gateway.createTenant({ monthly_budget: 0.0002 });
    const answer = await ask(gateway.port, tenant.api_key, body("gpt-4o-mini", prose));
    assert.equal(answer.status, 429);
});

test("tools are bounded by bytes alone", async (t) => {
    const { gateway } = await start(t);
    const tenant = await gateway.createTenant({ monthly_budget: 0.0006 });
    const tools = [{ type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } }];
    const answer = await ask(gateway.port, tenant.api_key, { ...body("gpt-4o-mini", prose), tools });
    assert.equal(answer.status, 429);
});
