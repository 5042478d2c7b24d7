// What a provider's prompt cache read and wrote: in a request's row and record, in the log, in the tenant's usage by the
// admin API and the command line, in the metrics; and what it saved.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";

import { eventually, gatewayBinary, scope, startWorld } from "../support/harness.mjs";

const claude = "claude-haiku-4-5"; // a million tokens: input 1 USD, read 0.10, written 1.25 and 2.00, output 5
const usages = [
    { input_tokens: 10, cache_read_input_tokens: 0, cache_creation_input_tokens: 70, output_tokens: 5, cache_creation: { ephemeral_5m_input_tokens: 30, ephemeral_1h_input_tokens: 40 } },
    { input_tokens: 20, cache_read_input_tokens: 900, cache_creation_input_tokens: 0, output_tokens: 5 },
];
const saved = [-(30 * 250 + 40 * 1000), 900 * 900]; // nano-USD

describe("prompt cache reads and writes are seen everywhere", () => {
    const world = scope();
    let gateway, tenant, records;
    before(async () => {
        let sim, post;
        ({ sim, gateway, tenant, post } = await startWorld(world, { providers: ["openai", "anthropic"] }));
        const answers = [];
        for (const usage of usages) {
            await sim.script({ body: { id: "msg_1", type: "message", role: "assistant", model: claude, content: [{ type: "text", text: "ok" }], stop_reason: "end_turn", stop_sequence: null, usage } });
            answers.push(await post("/v1/messages", { model: claude, max_tokens: 10, messages: [{ role: "user", content: "x" }] }));
            assert.equal(answers.at(-1).status, 200);
        }
        // An OpenAI model reads a cache, too, and a hit of our own cache reads none.
        await sim.script({ body: { id: "c", object: "chat.completion", created: 1, model: "gpt-4o-mini", choices: [{ index: 0, message: { role: "assistant", content: "ok" }, finish_reason: "stop" }], usage: { prompt_tokens: 2000, completion_tokens: 1, total_tokens: 2001, prompt_tokens_details: { cached_tokens: 1500 } } } });
        for (let i = 0; i < 2; i++) {
            const r = await post("/v1/chat/completions", { model: "gpt-4o-mini", temperature: 0, messages: [{ role: "user", content: "y" }] });
            assert.equal(r.headers.get("x-llm-gateway-cache"), i ? "hit" : "miss");
            answers.push(r);
        }
        records = [];
        for (const r of answers) {
            await gateway.row(r);
            records.push((await gateway.admin("GET", `requests/${r.headers.get("x-request-id")}`)).json);
        }
    });
    after(() => world.end());

    test("of a request: its record", () => {
        assert.deepEqual(
            records.map((r) => [r.prompt_tokens, r.cache_read_tokens, r.cache_write_5m_tokens, r.cache_write_1h_tokens, Math.round(r.saved * 1e9)]).slice(0, 3),
            [[80, 0, 30, 40, saved[0]], [920, 900, 0, 0, saved[1]], [2000, 1500, 0, 0, 1500 * 75]],
        );
        assert.equal(records[3].status, "cached");
        assert.equal(records[3].saved, records[2].cost, "a hit saves the whole of it");
    });

    test("of a request: its line in the log", async () => {
        const lines = await eventually(() => {
            const found = gateway.child.output.split("\n").filter((l) => l.includes('"msg":"request"')).map((l) => JSON.parse(l));
            return found.length >= 4 && found;
        }, "four lines");
        const told = lines.map((l) => [l.cache_read_tokens, l.cache_write_tokens, l.saved === undefined ? undefined : Math.round(Number(l.saved) * 1e9)]);
        assert.deepEqual(told, [[0, 70, saved[0]], [900, 0, saved[1]], [1500, 0, 1500 * 75], [undefined, undefined, undefined]]);
    });

    const byProvider = (rows) => Object.fromEntries(rows.map((r) => [r.provider, [r.prompt_tokens, r.cache_read_tokens, r.cache_write_5m_tokens, r.cache_write_1h_tokens, r.cache_read_share, Math.round(r.saved * 1e9)]]));
    const expected = () => ({
        anthropic: [1000, 900, 30, 40, 0.9, saved[0] + saved[1]],
        openai: [2000, 1500, 0, 0, 0.75, 1500 * 75],
        cached: [2000, 0, 0, 0, 0, Math.round(records[2].cost * 1e9)],
    });

    test("of a tenant: its usage by the admin API", async () => {
        const { json } = await gateway.admin("GET", `tenants/${tenant.tenant_id}/usage`);
        assert.deepEqual(byProvider(json.usage_by_provider), expected());
    });

    test("of a tenant: its usage on the command line", () => {
        const run = (...args) => execFileSync(gatewayBinary, ["usage", tenant.tenant_id, ...args], { env: { ...process.env, DATA_DIR: gateway.dataDir }, encoding: "utf8" });
        assert.deepEqual(byProvider(JSON.parse(run("--json")).usage_by_provider), expected());
        const [head, ...rows] = run().split("\n").filter((l) => /^(PROVIDER|anthropic|openai|cached)/.test(l));
        assert.match(head, /CACHE READ +OF PROMPT +CACHE WRITE +SAVED USD$/);
        const cells = Object.fromEntries(rows.map((l) => [l.split(/\s+/)[0], l.trim().split(/\s+/).slice(-4)]));
        assert.deepEqual(cells.anthropic, ["900", "90.0%", "70", `${(saved[0] + saved[1]) / 1e9}`]);
        assert.deepEqual(cells.openai.slice(0, 3), ["1500", "75.0%", "0"]);
    });

    test("of a tenant: its counters", async () => {
        const of = (provider, type) => gateway.metric("llm_gateway_tokens_total", { tenant_id: tenant.tenant_id, provider, type });
        assert.equal(await of("anthropic", "cache_read"), 900);
        assert.equal(await of("anthropic", "cache_write"), 70);
        assert.equal(await of("anthropic", "cache_write_1h"), 40);
        assert.equal(await of("openai", "cache_read"), 1500);
    });
});
