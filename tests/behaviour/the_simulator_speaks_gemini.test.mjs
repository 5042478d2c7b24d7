// The simulator as Gemini, driven with the official package: what the tests of that dialect stand on.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { ApiError, FunctionCallingConfigMode, GoogleGenAI } from "@google/genai";

import { scope, sse, startSim } from "../support/harness.mjs";

const declaration = (name, properties) => ({ name, parametersJsonSchema: { type: "object", properties, required: Object.keys(properties) } });
const weather = declaration("get_weather", { city: { type: "string" }, days: { type: "integer", minimum: 3 } });
const shell = declaration("shell", { command: { type: "string" } });
const tools = [{ functionDeclarations: [weather, shell] }];

describe("the simulator speaks Gemini", () => {
    const cleanups = scope();
    let sim;
    let client;
    let beta;
    before(async () => {
        sim = await startSim(cleanups);
        client = new GoogleGenAI({ apiKey: "any", httpOptions: { baseUrl: sim.origin } });
        beta = new GoogleGenAI({ apiKey: "any", httpOptions: { baseUrl: sim.origin, apiVersion: "v1beta" } });
    });
    after(() => cleanups.end());
    beforeEach(() => sim.reset());

    const ask = (more = {}) => ({ model: "gemini-2.5-flash", contents: "hello there", ...more });
    const create = (more) => client.models.generateContent(ask(more));
    const stream = async (more) => {
        const chunks = [];
        for await (const chunk of await client.models.generateContentStream(ask(more))) chunks.push(chunk);
        return chunks;
    };
    const partsOf = (response) => response.candidates[0].content.parts;
    const post = (where, body) => fetch(`${sim.origin}/v1beta/models/${where}`, { method: "POST", body: JSON.stringify(body) });
    const contents = [{ role: "user", parts: [{ text: "hello there" }] }];

    test("an answer quotes the question and counts its words", async () => {
        const r = await create({ config: { systemInstruction: "be brief" } });
        assert.equal(r.text, "You said: hello there");
        assert.equal(r.candidates[0].finishReason, "STOP");
        assert.equal(r.modelVersion, "gemini-2.5-flash");
        const { promptTokenCount, candidatesTokenCount, totalTokenCount } = r.usageMetadata;
        assert.deepEqual([promptTokenCount, candidatesTokenCount, totalTokenCount], [10, 4, 14]);
        assert.deepEqual((await beta.models.generateContent(ask({ config: { systemInstruction: "be brief" } }))).usageMetadata, r.usageMetadata);
        const told = await create({ model: "m;prompt_tokens=10;cached_tokens=4;completion_tokens=5;reasoning_tokens=6" });
        assert.equal(told.usageMetadata.cachedContentTokenCount, 4);
        assert.equal(told.usageMetadata.thoughtsTokenCount, 6);
        assert.equal(told.usageMetadata.totalTokenCount, 21);
    });

    test("streams: records with CR LF and alt=sse, else pieces of one JSON array", async () => {
        const chunks = await stream();
        assert.equal(chunks.map((c) => c.text ?? "").join(""), "You said: hello there");
        assert.deepEqual(chunks.map((c) => c.candidates[0].finishReason), [undefined, undefined, undefined, undefined, "STOP"]);
        assert.equal(chunks.at(-1).usageMetadata.totalTokenCount, 9);
        const raw = await (await post("m:streamGenerateContent?alt=sse", { contents })).text();
        assert.match(raw, /^data: \{.*\}\r\n\r\n/);
        assert.ok(raw.endsWith("\r\n\r\n") && !raw.includes("event:") && !raw.includes("[DONE]"));
        const array = await post("m;chunk=7;flush:streamGenerateContent", { contents });
        assert.match(array.headers.get("content-type"), /^application\/json/);
        assert.equal((await array.json()).length, 5);
    });

    test("max tokens cut the answer", async () => {
        const r = await create({ model: "m;tokens=10", config: { maxOutputTokens: 3 } });
        assert.equal(r.candidates[0].finishReason, "MAX_TOKENS");
        assert.equal(r.usageMetadata.candidatesTokenCount, 3);
    });

    test("thoughts are parts of their own, when they are wanted", async () => {
        const config = { thinkingConfig: { includeThoughts: true } };
        const [thought, text] = partsOf(await create({ config }));
        assert.deepEqual([thought.thought, thought.text], [true, "I think about: hello there"]);
        assert.ok(text.thoughtSignature.length > 10);
        const { usageMetadata } = await create({ config });
        assert.deepEqual([usageMetadata.thoughtsTokenCount, usageMetadata.candidatesTokenCount, usageMetadata.totalTokenCount], [5, 4, 14]);
        const chunks = await stream({ config });
        assert.equal(chunks.flatMap(partsOf).filter((p) => p.thought).map((p) => p.text).join(""), thought.text);
    });

    test("functions are called, whole and streamed, and their results quoted", async () => {
        const r = await create({ config: { tools } });
        assert.equal(r.candidates[0].finishReason, "STOP");
        assert.deepEqual(r.functionCalls[0].args, { city: "hello there", days: 3 });
        assert.ok(partsOf(r)[0].thoughtSignature);
        const chunks = await stream({ config: { tools } });
        assert.deepEqual(chunks.flatMap((c) => c.functionCalls ?? []), r.functionCalls);
        const functionResponse = { name: "get_weather", response: { output: "sunny" } };
        const last = await create({ config: { tools }, contents: [...contents, r.candidates[0].content, { role: "user", parts: [{ functionResponse }] }] });
        assert.equal(last.text, 'The tool said: {"output":"sunny"}');
        const off = await create({ config: { tools, toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.NONE } } } });
        assert.equal(off.functionCalls, undefined);
        const forced = await create({ config: { tools, toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY, allowedFunctionNames: ["shell"] } } } });
        assert.equal(forced.functionCalls[0].name, "shell");
    });

    test("a directive names the function and its arguments, and several calls at once", async () => {
        const named = await create({ config: { tools }, contents: 'sim:tool=shell;args={"command":"ls; pwd"};content=I will.' });
        assert.equal(partsOf(named)[0].text, "I will.");
        assert.deepEqual(named.functionCalls[0].args, { command: "ls; pwd" });
        const both = await create({ config: { tools }, contents: "sim:tool=shell;calls=2" });
        assert.deepEqual(both.functionCalls.map((c) => c.name), ["shell", "get_weather"]);
        assert.deepEqual(partsOf(both).map((p) => p.thoughtSignature !== undefined), [true, false]);
        const old = [{ function_declarations: [{ name: "f", parameters: { type: "OBJECT", properties: { n: { type: "INTEGER" } } } }] }];
        const snake = await (await post("m:generateContent", { contents, tools: old })).json();
        assert.deepEqual(snake.candidates[0].content.parts[0].functionCall.args, { n: 1 });
    });

    test("a JSON schema gets an answer that satisfies it", async () => {
        const responseJsonSchema = { type: "object", properties: { kind: { enum: ["a"] } }, required: ["kind"] };
        const r = await create({ config: { responseMimeType: "application/json", responseJsonSchema } });
        assert.deepEqual(JSON.parse(r.text), { kind: "a" });
    });

    test("tokens are counted, texts embedded, models listed", async () => {
        assert.equal((await client.models.countTokens(ask())).totalTokens, 5);
        const { embeddings } = await client.models.embedContent({ model: "gemini-embedding-001", contents: ["a", "b"], config: { outputDimensionality: 8 } });
        assert.deepEqual(embeddings.map((e) => e.values.length), [8, 8]);
        assert.notDeepEqual(embeddings[0].values, embeddings[1].values);
        const one = await (await post("m:embedContent", { content: { parts: [{ text: "a" }] }, outputDimensionality: 8 })).json();
        assert.deepEqual(one.embedding.values, embeddings[0].values);
        const names = [];
        for await (const model of await client.models.list()) names.push(model.name);
        assert.ok(names.includes("models/gemini-2.5-flash"));
        assert.equal((await client.models.get({ model: "gemini-x" })).name, "models/gemini-x");
    });

    test("errors have Google's form, with the time to wait in the body", async () => {
        for (const [status, name] of [[400, "INVALID_ARGUMENT"], [403, "PERMISSION_DENIED"], [404, "NOT_FOUND"], [429, "RESOURCE_EXHAUSTED"], [500, "INTERNAL"], [503, "UNAVAILABLE"]]) {
            await assert.rejects(create({ model: `m;status=${status}` }), (e) => e instanceof ApiError && e.status === status && e.message.includes(name));
        }
        const limited = await post("m;status=429;retry_after=34:generateContent", { contents });
        assert.equal(limited.headers.get("retry-after"), null);
        const { error } = await limited.json();
        assert.deepEqual(error.details, [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "34s" }]);
        await assert.rejects(create({ model: "missing-x" }), (e) => e.status === 404);
        const raw = await (await post("m;error_at=2:streamGenerateContent?alt=sse", { contents })).text();
        const events = [];
        for await (const e of sse(raw)) events.push(JSON.parse(e.data));
        assert.deepEqual([events.length, events.at(-1).error.code], [3, 500]);
        const array = await (await post("m;error_at=2:streamGenerateContent", { contents })).json();
        assert.equal(array.at(-1).error.status, "INTERNAL");
        await assert.rejects(stream({ model: "m;tokens=9;reset_at=c4" }));
    });

    test("what the real API refuses is refused", async () => {
        const call = { functionCall: { name: "shell", args: {} } };
        const response = { role: "user", parts: [{ functionResponse: { name: "shell", response: {} } }] };
        const bad = {
            "contents is not specified": { contents: [] },
            'Unknown name "stream"': { contents, stream: true },
            'Unknown name "max_tokens" at': { contents, generationConfig: { max_tokens: 3 } },
            "must not be empty": { contents: [{ role: "user", parts: [] }] },
            "valid role": { contents: [{ role: "assistant", parts: [{ text: "x" }] }] },
            "number of function response parts": { contents: [...contents, { role: "model", parts: [call] }, ...contents] },
            "end with a user role": { contents: [...contents, { role: "model", parts: [{ text: "x" }] }] },
        };
        for (const [message, body] of Object.entries(bad)) {
            const r = await post("m:generateContent", body);
            assert.equal(r.status, 400, message);
            assert.ok((await r.json()).error.message.includes(message), message);
        }
        const signed = async (thoughtSignature) => {
            const r = await post("gemini-3-pro:generateContent", { contents: [...contents, { role: "model", parts: [{ ...call, thoughtSignature }] }, response] });
            return r.status === 200 ? "" : (await r.json()).error.message;
        };
        assert.match(await signed(undefined), /missing a thought_signature/);
        assert.match(await signed("Zm9yZWlnbg=="), /Corrupted thought signature/);
        assert.equal(await signed("skip_thought_signature_validator"), "");
    });

    test("a key that is demanded, in the header or in the query", async (t) => {
        const safe = await startSim(t, { args: ["--api-key", "right"] });
        const of = (apiKey) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: safe.origin } }).models.generateContent(ask());
        assert.equal((await of("right")).candidates.length, 1);
        await assert.rejects(of("wrong"), (e) => e.status === 400 && e.message.includes("API_KEY_INVALID"));
        assert.equal((await fetch(`${safe.origin}/v1beta/models?a=b&key=right`)).status, 200);
    });

    test("Vertex's paths: its own models and Anthropic's; the exact request can be read back", async () => {
        const at = `${sim.origin}/v1/projects/p/locations/l/publishers`;
        const send = (where, body) => fetch(`${at}/${where}`, { method: "POST", body: JSON.stringify(body) });
        assert.equal((await (await send("google/models/gemini-x:generateContent", { contents })).json()).modelVersion, "gemini-x");
        const claude = { anthropic_version: "vertex-2023-10-16", max_tokens: 9, messages: [{ role: "user", content: "hi" }] };
        assert.equal((await (await send("anthropic/models/claude@1:rawPredict", claude)).json()).model, "claude@1");
        assert.match(await (await send("anthropic/models/claude@1:streamRawPredict", { ...claude, stream: true })).text(), /event: message_stop/);
        await create();
        const seen = (await sim.requests()).at(-1);
        assert.equal(seen.target, "/v1/models/gemini-2.5-flash:generateContent"); // v1 is the package's default
        assert.equal(seen.headers["x-goog-api-key"], "any");
        assert.deepEqual(seen.json.contents, contents);
    });
});
