// Vertex AI behind: a service account's signed assertion gets the token, the path names project, location and model. Claude's
// models there; the simulator checks the assertion's signature with the public key.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

import { clientKinds } from "../support/clients.mjs";
import { startGateway, startSim, tempDir } from "../support/harness.mjs";

const messages = [{ role: "user", content: "hello there" }];
const model = "claude-sonnet-4-5@20250929";

/** A service account of its own: {file, publicKey}. */
function account(t, fields = {}) {
    const dir = tempDir(t);
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048, privateKeyEncoding: { type: "pkcs8", format: "pem" }, publicKeyEncoding: { type: "spki", format: "pem" } });
    const publicFile = path.join(dir, "public.pem");
    writeFileSync(publicFile, publicKey);
    const file = path.join(dir, "account.json");
    const write = (more = {}) => writeFileSync(file, JSON.stringify({ type: "service_account", project_id: "my-project", private_key_id: "kid-1", private_key: privateKey, client_email: "sa@my-project.iam.gserviceaccount.com", ...fields, ...more }));
    return { file, publicFile, write };
}

async function world(t, { dialect, life, env = {}, more = "", withFile = true } = {}) {
    const sa = account(t);
    const sim = await startSim(t, { args: ["--oauth-key", sa.publicFile, ...(life ? ["--oauth-life", String(life)] : [])] });
    sa.write({ token_uri: `${sim.origin}/token` });
    const config = `
providers:
  vertex: {dialect: ${dialect}, base_url: "${sim.origin}", location: us-east5${withFile ? `, credentials_file: "${sa.file}"` : ""}${more}}
models:
  m: {targets: [[{provider: vertex, model: "${dialect === "anthropic" ? model : "gemini-2.5-flash"}"}]]}
`;
    const gateway = await startGateway(t, { config, env: { ENABLE_PROMPT_CACHE: "false", ...env(sa) } });
    const { api_key } = await gateway.createTenant({ rate_limit: 100000 });
    return {
        sim,
        gateway,
        key: api_key,
        openai: new OpenAI({ apiKey: api_key, baseURL: `${gateway.origin}/v1`, maxRetries: 0 }),
        anthropic: new Anthropic({ apiKey: api_key, baseURL: gateway.origin, maxRetries: 0 }),
        calls: async () => (await sim.requests()).filter((q) => q.target !== "/token"),
        fetches: async () => (await sim.requests()).filter((q) => q.target === "/token"),
    };
}
const nothing = () => ({});
const claims = (q) => JSON.parse(Buffer.from(new URLSearchParams(q.body.toString()).get("assertion").split(".")[1], "base64url"));

describe("Claude on Vertex AI", () => {
    const base = "/v1/projects/my-project/locations/us-east5/publishers/anthropic/models";

    test("its own clients: the body as it came, with the version for the model; streams, counting", async (t) => {
        const { sim, anthropic, calls, fetches, gateway } = await world(t, { dialect: "anthropic", env: nothing });
        const ask = { model: "m", max_tokens: 50, messages, metadata: { user_id: "u-1" } };
        const { data: r, response } = await anthropic.messages.create(ask).withResponse();
        assert.equal(r.content[0].text, "You said: hello there");
        assert.equal((await gateway.row(response)).model, model);
        const streamed = await anthropic.messages.stream(ask).finalMessage();
        assert.equal(streamed.content[0].text, "You said: hello there");
        const beta = await anthropic.beta.messages.create({ ...ask, betas: ["context-1m-2025-08-07"] });
        assert.equal(beta.content[0].text, "You said: hello there");
        const count = await anthropic.messages.countTokens({ model: "m", messages });
        assert.ok(count.input_tokens > 0);
        const [first, second, third, counted] = await calls();
        assert.equal(first.target, `${base}/${model}:rawPredict`);
        assert.equal(second.target, `${base}/${model}:streamRawPredict`);
        assert.equal(third.target, `${base}/${model}:rawPredict`, "?beta=true stays here");
        assert.equal(third.headers["anthropic-beta"], "context-1m-2025-08-07");
        assert.equal(counted.target, `${base}/count-tokens:rawPredict`);
        assert.match(first.headers.authorization, /^Bearer sim\./);
        assert.equal(first.headers["x-api-key"], undefined);
        const { model: _, ...rest } = ask;
        assert.deepEqual(JSON.parse(first.body), { anthropic_version: "vertex-2023-10-16", ...rest });
        assert.deepEqual(JSON.parse(counted.body), { anthropic_version: "vertex-2023-10-16", model, messages });
        const asked = await fetches();
        assert.equal(asked.length, 1);
        const c = claims(asked[0]);
        assert.deepEqual([c.iss, c.scope, c.aud], ["sa@my-project.iam.gserviceaccount.com", "https://www.googleapis.com/auth/cloud-platform", `${sim.origin}/token`]);
        assert.ok(c.exp - c.iat <= 3600);
    });

    test("clients of another dialect, streams, tools; the file by its variable", async (t) => {
        const { openai, calls } = await world(t, { dialect: "anthropic", withFile: false, env: (sa) => ({ GOOGLE_APPLICATION_CREDENTIALS: sa.file }) });
        const tools = [{ type: "function", function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } } }];
        const r = await openai.chat.completions.create({ model: "m", messages });
        assert.equal(r.choices[0].message.content, "You said: hello there");
        const called = await openai.chat.completions.create({ model: "m", messages, tools });
        assert.equal(called.choices[0].message.tool_calls[0].function.name, "get_weather");
        let text = "";
        for await (const chunk of await openai.chat.completions.create({ model: "m", messages, stream: true })) text += chunk.choices[0]?.delta.content ?? "";
        assert.equal(text, "You said: hello there");
        const [first] = await calls();
        const body = JSON.parse(first.body);
        assert.equal(body.anthropic_version, "vertex-2023-10-16");
        assert.equal(body.model, undefined);
    });

    test("the token is renewed; a project of one's own; an assertion by another key is refused", async (t) => {
        const { openai, calls, fetches } = await world(t, { dialect: "anthropic", life: 2, env: nothing, more: ", project: other-project" });
        const end = Date.now() + 4500;
        while (Date.now() < end) {
            assert.equal((await openai.chat.completions.create({ model: "m", messages })).choices[0].finish_reason, "stop");
            await new Promise((resolve) => setTimeout(resolve, 100));
        }
        assert.ok((await fetches()).length >= 3);
        assert.ok((await calls())[0].target.startsWith("/v1/projects/other-project/locations/us-east5/"));

        const sim = await startSim(t, { args: ["--oauth-key", account(t).publicFile] });
        const sa = account(t);
        sa.write({ token_uri: `${sim.origin}/token` });
        const config = `providers: {vertex: {dialect: anthropic, base_url: "${sim.origin}", location: global, credentials_file: "${sa.file}"}}\nmodels: {m: {targets: [[{provider: vertex, model: x}]]}}\n`;
        const gateway = await startGateway(t, { config });
        const { api_key } = await gateway.createTenant({ rate_limit: 100 });
        const refused = await gateway.request(api_key, "/v1/chat/completions", { model: "m", messages });
        assert.equal(refused.status, 503, await refused.text());
        assert.equal((await sim.requests()).filter((q) => q.target !== "/token").length, 0);
        assert.ok(!gateway.child.output.includes("PRIVATE KEY"));
    });
});

describe("Gemini on Vertex AI", () => {
    const base = "/v1/projects/my-project/locations/us-east5/publishers/google/models/gemini-2.5-flash";

    test("its own clients and others, whole and streamed, counting; embeddings are another API there", async (t) => {
        const { gateway, key, openai, calls, fetches } = await world(t, { dialect: "gemini", env: nothing });
        const c = clientKinds.gemini(gateway, key);
        for (const stream of [false, true]) {
            const r = await c.say([c.user("hello there")], { model: "m", stream });
            assert.deepEqual([r.text, r.finish], ["You said: hello there", "end"]);
        }
        assert.equal((await openai.chat.completions.create({ model: "m", messages })).choices[0].message.content, "You said: hello there");
        const counted = await gateway.request(key, "/v1beta/models/m:countTokens", { contents: [{ role: "user", parts: [{ text: "hello" }] }] });
        assert.ok((await counted.json()).totalTokens > 0);
        const [first, second, third, fourth] = await calls();
        assert.equal(first.target, `${base}:generateContent`);
        assert.equal(second.target, `${base}:streamGenerateContent?alt=sse`);
        assert.equal(third.target, `${base}:generateContent`);
        assert.equal(fourth.target, `${base}:countTokens`);
        for (const q of [first, second, third, fourth]) {
            assert.match(q.headers.authorization, /^Bearer sim\./);
            assert.equal(q.headers["x-goog-api-key"], undefined);
        }
        const vectors = await gateway.request(key, "/v1/embeddings", { model: "m", input: "x" });
        assert.equal(vectors.status, 400, await vectors.text());
        assert.equal((await calls()).length, 4);
        assert.equal((await fetches()).length, 1);
    });
});

test("the configuration of Vertex AI is strict", async (t) => {
    const sa = account(t);
    sa.write();
    const empty = path.join(tempDir(t), "empty.json");
    for (const [provider, words, fields] of [
        [`{dialect: anthropic, location: us-east5}`, /credentials_file is missing, and there is no GOOGLE_APPLICATION_CREDENTIALS/],
        [`{dialect: anthropic, location: us-east5, credentials_file: "${empty}"}`, /credentials_file cannot be read/],
        [`{dialect: anthropic, location: us-east5, credentials_file: "${sa.file}"}`, /is of another type/, { type: "authorized_user" }],
        [`{dialect: anthropic, location: us-east5, credentials_file: "${sa.file}"}`, /has no private_key of RSA/, { private_key: "none" }],
        [`{dialect: anthropic, location: us-east5, credentials_file: "${sa.file}"}`, /project is missing or not accepted/, { project_id: undefined }],
        [`{dialect: anthropic, location: "us/east", credentials_file: "${sa.file}"}`, /location is not accepted/],
        [`{dialect: anthropic, project: p, base_url: "http://127.0.0.1:9"}`, /project is for Vertex AI, and location is missing/],
        [`{dialect: openai, location: us-east5, base_url: "http://127.0.0.1:9/v1"}`, /location is for Vertex AI/],
    ]) {
        sa.write(fields);
        await assert.rejects(startGateway(t, { config: `providers:\n  cloud: ${provider}\n` }), (e) => words.test(e.message), provider);
    }
});
