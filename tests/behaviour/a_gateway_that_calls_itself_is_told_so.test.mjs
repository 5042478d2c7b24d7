// A provider's base_url that points at the gateway, directly or through another one, would multiply every request for ever.
import assert from "node:assert/strict";
import { test } from "node:test";

import { freePort, startGateway } from "../support/harness.mjs";
import { assertAlive, errorText, question } from "../support/process.mjs";

test("a loop of one gateway is 508 after one turn", async (t) => {
    const port = await freePort();
    const gateway = await startGateway(t, { port, env: { LOCAL_BASE_URL: `http://127.0.0.1:${port}/v1` } });
    const { api_key: key } = await gateway.createTenant();
    for (const [where, body] of [["/v1/chat/completions", question()], ["/v1/chat/completions", question("m", { stream: true })], ["/v1/embeddings", { model: "m", input: "x" }]]) {
        const r = await gateway.request(key, where, body);
        assert.equal(r.status, 508, where);
        assert.match(errorText(await r.text()), /itself|base_url/);
    }
    const own = await gateway.request(key, "/api/v1/completions", question());
    assert.equal(own.status, 503);
    assert.match(errorText(await own.text()), /itself|base_url/);
    await assertAlive(gateway);
});

test("a loop of two gateways ends", async (t) => {
    const [a, b] = [await freePort(), await freePort()];
    // Keys are the gateways' own, so the second hop stops at authentication unless each is given the other's.
    const second = await startGateway(t, { port: b, env: { LOCAL_BASE_URL: `http://127.0.0.1:${a}/v1` } });
    const { api_key: keyOfSecond } = await second.createTenant();
    const first = await startGateway(t, { port: a, config: `providers:\n  next: {dialect: openai, base_url: "http://127.0.0.1:${b}/v1", keys: ["${keyOfSecond}"]}\n` });
    const { api_key: key } = await first.createTenant();
    const r = await first.request(key, "/v1/chat/completions", question("next/m"));
    assert.ok(r.status >= 400, `${r.status}`);
    errorText(await r.text());
    await assertAlive(first);
    await assertAlive(second);
});
