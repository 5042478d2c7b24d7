import assert from "node:assert/strict";
import { test } from "node:test";

import { startWorld, sumMetric } from "../support/harness.mjs";

test("a revoked key stays revoked when it is rotated, and an expiry is not put off", async (t) => {
    const { gateway, tenant } = await startWorld(t);
    const keys = `tenants/${tenant.tenant_id}/keys`;
    const make = async (fields) => (await gateway.admin("POST", keys, { name: "k", ...fields })).json;
    const rotate = (k) => gateway.admin("POST", `${keys}/${k.key_id}/rotate`, { overlap_seconds: 3600 });
    const status = async (k) => (await gateway.request(k.api_key, "/v1/models")).status;

    const revoked = await make({});
    assert.equal((await gateway.admin("DELETE", `${keys}/${revoked.key_id}`)).status, 200);
    assert.equal((await rotate(revoked)).status, 201);
    assert.equal(await status(revoked), 401);

    const expired = await make({ expires_at: 1000000000 });
    assert.equal(await status(expired), 401);
    assert.equal((await rotate(expired)).status, 201);
    assert.equal(await status(expired), 401);

    const running = await make({});
    assert.equal((await rotate(running)).status, 201);
    assert.equal(await status(running), 200, "within the overlap");
});

test("a model that is not listed is no failed authentication", async (t) => {
    const { gateway, key } = await startWorld(t);
    const failures = async () => sumMetric(await (await fetch(`${gateway.origin}/metrics`)).text(), "llm_gateway_auth_failures_total");
    assert.equal((await gateway.request(key, "/v1/models/nobody-has-it")).status, 404);
    assert.equal(await failures(), 0);
    assert.equal((await gateway.request("wrong", "/v1/models/nobody-has-it")).status, 401);
    assert.equal(await failures(), 1);
});
