// No space left: requests go on while the journal's segments last, then they are refused with a reason; when there is space
// again everything is written, nothing twice.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { eventually, startGateway, startSim, tempDir } from "../support/harness.mjs";
import { assertAlive, errorText, question } from "../support/process.mjs";

function fill(file) {
    const fd = openSync(file, "w");
    for (let size = 65536; size >= 1; ) {
        try {
            if (writeSync(fd, Buffer.alloc(size)) < size) size >>= 1;
        } catch (error) {
            assert.equal(error.code, "ENOSPC");
            size >>= 1;
        }
    }
    closeSync(fd);
}

test("a disk that fills up and is cleared again", async (t) => {
    const dir = tempDir();
    try {
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", dir], { stdio: "pipe" });
    } catch (error) {
        rmSync(dir, { recursive: true });
        t.skip(`a file system of its own cannot be mounted here: ${String(error.stderr).trim()}`);
        return;
    }
    let gateway;
    t.after(async () => {
        await gateway?.kill();
        execFileSync("umount", [dir]);
        rmSync(dir, { recursive: true, force: true });
    });
    const sim = await startSim(t);
    gateway = await startGateway(t, { sim, dataDir: dir, env: { JOURNAL_SEGMENT: "64KiB", ENABLE_PROMPT_CACHE: "false", LOG_REQUESTS: "false", DRAIN_DELAY: "0" } });
    const { api_key: key } = await gateway.createTenant({ rate_limit: 1000000 });
    const ids = [];
    const ask = async () => {
        const r = await gateway.request(key, "/v1/chat/completions", question());
        const text = await r.text();
        if (r.status === 200) ids.push(r.headers.get("x-request-id"));
        return { status: r.status, text };
    };
    for (let i = 0; i < 20; i++) assert.equal((await ask()).status, 200);

    const filler = path.join(dir, "filler");
    fill(filler);
    let refused;
    let served = 0;
    let degraded = false;
    for (let i = 0; i < 20000 && !refused; i++) {
        const r = await ask();
        if (r.status === 200) served++;
        else refused = r;
        if (i % 20 === 0) {
            const ready = await fetch(`${gateway.origin}/health/ready`);
            const state = await ready.json();
            if (state.status === "degraded") {
                assert.equal(ready.status, 200);
                assert.ok(state.reasons.length > 0);
                degraded = true;
            }
        }
    }
    assert.ok(served > 0, "served while segments lasted");
    assert.ok(refused, "refused when they were used up");
    assert.equal(refused.status, 503, refused.text);
    assert.match(errorText(refused.text), /journal/);
    await assertAlive(gateway);
    const ready = await eventually(async () => {
        const r = await fetch(`${gateway.origin}/health/ready`);
        const state = await r.json();
        return state.status !== "ready" && { status: r.status, ...state };
    }, "ready to say it");
    assert.ok(degraded || ready.status === 503 || ready.reasons.length > 0, JSON.stringify(ready));

    rmSync(filler);
    await eventually(async () => (await ask()).status === 200, "service after space returned", 60000);
    await eventually(async () => (await (await fetch(`${gateway.origin}/health/ready`)).json()).status === "ready", "ready to be ready", 60000);
    assert.deepEqual(await gateway.stop(), { code: 0, signal: null });
    const rows = (await gateway.sql("SELECT id FROM requests WHERE status = 'success'")).map((r) => r.id);
    assert.equal(new Set(rows).size, rows.length, "no row twice");
    assert.deepEqual(ids.filter((id) => !rows.includes(id)), [], "each answer has its row");
    t.diagnostic(`${served} requests were served after the disk was full; ${rows.length} rows in the end`);
});
