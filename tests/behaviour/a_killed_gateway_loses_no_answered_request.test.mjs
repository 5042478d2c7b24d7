// kill -9 under load, again and again on one data directory: whoever has the last byte finds exactly one row, whoever has a
// first byte exactly one, the others at most one; what a crash interrupted is billed by its reservation; the sums are of the rows.
import assert from "node:assert/strict";
import { test } from "node:test";

import { startGateway, startSim, tempDir } from "../support/harness.mjs";
import { crowd } from "../support/witness.mjs";

const KILLS = Number(process.env.KILLS ?? 20);
const CLIENTS = 8;

test(`kill -9 under load ${KILLS} times loses and doubles nothing`, { timeout: 180000 }, async (t) => {
    const sim = await startSim(t);
    // A price, so that a reservation is worth something: gpt-4o-mini of the catalogue.
    await sim.script([
        { model: "gpt-4o-mini", times: 0, tokens: 12, rate: "3ms" },
        { model: "gpt-4o", times: 0, tokens: 5, delay: "2ms" },
    ]);
    const dataDir = tempDir(t);
    const options = {
        dataDir,
        workers: 2,
        env: { OPENAI_API_KEY: "sk-test", OPENAI_UPSTREAM_URL: sim.base, DRAIN_DELAY: "0", JOURNAL_SEGMENT: "64KiB", ENABLE_PROMPT_CACHE: "false", LOG_REQUESTS: "false" },
    };
    let gateway = await startGateway(t, options);
    const tenant = await gateway.createTenant({ rate_limit: 100000000 });
    const seen = [];
    const body = (client, n) => ({
        model: (client + n) % 3 === 0 ? "gpt-4o" : "gpt-4o-mini",
        stream: (client + n) % 2 === 0,
        max_tokens: 100,
        messages: [{ role: "user", content: `client ${client}, request ${n}` }],
    });
    for (let kill = 0; kill < KILLS; kill++) {
        let isOver = false;
        const before = seen.length;
        const load = crowd(gateway.port, tenant.api_key, CLIENTS, body, () => isOver, (one) => void seen.push(one));
        const due = 20 + 17 * ((kill * 7) % KILLS); // different every time, without chance
        await new Promise((resolve) => setTimeout(resolve, due));
        const ended = gateway.kill();
        isOver = true;
        await ended;
        await load;
        assert.ok(seen.length > before, "there was load");
        gateway = await gateway.again();
    }
    const how = await gateway.stop("SIGTERM");
    assert.deepEqual(how, { code: 0, signal: null });

    const rows = await gateway.sql("SELECT id, status, cost_nusd, reserved_nusd, estimated, total_tokens, http_status FROM requests");
    const byId = new Map();
    for (const row of rows) {
        assert.ok(!byId.has(row.id), `two rows for ${row.id}`);
        byId.set(row.id, row);
    }
    const counts = { last: 0, first: 0, nothing: 0, crashed: 0 };
    for (const one of seen) {
        counts[one.got]++;
        if (one.got === "nothing") continue;
        assert.ok(one.id, "the head came with the first bytes");
        const row = byId.get(one.id);
        assert.ok(row, `no row for ${one.id}, of which the client has the ${one.got} byte`);
        if (one.got === "last") {
            assert.equal(one.status, 200);
            assert.equal(row.status, "success");
            assert.ok(row.cost_nusd > 0 && row.cost_nusd <= row.reserved_nusd);
        } else {
            assert.ok(["crashed", "success"].includes(row.status), row.status); // success: the last bytes died in the socket
        }
    }
    for (const row of rows) {
        if (row.status === "crashed") {
            counts.crashed++;
            assert.equal(row.cost_nusd, row.reserved_nusd, "billed by the reservation");
            assert.ok(row.reserved_nusd > 0);
            assert.equal(row.estimated, 1);
        }
    }
    const witnessed = counts.last + counts.first;
    assert.ok(rows.length >= witnessed && rows.length <= seen.length, `${rows.length} rows, ${witnessed} answers seen, ${seen.length} requests sent`);
    assert.ok(counts.last > 0 && counts.crashed > 0, "some were answered and some interrupted");

    const [sums] = await gateway.sql("SELECT count(*) AS n, sum(cost_nusd) AS cost, sum(total_tokens) AS tokens FROM requests WHERE status <> 'refused'");
    const [daily] = await gateway.sql("SELECT sum(requests) AS n, sum(cost_nusd) AS cost, sum(total_tokens) AS tokens FROM usage_daily");
    assert.deepEqual(daily, sums, "usage_daily is the sum of the rows");
    const [total] = await gateway.sql(`SELECT total_nusd AS cost FROM period_totals WHERE node_id = '${tenant.tenant_id}'`);
    assert.equal(total.cost, sums.cost, "so is what the tenant has spent");
    assert.deepEqual(await gateway.sql("SELECT * FROM requests_open"), []);
    t.diagnostic(`${KILLS} kills, ${seen.length} requests: ${JSON.stringify(counts)}, ${rows.length} rows`);
});
