// Clients that dawdle, vanish, never end or send too much get a clear answer or a closed connection, and cost the others nothing.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { RawClient, eventually, parseResponse, scope, sumMetric } from "../support/harness.mjs";
import { MiB, assertAlive, errorText, memory, question, rawRequest, isSanitized, startWatched } from "../support/process.mjs";

describe("slow and broken clients do no harm", () => {
    const cleanups = scope();
    let sim;
    let gateway;
    let key;
    let checkMemory;
    before(async () => {
        ({ sim, gateway, key, checkMemory } = await startWatched(cleanups, {
            env: { HEAD_TIMEOUT: "300ms", BODY_TIMEOUT: "300ms", IDLE_TIMEOUT: "60s" },
        }));
    });
    after(() => cleanups.end());

    const open = async (t) => {
        const client = await RawClient.connect(gateway.port);
        t.after(() => client.close());
        return client;
    };
    const refused = (text, status) => {
        const r = parseResponse(Buffer.from(text, "latin1"), true);
        assert.equal(r?.status, status, text.slice(0, 300));
        return errorText(r.body);
    };

    test("a head that comes a byte at a time is a 408, however busy the client looks", async (t) => {
        const client = await open(t);
        const drip = setInterval(() => client.send("X"), 20);
        t.after(() => clearInterval(drip));
        await client.send("GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ");
        assert.match(refused(await client.readAll(), 408), /head/);
    });

    test("a head that stops is a 408; one that never began is only closed", async (t) => {
        const client = await open(t);
        await client.send("GET /health HTT");
        refused(await client.readAll(), 408);
        const silent = await open(t);
        await silent.send("\r\n");
        assert.equal(await silent.readAll(), "");
    });

    test("a body that stops is a 408, sized or chunked", async (t) => {
        const whole = rawRequest(key, question());
        for (const bytes of [whole.slice(0, -5), whole.replace(/Content-Length: \d+/, "Transfer-Encoding: chunked").replace("\r\n\r\n", "\r\n\r\n400\r\n")]) {
            const client = await open(t);
            await client.send(bytes);
            assert.match(refused(await client.readAll(), 408), /body/);
        }
    });

    test("1,500 connections that say nothing or half a word cost little, and the others are served", async (t) => {
        const rss = memory(gateway.child.pid, "VmRSS");
        const clients = await Promise.all(Array.from({ length: 1500 }, () => RawClient.connect(gateway.port)));
        t.after(() => clients.forEach((c) => c.close()));
        await Promise.all(clients.slice(0, 500).map((c) => c.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n")));
        assert.equal((await gateway.request(key, "/v1/chat/completions", question())).status, 200);
        const texts = await Promise.all(clients.slice(0, 500).map((c) => c.readAll()));
        for (const text of texts) refused(text, 408);
        assert.equal((await gateway.request(key, "/v1/chat/completions", question())).status, 200);
        assert.ok(clients.slice(500).every((c) => !c.ended), "idle connections stay");
        if (!isSanitized) assert.ok(memory(gateway.child.pid, "VmRSS") - rss < 16 * MiB);
        t.diagnostic("1,500 connections");
    });

    test("a request may break off after any of its bytes", async (t) => {
        const bytes = rawRequest(key, question("m", { stream: true }));
        const statuses = {};
        let cases = 0;
        const cut = async (n, how) => {
            const client = await RawClient.connect(gateway.port);
            await client.send(bytes.slice(0, n));
            if (how === "reset") client.reset();
            else client.end();
            if (how !== "reset") await client.readAll();
            const status = client.text.slice(9, 12);
            statuses[status] = (statuses[status] ?? 0) + 1;
            assert.match(client.text, /^(HTTP\/1\.1 \d{3} |$)/);
            client.close();
            cases++;
        };
        for (let n = 0; n <= bytes.length; n += 8) {
            await Promise.all(Array.from({ length: Math.min(8, bytes.length + 1 - n) }, (_, i) => [cut(n + i, "end"), cut(n + i, "reset")]).flat());
        }
        await eventually(async () => (await sim.stats()).connections_open <= 64, "upstream connections to settle");
        await eventually(async () => (sumMetric(await (await fetch(`${gateway.origin}/metrics`)).text(), "llm_gateway_active_requests") ?? 0) === 0, "no request to be left");
        await assertAlive(gateway);
        t.diagnostic(`${cases} broken requests; answers: ${JSON.stringify(statuses)}`);
    });

    test("an answer may be left after any of its bytes", async (t) => {
        const body = question("m;tokens=40;rate=1", { stream: true });
        let cases = 0;
        const leave = async (n) => {
            const client = await RawClient.connect(gateway.port);
            await client.send(rawRequest(key, body));
            await client.until((text) => text.length > n, "some of the answer");
            if (n % 2) client.reset();
            else client.close();
            cases++;
        };
        for (let n = 0; n < 800; n += 80) await Promise.all([0, 13, 27, 40, 53, 67].map((i) => leave(n + i)));
        await eventually(async () => (sumMetric(await (await fetch(`${gateway.origin}/metrics`)).text(), "llm_gateway_active_requests") ?? 0) === 0, "no request to be left");
        await assertAlive(gateway);
        t.diagnostic(`${cases} left answers`);
    });

    test("pipelined requests are answered in order, one at a time, refusals among them", async (t) => {
        const client = await open(t);
        const wanted = [];
        let bytes = "";
        for (let i = 0; i < 60; i++) {
            const kind = i % 4;
            if (kind === 0) bytes += rawRequest(key, question("m", { messages: [{ role: "user", content: `number ${i}` }], stream: i % 8 === 0 }));
            if (kind === 1) bytes += "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
            if (kind === 2) bytes += `GET /nothing/${i} HTTP/1.1\r\nHost: x\r\n\r\n`;
            if (kind === 3) bytes += rawRequest("llm-gw-not-a-key", question());
            wanted.push([200, 200, 404, 401][kind]);
        }
        await client.send(bytes);
        for (const [i, status] of wanted.entries()) {
            const r = await client.response();
            assert.equal(r.status, status, `answer ${i}`);
            if (i % 4 === 0 && i % 8 !== 0) assert.match(r.body.toString(), new RegExp(`number ${i}"`));
        }
        t.diagnostic(`${wanted.length} requests in one segment`);
    });

    test("Expect: 100-continue: a refusal comes instead of 100, a good request gets 100 first", async (t) => {
        const heads = (k) => rawRequest(k, question(), { headers: "Expect: 100-continue\r\n" }).split("\r\n\r\n");
        for (const k of ["llm-gw-wrong", ""]) {
            const client = await open(t);
            await client.send(`${heads(k)[0]}\r\n\r\n`);
            assert.equal((await client.response()).status, 401);
        }
        const [head, body] = heads(key);
        const client = await open(t);
        await client.send(`${head}\r\n\r\n`);
        assert.equal((await client.response()).status, 100);
        await client.send(body);
        assert.equal((await client.response()).status, 200);
        const large = await open(t);
        await large.send(`${head.replace(/Content-Length: \d+/, "Content-Length: 99999999")}\r\n\r\n`);
        assert.equal((await large.response()).status, 413);
    });

    test("the 401 is read whole even while a large body is on its way", async (t) => {
        for (const size of [1000, 60000, 900000]) {
            const client = await open(t);
            void client.send(rawRequest("llm-gw-wrong", question("m", { x: "a".repeat(size) })));
            const r = await client.response();
            assert.equal(r.status, 401);
            errorText(r.body);
            client.close();
        }
    });

    test("too many headers, too long a head, too long a target", async (t) => {
        const cases = [
            ["10,000 headers", `GET /health HTTP/1.1\r\nHost: x\r\n${"a: b\r\n".repeat(10000)}\r\n`, 431],
            ["101 headers", `GET /health HTTP/1.1\r\nHost: x\r\n${"a: b\r\n".repeat(100)}\r\n`, 431],
            ["a value of 70 KiB", `GET /health HTTP/1.1\r\nHost: x\r\na: ${"b".repeat(70000)}\r\n\r\n`, 431],
            ["a name of 70 KiB", `GET /health HTTP/1.1\r\nHost: x\r\n${"b".repeat(70000)}: a\r\n\r\n`, 431],
            ["a head without an end", `GET /health HTTP/1.1\r\nHost: x\r\n${"a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n".repeat(2000)}`, 431],
            ["a target of 20 KiB", `GET /${"a".repeat(20000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414],
            ["a target of 200 KiB", `GET /${"a".repeat(200000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414],
            ["a method of 100 KiB", `${"A".repeat(100000)} / HTTP/1.1\r\nHost: x\r\n\r\n`, 414],
        ];
        for (const [name, bytes, status] of cases) {
            const client = await open(t);
            void client.send(bytes);
            const text = await client.readAll();
            assert.equal(Number(text.slice(9, 12)), status, `${name}: ${text.slice(0, 200)}`);
            refused(text, status);
        }
        await assertAlive(gateway);
        t.diagnostic(`${cases.length} cases`);
    });

    test("what is refused so is told in the words of the path's clients", async (t) => {
        const long = `a: ${"b".repeat(70000)}\r\n\r\n`;
        const told = async (path, headers, status) => {
            const client = await open(t);
            void client.send(`POST ${path} HTTP/1.1\r\nHost: x\r\nX-API-Key: ${key}\r\n${headers}`);
            const text = await client.readAll();
            assert.equal(Number(text.slice(9, 12)), status, text.slice(0, 200));
            return JSON.parse(text.slice(text.indexOf("\r\n\r\n")));
        };
        for (const [headers, status, openai, anthropic] of [
            [long, 431, ["invalid_request_error", null], "invalid_request_error"],
            ["Content-Length: 10\r\n\r\n{", 408, ["invalid_request_error", null], "invalid_request_error"],
            ["Transfer-Encoding: chunked\r\n\r\n3000000\r\n{", 413, ["invalid_request_error", "request_too_large"], "request_too_large"],
        ]) {
            const own = await told("/api/v1/completions", headers, status);
            const { error } = await told("/v1/chat/completions", headers, status);
            const message = await told("/v1/messages", headers, status);
            if (status === 431) { // the head is not known: it could be anybody's
                assert.ok(own.error && message.error, JSON.stringify([own, message]));
                continue;
            }
            assert.equal(typeof own.detail, "string");
            assert.deepEqual([error.type, error.code, error.param, error.message], [...openai, null, own.detail]);
            assert.deepEqual(message, { type: "error", error: { type: anthropic, message: own.detail }, request_id: null });
        }
    });

    test("a body without an end, or larger than is taken, is a 413", async (t) => {
        const whole = rawRequest(key, question());
        const sized = await open(t);
        await sized.send(`${whole.slice(0, whole.indexOf("\r\n\r\n")).replace(/Content-Length: \d+/, "Content-Length: 40000000")}\r\n\r\n{"model":"m",`);
        refused(await sized.until((text) => text.includes("}}")), 413);

        const endless = await open(t);
        await endless.send(`${whole.slice(0, whole.indexOf("\r\n\r\n")).replace(/Content-Length: \d+/, "Transfer-Encoding: chunked")}\r\n\r\n`);
        const chunk = Buffer.from(`10000\r\n${" ".repeat(65536)}\r\n`);
        let sent = 0;
        while (!endless.text && !endless.ended && sent < 64 * MiB) {
            await endless.send(chunk);
            sent += 65536;
        }
        refused(await endless.until((text) => text.includes("}}")), 413);
        assert.ok(sent >= 32 * MiB && sent < 40 * MiB, `${sent} bytes were taken`);
        await assertAlive(gateway);
    });

    test("a client that does not read its answer holds little", async (t) => {
        const clients = await Promise.all(Array.from({ length: 50 }, () => open(t)));
        for (const client of clients) client.socket.pause();
        await Promise.all(clients.map((client) => client.send(rawRequest(key, question("m;tokens=100000;token_bytes=100", { stream: true })))));
        assert.equal((await gateway.request(key, "/v1/chat/completions", question())).status, 200);
        await eventually(async () => (await sim.stats()).requests >= 50);
        for (const client of clients) client.close();
        await assertAlive(gateway);
    });

    test("all of that in bounded memory", (t) => checkMemory(t));
});
