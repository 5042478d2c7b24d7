import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";

import { adminKey, eventually, scope, startWorld } from "../support/harness.mjs";

describe("the origin's admin endpoints create tenants and report usage", () => {
    const world = scope();
    let gateway, sim;
    before(async () => {
        ({ gateway, sim } = await startWorld(world, { priced: true }));
    });
    after(() => world.end());

    test("the admin API is closed without the admin key", async () => {
        const tenant = await gateway.createTenant();
        for (const headers of [{}, { "x-api-key": "wrong" }, { authorization: `Bearer ${tenant.api_key}` }, { "x-api-key": `${adminKey} ` + "x" }]) {
            for (const [method, where] of [["POST", "tenants"], ["GET", "tenants"], ["GET", `tenants/${tenant.tenant_id}/usage`], ["GET", "no/such/thing"]]) {
                const r = await fetch(`${gateway.origin}/api/v1/admin/${where}`, { method, headers, body: method === "POST" ? '{"name":"x"}' : undefined });
                assert.equal(r.status, 401);
                assert.match((await r.json()).detail, /^(API key missing|Invalid API key)$/);
            }
        }
        const r = await fetch(`${gateway.origin}/api/v1/admin/tenants`, { headers: { "x-api-key": adminKey } });
        assert.equal(r.status, 200);
    });

    test("a tenant is created with the origin's defaults and its key shown once", async () => {
        const r = await gateway.admin("POST", "tenants", { name: "My App", rate_limit: 50 });
        assert.equal(r.status, 201);
        assert.equal(r.json.name, "My App");
        assert.equal(r.json.rate_limit, 50);
        assert.equal(r.json.monthly_budget, null);
        assert.match(r.json.api_key, /^llm-gw-[0-9A-Za-z]{49}$/);
        assert.match(r.json.tenant_id, /^[0-9a-f-]{36}$/);
        const plain = await gateway.admin("POST", "tenants", { name: "Default" });
        assert.equal(plain.json.rate_limit, 100);
        const seen = await gateway.admin("GET", `tenants/${r.json.tenant_id}`);
        assert.ok(!seen.text.includes("llm-gw-"));
        const keys = await gateway.admin("GET", `tenants/${r.json.tenant_id}/keys`);
        assert.ok(!keys.text.includes(r.json.api_key));
    });

    test("no key is at rest: neither in the database nor in the journal", async () => {
        const { tenant_id, api_key } = await gateway.createTenant();
        const used = await gateway.request(api_key, "/v1/chat/completions", { model: "gpt-4o-mini", messages: [{ role: "user", content: "hi" }] });
        assert.equal(used.status, 200);
        const { execFileSync } = await import("node:child_process");
        const found = execFileSync("sh", ["-c", `grep -rlaF "$1" "$2" || true`, "sh", api_key.slice(0, 40), gateway.dataDir], { encoding: "utf8" });
        assert.equal(found, "");
        assert.ok(tenant_id);
    });

    test("usage by provider: requests, tokens, cost, latency", async () => {
        const { tenant_id, api_key } = await gateway.createTenant();
        const usage = async (query = "") => (await gateway.admin("GET", `tenants/${tenant_id}/usage${query}`)).json;
        assert.deepEqual(await usage(), { tenant_id, period_days: 30, usage_by_provider: [] });
        for (const content of ["one", "two", "two"]) {
            await (await gateway.request(api_key, "/api/v1/completions", { model: "gpt-4o-mini", messages: [{ role: "user", content }] })).text();
        }
        const seen = await eventually(async () => {
            const u = await usage("?days=7");
            return u.usage_by_provider.reduce((n, p) => n + p.requests, 0) === 3 && u;
        }, "three requests in the usage");
        assert.equal(seen.period_days, 7);
        const openai = seen.usage_by_provider.find((p) => p.provider === "openai");
        assert.deepEqual(Object.keys(openai).slice(0, 5), ["provider", "requests", "tokens", "cost", "avg_latency_ms"], "the origin's, before ours");
        assert.equal(openai.requests, 2);
        assert.equal(openai.tokens, 2 * (4 + 3));
        assert.equal(openai.cost.toFixed(9), ((2 * (4 * 0.15 + 3 * 0.6)) / 1e6).toFixed(9));
        assert.ok(openai.avg_latency_ms > 0);
        const cached = seen.usage_by_provider.find((p) => p.provider === "cached");
        assert.deepEqual([cached.requests, cached.cost], [1, 0]);
    });

    test("usage of an unknown tenant is a 404, a bad number of days a 422", async () => {
        const r = await gateway.admin("GET", `tenants/${randomUUID()}/usage`);
        assert.deepEqual([r.status, r.json], [404, { detail: "Tenant not found" }]);
        const { tenant_id } = await gateway.createTenant();
        for (const days of ["0", "-1", "x", "1.5"]) {
            const bad = await gateway.admin("GET", `tenants/${tenant_id}/usage?days=${days}`);
            assert.equal(bad.status, 422);
            assert.deepEqual(bad.json.detail[0].loc, ["query", "days"]);
        }
    });
});
