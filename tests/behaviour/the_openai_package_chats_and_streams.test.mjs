import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import OpenAI from "openai";

import { scope, sse, startWorld } from "../support/harness.mjs";

describe("the OpenAI package chats and streams through the gateway", () => {
    const world = scope();
    let sim, gateway, key, client, post;
    before(async () => {
        ({ sim, gateway, key, post } = await startWorld(world));
        client = new OpenAI({ apiKey: key, baseURL: gateway.base, maxRetries: 0 });
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    const messages = [{ role: "user", content: "hello there" }];

    test("a chat completion", async () => {
        const { data, response } = await client.chat.completions.create({ model: "gpt-4o-mini", messages }).withResponse();
        assert.equal(data.choices[0].message.content, "You said: hello there");
        assert.equal(data.choices[0].finish_reason, "stop");
        assert.deepEqual([data.usage.prompt_tokens, data.usage.completion_tokens, data.usage.total_tokens], [5, 4, 9]);
        assert.match(data._request_id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/);
        assert.equal(data._request_id, response.headers.get("x-request-id"));
    });

    test("the request's bytes reach the provider as they were sent, without the client's credentials", async () => {
        const body = '{ "model":"gpt-4o-mini",\n "messages":[{"role":"user","content":"caf\\u00e9"}], "weird_member": [1.50, 1e2], "logit_bias":{"50256":-100}}';
        const r = await post("/v1/chat/completions", body, { headers: { "x-custom": "of the client", cookie: "a=b", "openai-organization": "org-of-the-client" } });
        assert.equal(r.status, 200);
        await r.text();
        const [seen] = await sim.requests();
        assert.equal(seen.body, body);
        assert.equal(seen.headers.authorization, undefined);
        assert.equal(seen.headers["x-custom"], undefined);
        assert.equal(seen.headers.cookie, undefined);
        assert.equal(seen.headers["openai-organization"], undefined);
        assert.equal(seen.headers["accept-encoding"], "identity");
        assert.ok(!seen.head.includes(key));
    });

    test("a stream has the same text and, where it was not asked for, no usage", async () => {
        const stream = await client.chat.completions.create({ model: "gpt-4o-mini", messages, stream: true });
        let text = "";
        for await (const chunk of stream) {
            assert.ok(!("usage" in chunk), JSON.stringify(chunk));
            assert.equal(chunk.choices.length, 1);
            text += chunk.choices[0].delta.content ?? "";
        }
        assert.equal(text, "You said: hello there");
        const [seen] = await sim.requests();
        assert.equal(seen.json.stream_options.include_usage, true, "the gateway asks for the usage itself");
    });

    test("a stream that asks for usage gets it", async () => {
        const stream = await client.chat.completions.create({ model: "gpt-4o-mini", messages, stream: true, stream_options: { include_usage: true } });
        const usages = [];
        for await (const chunk of stream) if (chunk.usage) usages.push(chunk.usage);
        assert.deepEqual(usages.map((u) => u.total_tokens), [9]);
    });

    test("the package's stream helper assembles the answer", async () => {
        const final = await client.chat.completions.stream({ model: "gpt-4o-mini", messages }).finalChatCompletion();
        assert.equal(final.choices[0].message.content, "You said: hello there");
    });

    test("events arrive when the provider sends them, not when it is done", async () => {
        const stream = await client.chat.completions.create({ model: "gpt-4o-mini", messages: [{ role: "user", content: "sim:tokens=5;stall_at=c3" }], stream: true });
        let seen = 0;
        for await (const chunk of stream) {
            if (chunk.choices[0]?.delta?.content && ++seen === 2) break; // the provider never sends the rest
        }
        assert.equal(seen, 2);
    });

    test("the last line of a stream is [DONE], and only the last", async () => {
        const r = await post("/v1/chat/completions", { model: "m", messages, stream: true });
        assert.match(r.headers.get("content-type"), /^text\/event-stream/);
        const events = [];
        for await (const e of sse(r)) events.push(e.data);
        assert.equal(events.at(-1), "[DONE]");
        assert.equal(events.filter((d) => d === "[DONE]").length, 1);
    });

    test("paths without /v1, and each place a key may stand", async () => {
        const body = JSON.stringify({ model: "m", messages });
        for (const headers of [{ authorization: `Bearer ${key}` }, { "x-api-key": key }, { "api-key": key }, { "x-goog-api-key": key }]) {
            const r = await fetch(`${gateway.origin}/chat/completions`, { method: "POST", headers, body });
            assert.equal(r.status, 200, JSON.stringify(Object.keys(headers)));
            await r.text();
        }
    });
});
