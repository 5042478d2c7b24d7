// The simulator as Anthropic, driven with the official package: what the tests of that dialect stand on.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

import { RawClient, eventually, scope, sse, startSim } from "../support/harness.mjs";

const hello = [{ role: "user", content: "hello there" }];
const ask = (more = {}) => ({ model: "claude-opus-5", max_tokens: 100, messages: hello, ...more });
const tool = (name, properties, required = Object.keys(properties)) => ({
    name,
    input_schema: { type: "object", properties, required },
});
const weather = tool("get_weather", { city: { type: "string" }, days: { type: "integer", minimum: 3 } });
const shell = tool("shell", { command: { type: "string" } });

describe("the simulator speaks Anthropic", () => {
    const cleanups = scope();
    let sim;
    let client;
    before(async () => {
        sim = await startSim(cleanups);
        client = new Anthropic({ apiKey: "sk-any", baseURL: sim.origin, maxRetries: 0 });
    });
    after(() => cleanups.end());
    beforeEach(() => sim.reset());

    const post = (body, headers = {}) =>
        fetch(`${sim.base}/messages`, { method: "POST", headers: { "anthropic-version": "2023-06-01", ...headers }, body: JSON.stringify(body) });

    test("a message quotes the question and counts its words", async () => {
        const { data, response } = await client.messages.create(ask({ system: "be brief" })).withResponse();
        assert.deepEqual(data.content, [{ type: "text", text: "You said: hello there" }]);
        assert.equal(data.stop_reason, "end_turn");
        assert.equal(data.model, "claude-opus-5");
        assert.equal(data.usage.input_tokens, 10);
        assert.equal(data.usage.output_tokens, 4);
        assert.match(response.headers.get("request-id"), /^req_[0-9a-f]{16}$/);
        assert.equal(response.headers.get("x-request-id"), null);
    });

    test("usage is reported as told, cache reads and writes apart", async () => {
        const model = "claude;prompt_tokens=11;cached_tokens=22;cache_write_tokens=33;completion_tokens=44;reasoning_tokens=5";
        const { usage } = await client.messages.create(ask({ model }));
        const { usage: streamed } = await client.messages.stream(ask({ model })).finalMessage();
        for (const u of [usage, streamed]) {
            assert.equal(u.input_tokens, 11);
            assert.equal(u.cache_read_input_tokens, 22);
            assert.equal(u.cache_creation_input_tokens, 33);
            assert.equal(u.output_tokens, 44);
            assert.equal(u.output_tokens_details.thinking_tokens, 5);
        }
    });

    test("max_tokens cuts the answer; zero answers nothing", async () => {
        const r = await client.messages.create(ask({ model: "m;tokens=10", max_tokens: 3 }));
        assert.equal(r.stop_reason, "max_tokens");
        assert.equal(r.usage.output_tokens, 3);
        assert.deepEqual((await client.messages.create(ask({ max_tokens: 0 }))).content, []);
    });

    test("a stream has all events, in order, each with its name, and the same text", async () => {
        const names = [];
        for await (const e of sse(await post(ask({ stream: true })))) {
            assert.equal(e.event, JSON.parse(e.data).type);
            names.push(e.event);
        }
        const deltas = Array(4).fill("content_block_delta");
        assert.deepEqual(names, ["message_start", "content_block_start", "ping", ...deltas, "content_block_stop", "message_delta", "message_stop"]);
        const final = await client.messages.stream(ask()).finalMessage();
        const whole = await client.messages.create(ask());
        assert.deepEqual(final.content, whole.content);
        assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
        const cut = await (await post(ask({ model: "m;no_done", stream: true }))).text();
        assert.match(cut, /event: message_delta\n.*\n\n$/);
    });

    test("thinking comes first, with a signature, when it is enabled", async () => {
        const more = { max_tokens: 2000, thinking: { type: "enabled", budget_tokens: 1024 } };
        const whole = await client.messages.create(ask(more));
        assert.deepEqual(whole.content.map((b) => b.type), ["thinking", "text"]);
        assert.equal(whole.content[0].thinking, "I think about: hello there");
        assert.ok(whole.content[0].signature.length > 10);
        assert.equal(whole.usage.output_tokens, 9);
        assert.equal(whole.usage.output_tokens_details.thinking_tokens, 5);
        const final = await client.messages.stream(ask(more)).finalMessage();
        assert.deepEqual(final.content, whole.content);
        const adaptive = await client.messages.create(ask({ thinking: { type: "adaptive" } }));
        assert.equal(adaptive.content[0].type, "thinking");
        assert.equal((await client.messages.create(ask({ model: "m;reasoning=hm" }))).content[0].thinking, "hm");
    });

    test("a tool is called, its result is quoted, whole and streamed", async () => {
        const call = await client.messages.create(ask({ tools: [weather] }));
        assert.equal(call.stop_reason, "tool_use");
        assert.deepEqual(call.content[0].input, { city: "hello there", days: 3 });
        const streamed = await client.messages.stream(ask({ tools: [weather] })).finalMessage();
        assert.deepEqual(streamed.content[0].input, call.content[0].input);
        const last = await client.messages.create(
            ask({
                tools: [weather],
                messages: [
                    ...hello,
                    { role: "assistant", content: call.content },
                    { role: "user", content: [{ type: "tool_result", tool_use_id: call.content[0].id, content: [{ type: "text", text: "sunny" }] }] },
                ],
            }),
        );
        assert.equal(last.content[0].text, "The tool said: sunny");
        const none = await client.messages.create(ask({ tools: [weather], tool_choice: { type: "none" } }));
        assert.equal(none.content[0].type, "text");
    });

    test("a directive names the tool and its arguments, and several calls at once", async () => {
        const say = (content, more) => client.messages.create(ask({ tools: [weather, shell], messages: [{ role: "user", content }], ...more }));
        const args = { command: 'echo "a; b" }', list: [1, { x: ";" }] };
        const named = await say(`please do\nsim:tool=shell;args=${JSON.stringify(args)};content=I will.\nthanks`);
        assert.deepEqual(named.content.map((b) => b.type), ["text", "tool_use"]);
        assert.equal(named.content[0].text, "I will.");
        assert.equal(named.content[1].name, "shell");
        assert.deepEqual(named.content[1].input, args);
        const both = await say([{ type: "text", text: "first" }, { type: "text", text: "sim:tool=shell;calls=2" }]);
        assert.deepEqual(both.content.map((b) => b.name), ["shell", "get_weather"]);
        assert.equal(new Set(both.content.map((b) => b.id)).size, 2);
        assert.equal((await say("sim:tool=none")).content[0].type, "text");
        assert.equal((await say("sim:tool=shell", { tools: undefined })).content[0].type, "text");
        const use = { type: "tool_use", id: "toolu_1", name: "shell", input: {} };
        const after = async (content) => {
            const result = { type: "tool_result", tool_use_id: "toolu_1", content };
            const messages = [...hello, { role: "assistant", content: [use] }, { role: "user", content: [result] }];
            return (await client.messages.create(ask({ tools: [shell], messages }))).content[0];
        };
        assert.equal((await after("sim:tool=shell")).type, "tool_use"); // a result that begins so goes on with another call
        assert.equal((await after("a file with\nsim:tool=shell")).text, "The tool said: a file with\nsim:tool=shell");
        const broken = await client.messages.stream(ask({ tools: [shell], messages: [{ role: "user", content: "sim:tool=shell;args=" }] })).finalMessage();
        assert.deepEqual(broken.content[0].input, {});
    });

    test("with --only-told-tools nothing is called that was not demanded", async (t) => {
        const calm = await startSim(t, { args: ["--only-told-tools"] });
        const say = async (content, more) => {
            const body = ask({ tools: [weather, shell], messages: [{ role: "user", content }], ...more });
            const r = await new Anthropic({ apiKey: "any", baseURL: calm.origin, maxRetries: 0 }).messages.create(body);
            return r.content[0].name;
        };
        assert.equal(await say("hello"), undefined);
        assert.equal(await say("sim:tool=shell"), "shell");
        assert.equal(await say("hello", { tool_choice: { type: "any" } }), "get_weather");
        assert.equal(await say("hello", { tool_choice: { type: "tool", name: "shell" } }), "shell");
    });

    test("a script plays an agent's turns: a call, another one after its result, then the end", async () => {
        await sim.script({ tool: "shell", args: { command: "ls" } }, { tool: "shell", args: { command: "pwd" } }, { content: "done" });
        const messages = [...hello];
        const seen = [];
        for (let turn = 0; turn < 3; turn++) {
            const r = await client.messages.create(ask({ tools: [shell], messages }));
            const call = r.content.find((b) => b.type === "tool_use");
            seen.push(call?.input.command ?? r.content[0].text);
            if (!call) break;
            messages.push({ role: "assistant", content: r.content }, { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "ok" }] });
        }
        assert.deepEqual(seen, ["ls", "pwd", "done"]);
    });

    test("a JSON schema gets an answer that satisfies it", async () => {
        const schema = { type: "object", properties: { score: { type: "number" }, kind: { enum: ["a", "b"] } }, required: ["score", "kind"], additionalProperties: false };
        const r = await client.messages.create(ask({ output_config: { format: { type: "json_schema", schema } } }));
        assert.deepEqual(JSON.parse(r.content[0].text), { score: 1.5, kind: "a" });
    });

    test("tokens are counted, models are listed, and HEAD / answers", async () => {
        assert.equal((await client.messages.countTokens({ model: "m", messages: hello })).input_tokens, 5);
        const ids = [];
        for await (const model of client.models.list()) ids.push(model.id);
        assert.ok(ids.includes("claude-opus-5"));
        assert.equal((await client.models.retrieve("claude-x")).type, "model");
        await assert.rejects(client.models.retrieve("missing-x"), Anthropic.NotFoundError);
        const raw = await RawClient.connect(sim.port);
        await raw.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n");
        await raw.until((text) => text.includes('"ok"'));
        assert.equal(raw.text.split("HTTP/1.1 200 OK").length, 3);
        assert.ok(!raw.text.includes("Ollama is running"));
        raw.close();
    });

    test("each status raises its typed exception with Anthropic's error type", async () => {
        const typed = [
            [400, Anthropic.BadRequestError, "invalid_request_error"],
            [401, Anthropic.AuthenticationError, "authentication_error"],
            [403, Anthropic.PermissionDeniedError, "permission_error"],
            [404, Anthropic.NotFoundError, "not_found_error"],
            [413, Anthropic.APIError, "request_too_large"],
            [429, Anthropic.RateLimitError, "rate_limit_error"],
            [500, Anthropic.InternalServerError, "api_error"],
            [529, Anthropic.InternalServerError, "overloaded_error"],
        ];
        for (const [status, type, name] of typed) {
            await assert.rejects(client.messages.create(ask({ model: `m;status=${status};retry_after=7` })), (e) => {
                assert.ok(e instanceof type, `${status}`);
                assert.equal(e.error.type, "error");
                assert.equal(e.error.error.type, name);
                assert.equal(e.headers.get("retry-after"), "7");
                return /^req_/.test(e.requestID);
            });
        }
    });

    test("the package's own retry gets past a scripted 529", async () => {
        await sim.script({ status: 529, path: "/v1/messages" });
        const patient = new Anthropic({ apiKey: "sk-any", baseURL: sim.origin, maxRetries: 1 });
        assert.equal((await patient.messages.create(ask({ model: "m" }))).stop_reason, "end_turn");
        assert.equal((await sim.requests()).length, 2);
    });

    test("what the real API refuses is refused", async () => {
        const id = { tool_use_id: "toolu_1", type: "tool_result", content: "x" };
        const use = { type: "tool_use", id: "toolu_1", name: "shell", input: {} };
        const bad = {
            "max_tokens: Field required": { max_tokens: undefined },
            "messages: Field required": { messages: undefined },
            "at least one message": { messages: [] },
            "model: Field required": { model: undefined },
            "text content blocks must be non-empty": { messages: [{ role: "user", content: [{ type: "text", text: "" }] }] },
            "Input should be 'user' or 'assistant'": { messages: [{ role: "tool", content: "x" }] },
            "unexpected `tool_use_id`": { messages: [...hello, { role: "user", content: [id] }] },
            "without `tool_result` blocks": { messages: [...hello, { role: "assistant", content: [use] }, ...hello] },
            "valid dictionary": { messages: [...hello, { role: "assistant", content: [{ ...use, input: "{}" }] }] },
            "greater than or equal to 1024": { thinking: { type: "enabled", budget_tokens: 10 } },
            "must be greater than": { thinking: { type: "enabled", budget_tokens: 1024 } },
            "forces tool use": { thinking: { type: "adaptive" }, tools: [shell], tool_choice: { type: "any" } },
        };
        for (const [message, more] of Object.entries(bad)) {
            const r = await post(ask(more));
            const body = await r.json();
            assert.equal(r.status, 400, message);
            assert.equal(body.error.type, "invalid_request_error");
            assert.ok(body.error.message.includes(message), body.error.message);
        }
        for (const [version, status] of [["2023-06-01", 200], ["2026-10-21", 400], ["2023-06-01", 200]]) {
            assert.equal((await post(ask({ temperature: 1 }), { "anthropic-version": version })).status, status);
        }
        assert.equal((await fetch(`${sim.base}/messages`, { method: "POST", body: JSON.stringify(ask()) })).status, 400);
        assert.equal((await fetch(`${sim.base}/messages`, { headers: { "anthropic-version": "2023-06-01" } })).status, 405);
    });

    test("a key that is demanded", async (t) => {
        const safe = await startSim(t, { args: ["--api-key", "sk-right"] });
        const of = (apiKey) => new Anthropic({ apiKey, baseURL: safe.origin, maxRetries: 0 });
        assert.equal((await of("sk-right").messages.create(ask())).type, "message");
        await assert.rejects(of("sk-wrong").messages.create(ask()), Anthropic.AuthenticationError);
        const get = (headers) => fetch(`${safe.base}/models`, { headers: { "anthropic-version": "2023-06-01", ...headers } });
        assert.equal((await get({ "x-api-key": "sk-right" })).status, 200);
        const refused = await get({ "x-api-key": "sk-wrong" });
        assert.deepEqual([refused.status, (await refused.json()).error.message], [401, "invalid x-api-key"]);
    });

    test("errors, breaks and stalls inside a stream", async () => {
        const read = async (model) => {
            let text = "";
            for await (const e of await client.messages.create(ask({ model, stream: true }))) text += e.delta?.text ?? "";
            return text;
        };
        await assert.rejects(read("m;tokens=5;error_at=5"), (e) => e.error.error.type === "overloaded_error");
        await assert.rejects(read("m;tokens=5;reset_at=c4"));
        assert.equal((await read("m;tokens=5;chunk=3;flush;crlf;comments=2")).length, 30);
        const stream = await client.messages.create(ask({ model: "m;stall_at=c4", stream: true }));
        for await (const e of stream) if (e.type === "content_block_delta") break;
        await eventually(async () => (await sim.requests()).some((r) => r.client_gone), "the record of the client's leaving");
        const malformed = await (await post(ask({ model: "m;malformed=json" }))).text();
        assert.throws(() => JSON.parse(malformed));
    });

    test("the exact request can be read back", async () => {
        await client.messages.create(ask({ messages: [{ role: "user", content: "grüße" }] }), { headers: { "anthropic-beta": "a,b" } });
        const [r] = await sim.requests();
        assert.equal(r.method, "POST");
        assert.equal(r.path, "/v1/messages");
        assert.equal(r.headers.authorization, "Bearer sk-any"); // the package sends its key so, not as x-api-key
        assert.equal(r.headers["anthropic-version"].length, 10);
        assert.equal(r.headers["anthropic-beta"], "a,b");
        assert.equal(r.json.messages[0].content, "grüße");
        assert.equal(r.bytes.length, Number(r.headers["content-length"]));
    });
});
