import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { eventually, scope, startWorld } from "../support/harness.mjs";

describe("every answer says where it came from", () => {
    const world = scope();
    let sim, gateway, chat;
    before(async () => {
        ({ sim, gateway, chat } = await startWorld(world, { priced: true, tenant: { rate_limit: 50 } }));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    test("provider, model, cache, attempts, cost, overhead, the provider's request id", async () => {
        const r = await chat("hello there");
        const h = (name) => r.headers.get(name);
        assert.match(h("x-request-id"), /^[0-9a-f-]{36}$/);
        assert.equal(h("x-llm-gateway-provider"), "openai");
        assert.equal(h("x-llm-gateway-model"), "gpt-4o-mini");
        assert.equal(h("x-llm-gateway-cache"), "bypass");
        assert.equal(h("x-llm-gateway-attempts"), "1");
        assert.equal(Number(h("x-llm-gateway-cost-usd")), (5 * 0.15 + 4 * 0.6) / 1e6);
        assert.match(h("x-llm-gateway-overhead-us"), /^\d+$/);
        assert.match(h("x-llm-gateway-upstream-request-id"), /^req_/);
        assert.equal(h("x-ratelimit-limit-requests"), "50");
        assert.match(h("x-ratelimit-remaining-requests"), /^4\d$/);
        assert.match(h("x-ratelimit-reset-requests"), /^\d+(ms|s|m\d+s)$/);
    });

    test("the provider's own rate-limit headers are not passed as if they were ours", async () => {
        await sim.script([{ headers: { "x-ratelimit-limit-requests": "9999", "x-ratelimit-limit-tokens": "8888", "openai-organization": "org-ours", "set-cookie": "a=b" } }]);
        const r = await chat("hello");
        assert.equal(r.headers.get("x-ratelimit-limit-requests"), "50");
        for (const name of ["x-ratelimit-limit-tokens", "openai-organization", "set-cookie"]) assert.equal(r.headers.get(name), null);
    });

    test("a stream says all but the cost, which nobody knows yet", async () => {
        const r = await chat("hello", { stream: true });
        assert.equal(r.headers.get("x-llm-gateway-provider"), "openai");
        assert.equal(r.headers.get("x-llm-gateway-cost-usd"), null);
        await r.text();
        assert.equal(r.headers.get("cache-control"), "no-cache");
    });

    test("a hit says so and has the answer's model", async () => {
        const miss = await chat("again", { temperature: 0 });
        const hit = await chat("again", { temperature: 0 });
        assert.equal(miss.headers.get("x-llm-gateway-cache"), "miss");
        assert.equal(hit.headers.get("x-llm-gateway-cache"), "hit");
        assert.equal(hit.headers.get("x-llm-gateway-provider"), "cached");
        assert.equal(hit.headers.get("x-llm-gateway-model"), "gpt-4o-mini");
        assert.equal(Number(hit.headers.get("x-llm-gateway-cost-usd")), 0);
        assert.equal(hit.headers.get("x-llm-gateway-attempts"), "0");
        assert.notEqual(hit.headers.get("x-request-id"), miss.headers.get("x-request-id"));
    });

    test("an inbound x-request-id is stored, never used as the key", async () => {
        const id = "11111111-2222-7333-8444-555555555555";
        const answers = [await chat("one", {}, { headers: { "x-request-id": id } }), await chat("two", {}, { headers: { "x-request-id": id } })];
        const rows = await gateway.rows(`client_request_id = '${id}'`, 2);
        assert.deepEqual(rows.map((r) => r.id).sort(), answers.map((a) => a.headers.get("x-request-id")).sort());
        assert.ok(rows.every((r) => r.id !== id));
    });

    test("errors carry the request id too, of strangers as well", async () => {
        const wrong = await gateway.request("sk-wrong", "/v1/chat/completions", {});
        assert.match(wrong.headers.get("x-request-id"), /^[0-9a-f-]{36}$/);
        const bad = await chat("x", { messages: 5 });
        assert.equal((await gateway.row(bad)).status, "error");
    });

    test("one log line a request, without prompt and key", async () => {
        const r = await chat("a very secret prompt");
        const line = await eventually(() => gateway.logs().find((l) => l.request_id === r.headers.get("x-request-id")), "the log line");
        assert.deepEqual([line.status, line.http_status, line.provider, line.model, line.tokens], ["success", 200, "openai", "gpt-4o-mini", 7 + 6]);
        assert.ok(!gateway.child.output.includes("very secret"));
        assert.ok(!gateway.child.output.includes("llm-gw-"));
    });
});
