// What the provider openai cannot answer, the provider local answers with its fallback model.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { freePort, startGateway, startSim, sse } from "../support/harness.mjs";

/** Two simulators behind one gateway; a is openai, b is local with LOCAL_FALLBACK_MODEL. */
async function pair(t, env = {}, upstream) {
    const a = await startSim(t);
    const b = await startSim(t);
    const gateway = await startGateway(t, {
        env: {
            OPENAI_API_KEY: "sk-provider",
            OPENAI_UPSTREAM_URL: upstream ?? a.base,
            LOCAL_BASE_URL: b.base,
            LOCAL_FALLBACK_MODEL: "llama3.2",
            PROVIDER_FALLBACK_ORDER: "openai,local",
            UPSTREAM_FIRST_BYTE_TIMEOUT: "150ms",
            ...env,
        },
    });
    const { api_key } = await gateway.createTenant();
    const chat = (content, more) =>
        gateway.request(api_key, "/v1/chat/completions", { model: "gpt-4o-mini", messages: [{ role: "user", content }], ...more });
    return { a, b, gateway, chat };
}

async function textOf(answer, stream) {
    if (!stream) return (await answer.json()).choices[0].message.content;
    let text = "";
    for await (const e of sse(answer)) if (e.data !== "[DONE]") text += JSON.parse(e.data).choices[0]?.delta.content ?? "";
    return text;
}

const failures = [
    ...[408, 409, 429, 500, 502, 503, 504, 529].map((status) => [`status ${status}`, { status }, status]),
    ["our key refused", { status: 401, code: "invalid_api_key" }, 401],
    ["our account forbidden", { status: 403 }, 403],
    ["payment required", { status: 402 }, 402],
    ["our quota spent", { status: 429, code: "insufficient_quota" }, 429],
    ["our credit spent", { status: 400, message: "Your credit balance is too low to access the API." }, 400],
    ["our deployment missing", { status: 404, code: "model_not_found" }, 404],
    ["a body that is no JSON", { malformed: "json" }],
    ["a web page", { malformed: "html" }],
    ["an empty body", { malformed: "empty" }],
    ["an answer without choices", { body: { id: "x", object: "chat.completion", choices: [] } }],
    ["an error inside a 200", { body: { error: { message: "sorry", type: "server_error" } } }],
    ["a reset before the body", { reset_at: "h20" }],
    ["a close before the body", { close_at: "h20" }],
    ["silence", { delay: "3600s" }],
    ["garbage instead of a head", { malformed: "head_garbage" }],
];

describe("a failed target is replaced by the next", () => {
    for (const [name, behaviour, status] of failures) {
        for (const stream of [false, true]) {
            test(`${name}, ${stream ? "streamed" : "whole"}`, async (t) => {
                const { a, b, gateway, chat } = await pair(t);
                await a.script([{ ...behaviour, times: 0 }]);
                const answer = await chat("hello", { stream });
                assert.equal(answer.status, 200);
                assert.equal(await textOf(answer, stream), "You said: hello");
                assert.equal(answer.headers.get("x-llm-gateway-provider"), "local");
                assert.equal(answer.headers.get("x-llm-gateway-model"), "llama3.2");
                assert.equal(answer.headers.get("x-llm-gateway-attempts"), "2");
                const [at] = await b.requests();
                assert.equal(at.json.model, "llama3.2");
                assert.equal((await a.requests()).length, 1, "a failing target is not tried twice before the next");
                const row = await gateway.row(answer);
                assert.deepEqual([row.status, row.provider, row.attempts], ["success", "local", 2]);
                const [attempt] = JSON.parse(row.detail).attempts;
                assert.equal(attempt.provider, "openai");
                if (status) assert.equal(attempt.status, status);
            });
        }
    }

    test("a connection that is refused", async (t) => {
        const { gateway, chat } = await pair(t, {}, `http://127.0.0.1:${await freePort()}/v1`);
        const answer = await chat("hello");
        assert.equal(answer.headers.get("x-llm-gateway-provider"), "local");
        assert.equal(await textOf(answer), "You said: hello");
        assert.equal((await gateway.row(answer)).estimated, 0, "nothing was sent, so nothing is booked for it");
    });

    test("a stream that begins with an error", async (t) => {
        for (const error_event of [false, true]) {
            const { a, chat } = await pair(t);
            await a.script([{ error_at: 0, error_event, times: 0 }]);
            const answer = await chat("hello", { stream: true });
            assert.equal(await textOf(answer, true), "You said: hello");
            assert.equal(answer.headers.get("x-llm-gateway-provider"), "local");
        }
    });

    test("embeddings have no chat model as their stand-in", async (t) => {
        const { a, b, gateway } = await pair(t, { LOCAL_FALLBACK_MODEL: "", OPENAI_FALLBACK_MODEL: "gpt-4o" });
        const { api_key } = await gateway.createTenant();
        await a.script([{ status: 500, times: 0 }]);
        const r = await gateway.request(api_key, "/v1/embeddings", { model: "text-embedding-3-small", input: "x" });
        assert.equal(r.status, 500);
        assert.ok((await a.requests()).every((q) => q.json.model === "text-embedding-3-small"));
        assert.equal((await b.requests()).length, 0);
    });

    test("when every target failed, the last one's status, body and Retry-After pass", async (t) => {
        const { a, b, chat } = await pair(t);
        await a.script([{ status: 500, message: "of a", times: 0 }]);
        await b.script([{ status: 503, message: "of b", retry_after: "9", times: 0 }]);
        const r = await chat("hello");
        assert.equal(r.status, 503);
        assert.equal(r.headers.get("retry-after"), "9");
        assert.equal((await r.json()).error.message, "of b");
    });

    test("502 only when nothing is left but our refused key", async (t) => {
        const { a, b, chat } = await pair(t);
        await a.script([{ status: 401, message: "Incorrect API key provided: sk-pr***", times: 0 }]);
        await b.script([{ status: 401, message: "Incorrect API key provided: sk-pr***", times: 0 }]);
        const r = await chat("hello");
        assert.equal(r.status, 502);
        assert.ok(!(await r.text()).includes("sk-pr"));
    });
});
