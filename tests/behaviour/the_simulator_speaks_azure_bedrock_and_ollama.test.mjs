// The simulator as Azure OpenAI (the official package's client), AWS Bedrock (signed requests, framed events) and Ollama
// (its native lines of JSON): what the tests of those dialects stand on.
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";

import { AzureOpenAI, AuthenticationError, NotFoundError, RateLimitError } from "openai";

import { scope, startSim } from "../support/harness.mjs";

const hello = [{ role: "user", content: "hello there" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const weather = { type: "function", function: { name: "get_weather", parameters } };
const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const hmac = (key, data) => createHmac("sha256", key).update(data).digest();

function crc32(bytes) {
    let crc = ~0;
    for (const byte of bytes) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
    }
    return ~crc >>> 0;
}

/** The frames of an event stream, both checksums compared: [{headers, payload}]. */
function frames(bytes) {
    const list = [];
    for (let at = 0; at < bytes.length; ) {
        const frame = bytes.subarray(at, at + bytes.readUInt32BE(at));
        const headersEnd = 12 + frame.readUInt32BE(4);
        assert.equal(frame.readUInt32BE(8), crc32(frame.subarray(0, 8)));
        assert.equal(frame.readUInt32BE(frame.length - 4), crc32(frame.subarray(0, -4)));
        const headers = {};
        for (let h = 12; h < headersEnd; ) {
            const name = frame.toString("utf8", h + 1, (h += 1 + frame[h]));
            assert.equal(frame[h], 7);
            headers[name] = frame.toString("utf8", h + 3, (h += 3 + frame.readUInt16BE(h + 1)));
        }
        list.push({ headers, payload: JSON.parse(frame.toString("utf8", headersEnd, frame.length - 4)) });
        at += frame.length;
    }
    return list;
}

/** Headers of a request that is signed by AWS's Signature Version 4. */
function sign({ method = "POST", host, path, query = "", body = "", id, secret, region = "us-east-1", service = "bedrock", date = "20261127T080000Z", headers = {} }) {
    const all = { host, "x-amz-date": date, ...headers };
    const names = Object.keys(all).sort();
    const encoded = path.split("/").map(encodeURIComponent).join("/");
    const canonical = [method, encoded, query, ...names.map((n) => `${n}:${all[n]}`), "", names.join(";"), sha256(body)].join("\n");
    const credential = `${date.slice(0, 8)}/${region}/${service}/aws4_request`;
    const key = credential.split("/").reduce(hmac, `AWS4${secret}`);
    const signature = hmac(key, ["AWS4-HMAC-SHA256", date, credential, sha256(canonical)].join("\n")).toString("hex");
    return { ...all, authorization: `AWS4-HMAC-SHA256 Credential=${id}/${credential}, SignedHeaders=${names.join(";")}, Signature=${signature}` };
}

describe("the simulator speaks Azure, Bedrock and Ollama", () => {
    const cleanups = scope();
    let sim;
    before(async () => {
        sim = await startSim(cleanups);
    });
    after(() => cleanups.end());
    beforeEach(() => sim.reset());
    const post = (where, body, headers) => fetch(sim.origin + where, { method: "POST", headers, body: JSON.stringify(body) });

    test("Azure: a deployment answers, whole and streamed, with its filter's words", async () => {
        const client = new AzureOpenAI({ apiKey: "any", endpoint: sim.origin, apiVersion: "2024-10-21", maxRetries: 0 });
        const ask = { model: "gpt-4o", messages: hello };
        const r = await client.chat.completions.create(ask);
        assert.equal(r.choices[0].message.content, "You said: hello there");
        assert.equal(r.choices[0].content_filter_results.hate.filtered, false);
        const chunks = [];
        for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) chunks.push(chunk);
        assert.deepEqual([chunks[0].id, chunks[0].choices, chunks[0].prompt_filter_results.length], ["", [], 1]);
        assert.equal(chunks.map((c) => c.choices[0]?.delta.content ?? "").join(""), "You said: hello there");
        assert.equal((await client.embeddings.create({ model: "e", input: "x" })).data.length, 1);
        await assert.rejects(client.chat.completions.create({ ...ask, model: "m;status=429;retry_after=2" }), RateLimitError);
        await assert.rejects(client.chat.completions.create({ ...ask, model: "missing-x" }), (e) => e instanceof NotFoundError && e.code === "DeploymentNotFound");
        assert.equal((await post("/openai/deployments/gpt-4o/chat/completions", ask)).status, 404);
        const [seen] = await sim.requests();
        assert.equal(seen.headers["api-key"], "any");
        assert.match(seen.target, /^\/openai\/deployments\/gpt-4o\/chat\/completions\?api-version=2024-10-21$/);
    });

    test("Azure: a key that is demanded", async (t) => {
        const safe = await startSim(t, { args: ["--api-key", "right"] });
        const of = (apiKey) => new AzureOpenAI({ apiKey, endpoint: safe.origin, apiVersion: "2024-10-21", maxRetries: 0 }).chat.completions.create({ model: "m", messages: hello });
        assert.equal((await of("right")).object, "chat.completion");
        await assert.rejects(of("wrong"), (e) => e instanceof AuthenticationError && e.code === "401");
    });

    const tool = { toolSpec: { name: "get_weather", inputSchema: { json: parameters } } };
    const converse = (more = {}) => ({ messages: [{ role: "user", content: [{ text: "hello there" }] }], ...more });
    const stream = async (model, body) => frames(Buffer.from(await (await post(`/model/${model}/converse-stream`, body)).arrayBuffer()));

    test("Bedrock: Converse answers and calls tools", async () => {
        const r = await (await post("/model/anthropic.claude%3A0/converse", converse())).json();
        assert.deepEqual(r.output.message, { role: "assistant", content: [{ text: "You said: hello there" }] });
        assert.equal(r.stopReason, "end_turn");
        assert.deepEqual([r.usage.inputTokens, r.usage.outputTokens, r.usage.totalTokens], [5, 4, 9]);
        const toolConfig = { tools: [tool] };
        const call = await (await post("/model/m/converse", converse({ toolConfig }))).json();
        const { toolUse } = call.output.message.content[0];
        assert.equal(call.stopReason, "tool_use");
        assert.deepEqual(toolUse.input, { city: "hello there" });
        const result = { role: "user", content: [{ toolResult: { toolUseId: toolUse.toolUseId, content: [{ json: { sky: "blue" } }] } }] };
        const turns = converse({ toolConfig });
        turns.messages.push(call.output.message, result);
        const last = await (await post("/model/m/converse", turns)).json();
        assert.equal(last.output.message.content[0].text, 'The tool said: {"sky":"blue"}');
        const bad = await post("/model/m/converse", { messages: turns.messages });
        assert.deepEqual([bad.status, bad.headers.get("x-amzn-errortype")], [400, "ValidationException"]);
    });

    test("Bedrock: ConverseStream frames its events, usage after the stop", async () => {
        const list = await stream("m", converse({ toolConfig: { tools: [tool] }, additionalModelRequestFields: { thinking: { type: "enabled" } } }));
        const names = [...new Set(list.map((f) => f.headers[":event-type"]))];
        assert.deepEqual(names, ["messageStart", "contentBlockDelta", "contentBlockStop", "contentBlockStart", "messageStop", "metadata"]);
        const input = list.map((f) => f.payload.delta?.toolUse?.input ?? "").join("");
        assert.deepEqual(JSON.parse(input), { city: "hello there" });
        assert.equal(list.at(-1).payload.usage.inputTokens, 5);
        const text = (await stream("m;chunk=5;flush", converse())).map((f) => f.payload.delta?.text ?? "").join("");
        assert.equal(text, "You said: hello there");
        const broken = await stream("m;error_at=2", converse());
        assert.deepEqual([broken.length, broken[2].headers[":message-type"], broken[2].headers[":exception-type"]], [3, "exception", "modelStreamErrorException"]);
        const limited = await post("/model/m;status=429/converse", converse());
        assert.deepEqual([limited.headers.get("x-amzn-errortype"), Object.keys(await limited.json())], ["ThrottlingException", ["message"]]);
    });

    test("Bedrock: Claude is invoked with its own messages, each of its events in a frame", async () => {
        const body = { anthropic_version: "bedrock-2023-05-31", max_tokens: 99, messages: hello };
        const whole = await (await post("/model/anthropic.claude%3A0/invoke", body)).json();
        assert.deepEqual([whole.model, whole.content[0].text], ["anthropic.claude:0", "You said: hello there"]);
        const list = frames(Buffer.from(await (await post("/model/m/invoke-with-response-stream", body)).arrayBuffer()));
        const events = list.map((f) => JSON.parse(Buffer.from(f.payload.bytes, "base64")));
        assert.deepEqual([list[0].headers[":event-type"], events[0].type, events.at(-1).type], ["chunk", "message_start", "message_stop"]);
        const refused = await post("/model/m/invoke-with-response-stream", { ...body, max_tokens: undefined });
        assert.deepEqual([refused.status, (await refused.json()).message], [400, "max_tokens: Field required"]);
    });

    test("Bedrock: signatures are checked for real", async (t) => {
        const example = sign({ method: "GET", host: "example.amazonaws.com", path: "/", id: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", service: "service", date: "20150830T123600Z" });
        assert.match(example.authorization, /5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31$/); // AWS's own test vector
        const safe = await startSim(t, { args: ["--aws-keys", "AKID:secret/+"] });
        const path = "/model/us.anthropic.claude-x%3A0/converse";
        const body = JSON.stringify(converse());
        const send = async (more = {}, sent = body) => {
            const { host, ...headers } = sign({ host: `127.0.0.1:${safe.port}`, path, body, id: "AKID", secret: "secret/+", ...more });
            const r = await fetch(safe.origin + path + (more.query ? `?${more.query}` : ""), { method: "POST", headers, body: sent });
            return r.status === 200 ? "ok" : `${r.status} ${r.headers.get("x-amzn-errortype")} ${(await r.json()).message}`;
        };
        assert.equal(await send(), "ok");
        assert.equal(await send({ query: "a=1&b=2", headers: { "x-amz-security-token": "token", "x-amz-content-sha256": sha256(body) } }), "ok");
        assert.match(await send({ secret: "other" }), /^403 InvalidSignatureException .* does not match/);
        assert.match(await send({ id: "OTHER" }), /security token/);
        assert.match(await send({}, body.replace("hello", "hullo")), /does not match/);
        assert.match(await send({ path: decodeURIComponent(path) }), /does not match/);
        assert.equal((await fetch(safe.origin + path, { method: "POST", body })).status, 403);
    });

    const lines = async (r) => (await r.text()).trimEnd().split("\n").map((line) => JSON.parse(line));

    test("Ollama: lines of JSON unless the stream is refused, calls whole, errors as text", async () => {
        const streamed = await post("/api/chat", { model: "llama", messages: hello });
        assert.equal(streamed.headers.get("content-type"), "application/x-ndjson");
        const list = await lines(streamed);
        assert.equal(list.map((l) => l.message.content).join(""), "You said: hello there");
        assert.deepEqual([list.at(-1).done, list.at(-1).done_reason, list.at(-1).prompt_eval_count, list.at(-1).eval_count], [true, "stop", 5, 4]);
        const whole = await (await post("/api/chat", { model: "llama", messages: hello, stream: false, think: true })).json();
        assert.equal(whole.message.thinking, "I think about: hello there");
        const [call] = await lines(await post("/api/chat", { model: "llama", messages: hello, tools: [weather] }));
        assert.deepEqual(call.message.tool_calls[0].function.arguments, { city: "hello there" });
        const answered = [...hello, call.message, { role: "tool", tool_name: "get_weather", content: "sunny" }];
        const last = await (await post("/api/chat", { model: "llama", messages: answered, stream: false })).json();
        assert.equal(last.message.content, "The tool said: sunny");
        const missing = await post("/api/chat", { model: "missing-x", messages: hello });
        assert.deepEqual([missing.status, (await missing.json()).error], [404, 'model "missing-x" not found, try pulling it first']);
        assert.equal(typeof (await lines(await post("/api/chat", { model: "m;error_at=1", messages: hello })))[1].error, "string");
        assert.ok((await (await fetch(`${sim.origin}/api/tags`)).json()).models.length > 0);
        assert.equal(await (await fetch(sim.origin)).text(), "Ollama is running");
    });
});
