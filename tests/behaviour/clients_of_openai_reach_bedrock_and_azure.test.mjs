// The openai package in front, AWS Bedrock (signed requests, framed events) and Azure OpenAI (deployments in the path)
// behind: whole answers, streams, tools, errors; and what the configuration refuses.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import OpenAI from "openai";

import { startGateway, startSim } from "../support/harness.mjs";

const messages = [{ role: "user", content: "hello there" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "get_weather", description: "Says it.", parameters } }];
const model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

async function world(t, provider, simOptions) {
    const sim = await startSim(t, simOptions);
    const config = `
providers:
  cloud: ${provider(sim)}
models:
  m: {targets: [[{provider: cloud, model: "${model}"}]]}
  "*": {targets: [[{provider: cloud}]]}
`;
    const gateway = await startGateway(t, { config, env: { ENABLE_PROMPT_CACHE: "false" } });
    const { api_key } = await gateway.createTenant({ rate_limit: 100000 });
    const client = new OpenAI({ apiKey: api_key, baseURL: `${gateway.origin}/v1`, maxRetries: 0 });
    const chat = (more = {}) => client.chat.completions.create({ model: "m", messages, ...more });
    return { sim, gateway, client, chat, key: api_key };
}

const bedrock = (keys) => (sim) => `{dialect: bedrock, region: eu-west-1, base_url: "${sim.origin}", keys: [${keys.map((k) => `"${k}"`).join(", ")}]}`;
const signed = { args: ["--aws-keys", "AKID:secret/+"] };

async function gather(stream) {
    const seen = { text: "", calls: [], finish: null, usage: null, ids: new Set(), models: new Set() };
    for await (const chunk of stream) {
        seen.ids.add(chunk.id);
        seen.models.add(chunk.model);
        seen.usage ??= chunk.usage;
        const choice = chunk.choices[0];
        seen.text += choice?.delta.content ?? "";
        seen.finish ??= choice?.finish_reason;
        for (const call of choice?.delta.tool_calls ?? []) {
            const at = (seen.calls[call.index] ??= { id: call.id, name: call.function.name, arguments: "" });
            at.arguments += call.function.arguments ?? "";
        }
    }
    return seen;
}

describe("clients of OpenAI's dialect reach Bedrock", () => {
    test("what fails below /passthrough/ of it is an error like others", async (t) => {
        const { gateway, key } = await world(t, () => '{dialect: bedrock, region: eu-west-1, base_url: "http://127.0.0.1:9", keys: ["AKID:secret/+"]}');
        const r = await fetch(`${gateway.origin}/passthrough/cloud/model/m/converse`, { method: "POST", headers: { "x-api-key": key, "content-type": "application/json" }, body: "{}" });
        assert.equal(r.status, 502);
        assert.match((await r.json()).error.message, /connection/);
    });

    test("whole and streamed, each request signed; the model is in the path", async (t) => {
        const { sim, gateway, client, chat } = await world(t, bedrock(["AKID:secret/+"]), signed);
        const { data: r, response } = await client.chat.completions.create({ model: "m", messages, max_tokens: 50, temperature: 0.5, stop: ["x"] }).withResponse();
        assert.equal(r.choices[0].message.content, "You said: hello there");
        assert.equal(r.choices[0].finish_reason, "stop");
        assert.deepEqual([r.usage.prompt_tokens, r.usage.completion_tokens, r.usage.total_tokens], [5, 4, 9]);
        assert.ok(r.id && r.model === model, JSON.stringify(r));
        const row = await gateway.row(response);
        assert.deepEqual([row.status, row.provider, row.model], ["success", "cloud", model]);
        const seen = await gather(await chat({ stream: true, stream_options: { include_usage: true } }));
        assert.deepEqual([seen.text, seen.finish, seen.usage.total_tokens], ["You said: hello there", "stop", 9]);
        assert.deepEqual([seen.ids.size, [...seen.models]], [1, [model]]);
        const [first, second] = await sim.requests();
        assert.equal(first.target, `/model/${encodeURIComponent(model)}/converse`);
        assert.equal(second.target, `/model/${encodeURIComponent(model)}/converse-stream`);
        assert.match(first.headers.authorization, /^AWS4-HMAC-SHA256 Credential=AKID\/\d{8}\/eu-west-1\/bedrock\/aws4_request, SignedHeaders=host;x-amz-date, /);
        const sent = JSON.parse(first.body);
        assert.deepEqual(sent, { messages: [{ role: "user", content: [{ text: "hello there" }] }], inferenceConfig: { maxTokens: 50, temperature: 0.5, stopSequences: ["x"] } });
    });

    test("a session's token is sent and signed; a key of one word is a Bearer token", async (t) => {
        const { sim, chat } = await world(t, bedrock(["AKID:secret/+:c2Vzc2lvbg=="]), signed);
        assert.equal((await chat()).choices[0].message.content, "You said: hello there");
        const [seen] = await sim.requests();
        assert.equal(seen.headers["x-amz-security-token"], "c2Vzc2lvbg==");
        assert.match(seen.headers.authorization, /SignedHeaders=host;x-amz-date;x-amz-security-token,/);
        const word = await world(t, bedrock(["api-key-of-bedrock"]));
        assert.equal((await word.chat()).choices[0].message.content, "You said: hello there");
        const [plain] = await word.sim.requests();
        assert.equal(plain.headers.authorization, "Bearer api-key-of-bedrock");
        assert.equal(plain.headers["x-amz-date"], undefined);
    });

    test("tools: called, answered, streamed", async (t) => {
        const { sim, chat } = await world(t, bedrock(["AKID:secret/+"]), signed);
        const r = await chat({ tools });
        const [call] = r.choices[0].message.tool_calls;
        assert.equal(r.choices[0].finish_reason, "tool_calls");
        assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ["get_weather", { city: "hello there" }]);
        const turns = [...messages, r.choices[0].message, { role: "tool", tool_call_id: call.id, content: "blue sky" }];
        const last = await chat({ tools, messages: turns });
        assert.equal(last.choices[0].message.content, "The tool said: blue sky");
        const bare = await chat({ messages: turns }); // a history with calls needs its tools
        assert.equal(bare.choices[0].finish_reason.length > 0, true);
        const seen = await gather(await chat({ tools, stream: true }));
        assert.equal(seen.finish, "tool_calls");
        assert.deepEqual([seen.calls[0].name, JSON.parse(seen.calls[0].arguments)], ["get_weather", { city: "hello there" }]);
        const sent = JSON.parse((await sim.requests())[1].body);
        assert.deepEqual(sent.messages.map((m) => m.role), ["user", "assistant", "user"]);
        assert.deepEqual(sent.messages[2].content, [{ toolResult: { toolUseId: call.id, content: [{ text: "blue sky" }] } }]);
    });

    test("a schema for the answer", async (t) => {
        const { chat } = await world(t, bedrock(["AKID:secret/+"]), signed);
        const response_format = { type: "json_schema", json_schema: { name: "place", schema: parameters } };
        const r = await chat({ response_format });
        assert.deepEqual(JSON.parse(r.choices[0].message.content), { city: "hello there" });
        assert.deepEqual([r.choices[0].finish_reason, r.choices[0].message.tool_calls], ["stop", undefined]);
        const seen = await gather(await chat({ response_format, stream: true }));
        assert.deepEqual([JSON.parse(seen.text), seen.finish], [{ city: "hello there" }, "stop"]);
    });

    test("what the prompt's cache read and wrote is told", async (t) => {
        const { client } = await world(t, bedrock(["AKID:secret/+"]), signed);
        const r = await client.chat.completions.create({ model: "m", messages: [{ role: "user", content: "sim:cached_tokens=7;cache_write_tokens=3" }] });
        assert.equal(r.usage.prompt_tokens_details.cached_tokens, 7);
        assert.equal(r.usage.total_tokens - r.usage.completion_tokens, r.usage.prompt_tokens);
    });

    test("errors: the client's, the key's, the limit's, inside a stream, a cut stream, broken frames", async (t) => {
        const { sim, chat } = await world(t, bedrock(["AKID:secret/+"]), signed);
        const fails = async (entry, status, more) => {
            await sim.reset();
            await sim.script([{ ...entry, times: 0 }]);
            await assert.rejects(async () => gatherOrNot(await chat(more)), (e) => e.status === status || (status === null && e.status === undefined), JSON.stringify(entry));
        };
        const gatherOrNot = async (r) => (r.choices ? r : gather(r));
        await fails({ status: 400 }, 400);
        await fails({ status: 403 }, 502);
        await fails({ status: 500 }, 500);
        await fails({ error_at: 2 }, null, { stream: true });
        await fails({ tokens: 8, close_at: "c3" }, null, { stream: true });
        await sim.reset();
        await sim.script([{ status: 503 }]);
        assert.equal((await chat()).choices[0].message.content, "You said: hello there");
        const wrong = await world(t, bedrock(["AKID:other", "AKID:secret/+"]), signed);
        for (let i = 0; i < 8; i++) assert.equal((await wrong.chat()).choices[0].finish_reason, "stop"); // the good key takes over
    });

    test("no part of a key comes back in a provider's words", async (t) => {
        const { sim, chat } = await world(t, bedrock(["AKIDEXAMPLE1:secret/secret+:c2Vzc2lvbi10b2tlbg=="]));
        await sim.script([{ status: 400, message: "should have been x-amz-security-token:c2Vzc2lvbi10b2tlbg== by AKIDEXAMPLE1", times: 0 }]);
        await assert.rejects(chat(), (e) => e.status === 400 && /x-amz-security-token:\*+ by \*+/.test(e.message), "hidden");
    });

    test("the configuration is strict", async (t) => {
        for (const [provider, words] of [
            ["{dialect: bedrock, keys: [\"A:B\"]}", /region is missing/],
            ["{dialect: bedrock, region: \"us east\", keys: [\"A:B\"]}", /region is missing or not accepted/],
            ["{dialect: bedrock, region: us-east-1}", /keys are missing/],
            ["{dialect: bedrock, region: us-east-1, keys: [\":B\"]}", /key 1 is not accepted/],
            ["{dialect: openai, region: us-east-1, base_url: \"http://127.0.0.1:9/v1\"}", /region is for the dialect bedrock/],
            ["{dialect: anthropic, api_version: 2024-10-21, base_url: \"http://127.0.0.1:9/v1\"}", /api_version is for the dialect openai/],
            ["{dialect: openai, api_version: yesterday, base_url: \"http://127.0.0.1:9/v1\"}", /api_version is for the dialect openai/],
        ]) {
            await assert.rejects(startGateway(t, { config: `providers:\n  cloud: ${provider}\n` }), (e) => words.test(e.message), provider);
        }
    });
});

const azure = (more) => (sim) => `{dialect: openai, base_url: "${sim.origin}${more.base ?? ""}", api_version: ${more.version ?? "2024-10-21"}, keys: ["azure-key"]}`;

describe("clients of OpenAI's dialect reach Azure's deployments", () => {
    test("whole, streamed, embedded; the deployment is in the path and the key has its own header", async (t) => {
        const { sim, gateway, client } = await world(t, azure({}), { args: ["--api-key", "azure-key"] });
        const ask = { model: "my-gpt-4o", messages };
        const { data: r, response } = await client.chat.completions.create(ask).withResponse();
        assert.equal(r.choices[0].message.content, "You said: hello there");
        assert.equal((await gateway.row(response)).model, "my-gpt-4o");
        const seen = await gather(await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } }));
        assert.deepEqual([seen.text, seen.finish], ["You said: hello there", "stop"]);
        assert.equal((await client.embeddings.create({ model: "my-ada", input: "x" })).data.length, 1);
        const list = await sim.requests();
        assert.deepEqual(list.map((q) => q.target), [
            "/openai/deployments/my-gpt-4o/chat/completions?api-version=2024-10-21",
            "/openai/deployments/my-gpt-4o/chat/completions?api-version=2024-10-21",
            "/openai/deployments/my-ada/embeddings?api-version=2024-10-21",
        ]);
        for (const q of list) assert.deepEqual([q.headers["api-key"], q.headers.authorization], ["azure-key", undefined]);
    });

    test("base URLs with the path, and the newer form; an old version is asked for no usage", async (t) => {
        for (const [more, target, asks] of [
            [{ base: "/openai" }, "/openai/deployments/d/chat/completions?api-version=2024-10-21", true],
            [{ base: "/openai/deployments", version: "2024-06-01" }, "/openai/deployments/d/chat/completions?api-version=2024-06-01", false],
            [{ base: "/openai/v1", version: "preview" }, "/openai/v1/chat/completions?api-version=preview", true],
        ]) {
            const { sim, client } = await world(t, azure(more));
            const seen = await gather(await client.chat.completions.create({ model: "d", messages, stream: true }));
            assert.equal(seen.text, "You said: hello there");
            const [q] = await sim.requests();
            assert.equal(q.target, target);
            assert.equal(JSON.parse(q.body).stream_options !== undefined, asks);
        }
    });

    test("errors in Azure's words", async (t) => {
        const { client } = await world(t, azure({}));
        const of = (name) => client.chat.completions.create({ model: name, messages });
        await assert.rejects(of("missing-x"), (e) => e.status >= 400);
        await assert.rejects(of("m;status=429;retry_after=2"), (e) => e.status === 429);
        await assert.rejects(of("m;status=400"), (e) => e.status === 400);
        const refused = await world(t, azure({}), { args: ["--api-key", "another"] });
        await assert.rejects(refused.client.chat.completions.create({ model: "d", messages }), (e) => e.status === 502);
    });
});
