// Two gateways on one data directory would recover each other's journals and count limits twice.
import assert from "node:assert/strict";
import { test } from "node:test";

import { freePort, runGateway, startGateway, startSim } from "../support/harness.mjs";

test("the second process on a data directory refuses and names the first", async (t) => {
    const sim = await startSim(t);
    const gateway = await startGateway(t, { sim });
    const second = await runGateway([], { env: { ...gateway.env, PORT: String(await freePort()) }, cwd: gateway.dataDir });
    assert.equal(second.code, 1);
    assert.match(second.stderr, new RegExp(`\\b${gateway.child.pid}\\b`), second.stderr);
    assert.ok(second.stderr.includes(gateway.dataDir), second.stderr);
    const key = (await gateway.createTenant()).api_key;
    assert.equal((await gateway.request(key, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "x" }] })).status, 200);

    await gateway.kill(); // a lock of the dead does not last
    const third = await gateway.again();
    assert.equal((await third.request(key, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "x" }] })).status, 200);
});
