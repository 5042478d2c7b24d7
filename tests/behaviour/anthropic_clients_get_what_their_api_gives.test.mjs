// Headers, probes and queries of Anthropic's API at the gateway, whoever answers behind it.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { Anthropic, anthropicClient, openaiClient } from "../support/clients.mjs";
import { RawClient, scope, sse, startWorld } from "../support/harness.mjs";

const claude = "claude-haiku-4-5";
const ask = (more = {}) => ({ model: claude, max_tokens: 100, messages: [{ role: "user", content: "hello there" }], ...more });

describe("Anthropic's clients get what their API gives", () => {
    const world = scope();
    let sim, gateway, key, post, client;
    before(async () => {
        ({ sim, gateway, key, post } = await startWorld(world, { providers: ["openai", "anthropic"], tenant: { rate_limit: 500 } }));
        client = new Anthropic({ apiKey: key, baseURL: gateway.origin, maxRetries: 0 });
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    const messages = (body, headers = {}) => post("/v1/messages", body, { headers: { "anthropic-version": "2023-06-01", ...headers } });

    for (const model of [claude, "gpt-4o-mini"]) {
        test(`request-id and anthropic-ratelimit headers, answered by ${model}`, async () => {
            for (const stream of [false, true]) {
                const r = await messages(ask({ model, stream }));
                await r.text();
                assert.equal(r.status, 200);
                assert.equal(r.headers.get("request-id"), r.headers.get("x-request-id"));
                assert.match(r.headers.get("x-llm-gateway-upstream-request-id"), /^req_[0-9a-f]{16}$/);
                assert.equal(r.headers.get("anthropic-ratelimit-requests-limit"), "500");
                assert.ok(Number(r.headers.get("anthropic-ratelimit-requests-remaining")) < 500);
                assert.match(r.headers.get("anthropic-ratelimit-requests-reset"), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
                assert.deepEqual([...r.headers.keys()].filter((n) => n.startsWith("x-ratelimit")), [], "one family only");
                const row = await gateway.row(r);
                assert.deepEqual([row.dialect, row.status], ["anthropic", "success"]);
            }
        });
    }

    test("the version, the betas and ?beta=true travel to a provider of the dialect, and to no other", async () => {
        await client.beta.messages.create(ask({ betas: ["context-1m-2025-08-07", "x-2026-01-01"] }));
        const [same] = await sim.requests();
        assert.equal(same.headers["anthropic-beta"], "context-1m-2025-08-07,x-2026-01-01");
        assert.equal(same.headers["anthropic-version"], "2026-10-21");
        assert.equal(same.headers["x-api-key"], "sk-ant-provider");
        assert.equal(same.headers.authorization, undefined);
        await client.beta.messages.create(ask({ model: "gpt-4o-mini", betas: ["x-2026-01-01"] }));
        const other = (await sim.requests()).at(-1);
        assert.equal(other.target, "/v1/chat/completions");
        assert.equal(other.headers["anthropic-beta"], undefined);
        assert.equal(other.headers["anthropic-version"], undefined);
        assert.ok(!JSON.stringify(await sim.requests()).includes(key));
        for (const [model, target] of [[claude, "/v1/messages?beta=true"], ["gpt-4o-mini", "/v1/chat/completions"]]) {
            assert.equal((await post("/v1/messages?beta=true", ask({ model }))).status, 200);
            assert.equal((await sim.requests()).at(-1).target, target);
        }
    });

    test("a client of another dialect cannot set Anthropic's headers", async () => {
        const r = await post("/v1/chat/completions", { model: claude, messages: ask().messages }, { headers: { "anthropic-beta": "x", "anthropic-version": "2026-10-21" } });
        assert.equal(r.status, 200, await r.text());
        const [seen] = await sim.requests();
        assert.deepEqual([seen.headers["anthropic-version"], seen.headers["anthropic-beta"]], ["2023-06-01", undefined]);
    });

    test("the request's bytes reach the provider as they were sent", async () => {
        const body = `{ "max_tokens":100, "model":"${claude}",\n "messages":[{"role":"user","content":"caf\\u00e9"}], "weird_member": [1.50, 1e2], "metadata":{"user_id":"u"}}`;
        assert.equal((await messages(body)).status, 200);
        assert.equal((await sim.requests())[0].body, body);
    });

    test("any query string is let in", async () => {
        for (const query of ["?beta=true", "?beta=true&x=1", "?", "?api-version=1"]) {
            const r = await post(`/v1/messages${query}`, ask());
            assert.equal(r.status, 200, await r.text());
        }
    });

    test("models are listed and looked up in the dialect of who asks, and HEAD answers", async () => {
        const ids = [];
        for await (const model of client.models.list()) ids.push(model.id);
        assert.ok(ids.includes(claude) && ids.includes("gpt-4o-mini"));
        const model = await client.models.retrieve(claude);
        assert.deepEqual([model.type, model.id], ["model", claude]);
        await assert.rejects(client.models.retrieve("no-such-model"), Anthropic.NotFoundError);
        for (const path of ["/v1/models", `/v1/models/${claude}`]) {
            const r = await post(path, undefined, { method: "HEAD" });
            assert.deepEqual([r.status, await r.text()], [200, ""]);
            assert.ok(Number(r.headers.get("content-length")) > 0);
        }
    });

    test("the probes of Claude Code, HEAD and GET of the root, answer 200", async () => {
        for (const method of ["HEAD", "GET"]) {
            const r = await fetch(`${gateway.origin}/`, { method });
            assert.equal(r.status, 200, method);
            if (method === "GET") assert.deepEqual(await r.json(), { status: "healthy", service: "llm-gateway" });
        }
        assert.equal((await fetch(`${gateway.origin}/`, { method: "POST", body: "{}" })).status, 405);
    });

    test("the attribution of Claude Code's system prompt passes, and hides no cached answer", async () => {
        const line = (n) => `x-anthropic-billing-header: cc_version=2.1.177.01c; cc_entrypoint=cli; cch=${n};`;
        const body = (n, rest = "You help.") => ask({ temperature: 0, system: [{ type: "text", text: line(n) }, { type: "text", text: rest }] });
        const cached = async (b) => (await messages(b)).headers.get("x-llm-gateway-cache");
        assert.equal(await cached(body("36ee5")), "miss");
        assert.equal(await cached(body("0aaa9")), "hit");
        assert.equal(await cached(body("0aaa9", "You do not.")), "miss");
        const seen = await sim.requests();
        assert.ok(seen.length === 2 && seen[0].body.includes(line("36ee5")), "as it was sent");
    });

    test("what cannot be carried is named", async () => {
        const openai = openaiClient(gateway, key).client;
        const { response: a } = await openai.chat.completions
            .create({ model: claude, messages: ask().messages, logit_bias: { 50256: -100 }, seed: 7, presence_penalty: 1 })
            .withResponse();
        assert.deepEqual(a.headers.get("x-llm-gateway-dropped").split(/, ?/).sort(), ["logit_bias", "presence_penalty", "seed"]);
        const { response: b } = await anthropicClient(gateway, key)
            .client.messages.create(ask({ model: "gpt-4o-mini", top_k: 5, service_tier: "auto", system: [{ type: "text", text: "s", cache_control: { type: "ephemeral" } }] }))
            .withResponse();
        const dropped = b.headers.get("x-llm-gateway-dropped").split(/, ?/);
        assert.ok(dropped.includes("top_k") && dropped.includes("cache_control"), `${dropped}`);
        const edits = { edits: [{ type: "clear_tool_uses_20250919" }] };
        const d = await messages(ask({ model: "gpt-4o-mini", context_management: edits, mcp_servers: [{ type: "url", url: "https://x", name: "x" }], container: "c" }));
        assert.equal(d.status, 200, await d.text());
        assert.deepEqual(d.headers.get("x-llm-gateway-dropped").split(/, ?/).sort(), ["container", "context_management", "mcp_servers"]);
        const { response: c } = await openai.chat.completions.create({ model: claude, messages: ask().messages }).withResponse();
        assert.equal(c.headers.get("x-llm-gateway-dropped"), null);
    });

    test("cache writes of both lifetimes are booked once, at their prices", async () => {
        for (const stream of [false, true]) {
            const usage = {
                input_tokens: 10, cache_read_input_tokens: 20, cache_creation_input_tokens: 70, output_tokens: 5,
                cache_creation: { ephemeral_5m_input_tokens: 30, ephemeral_1h_input_tokens: 40 },
            };
            const message = { id: "msg_1", type: "message", role: "assistant", model: claude, content: [{ type: "text", text: "ok" }], stop_reason: "end_turn", stop_sequence: null, usage };
            const events = [
                { type: "message_start", message: { ...message, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } } },
                { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
                { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "ok" } },
                { type: "content_block_stop", index: 0 },
                { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { input_tokens: 10, cache_read_input_tokens: 20, cache_creation_input_tokens: 70, output_tokens: 5 } },
                { type: "message_stop" },
            ];
            const body = stream ? events.map((e) => `event: ${e.type}\ndata: ${JSON.stringify(e)}\n\n`).join("") : message;
            const content_type = stream ? "text/event-stream" : undefined;
            for (const [path, asked] of [["/v1/messages", ask({ stream })], ["/v1/chat/completions", { model: claude, messages: ask().messages, stream, ...(stream && { stream_options: { include_usage: true } }) }]]) {
                await sim.script({ body, content_type });
                const r = await post(path, asked);
                const text = await r.text();
                const row = await gateway.row(r);
                assert.deepEqual(
                    [row.prompt_tokens, row.completion_tokens, row.total_tokens, row.cache_read_tokens, row.cache_write_5m_tokens, row.cache_write_1h_tokens],
                    [100, 5, 105, 20, 30, 40], `${path} ${stream} ${text}`,
                );
                assert.equal(row.cost_nusd, 10 * 1000 + 20 * 100 + 30 * 1250 + 40 * 2000 + 5 * 5000);
                if (path !== "/v1/messages") assert.match(text, /"prompt_tokens":\s?100\b/);
            }
        }
    });

    test("an answer of Claude's has a time in OpenAI's dialect, and a name of its own", async () => {
        const openai = openaiClient(gateway, key).client;
        const isNow = (created) => assert.ok(Math.abs(created - Date.now() / 1000) < 60, `${created}`);
        const whole = await openai.chat.completions.create({ model: claude, messages: ask().messages });
        isNow(whole.created);
        assert.deepEqual([whole.object, whole.model, whole.service_tier], ["chat.completion", claude, "default"]);
        const ids = new Set();
        for await (const chunk of await openai.chat.completions.create({ model: claude, messages: ask().messages, stream: true })) {
            isNow(chunk.created);
            assert.equal(chunk.object, "chat.completion.chunk");
            assert.ok(!("usage" in chunk) || chunk.usage === null, "it did not ask for usage");
            ids.add(chunk.id);
        }
        assert.equal(ids.size, 1);
    });

    test("max_tokens that an OpenAI client did not give is the model's most, and is what is reserved", async () => {
        const r = await post("/v1/chat/completions", { model: claude, messages: ask().messages });
        assert.equal(r.status, 200);
        assert.equal((await sim.requests())[0].json.max_tokens, 64000);
        const row = await gateway.row(r);
        assert.ok(row.reserved_nusd >= 64000 * 5000, `${row.reserved_nusd}`);
        const poor = await gateway.createTenant({ monthly_budget: 0.1 }); // less than 64000 tokens at 5 USD a million
        const refused = await gateway.request(poor.api_key, "/v1/chat/completions", { model: claude, messages: ask().messages });
        assert.equal(refused.status, 429);
        const bounded = await gateway.request(poor.api_key, "/v1/chat/completions", { model: claude, messages: ask().messages, max_tokens: 100 });
        assert.equal(bounded.status, 200);
    });

    test("a stream that idles is kept open by pings, which the package reads over", async (t) => {
        const { sim: idle, post: ask2, gateway: g, key: k } = await startWorld(t, { providers: ["openai", "anthropic"], env: { KEEPALIVE: "50ms" } });
        for (const model of [claude, "gpt-4o-mini"]) {
            await idle.script({ tokens: 4, stall_at: "c3", stall_for: "300ms" }, { tokens: 4, stall_at: "c3", stall_for: "300ms" });
            const names = [];
            for await (const e of sse(await ask2("/v1/messages", ask({ model, stream: true })))) names.push(e.event ?? `:${e.comment}`);
            assert.ok(names.filter((n) => n === "ping").length >= 2, `${model}: ${names}`);
            assert.ok(!names.some((n) => n.startsWith(":")), `${names}`);
            assert.equal(names[0], "message_start");
            const c = anthropicClient(g, k);
            assert.equal((await c.say([c.user("x")], { model, stream: true })).finish, "end");
        }
    });

    test("HTTP/1.1 raw: an unknown path below /v1/messages has Anthropic's error", async () => {
        const raw = await RawClient.connect(gateway.port);
        await raw.send("POST /v1/messages/batches HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}");
        const r = await raw.response();
        raw.close();
        const body = JSON.parse(r.body);
        assert.deepEqual([r.status, body.type, body.error.type], [404, "error", "not_found_error"]);
    });
});
