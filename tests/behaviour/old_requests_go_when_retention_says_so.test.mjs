// RETENTION deletes the rows of old requests and nothing else: sums stay, younger rows stay, and without it all stay.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";

import { eventually, startGateway, startSim } from "../support/harness.mjs";
import { question } from "../support/process.mjs";

const file = (sim, more = "") => `
providers:
  local: {dialect: openai, base_url: "${sim.base}", passes_unknown: true}
${more}`;
const TWO_HOURS_OF_SEQ = `(7200000 << 20)`; // row numbers begin with the milliseconds of the request

test("rows older than RETENTION go, in steps, after a reload; sums and younger rows stay", async (t) => {
    const sim = await startSim(t);
    const gateway = await startGateway(t, { config: file(sim), env: { ENABLE_PROMPT_CACHE: "false" } });
    const { api_key: key, tenant_id: tenant } = await gateway.createTenant({ rate_limit: 1000000 });
    const ask = async () => {
        const r = await gateway.request(key, "/v1/chat/completions", question());
        assert.equal(r.status, 200, await r.text());
        return gateway.row(r);
    };
    const old = await ask();
    await ask();
    // One row becomes old, and 2,500 more are made of it: more than two steps.
    const columns = (await gateway.sql("SELECT name FROM pragma_table_info('requests_data')")).map((c) => c.name);
    const copied = columns.map((c) => (c === "seq" ? "seq - n" : c));
    await gateway.sql(
        `BEGIN IMMEDIATE; CREATE TEMP TABLE old AS SELECT seq FROM requests_rows WHERE id = '${old.id}';
         UPDATE requests_data SET seq = seq - ${TWO_HOURS_OF_SEQ} WHERE seq IN old;
         WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2500)
         INSERT INTO requests_data (${columns}) SELECT ${copied} FROM c, requests_data WHERE seq = (SELECT seq FROM requests_rows WHERE id = '${old.id}');
         COMMIT`,
    );
    const count = async () => (await gateway.sql("SELECT count(*) AS n FROM requests"))[0].n;
    const young = await ask();
    assert.equal(await count(), 2503, "nothing goes while RETENTION is not set");

    writeFileSync(gateway.configFile, file(sim, "journal: {retention: 1h}"));
    assert.equal((await gateway.admin("POST", "reload")).status, 200);
    await eventually(async () => (await count()) === 2, "the old rows to be deleted");
    assert.ok(await gateway.row(young.id));
    assert.equal((await gateway.admin("GET", `requests/${old.id}`)).status, 404);
    const usage = await gateway.admin("GET", `tenants/${tenant}/usage`);
    assert.equal(usage.json.usage_by_provider[0].requests, 3, "sums stay");
});
