import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { startGateway, startSim } from "../support/harness.mjs";

const keys = ["provider-key-one", "provider-key-two", "provider-key-three"];

async function pool(t, poolKeys = keys) {
    const sim = await startSim(t);
    const config = `
providers:
  pooled: {dialect: openai, base_url: "${sim.base}", keys: [${poolKeys.map((k) => `"${k}"`).join(", ")}], passes_unknown: true}
models:
  m: {targets: [[{provider: pooled}]]}
`;
    const gateway = await startGateway(t, { config });
    const { api_key } = await gateway.createTenant({ rate_limit: 100000 });
    let asked = 0; // each is a conversation of its own: those of one would stay with one key
    const chat = () => gateway.request(api_key, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: `hi ${asked++}` }] });
    /** How often each key was used. */
    const used = async () => {
        const counts = Object.fromEntries(poolKeys.map((k) => [k, 0]));
        for (const r of await sim.requests()) counts[r.headers.authorization.replace("Bearer ", "")]++;
        return counts;
    };
    return { sim, gateway, chat, used };
}

describe("keys of a pool take turns and refused ones are set aside", () => {
    test("all keys are used", async (t) => {
        const { chat, used } = await pool(t);
        for (let i = 0; i < 90; i++) assert.equal((await chat()).status, 200); // that one stays unused: 3 * (2/3)^90
        const counts = await used();
        assert.equal(Object.keys(counts).length, keys.length);
        for (const k of keys) assert.ok(counts[k] > 0, JSON.stringify(counts));
    });

    for (const [name, behaviour] of [
        ["401", { status: 401, code: "invalid_api_key" }],
        ["403", { status: 403 }],
        ["insufficient_quota", { status: 429, code: "insufficient_quota" }],
        ["429 with Retry-After", { status: 429, retry_after: "30" }],
    ]) {
        test(`a key that gets ${name} is used once and then no more; clients notice nothing`, async (t) => {
            const { sim, chat, used } = await pool(t);
            await sim.script([{ ...behaviour, header: { authorization: `Bearer ${keys[1]}` }, times: 0 }]);
            for (let i = 0; i < 60; i++) assert.equal((await chat()).status, 200);
            const counts = await used();
            assert.equal(counts[keys[1]], 1, JSON.stringify(counts));
            assert.ok(counts[keys[0]] > 0 && counts[keys[2]] > 0);
        });
    }

    test("a dead key is not billed to the client: 502 when none is left", async (t) => {
        const { sim, gateway, chat, used } = await pool(t);
        await sim.script([{ status: 401, times: 0 }]);
        const r = await chat();
        assert.equal(r.status, 502);
        const counts = await used();
        for (const k of keys) assert.equal(counts[k], 1, "each was tried once");
        const row = await gateway.row(r);
        assert.deepEqual([row.status, row.http_status, row.attempts, row.cost_nusd], ["error", 502, 3, 0]);
        await sim.reset();
        assert.equal((await chat()).status, 200, "with all set aside, the least bad is tried rather than none");
    });

    test("keys are in no log line and no answer", async (t) => {
        const { sim, gateway, chat } = await pool(t);
        await sim.script([{ status: 401, times: 0, message: "refused" }]);
        const text = await (await chat()).text();
        const state = await gateway.admin("GET", "state");
        for (const where of [text, gateway.child.output, state.text]) for (const k of keys) assert.ok(!where.includes(k));
    });
});
