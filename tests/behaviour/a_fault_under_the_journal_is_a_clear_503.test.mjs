// The mapped journal can vanish under us (a truncated file, a failed disk): SIGBUS. The gateway says so and refuses; it does not
// die, and it does not serve what it cannot record.
import assert from "node:assert/strict";
import { readdirSync, truncateSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { eventually, startGateway, startSim } from "../support/harness.mjs";
import { assertAlive, errorText, question } from "../support/process.mjs";

function files(dir) {
    return readdirSync(dir, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? files(path.join(dir, e.name)) : [path.join(dir, e.name)]));
}

test("a journal truncated under the running gateway", async (t) => {
    const sim = await startSim(t);
    const gateway = await startGateway(t, { sim, env: { ENABLE_PROMPT_CACHE: "false", DRAIN_DELAY: "0" } });
    const { api_key: key } = await gateway.createTenant({ rate_limit: 10000 });
    for (let i = 0; i < 5; i++) assert.equal((await gateway.request(key, "/v1/chat/completions", question())).status, 200);
    await eventually(async () => (await gateway.sql("SELECT count(*) AS n FROM requests"))[0].n === 5, "the rows");

    const segments = files(path.join(gateway.dataDir, "journal")).filter((f) => !f.endsWith("lock"));
    assert.ok(segments.length > 0);
    for (const file of segments) truncateSync(file, 0);

    const refused = await eventually(async () => {
        const r = await gateway.request(key, "/v1/chat/completions", question());
        const text = await r.text();
        return r.status === 503 && text;
    }, "a 503");
    assert.match(errorText(refused), /journal/);
    for (const [where, body] of [["/v1/chat/completions", question("m", { stream: true })], ["/api/v1/completions", question()], ["/v1/embeddings", { model: "m", input: "x" }]]) {
        const r = await gateway.request(key, where, body);
        assert.equal(r.status, 503, where);
        assert.match(errorText(await r.text()), /journal/);
    }
    const ready = await fetch(`${gateway.origin}/health/ready`);
    assert.equal(ready.status, 503);
    const state = await ready.json();
    assert.equal(state.status, "refusing");
    assert.ok(state.reasons.some((reason) => /journal/.test(reason)), JSON.stringify(state));
    await assertAlive(gateway);
    assert.equal((await gateway.admin("GET", "tenants")).status, 200, "the admin API goes on");
    assert.equal(await gateway.metric("llm_gateway_journal_failed"), 1);

    const pid = gateway.child.pid;
    assert.ok(pid > 0);
    await gateway.stop();
    const again = await gateway.again();
    assert.equal((await again.request(key, "/v1/chat/completions", question())).status, 200, "a restart helps");
    assert.equal((await again.sql("SELECT count(*) AS n FROM requests WHERE http_status = 200 AND status = 'success'"))[0].n >= 5, true);
});
