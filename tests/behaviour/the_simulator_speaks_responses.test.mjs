// The simulator as OpenAI's Responses API and the endpoints around it (audio, images, files, batches), driven with the
// official package: what the tests of those stand on.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";

import OpenAI, { toFile } from "openai";

import { scope, sse, startSim } from "../support/harness.mjs";

const input = "hello there";
const weather = {
    type: "function",
    name: "get_weather",
    strict: true,
    parameters: {
        type: "object",
        properties: { city: { type: "string" }, days: { type: "integer", minimum: 3 } },
        required: ["city", "days"],
        additionalProperties: false,
    },
};
const patch = { type: "custom", name: "apply_patch" };

describe("the simulator speaks Responses", () => {
    const cleanups = scope();
    let sim;
    let client;
    before(async () => {
        sim = await startSim(cleanups);
        client = new OpenAI({ apiKey: "sk-any", baseURL: sim.base, maxRetries: 0 });
    });
    after(() => cleanups.end());
    beforeEach(() => sim.reset());

    const ask = (more = {}) => ({ model: "gpt-5", input, ...more });
    const post = (body) => fetch(`${sim.base}/responses`, { method: "POST", body: JSON.stringify(body) });
    const events = async (more) => {
        const list = [];
        for await (const e of sse(await post(ask({ stream: true, ...more })))) {
            const data = JSON.parse(e.data);
            assert.equal(data.type, e.event);
            assert.equal(data.sequence_number, list.length);
            list.push(data);
        }
        return list;
    };
    const streamed = async (more) => client.responses.stream(ask(more)).finalResponse();
    const plain = ({ output, usage, status }) => JSON.parse(JSON.stringify({ output, usage, status }, (k, v) => (/^id$|_id$|^parsed/.test(k) ? undefined : v)));

    test("a response quotes the question, counts its words and repeats the request", async () => {
        const r = await client.responses.create(ask({ instructions: "be brief", metadata: { a: "b" } }));
        assert.equal(r.output_text, "You said: hello there");
        assert.equal(r.status, "completed");
        assert.equal(r.object, "response");
        assert.deepEqual(r.metadata, { a: "b" });
        assert.equal(r.instructions, "be brief");
        assert.equal(r.usage.input_tokens, 10);
        assert.equal(r.usage.output_tokens, 4);
        assert.equal(r.usage.total_tokens, 14);
        const items = await client.responses.create(ask({ input: [{ role: "user", content: [{ type: "input_text", text: input }] }] }));
        assert.equal(items.output_text, r.output_text);
        const told = await client.responses.create(ask({ model: "m;prompt_tokens=7;cached_tokens=3;completion_tokens=9;reasoning_tokens=2" }));
        assert.deepEqual([told.usage.input_tokens, told.usage.input_tokens_details.cached_tokens, told.usage.output_tokens, told.usage.output_tokens_details.reasoning_tokens], [7, 3, 9, 2]);
    });

    test("a stream has the whole ladder of events, numbered, and the same response", async () => {
        const list = await events();
        assert.deepEqual(
            list.map((e) => e.type.replace("response.", "")),
            ["created", "in_progress", "output_item.added", "content_part.added", ...Array(4).fill("output_text.delta"), "output_text.done", "content_part.done", "output_item.done", "completed"],
        );
        assert.equal(list[0].response.status, "in_progress");
        assert.deepEqual(plain(await streamed()), plain(await client.responses.create(ask())));
        assert.equal((await events({ model: "m;no_done" })).at(-1).type, "response.output_item.done");
    });

    test("max_output_tokens leaves the response incomplete", async () => {
        const r = await client.responses.create(ask({ model: "m;tokens=10", max_output_tokens: 3 }));
        assert.equal(r.status, "incomplete");
        assert.equal(r.incomplete_details.reason, "max_output_tokens");
        assert.equal((await events({ model: "m;tokens=10", max_output_tokens: 3 })).at(-1).type, "response.incomplete");
        assert.equal((await events({ model: "m;finish=failed" })).at(-1).type, "response.failed");
    });

    test("reasoning is an item of its own, encrypted when asked for", async () => {
        const more = { reasoning: { effort: "low", summary: "auto" }, include: ["reasoning.encrypted_content"], store: false };
        const r = await client.responses.create(ask(more));
        assert.deepEqual(r.output.map((item) => item.type), ["reasoning", "message"]);
        assert.equal(r.output[0].summary[0].text, "I think about: hello there");
        assert.ok(r.output[0].encrypted_content.length > 10);
        assert.equal(r.usage.output_tokens_details.reasoning_tokens, 5);
        assert.deepEqual(plain(await streamed(more)), plain(r));
        const types = new Set((await events(more)).map((e) => e.type));
        assert.ok(types.has("response.reasoning_summary_text.delta") && types.has("response.reasoning_summary_part.done"));
        const quiet = await client.responses.create(ask({ reasoning: { effort: "low" } }));
        assert.deepEqual([quiet.output[0].summary, quiet.output[0].encrypted_content], [[], undefined]);
        assert.equal((await client.responses.create(ask({ reasoning: { effort: "none" } }))).output.length, 1);
    });

    test("functions and custom tools are called, their results quoted, whole and streamed", async () => {
        const more = { tools: [weather, patch] };
        const r = await client.responses.create(ask(more));
        const call = r.output[0];
        assert.equal(call.type, "function_call");
        assert.notEqual(call.id, call.call_id);
        assert.deepEqual(JSON.parse(call.arguments), { city: "hello there", days: 3 });
        assert.deepEqual(plain(await streamed(more)), plain(r));
        const types = (await events(more)).map((e) => e.type);
        assert.ok(types.includes("response.function_call_arguments.delta") && types.includes("response.function_call_arguments.done"));
        const last = await client.responses.create(
            ask({ ...more, input: [{ role: "user", content: input }, call, { type: "function_call_output", call_id: call.call_id, output: "sunny" }] }),
        );
        assert.equal(last.output_text, "The tool said: sunny");
        const custom = { ...more, input: 'sim:tool=apply_patch;args=*** Begin Patch;content=Here it is.' };
        const named = await client.responses.create(ask(custom));
        assert.deepEqual(named.output.map((item) => item.type), ["message", "custom_tool_call"]);
        assert.equal(named.output[1].input, "*** Begin Patch");
        assert.deepEqual(plain(await streamed(custom)), plain(named));
        const both = await client.responses.create(ask({ ...more, input: "sim:tool=get_weather;args={\"city\":\"a;b\"};calls=2" }));
        assert.deepEqual(both.output.map((item) => item.name), ["get_weather", "apply_patch"]);
        assert.equal(both.output[0].arguments, '{"city":"a;b"}');
        assert.equal((await client.responses.create(ask({ ...more, tool_choice: "none" }))).output_text, "You said: hello there");
    });

    test("a JSON schema gets an answer that satisfies it", async () => {
        const schema = { type: "object", properties: { kind: { enum: ["a"] } }, required: ["kind"], additionalProperties: false };
        const r = await client.responses.create(ask({ text: { format: { type: "json_schema", name: "x", schema, strict: true } } }));
        assert.deepEqual(JSON.parse(r.output_text), { kind: "a" });
    });

    test("responses are stored, built upon, read and deleted; unknown ones are errors", async () => {
        const first = await client.responses.create(ask());
        const second = await client.responses.create(ask({ previous_response_id: first.id }));
        assert.equal(second.previous_response_id, first.id);
        assert.equal(second.usage.input_tokens, first.usage.total_tokens + 5);
        assert.deepEqual((await client.responses.retrieve(first.id)).output, first.output);
        const items = [];
        for await (const item of client.responses.inputItems.list(first.id)) items.push(item);
        assert.equal(items[0].content[0].text, input);
        await client.responses.delete(first.id);
        await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
        await assert.rejects(client.responses.create(ask({ previous_response_id: first.id })), (e) => e.status === 400 && e.code === "previous_response_not_found");
        const private_ = await client.responses.create(ask({ input: "other", store: false }));
        await assert.rejects(client.responses.retrieve(private_.id), OpenAI.NotFoundError);
        assert.equal((await client.responses.inputTokens.count({ model: "m", input })).input_tokens, 5);
    });

    test("errors, whole and inside a stream", async () => {
        await assert.rejects(client.responses.create(ask({ model: "m;status=429;retry_after=3" })), OpenAI.RateLimitError);
        await assert.rejects(client.responses.create({ model: "m" }), OpenAI.BadRequestError);
        await assert.rejects(client.responses.create(ask({ model: "missing-x" })), OpenAI.NotFoundError);
        const list = await events({ model: "m;error_at=5;message=oh" });
        assert.deepEqual(list.at(-1), { type: "error", code: "server_error", message: "oh", param: null, sequence_number: 5 });
        await sim.script({ status: 503, path: "/v1/responses" });
        await assert.rejects(client.responses.create(ask()), OpenAI.InternalServerError);
        await assert.rejects(async () => {
            for await (const e of await client.responses.create(ask({ model: "m;reset_at=c3", stream: true }))) void e;
        });
    });

    test("audio forms are told back, speech has the size that was asked for", async () => {
        const bytes = Buffer.alloc(300000, "\r\n--x");
        const file = await toFile(bytes, "a b.mp3", { type: "audio/mpeg" });
        for (const kind of ["transcriptions", "translations"]) {
            const r = await client.audio[kind].create({ file, model: "whisper-1" });
            assert.equal(r.text, "I heard a b.mp3 of 300000 bytes");
            assert.equal(r.bytes, bytes.length);
            assert.equal(r.filename, "a b.mp3");
            const got = r.received.find((p) => p.name === "file");
            assert.equal(got.sha256, createHash("sha256").update(bytes).digest("hex"));
        }
        assert.equal(await client.audio.transcriptions.create({ file, model: "whisper-1;content=text", response_format: "text" }), "text\n");
        await assert.rejects(client.audio.transcriptions.create({ file, model: "m;status=500" }), OpenAI.InternalServerError);
        const speech = await client.audio.speech.create({ model: "tts-1;size=100K", voice: "alloy", input });
        assert.equal(speech.headers.get("content-type"), "audio/mpeg");
        const audio = Buffer.from(await speech.arrayBuffer());
        assert.equal(audio.length, 100 << 10);
        assert.ok(audio.every((byte, i) => byte === i % 251));
    });

    test("images are generated and edited", async () => {
        const r = await client.images.generate({ model: "gpt-image-1", prompt: "a cat", n: 2 });
        assert.equal(r.data.length, 2);
        assert.equal(Buffer.from(r.data[0].b64_json, "base64").length, 64);
        assert.equal(r.usage.total_tokens, r.usage.input_tokens + r.usage.output_tokens);
        const image = await toFile(Buffer.from("\x89PNG"), "cat.png", { type: "image/png" });
        const edited = await client.images.edit({ model: "gpt-image-1", image: [image, image], prompt: "sim:size=10" });
        assert.equal(Buffer.from(edited.data[0].b64_json, "base64").length, 10);
        assert.equal(edited.received.filter((p) => p.filename === "cat.png").length, 2);
    });

    test("files are kept, batches are done at once", async () => {
        const text = '{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}}\n';
        const file = await client.files.create({ file: await toFile(Buffer.from(text), "in.jsonl"), purpose: "batch" });
        assert.deepEqual([file.bytes, file.filename, file.purpose], [text.length, "in.jsonl", "batch"]);
        assert.equal(await (await client.files.content(file.id)).text(), text);
        const batch = await client.batches.create({ input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" });
        const done = await client.batches.retrieve(batch.id);
        assert.equal(done.status, "completed");
        assert.equal(done.request_counts.total, 1);
        assert.equal(JSON.parse(await (await client.files.content(done.output_file_id)).text()).custom_id, "a");
        const ids = [];
        for await (const f of client.files.list()) ids.push(f.id);
        assert.deepEqual(ids, [file.id, done.output_file_id]);
        assert.equal((await client.files.delete(file.id)).deleted, true);
        await assert.rejects(client.files.retrieve(file.id), OpenAI.NotFoundError);
        await assert.rejects(client.batches.create({ input_file_id: file.id, endpoint: "/v1/responses", completion_window: "24h" }), OpenAI.BadRequestError);
        const [upload] = await sim.requests();
        assert.match(upload.headers["content-type"], /^multipart\/form-data; boundary=/);
        assert.ok(upload.bytes.includes(text));
    });
});
