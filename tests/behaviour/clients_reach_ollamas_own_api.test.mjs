// Ollama's own API behind (/api/chat, lines of JSON): clients of each dialect, tools, thoughts, pictures, schemas, errors.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { clientKinds } from "../support/clients.mjs";
import { scope, startGateway, startWorld } from "../support/harness.mjs";

const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const weather = { name: "get_weather", description: "The weather of a city", schema };
const clock = { name: "get_time", description: "The time in a city", schema };
const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const model = "qwen3";

describe("clients of each dialect reach a provider that speaks Ollama's own API", () => {
    const world = scope();
    const clients = {};
    let sim, gateway, key, post;
    before(async () => {
        const config = (s) => `
providers:
  here: {dialect: ollama, base_url: "${s.origin}", free: true, passes_unknown: true}
  there: {dialect: ollama, base_url: "${s.origin}/elsewhere", keys: [cloud-key], num_ctx: 32768}
models:
  qwen3: {targets: [[{provider: here, model: "qwen3:8b"}]]}
`;
        ({ sim, gateway, key, post } = await startWorld(world, { config, env: { MAX_ATTEMPTS: "1" }, tenant: { cache: "off" } }));
        for (const [name, make] of Object.entries(clientKinds)) clients[name] = make(gateway, key);
    });
    after(() => world.end());
    beforeEach(() => sim.reset());
    const sent = async (n = -1) => (await sim.requests()).at(n);

    for (const name of Object.keys(clientKinds)) {
        const isOwn = name === "own";
        const both = (what, run) => {
            test(`${name}: ${what}`, () => run(clients[name], false));
            test(`${name}: ${what}, streamed`, () => run(clients[name], true));
        };

        both("chat, with the counts booked", async (c, stream) => {
            await sim.script({ prompt_tokens: 100, completion_tokens: 7 });
            const r = await c.say([c.user("hello there")], { model, stream });
            assert.deepEqual([r.text, r.finish], ["You said: hello there", "end"]);
            const request = await sent();
            assert.equal(request.path, "/api/chat");
            const body = request.json;
            assert.deepEqual([body.model, body.stream, body.messages], ["qwen3:8b", stream, [{ role: "user", content: "hello there" }]]);
            const row = await gateway.row(r.id);
            assert.deepEqual([row.status, row.estimated, row.model, row.prompt_tokens, row.completion_tokens], ["success", 0, "qwen3:8b", 100, 7]);
            assert.deepEqual([r.usage.prompt, r.usage.completion], [100, 7]);
        });

        both("an answer that ran into its limit says so", async (c, stream) => {
            await sim.script({ finish: "length" });
            assert.equal((await c.say([c.user("long")], { model, stream })).finish, "length");
        });

        test(`${name}: an error inside a stream, and a cut one, raise errors`, async () => {
            const c = clients[name];
            for (const trouble of [{ tokens: 8, error_at: 5 }, { tokens: 8, reset_at: "c6" }, { tokens: 8, close_at: "c6" }, { no_done: true }]) {
                await sim.reset();
                await sim.script(trouble);
                await assert.rejects(c.say([c.user("broken")], { model, stream: true }), JSON.stringify(trouble));
            }
        });

        test(`${name}: errors`, async () => {
            const c = clients[name];
            const status = async (entry, m = model) => {
                await sim.reset();
                if (entry) await sim.script(entry);
                return c.say([c.user("x")], { model: m }).then(() => 200, (e) => e.status);
            };
            const all = isOwn ? 503 : undefined;
            assert.equal(await status({ status: 400 }), 400);
            assert.equal(await status({ status: 401 }), all ?? 502);
            assert.equal(await status({ status: 429, retry_after: 1 }), all ?? 429);
            assert.equal(await status({ status: 500 }), all ?? 500);
        });

        if (isOwn) continue;

        both("tools: called, answered, called several at once", async (c, stream) => {
            const question = c.user("weather in Paris");
            const first = await c.say([question], { model, stream, tools: [weather, clock] });
            assert.equal(first.finish, "tools");
            assert.deepEqual([first.calls[0].name, first.calls[0].input], ["get_weather", { city: "weather in Paris" }]);
            assert.ok(first.calls[0].id);
            const last = await c.say([question, first.turn, ...c.results(first.calls, ["blue sky"])], { model, stream, tools: [weather, clock] });
            assert.equal(last.text, "The tool said: blue sky");
            const { messages } = (await sent()).json;
            assert.deepEqual(messages[1].tool_calls, [{ function: { name: "get_weather", arguments: { city: "weather in Paris" } } }]);
            assert.deepEqual(messages[2], { role: "tool", tool_name: "get_weather", content: "blue sky" });
            await sim.script({ tool: "get_weather", calls: 2 });
            const two = await c.say([question], { model, stream, tools: [weather, clock] });
            assert.deepEqual(two.calls.map((call) => call.name), ["get_weather", "get_time"]);
            assert.equal(new Set(two.calls.map((call) => call.id)).size, 2);
        });

        both("thoughts", async (c, stream) => {
            const r = await c.say([c.user("think")], { model, stream, thinking: true });
            assert.ok(r.thoughts.length > 0);
            assert.equal(r.text, "You said: think");
            assert.ok((await sent()).json.think);
        });

        both("a schema for the answer", async (c, stream) => {
            const r = await c.say([c.user("place")], { model, stream, schema });
            assert.deepEqual(JSON.parse(r.text), { city: "place" });
            assert.deepEqual((await sent()).json.format, schema);
        });

        both("a picture", async (c, stream) => {
            const r = await c.say([c.image("what is it", "image/png", png)], { model, stream });
            assert.equal(r.text, "You said: what is it");
            assert.deepEqual((await sent()).json.messages, [{ role: "user", content: "what is it", images: [png] }]);
        });
    }

    test("options, and what is left out is named", async () => {
        const r = await post("/v1/chat/completions", { model, messages: [{ role: "user", content: "x" }], max_tokens: 5, temperature: 0.5, stop: ["y"], seed: 1, n: 1, user: "u", logit_bias: { 1: 1 } });
        assert.equal(r.status, 200);
        assert.deepEqual((await sent()).json.options, { num_predict: 5, temperature: 0.5, seed: 1, stop: ["y"] });
        assert.equal(r.headers.get("x-llm-gateway-dropped"), "logit_bias,user");
    });

    test("a model that was not pulled is the client's to know, where it chose the name", async () => {
        const r = await post("/v1/chat/completions", { model: "missing-model", messages: [{ role: "user", content: "x" }] });
        assert.ok([404, 502].includes(r.status), String(r.status));
        assert.equal((await gateway.row(r)).status, "error");
    });

    test("texts become vectors, for clients of OpenAI's and of Gemini's dialect", async () => {
        const r = await post("/v1/embeddings", { model, input: ["ab", "abc"] });
        const answer = await r.json();
        assert.equal(r.status, 200, JSON.stringify(answer));
        assert.deepEqual(answer.data.map((d) => d.embedding), [[0.5, -0.25, 2, 97], [0.5, -0.25, 3, 97]]);
        const request = await sent();
        assert.deepEqual([request.path, request.json], ["/api/embed", { model: "qwen3:8b", input: ["ab", "abc"] }]);
        const row = await gateway.row(r);
        assert.deepEqual([row.status, row.prompt_tokens, row.estimated], ["success", 2, 0]);
        const one = await post(`/v1beta/models/${model}:embedContent`, { content: { parts: [{ text: "abcd" }] } });
        assert.deepEqual((await one.json()).embedding.values, [0.5, -0.25, 4, 97]);
        const numbers = await post("/v1/embeddings", { model, input: [1, 2] });
        assert.equal(numbers.status, 400, await numbers.text());
    });

    test("below /passthrough/ it answers as it is, and its errors, too", async () => {
        const tags = await gateway.request(key, "/passthrough/here/api/tags");
        assert.equal((await tags.json()).models[0].name, "llama3.2:latest");
        const r = await post("/passthrough/here/api/chat", { model: "qwen3:8b", messages: [{ role: "user", content: "x" }], stream: false });
        assert.equal((await r.json()).message.content, "You said: x");
        assert.deepEqual([(await gateway.row(r)).status, (await gateway.row(r)).dialect], ["success", "ollama"]);
        const lines = await post("/passthrough/here/api/chat", { model: "qwen3:8b", messages: [{ role: "user", content: "x" }] });
        assert.equal(JSON.parse((await lines.text()).trim().split("\n").at(-1)).done, true);
        const missing = await post("/passthrough/here/api/chat", { model: "missing-x", messages: [{ role: "user", content: "x" }] });
        assert.equal(missing.status, 404);
        await sim.script({ status: 500 });
        assert.equal((await post("/passthrough/here/api/chat", { model: "m", messages: [] })).status, 500);
    });

    test("a key goes out as Bearer", async () => {
        await post("/v1/chat/completions", { model: "there/m", messages: [{ role: "user", content: "x" }] });
        const request = await sent();
        assert.deepEqual([request.path, request.headers.authorization], ["/elsewhere/api/chat", "Bearer cloud-key"]);
        assert.deepEqual(request.json.options, { num_ctx: 32768 });
    });
});

test("the configuration of Ollama is strict", async (t) => {
    for (const [provider, words] of [
        ['{dialect: ollama, base_url: "http://127.0.0.1:11434/v1"}', /base_url ends in \/v1/],
        ['{dialect: ollama, base_url: "http://127.0.0.1:11434", num_ctx: 0}', /num_ctx is for the dialect ollama; accepted: 1 and more/],
        ['{dialect: openai, base_url: "http://127.0.0.1:11434/v1", num_ctx: 4096}', /num_ctx is for the dialect ollama/],
        ['{dialect: [openai, ollama], base_url: "http://127.0.0.1:11434"}', /differ in base_url or credential/],
    ]) {
        await assert.rejects(startGateway(t, { config: `providers:\n  here: ${provider}\n` }), (e) => words.test(e.message), provider);
    }
});
