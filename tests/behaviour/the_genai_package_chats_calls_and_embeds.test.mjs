// Google's package at the gateway, whatever dialect the provider behind it speaks: what its users do all day.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { ApiError, GoogleGenAI, geminiClient } from "../support/clients.mjs";
import { eventually, scope, startWorld } from "../support/harness.mjs";

const haiku = "anthropic.claude-haiku-4-5-20251001-v1:0";
const models = { gemini: "flash", openai: "gpt", anthropic: "claude", responses: "response", bedrock: "converse" };
const config = (sim) => `
providers:
  gemini: {dialect: gemini, base_url: "${sim.origin}", keys: [gemini-provider]}
  openai: {dialect: openai, base_url: "${sim.base}", keys: [sk-provider]}
  openai-responses: {dialect: responses, base_url: "${sim.base}", keys: [sk-provider]}
  anthropic: {dialect: anthropic, base_url: "${sim.origin}", keys: [sk-ant-provider]}
  bedrock: {dialect: bedrock, region: us-east-1, base_url: "${sim.origin}", keys: [api-key-of-bedrock]}
models:
  flash: {targets: [[{provider: gemini, model: gemini-3-flash-preview}]]}
  gpt: {targets: [[{provider: openai, model: gpt-4o-mini}]]}
  response: {targets: [[{provider: openai-responses, model: gpt-4o-mini}]]}
  claude: {targets: [[{provider: anthropic, model: claude-haiku-4-5}]]}
  converse: {targets: [[{provider: bedrock, model: "${haiku}"}]]}
  embedding: {targets: [[{provider: openai, model: text-embedding-3-small}]]}
  "gemini-embedding*": {targets: [[{provider: gemini}]]}
`;
const weather = { name: "get_weather", description: "Says it.", parametersJsonSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } };
const tools = [{ functionDeclarations: [weather] }];
const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

describe("Google's package chats, calls functions and embeds", () => {
    const world = scope();
    let sim, gateway, key, client;
    before(async () => {
        ({ sim, gateway, key } = await startWorld(world, { config, env: { ENABLE_PROMPT_CACHE: "false", MAX_ATTEMPTS: "1" } }));
        client = geminiClient(gateway, key).client;
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    const typed = (status, name) => (e) => e instanceof ApiError && e.status === status && JSON.parse(e.message).error.status === name;

    for (const [dialect, model] of Object.entries(models)) {
        describe(`of a provider that speaks ${dialect}`, () => {
            test("a chat keeps its history over several turns, whole and streamed", async () => {
                const chat = client.chats.create({ model, config: { systemInstruction: "be brief", maxOutputTokens: 100 } });
                assert.equal((await chat.sendMessage({ message: "one" })).text, "You said: one");
                let text = "";
                let last;
                for await (const chunk of await chat.sendMessageStream({ message: "two" })) {
                    text += chunk.text ?? "";
                    last = chunk;
                }
                assert.equal(text, "You said: two");
                assert.deepEqual([last.candidates[0].finishReason, last.usageMetadata.totalTokenCount > 0], ["STOP", true]);
                assert.equal((await chat.sendMessage({ message: "three" })).text, "You said: three");
                const sent = JSON.stringify((await sim.requests()).at(-1).json);
                for (const word of ["be brief", "one", "You said: one", "two", "three"]) assert.ok(sent.includes(word), word);
            });

            for (const streamed of [false, true]) {
                test(`functions are called in a chat, their results go back, and what signed them${streamed ? ", streamed" : ""}`, async () => {
                    const chat = client.chats.create({ model, config: { tools } });
                    const send = async (message) => {
                        if (!streamed) {
                            const r = await chat.sendMessage({ message });
                            return { calls: r.functionCalls ?? [], text: r.functionCalls ? "" : r.text };
                        }
                        const all = { calls: [], text: "" };
                        for await (const chunk of await chat.sendMessageStream({ message })) {
                            all.calls.push(...(chunk.functionCalls ?? []));
                            for (const part of chunk.candidates?.[0]?.content?.parts ?? []) all.text += part.text ?? "";
                        }
                        return all;
                    };
                    for (const city of ["Oslo", "Bern"]) {
                        await sim.script({ tool: "get_weather", args: { city } });
                        const { calls } = await send(`the weather in ${city}`);
                        assert.deepEqual(calls.map((c) => [c.name, c.args]), [["get_weather", { city }]]);
                        const functionResponse = { ...(calls[0].id && { id: calls[0].id }), name: "get_weather", response: { output: `sunny in ${city}` } };
                        const { text } = await send([{ functionResponse }]);
                        assert.match(text, new RegExp(`The tool said: .*sunny in ${city}`));
                    }
                    if (dialect !== "gemini") return;
                    const { contents } = (await sim.requests()).at(-1).json;
                    const signed = contents.flatMap((c) => c.parts).filter((p) => p.functionCall);
                    assert.equal(signed.length, 2);
                    for (const part of signed) assert.match(Buffer.from(part.thoughtSignature, "base64").toString(), /^signature of /);
                });
            }

            test("an image, a schema for the answer, thoughts", async () => {
                const image = { inlineData: { mimeType: "image/png", data: png } };
                assert.match((await client.models.generateContent({ model, contents: [{ role: "user", parts: [{ text: "what is it?" }, image] }] })).text, /what is it\?/);
                assert.ok(JSON.stringify((await sim.requests()).at(-1).json).includes(png));
                const responseJsonSchema = { type: "object", properties: { kind: { type: "string", enum: ["a"] } }, required: ["kind"], additionalProperties: false };
                const r = await client.models.generateContent({ model, contents: "x", config: { responseMimeType: "application/json", responseJsonSchema } });
                assert.deepEqual(JSON.parse(r.text), { kind: "a" });
                await sim.script({ reasoning: "let me see", content: "so" });
                const t = await client.models.generateContent({ model, contents: "x", config: { thinkingConfig: { includeThoughts: true } } });
                const parts = t.candidates[0].content.parts;
                assert.deepEqual(parts.map((p) => [Boolean(p.thought), p.text]), [[true, "let me see"], [false, "so"]]);
            });

            test("tokens are counted, for nothing", async () => {
                const few = await client.models.countTokens({ model, contents: "hello there" });
                assert.ok(few.totalTokens > 2 && few.totalTokens < 30, `${few.totalTokens}`);
                const [row] = await gateway.rows(`status = 'success' AND dialect = 'gemini' AND asked_model = '${model}' AND total_tokens = 0`);
                assert.equal(row.cost_nusd, 0);
            });

            test("an aborted stream is a client that left", async () => {
                const abort = new AbortController();
                await sim.script({ tokens: 1000, token_bytes: 40, rate: "2ms" });
                const read = async () => {
                    for await (const chunk of await client.models.generateContentStream({ model, contents: "endless", config: { abortSignal: abort.signal } })) {
                        if (chunk.text) abort.abort();
                    }
                };
                await assert.rejects(read());
                await eventually(async () => (await sim.requests()).find((r) => r.client_gone), "the simulator to see its client leave");
                const [row] = await gateway.rows(`status = 'client_gone' AND dialect = 'gemini' AND asked_model = '${model}'`);
                assert.ok(row.prompt_tokens > 0 && row.completion_tokens > 0 && row.cost_nusd > 0 && row.is_stream === 1);
            });

            test("errors of the provider have Google's form", async () => {
                const status = async (entry) => {
                    await sim.script(entry);
                    return client.models.generateContent({ model, contents: "x" });
                };
                await assert.rejects(status({ status: 400, message: "bad" }), (e) => typed(400, "INVALID_ARGUMENT")(e) && e.message.includes("bad"));
                await assert.rejects(status({ status: 500 }), typed(500, "INTERNAL"));
                await assert.rejects(status({ status: 503 }), typed(503, "UNAVAILABLE"));
                await assert.rejects(status({ status: 401 }), typed(502, "UNAVAILABLE"));
                // The last: whoever says when to try again is left alone till then.
                const limited = await status({ status: 429, retry_after: 34 }).then(assert.fail, (e) => e);
                assert.ok(typed(429, "RESOURCE_EXHAUSTED")(limited), limited.message);
                assert.match(JSON.parse(limited.message).error.details.find((d) => d["@type"].endsWith("RetryInfo")).retryDelay, /^34(\.000)?s$/);
            });
        });
    }

    test("texts are embedded, one and several, by providers of two dialects", async () => {
        for (const [model, target] of [["embedding", "/v1/embeddings"], ["gemini-embedding-001", "/v1beta/models/gemini-embedding-001:batchEmbedContents"]]) {
            const { embeddings } = await client.models.embedContent({ model, contents: ["a", "b"], config: { outputDimensionality: 8 } });
            assert.deepEqual(embeddings.map((e) => e.values.length), [8, 8]);
            assert.notDeepEqual(embeddings[0].values, embeddings[1].values);
            assert.equal((await sim.requests()).at(-1).target, target);
            const one = await gateway.request(key, `/v1beta/models/${model}:embedContent`, { content: { parts: [{ text: "a" }] }, outputDimensionality: 8 });
            assert.deepEqual((await one.json()).embedding.values.map((v) => v.toFixed(5)), embeddings[0].values.map((v) => v.toFixed(5)));
            const row = await gateway.row(one);
            assert.deepEqual([row.status, row.prompt_tokens > 0, row.completion_tokens], ["success", true, 0]);
        }
    });

    test("an embedding that is asked for again comes from the cache, across dialects too", async (t) => {
        const { sim: own, gateway: g, key: k } = await startWorld(t, { config });
        for (const model of ["embedding", "gemini-embedding-001"]) {
            const ask = () => g.request(k, `/v1beta/models/${model}:batchEmbedContents`, { requests: ["a", "b"].map((text) => ({ model: `models/${model}`, content: { parts: [{ text }] } })) });
            const [first, again] = [await ask(), await ask()];
            assert.equal(again.headers.get("x-llm-gateway-cache"), "hit");
            assert.equal(await again.text(), await first.text());
        }
        assert.equal((await own.requests()).length, 2);
    });

    test("both versions of the API's paths are served", async () => {
        for (const apiVersion of ["v1", "v1beta"]) {
            const versioned = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: gateway.origin, apiVersion } });
            assert.equal((await versioned.models.generateContent({ model: "flash", contents: "hi" })).text, "You said: hi");
            const names = [];
            for await (const model of await versioned.models.list()) names.push(model.name);
            assert.ok(names.includes("models/flash") && names.includes("models/gpt"), `${names}`);
            assert.equal((await versioned.models.get({ model: "claude" })).displayName, "claude");
            await assert.rejects(versioned.models.get({ model: "no-such" }), typed(404, "NOT_FOUND"));
        }
    });

    test("errors of the gateway are typed", async (t) => {
        const stranger = new GoogleGenAI({ apiKey: "llm-gw-no", httpOptions: { baseUrl: gateway.origin } });
        await assert.rejects(stranger.models.generateContent({ model: "flash", contents: "x" }), typed(401, "UNAUTHENTICATED"));
        await assert.rejects(client.models.generateContent({ model: "no-such", contents: "x" }), typed(404, "NOT_FOUND"));
        await assert.rejects(client.models.generateContent({ model: "flash", contents: "x", config: { candidateCount: 9 } }), typed(400, "INVALID_ARGUMENT"));
        const poor = await startWorld(t, { config, tenant: { rate_limit: 1 } });
        const { client: limited } = geminiClient(poor.gateway, poor.key);
        await limited.models.generateContent({ model: "flash", contents: "x" });
        const e = await limited.models.generateContent({ model: "flash", contents: "x" }).then(assert.fail, (error) => error);
        assert.ok(typed(429, "RESOURCE_EXHAUSTED")(e), e.message);
        assert.match(JSON.parse(e.message).error.details.find((d) => d["@type"] === "type.googleapis.com/google.rpc.RetryInfo").retryDelay, /^\d+(\.\d+)?s$/);
        const broke = await poor.gateway.createTenant({ monthly_budget: 0 });
        const { client: spent } = geminiClient(poor.gateway, broke.api_key);
        await assert.rejects(spent.models.generateContent({ model: "flash", contents: "x" }), typed(429, "RESOURCE_EXHAUSTED"));
        const narrow = await poor.gateway.createTenant({ allowed_models: ["gpt"] });
        const { client: fenced } = geminiClient(poor.gateway, narrow.api_key);
        await assert.rejects(fenced.models.generateContent({ model: "flash", contents: "x" }), typed(403, "PERMISSION_DENIED"));
        const names = [];
        for await (const model of await fenced.models.list()) names.push(model.name);
        assert.deepEqual(names, ["models/gpt"]);
    });
});
