import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { eventually, runGateway, startWorld } from "../support/harness.mjs";

const second = 1000;

describe("a key disabled anywhere is refused within a second", () => {
    test("by the admin API: at once, on every worker", async (t) => {
        const { gateway, tenant, chat } = await startWorld(t, { workers: 2 });
        for (let i = 0; i < 8; i++) assert.equal((await chat("hi", {}, { headers: { connection: "close" } })).status, 200);
        await gateway.admin("DELETE", `tenants/${tenant.tenant_id}/keys/${tenant.key_id}`);
        await eventually(
            async () => {
                const seen = await Promise.all(Array.from({ length: 8 }, () => chat("hi", {}, { headers: { connection: "close" } })));
                return seen.every((r) => r.status === 401);
            },
            "all workers to refuse",
            second,
        );
    });

    test("by the command line of another process", async (t) => {
        const { gateway, tenant, chat, key } = await startWorld(t);
        const cli = (...args) => runGateway(args, { env: { DATA_DIR: gateway.dataDir }, cwd: gateway.dataDir });
        assert.equal((await chat("hi")).status, 200);
        const revoked = await cli("key", "revoke", tenant.key_id);
        assert.equal(revoked.code, 0, revoked.stderr);
        await eventually(async () => (await chat("hi")).status === 401, "the running gateway to refuse", second);

        const made = await cli("tenant", "create", "from the shell", "--json");
        assert.equal(made.code, 0, made.stderr);
        const fresh = JSON.parse(made.stdout);
        const use = (k) => gateway.request(k, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "hi" }] });
        await eventually(async () => (await use(fresh.api_key)).status === 200, "the new key to be known", second);

        const more = JSON.parse((await cli("key", "create", fresh.tenant_id, "--json")).stdout);
        await eventually(async () => (await use(more.api_key)).status === 200, "one more key to be known", second);
        assert.ok(!(await cli("key", "list", fresh.tenant_id)).stdout.includes(more.api_key));
        assert.notEqual((await cli("key", "revoke", "no-such-key")).code, 0);
        assert.ok(key);
    });
});
