// METRICS_LISTEN and ADMIN_LISTEN take those endpoints off the main port.
import assert from "node:assert/strict";
import { test } from "node:test";

import { adminKey, freePort, startGateway, startSim } from "../support/harness.mjs";
import { question } from "../support/process.mjs";

test("moved endpoints are there and only there", async (t) => {
    const sim = await startSim(t);
    const [metrics, admin] = [await freePort(), await freePort()];
    const gateway = await startGateway(t, { sim, workers: 2, env: { METRICS_LISTEN: `127.0.0.1:${metrics}`, ADMIN_LISTEN: `127.0.0.1:${admin}` } });
    const get = (port, where) => fetch(`http://127.0.0.1:${port}${where}`, { headers: { authorization: `Bearer ${adminKey}` } });
    assert.equal((await get(gateway.port, "/metrics")).status, 404);
    assert.equal((await get(gateway.port, "/api/v1/admin/tenants")).status, 404);
    assert.equal((await get(metrics, "/metrics")).status, 200);
    assert.equal((await get(metrics, "/api/v1/admin/tenants")).status, 404);
    assert.equal((await get(metrics, "/v1/models")).status, 404);
    assert.equal((await get(admin, "/api/v1/admin/tenants")).status, 200);
    assert.equal((await get(admin, "/metrics")).status, 404);
    assert.equal((await get(admin, "/v1/models")).status, 404);
    assert.equal((await fetch(`http://127.0.0.1:${admin}/api/v1/admin/tenants`)).status, 401, "still with its key");
    for (const port of [gateway.port, metrics, admin]) {
        assert.equal((await get(port, "/health")).status, 200);
        assert.equal((await get(port, "/health/ready")).status, 200);
    }
    const r = await fetch(`http://127.0.0.1:${admin}/api/v1/admin/tenants`, { method: "POST", headers: { authorization: `Bearer ${adminKey}` }, body: JSON.stringify({ name: "n" }) });
    assert.equal(r.status, 201);
    const { api_key: key } = await r.json();
    assert.equal((await gateway.request(key, "/v1/chat/completions", question())).status, 200);
    assert.match(await (await get(metrics, "/metrics")).text(), /llm_gateway_requests_total\{[^}]*provider="local"/);
});
