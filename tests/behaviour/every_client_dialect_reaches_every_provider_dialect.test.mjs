// The matrix: the same behaviour, asked for in each client dialect, answered in each provider dialect.
//
// A test's name is "CLIENT to PROVIDER: FEATURE"; tools/compatibility.mjs writes docs/COMPATIBILITY.md from the results.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { clientKinds } from "../support/clients.mjs";
import { eventually, scope, startWorld } from "../support/harness.mjs";

const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const haiku = "anthropic.claude-haiku-4-5-20251001-v1:0";
const sonnet = "anthropic.claude-sonnet-4-5-20250929-v1:0";

// What a provider's dialect calls things. price: of plain, nano-USD a token: input, read from a cache, output. adds: the
// cached tokens are not among those of the prompt. cached: what it tells of them. turns: the conversation without its system prompt.
const providers = {
    openai: {
        plain: "gpt-4o-mini",
        thinking: "gpt-5-mini",
        price: [150, 75, 600],
        path: /^\/v1\/chat\/completions$/,
        turns: (json) => json.messages.filter((m) => m.role !== "system" && m.role !== "developer"),
        limits: (json) => ({ stop: [json.stop].flat(), max: json.max_tokens ?? json.max_completion_tokens, temperature: json.temperature }),
        image: { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } },
    },
    anthropic: {
        plain: "claude-haiku-4-5",
        thinking: "claude-sonnet-4-5",
        price: [1000, 100, 5000],
        adds: true,
        path: /^\/v1\/messages$/,
        turns: (json) => json.messages,
        limits: (json) => ({ stop: json.stop_sequences, max: json.max_tokens, temperature: json.temperature }),
        image: { type: "image", source: { type: "base64", media_type: "image/png", data: png } },
    },
    gemini: {
        plain: "gemini-2.5-flash",
        thinking: "gemini-3-flash-preview",
        price: [300, 30, 2500],
        path: /^\/v1beta\/models\/[^/]+:(generateContent|streamGenerateContent)$/,
        turns: (json) => json.contents,
        limits: ({ generationConfig: c }) => ({ stop: c.stopSequences, max: c.maxOutputTokens, temperature: c.temperature }),
        image: { inlineData: { mimeType: "image/png", data: png } },
    },
    responses: {
        name: "openai-responses",
        config: (sim) => `openai-responses: {dialect: responses, base_url: "${sim.base}", keys: [sk-provider], models: [gpt-4o-mini, gpt-5-mini]}`,
        plain: "gpt-4o-mini",
        thinking: "gpt-5-mini",
        price: [150, 75, 600],
        path: /^\/v1\/responses$/,
        turns: (json) => (typeof json.input === "string" ? [{ role: "user", content: json.input }] : json.input.filter((m) => m.role !== "system" && m.role !== "developer")),
        limits: (json) => ({ max: json.max_output_tokens, temperature: json.temperature }), // it knows no stop sequences
        image: { type: "input_image", detail: "auto", image_url: `data:image/png;base64,${png}` },
    },
    bedrock: {
        config: (sim) => `bedrock: {dialect: bedrock, region: us-east-1, base_url: "${sim.origin}", keys: [api-key-of-bedrock], models: ["${haiku}", "${sonnet}"]}`,
        plain: haiku,
        thinking: sonnet,
        price: [1000, 100, 5000],
        adds: true,
        path: /^\/model\/[^/]+\/converse(-stream)?$/,
        turns: (json) => json.messages,
        limits: ({ inferenceConfig: c }) => ({ stop: c.stopSequences, max: c.maxTokens, temperature: c.temperature }),
        image: { image: { format: "png", source: { bytes: png } } },
    },
    ollama: {
        config: (sim) => `ollama: {dialect: ollama, base_url: "${sim.origin}", cost_per_1k_tokens: 0.001, models: ["qwen3:8b"]}`,
        plain: "qwen3:8b",
        thinking: "qwen3:8b",
        price: [1000, 1000, 1000],
        cached: 0, // it does not tell
        path: /^\/api\/chat$/,
        turns: (json) => json.messages.filter((m) => m.role !== "system"),
        limits: ({ options }) => ({ stop: options.stop, max: options.num_predict, temperature: options.temperature }),
        parts: (turn) => [{ text: turn.content }, ...turn.images],
        image: png,
    },
};
const lengthOf = { openai: "max_completion_tokens", anthropic: "max_tokens", gemini: "maxOutputTokens", responses: "max_output_tokens", own: "max_tokens" };
// The same limits in a client's words; the system prompt is a message in OpenAI's.
const limited = {
    openai: { stop: ["END"], temperature: 0.5, max_completion_tokens: 50 },
    anthropic: { stop_sequences: ["END"], temperature: 0.5, max_tokens: 50, system: "be brief" },
    gemini: { stopSequences: ["END"], temperature: 0.5, maxOutputTokens: 50, systemInstruction: "be brief" },
    responses: { temperature: 0.5, max_output_tokens: 50, instructions: "be brief" },
};
const schemaOf = (properties) => ({ type: "object", properties, required: Object.keys(properties), additionalProperties: false });
const weather = { name: "get_weather", description: "The weather of a city", schema: schemaOf({ city: { type: "string" } }) };
const clock = { name: "get_time", description: "The time in a city", schema: schemaOf({ city: { type: "string" } }) };

for (const [provider, wire] of Object.entries(providers)) {
    describe(`every client dialect reaches a provider that speaks ${provider}`, () => {
        const world = scope();
        const clients = {};
        const { plain, thinking, price } = wire;
        const providerName = wire.name ?? provider;
        let sim, gateway, key;
        before(async () => {
            const where = wire.config ? { config: (s) => `providers:\n  ${wire.config(s)}\n` } : { providers: [provider] };
            ({ sim, gateway, key } = await startWorld(world, { ...where, env: { MAX_ATTEMPTS: "1" }, tenant: { cache: "off" } }));
            for (const [name, make] of Object.entries(clientKinds)) clients[name] = make(gateway, key);
        });
        after(() => world.end());
        beforeEach(() => sim.reset());

        const both = (name, feature, run) => {
            test(`${name} to ${provider}: ${feature}`, () => run(clients[name], false));
            test(`${name} to ${provider}: ${feature}, streamed`, () => run(clients[name], true));
        };
        /** The last request that the provider saw, after checking that it came in its dialect. */
        const seen = async () => {
            const request = (await sim.requests()).at(-1);
            assert.match(request.path, wire.path);
            assert.ok(!request.head.includes(key), "the client's key stays here");
            return request;
        };

        for (const name of Object.keys(clientKinds)) {
            const isOwn = name === "own";

            both(name, "chat", async (c, stream) => {
                const r = await c.say([c.user("hello there")], { model: plain, stream });
                assert.deepEqual([r.text, r.finish], ["You said: hello there", "end"]);
                assert.equal(wire.turns((await seen()).json).length, 1);
            });

            both(name, "a conversation over several turns", async (c, stream) => {
                const first = await c.say([c.user("one")], { model: plain, stream });
                const r = await c.say([c.user("one"), first.turn, c.user("two")], { model: plain, stream });
                assert.equal(r.text, "You said: two");
                assert.deepEqual(wire.turns((await seen()).json).map((m) => m.role.replace("model", "assistant")), ["user", "assistant", "user"]);
            });

            both(name, "usage and cost are booked as the provider told them", async (c, stream) => {
                const counts = { prompt_tokens: 100, cached_tokens: 40, completion_tokens: 7 };
                await sim.script(counts);
                const r = await c.say([c.user("count")], { model: plain, stream });
                const prompt = wire.adds ? 140 : 100;
                const cached = wire.cached ?? 40;
                const row = await gateway.row(r.id);
                assert.deepEqual([row.status, row.estimated, row.is_stream, row.provider, row.model], ["success", 0, Number(stream), providerName, plain]);
                assert.deepEqual([row.prompt_tokens, row.completion_tokens, row.cache_read_tokens], [prompt, 7, cached]);
                assert.equal(row.cost_nusd, (prompt - cached) * price[0] + cached * price[1] + 7 * price[2]);
                assert.deepEqual([r.usage.prompt, r.usage.completion, r.usage.cacheRead ?? cached], [prompt, 7, cached]);
            });

            both(name, "an answer that ran into its limit says so", async (c, stream) => {
                await sim.script({ tokens: 100 });
                const r = await c.say([c.user("long")], { model: plain, stream, more: { [lengthOf[name]]: 20 } });
                assert.equal(r.finish, "length");
                assert.equal(r.usage.completion, 20);
            });

            for (const stream of [false, true]) {
                test(`${name} to ${provider}: cache hit of ${stream ? "a streamed" : "a whole"} answer`, async () => {
                    const c = clients[name];
                    const o = { model: plain, headers: { "x-llm-gateway-cache": "on" } };
                    const messages = [c.user(`cached ${provider} ${stream}`)];
                    const first = await c.say(messages, { ...o, stream });
                    for (const again of [stream, !stream]) {
                        const r = await c.say(messages, { ...o, stream: again });
                        assert.equal(r.headers.get("x-llm-gateway-cache"), "hit");
                        assert.deepEqual([r.text, r.finish], [first.text, first.finish]);
                        const row = await gateway.row(r.id);
                        assert.deepEqual([row.status, row.cost_nusd], ["cached", 0]);
                    }
                    assert.equal((await sim.requests()).length, 1);
                });
            }

            test(`${name} to ${provider}: identical requests in flight share one call`, async () => {
                const c = clients[name];
                await sim.script({ body_delay: "400ms", content: "shared" });
                const ask = (stream) => c.say([c.user("in flight")], { model: plain, stream, headers: { "x-llm-gateway-cache": "on" } });
                const first = ask(false);
                await eventually(async () => (await sim.requests()).length === 1, "the request at the provider");
                const all = await Promise.all([first, ask(false), ask(true)]);
                assert.deepEqual(all.map((r) => r.text), ["shared", "shared", "shared"]);
                assert.equal((await sim.requests()).length, 1);
                assert.ok(all.slice(1).every((r) => ["coalesced", "hit"].includes(r.headers.get("x-llm-gateway-cache"))));
            });

            test(`${name} to ${provider}: an aborted stream is cancelled upstream and billed`, async () => {
                const c = clients[name];
                const abort = new AbortController();
                await sim.script({ tokens: 1000, token_bytes: 40, rate: "2ms" });
                const onText = (text) => text.length > 400 && abort.abort();
                await c.say([c.user("endless")], { model: plain, stream: true, signal: abort.signal, onText }).catch(() => {});
                const gone = await eventually(async () => (await sim.requests()).find((r) => r.client_gone), "the simulator to see its client leave");
                assert.ok(gone.sent_bytes < 1000 * 200, "the provider was stopped early");
                const [row] = await gateway.rows(`status = 'client_gone' AND dialect = '${name}'`);
                assert.ok(row.prompt_tokens > 0 && row.completion_tokens > 0 && row.completion_tokens < 10000 && row.cost_nusd > 0);
            });

            test(`${name} to ${provider}: a stream cut upstream raises an error and never ends cleanly`, async () => {
                const c = clients[name];
                await sim.script({ tokens: 8, reset_at: "c6" });
                let text = "";
                await assert.rejects(c.say([c.user("cut")], { model: plain, stream: true, onText: (t) => (text = t) }));
                assert.ok(text.length > 0, "what came before was passed on");
                const [row] = await gateway.rows(`status = 'upstream_cut' AND dialect = '${name}'`);
                assert.ok(row.prompt_tokens > 0 && row.completion_tokens > 0);
            });

            test(`${name} to ${provider}: an error inside the stream raises an error`, async () => {
                const c = clients[name];
                await sim.script({ tokens: 8, error_at: 5 });
                await assert.rejects(c.say([c.user("broken")], { model: plain, stream: true }));
            });

            test(`${name} to ${provider}: errors have the status of the client's dialect`, async () => {
                const c = clients[name];
                const status = async (entry, options = {}) => {
                    if (entry) await sim.script(entry);
                    return c.say([c.user("x")], { model: plain, ...options }).then(
                        () => 200,
                        (e) => e.status,
                    );
                };
                const all = isOwn ? 503 : undefined;
                assert.equal(await status(undefined, { model: "no-such-model" }), 404);
                assert.equal(await status({ status: 400, message: "bad" }), 400);
                assert.equal(await status({ status: 429, retry_after: 7 }), all ?? 429);
                assert.equal(await status({ status: 500 }), all ?? 500);
                assert.equal(await status({ status: 529 }), all ?? (name === "anthropic" || name === provider ? 529 : 503));
                assert.equal(await status({ status: 401 }), all ?? 502);
            });

            if (isOwn) continue;

            both(name, "system prompt, stop sequence and sampling", async (c, stream) => {
                const more = limited[name];
                const messages = name === "openai" ? [{ role: "system", content: "be brief" }, c.user("hello")] : [c.user("hello")];
                // Anthropic's newest version refuses sampling; the package sends that version.
                await c.say(messages, { model: plain, stream, more, headers: name === "anthropic" ? { "anthropic-version": "2023-06-01" } : {} });
                const { json } = await seen();
                const { stop, max, temperature } = wire.limits(json);
                assert.deepEqual([max, temperature], [50, 0.5]);
                if (name !== "responses" && provider !== "responses") assert.deepEqual(stop, ["END"]);
                assert.match(JSON.stringify(json), /be brief/);
                assert.doesNotMatch(JSON.stringify(wire.turns(json)), /be brief/);
            });

            both(name, "a tool is called and its result goes back", async (c, stream) => {
                const ask = [c.user("Oslo")];
                const first = await c.say(ask, { model: plain, stream, tools: [weather] });
                assert.equal(first.finish, "tools");
                assert.deepEqual(first.calls.map((k) => [k.name, k.input]), [["get_weather", { city: "Oslo" }]]);
                const last = await c.say([...ask, first.turn, ...c.results(first.calls, ["sunny"])], { model: plain, stream, tools: [weather] });
                assert.match(last.text, provider === "gemini" ? /^The tool said: \{"output":"sunny"\}$/ : /^The tool said: sunny$/);
                assert.equal(last.finish, "end");
            });

            both(name, "parallel calls over several turns, with text before them", async (c, stream) => {
                await sim.script(
                    { tool: "get_weather", calls: 2, content: "I look." },
                    { tool: "get_time", args: { city: "Ås", deep: [{ x: "\"\n" }] } },
                    { content: "done" },
                );
                const o = { model: plain, stream, tools: [weather, clock] };
                const messages = [c.user("Oslo")];
                const first = await c.say(messages, o);
                assert.equal(first.text, "I look.");
                assert.deepEqual(first.calls.map((k) => k.name), ["get_weather", "get_time"]);
                if (name !== "gemini" || provider !== "gemini") assert.equal(new Set(first.calls.map((k) => k.id)).size, 2); // its own have none
                messages.push(first.turn, ...c.results(first.calls, ["sunny", "noon"]));
                const second = await c.say(messages, o);
                assert.deepEqual(second.calls.map((k) => k.input), [{ city: "Ås", deep: [{ x: "\"\n" }] }]);
                messages.push(second.turn, ...c.results(second.calls, ["one"]));
                assert.equal((await c.say(messages, o)).text, "done");
                const sent = JSON.stringify(wire.turns((await seen()).json));
                for (const word of ["sunny", "noon", "one", "I look."]) assert.ok(sent.includes(word), word);
            });

            both(name, "a tool that is demanded", async (c, stream) => {
                const r = await c.say([c.user("Oslo")], { model: plain, stream, tools: [weather, clock], choice: "get_time" });
                assert.deepEqual(r.calls.map((k) => k.name), ["get_time"]);
            });

            both(name, "structured output", async (c, stream) => {
                const schema = schemaOf({ name: { type: "string" }, age: { type: "integer" } });
                const r = await c.say([c.user("Ada")], { model: plain, stream, schema });
                const answer = JSON.parse(r.text);
                assert.ok(typeof answer.name === "string" && Number.isInteger(answer.age));
                assert.equal(r.finish, "end");
            });

            both(name, "an image", async (c, stream) => {
                await c.say([c.image("what is it?", "image/png", png)], { model: plain, stream });
                const [turn] = wire.turns((await seen()).json);
                const [text, image] = wire.parts?.(turn) ?? turn.content ?? turn.parts;
                assert.equal(text.text, "what is it?");
                assert.deepEqual(image, wire.image);
            });

            both(name, "thinking is shown, and its signature goes back", async (c, stream) => {
                const o = { model: thinking, stream, thinking: true, tools: [weather] };
                await sim.script({ tool: "get_weather", reasoning: "let me see" });
                const first = await c.say([c.user("Oslo")], o);
                assert.equal(first.thoughts, "let me see");
                await c.say([c.user("Oslo"), first.turn, ...c.results(first.calls, ["sunny"])], o);
                const turns = wire.turns((await seen()).json);
                const turn = turns.find((m) => m.role === "assistant" || m.role === "model");
                if (provider === "anthropic") {
                    const [block] = turn.content;
                    assert.deepEqual([block.type, block.thinking], ["thinking", "let me see"]);
                    assert.ok(block.signature.length > 10, block.signature);
                } else if (provider === "bedrock") {
                    const { text, signature } = turn.content[0].reasoningContent.reasoningText;
                    assert.deepEqual([text, signature.length > 10], ["let me see", true]);
                } else if (provider === "gemini") {
                    const call = turn.parts.find((p) => p.functionCall);
                    assert.match(Buffer.from(call.thoughtSignature, "base64").toString(), /^signature of /, JSON.stringify(turn));
                } else if (provider === "responses") assert.ok(turns.some((m) => m.type === "function_call" && m.name === "get_weather"));
                else assert.equal(turn.tool_calls[0].function.name, "get_weather");
            });

            for (const stream of [false, true]) {
                test(`${name} to ${provider}: cache hit of ${stream ? "a streamed" : "a whole"} tool call`, async () => {
                    const c = clients[name];
                    const o = { model: plain, tools: [weather, clock], headers: { "x-llm-gateway-cache": "on" } };
                    await sim.script({ tool: "get_weather", calls: 2, content: "I look." });
                    const messages = [c.user(`cached call ${provider} ${stream}`)];
                    const first = await c.say(messages, { ...o, stream });
                    assert.equal(first.calls.length, 2);
                    for (const again of [stream, !stream]) {
                        const r = await c.say(messages, { ...o, stream: again });
                        assert.equal(r.headers.get("x-llm-gateway-cache"), "hit");
                        const calls = (of) => (name === "gemini" ? of.calls.map(({ id, ...call }) => call) : of.calls); // Gemini's own may have no id
                        assert.deepEqual([r.text, calls(r), r.finish], [first.text, calls(first), first.finish]);
                    }
                    assert.equal((await sim.requests()).length, 1);
                });
            }
        }

        both("anthropic", "an image in a tool's result, and a failed call", async (c, stream) => {
            const use = (id) => ({ type: "tool_use", id, name: "get_weather", input: { city: "Oslo" } });
            const image = { type: "image", source: { type: "base64", media_type: "image/png", data: png } };
            const results = [
                { type: "tool_result", tool_use_id: "toolu_1", content: [{ type: "text", text: "see" }, image] },
                { type: "tool_result", tool_use_id: "toolu_2", content: "no such city", is_error: true },
            ];
            const messages = [c.user("Oslo"), { role: "assistant", content: [use("toolu_1"), use("toolu_2")] }, c.user(results)];
            await c.say(messages, { model: plain, stream, tools: [weather] });
            const turns = wire.turns((await seen()).json).slice(2);
            const told = JSON.stringify(turns);
            for (const word of ["see", png, "no such city"]) assert.ok(told.includes(word), word);
            if (provider === "openai") assert.deepEqual(turns.map((m) => m.role), ["tool", "tool", "user"]);
        });

        const embeds = ["openai", "gemini", "ollama"].includes(provider);
        const refused = ", for there are none";
        test(`openai to ${provider}: embeddings${embeds ? "" : ` are refused${refused}`}`, async () => {
            const asked = clients.openai.client.embeddings.create({ model: plain, input: ["a", "b"] });
            if (!embeds) return assert.rejects(asked, (e) => e.status === 400 && e.type === "invalid_request_error");
            const { data, usage } = await asked;
            assert.deepEqual(data.map((d) => [d.index, d.embedding.length > 3]), [[0, true], [1, true]]);
            assert.notDeepEqual(data[0].embedding, data[1].embedding);
            assert.ok(usage.prompt_tokens > 0);
        });
        test(`gemini to ${provider}: embeddings${embeds ? "" : ` are refused${refused}`}`, async () => {
            const asked = clients.gemini.client.models.embedContent({ model: plain, contents: ["a", "b"] });
            if (!embeds) return assert.rejects(asked, (e) => e.status === 400 && e.message.includes("INVALID_ARGUMENT"));
            const { embeddings } = await asked;
            assert.equal(embeddings.length, 2);
            assert.ok(embeddings.every((e) => e.values.length > 3));
            assert.notDeepEqual(embeddings[0].values, embeddings[1].values);
        });

        test(`openai to ${provider}: text completions${provider === "openai" ? "" : ` are refused${refused}`}`, async () => {
            const r = await gateway.request(key, "/v1/completions", { model: plain, prompt: "x" });
            const body = await r.json();
            assert.equal(r.status, provider === "openai" ? 200 : 400, JSON.stringify(body));
            if (provider !== "openai") assert.equal(body.error.type, "invalid_request_error");
        });

        const counting = {
            anthropic: async (c) => (await c.messages.countTokens({ model: plain, messages: [{ role: "user", content: "hello there" }] })).input_tokens,
            gemini: async (c) => (await c.models.countTokens({ model: plain, contents: "hello there" })).totalTokens,
            responses: async (c) => (await c.responses.inputTokens.count({ model: plain, input: "hello there" })).input_tokens,
        };
        for (const [name, count] of Object.entries(counting)) {
            test(`${name} to ${provider}: tokens are counted`, async () => {
                const tokens = await count(clients[name].client);
                assert.equal((await sim.requests()).length, name === provider ? 1 : 0);
                assert.ok(name === provider ? tokens === 5 : tokens > 2 && tokens < 30, `${tokens}`);
            });
        }
    });
}
