import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import OpenAI from "openai";

import { scope, startWorld } from "../support/harness.mjs";

describe("each error status raises the OpenAI package's typed exception", () => {
    const world = scope();
    let sim, gateway, key, client;
    before(async () => {
        ({ sim, gateway, key } = await startWorld(world, { priced: true }));
        client = new OpenAI({ apiKey: key, baseURL: gateway.base, maxRetries: 0 });
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    const ask = { model: "gpt-4o-mini", messages: [{ role: "user", content: "hi" }] };
    const raised = async (promise) => {
        try {
            await promise;
        } catch (error) {
            return error;
        }
        throw new Error("nothing was raised");
    };
    const provider = async (status, more = {}) => {
        await sim.script([{ status, times: 0, ...more }]);
        return raised(client.chat.completions.create(ask));
    };

    test("400 BadRequestError: a body that is no JSON object, a missing member, a member given twice", async () => {
        for (const body of ["{", "[]", "{}", '{"model":"gpt-4o-mini"}', '{"model":"gpt-4o-mini","Model":"b","messages":[]}']) {
            const e = await raised(client.post("/chat/completions", { body: Buffer.from(body), headers: { "content-type": "application/json" } }));
            assert.ok(e instanceof OpenAI.BadRequestError, `${body}: ${e}`);
            assert.equal(e.type, "invalid_request_error");
        }
        assert.equal((await sim.requests()).length, 0);
    });

    test("400 and 422 of the provider pass as they are", async () => {
        const bad = await provider(400, { body: { error: { message: "temperature is too hot", type: "invalid_request_error", param: "temperature", code: "too_hot" } } });
        assert.ok(bad instanceof OpenAI.BadRequestError);
        assert.equal(bad.message, "400 temperature is too hot");
        assert.deepEqual([bad.type, bad.param, bad.code], ["invalid_request_error", "temperature", "too_hot"]);
        await sim.reset();
        assert.ok((await provider(422)) instanceof OpenAI.UnprocessableEntityError);
    });

    test("401 AuthenticationError: no key, a mistyped key, an unknown key", async () => {
        const wrongs = ["sk-unknown", `${key.slice(0, -1)}${key.endsWith("a") ? "b" : "a"}`, `${key}x`, key.slice(0, 20)];
        for (const wrong of wrongs) {
            const e = await raised(new OpenAI({ apiKey: wrong, baseURL: gateway.base, maxRetries: 0 }).chat.completions.create(ask));
            assert.ok(e instanceof OpenAI.AuthenticationError, wrong);
            assert.equal(e.code, "invalid_api_key");
            assert.ok(!e.message.includes(wrong));
        }
        const none = await fetch(`${gateway.base}/chat/completions`, { method: "POST", body: JSON.stringify(ask) });
        assert.equal(none.status, 401);
        assert.equal((await none.json()).error.type, "invalid_request_error");
    });

    test("401 AuthenticationError also with 20 MB of body in flight", async () => {
        for (let i = 0; i < 5; i++) await refuseBig();
    });

    async function refuseBig() {
        const big = { ...ask, messages: [{ role: "user", content: "x".repeat(20e6) }] };
        const e = await raised(new OpenAI({ apiKey: "sk-unknown", baseURL: gateway.base, maxRetries: 0 }).chat.completions.create(big));
        assert.ok(e instanceof OpenAI.AuthenticationError, `${e.constructor.name}: ${e.cause?.cause ?? e}`);
    }

    test("403 PermissionDeniedError: a model that the key may not use", async () => {
        const limited = await gateway.createTenant({ allowed_models: ["gpt-4o"] });
        const e = await raised(new OpenAI({ apiKey: limited.api_key, baseURL: gateway.base, maxRetries: 0 }).chat.completions.create(ask));
        assert.ok(e instanceof OpenAI.PermissionDeniedError, `${e}`);
        assert.equal(e.param, "model");
    });

    test("404 NotFoundError: an unknown model, with near names", async () => {
        const e = await raised(client.chat.completions.create({ ...ask, model: "gpt-4o-mimi" }));
        assert.ok(e instanceof OpenAI.NotFoundError);
        assert.equal(e.code, "model_not_found");
        assert.match(e.message, /`gpt-4o-mimi`.*gpt-4o-mini/);
        assert.equal((await sim.requests()).length, 0);
        assert.ok((await raised(client.get("/no/such/path"))) instanceof OpenAI.NotFoundError);
    });

    test("429 RateLimitError of the gateway: which limit, and when to come back", async () => {
        const limited = await gateway.createTenant({ rate_limit: 2 });
        const its = new OpenAI({ apiKey: limited.api_key, baseURL: gateway.base, maxRetries: 0 });
        await its.chat.completions.create(ask);
        await its.chat.completions.create(ask);
        const e = await raised(its.chat.completions.create(ask));
        assert.ok(e instanceof OpenAI.RateLimitError);
        assert.equal(e.code, "rate_limit_exceeded");
        const seconds = Number(e.headers.get("retry-after"));
        assert.ok(seconds >= 1 && seconds <= 61, `${seconds}`);
        assert.match(e.headers.get("x-llm-gateway-limit"), /requests/);
    });

    test("429 RateLimitError with insufficient_quota: the budget is spent", async () => {
        const poor = await gateway.createTenant({ monthly_budget: 0.000000001 });
        const e = await raised(new OpenAI({ apiKey: poor.api_key, baseURL: gateway.base, maxRetries: 2 }).chat.completions.create(ask));
        assert.ok(e instanceof OpenAI.RateLimitError, `${e}`);
        assert.equal(e.code, "insufficient_quota");
        assert.equal(e.type, "insufficient_quota");
        assert.equal(e.headers.get("x-should-retry"), "false");
        assert.equal((await sim.requests()).length, 0);
        const refused = await gateway.metric("llm_gateway_requests_total", { tenant_id: poor.tenant_id, status: "refused" });
        assert.equal(refused, 1, "the package did not try again");
    });

    test("405: a path that does not take the method", async () => {
        const r = await fetch(`${gateway.base}/chat/completions`, { headers: { authorization: `Bearer ${key}` } });
        assert.equal(r.status, 405);
        assert.equal(r.headers.get("allow"), "POST");
        assert.equal((await r.json()).error.type, "invalid_request_error");
    });
});

describe("the provider's own errors raise typed exceptions", () => {
    const ask = { model: "m", messages: [{ role: "user", content: "hi" }] };
    for (const [status, type] of [
        [429, OpenAI.RateLimitError],
        [500, OpenAI.InternalServerError],
        [502, OpenAI.InternalServerError],
        [503, OpenAI.InternalServerError],
        [529, OpenAI.InternalServerError],
        [401, OpenAI.InternalServerError], // our key was refused, which is not the client's fault: 502
        [403, OpenAI.InternalServerError],
    ]) {
        test(`${status} raises ${type.name}`, async (t) => {
            const { sim, gateway, key } = await startWorld(t);
            await sim.script([{ status, times: 0, message: "of the provider", headers: { "retry-after": "7" } }]);
            const client = new OpenAI({ apiKey: key, baseURL: gateway.base, maxRetries: 0 });
            const e = await client.chat.completions.create(ask).then(
                () => assert.fail("nothing was raised"),
                (error) => error,
            );
            assert.ok(e instanceof type, `${e.constructor.name}: ${e}`);
            const ours = status === 401 || status === 403;
            assert.equal(e.status, ours ? 502 : status);
            assert.equal(e.headers.get("retry-after"), ours ? null : "7");
            assert.equal(e.message.includes("of the provider"), !ours, e.message);
        });
    }

    test("a dead provider is a 502, a silent one a 504", async (t) => {
        const { sim, gateway, key } = await startWorld(t, { env: { UPSTREAM_FIRST_BYTE_TIMEOUT: "100ms" } });
        const client = new OpenAI({ apiKey: key, baseURL: gateway.base, maxRetries: 0 });
        await sim.script([{ delay: "3600s" }]);
        await assert.rejects(client.chat.completions.create(ask), (e) => e instanceof OpenAI.InternalServerError && e.status === 504);
        await sim.stop("SIGKILL");
        await assert.rejects(client.chat.completions.create(ask), (e) => e instanceof OpenAI.InternalServerError && e.status === 502);
    });
});
