// Requests whose end two readers could see in different places (RFC 9112 section 11.2) are refused and the connection is
// closed: a second request hidden behind them is never answered and never reaches the provider.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { RawClient, scope, startGateway, startSim } from "../support/harness.mjs";
import { assertAlive, errorText } from "../support/process.mjs";

const hidden = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
const body = '{"model":"m","messages":[{"role":"user","content":"hi"}]}';
const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;

// Head lines after Host and Authorization, with the body that follows.
const lengths = [
    ["length and chunks", `Content-Length: ${chunked.length}\r\nTransfer-Encoding: chunked`, chunked],
    ["chunks and length", `Transfer-Encoding: chunked\r\nContent-Length: 6`, chunked],
    ["two lengths that differ", `Content-Length: ${body.length}\r\nContent-Length: 5`, body],
    ["two lengths that agree", `Content-Length: ${body.length}\r\nContent-Length: ${body.length}`, body],
    ["a list of lengths", `Content-Length: ${body.length}, ${body.length}`, body],
    ["a length with a sign", `Content-Length: +${body.length}`, body],
    ["a negative length", "Content-Length: -1", body],
    ["a hexadecimal length", "Content-Length: 0x39", body],
    ["a length with a blank inside", "Content-Length: 5 7", body],
    ["an empty length", "Content-Length: ", body],
    ["a length with an exponent", "Content-Length: 5e1", body],
    ["a length with a fraction", "Content-Length: 57.0", body],
    ["a length with a vertical tab", "Content-Length: \x0b57", body],
    ["a length beyond 64 bits", "Content-Length: 99999999999999999999", body],
    ["a length of 2^64 + 57", "Content-Length: 18446744073709551673", body],
    ["chunked twice", "Transfer-Encoding: chunked, chunked", chunked],
    ["two codings", "Transfer-Encoding: gzip, chunked", chunked],
    ["chunked not last", "Transfer-Encoding: chunked, identity", chunked],
    ["identity", "Transfer-Encoding: identity", chunked],
    ["an unknown coding", "Transfer-Encoding: xchunked", chunked],
    ["a coding with a vertical tab", "Transfer-Encoding: \x0bchunked", chunked],
    ["a coding with a quote", 'Transfer-Encoding: "chunked"', chunked],
    ["a coding with a parameter", "Transfer-Encoding: chunked;q=1", chunked],
    ["an empty coding", "Transfer-Encoding:", chunked],
    ["two coding lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", chunked],
    ["a blank before the colon", "Transfer-Encoding : chunked", chunked],
    ["a tab before the colon", "Transfer-Encoding\t: chunked", chunked],
    ["a folded coding", "Transfer-Encoding:\r\n chunked", chunked],
    ["a folded header", "X-One: a\r\n b", body],
    ["a header that begins with a blank", " Transfer-Encoding: chunked", chunked],
    ["a bare LF between headers", `X-One: a\nTransfer-Encoding: chunked`, chunked],
    ["a bare CR between headers", `X-One: a\rTransfer-Encoding: chunked`, chunked],
    ["a NUL in a value", "X-One: a\0b", body],
    ["a NUL in a name", "X\0One: a", body],
    ["a control character in a value", "X-One: a\x01b", body],
    ["DEL in a value", "X-One: a\x7fb", body],
    ["a name with a blank", "X One: a", body],
    ["a name with a bracket", "X(One): a", body],
    ["a name of bytes above 0x7f", "X\xc3\xa9: a", body],
    ["an empty name", ": a", body],
    ["a line without a colon", "X-One", body],
    ["a second Host", "Host: other", body],
];

const heads = [
    ["no Host", "GET /v1/models HTTP/1.1\r\n\r\n", [400]],
    ["an empty Host", "GET /v1/models HTTP/1.1\r\nHost:\r\n\r\n", [400]],
    ["lines that end in LF", "GET /v1/models HTTP/1.1\nHost: x\n\n", [400]],
    ["two blanks in the request line", "GET  /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", [400]],
    ["a tab in the request line", "GET\t/v1/models HTTP/1.1\r\nHost: x\r\n\r\n", [400]],
    ["a blank after the version", "GET /v1/models HTTP/1.1 \r\nHost: x\r\n\r\n", [400]],
    ["no version", "GET /v1/models\r\n\r\n", [400, 505]],
    ["version 2.0", "GET /v1/models HTTP/2.0\r\nHost: x\r\n\r\n", [400, 505]],
    ["version 1.2", "GET /v1/models HTTP/1.2\r\nHost: x\r\n\r\n", [400, 505]],
    ["version 1.10", "GET /v1/models HTTP/1.10\r\nHost: x\r\n\r\n", [400, 505]],
    ["a version in lower case", "GET /v1/models http/1.1\r\nHost: x\r\n\r\n", [400]],
    ["another protocol", "GET /v1/models ICY/1.1\r\nHost: x\r\n\r\n", [400]],
    ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400, 505]],
    ["a method that is no token", "GE(T /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", [400]],
    ["a target with a NUL", "GET /v1/\0models HTTP/1.1\r\nHost: x\r\n\r\n", [400]],
    ["a target with a blank", "GET /v1/mod els HTTP/1.1\r\nHost: x\r\n\r\n", [400]],
    ["chunks in HTTP/1.0", `POST /v1/chat/completions HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`, [400]],
    ["a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x55".repeat(500), [400]],
    ["an SSH greeting", "SSH-2.0-OpenSSH_9.2\r\n", [400]],
    ["bytes of no meaning", "\xff\xfe\0\0\x80".repeat(50) + "\r\n\r\n", [400]],
];

// Bodies of a request with Transfer-Encoding: chunked.
const chunks = [
    ["a size with 0x", `0x${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`],
    ["a negative size", `-5\r\n${body}\r\n0\r\n\r\n`],
    ["a size with a sign", `+39\r\n${body}\r\n0\r\n\r\n`],
    ["no size", `\r\n${body}\r\n0\r\n\r\n`],
    ["a size beyond 64 bits", `fffffffffffffffff\r\n${body}\r\n0\r\n\r\n`],
    ["a size that wraps to zero", `10000000000000000\r\n${body}\r\n0\r\n\r\n`],
    ["a size that is no number", `zz\r\n${body}\r\n0\r\n\r\n`],
    ["a blank before the size", ` 39\r\n${body}\r\n0\r\n\r\n`],
    ["a size line that ends in LF", `39\n${body}\r\n0\r\n\r\n`],
    ["a size line with a bare CR", `39\r${body}\r\n0\r\n\r\n`],
    ["data without its CRLF", `39\r\n${body}0\r\n\r\n`],
    ["data that ends in LF", `39\r\n${body}\n0\r\n\r\n`],
    ["more data than the size says", `5\r\n${body}\r\n0\r\n\r\n`],
    ["an extension with a LF", `39;a=\nb\r\n${body}\r\n0\r\n\r\n`],
    ["an extension with a NUL", `39;a=\0\r\n${body}\r\n0\r\n\r\n`],
    ["a trailer that is no header", `39\r\n${body}\r\n0\r\nno colon\r\n\r\n`],
    ["a trailer with a bare LF", `39\r\n${body}\r\n0\r\nX: a\nY: b\r\n\r\n`],
    ["trailers without an end", `39\r\n${body}\r\n0\r\n${"X: a\r\n".repeat(20000)}\r\n`],
    ["an extension of 100,000 bytes", `39;${"a".repeat(100000)}\r\n${body}\r\n0\r\n\r\n`],
];

describe("framing attacks are refused", () => {
    const cleanups = scope();
    let sim;
    let gateway;
    let key;
    before(async () => {
        sim = await startSim(cleanups);
        gateway = await startGateway(cleanups, { sim });
        key = (await gateway.createTenant({ rate_limit: 100000 })).api_key;
        assert.equal(body.length, 0x39, "the chunk sizes above are of this body");
    });
    after(() => cleanups.end());

    const attack = async (bytes, statuses) => {
        const client = await RawClient.connect(gateway.port);
        try {
            client.socket.write(Buffer.from(bytes + hidden, "latin1"));
            const text = await client.readAll();
            const answers = text.match(/HTTP\/1\.[01] \d{3} /g) ?? [];
            assert.equal(answers.length, 1, `one answer, not: ${text.slice(0, 2000)}`);
            const status = Number(answers[0].slice(9, 12));
            assert.ok(statuses.includes(status), `status ${status}: ${text}`);
            assert.match(text, /\r\nconnection: close\r\n/i);
            errorText(text.slice(text.indexOf("\r\n\r\n") + 4));
        } finally {
            client.close();
        }
    };
    const untouched = async (t, cases) => {
        assert.equal((await sim.stats()).requests, 0, "nothing reaches the provider");
        await assertAlive(gateway);
        t.diagnostic(`${cases} cases`);
    };
    const head = (lines) => `POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer ${key}\r\n${lines}\r\n\r\n`;

    test(`${lengths.length} heads with two readings of where the body ends, or malformed lines`, async (t) => {
        for (const [name, lines, rest] of lengths) {
            await attack(head(lines) + rest, [400]).catch((e) => assert.fail(`${name}: ${e.message}`));
        }
        await untouched(t, lengths.length);
    });

    test(`${heads.length} request lines and protocols that are not HTTP/1.1`, async (t) => {
        for (const [name, bytes, statuses] of heads) {
            await attack(bytes, statuses).catch((e) => assert.fail(`${name}: ${e.message}`));
        }
        await untouched(t, heads.length);
    });

    test(`${chunks.length} malformed chunked bodies`, async (t) => {
        for (const [name, bytes] of chunks) {
            await attack(head("Transfer-Encoding: chunked") + bytes, [400, 413, 431]).catch((e) => assert.fail(`${name}: ${e.message}`));
        }
        await untouched(t, chunks.length);
    });

    test("every byte of a head replaced by NUL, LF, CR and 0xff is answered or refused once, and never crashes", async (t) => {
        const plain = `GET /v1/models HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer ${key}\r\nConnection: close\r\n\r\n`;
        let cases = 0;
        const one = async (at, byte) => {
            const client = await RawClient.connect(gateway.port);
            try {
                client.socket.write(Buffer.from(plain.slice(0, at) + byte + plain.slice(at + 1), "latin1"));
                client.end();
                const text = await client.readAll();
                const answers = text.match(/HTTP\/1\.[01] \d{3} /g) ?? [];
                assert.ok(answers.length <= 1, `byte ${at}: ${text}`);
                cases++;
            } finally {
                client.close();
            }
        };
        for (let at = 0; at < plain.length; at++) await Promise.all(["\0", "\n", "\r", "\xff"].map((byte) => one(at, byte)));
        await assertAlive(gateway);
        t.diagnostic(`${cases} cases`);
    });

    test("a body of a GET is a body, and not the next request", async (t) => {
        const client = await RawClient.connect(gateway.port);
        t.after(() => client.close());
        await client.send(`GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
        const text = await client.readAll();
        assert.equal((text.match(/HTTP\/1\.1 200 /g) ?? []).length, 2, text);
    });

    test("an upgrade is not taken", async (t) => {
        const client = await RawClient.connect(gateway.port);
        t.after(() => client.close());
        await client.send("GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");
        assert.equal((await client.response()).status, 200);
    });
});
