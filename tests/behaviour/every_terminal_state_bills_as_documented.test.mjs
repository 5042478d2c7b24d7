// The rows of docs/terminal-states.md; `crashed` has a test of its own, which kills the process.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import { RawClient, eventually, root, sql, sse, startWorld } from "../support/harness.mjs";

const IN_NUSD = 150; // gpt-4o-mini, a token
const OUT_NUSD = 600;

const open = async (t, options = {}) => {
    const world = await startWorld(t, { priced: true, tenant: { monthly_budget: 1, rate_limit: 1000, ...options.tenant }, env: { MAX_ATTEMPTS: "1", ...options.env } });
    /** What the key's tenant has spent and reserved, in nano-USD, and requests counted in the last minute. */
    world.limits = async () => {
        const { json } = await world.gateway.admin("GET", `explain?key=${world.tenant.key_id}&model=gpt-4o-mini`);
        const mine = json.limits.find((l) => l.kind === "tenant");
        const { spent, reserved } = mine.monthly_budget;
        return { spent: Math.round(spent * 1e9), reserved: Math.round(reserved * 1e9), rate: mine.rate_limit.used };
    };
    return world;
};

describe("every terminal state bills as documented", () => {
    test("the table names the states that are tested here, and crashed", () => {
        const table = readFileSync(path.join(root, "docs/terminal-states.md"), "utf8");
        assert.deepEqual([...table.matchAll(/^\| `(\w+)` \|/gm)].map((m) => m[1]), ["success", "cached", "error", "refused", "client_gone", "upstream_cut", "crashed"]);
    });

    test("success: tokens as reported, usage x price, the reservation is replaced by the cost", async (t) => {
        const { gateway, chat, limits } = await open(t);
        const row = await gateway.row(await chat("hello there"));
        const cost = 5 * IN_NUSD + 4 * OUT_NUSD;
        assert.deepEqual([row.status, row.provider, row.prompt_tokens, row.completion_tokens, row.estimated, row.cost_nusd], ["success", "openai", 5, 4, 0, cost]);
        assert.ok(row.reserved_nusd >= cost);
        assert.equal(row.cost, cost / 1e9);
        assert.deepEqual(await limits(), { spent: cost, reserved: 0, rate: 1 });
    });

    test("success: cached and reasoning tokens have their own prices and columns", async (t) => {
        const { gateway, chat } = await open(t);
        const row = await gateway.row(await chat("sim:prompt_tokens=1000;cached_tokens=600;completion_tokens=50;reasoning_tokens=20"));
        assert.deepEqual([row.prompt_tokens, row.cache_read_tokens, row.completion_tokens, row.reasoning_tokens], [1000, 600, 50, 20]);
        assert.equal(row.cost_nusd, 400 * IN_NUSD + 600 * 75 + 50 * OUT_NUSD);
    });

    test("success without reported usage: counted by us and estimated", async (t) => {
        const { gateway, chat, limits } = await open(t);
        const answer = await chat("sim:usage=none;tokens=10;token_bytes=8", { stream: true });
        await answer.text();
        const row = await gateway.row(answer);
        assert.deepEqual([row.status, row.estimated], ["success", 1]);
        assert.ok(row.prompt_tokens > 0);
        assert.equal(row.completion_tokens, (10 * 8) / 4);
        assert.equal(row.cost_nusd, row.prompt_tokens * IN_NUSD + row.completion_tokens * OUT_NUSD);
        assert.deepEqual(await limits(), { spent: row.cost_nusd, reserved: 0, rate: 1 });
    });

    test("cached: the original's tokens, cost 0, saved the original's cost; the rate counts, the budget does not", async (t) => {
        const { gateway, chat, limits, sim } = await open(t);
        const first = await gateway.row(await chat("hello there", { temperature: 0 }));
        const row = await gateway.row(await chat("hello there", { temperature: 0 }));
        assert.deepEqual([row.status, row.provider, row.cache_hit, row.prompt_tokens, row.completion_tokens], ["cached", "cached", 1, 5, 4]);
        assert.deepEqual([row.cost_nusd, row.saved_nusd], [0, first.cost_nusd]);
        assert.deepEqual(await limits(), { spent: first.cost_nusd, reserved: 0, rate: 2 });
        assert.equal((await sim.requests()).length, 1);
    });

    for (const stream of [false, true]) {
        test(`cached: an identical request in flight, ${stream ? "streamed" : "whole"}`, async (t) => {
            const { gateway, chat, limits, sim } = await open(t);
            const ask = () => chat("sim:body_delay=300ms;tokens=4", { temperature: 0, stream });
            const leading = ask();
            await eventually(async () => (await sim.requests()).length === 1, "the first request to reach the provider");
            const answers = await Promise.all([leading, ask(), ask()]);
            const texts = await Promise.all(answers.map((a) => a.text()));
            assert.deepEqual(new Set(texts.map((x) => x.replace(/"created":\d+/g, ""))).size, 1);
            const rows = await Promise.all(answers.map((a) => gateway.row(a)));
            assert.deepEqual(rows.map((r) => r.status), ["success", "cached", "cached"]);
            assert.deepEqual(rows.map((r) => r.provider), ["openai", "cached", "cached"]);
            assert.deepEqual(rows.map((r) => r.total_tokens), [rows[0].total_tokens, rows[0].total_tokens, rows[0].total_tokens]);
            assert.deepEqual(rows.map((r) => [r.cost_nusd, r.saved_nusd]), [[rows[0].cost_nusd, 0], [0, rows[0].cost_nusd], [0, rows[0].cost_nusd]]);
            assert.equal((await sim.requests()).length, 1);
            assert.deepEqual(await limits(), { spent: rows[0].cost_nusd, reserved: 0, rate: 3 });
        });
    }

    test("error: a bad request and an unknown model cost nothing and are not admitted", async (t) => {
        const { gateway, post, limits } = await open(t);
        for (const [body, status] of [["{", 400], [{ model: "gpt-4o-mimi", messages: [{ role: "user", content: "x" }] }, 404]]) {
            const row = await gateway.row(await post("/v1/chat/completions", body));
            assert.deepEqual([row.status, row.http_status, row.total_tokens, row.cost_nusd], ["error", status, 0, 0]);
            assert.ok(row.error_message.length > 0);
        }
        assert.deepEqual(await limits(), { spent: 0, reserved: 0, rate: 0 });
    });

    test("error: the provider blamed the client, or every target failed: the reservation is released", async (t) => {
        const { gateway, chat, limits } = await open(t);
        for (const status of [400, 500]) {
            const row = await gateway.row(await chat(`sim:status=${status}`));
            assert.deepEqual([row.status, row.http_status, row.total_tokens, row.cost_nusd], ["error", status, 0, 0]);
        }
        assert.deepEqual(await limits(), { spent: 0, reserved: 0, rate: 2 });
    });

    test("error: an attempt that was fully sent and then given up costs its input, estimated", async (t) => {
        const { gateway, chat, limits } = await open(t, { env: { UPSTREAM_FIRST_BYTE_TIMEOUT: "100ms" } });
        const row = await gateway.row(await chat("sim:delay=3600s"));
        assert.deepEqual([row.status, row.http_status, row.estimated, row.completion_tokens], ["error", 504, 1, 0]);
        assert.ok(row.prompt_tokens > 0);
        assert.equal(row.cost_nusd, row.prompt_tokens * IN_NUSD);
        assert.deepEqual(await limits(), { spent: row.cost_nusd, reserved: 0, rate: 1 });
    });

    test("refused: one row per key, reason and minute with a count; nothing is taken", async (t) => {
        const { gateway, tenant, chat, limits } = await open(t, { tenant: { rate_limit: 2 } });
        const poor = await gateway.createTenant({ monthly_budget: 0 });
        await chat("1");
        await chat("2");
        for (let i = 0; i < 5; i++) assert.equal((await chat("3")).status, 429);
        for (let i = 0; i < 3; i++) {
            const r = await gateway.request(poor.api_key, "/v1/chat/completions", { model: "gpt-4o-mini", messages: [{ role: "user", content: "x" }] });
            assert.equal(r.status, 429);
        }
        assert.equal((await limits()).rate, 2);
        await gateway.stop("SIGTERM"); // what is being counted is written at the end of the minute, or now
        const rows = await sql(gateway.dataDir, "SELECT tenant_id, sum(count) AS n, count(*) AS rows, max(cost_nusd) AS cost, max(total_tokens) AS tokens, min(reason) AS reason FROM requests WHERE status = 'refused' GROUP BY tenant_id, reason");
        const of = (id) => rows.filter((r) => r.tenant_id === id);
        assert.equal(of(tenant.tenant_id).length, 1);
        assert.deepEqual([of(tenant.tenant_id)[0].n, of(poor.tenant_id)[0].n], [5, 3]);
        for (const row of rows) {
            assert.ok(row.rows <= 2, "a minute may have ended in between");
            assert.deepEqual([row.cost, row.tokens], [0, 0]);
        }
        assert.match(of(tenant.tenant_id)[0].reason, /requests/);
        assert.match(of(poor.tenant_id)[0].reason, /month/);
    });

    test("client_gone: what was relayed, counted by us; the reservation is replaced by the cost", async (t) => {
        const { gateway, key, limits, sim } = await open(t);
        const body = JSON.stringify({ model: "gpt-4o-mini", stream: true, messages: [{ role: "user", content: "sim:tokens=8;token_bytes=20;stall_at=c5" }] });
        const raw = await RawClient.connect(gateway.port);
        await raw.send(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
        await raw.until((text) => (text.match(/"content":"[^"]/g) ?? []).length >= 4);
        const id = raw.text.match(/x-request-id: (\S+)/)[1];
        raw.close();
        const row = await gateway.row(id);
        assert.deepEqual([row.status, row.estimated, row.completion_tokens], ["client_gone", 1, (4 * 20) / 4]);
        assert.equal(row.cost_nusd, row.prompt_tokens * IN_NUSD + row.completion_tokens * OUT_NUSD);
        assert.deepEqual(await limits(), { spent: row.cost_nusd, reserved: 0, rate: 1 });
        await eventually(async () => (await sim.requests())[0].client_gone, "the upstream call to be cancelled");
    });

    test("client_gone: a usage that was reported before is booked as it is", async (t) => {
        const { gateway, key } = await open(t);
        const body = JSON.stringify({ model: "gpt-4o-mini", stream: true, messages: [{ role: "user", content: "sim:tokens=8;usage=every;prompt_tokens=70;completion_tokens=30;stall_at=c5" }] });
        const raw = await RawClient.connect(gateway.port);
        await raw.send(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
        await raw.until((text) => (text.match(/"content":"[^"]/g) ?? []).length >= 4);
        raw.close();
        const row = await gateway.row(raw.text.match(/x-request-id: (\S+)/)[1]);
        assert.deepEqual([row.status, row.estimated, row.prompt_tokens], ["client_gone", 0, 70]);
    });

    test("upstream_cut: as client_gone, and the client got an error event", async (t) => {
        const { gateway, chat, limits } = await open(t);
        const answer = await chat("sim:tokens=8;token_bytes=20;close_at=c5", { stream: true });
        const events = [];
        for await (const e of sse(answer)) events.push(e.data);
        assert.ok(JSON.parse(events.at(-1)).error);
        const row = await gateway.row(answer);
        assert.deepEqual([row.status, row.estimated, row.completion_tokens], ["upstream_cut", 1, (4 * 20) / 4]);
        assert.equal(row.cost_nusd, row.prompt_tokens * IN_NUSD + row.completion_tokens * OUT_NUSD);
        assert.deepEqual(await limits(), { spent: row.cost_nusd, reserved: 0, rate: 1 });
    });

    test("a request without a valid key leaves no row", async (t) => {
        const { gateway, chat } = await open(t);
        const r = await gateway.request("sk-unknown", "/v1/chat/completions", { model: "gpt-4o-mini", messages: [] });
        assert.equal(r.status, 401);
        await gateway.row(await chat("afterwards"));
        assert.equal((await gateway.sql("SELECT count(*) AS n FROM requests"))[0].n, 1);
        assert.equal(await gateway.metric("llm_gateway_auth_failures_total"), 1);
    });
});
