import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import OpenAI from "openai";

import { scope, sse, startGateway, startSim } from "../support/harness.mjs";

describe("a stream that is cut after its first byte ends with an error event, never as a clean end", () => {
    const world = scope();
    let a, b, gateway, key, chat;
    before(async () => {
        a = await startSim(world);
        b = await startSim(world);
        const config = `
providers:
  first: {dialect: openai, base_url: "${a.base}", passes_unknown: true, timeout: {idle: 150ms}}
  second: {dialect: openai, base_url: "${b.base}", passes_unknown: true}
models:
  "m*":
    targets: [[{provider: first}], [{provider: second}]]
`;
        gateway = await startGateway(world, { config });
        key = (await gateway.createTenant({ rate_limit: 100000 })).api_key;
        chat = (model, behaviour, more) =>
            gateway.request(key, "/v1/chat/completions", { model, messages: [{ role: "user", content: `sim:tokens=8;${behaviour}` }], stream: true, ...more });
    });
    after(() => world.end());
    beforeEach(async () => {
        await (await chat("m", "tokens=1")).text(); // a success, so that the breaker stays closed
        await Promise.all([a.reset(), b.reset()]);
    });

    for (const behaviour of ["close_at=c3", "reset_at=c3", "stall_at=c3", "close_at=1500", "reset_at=c8", "no_done;close_at=c4", "error_at=3", "error_at=3;error_event"]) {
        test(behaviour, async () => {
            const answer = await chat("m", behaviour);
            assert.equal(answer.status, 200);
            const events = [];
            for await (const e of sse(answer)) {
                assert.ok(!e.cut, "the last event is whole");
                events.push(e);
            }
            assert.ok(events.length >= 2);
            const last = JSON.parse(events.at(-1).data);
            assert.equal(typeof last.error.message, "string");
            assert.equal(events.filter((e) => JSON.parse(e.data).error).length, 1, "one error, the provider's own where it gave one");
            assert.ok(events.every((e) => e.data !== "[DONE]"));
            assert.equal((await b.requests()).length, 0, "what has begun is not repeated elsewhere");
            const row = await gateway.row(answer);
            assert.equal(row.status, "upstream_cut");
            assert.match(row.error_message, behaviour.startsWith("error_at") ? /in mid-stream/ : /cut while/);
        });
    }

    test("the package raises", async () => {
        const client = new OpenAI({ apiKey: key, baseURL: gateway.base, maxRetries: 0 });
        const stream = await client.chat.completions.create({ model: "m", messages: [{ role: "user", content: "sim:tokens=8;close_at=c3" }], stream: true });
        const seen = [];
        await assert.rejects(async () => {
            for await (const chunk of stream) seen.push(chunk);
        }, OpenAI.APIError);
        assert.ok(seen.length >= 1);
    });

    test("a finished stream whose provider leaves [DONE] out gets it", async () => {
        const answer = await chat("m", "no_done");
        const events = [];
        for await (const e of sse(answer)) events.push(e.data);
        assert.equal(events.at(-1), "[DONE]");
        assert.equal((await gateway.row(answer)).status, "success");
    });

    test("a whole answer that is cut moves on to the next target", async () => {
        const answer = await chat("m", "close_at=50", { stream: false });
        const text = await answer.text();
        assert.ok(answer.status === 200 || answer.status === 502, text);
        assert.ok((await b.requests()).length >= 1);
    });
});
