import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { startGateway, startSim } from "../support/harness.mjs";

async function tiers(t) {
    const a = await startSim(t);
    const b = await startSim(t);
    const config = `
providers:
  first: {dialect: openai, base_url: "${a.base}"}
  second: {dialect: openai, base_url: "${b.base}"}
models:
  m: {targets: [[{provider: first}], [{provider: second}]]}
`;
    const gateway = await startGateway(t, { config });
    const { api_key } = await gateway.createTenant({ rate_limit: 100000 });
    const chat = () => gateway.request(api_key, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "hi" }] });
    const target = async () => (await gateway.admin("GET", "state")).json.targets.find((x) => x.name === "first/m");
    return { a, b, gateway, chat, target };
}

describe("a breaker opens after failures and pauses are heeded", () => {
    test("five failures in a row and the target is left alone", async (t) => {
        const { a, b, gateway, chat, target } = await tiers(t);
        assert.equal((await chat()).headers.get("x-llm-gateway-provider"), "first");
        assert.equal((await target()).breaker, "closed");
        await a.reset();
        await a.script([{ status: 500, times: 0 }]);
        for (let i = 0; i < 20; i++) {
            const r = await chat();
            assert.equal(r.status, 200);
            assert.equal(r.headers.get("x-llm-gateway-provider"), "second");
        }
        assert.equal((await a.requests()).length, 5);
        assert.equal((await b.requests()).length, 20);
        assert.equal((await target()).breaker, "open");
        assert.equal(await gateway.metric("llm_gateway_breaker_state", { target: "first/m" }), 1);
        assert.equal(await gateway.metric("llm_gateway_upstream_attempts_total", { provider: "first" }), 6);
    });

    test("the client's own mistakes open nothing", async (t) => {
        const { a, chat, target } = await tiers(t);
        await a.script([{ status: 400, times: 0 }]);
        for (let i = 0; i < 12; i++) assert.equal((await chat()).status, 400);
        assert.equal((await target()).breaker, "closed");
    });

    test("a server that serves any name is well when it does not know one", async (t) => {
        const sim = await startSim(t);
        const gateway = await startGateway(t, { sim });
        const { api_key } = await gateway.createTenant();
        const chat = (model) => gateway.request(api_key, "/v1/chat/completions", { model, messages: [{ role: "user", content: "hi" }] });
        for (let i = 0; i < 12; i++) {
            const r = await chat("missing-model");
            assert.equal(r.status, 404);
            assert.equal((await r.json()).error.code, "model_not_found");
        }
        assert.equal((await chat("m")).status, 200);
    });

    test("Retry-After is heeded: a limited target has its pause, though it might answer again", async (t) => {
        const { a, chat } = await tiers(t);
        await a.script([{ status: 429, retry_after: "60" }]);
        for (let i = 0; i < 10; i++) assert.equal((await chat()).headers.get("x-llm-gateway-provider"), "second");
        assert.equal((await a.requests()).length, 1);
    });

    test("with nothing else left a paused target is tried all the same", async (t) => {
        const sim = await startSim(t);
        const gateway = await startGateway(t, { sim });
        const { api_key } = await gateway.createTenant();
        const chat = () => gateway.request(api_key, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "hi" }] });
        await sim.script([{ status: 429, retry_after: "60" }]);
        const limited = await chat();
        assert.equal(limited.status, 429);
        assert.equal(limited.headers.get("retry-after"), "60");
        assert.equal((await chat()).status, 200);
    });

    test("a passing failure of the only target is tried again unseen", async (t) => {
        const sim = await startSim(t);
        const gateway = await startGateway(t, { sim });
        const { api_key } = await gateway.createTenant();
        await sim.script([{ status: 503 }]);
        const r = await gateway.request(api_key, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "hi" }] });
        assert.equal(r.status, 200);
        assert.equal(r.headers.get("x-llm-gateway-attempts"), "2");
    });
});
