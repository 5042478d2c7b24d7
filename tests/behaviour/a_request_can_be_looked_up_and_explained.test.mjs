import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";

import { scope, startWorld } from "../support/harness.mjs";

describe("a request can be looked up and explained", () => {
    const world = scope();
    let sim, gateway, tenant, key, chat;
    before(async () => {
        ({ sim, gateway, tenant, key, chat } = await startWorld(world, { priced: true, tenant: { rate_limit: 5, monthly_budget: 2 } }));
    });
    after(() => world.end());

    const lookUp = (k, id) => gateway.request(k, `/api/v1/requests/${id}`);

    test("one's own request: what it cost and why; another tenant's is not there", async () => {
        await sim.script([{ status: 503 }]);
        const answer = await chat("hello there");
        const id = answer.headers.get("x-request-id");
        await gateway.row(id);
        const r = await lookUp(key, id);
        assert.equal(r.status, 200);
        const seen = await r.json();
        assert.deepEqual(
            [seen.id, seen.tenant_id, seen.key_id, seen.status, seen.http_status, seen.provider, seen.model, seen.asked_model, seen.dialect],
            [id, tenant.tenant_id, tenant.key_id, "success", 200, "openai", "gpt-4o-mini", "gpt-4o-mini", "openai"],
        );
        assert.deepEqual([seen.prompt_tokens, seen.completion_tokens, seen.total_tokens, seen.estimated, seen.stream], [5, 4, 9, false, false]);
        assert.equal(seen.cost, (5 * 0.15 + 4 * 0.6) / 1e6);
        assert.ok(seen.reserved >= seen.cost);
        assert.equal(seen.attempts, 2);
        assert.equal(seen.detail.attempts[0].status, 503);

        const stranger = await gateway.createTenant();
        const hidden = await lookUp(stranger.api_key, id);
        assert.deepEqual([hidden.status, await hidden.json()], [404, { detail: "Request not found" }]);
        assert.equal((await lookUp(key, randomUUID())).status, 404);
        assert.equal((await lookUp(key, "nonsense")).status, 404);
        assert.equal((await fetch(`${gateway.origin}/api/v1/requests/${id}`)).status, 401);
        assert.equal((await gateway.admin("GET", `requests/${id}`)).json.id, id, "the admin sees all");
    });

    test("explain: the key's path, limits, counters, route, prices and cache rule", async () => {
        const { json } = await gateway.admin("GET", `explain?key=${tenant.key_id}&model=gpt-4o-mini`);
        assert.deepEqual([json.key_id, json.tenant_id, json.key_active, json.model_allowed, json.route], [tenant.key_id, tenant.tenant_id, true, true, "direct"]);
        assert.deepEqual(json.limits.map((l) => l.kind), ["key", "tenant"]);
        const [, limits] = json.limits;
        assert.equal(limits.rate_limit.limit, 5);
        assert.equal(limits.rate_limit.used, 1);
        assert.equal(limits.monthly_budget.limit, 2);
        assert.ok(limits.monthly_budget.spent > 0);
        assert.equal(limits.monthly_budget.reserved, 0);
        assert.deepEqual(json.next_to_refuse, { limit: "requests_per_minute", left: 4, id: tenant.tenant_id });
        const [target] = json.targets;
        assert.deepEqual([target.provider, target.model, target.breaker, target.price_known], ["openai", "gpt-4o-mini", "closed", true]);
        assert.deepEqual([target.input_usd_per_1m_tokens, target.output_usd_per_1m_tokens], [0.15, 0.6]);
        assert.equal(json.price_unknown, false);
        assert.ok(json.reserve_for_1000_in_1000_out >= 0.00075);
        assert.match(json.cache, /temperature 0/);
    });

    test("explain by the key itself, without a model, for an unknown one", async () => {
        assert.equal((await gateway.admin("GET", `explain?key=${encodeURIComponent(key)}`)).json.key_id, tenant.key_id);
        const unknown = (await gateway.admin("GET", `explain?key=${tenant.key_id}&model=gpt-4o-mimi`)).json;
        assert.equal(unknown.route, "not found");
        assert.match(unknown.near, /gpt-4o-mini/);
        assert.equal((await gateway.admin("GET", `explain?key=${randomUUID()}`)).status, 404);
        assert.equal((await gateway.admin("GET", "explain")).status, 422);
        assert.equal((await gateway.admin("GET", `explain?key=${tenant.key_id}&model=gpt-4o-mini`)).json.limits[1].rate_limit.used, 1, "looking costs nothing");
    });

    test("prices can be listed", async () => {
        const { json } = await gateway.admin("GET", "prices?provider=openai&model=gpt-4o-mini");
        const price = json.data.find((p) => p.model === "gpt-4o-mini");
        assert.deepEqual([price.input_usd_per_1m_tokens, price.output_usd_per_1m_tokens, price.cache_read_usd_per_1m_tokens], [0.15, 0.6, 0.075]);
        assert.match(json.catalogue_date, /^\d{4}-\d\d-\d\d/);
    });
});
