// SIGTERM: ready says 503 at once, requests are accepted for drain_delay, running ones finish, the journal is flushed, exit 0.
import assert from "node:assert/strict";
import { test } from "node:test";

import { RawClient, eventually, startGateway, startSim } from "../support/harness.mjs";
import { question, rawRequest } from "../support/process.mjs";

async function streaming(t, gateway, key, model) {
    const client = await RawClient.connect(gateway.port);
    t.after(() => client.close());
    await client.send(rawRequest(key, question(model, { stream: true })));
    await client.until((text) => text.includes("data: "));
    return client;
}
const isRefusing = async (gateway) => {
    try {
        await fetch(`${gateway.origin}/health`, { headers: { connection: "close" } });
        return false;
    } catch {
        return true;
    }
};

test("a running stream finishes, new requests pass during the delay, nothing is lost", async (t) => {
    const sim = await startSim(t);
    const gateway = await startGateway(t, { sim, workers: 2, env: { DRAIN_DELAY: "700ms", DRAIN: "20s", ENABLE_PROMPT_CACHE: "false" } });
    const { api_key: key } = await gateway.createTenant({ rate_limit: 1000 });
    const stream = await streaming(t, gateway, key, "m;tokens=40;rate=40ms");
    const idle = await RawClient.connect(gateway.port);
    t.after(() => idle.close());
    gateway.child.process.kill("SIGTERM");
    const ready = await eventually(async () => {
        const r = await fetch(`${gateway.origin}/health/ready`);
        return r.status === 503 && (await r.json());
    }, "ready to say 503");
    assert.equal(ready.status, "draining");
    const late = await gateway.request(key, "/v1/chat/completions", question());
    assert.equal(late.status, 200, "load balancers have not noticed yet");
    await late.text();
    await eventually(() => isRefusing(gateway), "the port to be closed");
    await eventually(() => idle.ended, "idle connections to be closed");
    const text = await stream.until((x) => x.includes("[DONE]"));
    assert.match(text, /data: \[DONE\]\n\n/);
    assert.deepEqual(await gateway.child.exited, { code: 0, signal: null });
    assert.deepEqual((await gateway.sql("SELECT status FROM requests")).map((r) => r.status), ["success", "success"]);
});

test("a second SIGTERM ends the delay, not the stream", async (t) => {
    const sim = await startSim(t);
    const gateway = await startGateway(t, { sim, env: { DRAIN_DELAY: "60s", DRAIN: "20s" } });
    const { api_key: key } = await gateway.createTenant({ rate_limit: 1000 });
    const stream = await streaming(t, gateway, key, "m;tokens=30;rate=30ms");
    gateway.child.process.kill("SIGTERM");
    await eventually(async () => (await fetch(`${gateway.origin}/health/ready`)).status === 503, "ready to say 503");
    gateway.child.process.kill("SIGTERM");
    await eventually(() => isRefusing(gateway), "the port to be closed long before the delay is over");
    assert.match(await stream.until((x) => x.includes("[DONE]")), /data: \[DONE\]\n\n/);
    assert.deepEqual(await gateway.child.exited, { code: 0, signal: null });
});

test("what does not finish in time is cut with an error event and billed", async (t) => {
    const sim = await startSim(t);
    const gateway = await startGateway(t, { sim, env: { DRAIN_DELAY: "0", DRAIN: "300ms" } });
    const { api_key: key } = await gateway.createTenant({ rate_limit: 1000 });
    const stream = await streaming(t, gateway, key, "m;tokens=1000;rate=50ms");
    gateway.child.process.kill("SIGTERM");
    const text = await stream.readAll();
    assert.ok(!text.includes("[DONE]"), "not as if it were whole");
    assert.match(text, /data: \{"error":/);
    assert.deepEqual(await gateway.child.exited, { code: 0, signal: null });
    const rows = await gateway.sql("SELECT status, completion_tokens, estimated FROM requests");
    assert.equal(rows.length, 1);
    assert.notEqual(rows[0].status, "success");
    assert.ok(rows[0].completion_tokens > 0 && rows[0].estimated === 1, JSON.stringify(rows));
});
