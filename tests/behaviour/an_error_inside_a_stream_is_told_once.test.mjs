// The provider's error event reaches the client in the client's form, and the cut that follows it adds no second one.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { scope, sse, startWorld } from "../support/harness.mjs";

const messages = [{ role: "user", content: "hello there" }];
const models = { openai: "gpt-4o-mini", anthropic: "claude-haiku-4-5" };
const clients = {
    openai: ["/v1/chat/completions", {}, (e) => e.error?.message],
    anthropic: ["/v1/messages", { max_tokens: 100 }, (e) => (e.type === "error" ? e.error.message : undefined)],
    own: ["/api/v1/completions", {}, (e) => e.detail],
};

describe("an error inside a stream is told once", () => {
    const world = scope();
    let sim, gateway, post;
    before(async () => {
        ({ sim, gateway, post } = await startWorld(world, { providers: ["openai", "anthropic"], env: { MAX_ATTEMPTS: "1" } }));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    /** The error messages of a stream, and whether it ended as if it were whole. */
    async function read(answer, errorOf) {
        const errors = [];
        let isWhole = false;
        for await (const e of sse(answer)) {
            if (!e.data) continue;
            isWhole ||= e.data === "[DONE]" || e.event === "message_stop" || e.data.includes('"response"');
            const error = e.data !== "[DONE]" && errorOf(JSON.parse(e.data));
            if (error) errors.push(error);
        }
        return { errors, isWhole };
    }

    for (const [provider, model] of Object.entries(models)) {
        for (const [name, [path, more, errorOf]] of Object.entries(clients)) {
            test(`${name} to ${provider}`, async () => {
                await sim.script({ tokens: 8, error_at: 6, message: "of the provider" });
                const answer = await post(path, { model, messages, stream: true, ...more });
                const { errors, isWhole } = await read(answer, errorOf);
                assert.equal(errors.length, 1, `${errors}`);
                assert.match(errors[0], /of the provider/);
                assert.equal(isWhole, false);
                assert.equal((await gateway.row(answer)).status, "upstream_cut");
            });

            if (name === "own") continue; // its last event is each request's own: streams of it are not shared
            test(`${name} to ${provider}: also to who follows the same call`, async () => {
                await sim.script({ tokens: 8, stall_at: "c6", stall_for: "300ms", error_at: 8, message: "of the provider" });
                const headers = { "x-llm-gateway-cache": "on" };
                const body = { model, messages: [{ role: "user", content: "shared" }], stream: true, ...more };
                const first = await post(path, body, { headers });
                const second = await post(path, body, { headers });
                assert.equal(second.headers.get("x-llm-gateway-cache"), "coalesced");
                for (const { errors, isWhole } of await Promise.all([read(first, errorOf), read(second, errorOf)])) {
                    assert.equal(errors.length, 1, `${errors}`);
                    assert.equal(isWhole, false);
                }
                assert.equal((await sim.requests()).length, 1);
            });
        }
    }
});
