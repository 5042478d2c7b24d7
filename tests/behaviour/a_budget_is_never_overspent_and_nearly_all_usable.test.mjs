// Money is reserved before the call and settled after it: however many ask at once, a hard budget holds, and when requests cost
// what they reserve nearly all of it can be spent.
import assert from "node:assert/strict";
import { test } from "node:test";

import { startGateway, startSim } from "../support/harness.mjs";
import { ask, crowd } from "../support/witness.mjs";

const MAX_TOKENS = 200;
// null is as long as true: the bound of a prompt is made of the body's bytes, and all shall reserve the same.
const body = (isStream = false) => ({ model: "gpt-4o-mini", max_tokens: MAX_TOKENS, stream: isStream || null, messages: [{ role: "user", content: "a question of one length" }] });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function start(t) {
    const sim = await startSim(t);
    const gateway = await startGateway(t, {
        workers: 2,
        env: { OPENAI_API_KEY: "sk-test", OPENAI_UPSTREAM_URL: sim.base, DRAIN_DELAY: "0", ENABLE_PROMPT_CACHE: "false", LOG_REQUESTS: "false" },
    });
    const probe = await gateway.createTenant({ rate_limit: 1000000, monthly_budget: 1 });
    const seen = await ask(gateway.port, probe.api_key, body());
    assert.equal(seen.status, 200, String(seen.body));
    const row = await gateway.row(seen.id);
    // gpt-4o-mini of the catalogue: 0.15 and 0.60 USD a million tokens, 150 and 600 nano-USD a token.
    const promptTokens = (row.reserved_nusd - MAX_TOKENS * 600) / 150;
    assert.ok(Number.isInteger(promptTokens) && promptTokens > 10, `reserved ${row.reserved_nusd} nano-USD`);
    return { sim, gateway, reserved: row.reserved_nusd, promptTokens };
}

/** 64 clients until each was refused five times in a row. */
async function spend(gateway, tenant) {
    const refusals = Array(64).fill(0);
    const answers = [];
    const one = async (client) => {
        while (refusals[client] < 5) {
            const a = await ask(gateway.port, tenant.api_key, body(client % 3 === 0));
            answers.push(a);
            refusals[client] = a.status === 200 ? 0 : refusals[client] + 1;
            if (a.status !== 200) await pause(30);
        }
    };
    await Promise.all(refusals.map((_, client) => one(client)));
    return answers;
}

function check(t, rows, budget, least, what) {
    let spent = 0;
    for (const row of rows) {
        assert.ok(row.cost_nusd <= row.reserved_nusd);
        spent += row.cost_nusd;
        assert.ok(spent <= budget, `${spent} of ${budget} nano-USD after ${row.id}`);
    }
    assert.ok(spent >= budget * least, `only ${spent} of ${budget} nano-USD could be used`);
    t.diagnostic(`${what}: ${rows.length} requests spent ${((100 * spent) / budget).toFixed(2)} % of the budget`);
}

test("a budget of 400 requests of the reserved length under 64 connections and 2 workers", { timeout: 120000 }, async (t) => {
    const { sim, gateway, reserved, promptTokens } = await start(t);
    await sim.script([{ times: 0, prompt_tokens: promptTokens, completion_tokens: MAX_TOKENS, tokens: 5, delay: "5ms" }]);
    const budget = Math.round(reserved * 400.5);
    const tenant = await gateway.createTenant({ rate_limit: 1000000, monthly_budget: budget / 1e9 });
    const answers = await spend(gateway, tenant);
    for (const a of answers.filter((x) => x.status !== 200)) {
        assert.equal(a.status, 429, String(a.body));
        const { error } = JSON.parse(a.body);
        assert.equal(error.type, "insufficient_quota");
        assert.match(error.message, /[Bb]udget/);
        assert.equal(a.headers["x-should-retry"], "false");
    }
    await gateway.stop();
    const rows = await gateway.sql(`SELECT id, cost_nusd, reserved_nusd FROM requests WHERE tenant_id = '${tenant.tenant_id}' AND status = 'success' ORDER BY seq`);
    assert.equal(rows.length, answers.filter((a) => a.status === 200).length);
    assert.ok(rows.every((r) => r.cost_nusd === r.reserved_nusd), "each cost what it reserved");
    assert.equal(rows.length, 400, "all that fit");
    check(t, rows, budget, 0.95, "as long as reserved");
});

test("shorter answers give back what they did not use, and a parent's budget holds for all below it", { timeout: 120000 }, async (t) => {
    const { sim, gateway, reserved, promptTokens } = await start(t);
    await sim.script([{ times: 0, prompt_tokens: promptTokens - 5, completion_tokens: 50, tokens: 5, delay: "3ms" }]);
    const budget = Math.round(reserved * 150);
    const parent = await gateway.createTenant({ rate_limit: 1000000, monthly_budget: budget / 1e9 });
    const tenants = await Promise.all([1, 2, 3].map(() => gateway.createTenant({ rate_limit: 1000000, parent_id: parent.tenant_id })));
    const answers = (await Promise.all(tenants.map((tenant) => spend(gateway, tenant)))).flat();
    await gateway.stop();
    const ids = tenants.map((x) => `'${x.tenant_id}'`).join(",");
    const rows = await gateway.sql(`SELECT id, cost_nusd, reserved_nusd FROM requests WHERE tenant_id IN (${ids}) AND status = 'success' ORDER BY seq`);
    assert.equal(rows.length, answers.filter((a) => a.status === 200).length);
    assert.ok(rows.length > 150, "more than if nothing came back");
    check(t, rows, budget, 0.95, "shorter than reserved, three tenants below one budget");
});
