// 64 connections on two workers for longer than a window: no sliding 60 s holds more than 100 admissions, all the rest are 429,
// and Retry-After tells the truth. Two windows pass in 130 s.
import assert from "node:assert/strict";
import { test } from "node:test";

import { startGateway, startSim } from "../support/harness.mjs";
import { ask, crowd, mostWithin } from "../support/witness.mjs";
import { question } from "../support/process.mjs";

const SECONDS = Number(process.env.EXACT_SECONDS ?? 130);
const LIMIT = 100;
const WINDOW_MS = 60000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test(`rate_limit ${LIMIT} under 64 connections and 2 workers for ${SECONDS} s`, { timeout: (SECONDS + 60) * 1000 }, async (t) => {
    const sim = await startSim(t);
    const gateway = await startGateway(t, { sim, workers: 2, env: { LOG_REQUESTS: "false", DRAIN_DELAY: "0" } });
    const tenant = await gateway.createTenant({ rate_limit: LIMIT });
    const quiet = await gateway.createTenant({ rate_limit: 3 });
    const end = Date.now() + SECONDS * 1000;

    // Of a tenant of its own, so that nobody else takes the room: Retry-After is when the next one passes.
    const sample = async () => {
        const answers = [];
        for (let i = 0; i < 4; i++) answers.push(await ask(gateway.port, quiet.api_key, question()));
        assert.deepEqual(answers.map((a) => a.status), [200, 200, 200, 429]);
        const refused = answers[3];
        const seconds = Number(refused.headers["retry-after"]);
        assert.ok(seconds >= 58 && seconds <= 61, `retry-after ${seconds}`);
        assert.equal(refused.headers["x-llm-gateway-limit"], "requests_per_minute");
        assert.ok(Math.abs(Number(refused.headers["retry-after-ms"]) - seconds * 1000) <= 1000);
        const due = refused.doneAt + seconds * 1000;
        await pause(refused.doneAt + seconds * 1000 - 2500 - Date.now());
        assert.equal((await ask(gateway.port, quiet.api_key, question())).status, 429, "not long before that");
        await pause(due - Date.now());
        assert.equal((await ask(gateway.port, quiet.api_key, question())).status, 200, "but then");
    };
    const load = crowd(gateway.port, tenant.api_key, 64, () => question(), () => Date.now() > end, () => pause(100));
    const [answers] = await Promise.all([load, sample()]);

    const admitted = answers.filter((a) => a.status === 200);
    const refused = answers.filter((a) => a.status === 429);
    assert.equal(admitted.length + refused.length, answers.length, "nothing but 200 and 429");
    for (const a of refused) {
        const seconds = Number(a.headers["retry-after"]);
        assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 61, `retry-after ${seconds}`);
    }
    // What the clients can prove: an admission lies between sending and receiving.
    assert.ok(mostWithin(admitted.map((a) => a.doneAt), WINDOW_MS - Math.max(...admitted.map((a) => a.doneAt - a.sentAt))) <= LIMIT);
    const windows = Math.ceil((SECONDS * 1000) / (WINDOW_MS + 1000));
    assert.ok(admitted.length >= LIMIT * windows * 0.98, `${admitted.length} of ${LIMIT * windows} are used`);
    assert.ok(admitted.length <= LIMIT * Math.ceil((SECONDS * 1000) / WINDOW_MS));

    await gateway.stop();
    const rows = await gateway.sql(`SELECT status, count, created_at FROM requests WHERE tenant_id = '${tenant.tenant_id}'`);
    const times = rows.filter((r) => r.status === "success").map((r) => Date.parse(`${r.created_at.replace(" ", "T").slice(0, 23)}Z`));
    assert.equal(times.length, admitted.length);
    const most = mostWithin(times, WINDOW_MS);
    assert.equal(most, LIMIT, "the fullest 60 s of the gateway's own times");
    assert.equal(rows.filter((r) => r.status === "refused").reduce((n, r) => n + r.count, 0), refused.length, "refusals are counted");
    t.diagnostic(`${admitted.length} admitted, ${refused.length} refused in ${SECONDS} s; at most ${most} in any 60 s`);
});
