// Google's API at the gateway beside what its package does: keys in the query, escapes, arrays, unknown members, headers.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { RawClient, eventually, scope, sse, startSim, startWorld } from "../support/harness.mjs";

const flash = "gemini-2.5-flash";
const contents = [{ role: "user", parts: [{ text: "hello there" }] }];

describe("Gemini's clients get what their API gives", () => {
    const world = scope();
    let sim, gateway, key;
    before(async () => {
        ({ sim, gateway, key } = await startWorld(world, { providers: ["openai", "anthropic", "gemini"], tenant: { rate_limit: 500 } }));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    /** A request with the key where Google's clients put it. */
    const ask = (where, body = { contents }, headers = {}) =>
        fetch(gateway.origin + where, {
            method: "POST",
            headers: { "x-goog-api-key": key, ...headers },
            body: typeof body === "string" ? body : JSON.stringify(body),
        });
    const get = (where) => fetch(gateway.origin + where, { headers: { "x-goog-api-key": key } });
    const nobody = (where, body = { contents }) => fetch(gateway.origin + where, { method: "POST", body: JSON.stringify(body) });

    describe("a key in the query", () => {
        test("opens Gemini's routes, and stays here", async () => {
            const paths = [`/v1beta/models/${flash}:generateContent`, `/v1/models/${flash}:streamGenerateContent?alt=sse&`, `/v1beta/models/${flash}:countTokens`, `/v1beta/models/gpt-4o-mini:generateContent`];
            for (const where of paths) {
                const r = await nobody(`${where}${where.includes("?") ? "" : "?"}key=${key}`);
                assert.equal(r.status, 200, await r.text());
                await gateway.row(r);
            }
            const list = await fetch(`${gateway.origin}/v1beta/models?key=${key}`);
            assert.equal(list.status, 200);
            await list.text();
            const escaped = [...key].map((c) => `%${c.charCodeAt(0).toString(16)}`).join("");
            assert.equal((await nobody(`/v1beta/models/${flash}:generateContent?x=1&key=${escaped}`)).status, 200);
            for (const r of await sim.requests()) assert.ok(!r.head.includes(key) && !r.head.includes("key="), r.head);
            assert.ok(!gateway.child.output.includes(key), "no log has it");
            const dump = JSON.stringify([await gateway.sql("SELECT * FROM requests"), await gateway.sql("SELECT * FROM api_keys"), await gateway.sql("SELECT * FROM audit_log")]);
            assert.ok(!dump.includes(key), "no row has it");
        });

        test("opens no other route", async () => {
            const chat = { model: "gpt-4o-mini", messages: [{ role: "user", content: "x" }] };
            for (const [where, body] of [["/v1/chat/completions", chat], ["/v1/messages", { ...chat, max_tokens: 5 }], ["/api/v1/completions", chat], ["/v1/responses", { model: "gpt-4o-mini", input: "x" }], ["/passthrough/gemini/models", {}]]) {
                assert.equal((await nobody(`${where}?key=${key}`, body)).status, 401, where);
            }
            assert.equal((await fetch(`${gateway.origin}/v1/models?key=${key}`)).status, 401);
            assert.deepEqual(await sim.requests(), []);
        });

        test("a header comes first; a wrong or an empty key is refused in Google's form", async () => {
            const r = await fetch(`${gateway.origin}/v1beta/models/${flash}:generateContent?key=${key}`, { method: "POST", headers: { "x-goog-api-key": "llm-gw-no" }, body: "{}" });
            assert.equal(r.status, 401);
            for (const query of ["", "?key=", "?key=llm-gw-no", "?Key=x", "?key=%00", "?key=%zz"]) {
                const refused = await nobody(`/v1beta/models/${flash}:generateContent${query}`);
                assert.equal(refused.status, 401, query);
                const { error } = await refused.json();
                assert.deepEqual([error.code, error.status], [401, "UNAUTHENTICATED"]);
            }
        });
    });

    test("the method's colon may be escaped, and the model's name hold a slash or a colon", async () => {
        for (const [where, target] of [
            [`/v1beta/models/${flash}%3AgenerateContent`, `/v1beta/models/${flash}:generateContent`],
            [`/v1beta/models/gemini%2F${flash}%3agenerateContent`, `/v1beta/models/${flash}:generateContent`],
            [`/v1/models/gemini/${flash}:generateContent`, `/v1beta/models/${flash}:generateContent`],
            ["/v1beta/models/openai/ft:gpt-4o-mini:acme::x:generateContent", "/v1/chat/completions"],
        ]) {
            const r = await ask(where);
            assert.equal(r.status, 200, `${where}: ${await r.text()}`);
            assert.equal((await sim.requests()).at(-1).target, target);
        }
        assert.equal((await sim.requests()).at(-1).json.model, "ft:gpt-4o-mini:acme::x");
        for (const where of [`/v1beta/models/${flash}%zz:generateContent`, `/v1beta/models/${flash}%00:generateContent`, `/v1beta/models/${flash}%0a:generateContent`]) {
            const r = await ask(where);
            assert.equal(r.status, 400, where);
            assert.equal((await r.json()).error.status, "INVALID_ARGUMENT");
        }
    });

    test("the bytes of the body reach the provider as they were sent, and so does what the client says of itself", async () => {
        const body = `{ "contents":[{"role":"user","parts":[{"text":"caf\\u00e9"}]}],\n "generation_config":{"temperature":1.50}, "store": false, "safetySettings":[] }`;
        const said = { "x-goog-api-client": "gemini-cli/1.0 gl-node/22", "x-server-timeout": "30", "x-gemini-api-privileged-user-id": "u-1" };
        const r = await ask(`/v1beta/models/${flash}:generateContent`, body, { ...said, cookie: "c=1", "x-other": "1", authorization: "Basic x" });
        assert.equal(r.status, 200, await r.text());
        const [seen] = await sim.requests();
        assert.equal(seen.body, body);
        assert.equal(seen.headers["x-goog-api-key"], "gemini-provider");
        for (const [name, value] of Object.entries(said)) assert.equal(seen.headers[name], value);
        for (const name of ["cookie", "x-other", "authorization"]) assert.equal(seen.headers[name], undefined);
        // A member that Google does not know is Google's to refuse.
        const unknown = await ask(`/v1beta/models/${flash}:generateContent`, { contents, weird_member: 1 });
        assert.equal(unknown.status, 400);
        assert.match((await unknown.json()).error.message, /Unknown name "weird_member"/);
        await ask("/v1beta/models/gpt-4o-mini:generateContent", { contents }, said);
        assert.equal((await sim.requests()).at(-1).headers["x-goog-api-client"], undefined);
    });

    for (const model of [flash, "gpt-4o-mini", "claude-haiku-4-5"]) {
        describe(`a stream without alt=sse, answered by ${model}`, () => {
            const where = `/v1beta/models/${model}:streamGenerateContent`;

            test("is one JSON array in pieces", async () => {
                const r = await ask(where);
                assert.equal(r.status, 200);
                assert.equal(r.headers.get("content-type"), "application/json; charset=UTF-8");
                const pieces = JSON.parse(await r.text());
                assert.ok(pieces.length > 2);
                assert.equal(pieces.flatMap((p) => p.candidates?.[0]?.content?.parts ?? []).map((p) => p.text ?? "").join(""), "You said: hello there");
                assert.equal(pieces.at(-1).candidates[0].finishReason, "STOP");
                const row = await gateway.row(r);
                assert.deepEqual([row.status, row.estimated, row.is_stream, row.total_tokens], ["success", 0, 1, 9]);
            });

            test("that a provider cuts ends with an error in the array", async () => {
                await sim.script({ tokens: 8, reset_at: "c6" });
                const r = await ask(where);
                const pieces = JSON.parse(await r.text());
                assert.ok(pieces.length > 1, "what came before was passed on");
                assert.deepEqual([pieces.at(-1).error.code, pieces.at(-1).error.status], [502, "UNAVAILABLE"]);
                assert.equal((await gateway.row(r)).status, "upstream_cut");
            });

            test("with an error inside ends with that one error", async () => {
                await sim.script({ tokens: 8, error_at: 5 });
                const pieces = JSON.parse(await (await ask(where)).text());
                assert.deepEqual(pieces.map((p) => "error" in p).filter(Boolean), [true]);
                assert.ok(pieces.at(-1).error.code >= 500);
            });

            test("comes from the cache in the same form, whoever asked first", async () => {
                const body = { contents: [{ role: "user", parts: [{ text: `cached ${model}` }] }] };
                const on = { "x-llm-gateway-cache": "on" };
                const textOf = (all) => all.flatMap((p) => p.candidates?.[0]?.content?.parts ?? []).map((p) => p.text ?? "").join("");
                const first = JSON.parse(await (await ask(where, body, on)).text());
                const again = await ask(where, body, on);
                assert.equal(again.headers.get("x-llm-gateway-cache"), "hit");
                assert.equal(again.headers.get("content-type"), "application/json; charset=UTF-8");
                assert.equal(textOf(JSON.parse(await again.text())), textOf(first));
                const whole = await ask(where.replace("streamGenerateContent", "generateContent"), body, on);
                assert.equal(whole.headers.get("x-llm-gateway-cache"), "hit");
                assert.equal(textOf([await whole.json()]), textOf(first));
                const events = await ask(`${where}?alt=sse`, body, on);
                assert.equal(events.headers.get("x-llm-gateway-cache"), "hit");
                assert.match(events.headers.get("content-type"), /^text\/event-stream/);
                const told = [];
                for await (const e of sse(events)) told.push(JSON.parse(e.data));
                assert.equal(textOf(told), textOf(first));
                assert.equal((await sim.requests()).length, 1);
            });

            test("shares the call of an identical one in flight", async () => {
                await sim.script({ body_delay: "300ms", content: "shared" });
                const body = { contents: [{ role: "user", parts: [{ text: `in flight ${model}` }] }] };
                const on = { "x-llm-gateway-cache": "on" };
                const first = ask(where, body, on);
                await eventually(async () => (await sim.requests()).length === 1, "the request at the provider");
                const all = await Promise.all([first, ask(where, body, on), ask(`${where}?alt=sse`, body, on)]);
                const texts = await Promise.all(all.map((r) => r.text()));
                assert.ok(texts.every((text) => text.includes("shared")), texts.join("\n"));
                assert.doesNotThrow(() => texts.slice(0, 2).map(JSON.parse));
                assert.equal((await sim.requests()).length, 1);
            });
        });
    }

    test("silence in an array is not filled: JSON has no comments", async (t) => {
        const quiet = await startWorld(t, { providers: ["gemini"], env: { KEEPALIVE: "100ms" } });
        await quiet.sim.script({ tokens: 3, rate: "400ms" }, { tokens: 3, rate: "400ms" });
        const post = async (query) => (await quiet.post(`/v1beta/models/${flash}:streamGenerateContent${query}`, { contents })).text();
        assert.match(await post("?alt=sse"), /^: keep-alive/m);
        assert.ok(JSON.parse(await post("")).length >= 3);
    });

    test("models are listed in Google's form, by path or by header", async () => {
        for (const where of ["/v1beta/models", "/v1/models", "/v1beta/models?pageSize=5"]) {
            const { models } = await (await get(where)).json();
            const of = Object.fromEntries(models.map((m) => [m.name, m]));
            assert.deepEqual(of[`models/${flash}`].supportedGenerationMethods, ["generateContent", "countTokens"]);
            assert.deepEqual(of["models/gemini-embedding-001"].supportedGenerationMethods, ["embedContent"]);
            assert.ok(of["models/gpt-4o-mini"]);
        }
        const bearer = { headers: { authorization: `Bearer ${key}` } };
        assert.ok((await (await fetch(`${gateway.origin}/v1/models`, bearer)).json()).data, "OpenAI's stays OpenAI's");
        assert.equal((await (await fetch(`${gateway.origin}/v1/models/${flash}`, bearer)).json()).object, "model");
        assert.equal((await (await fetch(`${gateway.origin}/v1beta/models/${flash}`, bearer)).json()).name, `models/${flash}`);
        const r = await get("/v1beta/models/no-such");
        assert.deepEqual([r.status, (await r.json()).error.status], [404, "NOT_FOUND"]);
        assert.equal((await fetch(`${gateway.origin}/v1beta/models/${flash}`, { method: "HEAD", ...bearer })).status, 200);
    });

    test("what is not served is refused in Google's form", async () => {
        for (const [where, status, name] of [
            ["/v1beta/cachedContents", 404, "NOT_FOUND"],
            [`/v1beta/models/${flash}:predict`, 405, "UNIMPLEMENTED"],
            [`/v1/models/${flash}:generateContent?alt=json`, 400, "INVALID_ARGUMENT"],
        ]) {
            const r = await ask(where, "{}");
            assert.equal(r.status, status, where);
            const { error } = await r.json();
            assert.deepEqual([error.code, error.status], [status, name]);
        }
        const read = await get(`/v1/models/${flash}:generateContent`);
        assert.deepEqual([read.status, read.headers.get("allow"), (await read.json()).error.status], [405, "POST", "UNIMPLEMENTED"]);
        // What is no proper HTTP, too.
        const raw = await RawClient.connect(gateway.port);
        await raw.send(`POST /v1beta/models/${flash}:generateContent HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n`);
        const { status, body } = await raw.response();
        raw.close();
        assert.equal(status, 400);
        if (body.length) assert.ok(JSON.parse(body).error, body.toString());
    });

    test("names are read in both spellings, and not in both at once", async () => {
        const snake = await ask("/v1beta/models/gpt-4o-mini:generateContent", { contents, system_instruction: { parts: [{ text: "be brief" }] }, generation_config: { max_output_tokens: 7 } });
        assert.equal(snake.status, 200);
        const { json } = (await sim.requests()).at(-1);
        assert.deepEqual([json.messages[0].content, json.max_tokens ?? json.max_completion_tokens], ["be brief", 7]);
        const both = await ask(`/v1beta/models/${flash}:generateContent`, { contents, generationConfig: {}, generation_config: {} });
        assert.equal(both.status, 400);
    });

    test("a provider that says in the body alone when to try again is heeded", async (t) => {
        const { sim: s, post } = await startWorld(t, { providers: ["gemini"], env: { MAX_ATTEMPTS: "1" } });
        await s.script({ status: 429, retry_after: 34 });
        const r = await post("/v1/chat/completions", { model: flash, messages: [{ role: "user", content: "x" }] });
        assert.deepEqual([r.status, r.headers.get("retry-after")], [429, "34"]);
    });

    test("a base URL that is the host alone means /v1beta; another path is kept", async (t) => {
        const other = await startSim(t);
        for (const [url, target] of [[other.origin, "/v1beta/"], [`${other.origin}/v1`, "/v1/"]]) {
            const { post } = await startWorld(t, { env: { GEMINI_API_KEY: "k", GEMINI_UPSTREAM_URL: url }, providers: [] });
            assert.equal((await post(`/v1beta/models/${flash}:generateContent`, { contents })).status, 200);
            assert.equal((await other.requests()).at(-1).target, `${target}models/${flash}:generateContent`);
        }
    });
});
