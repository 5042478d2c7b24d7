import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { eventually, scope, startWorld } from "../support/harness.mjs";

describe("the cache keeps tenants apart", () => {
    const world = scope();
    let sim, gateway, tenant;
    before(async () => {
        ({ sim, gateway, tenant } = await startWorld(world));
    });
    after(() => world.end());

    const ask = (key, content, more) => gateway.request(key, "/v1/chat/completions", { model: "m", temperature: 0, messages: [{ role: "user", content }], ...more });
    const use = (r) => r.headers.get("x-llm-gateway-cache");

    test("another tenant's answer is never a hit; another key's of the same tenant is", async () => {
        const other = await gateway.createTenant();
        const second = (await gateway.admin("POST", `tenants/${tenant.tenant_id}/keys`, { name: "second" })).json;
        assert.equal(use(await ask(tenant.api_key, "shared?")), "miss");
        assert.equal(use(await ask(other.api_key, "shared?")), "miss");
        assert.equal(use(await ask(second.api_key, "shared?")), "hit");
        assert.equal(use(await ask(other.api_key, "shared?")), "hit");
        assert.equal((await sim.requests()).length, 2);
    });

    test("a parent and its child are two tenants", async () => {
        const child = await gateway.createTenant({ parent_id: tenant.tenant_id });
        await ask(tenant.api_key, "family");
        assert.equal(use(await ask(child.api_key, "family")), "miss");
    });

    test("requests of two tenants in flight are not coalesced", async () => {
        await sim.reset();
        const other = await gateway.createTenant();
        const first = ask(tenant.api_key, "sim:body_delay=200ms");
        await eventually(async () => (await sim.requests()).length === 1, "the first request");
        const second = await ask(other.api_key, "sim:body_delay=200ms");
        assert.equal(use(await first), "miss");
        assert.equal(use(second), "miss");
        assert.equal((await sim.requests()).length, 2);
    });

    test("a revoked key gets no hit", async () => {
        await ask(tenant.api_key, "revoked");
        await gateway.admin("DELETE", `tenants/${tenant.tenant_id}/keys/${tenant.key_id}`);
        assert.equal((await ask(tenant.api_key, "revoked")).status, 401);
    });
});
