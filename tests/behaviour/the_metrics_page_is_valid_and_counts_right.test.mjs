import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import { RawClient, eventually, root, startWorld } from "../support/harness.mjs";

/** The text format 0.0.4, read strictly; returns Map of family -> {type, help, samples: [{name, labels, value}]}. */
function parsePage(text) {
    assert.ok(text.endsWith("\n"));
    const families = new Map();
    const seen = new Set();
    let current;
    for (const line of text.slice(0, -1).split("\n")) {
        let m;
        if ((m = line.match(/^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/))) {
            assert.ok(!families.has(m[1]), `HELP ${m[1]} twice`);
            families.set(m[1], (current = { name: m[1], help: m[2], samples: [] }));
        } else if ((m = line.match(/^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$/))) {
            assert.equal(m[1], current?.name, "TYPE follows its HELP");
            assert.equal(current.type, undefined);
            current.type = m[2];
        } else {
            m = line.match(/^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?)|\+Inf|NaN)$/);
            assert.ok(m, `not a sample: ${line}`);
            const labels = Object.fromEntries([...(m[2] ?? "").matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)].map((l) => [l[1], l[2]]));
            const base = current.type === "histogram" ? m[1].replace(/_(bucket|sum|count)$/, "") : m[1];
            assert.equal(base, current.name, "samples stand with their family");
            const series = m[1] + JSON.stringify(Object.entries(labels).sort());
            assert.ok(!seen.has(series), `${series} twice`);
            seen.add(series);
            current.samples.push({ name: m[1], labels, value: Number(m[3].replace("+Inf", "Infinity")) });
        }
    }
    return families;
}

function assertHistogram(family) {
    const series = new Map();
    for (const s of family.samples) {
        const { le, ...rest } = s.labels;
        const key = JSON.stringify(rest);
        const h = series.get(key) ?? series.set(key, { buckets: [] }).get(key);
        if (s.name.endsWith("_bucket")) h.buckets.push([Number(le.replace("+Inf", "Infinity")), s.value]);
        else h[s.name.match(/_(sum|count)$/)[1]] = s.value;
    }
    for (const h of series.values()) {
        assert.deepEqual(h.buckets, [...h.buckets].sort((a, b) => a[0] - b[0]));
        h.buckets.forEach(([, v], i) => assert.ok(i === 0 || v >= h.buckets[i - 1][1], "buckets are cumulative"));
        assert.equal(h.buckets.at(-1)[0], Infinity);
        assert.equal(h.buckets.at(-1)[1], h.count);
        assert.ok(h.sum >= 0);
    }
}

describe("the metrics page is valid and counts right", () => {
    test("every family of the table is there, well formed", async (t) => {
        const { gateway, chat } = await startWorld(t, { priced: true });
        await chat("hi");
        const r = await fetch(`${gateway.origin}/metrics`);
        assert.equal(r.status, 200);
        assert.equal(r.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        const families = parsePage(await r.text());
        const rows = readFileSync(path.join(root, "src/core/metrics.def"), "utf8").matchAll(/^METRIC\(\w+,\s+(\w+),\s+\w+,\s+"(\w+)",\s+"([^"]*)"/gm);
        const table = new Map([...rows].map(([, kind, name, labels]) => [name.startsWith("process_") ? name : `llm_gateway_${name}`, { kind: kind.toLowerCase(), labels }]));
        assert.ok(table.size > 20);
        for (const [name, { labels }] of table) assert.ok(labels !== "" || families.has(name), `${name} is always there`);
        for (const [name, family] of families) {
            assert.equal(family.type, table.get(name)?.kind, name);
            assert.ok(family.help.length > 5);
            if (family.type === "histogram") assertHistogram(family);
            const { le, ...labels } = family.samples[0].labels;
            assert.deepEqual(Object.keys(labels).join(","), table.get(name).labels);
        }
        for (const name of ["requests_total", "tokens_total", "cost_total", "request_duration_seconds", "time_to_first_token_seconds", "overhead_seconds"]) assert.ok(families.has(`llm_gateway_${name}`), name);
    });

    test("requests, tokens, cost, hits, refusals, attempts and strangers are counted", async (t) => {
        const { gateway, tenant, chat, key, sim } = await startWorld(t, { priced: true, tenant: { rate_limit: 6 }, env: { MAX_ATTEMPTS: "1" } });
        const id = tenant.tenant_id;
        await chat("hello there", { temperature: 0 }); // success: 5 + 4 tokens
        await chat("hello there", { temperature: 0 }); // cached
        await (await chat("hello there", { stream: true })).text(); // success: 5 + 4
        await chat("sim:status=400"); // error
        await (await chat("sim:tokens=4;close_at=c3", { stream: true })).text(); // upstream_cut
        const body = JSON.stringify({ model: "gpt-4o-mini", stream: true, messages: [{ role: "user", content: "sim:tokens=4;stall_at=c2" }] });
        const raw = await RawClient.connect(gateway.port);
        await raw.send(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
        await raw.until((text) => text.includes("data:"));
        assert.equal(await gateway.metric("llm_gateway_active_requests", { provider: "openai" }), 1);
        raw.close(); // client_gone
        for (let i = 0; i < 3; i++) assert.equal((await chat("over the limit")).status, 429); // refused
        await gateway.request("sk-wrong", "/v1/chat/completions", {});
        await fetch(`${gateway.origin}/v1/chat/completions`, { method: "POST", body: "{}" });

        const count = (name, labels) => gateway.metric(`llm_gateway_${name}`, labels);
        await eventually(async () => (await count("requests_total", { tenant_id: id, status: "client_gone" })) === 1, "the aborted request to be counted");
        const statuses = {};
        for (const status of ["success", "cached", "error", "upstream_cut", "client_gone", "refused"]) statuses[status] = await count("requests_total", { tenant_id: id, status });
        assert.deepEqual(statuses, { success: 2, cached: 1, error: 1, upstream_cut: 1, client_gone: 1, refused: 3 });
        assert.equal(await count("requests_total", { tenant_id: id, provider: "cached" }), 1);
        assert.equal(await count("cache_hits_total", { tenant_id: id }), 1);
        assert.equal(await count("rate_limit_exceeded_total", { tenant_id: id }), 3);
        assert.equal(await count("active_requests", { provider: "openai" }), 0);
        assert.equal(await count("upstream_attempts_total", { provider: "openai" }), (await sim.requests()).length);
        assert.equal(await count("request_duration_seconds_count", { provider: "openai" }), 5);
        assert.equal(await count("auth_failures_total", { reason: "invalid" }), 1);
        assert.equal(await count("auth_failures_total", { reason: "missing" }), 1);

        // The page and the ledger say the same.
        const rows = await gateway.rows(`tenant_id = '${id}' AND status NOT IN ('refused', 'cached')`, 5);
        const sum = (column) => rows.reduce((n, r) => n + r[column], 0);
        assert.equal(await count("tokens_total", { tenant_id: id, type: "prompt" }), sum("prompt_tokens"));
        assert.equal(await count("tokens_total", { tenant_id: id, type: "completion" }), sum("completion_tokens"));
        assert.equal((await count("cost_total", { tenant_id: id })).toFixed(9), (sum("cost_nusd") / 1e9).toFixed(9));
    });

    test("ENABLE_METRICS=false hides the page", async (t) => {
        const { gateway } = await startWorld(t, { env: { ENABLE_METRICS: "false" } });
        assert.equal((await fetch(`${gateway.origin}/metrics`)).status, 404);
    });

    test("tenants beyond METRICS_MAX_TENANTS share a label", async (t) => {
        const { gateway, chat } = await startWorld(t, { env: { METRICS_MAX_TENANTS: "1" } });
        await chat("mine");
        for (let i = 0; i < 2; i++) {
            const other = await gateway.createTenant();
            await gateway.request(other.api_key, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "x" }] });
        }
        assert.equal(await gateway.metric("llm_gateway_requests_total", { tenant_id: "other", status: "success" }), 2);
    });
});
