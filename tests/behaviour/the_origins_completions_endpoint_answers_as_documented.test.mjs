// POST /api/v1/completions, row by row as the origin's guide and design section 4 state it.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { scope, sse, startWorld } from "../support/harness.mjs";

describe("the origin's completions endpoint answers as documented", () => {
    const world = scope();
    let sim, gateway, key, own;
    before(async () => {
        ({ sim, gateway, key, own } = await startWorld(world, { priced: true, tenant: { rate_limit: 100 } }));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    test("the guide's request gets the guide's answer", async () => {
        const r = await fetch(`${gateway.origin}/api/v1/completions`, {
            method: "POST",
            headers: { "X-API-Key": key, "Content-Type": "application/json" },
            body: JSON.stringify({ model: "gpt-4", messages: [{ role: "user", content: "Hello" }], temperature: 0.7, max_tokens: 1000 }),
        });
        assert.equal(r.status, 200);
        assert.match(r.headers.get("content-type"), /^application\/json/);
        const answer = await r.json();
        assert.deepEqual(Object.keys(answer), ["cached", "response", "cost", "latency_ms", "rate_limit_remaining"]);
        assert.deepEqual(Object.keys(answer.response), ["content", "model", "prompt_tokens", "completion_tokens", "total_tokens", "finish_reason", "provider"]);
        assert.equal(answer.cached, false);
        assert.equal(answer.response.content, "You said: Hello");
        assert.equal(answer.response.model, "gpt-4");
        assert.deepEqual([answer.response.prompt_tokens, answer.response.completion_tokens, answer.response.total_tokens], [4, 3, 7]);
        assert.equal(answer.response.finish_reason, "stop");
        assert.equal(answer.response.provider, "openai");
        assert.ok(Number.isInteger(answer.latency_ms) && answer.latency_ms >= 0);
        assert.equal(answer.rate_limit_remaining, 99);
        // gpt-4 costs 30 USD a million input tokens and 60 output.
        assert.equal(answer.cost, (4 * 30 + 3 * 60) / 1e6);
    });

    test("the defaults reach the provider: temperature 0.7 and max_tokens 1000", async () => {
        await own("defaults");
        const [seen] = await sim.requests();
        assert.equal(seen.path, "/v1/chat/completions");
        assert.equal(seen.json.temperature, 0.7);
        assert.equal(seen.json.max_tokens ?? seen.json.max_completion_tokens, 1000);
        assert.deepEqual(seen.json.messages, [{ role: "user", content: "defaults" }]);
    });

    test("what the client gives reaches the provider, unknown fields do not", async () => {
        const r = await own("given", { temperature: 0.25, max_tokens: 17, colour: "red", n: 5, tools: "nonsense" });
        assert.equal(r.status, 200);
        const [seen] = await sim.requests();
        assert.equal(seen.json.temperature, 0.25);
        assert.equal(seen.json.max_tokens ?? seen.json.max_completion_tokens, 17);
        assert.deepEqual(Object.keys(seen.json).filter((k) => ["colour", "n", "tools"].includes(k)), []);
    });

    test("numbers in strings are numbers, as FastAPI reads them", async () => {
        const r = await own("lax", { temperature: "0.5", max_tokens: "20", stream: "no" });
        assert.equal(r.status, 200);
        const [seen] = await sim.requests();
        assert.equal(seen.json.temperature, 0.5);
        assert.equal(seen.json.max_tokens ?? seen.json.max_completion_tokens, 20);
    });

    test("defaults are left out where the model refuses them", async () => {
        const r = await own("think", { model: "o3-mini" });
        assert.equal(r.status, 200, await r.text());
        const [seen] = await sim.requests();
        assert.ok(!("temperature" in seen.json));
        assert.ok(!("max_tokens" in seen.json));
    });

    test("a repeated request is answered from the cache: cached true, cost 0", async () => {
        const first = await (await own("twice")).json();
        const r = await own("twice");
        const second = await r.json();
        assert.equal(second.cached, true);
        assert.equal(second.cost, 0);
        assert.deepEqual(Object.keys(second), Object.keys(first));
        assert.deepEqual(second.response, first.response);
        assert.equal(second.rate_limit_remaining, first.rate_limit_remaining - 1);
        assert.equal(r.headers.get("x-llm-gateway-cache"), "hit");
        assert.equal((await sim.requests()).length, 1);
    });

    test("streaming: deltas, then the whole object as the last event", async () => {
        const r = await own("a stream", { stream: true });
        assert.equal(r.status, 200);
        assert.match(r.headers.get("content-type"), /^text\/event-stream/);
        const events = [];
        for await (const e of sse(r)) events.push(e);
        const last = JSON.parse(events.pop().data);
        assert.ok(events.length > 1);
        for (const e of events) {
            assert.match(e.raw, /^data: \{"delta": "/);
            assert.deepEqual(Object.keys(JSON.parse(e.data)), ["delta"]);
        }
        const text = events.map((e) => JSON.parse(e.data).delta).join("");
        assert.equal(text, "You said: a stream");
        assert.deepEqual(Object.keys(last), ["cached", "response", "cost", "latency_ms", "rate_limit_remaining"]);
        assert.equal(last.response.content, text);
        assert.equal(last.cached, false);
        assert.deepEqual([last.response.prompt_tokens, last.response.completion_tokens, last.response.finish_reason], [5, 4, "stop"]);
        assert.ok(last.cost > 0);

        const again = [];
        for await (const e of sse(await own("a stream", { stream: true }))) again.push(JSON.parse(e.data));
        assert.equal(again.at(-1).cached, true);
        assert.equal(again.at(-1).cost, 0);
        assert.equal(again.slice(0, -1).map((e) => e.delta).join(""), text);
    });

    test("a header of another name may carry the key", async (t) => {
        const other = await startWorld(t, { env: { API_KEY_HEADER: "X-Team-Key" } });
        const r = await fetch(`${other.gateway.origin}/api/v1/completions`, {
            method: "POST",
            headers: { "x-team-key": other.key },
            body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }] }),
        });
        assert.equal(r.status, 200);
    });

    test("/health needs no key and says healthy", async () => {
        for (const where of ["/health", "/health/live"]) {
            const r = await fetch(gateway.origin + where);
            assert.equal(r.status, 200);
            assert.equal(await r.text(), '{"status":"healthy","service":"llm-gateway"}');
        }
        const ready = await fetch(`${gateway.origin}/health/ready`);
        assert.equal(ready.status, 200);
        assert.equal((await ready.json()).status, "ready");
    });
});
