// /passthrough/{provider}/...: whatever the provider offers, with the gateway's keys, limits and books.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import { once } from "node:events";
import net from "node:net";
import { after, before, describe, test } from "node:test";

import { eventually, scope, startWorld } from "../support/harness.mjs";

const config = (sim) => `providers:
  sim:
    dialect: openai
    base_url: ${sim.base}
    keys: [sk-provider]
    headers: {x-configured: "yes"}
  claude:
    dialect: anthropic
    base_url: ${sim.origin}
    keys: [sk-ant]
  gemini:
    dialect: gemini
    base_url: ${sim.origin}
    keys: [gemini-provider]
models:
  gpt-4o-mini: {targets: [[{provider: sim, model: gpt-4o-mini}]]}
`;
const chat = (content, more = {}) => ({ model: "gpt-4o-mini", messages: [{ role: "user", content }], ...more });

/** One raw request: fetch would normalise the path. */
async function raw(port, method, target, headers = {}) {
    const socket = net.connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.write(`${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${Object.entries(headers).map(([k, v]) => `${k}: ${v}\r\n`).join("")}\r\n`);
    let text = "";
    for await (const data of socket) text += data;
    return { status: Number(text.split(" ")[1]), text };
}

describe("passthrough", () => {
    const all = scope();
    let world;
    before(async () => {
        world = await startWorld(all, { config, env: { OPENAI_COST_PER_1K_TOKENS: "0.002" } });
    });
    after(() => all.end());

    test("usage in Gemini's words is booked, whole and streamed", async () => {
        const body = { contents: [{ role: "user", parts: [{ text: "sim:prompt_tokens=11;completion_tokens=7\nhello" }] }] };
        for (const method of ["generateContent", "streamGenerateContent?alt=sse&key=secret"]) {
            const r = await world.post(`/passthrough/gemini/models/gemini-2.5-flash:${method}`, body);
            assert.equal(r.status, 200, await r.text());
            const seen = (await world.sim.requests()).at(-1);
            assert.equal(seen.target, `/v1beta/models/gemini-2.5-flash:${method.split("&")[0]}`);
            assert.equal(seen.headers["x-goog-api-key"], "gemini-provider");
            const row = await world.gateway.row(r);
            assert.deepEqual([row.status, row.provider, row.prompt_tokens, row.completion_tokens, row.estimated], ["success", "gemini", 11, 7, 0], method);
        }
    });

    test("a chat below it is the provider's, byte for byte, and its usage is booked", async () => {
        const body = JSON.stringify(chat("sim:prompt_tokens=11;completion_tokens=7\nhello"), null, 3);
        const r = await world.post("/passthrough/sim/chat/completions?a=1&key=secret&b=2", body, {
            headers: { "x-stray": "1", cookie: "c=1", "openai-beta": "x=1", "openai-organization": "org-mine" },
        });
        assert.equal(r.status, 200);
        assert.ok((await r.text()).includes("usage"));
        const seen = (await world.sim.requests()).at(-1);
        assert.equal(seen.body, body);
        assert.equal(seen.target, "/v1/chat/completions?a=1&b=2");
        assert.equal(seen.headers.authorization, "Bearer sk-provider");
        assert.equal(seen.headers["openai-beta"], "x=1");
        assert.equal(seen.headers["x-configured"], "yes");
        assert.match(seen.headers.via, /llm-gateway/);
        for (const name of ["x-stray", "cookie", "openai-organization"]) assert.equal(seen.headers[name], undefined, name);
        const row = await world.gateway.row(r);
        assert.equal(row.provider, "sim");
        assert.equal(row.model, "gpt-4o-mini");
        assert.equal(row.estimated, 0);
        assert.equal(row.prompt_tokens, 11, JSON.stringify(row));
        assert.ok(row.cost_nusd > 0);
    });

    test("a stream passes as it is, its usage too", async () => {
        const r = await world.post("/passthrough/sim/chat/completions", chat("sim:completion_tokens=9\nhello", { stream: true, stream_options: { include_usage: true } }));
        assert.match(r.headers.get("content-type"), /text\/event-stream/);
        const text = await r.text();
        assert.match(text, /\[DONE\]/);
        const row = await world.gateway.row(r);
        assert.equal(row.estimated, 0);
        assert.equal(row.status, "success");
        assert.equal(row.completion_tokens, 9, JSON.stringify(row));
    });

    test("another dialect's provider: its headers, its usage, its errors", async () => {
        const body = { model: "claude-haiku-4-5", max_tokens: 50, messages: [{ role: "user", content: "sim:prompt_tokens=21;completion_tokens=5\nhi" }] };
        const r = await world.post("/passthrough/claude/v1/messages", body);
        assert.equal(r.status, 200, await r.clone().text());
        const seen = (await world.sim.requests()).at(-1);
        assert.equal(seen.headers["x-api-key"], "sk-ant");
        assert.equal(seen.headers["anthropic-version"], "2023-06-01");
        assert.equal(seen.headers.authorization, undefined);
        const row = await world.gateway.row(r);
        assert.equal(row.prompt_tokens, 21);
        const bad = await world.post("/passthrough/claude/v1/messages", { ...body, max_tokens: undefined });
        assert.equal(bad.status, 400);
        assert.equal((await bad.json()).type, "error");
    });

    test("methods, HEAD, 404 of the provider", async () => {
        const list = await world.post("/passthrough/sim/models");
        assert.equal(list.status, 200);
        assert.ok((await list.json()).data.length > 0);
        assert.equal((await world.gateway.row(list)).cost_nusd, 0);
        const head = await fetch(`${world.gateway.origin}/passthrough/sim/models`, { method: "HEAD", headers: { "x-api-key": world.key } });
        assert.equal(head.status, 200);
        assert.ok(Number(head.headers.get("content-length")) > 0);
        assert.equal((await world.sim.requests()).at(-1).method, "HEAD");
        const gone = await world.post("/passthrough/sim/files/nope", undefined, { method: "DELETE" });
        assert.equal(gone.status, 404);
    });

    test("unknown providers are told near names, to known keys only", async () => {
        const r = await world.post("/passthrough/simm/models");
        assert.equal(r.status, 404);
        assert.match(await r.text(), /Near: sim/);
        assert.equal((await fetch(`${world.gateway.origin}/passthrough/simm/models`)).status, 401);
        assert.equal((await fetch(`${world.gateway.origin}/passthrough/sim/models`)).status, 401);
    });

    test("paths that could lead elsewhere are refused", async () => {
        const key = { authorization: `Bearer ${world.key}` };
        const before = (await world.sim.requests()).length;
        for (const path of [
            "/../models", "/a/../../admin", "/./models", "//models", "/a//b", "/%2e%2e/models", "/%2E%2e/x", "/.%2e/x", "/a/%2e/b", "/a%2fb", "/a%2F..%2fb", "/a%5cb", "/a\\b",
            "/%252e%252e/x", "/..;/x", "/a/..;x=1/b", "/a%00b", "/a%0d%0ab", "/%zz", "/..", "/a/..", "/a/%2e%2e", "/a%09b",
        ]) {
            const r = await raw(world.gateway.port, "GET", `/passthrough/sim${path}`, key);
            assert.equal(r.status, 400, `${path}: ${r.text}`);
        }
        for (const path of ["/v1/files/../models", "/v1/files/%2e%2e/x", "/v1/files//x", "/v1/batches/a%2fb"]) {
            assert.equal((await raw(world.gateway.port, "GET", path, key)).status, 400, path);
        }
        assert.equal((await world.sim.requests()).length, before);
    });

    test("rate limits and budgets hold", async () => {
        const slow = await world.gateway.createTenant({ rate_limit: 2 });
        const get = () => world.gateway.request(slow.api_key, "/passthrough/sim/models");
        assert.deepEqual([(await get()).status, (await get()).status], [200, 200]);
        const refused = await get();
        assert.equal(refused.status, 429);
        assert.ok(refused.headers.get("retry-after"));
        const poor = await world.gateway.createTenant({ rate_limit: 1000, monthly_budget: 0.000001 });
        const r = await world.gateway.request(poor.api_key, "/passthrough/sim/chat/completions", chat("hello", { max_tokens: 10 }));
        assert.ok([402, 429].includes(r.status), `${r.status} ${await r.text()}`);
        const free = await world.gateway.request(poor.api_key, "/passthrough/sim/models");
        assert.equal(free.status, 200);
    });

    test("a key with a list of models may not go around it", async () => {
        const tenant = await world.gateway.createTenant({ rate_limit: 1000, allowed_models: ["gpt-4o"] });
        const post = (where, body) => world.gateway.request(tenant.api_key, where, body);
        assert.equal((await post("/passthrough/sim/chat/completions", chat("x"))).status, 403);
        assert.equal((await post("/passthrough/sim/chat/completions", { messages: [] })).status, 403);
        assert.equal((await post("/passthrough/sim/responses", { model: "gpt-4o", input: "x" })).status, 403);
        assert.equal((await post("/passthrough/sim/chat/completions", chat("x", { model: "gpt-4o" }))).status, 200);
        assert.equal((await post("/passthrough/sim/chat/completions", `{"model":"gpt-4o","model":"gpt-4o-mini","messages":[]}`)).status, 400);
        assert.equal((await post("/passthrough/sim/models")).status, 200);
    });

    test("what cannot be repeated is sent once", async () => {
        await world.sim.script({ path: "/v1/files", status: 500, times: 1 });
        const before = (await world.sim.requests()).length;
        const r = await world.post("/passthrough/sim/files", "x", { headers: { "content-type": "application/octet-stream" } });
        assert.equal(r.status, 500);
        assert.equal((await world.sim.requests()).length, before + 1);
    });

    test("an answer that is cut is cut for the client, too", async () => {
        const r = await world.post("/passthrough/sim/audio/speech", { model: "tts-1", voice: "alloy", input: "sim:size=200000;reset_at=100000\nx" });
        assert.equal(r.status, 200);
        await assert.rejects(r.arrayBuffer());
        const row = await world.gateway.row(r);
        assert.equal(row.status, "upstream_cut");
    });

    test("a slow reader of a large answer costs no memory", async () => {
        const rss = () => Number(readFileSync(`/proc/${world.gateway.child.pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)[1]);
        const size = 50 << 20;
        const before = rss();
        const request = http.request({ port: world.gateway.port, method: "POST", path: "/v1/audio/speech", headers: { authorization: `Bearer ${world.key}`, "content-type": "application/json" } });
        request.end(JSON.stringify({ model: "sim/tts-1", voice: "a", input: `sim:size=${size}\nx` }));
        const [response] = await once(request, "response");
        response.pause();
        let last = -1;
        await eventually(async () => {
            const sent = (await world.sim.requests()).at(-1)?.bytes_sent ?? 0;
            const is_still = sent === last;
            last = sent;
            return is_still;
        }, "the provider to be paused");
        let most = rss();
        let got = 0;
        let bad = 0;
        response.on("data", (data) => {
            for (let i = 0; i < data.length; i += 4093) bad += data[i] !== (got + i) % 251;
            got += data.length;
            if (got % (1 << 20) < data.length) most = Math.max(most, rss());
        });
        response.resume();
        await once(response, "end");
        assert.equal(got, size);
        assert.equal(bad, 0);
        assert.ok(most - before < 8192, `grew by ${most - before} KiB`);
    });

    test("a body above the route's cap is refused", async (t) => {
        const small = await startWorld(t, { config, env: { MAX_BODY: "2KiB", UPLOAD_MAX: "8KiB" } });
        const post = (where, bytes) => small.post(where, "x".repeat(bytes), { headers: { "content-type": "application/octet-stream" } });
        assert.equal((await post("/v1/chat/completions", 4000)).status, 413);
        assert.notEqual((await post("/v1/files", 4000)).status, 413);
        assert.equal((await post("/passthrough/sim/files", 9000)).status, 413);
    });
});
