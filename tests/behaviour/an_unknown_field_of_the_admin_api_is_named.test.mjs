import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { scope, startWorld } from "../support/harness.mjs";

describe("an unknown or wrong field of the admin API is a 422 that names it", () => {
    const world = scope();
    let gateway, tenant;
    before(async () => {
        ({ gateway, tenant } = await startWorld(world));
    });
    after(() => world.end());

    const routes = () => [
        ["POST", "tenants", { name: "x" }],
        ["PATCH", `tenants/${tenant.tenant_id}`, {}],
        ["POST", `tenants/${tenant.tenant_id}/keys`, {}],
        ["PATCH", `tenants/${tenant.tenant_id}/keys/${tenant.key_id}`, {}],
        ["POST", `tenants/${tenant.tenant_id}/keys/${tenant.key_id}/rotate`, {}],
    ];

    test("unknown fields, near misses too, on every route that takes a body", async () => {
        for (const [method, where, body] of routes()) {
            for (const field of ["colour", "rate_limits", "Name", "monthly_budget_usd"]) {
                const r = await gateway.admin(method, where, { ...body, [field]: 1 });
                assert.equal(r.status, 422, `${method} ${where}`);
                assert.deepEqual(r.json.detail[0].loc, ["body", field]);
                assert.equal(r.json.detail[0].type, "extra_forbidden");
                assert.equal(r.json.detail[0].input, 1);
            }
        }
    });

    test("nothing of a refused body is applied", async () => {
        await gateway.admin("PATCH", `tenants/${tenant.tenant_id}`, { rate_limit: 3, colour: "red" });
        assert.equal((await gateway.admin("GET", `tenants/${tenant.tenant_id}`)).json.rate_limit, 1000000);
        const before = (await gateway.sql("SELECT count(*) AS n FROM tenants"))[0].n;
        await gateway.admin("POST", "tenants", { name: "x", colour: "red" });
        assert.equal((await gateway.sql("SELECT count(*) AS n FROM tenants"))[0].n, before);
    });

    test("values of the wrong kind name their field", async () => {
        const wrong = [
            ["name", ""], ["name", 5], ["name", "x".repeat(300)], ["rate_limit", "many"], ["rate_limit", -1], ["rate_limit", 1.5], ["monthly_budget", -0.01], ["monthly_budget", "1"],
            ["monthly_budget", 1e300], ["soft_budgets", ["fortnight"]], ["allowed_models", "m"], ["allowed_models", [5]], ["cache", "maybe"], ["parent_id", "nobody"], ["max_concurrent", true],
        ];
        for (const [field, value] of wrong) {
            const r = await gateway.admin("POST", "tenants", { name: "x", [field]: value });
            assert.equal(r.status, 422, `${field}: ${value}`);
            assert.deepEqual(r.json.detail[0].loc.slice(0, 2), ["body", field]);
            assert.deepEqual(Object.keys(r.json.detail[0]), ["type", "loc", "msg", "input"]);
        }
        const missing = await gateway.admin("POST", "tenants", {});
        assert.deepEqual([missing.status, missing.json.detail[0].type, missing.json.detail[0].loc], [422, "missing", ["body", "name"]]);
    });

    test("bodies that are no object, and members given twice", async () => {
        const send = (body) => gateway.request("x", "/api/v1/admin/tenants", body, { headers: { authorization: `Bearer ${gateway.env.ADMIN_API_KEY}` } });
        for (const body of ["{", "[]", "5", '"x"', '{"name":"a","name":"b"}']) assert.equal((await send(body)).status, 422, body);
    });
});
