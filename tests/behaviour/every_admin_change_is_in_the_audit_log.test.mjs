import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { runGateway, startWorld } from "../support/harness.mjs";

describe("every admin change is in the audit log", () => {
    test("who, what, to which subject, with what, when; reading leaves no trace", async (t) => {
        const { gateway } = await startWorld(t);
        const { admin } = gateway;
        const { tenant_id, key_id } = (await admin("POST", "tenants", { name: "audited" })).json;
        await admin("PATCH", `tenants/${tenant_id}`, { rate_limit: 5 });
        const made = (await admin("POST", `tenants/${tenant_id}/keys`, { name: "second" })).json;
        await admin("PATCH", `tenants/${tenant_id}/keys/${made.key_id}`, { name: "renamed" });
        const rotated = (await admin("POST", `tenants/${tenant_id}/keys/${key_id}/rotate`, { overlap_seconds: 60 })).json;
        await admin("DELETE", `tenants/${tenant_id}/keys/${made.key_id}`);
        await admin("DELETE", `tenants/${tenant_id}`);
        const before = (await admin("GET", "audit")).json.data.length;
        for (const where of ["tenants", `tenants/${tenant_id}`, `tenants/${tenant_id}/keys`, "state", "prices?model=gpt-4o-mini", "audit"]) await admin("GET", where);
        await admin("PATCH", `tenants/${tenant_id}`, { colour: "red" }); // refused: no change

        const { data, next_cursor } = (await admin("GET", "audit")).json;
        assert.equal(data.length, before);
        assert.equal(next_cursor, null);
        const mine = data.filter((r) => [tenant_id, key_id, made.key_id, rotated.key_id].includes(r.subject)).reverse();
        const actions = mine.map((r) => r.action);
        // a rotation is two changes: the new key is made, the old one gets its end
        assert.deepEqual(actions, ["tenant.create", "tenant.update", "key.create", "key.update", "key.create", "key.rotate", "key.revoke", "tenant.deactivate"]);
        for (const r of mine) {
            assert.equal(r.actor, "admin");
            assert.ok(Math.abs(Date.parse(r.at) - Date.now()) < 60000);
        }
        assert.deepEqual(mine.find((r) => r.action === "tenant.update").detail, { rate_limit: 5 });
        const text = JSON.stringify(data);
        assert.ok(!text.includes(made.api_key) && !text.includes(rotated.api_key));

        const rows = await gateway.sql("SELECT count(*) AS n FROM audit_log");
        assert.equal(rows[0].n, data.length);
        const cli = await runGateway(["tenant", "create", "by shell"], { env: { DATA_DIR: gateway.dataDir }, cwd: gateway.dataDir });
        assert.equal(cli.code, 0, cli.stderr);
        const [last] = (await admin("GET", "audit")).json.data;
        assert.equal(last.action, "tenant.create");
        assert.notEqual(last.actor, "admin");
    });

    test("pages go back in time", async (t) => {
        const { gateway } = await startWorld(t);
        for (let i = 0; i < 120; i++) await gateway.createTenant();
        const first = (await gateway.admin("GET", "audit")).json;
        assert.equal(first.data.length, 100);
        const second = (await gateway.admin("GET", `audit?before=${first.next_cursor}`)).json;
        assert.equal(second.data.length, 21);
        assert.equal(new Set([...first.data, ...second.data].map((r) => r.id)).size, 121);
    });
});
