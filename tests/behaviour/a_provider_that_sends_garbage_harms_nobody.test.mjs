// Whatever a provider sends, its client gets a clear error of ours or a stream that ends in one, never half an answer that
// looks whole; the connection is not used again, and memory stays bounded.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { RawClient, eventually, scope, sse } from "../support/harness.mjs";
import { assertAlive, errorText, question, rawRequest, startWatched } from "../support/process.mjs";

// How long the gateway waits for a provider that stalls. Under a sanitizer 10 MB take longer than on the release build.
const patience = process.env.HARNESS_PATIENCE ?? "1500ms";

const framing = ["chunk_size", "chunk_huge", "chunk_end", "length_short", "length_twice", "length_chunked", "length_nan", "status_line", "head_garbage", "head_huge", "head_many", "head_lf", "head_nul", "obs_fold", "head_endless"];
const content = ["json", "html", "empty"];
const places = ["h0", "h1", "h9", "h40", "h120", "0", "1", "10", "100", "200"];

describe("a provider that sends garbage harms nobody", () => {
    const cleanups = scope();
    let sim;
    let gateway;
    let key;
    let checkMemory;
    before(async () => {
        ({ sim, gateway, key, checkMemory } = await startWatched(cleanups, {
            env: { MAX_ATTEMPTS: "1", UPSTREAM_FIRST_BYTE_TIMEOUT: patience, UPSTREAM_IDLE_TIMEOUT: patience, MAX_RESPONSE: "24MiB" },
        }));
    });
    after(() => cleanups.end());

    const ask = (model, more) => gateway.request(key, "/v1/chat/completions", question(model, more));

    /** Not streamed: an error of 5xx with a message, and then a good answer. */
    const fails = async (model) => {
        const r = await ask(model);
        const text = await r.text();
        assert.ok(r.status >= 500 && r.status <= 504, `${model}: ${r.status} ${text.slice(0, 300)}`);
        assert.ok(errorText(text).length < 1000, model);
        assert.match(r.headers.get("x-request-id"), /^[0-9a-f-]{36}$/);
    };

    /** Streamed: an error before the first event, or an error event and the end without [DONE]. Returns what it was. */
    const streamFails = async (model) => {
        const client = await RawClient.connect(gateway.port);
        try {
            await client.send(rawRequest(key, question(model, { stream: true }), { headers: "Connection: close\r\n" }));
            const r = await client.response();
            const body = r.body.toString();
            if (r.status !== 200) {
                assert.ok(r.status >= 500 && r.status <= 504, `${model}: ${r.status} ${body}`);
                errorText(body);
                return "status";
            }
            const events = [];
            for await (const event of sse(body)) events.push(event);
            assert.ok(events.length > 0, `${model}: an empty stream`);
            assert.ok(!events.some((e) => e.data === "[DONE]"), `${model}: looks whole: ${body}`);
            assert.ok(!events.at(-1).cut, `${model}: half an event: ${body}`);
            errorText(events.at(-1).data);
            for (const e of events) JSON.parse(e.data);
            return "event";
        } finally {
            client.close();
        }
    };

    test(`${framing.length} kinds of broken framing, ${content.length} of broken content`, async (t) => {
        for (const kind of [...framing, ...content]) await fails(`m;malformed=${kind}`);
        await assertAlive(gateway);
        assert.equal((await ask("other")).status, 200);
        t.diagnostic(`${framing.length + content.length} kinds`);
    });

    test("the same while streaming", async (t) => {
        const ends = {};
        const kinds = [...framing, ...content].filter((kind) => kind !== "length_short"); // there the stream is whole, only its frame is not
        for (const kind of kinds) {
            const end = await streamFails(`m;malformed=${kind};tokens=20`);
            ends[end] = (ends[end] ?? 0) + 1;
        }
        await assertAlive(gateway);
        t.diagnostic(`${kinds.length} kinds: ${JSON.stringify(ends)}`);
    });

    test("a NUL in an answer of the same dialect passes as it came, and the gateway's own stays JSON", async () => {
        const r = await ask("m;malformed=nul");
        const text = await r.text();
        assert.ok(r.status === 502 || text.includes("\0"), text);
        const own = await gateway.request(key, "/api/v1/completions", question("m;malformed=nul"));
        const body = await own.text();
        if (own.status === 200) assert.equal(JSON.parse(body).response.content, "You said: hello there");
        else errorText(body);
    });

    test("more bytes than announced spoil only that connection", async () => {
        await (await ask("m;malformed=length_long")).text();
        for (let i = 0; i < 5; i++) {
            const r = await ask("m", { messages: [{ role: "user", content: `number ${i}` }] });
            assert.equal(r.status, 200);
            assert.match(await r.text(), new RegExp(`number ${i}`), "never another's answer");
        }
    });

    test(`cut off or reset at ${places.length} places, whole and streamed`, async (t) => {
        let cases = 0;
        for (const place of places) {
            for (const how of ["reset_at", "close_at"]) {
                await fails(`m;${how}=${place};tokens=60`);
                await streamFails(`m;${how}=${place};tokens=60;flush`);
                cases += 2;
            }
        }
        for (const place of ["c1", "c2", "c10"]) {
            for (const how of ["reset_at", "close_at"]) {
                // The first event has no content yet: a guarded stream has not begun, and an honest status can still be given.
                assert.equal(await streamFails(`m;${how}=${place};tokens=20;flush;rate=1`), place === "c1" ? "status" : "event", `${how}=${place}`);
                cases++;
            }
        }
        await assertAlive(gateway);
        t.diagnostic(`${cases} cuts`);
    });

    test("stalls end in a 504 or an error event", async (t) => {
        const stalls = ["h0", "h20", "0", "50"];
        await Promise.all([
            ...stalls.map(async (place) => {
                const r = await ask(`m;stall_at=${place};tokens=60`);
                assert.equal(r.status, 504, `${place}: ${await r.clone().text()}`);
                assert.match(errorText(await r.text()), /time|waiting|reading/i);
            }),
            streamFails("m;stall_at=h0;tokens=20"),
            ...["c1", "c5"].map(async (place) => assert.equal(await streamFails(`m;stall_at=${place};tokens=20`), place === "c1" ? "status" : "event")),
        ]);
        t.diagnostic(`${stalls.length + 3} stalls`);
    });

    test("a body without an end is refused at max_response, an error page without an end too", async () => {
        const r = await ask("m;malformed=endless");
        assert.equal(r.status, 502);
        assert.match(errorText(await r.text()), /larger/);
        const page = await ask("m;status=500;malformed=endless");
        assert.ok(page.status >= 500);
        await page.text();
        await eventually(async () => (await sim.stats()).connections_open <= 64, "the endless connections to be closed");
        await assertAlive(gateway);
    });

    test("10 MB pass, whole and streamed, and one event of 10 MB is refused", async () => {
        const r = await ask("m;size=10M");
        assert.equal(r.status, 200);
        assert.ok((await r.text()).length > 10 << 20);
        const stream = await ask("m;tokens=32000;token_bytes=100", { stream: true });
        const text = await stream.text();
        assert.ok(text.length > 10 << 20, `${stream.status}, ${text.length} characters, the last: ${text.slice(-400)}`);
        assert.match(text, /data: \[DONE\]\n\n$/);
        assert.ok(["status", "event"].includes(await streamFails(`m;tokens=1;token_bytes=${10 << 20}`)));
    });

    test("a whole answer where a stream was asked for reaches the client as a stream", async () => {
        const whole = JSON.parse(await (await ask("m")).text());
        await sim.script({ times: 2, body: whole, content_type: "application/json" });
        const openai = await (await ask("m", { stream: true })).text();
        assert.match(openai, /"content":"You said: hello there"[^]*data: \[DONE\]\n\n$/);
        const own = await (await gateway.request(key, "/api/v1/completions", question("m", { stream: true }))).text();
        assert.match(own, /^data: \{"delta": ?"You said: hello there"\}\n\ndata: \{"cached"/);
    });

    test("answers before the request, interim answers, redirects and odd statuses", async (t) => {
        assert.equal((await ask("m;interim=100")).status, 200);
        assert.equal((await ask("m;interim=103;interims=3")).status, 200);
        for (const status of [204, 301, 304, 307, 418, 599]) {
            const r = await ask(`m;status=${status}`);
            const text = await r.text();
            assert.ok(r.status >= 400, `${status} became ${r.status}`);
            if (status !== 418 && status !== 599) errorText(text);
            assert.equal(r.headers.get("location"), null);
        }
        await fails("m;interim=103;interims=100000");
        await sim.script({ early: true, status: 200 });
        const early = await ask("m", { x: "a".repeat(200000) });
        assert.ok(early.status === 200 || early.status >= 500);
        await early.text();
        await assertAlive(gateway);
        t.diagnostic("10 cases");
    });

    test("all of that in bounded memory", (t) => checkMemory(t));
});
