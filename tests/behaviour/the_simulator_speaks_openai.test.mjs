// The provider simulator, driven with the official package: what the other behaviour tests stand on.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import https from "node:https";
import { after, before, beforeEach, describe, test } from "node:test";

import OpenAI from "openai";

import { RawClient, certificate, eventually, exchange, fixture, floatsOf, scope, sse, startSim, tempDir } from "../support/harness.mjs";

const hello = [{ role: "user", content: "hello there" }];
const weather = {
    type: "function",
    function: {
        name: "get_weather",
        parameters: {
            type: "object",
            properties: { city: { type: "string" }, days: { type: "integer", minimum: 3 }, note: { type: "string" } },
            required: ["city", "days"],
        },
    },
};

describe("the simulator speaks OpenAI", () => {
    let sim;
    let client;
    const cleanups = scope();
    before(async () => {
        sim = await startSim(cleanups);
        client = new OpenAI({ apiKey: "sk-any", baseURL: sim.base, maxRetries: 0 });
    });
    after(() => cleanups.end());
    beforeEach(() => sim.reset());

    const post = (body, where = "/chat/completions") => fetch(sim.base + where, { method: "POST", body: JSON.stringify(body) });

    test("a chat completion echoes the question and counts its words", async () => {
        const r = await client.chat.completions.create({ model: "gpt-4o-mini", messages: hello });
        assert.equal(r.choices[0].message.content, "You said: hello there");
        assert.equal(r.choices[0].finish_reason, "stop");
        assert.equal(r.model, "gpt-4o-mini");
        assert.equal(r.usage.prompt_tokens, 5);
        assert.equal(r.usage.completion_tokens, 4);
        assert.equal(r.usage.total_tokens, 9);
        assert.match(r._request_id, /^req_[0-9a-f]{16}$/);
    });

    test("max_tokens cuts the answer and finishes with length", async () => {
        const r = await client.chat.completions.create({ model: "m;tokens=10", messages: hello, max_completion_tokens: 3 });
        assert.equal(r.choices[0].finish_reason, "length");
        assert.equal(r.usage.completion_tokens, 3);
    });

    test("a stream has the same text; usage comes only when it was asked for", async () => {
        for (const asked of [false, true]) {
            const stream = await client.chat.completions.create({
                model: "gpt-4o-mini",
                messages: hello,
                stream: true,
                ...(asked ? { stream_options: { include_usage: true } } : {}),
            });
            let text = "";
            const usages = [];
            for await (const chunk of stream) {
                text += chunk.choices[0]?.delta?.content ?? "";
                if (chunk.usage) usages.push(chunk.usage);
                assert.equal("usage" in chunk, asked);
            }
            assert.equal(text, "You said: hello there");
            assert.deepEqual(usages.map((u) => u.total_tokens), asked ? [9] : []);
        }
    });

    test("usage can be missing, in the last chunk, on every chunk or Groq's", async () => {
        const usages = async (mode) => {
            const r = await post({ model: `m;usage=${mode}`, messages: hello, stream: true });
            const chunks = [];
            for await (const e of sse(r)) if (e.data !== "[DONE]") chunks.push(JSON.parse(e.data));
            return chunks.map((c) => (c.usage ? "u" : c.x_groq?.usage ? "x" : "-") + (c.choices.length === 0 ? "e" : "c")).join(" ");
        };
        assert.equal(await usages("none"), "-c -c -c -c -c -c");
        assert.equal(await usages("last"), "-c -c -c -c -c uc");
        assert.equal(await usages("every"), "uc uc uc uc uc uc");
        assert.equal(await usages("xgroq"), "-c -c -c -c -c xc");
        assert.equal(await usages("always"), "-c -c -c -c -c -c ue");
    });

    test("a tool is called with the required arguments, whole and streamed, and its result ends the loop", async () => {
        const ask = { model: "gpt-4o-mini", messages: hello, tools: [weather] };
        const r = await client.chat.completions.create(ask);
        const call = r.choices[0].message.tool_calls[0];
        assert.equal(r.choices[0].finish_reason, "tool_calls");
        assert.deepEqual(JSON.parse(call.function.arguments), { city: "hello there", days: 3 });

        const streamed = await client.chat.completions.stream(ask).finalChatCompletion();
        assert.deepEqual(streamed.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);

        const last = await client.chat.completions.create({
            ...ask,
            messages: [...hello, r.choices[0].message, { role: "tool", tool_call_id: call.id, content: "sunny" }],
        });
        assert.equal(last.choices[0].message.content, "The tool said: sunny");

        const none = await client.chat.completions.create({ ...ask, tool_choice: "none" });
        assert.equal(none.choices[0].message.tool_calls, undefined);
    });

    test("a JSON schema gets an answer that satisfies it", async () => {
        const schema = {
            type: "object",
            properties: {
                steps: { type: "array", items: { $ref: "#/$defs/step" } },
                kind: { enum: ["a", "b"] },
                score: { type: ["number", "null"] },
            },
            required: ["steps", "kind", "score"],
            additionalProperties: false,
            $defs: { step: { type: "object", properties: { text: { type: "string" } }, required: ["text"] } },
        };
        const r = await client.chat.completions.parse({
            model: "gpt-4o-mini",
            messages: hello,
            response_format: { type: "json_schema", json_schema: { name: "plan", schema, strict: true } },
        });
        assert.deepEqual(JSON.parse(r.choices[0].message.content), { steps: [{ text: "hello there" }], kind: "a", score: 1.5 });
    });

    test("text completions, whole and streamed", async () => {
        const r = await client.completions.create({ model: "gpt-4o-mini", prompt: "abc" });
        assert.equal(r.choices[0].text, "You said: abc");
        let text = "";
        for await (const chunk of await client.completions.create({ model: "gpt-4o-mini", prompt: "abc", stream: true })) {
            text += chunk.choices[0]?.text ?? "";
        }
        assert.equal(text, "You said: abc");
    });

    test("embeddings: the package's base64 and plain floats are the same vectors of length one", async () => {
        const input = ["one two", "three"];
        const r = await client.embeddings.create({ model: "text-embedding-3-small", input, dimensions: 8 });
        const floats = await client.embeddings.create({ model: "text-embedding-3-small", input, dimensions: 8, encoding_format: "float" });
        const raw = await (await post({ model: "text-embedding-3-small", input, dimensions: 8, encoding_format: "base64" }, "/embeddings")).json();
        assert.equal(r.data.length, 2);
        assert.equal(r.usage.prompt_tokens, 3);
        for (const i of [0, 1]) {
            assert.deepEqual(Array.from(r.data[i].embedding), floatsOf(raw.data[i].embedding));
            assert.deepEqual(floats.data[i].embedding.map(Math.fround), Array.from(r.data[i].embedding));
            assert.ok(Math.abs(Math.hypot(...r.data[i].embedding) - 1) < 1e-6);
        }
        assert.equal((await client.embeddings.create({ model: "text-embedding-3-large", input: "x" })).data[0].embedding.length, 3072);
    });

    test("models, one model, moderations, health", async () => {
        const ids = [];
        for await (const model of client.models.list()) ids.push(model.id);
        assert.ok(ids.includes("gpt-4o-mini"));
        assert.equal((await client.models.retrieve("org/model:1")).id, "org/model:1");
        assert.equal((await client.moderations.create({ input: "x" })).results[0].flagged, false);
        assert.equal((await fetch(`${sim.origin}/health`)).status, 200);
    });

    test("each status raises its typed exception", async () => {
        const typed = [
            [400, OpenAI.BadRequestError],
            [401, OpenAI.AuthenticationError],
            [403, OpenAI.PermissionDeniedError],
            [404, OpenAI.NotFoundError],
            [409, OpenAI.ConflictError],
            [422, OpenAI.UnprocessableEntityError],
            [429, OpenAI.RateLimitError],
            [500, OpenAI.InternalServerError],
            [503, OpenAI.InternalServerError],
        ];
        for (const [status, type] of typed) {
            await assert.rejects(client.chat.completions.create({ model: `m;status=${status}`, messages: hello }), type);
        }
        await assert.rejects(
            client.chat.completions.create({ model: "missing-model", messages: hello }),
            (e) => e instanceof OpenAI.NotFoundError && e.code === "model_not_found",
        );
        await assert.rejects(
            client.chat.completions.create({ model: "m;status=429;code=insufficient_quota;retry_after=7;retry_after_ms=7000", messages: hello }),
            (e) => e.type === "insufficient_quota" && e.headers.get("retry-after") === "7" && e.headers.get("retry-after-ms") === "7000",
        );
        await assert.rejects(client.chat.completions.create({ model: "m", messages: [] }), OpenAI.BadRequestError);
    });

    test("the package's own retry gets past a scripted 429", async () => {
        await sim.script({ model: "gpt-4o-mini", status: 429, retry_after_ms: "1" }, { path: "/v1/chat/completions", status: 500 });
        const patient = new OpenAI({ apiKey: "sk-any", baseURL: sim.base, maxRetries: 2 });
        const r = await patient.chat.completions.create({ model: "gpt-4o-mini", messages: hello });
        assert.equal(r.choices[0].message.content, "You said: hello there");
        const seen = await sim.requests();
        assert.equal(seen.length, 3);
        assert.equal(seen[0].json.model, "gpt-4o-mini");
        assert.equal(seen[0].headers.authorization, "Bearer sk-any");
        assert.equal((await sim.stats()).script_left, 0);
    });

    test("a script entry can be for a header, for ever, and has a body and headers of its own", async () => {
        await sim.script({ header: { authorization: "Bearer sk-bad" }, times: 0, status: 401, body: { detail: "no" }, headers: { "x-a": "b" } });
        for (let i = 0; i < 2; i++) {
            const r = await fetch(`${sim.base}/chat/completions`, {
                method: "POST",
                headers: { authorization: "Bearer sk-bad" },
                body: JSON.stringify({ model: "m", messages: hello }),
            });
            assert.equal(r.status, 401);
            assert.equal(r.headers.get("x-a"), "b");
            assert.deepEqual(await r.json(), { detail: "no" });
        }
        assert.equal((await post({ model: "m", messages: hello })).status, 200);
        await assert.rejects(sim.script({ nonsense: 1 }), /not understood/);
    });

    test("a client that leaves is recorded", async () => {
        const stream = await client.chat.completions.create({ model: "m;tokens=1000;rate=20ms", messages: hello, stream: true });
        for await (const chunk of stream) {
            assert.ok(chunk.id);
            break; // the package aborts the request
        }
        const [seen] = await eventually(async () => {
            const all = await sim.requests();
            return all[0]?.client_gone && all;
        }, "the record of the client's leaving");
        assert.equal(seen.answered, false);
        assert.ok(seen.sent_bytes > 0);
    });

    test("an error inside a stream raises", async () => {
        const stream = await client.chat.completions.create({ model: "m;tokens=5;error_at=3", messages: hello, stream: true });
        let chunks = 0;
        await assert.rejects(async () => {
            for await (const chunk of stream) chunks += chunk.choices.length;
        }, OpenAI.APIError);
        assert.equal(chunks, 3);
    });

    test("events come with CR LF, without the space, between comments, without [DONE], in chunks of any size", async () => {
        const plain = await (await post({ model: "m", messages: hello, stream: true })).text();
        const body = (model) => post({ model, messages: hello, stream: true }).then((r) => r.text());
        const id = /chatcmpl-[0-9a-f]{16}/g; // it is made from the request, which has another model name
        const same = (a, b) => assert.equal(a.replace(id, ""), b.replace(id, ""));
        same(await body("m;crlf"), plain.replaceAll("\n", "\r\n"));
        same(await body("m;nospace"), plain.replaceAll("data: ", "data:"));
        same((await body("m;comments=2")).replaceAll(": keep-alive\n\n", ""), plain);
        same(await body("m;no_done"), plain.replace("data: [DONE]\n\n", ""));
        for (const n of [1, 7, 100]) same(await body(`m;chunk=${n};flush`), plain);
        same(await body("m;trailer;chunk_ext"), plain);
        same(await body("m;until_close"), plain);
        same(await body("m;http10"), plain);
        same(await body("m;interim=103;interims=3"), plain);
    });

    test("a directive may stand at the start of the last message", async () => {
        const r = await client.chat.completions.create({ model: "gpt-4o-mini", messages: [{ role: "user", content: "sim:tokens=12;prompt_tokens=77\nrest" }] });
        assert.equal(r.usage.completion_tokens, 12);
        assert.equal(r.usage.prompt_tokens, 77);
        await assert.rejects(client.chat.completions.create({ model: "gpt-4o-mini;nonsense=1", messages: hello }), OpenAI.BadRequestError);
    });

    test("connections are reset, closed and stalled where it was said", async () => {
        const ask = (model) => {
            const body = JSON.stringify({ model, messages: hello, stream: true });
            return `POST /v1/chat/completions HTTP/1.1\r\nHost: sim\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
        };
        const events = (text) => text.split("data: ").length - 1;
        assert.equal((await exchange(sim.port, ask("m;close_at=h20"))).length, 20);
        assert.equal(events(await exchange(sim.port, ask("m;close_at=c2"))), 2);
        assert.equal(events(await exchange(sim.port, ask("m;reset_at=c1"))), 1);
        const reset = await RawClient.connect(sim.port); // after bytes, Node may report a reset as a plain end
        await reset.send(ask("m;reset_at=h0"));
        assert.equal(await reset.readAll(), "");
        assert.equal(reset.error?.code, "ECONNRESET");
        const stalled = await RawClient.connect(sim.port);
        await stalled.send(ask("m;stall_at=c3"));
        await stalled.until((text) => events(text) === 3);
        assert.equal(stalled.ended, false);
        stalled.close();
        const stale = await RawClient.connect(sim.port);
        await stale.send(ask("m;stale_next=fin"));
        assert.equal((await stale.response()).status, 200);
        await stale.send(ask("m"));
        assert.equal(await stale.readAll(), "");
    });

    test("what is framed badly is refused", async () => {
        const bad = [
            "POST /v1/models HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "POST /v1/models HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET /v1/models HTTP/1.1\nHost: a\n\r\n\r\n",
            "GET /v1/models HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET /v1/models HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET /v1/models HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
            "GET /v1/models HTTP/1.1\r\n\r\n",
            "GET /v1/models HTTP/2.0\r\nHost: a\r\n\r\n",
            "POST /v1/models HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        ];
        for (const bytes of bad) assert.match(await exchange(sim.port, bytes), /^HTTP\/1\.1 400 /, JSON.stringify(bytes));
    });

    test("pipelined requests are answered in order, chunked requests and 100-continue are understood", async () => {
        const body = JSON.stringify({ model: "m", messages: hello });
        const c = await RawClient.connect(sim.port);
        await c.send("GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n");
        assert.match((await c.response()).body.toString(), /"list"/);
        assert.match((await c.response()).body.toString(), /"ok"/);
        await c.send("POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
        assert.equal((await c.response()).status, 100);
        for (const byte of body) await c.send(`1\r\n${byte}\r\n`);
        await c.send("0\r\n\r\n");
        assert.match((await c.response()).body.toString(), /You said: hello there/);
        c.close();
    });

    test("recordings are replayed byte for byte, in chunks of any size", async () => {
        for (const name of ["openai-chat/chat-streaming", "openai-chat/chat-unknown-model"]) {
            const recorded = fixture(name);
            for (const more of ["", ";chunk=5;flush"]) {
                const r = await post({ model: `m;fixture=${name}${more}` });
                assert.equal(r.status, recorded.response.status);
                assert.equal(r.headers.get("x-request-id"), recorded.response.headers["x-request-id"]);
                const got = Buffer.from(await r.arrayBuffer());
                if (recorded.body) assert.deepEqual(got, recorded.body);
                else assert.deepEqual(JSON.parse(got), recorded.response.body);
            }
        }
        assert.equal((await post({ model: "m;fixture=../secret" })).status, 500);
    });

    test("TLS, and a key that is demanded", async (t) => {
        const tls = await certificate(tempDir(t));
        const safe = await startSim(t, { tls, control: false, args: ["--api-key", "sk-right"], env: {} });
        assert.match(safe.base, /^https:/);
        const get = (key) =>
            new Promise((resolve, reject) => {
                const options = { ca: readFileSync(tls.cert), headers: { authorization: `Bearer ${key}` } };
                https.get(`${safe.base}/models`, options, (r) => r.resume().on("end", () => resolve(r.statusCode))).on("error", reject);
            });
        assert.equal(await get("sk-right"), 200);
        assert.equal(await get("sk-wrong"), 401);
    });
});
