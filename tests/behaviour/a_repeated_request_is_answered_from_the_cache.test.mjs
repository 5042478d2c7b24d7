import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { scope, sse, startWorld } from "../support/harness.mjs";

let number = 0;
const fresh = () => `question ${++number}`;

async function contentOf(answer) {
    if (answer.headers.get("content-type").startsWith("application/json")) {
        const json = await answer.json();
        return json.choices ? json.choices[0].message.content : json.response.content;
    }
    let text = "";
    let end;
    for await (const e of sse(answer)) {
        end = e.data;
        const json = e.data === "[DONE]" ? {} : JSON.parse(e.data);
        text += json.delta ?? json.choices?.[0]?.delta?.content ?? "";
    }
    assert.ok(end === "[DONE]" || JSON.parse(end).response.content === text, "the stream ends as its dialect says");
    return text;
}

describe("a repeated request is answered from the cache", () => {
    const world = scope();
    let sim, chat, own, post;
    before(async () => {
        ({ sim, chat, own, post } = await startWorld(world));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    const use = (r) => r.headers.get("x-llm-gateway-cache");
    const asked = async () => (await sim.requests()).length;

    // The own dialect sends temperature 0.7 and max_tokens 1000 by default; here both say the same.
    const forms = {
        "OpenAI, whole": (q) => chat(q, { temperature: 0, max_tokens: 50 }),
        "OpenAI, streamed": (q) => chat(q, { temperature: 0, max_tokens: 50, stream: true }),
        "OpenAI, streamed with usage": (q) => chat(q, { temperature: 0, max_tokens: 50, stream: true, stream_options: { include_usage: true } }),
        "own, whole": (q) => own(q, { temperature: 0, max_tokens: 50 }),
        "own, streamed": (q) => own(q, { temperature: 0, max_tokens: 50, stream: true }),
    };
    for (const [first, ask] of Object.entries(forms)) {
        for (const [second, again] of Object.entries(forms)) {
            test(`${first}, then ${second}`, async () => {
                const q = fresh();
                const miss = await ask(q);
                assert.equal(use(miss), "miss");
                assert.equal(await contentOf(miss), `You said: ${q}`);
                const hit = await again(q);
                assert.equal(use(hit), "hit");
                assert.equal(await contentOf(hit), `You said: ${q}`);
                assert.equal(await asked(), 1);
            });
        }
    }

    test("a hit that is streamed shows usage only to those who asked", async () => {
        const q = fresh();
        await (await chat(q, { temperature: 0 })).text();
        for (const asks of [false, true]) {
            const chunks = [];
            for await (const e of sse(await chat(q, { temperature: 0, stream: true, ...(asks ? { stream_options: { include_usage: true } } : {}) }))) {
                if (e.data !== "[DONE]") chunks.push(JSON.parse(e.data));
            }
            assert.equal(chunks.filter((c) => c.usage).length, asks ? 1 : 0);
            assert.ok(chunks.every((c) => c.object === "chat.completion.chunk" && c.model === "gpt-4o-mini"));
            assert.equal(chunks.filter((c) => c.choices[0]?.finish_reason === "stop").length, 1);
        }
    });

    test("a whole hit reports the usage also when it was first a stream that did not show it", async () => {
        const q = fresh();
        await (await chat(q, { temperature: 0, stream: true })).text();
        const hit = await (await chat(q, { temperature: 0 })).json();
        const fromProvider = await (await chat(q, { temperature: 0 }, { headers: { "cache-control": "no-store" } })).json();
        for (const name of ["prompt_tokens", "completion_tokens", "total_tokens"]) assert.equal(hit.usage[name], fromProvider.usage[name]);
        assert.equal(hit.choices[0].message.content, fromProvider.choices[0].message.content);
        assert.deepEqual([hit.object, hit.model, hit.choices[0].finish_reason], ["chat.completion", "gpt-4o-mini", "stop"]);
    });

    test("tool calls survive from whole to stream and back", async () => {
        const tools = [{ type: "function", function: { name: "f", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } } }];
        const gather = async (r) => {
            if (r.headers.get("content-type").startsWith("application/json")) return (await r.json()).choices[0].message.tool_calls[0].function;
            const f = { name: "", arguments: "" };
            for await (const e of sse(r)) {
                const part = e.data === "[DONE]" ? undefined : JSON.parse(e.data).choices[0]?.delta.tool_calls?.[0]?.function;
                f.name += part?.name ?? "";
                f.arguments += part?.arguments ?? "";
            }
            return f;
        };
        for (const [one, two] of [[false, true], [true, false]]) {
            const q = fresh();
            const miss = await gather(await chat(q, { temperature: 0, tools, stream: one }));
            const again = await chat(q, { temperature: 0, tools, stream: two });
            assert.equal(use(again), "hit");
            assert.deepEqual(await gather(again), miss);
            assert.deepEqual(JSON.parse(miss.arguments), { city: q });
        }
    });

    test("what cannot change the answer does not matter: user, metadata, stream, spelling", async () => {
        const q = fresh();
        await (await chat(q, { temperature: 0, max_tokens: 5 })).text();
        const body = `{"user":"somebody","max_tokens" : 5, "temperature":0.0,"stream":false,\n"messages":[{"content":${JSON.stringify(q)},"role":"user"}],"model":"gpt-4o-mini","metadata":{"a":"b"}}`;
        assert.equal(use(await post("/v1/chat/completions", body)), "hit");
    });

    test("what can change the answer does", async () => {
        const q = fresh();
        await (await chat(q, { temperature: 0 })).text();
        for (const other of [{ temperature: 0.1, seed: 1 }, { top_p: 0.5 }, { max_tokens: 6 }, { model: "gpt-4o" }, { seed: 7 }, { response_format: { type: "json_object" } }, { stop: "x" }, { unknown_to_us: 1 }, { messages: [{ role: "system", content: "s" }, { role: "user", content: q }] }]) {
            assert.equal(use(await chat(q, { temperature: 0, ...other })), "miss", JSON.stringify(other));
        }
    });

    test("embeddings are cached by default", async () => {
        const body = { model: "text-embedding-3-small", input: fresh() };
        const first = await post("/v1/embeddings", body);
        const second = await post("/v1/embeddings", body);
        assert.deepEqual([use(first), use(second)], ["miss", "hit"]);
        assert.equal(await first.text(), await second.text());
        assert.equal(use(await post("/v1/embeddings", { ...body, encoding_format: "base64" })), "miss");
    });

    test("OpenAI's chat is cached by default only with temperature 0 or a seed", async () => {
        for (const [more, expected] of [[{}, "bypass"], [{ temperature: 0.7 }, "bypass"], [{ temperature: 0 }, "hit"], [{ temperature: 1, seed: 5 }, "hit"]]) {
            const q = fresh();
            await (await chat(q, more)).text();
            assert.equal(use(await chat(q, more)), expected, JSON.stringify(more));
        }
    });

    test("the gateway's own dialect is cached by default, as the origin does", async () => {
        const q = fresh();
        await own(q);
        assert.equal((await (await own(q)).json()).cached, true);
    });

    test("store is never cached", async () => {
        const q = fresh();
        await chat(q, { temperature: 0, store: true });
        assert.equal(use(await chat(q, { temperature: 0, store: true })), "bypass");
    });
});
