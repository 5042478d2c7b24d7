// Limits are rebuilt from the ledger before the first accept: neither a kill nor a clean stop empties a window or a budget.
import assert from "node:assert/strict";
import { test } from "node:test";

import { RawClient, startGateway, startSim } from "../support/harness.mjs";
import { question, rawRequest } from "../support/process.mjs";

// With a format asked for, the bound of the prompt stays that of its bytes: all requests reserve the same.
const counted = { response_format: { type: "text" } };
const ask = async (gateway, key, more) => {
    const r = await gateway.request(key, "/v1/chat/completions", question("gpt-4o-mini", { max_tokens: 100, ...counted, ...more }));
    return { status: r.status, headers: r.headers, text: await r.text() };
};
const spent = async (gateway, key) => {
    const r = await gateway.admin("GET", `explain?key=${key}&model=gpt-4o-mini`);
    assert.equal(r.status, 200, r.text);
    const tenant = r.json.limits.find((l) => l.kind === "tenant");
    return { rate: tenant.rate_limit.used, ...tenant.monthly_budget };
};

for (const [how, signal] of [["a kill", "SIGKILL"], ["a clean stop", "SIGTERM"]]) {
    test(`after ${how} the window and the budget are where they were`, async (t) => {
        const sim = await startSim(t);
        let gateway = await startGateway(t, { env: { OPENAI_API_KEY: "sk-test", OPENAI_UPSTREAM_URL: sim.base, DRAIN_DELAY: "0", ENABLE_PROMPT_CACHE: "false" }, workers: 2 });
        const rated = await gateway.createTenant({ rate_limit: 20 });
        for (let i = 0; i < 20; i++) assert.equal((await ask(gateway, rated.api_key)).status, 200);
        assert.equal((await ask(gateway, rated.api_key)).status, 429);

        const first = await ask(gateway, (await gateway.createTenant({ rate_limit: 1000 })).api_key);
        const { cost_nusd: cost, reserved_nusd: reserved } = await gateway.row(first.headers.get("x-request-id"));
        const paid = await gateway.createTenant({ rate_limit: 1000, monthly_budget: (reserved + 4 * cost + cost / 2) / 1e9 });
        for (let i = 0; i < 5; i++) assert.equal((await ask(gateway, paid.api_key)).status, 200);
        const refused = await ask(gateway, paid.api_key);
        assert.equal(refused.status, 429, refused.text);
        const before = { rated: await spent(gateway, rated.api_key), paid: await spent(gateway, paid.api_key) };
        assert.equal(before.rated.rate, 20);
        assert.equal(Math.round(before.paid.spent * 1e9), 5 * cost);

        assert.deepEqual(await gateway.stop(signal), signal === "SIGTERM" ? { code: 0, signal: null } : { code: null, signal });
        gateway = await gateway.again();
        const again = await ask(gateway, rated.api_key);
        assert.equal(again.status, 429);
        const wait = Number(again.headers.get("retry-after"));
        assert.ok(wait >= 1 && wait <= 61, `retry-after ${wait}`);
        assert.equal((await ask(gateway, paid.api_key)).status, 429);
        const after = { rated: await spent(gateway, rated.api_key), paid: await spent(gateway, paid.api_key) };
        assert.equal(after.rated.rate, 20);
        assert.equal(after.paid.spent, before.paid.spent);
        assert.equal(after.paid.reserved, 0, "nothing stays reserved for the dead");
    });
}

test("a request that the crash interrupted counts in both", async (t) => {
    const sim = await startSim(t);
    await sim.script([{ times: 0, stall_at: "c2", tokens: 5 }]);
    let gateway = await startGateway(t, { env: { OPENAI_API_KEY: "sk-test", OPENAI_UPSTREAM_URL: sim.base, ENABLE_PROMPT_CACHE: "false" } });
    const tenant = await gateway.createTenant({ rate_limit: 1, monthly_budget: 1 });
    const stream = await RawClient.connect(gateway.port);
    t.after(() => stream.close());
    await stream.send(rawRequest(tenant.api_key, question("gpt-4o-mini", { stream: true, max_tokens: 100 })));
    await stream.until((text) => text.includes("data: "));
    const { reserved } = await spent(gateway, tenant.api_key);
    assert.ok(reserved > 0);
    await gateway.kill();
    gateway = await gateway.again();
    const now = await spent(gateway, tenant.api_key);
    assert.deepEqual({ rate: now.rate, spent: now.spent, reserved: now.reserved }, { rate: 1, spent: reserved, reserved: 0 });
    assert.equal((await ask(gateway, tenant.api_key)).status, 429);
});
