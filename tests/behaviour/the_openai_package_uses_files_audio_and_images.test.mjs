// What the gateway does not look into passes byte for byte, and is authenticated, limited and booked like the rest.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";

import OpenAI, { AzureOpenAI, toFile } from "openai";
import { scope, startWorld } from "../support/harness.mjs";

const sha = (bytes) => createHash("sha256").update(bytes).digest("hex");

describe("the official openai package and what is not chat", () => {
    const all = scope();
    let world, client;
    before(async () => {
        world = await startWorld(all, {
            config: (sim) => `providers:
  sim:
    dialect: openai
    base_url: ${sim.base}
    keys: [sk-provider]
models:
  whisper: {targets: [[{provider: sim, model: whisper-1}]]}
  whisper-1: {targets: [[{provider: sim, model: whisper-1}]]}
  painter: {targets: [[{provider: sim, model: gpt-image-1}]]}
  tts-1: {targets: [[{provider: sim, model: tts-1}]]}
  "omni-moderation-latest": {targets: [[{provider: sim, model: omni-moderation-latest}]]}
  gpt-4o-mini: {targets: [[{provider: sim, model: gpt-4o-mini}]]}
`,
            env: { OPENAI_COST_PER_1K_TOKENS: "0.002" },
        });
        client = new OpenAI({ apiKey: world.key, baseURL: world.gateway.base, maxRetries: 0 });
    });
    after(() => all.end());

    test("transcriptions: the file's bytes arrive, an alias is renamed in its field", async () => {
        const bytes = Buffer.concat([randomBytes(300000), Buffer.from("\r\n--x\r\nmodel\r\n")]);
        const { data, response } = await client.audio.transcriptions.create({ file: await toFile(bytes, "a.wav", { type: "audio/wav" }), model: "whisper", language: "en" }).withResponse();
        const parts = Object.fromEntries(data.received.map((p) => [p.name, p]));
        assert.equal(parts.file.bytes, bytes.length);
        assert.equal(parts.file.sha256, sha(bytes));
        assert.equal(parts.file.filename, "a.wav");
        assert.equal(parts.model.sha256, sha("whisper-1"));
        assert.equal(parts.language.sha256, sha("en"));
        const row = await world.gateway.row(response);
        assert.equal(row.status, "success");
        assert.equal(row.asked_model, "whisper");
        assert.equal(row.model, "whisper-1");
        assert.equal(response.headers.get("x-llm-gateway-model"), "whisper-1");
    });

    test("translations as text", async () => {
        const text = await client.audio.translations.create({ file: await toFile(Buffer.from("abc"), "b.mp3"), model: "whisper-1", response_format: "text" });
        assert.match(String(text), /I heard b\.mp3 of 3 bytes/);
    });

    test("speech: binary, byte for byte", async () => {
        const response = await client.audio.speech.create({ model: "tts-1", voice: "alloy", input: "sim:size=100000\nhello" });
        const bytes = Buffer.from(await response.arrayBuffer());
        assert.equal(bytes.length, 100000);
        assert.ok(bytes.every((b, i) => b === i % 251));
        assert.equal(response.headers.get("content-type"), "audio/mpeg");
        const row = await world.gateway.row(response);
        assert.equal(row.status, "success");
        assert.equal(row.estimated, 1);
    });

    test("images: generated and edited, the usage is booked", async () => {
        const { data, response } = await client.images.generate({ model: "painter", prompt: "a cat", n: 2 }).withResponse();
        assert.equal(data.data.length, 2);
        const row = await world.gateway.row(response);
        assert.equal(row.model, "gpt-image-1");
        assert.equal(row.completion_tokens, 200, JSON.stringify(row));
        assert.equal(row.estimated, 0);
        const edited = await client.images.edit({ model: "painter", image: await toFile(Buffer.from("png"), "i.png", { type: "image/png" }), prompt: "more cat" });
        assert.ok(edited.data.length >= 1);
        const seen = (await world.sim.requests()).at(-1);
        assert.match(seen.body, /name="model"\r\n\r\ngpt-image-1\r\n/);
    });

    test("files are created, listed, read and deleted; none of it is billed", async () => {
        const content = `{"custom_id":"1"}\n`.repeat(1000);
        const file = await client.files.create({ file: await toFile(Buffer.from(content), "batch.jsonl"), purpose: "batch" });
        assert.equal(file.bytes, content.length);
        const listed = [];
        for await (const f of client.files.list({ purpose: "batch" })) listed.push(f.id);
        assert.ok(listed.includes(file.id));
        const response = await client.files.content(file.id);
        assert.equal(await response.text(), content);
        assert.equal((await client.files.retrieve(file.id)).id, file.id);
        const row = await world.gateway.row(response);
        assert.equal(row.cost_nusd, 0);
        assert.equal(row.provider, "sim");
        const batch = await client.batches.create({ input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" });
        assert.equal((await client.batches.retrieve(batch.id)).id, batch.id);
        assert.equal((await client.files.delete(file.id)).deleted, true);
        await assert.rejects(client.files.retrieve(file.id), OpenAI.NotFoundError);
    });

    test("moderations, with and without a model", async () => {
        const { data, response } = await client.moderations.create({ input: "hello" }).withResponse();
        assert.equal(data.results.length, 1);
        assert.equal((await world.gateway.row(response)).asked_model, "omni-moderation-latest");
        assert.equal((await client.moderations.create({ input: ["a", "b"], model: "omni-moderation-latest" })).model, "omni-moderation-latest");
    });

    test("AzureOpenAI: the deployment is the model where the body names none", async () => {
        const azure = new AzureOpenAI({ apiKey: world.key, endpoint: world.gateway.origin, apiVersion: "2024-10-21", deployment: "gpt-4o-mini", maxRetries: 0 });
        const answer = await azure.chat.completions.create({ messages: [{ role: "user", content: "hello azure" }] });
        assert.match(answer.choices[0].message.content, /You said: hello azure/);
        const vectors = await azure.embeddings.create({ input: "x" });
        assert.equal(vectors.data.length, 1);
        const stream = await azure.chat.completions.create({ model: "gpt-4o-mini", messages: [{ role: "user", content: "hi" }], stream: true });
        let text = "";
        for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
        assert.match(text, /You said: hi/);
        const r = await fetch(`${world.gateway.origin}/openai/deployments/gpt-4o-mini/completions?api-version=1`, {
            method: "POST",
            headers: { "api-key": world.key, "content-type": "application/json" },
            body: `{ "prompt": "x"}`,
        });
        assert.equal(r.status, 200);
        assert.equal((await r.json()).model, "gpt-4o-mini");
    });

    test("a form that readers may understand differently is refused", async () => {
        const part = (name, value, more = "") => `--b\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`;
        const hostile = {
            twice: `${part("model", "whisper-1")}${part("model", "tts-1")}--b--\r\n`,
            case: `${part("Model", "whisper-1")}--b--\r\n`,
            preamble: `x\r\n${part("model", "whisper-1")}--b--\r\n`,
            epilogue: `${part("model", "whisper-1")}--b--\r\n--b\r\n`,
            cut: part("model", "whisper-1"),
            "bare LF": `${part("model", "whisper-1").replaceAll("\r\n", "\n")}--b--\n`,
            "escaped quote": `${part("file", "x", '; filename="a\\"; name=\\"model"')}--b--\r\n`,
            "no name": `--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n`,
            encoded: `--b\r\nContent-Disposition: form-data; name="model"\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--b--\r\n`,
            "long name": `${part("model", "m".repeat(600))}--b--\r\n`,
        };
        for (const [what, body] of Object.entries(hostile)) {
            const r = await world.post("/v1/audio/transcriptions", body, { headers: { "content-type": "multipart/form-data; boundary=b" } });
            assert.equal(r.status, 400, `${what}: ${await r.text()}`);
        }
        const r = await world.post("/v1/audio/transcriptions", "x", { headers: { "content-type": "multipart/form-data" } });
        assert.equal(r.status, 400);
    });

    test("no key, no service", async () => {
        for (const where of ["/v1/files", "/v1/batches", "/files"]) assert.equal((await fetch(world.gateway.origin + where)).status, 401);
        const r = await fetch(`${world.gateway.base}/audio/speech`, { method: "POST", body: "{}", headers: { authorization: "Bearer nobody" } });
        assert.equal(r.status, 401);
    });
});
