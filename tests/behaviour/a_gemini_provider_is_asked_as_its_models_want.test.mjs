// What a provider that speaks Gemini is sent for clients of other dialects: by generation of its models; and its refusals.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { geminiClient, openaiClient } from "../support/clients.mjs";
import { scope, startWorld } from "../support/harness.mjs";

const messages = [{ role: "user", content: "hello there" }];
const parameters = { type: "object", properties: { city: { $ref: "#/$defs/city" } }, required: ["city"], additionalProperties: false, $defs: { city: { type: "string" } } };
const tools = [{ type: "function", function: { name: "get_weather", description: "Says it.", parameters } }];
const format = { type: "json_schema", json_schema: { name: "a", strict: true, schema: { type: "object", properties: { kind: { type: "string" } }, required: ["kind"], additionalProperties: false } } };

describe("a Gemini provider is asked as its models want", () => {
    const world = scope();
    let sim, gateway, key, client;
    before(async () => {
        ({ sim, gateway, key } = await startWorld(world, { providers: ["gemini"], env: { ENABLE_PROMPT_CACHE: "false" } }));
        ({ client } = openaiClient(gateway, key));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    const ask = async (model, more = {}) => {
        const { data, response } = await client.chat.completions.create({ model, messages, ...more }).withResponse();
        return { data, dropped: response.headers.get("x-llm-gateway-dropped")?.split(/, ?/) ?? [], json: (await sim.requests()).at(-1).json };
    };

    test("effort is a budget for 2.5, a level for 3, and nothing for older models", async () => {
        for (const [model, effort, expected] of [
            ["gemini-2.5-flash", "low", { thinkingBudget: 1024, includeThoughts: true }],
            ["gemini-2.5-flash", "none", { thinkingBudget: 0 }],
            ["gemini-2.5-pro", "none", { thinkingBudget: 128 }],
            ["gemini-3-pro-preview", "medium", { thinkingLevel: "HIGH", includeThoughts: true }],
            ["gemini-3.1-pro-preview", "medium", { thinkingLevel: "MEDIUM", includeThoughts: true }],
            ["gemini-3-flash-preview", "minimal", { thinkingLevel: "MINIMAL", includeThoughts: true }],
            ["gemini-3-pro-preview", "none", { thinkingLevel: "LOW" }],
            ["gemini-2.0-flash", "high", undefined],
        ]) {
            const { json, dropped } = await ask(model, { reasoning_effort: effort });
            assert.deepEqual(json.generationConfig?.thinkingConfig, expected, `${model} ${effort}`);
            if (!expected) assert.deepEqual(dropped, ["reasoning_effort"]);
        }
    });

    test("schemas go as JSON Schema to 2.5 and newer, and in the API's own words to older models", async () => {
        for (const model of ["gemini-2.5-flash", "gemini-3-flash-preview"]) {
            const { json } = await ask(model, { tools });
            const [f] = json.tools[0].functionDeclarations;
            assert.deepEqual([f.parametersJsonSchema, f.parameters], [parameters, undefined], model);
            assert.ok((await ask(model, { response_format: format })).json.generationConfig.responseJsonSchema);
        }
        const { json } = await ask("gemini-2.0-flash", { tools });
        const [f] = json.tools[0].functionDeclarations;
        assert.equal(f.parametersJsonSchema, undefined);
        assert.ok(!JSON.stringify(f.parameters).match(/\$ref|\$defs|additionalProperties/), JSON.stringify(f.parameters));
        assert.ok((await ask("gemini-2.0-flash", { response_format: format })).json.generationConfig.responseSchema);
    });

    test("functions and a schema for the answer together, and penalties, where the model refuses them", async () => {
        const old = await ask("gemini-2.5-flash", { tools, response_format: format });
        assert.deepEqual(old.dropped, ["response_format"]);
        assert.equal(old.json.generationConfig?.responseMimeType, undefined);
        const now = await ask("gemini-3-flash-preview", { tools, response_format: format });
        assert.deepEqual([now.dropped, now.json.generationConfig.responseMimeType], [[], "application/json"]);
        const penalties = { presence_penalty: 0.5, frequency_penalty: 0.5 };
        assert.deepEqual((await ask("gemini-3-flash-preview", penalties)).dropped.sort(), ["frequency_penalty", "presence_penalty"]);
        assert.equal((await ask("gemini-2.5-flash", penalties)).json.generationConfig.presencePenalty, 0.5);
    });

    test("a call that another model made goes to 3 with the signature that Google documents for it", async () => {
        const call = { id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Oslo"}' } };
        const more = [{ role: "assistant", content: null, tool_calls: [call, { ...call, id: "call_2" }] }, { role: "tool", tool_call_id: "call_1", content: "sunny" }, { role: "tool", tool_call_id: "call_2", content: "dark" }];
        for (const [model, signatures] of [["gemini-3-flash-preview", ["skip_thought_signature_validator", undefined]], ["gemini-2.5-flash", [undefined, undefined]]]) {
            const { json } = await ask(model, { tools, messages: [...messages, ...more] });
            assert.deepEqual(json.contents[1].parts.map((p) => p.thoughtSignature), signatures, model);
            assert.deepEqual(json.contents[2].parts.map((p) => p.functionResponse.name), ["get_weather", "get_weather"]);
        }
    });

    test("what cannot be carried is named, both ways", async (t) => {
        const { dropped } = await ask("gemini-2.5-flash", { logit_bias: { 1: 1 }, metadata: { a: "b" }, user: "u", parallel_tool_calls: false, tools });
        assert.deepEqual(dropped.sort(), ["logit_bias", "metadata", "parallel_tool_calls", "user"]);
        const other = await startWorld(t, { providers: ["openai"] });
        const r = await geminiClient(other.gateway, other.key).client.models.generateContent({
            model: "gpt-4o-mini",
            contents: "x",
            config: { topK: 3, safetySettings: [{ category: "HARM_CATEGORY_HARASSMENT", threshold: "BLOCK_NONE" }], tools: [{ googleSearch: {} }] },
        });
        const names = r.sdkHttpResponse.headers["x-llm-gateway-dropped"].split(/, ?/);
        for (const name of ["safetySettings", "googleSearch"]) assert.ok(names.includes(name), `${names}`);
        assert.ok(names.some((n) => /top_?k/i.test(n)), `${names}`);
    });

    test("texts are embedded, in numbers and in base64; tokens of another model's are refused", async () => {
        const asked = { model: "gemini-embedding-001", input: ["a", "b"], dimensions: 8 };
        const numbers = await client.embeddings.create({ ...asked, encoding_format: "float" });
        assert.deepEqual(numbers.data.map((d) => d.embedding.length), [8, 8]);
        const coded = await client.embeddings.create(asked); // the package asks for base64 and decodes it
        for (const [i, d] of coded.data.entries()) for (const [k, v] of d.embedding.entries()) assert.ok(Math.abs(v - numbers.data[i].embedding[k]) < 1e-6);
        assert.ok(numbers.usage.prompt_tokens > 0);
        await assert.rejects(client.embeddings.create({ ...asked, input: [1, 2, 3] }), (e) => e.status === 400);
    });

    test("a key that Google does not take, with its 400, is set aside, and the next one asked", async (t) => {
        const bad = { error: { code: 400, message: "API key not valid. Please pass a valid API key.", status: "INVALID_ARGUMENT", details: [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "API_KEY_INVALID", domain: "googleapis.com" }] } };
        const daily = { error: { code: 429, message: "You exceeded your current quota", status: "RESOURCE_EXHAUSTED", details: [{ "@type": "type.googleapis.com/google.rpc.QuotaFailure", violations: [{ quotaId: "GenerateRequestsPerDayPerProjectPerModel-FreeTier" }] }] } };
        for (const [status, body] of [[400, bad], [429, daily]]) {
            const config = (s) => `providers:\n  gemini: {dialect: gemini, base_url: "${s.origin}", keys: [key-of-one, key-of-two]}\n`;
            const { sim: s, gateway: g, key: k } = await startWorld(t, { config, env: { ENABLE_PROMPT_CACHE: "false" } });
            await s.script({ status, body });
            const c = openaiClient(g, k).client;
            for (let i = 0; i < 4; i++) await c.chat.completions.create({ model: "gemini-2.5-flash", messages });
            const keys = (await s.requests()).map((r) => r.headers["x-goog-api-key"]);
            assert.equal(keys.length, 5);
            assert.deepEqual(new Set(keys.slice(1)).size, 1, `${status}: ${keys}`);
            assert.notEqual(keys[0], keys[1]);
        }
    });

    test("it is the fallback for names that nobody knows, where the order says so", async (t) => {
        const { sim: s, post } = await startWorld(t, { providers: ["gemini"], env: { GEMINI_FALLBACK_MODEL: "gemini-2.5-flash", PROVIDER_FALLBACK_ORDER: "openai,gemini" } });
        const r = await post("/v1/chat/completions", { model: "some-model", messages });
        assert.equal(r.status, 200, await r.text());
        assert.equal(r.headers.get("x-llm-gateway-model"), "gemini-2.5-flash");
        assert.equal((await s.requests())[0].target, "/v1beta/models/gemini-2.5-flash:generateContent");
    });
});
