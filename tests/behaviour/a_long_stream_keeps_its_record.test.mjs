// A stream that outlives many journal segments: its open record is carried along while they are recycled.
import assert from "node:assert/strict";
import { test } from "node:test";

import { RawClient, eventually, startGateway, startSim } from "../support/harness.mjs";
import { question, rawRequest } from "../support/process.mjs";

for (const end of ["finishes", "is killed with the process"]) {
    test(`a stream longer than its segment's life has one row when it ${end}`, async (t) => {
        const sim = await startSim(t);
        await sim.script([{ model: "gpt-4o", times: 0, tokens: 3, stall_at: "c2" }]);
        let gateway = await startGateway(t, {
            env: { OPENAI_API_KEY: "sk-test", OPENAI_UPSTREAM_URL: sim.base, JOURNAL_SEGMENT: "64KiB", JOURNAL_SEGMENTS_MAX: "4", DRAIN_DELAY: "0", ENABLE_PROMPT_CACHE: "false", UPSTREAM_IDLE_TIMEOUT: "100s", LOG_REQUESTS: "false" },
        });
        const { api_key: key } = await gateway.createTenant({ rate_limit: 100000000 });
        const stream = await RawClient.connect(gateway.port);
        t.after(() => stream.close());
        await stream.send(rawRequest(key, question("gpt-4o", { stream: true, max_tokens: 50 })));
        await stream.until((text) => text.includes("data: "));
        const id = stream.text.match(/x-request-id: (\S+)/i)[1];

        const N = 3000; // a record is a few hundred bytes: more than ten times what four segments hold
        await Promise.all(Array.from({ length: 16 }, async (_, c) => {
            const client = await RawClient.connect(gateway.port);
            t.after(() => client.close());
            for (let i = c; i < N; i += 16) {
                await client.send(rawRequest(key, question("gpt-4o-mini", { max_tokens: 50 })));
                let r = await client.response();
                // Four segments of 64 KiB are full in a few milliseconds: on a busy disk a request may find none, and is told so.
                for (let again = 0; r.status === 503 && again < 200; again++) {
                    assert.match(r.body.toString(), /journal has no room/);
                    await new Promise((resolve) => setTimeout(resolve, 10));
                    await client.send(rawRequest(key, question("gpt-4o-mini", { max_tokens: 50 })));
                    r = await client.response();
                }
                assert.equal(r.status, 200, r.body.toString());
            }
        }));
        await eventually(async () => (await gateway.sql("SELECT count(*) AS n FROM requests"))[0].n >= N, "the rows of the short ones");
        assert.equal((await gateway.sql(`SELECT count(*) AS n FROM requests WHERE id = '${id}'`))[0].n, 0, "not yet");

        if (end === "finishes") {
            stream.close();
        } else {
            await gateway.kill();
            gateway = await gateway.again();
        }
        const [row] = await eventually(async () => {
            const rows = await gateway.sql(`SELECT status, cost_nusd, reserved_nusd FROM requests WHERE id = '${id}'`);
            return rows.length > 0 && rows;
        }, "the stream's row");
        assert.equal(row.status, end === "finishes" ? "client_gone" : "crashed");
        if (end !== "finishes") assert.ok(row.cost_nusd === row.reserved_nusd && row.cost_nusd > 0);
        await gateway.stop();
        assert.deepEqual(await gateway.sql("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM requests"), [{ n: N + 1, ids: N + 1 }]);
    });
}
