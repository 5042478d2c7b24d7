// Somebody else writes to the database file for a while: requests never wait for SQL; their rows come when it is free.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { eventually, startGateway, startSim } from "../support/harness.mjs";
import { question } from "../support/process.mjs";

test("a database that another process has locked", async (t) => {
    const sim = await startSim(t);
    const gateway = await startGateway(t, { sim, workers: 2, env: { ENABLE_PROMPT_CACHE: "false", DRAIN_DELAY: "0" } });
    const { api_key: key } = await gateway.createTenant({ rate_limit: 1000000 });
    const file = path.join(gateway.dataDir, readdirSync(gateway.dataDir).find((name) => name.endsWith(".db")));

    const holder = spawn("sqlite3", [file], { stdio: ["pipe", "pipe", "inherit"] });
    t.after(() => holder.kill("SIGKILL"));
    holder.stdin.write(".timeout 5000\nBEGIN IMMEDIATE;\nSELECT 'locked';\n");
    const [said] = await once(holder.stdout, "data");
    assert.match(String(said), /locked/);

    const N = 200;
    for (let i = 0; i < N; i++) {
        const r = await gateway.request(key, "/v1/chat/completions", question("m", { stream: i % 2 === 0 }));
        assert.equal(r.status, 200);
        await r.text();
    }
    assert.equal((await gateway.sql("SELECT count(*) AS n FROM requests"))[0].n, 0, "none can be written yet");
    await eventually(async () => (await gateway.metric("llm_gateway_journal_pending_records")) >= N, "the journal to hold them");
    assert.equal((await fetch(`${gateway.origin}/health/ready`)).status, 200);

    holder.stdin.end("COMMIT;\n");
    await once(holder, "close");
    await eventually(async () => (await gateway.sql("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM requests"))[0].n === N, "the rows");
    assert.deepEqual(await gateway.stop(), { code: 0, signal: null });
    assert.deepEqual(await gateway.sql("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM requests"), [{ n: N, ids: N }]);
});
