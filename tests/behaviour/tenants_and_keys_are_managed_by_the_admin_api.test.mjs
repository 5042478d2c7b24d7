import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";

import { eventually, scope, startWorld } from "../support/harness.mjs";

describe("tenants and keys are managed by the admin API", () => {
    const world = scope();
    let gateway, admin;
    before(async () => {
        ({ gateway } = await startWorld(world));
        admin = gateway.admin;
    });
    after(() => world.end());

    const use = (key, more) => gateway.request(key, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "hi" }], ...more });
    const status = async (key) => (await use(key)).status;

    test("a tenant is created with all its settings, read, changed and deactivated", async () => {
        const parent = await gateway.createTenant();
        const settings = {
            name: "All of it", parent_id: parent.tenant_id, rate_limit: 7, tokens_per_minute: 1000, max_concurrent: 3, daily_budget: 1.5, weekly_budget: 5,
            monthly_budget: 10.25, total_budget: 100, soft_budgets: ["week"], allowed_models: ["m", "gpt-*"], cache: "off", audit_level: "metadata",
        };
        const created = await admin("POST", "tenants", settings);
        assert.equal(created.status, 201, created.text);
        const { tenant_id, api_key } = created.json;
        const read = (await admin("GET", `tenants/${tenant_id}`)).json;
        for (const [k, v] of Object.entries(settings)) assert.deepEqual(read[k], v, k);
        assert.equal(read.is_active, true);
        assert.ok(Math.abs(Date.parse(read.created_at) - Date.now()) < 60000);

        const changed = await admin("PATCH", `tenants/${tenant_id}`, { rate_limit: 9, monthly_budget: null, allowed_models: null });
        assert.equal(changed.status, 200);
        assert.deepEqual([changed.json.rate_limit, changed.json.monthly_budget, changed.json.allowed_models, changed.json.name], [9, null, null, "All of it"]);
        assert.equal(await status(api_key), 200);

        const gone = await admin("DELETE", `tenants/${tenant_id}`);
        assert.equal(gone.json.is_active, false);
        assert.equal(await status(api_key), 401);
        await admin("PATCH", `tenants/${tenant_id}`, { is_active: true });
        assert.equal(await status(api_key), 200);
    });

    test("changes hold at once: a new limit refuses, a lifted one lets through", async () => {
        const { tenant_id, api_key } = await gateway.createTenant({ rate_limit: 1 });
        assert.deepEqual([await status(api_key), await status(api_key)], [200, 429]);
        await admin("PATCH", `tenants/${tenant_id}`, { rate_limit: 100 });
        assert.equal(await status(api_key), 200);
        await admin("PATCH", `tenants/${tenant_id}`, { allowed_models: ["other"] });
        assert.equal(await status(api_key), 403);
    });

    test("a parent's limit holds for its children together", async () => {
        const parent = await gateway.createTenant({ rate_limit: 3 });
        const children = [await gateway.createTenant({ parent_id: parent.tenant_id }), await gateway.createTenant({ parent_id: parent.tenant_id })];
        const seen = [];
        for (let i = 0; i < 4; i++) seen.push(await status(children[i % 2].api_key));
        assert.deepEqual(seen, [200, 200, 200, 429]);
        await admin("DELETE", `tenants/${parent.tenant_id}`);
        assert.equal(await status(children[0].api_key), 401, "a deactivated parent's children are refused too");
    });

    test("the tree is at most 8 deep and has no circles", async () => {
        let at = await gateway.createTenant();
        const chain = [at];
        for (let depth = 2; depth <= 8; depth++) chain.push((at = await gateway.createTenant({ parent_id: at.tenant_id })));
        assert.equal((await admin("POST", "tenants", { name: "ninth", parent_id: at.tenant_id })).status, 409);
        const circle = await admin("PATCH", `tenants/${chain[0].tenant_id}`, { parent_id: chain[2].tenant_id });
        assert.ok([409, 422].includes(circle.status), circle.text);
        assert.equal((await admin("POST", "tenants", { name: "orphan", parent_id: randomUUID() })).status, 404);
    });

    test("lists come in pages by cursor, each row once", async () => {
        for (let i = 0; i < 12; i++) await gateway.createTenant();
        const seen = [];
        let cursor;
        do {
            const page = (await admin("GET", `tenants?limit=5${cursor ? `&after=${cursor}` : ""}`)).json;
            assert.ok(page.data.length <= 5);
            seen.push(...page.data.map((t) => t.tenant_id));
            cursor = page.next_cursor;
        } while (cursor);
        assert.equal(new Set(seen).size, seen.length);
        const [{ n }] = await gateway.sql("SELECT count(*) AS n FROM tenants");
        assert.equal(seen.length, n);
        for (const query of ["limit=0", "limit=x", "limit=1000000", "after=nonsense"]) assert.equal((await admin("GET", `tenants?${query}`)).status, 422, query);
    });

    test("a tenant's keys: one more, its own limits, listed without the secret, switched off and on", async () => {
        const { tenant_id } = await gateway.createTenant();
        const made = await admin("POST", `tenants/${tenant_id}/keys`, { name: "ci", rate_limit: 2, allowed_models: ["m"] });
        assert.equal(made.status, 201);
        assert.match(made.json.api_key, /^llm-gw-[0-9A-Za-z]{49}$/);
        assert.deepEqual([await status(made.json.api_key), await status(made.json.api_key), await status(made.json.api_key)], [200, 200, 429]);
        const { data } = (await admin("GET", `tenants/${tenant_id}/keys`)).json;
        assert.deepEqual(data.map((k) => k.name).sort(), ["ci", "default"]);
        assert.ok(data.every((k) => !("api_key" in k) && made.json.api_key.startsWith(data.find((d) => d.name === "ci").hint.slice(0, 8))));
        await admin("PATCH", `tenants/${tenant_id}/keys/${made.json.key_id}`, { is_active: false });
        assert.equal(await status(made.json.api_key), 401);
        await admin("PATCH", `tenants/${tenant_id}/keys/${made.json.key_id}`, { is_active: true, rate_limit: null });
        assert.equal(await status(made.json.api_key), 200);
        await admin("DELETE", `tenants/${tenant_id}/keys/${made.json.key_id}`);
        assert.equal(await status(made.json.api_key), 401);
    });

    test("another tenant's key is not found under this one", async () => {
        const one = await gateway.createTenant();
        const two = await gateway.createTenant();
        for (const method of ["DELETE", "PATCH"]) {
            assert.equal((await admin(method, `tenants/${one.tenant_id}/keys/${two.key_id}`, method === "PATCH" ? {} : undefined)).status, 404);
        }
        assert.equal(await status(two.api_key), 200);
    });

    test("a key expires", async () => {
        const { tenant_id } = await gateway.createTenant();
        const key = (await admin("POST", `tenants/${tenant_id}/keys`, { expires_at: new Date(Date.now() + 1500).toISOString() })).json;
        assert.equal(await status(key.api_key), 200);
        await eventually(async () => (await status(key.api_key)) === 401, "the key to expire");
        const past = (await admin("POST", `tenants/${tenant_id}/keys`, { expires_at: "2020-01-01T00:00:00Z" })).json;
        assert.equal(await status(past.api_key), 401);
    });

    test("rotation: both keys work for the overlap, then only the new one", async () => {
        const { tenant_id, key_id, api_key } = await gateway.createTenant();
        const rotated = await admin("POST", `tenants/${tenant_id}/keys/${key_id}/rotate`, { overlap_seconds: 2 });
        assert.equal(rotated.status, 201);
        assert.notEqual(rotated.json.api_key, api_key);
        assert.deepEqual([await status(api_key), await status(rotated.json.api_key)], [200, 200]);
        await eventually(async () => (await status(api_key)) === 401, "the overlap to end");
        assert.equal(await status(rotated.json.api_key), 200);
        const now = await admin("POST", `tenants/${tenant_id}/keys/${rotated.json.key_id}/rotate`, {});
        assert.deepEqual([await status(rotated.json.api_key), await status(now.json.api_key)], [401, 200]);
    });

    test("a foreign key is imported by its hash, once", async () => {
        const { tenant_id } = await gateway.createTenant();
        const foreign = `sk-of-elsewhere-${randomUUID()}`;
        const sha256 = createHash("sha256").update(foreign).digest("hex");
        const made = await admin("POST", `tenants/${tenant_id}/keys`, { name: "imported", sha256 });
        assert.equal(made.status, 201);
        assert.equal(made.json.api_key, undefined);
        assert.equal(await status(foreign), 200);
        assert.equal(await status(sha256), 401, "the hash is no key");
        assert.equal((await admin("POST", `tenants/${tenant_id}/keys`, { sha256 })).status, 409);
        assert.equal((await admin("POST", `tenants/${tenant_id}/keys`, { sha256: "abc" })).status, 422);
    });

    test("what does not exist is a 404, another method a 405", async () => {
        for (const where of [`tenants/${randomUUID()}`, "tenants/nonsense", `tenants/${randomUUID()}/keys`, "nothing"]) {
            assert.equal((await admin("GET", where)).status, 404, where);
        }
        assert.equal((await admin("PUT", "tenants", {})).status, 405);
        assert.equal((await admin("POST", "state", {})).status, 405);
    });
});
