// JSON made to exhaust a parser, or to mean one thing here and another at the provider, is refused with a reason; what is only
// large or odd but valid passes; memory stays bounded.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { scope } from "../support/harness.mjs";
import { assertAlive, errorText, memory, question, startWatched } from "../support/process.mjs";

const messages = '"messages":[{"role":"user","content":"hi"}]';
const bytes = (...parts) => Buffer.concat(parts.map((p) => (typeof p === "string" ? Buffer.from(p, "utf8") : Buffer.from(p))));

const bombs = [
    ["100,000 arrays deep", `{"model":"m",${messages},"x":${"[".repeat(100000)}${"]".repeat(100000)}}`],
    ["100,000 objects deep", `{"model":"m",${messages},"x":${'{"a":'.repeat(100000)}1${"}".repeat(100000)}}`],
    ["129 arrays deep", `{"model":"m",${messages},"x":${"[".repeat(128)}${"]".repeat(128)}}`],
    ["a million open brackets", "[".repeat(1000000)],
    ["a million open braces", "{".repeat(1000000)],
    ["a million closing brackets", `{"model":"m"${"]".repeat(1000000)}`],
    ["open brackets inside messages", `{"model":"m","messages":${"[".repeat(1000000)}`],
    ["depth hidden in a message", `{"model":"m","messages":[{"role":"user","content":${"[".repeat(1000)}${"]".repeat(1000)}}]}`],
    ["an unfinished string of 1 MB", `{"model":"m","messages":[{"role":"user","content":"${"a".repeat(1000000)}`],
    ["a number of a million digits as max_tokens", `{"model":"m",${messages},"max_tokens":${"9".repeat(1000000)}}`],
    ["1e999999999 as max_tokens", `{"model":"m",${messages},"max_tokens":1e999999999}`],
    ["-1 as max_tokens", `{"model":"m",${messages},"max_tokens":-1}`],
    ["2^63 as max_tokens", `{"model":"m",${messages},"max_tokens":9223372036854775808}`],
    ["1e999 as n", `{"model":"m",${messages},"n":1e999}`],
    ["a billion choices", `{"model":"m",${messages},"n":1000000000}`],
];

const malformed = [
    ["nothing", ""],
    ["blanks", "   \n"],
    ["null", "null"],
    ["a string", '"model"'],
    ["an array", "[]"],
    ["two objects", `{"model":"m",${messages}}{}`],
    ["text behind the object", `{"model":"m",${messages}} x`],
    ["a NUL behind the object", `{"model":"m",${messages}}\0`],
    ["a comma too many", `{"model":"m",${messages},}`],
    ["single quotes", `{'model':'m'}`],
    ["a comment", `{"model":"m",/* */${messages}}`],
    ["NaN", `{"model":"m",${messages},"temperature":NaN}`],
    ["Infinity", `{"model":"m",${messages},"temperature":Infinity}`],
    ["a leading zero", `{"model":"m",${messages},"temperature":01}`],
    ["a plus sign", `{"model":"m",${messages},"temperature":+1}`],
    ["a dot without digits", `{"model":"m",${messages},"temperature":1.}`],
    ["a line feed in a string", `{"model":"m","messages":[{"role":"user","content":"a\nb"}]}`],
    ["an unknown escape", `{"model":"m","messages":[{"role":"user","content":"\\x41"}]}`],
    ["half an escape", `{"model":"m","messages":[{"role":"user","content":"\\u12"}]}`],
    ["a byte order mark", `\ufeff{"model":"m",${messages}}`],
    ["UTF-16", Buffer.from(`{"model":"m",${messages}}`, "utf16le")],
];

const deciding = ["model", "messages", "stream", "max_tokens", "max_completion_tokens", "n", "stream_options", "temperature", "user"];
const value = { model: '"m"', messages: '[{"role":"user","content":"hi"}]', stream: "false", stream_options: "null", user: '"u"' };
const twice = deciding.flatMap((name) => {
    const all = `"model":"m",${messages}`;
    const v = value[name] ?? "1";
    const again = (spelled) => `{${name === "model" || name === "messages" ? all : `${all},"${name}":${v}`},"${spelled}":${v}}`;
    return [
        [`${name} twice`, again(name)],
        [`${name} again in capitals`, again(name.toUpperCase())],
        [`${name} again with a capital`, again(name[0].toUpperCase() + name.slice(1))],
        [`${name} again with an escape`, again(`\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`)],
        [`${name} in capitals only`, `{${name === "model" ? messages : `"model":"m"${name === "messages" ? "" : `,${messages}`}`},"${name.toUpperCase()}":${v}}`],
    ];
});

const badUtf8 = [
    ["a lone continuation byte", [0x80]],
    ["an overlong slash", [0xc0, 0xaf]],
    ["an overlong NUL", [0xc0, 0x80]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["beyond U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
    ["five bytes", [0xf8, 0x88, 0x80, 0x80, 0x80]],
    ["0xff", [0xff]],
    ["a sequence cut by the quote", [0xe2, 0x82]],
    ["Latin-1", [0xe9]],
];

describe("hostile JSON is refused", () => {
    const cleanups = scope();
    let sim;
    let gateway;
    let key;
    let checkMemory;
    before(async () => {
        ({ sim, gateway, key, checkMemory } = await startWatched(cleanups));
    });
    after(() => cleanups.end());

    const ask = async (body, where = "/v1/chat/completions") => {
        const r = await gateway.request(key, where, body, { method: "POST" });
        return { status: r.status, text: await r.text() };
    };
    const refusedEverywhere = async (t, cases, what) => {
        const before = (await sim.stats()).requests;
        for (const [name, body] of cases) {
            const openai = await ask(body);
            assert.equal(openai.status, 400, `${name}: ${openai.text.slice(0, 300)}`);
            assert.equal(JSON.parse(openai.text).error.type, "invalid_request_error", name);
            assert.ok(errorText(openai.text).length < 2000, name);
        }
        assert.equal((await sim.stats()).requests, before, "none reached the provider");
        await assertAlive(gateway);
        t.diagnostic(`${cases.length} ${what}`);
    };

    test(`${bombs.length} bombs`, (t) => refusedEverywhere(t, bombs, "bombs"));
    test(`${malformed.length} texts that are not one JSON object`, (t) => refusedEverywhere(t, malformed, "texts"));
    test(`${twice.length} deciding members given twice or in another letter case`, (t) => refusedEverywhere(t, twice, "spellings"));

    // Texts pass unread (the provider says 400); a name that we look at, log and store must not spoil what we write.
    test(`${badUtf8.length} kinds of invalid UTF-8 in a message and in the model's name`, async (t) => {
        const utf8 = new TextDecoder("utf-8", { fatal: true });
        for (const [name, b] of badUtf8) {
            for (const body of [
                bytes('{"model":"m","messages":[{"role":"user","content":"', b, '"}]}'),
                bytes('{"model":"m', b, `",${messages}}`),
                bytes('{"model":"m","messages":[{"role":"', b, '","content":"hi"}]}'),
                bytes(`{"model":"m",${messages},"`, b, '":1}'),
            ]) {
                for (const where of ["/v1/chat/completions", "/api/v1/completions"]) {
                    const r = await gateway.request(key, where, body, { method: "POST" });
                    const text = utf8.decode(await r.arrayBuffer());
                    const isReplaced = where !== "/v1/chat/completions" && r.status === 200; // written anew, so by U+FFFD
                    assert.ok(isReplaced || (r.status >= 400 && r.status < 500), `${name}: ${r.status} ${text}`);
                    if (!isReplaced) errorText(text);
                    for (const [, header] of r.headers) assert.match(header, /^[\t\x20-\x7e]*$/, name);
                }
            }
        }
        gateway.logs(); // each line is JSON
        await assertAlive(gateway);
        t.diagnostic(`${badUtf8.length * 8} requests`);
    });

    test("the gateway's own dialect refuses them too", async (t) => {
        const cases = [...bombs.filter(([name]) => /deep|open|string/.test(name)), ...malformed];
        for (const [name, body] of cases) {
            const r = await ask(body, "/api/v1/completions");
            assert.ok([400, 422].includes(r.status), `${name}: ${r.status} ${r.text.slice(0, 300)}`);
            errorText(r.text);
        }
        t.diagnostic(`${cases.length} cases`);
    });

    test("admin bodies are read as strictly", async (t) => {
        const cases = [...bombs.slice(0, 5), ...malformed];
        for (const [name, body] of cases) {
            const r = await fetch(`${gateway.origin}/api/v1/admin/tenants`, {
                method: "POST",
                headers: { authorization: `Bearer ${gateway.env.ADMIN_API_KEY}` },
                body,
            });
            const text = await r.text();
            assert.ok([400, 413, 422].includes(r.status), `${name}: ${r.status} ${text.slice(0, 300)}`);
            errorText(text);
        }
        t.diagnostic(`${cases.length} cases`);
    });

    test("what is large but valid passes or is refused with a reason, and memory stays bounded", async (t) => {
        const large = [
            ["30 MB of numbers", `{"model":"m",${messages},"logit_bias":[${"1,".repeat(15 << 20)}1]}`, [200]],
            ["30 MB of one string", `{"model":"m","messages":[{"role":"user","content":"${"a".repeat(30 << 20)}"}]}`, [200]],
            ["a key of 5 MB", `{"model":"m",${messages},"${"k".repeat(5 << 20)}":1}`, [200]],
            ["a model's name of 5 MB", `{"model":"${"m".repeat(5 << 20)}",${messages}}`, [200, 400, 404]],
            ["500,000 members", `{"model":"m",${messages},${Array.from({ length: 500000 }, (_, i) => `"k${i}":1`).join(",")}}`, [200]],
            ["500,000 messages", `{"model":"m","messages":[${'{"role":"user","content":"a"},'.repeat(499999)}{"role":"user","content":"a"}]}`, [200]],
        ];
        for (const [name, body, statuses] of large) {
            const r = await ask(body);
            assert.ok(statuses.includes(r.status), `${name}: ${r.status} ${r.text.slice(0, 300)}`);
            if (r.status !== 200) errorText(r.text);
            if (process.env.SHOW) t.diagnostic(`${name}: ${memory(gateway.child.pid, "VmHWM") >> 20} ${memory(gateway.child.pid, "VmRSS") >> 20}`);
        }
        await assertAlive(gateway);
        checkMemory(t);
        t.diagnostic(`${large.length} cases`);
    });

    test("a model's name writes no header lines", async (t) => {
        const names = ["m\\r\\nx-injected: 1", "m\\nx-injected: 1", "m\\u0000", "m\\u007f", "\\u000d", "\u00e9t\u00e9 \u2028"];
        for (const name of names) {
            for (const stream of [false, true]) {
                const r = await gateway.request(key, "/v1/chat/completions", `{"model":"${name}",${messages},"stream":${stream}}`, { method: "POST" });
                await r.text();
                assert.equal(r.headers.get("x-injected"), null);
                assert.equal(r.status, name.includes("\u00e9") ? 200 : 400, name);
                assert.match(r.headers.get("x-llm-gateway-model") ?? "", /^[\x20-\x7e]*$/);
            }
        }
        t.diagnostic(`${names.length * 2} requests`);
    });

    test("a lone surrogate escape is the provider's business, not a crash", async () => {
        const r = await ask(`{"model":"m","messages":[{"role":"user","content":"\\ud800 x"}]}`);
        assert.ok([200, 400].includes(r.status), r.text);
        await assertAlive(gateway);
    });
});
