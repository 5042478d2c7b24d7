import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { Anthropic } from "../support/clients.mjs";
import { scope, startWorld } from "../support/harness.mjs";

const models = { anthropic: "claude-haiku-4-5", openai: "gpt-4o-mini" };

describe("the Anthropic package raises its typed exceptions", () => {
    const world = scope();
    let sim, gateway, key, client;
    const of = (apiKey, more) => new Anthropic({ apiKey, baseURL: gateway.origin, maxRetries: 0, ...more });
    before(async () => {
        ({ sim, gateway, key } = await startWorld(world, { providers: ["openai", "anthropic"], env: { MAX_ATTEMPTS: "1", BREAKER_FAILURES: "1000" } }));
        client = of(key);
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    const ask = (more = {}) => ({ model: models.anthropic, max_tokens: 10, messages: [{ role: "user", content: "hi" }], ...more });
    const raised = async (type, name, promise) => {
        const e = await promise.then(
            () => assert.fail("nothing was raised"),
            (error) => error,
        );
        assert.ok(e instanceof type, `${e.constructor.name}: ${e}`);
        assert.equal(e.error.type, "error");
        assert.equal(e.error.error.type, name);
        assert.ok(e.error.error.message.length > 0);
        assert.match(e.requestID, /^[0-9a-f-]{36}$/);
        return e;
    };

    test("401 AuthenticationError: an unknown key, no key", async () => {
        const e = await raised(Anthropic.AuthenticationError, "authentication_error", of("sk-unknown").messages.create(ask()));
        assert.ok(!e.message.includes("sk-unknown"));
        const none = await fetch(`${gateway.base}/messages`, { method: "POST", body: JSON.stringify(ask()) });
        assert.deepEqual([none.status, (await none.json()).error.type], [401, "authentication_error"]);
        await raised(Anthropic.AuthenticationError, "authentication_error", of("sk-unknown").messages.countTokens({ model: models.anthropic, messages: ask().messages }));
        await assert.rejects(of("sk-unknown").models.list(), Anthropic.AuthenticationError);
    });

    test("400 BadRequestError: what no provider would take is refused here", async () => {
        const bad = [{ max_tokens: undefined }, { messages: undefined }, { messages: [] }, { model: 5 }, { max_tokens: "x" }];
        for (const more of bad) await raised(Anthropic.BadRequestError, "invalid_request_error", client.messages.create(ask(more)));
        assert.equal((await sim.requests()).length, 0);
    });

    test("403 PermissionDeniedError and 404 NotFoundError: models", async () => {
        const limited = await gateway.createTenant({ allowed_models: ["gpt-4o"] });
        await raised(Anthropic.PermissionDeniedError, "permission_error", of(limited.api_key).messages.create(ask()));
        const e = await raised(Anthropic.NotFoundError, "not_found_error", client.messages.create(ask({ model: "claude-haiku-4-55" })));
        assert.match(e.message, /claude-haiku-4-5`? ?/);
        assert.equal((await sim.requests()).length, 0);
    });

    test("429 RateLimitError of the gateway: which limit, and when to come back", async () => {
        const limited = await gateway.createTenant({ rate_limit: 1 });
        await of(limited.api_key).messages.create(ask());
        const e = await raised(Anthropic.RateLimitError, "rate_limit_error", of(limited.api_key).messages.create(ask()));
        const seconds = Number(e.headers.get("retry-after"));
        assert.ok(seconds >= 1 && seconds <= 61, `${seconds}`);
        assert.match(e.headers.get("x-llm-gateway-limit"), /requests/);
        assert.equal(e.headers.get("anthropic-ratelimit-requests-remaining"), "0");
    });

    test("402 billing_error of a spent budget, which the package does not try again", async () => {
        for (const model of Object.values(models)) {
            const poor = await gateway.createTenant({ monthly_budget: 0.000000001 });
            const e = await raised(Anthropic.APIError, "billing_error", of(poor.api_key, { maxRetries: 2 }).messages.create(ask({ model })));
            assert.equal(e.status, 402);
            assert.equal(e.headers.get("x-should-retry"), "false");
            assert.equal(await gateway.metric("llm_gateway_requests_total", { tenant_id: poor.tenant_id, status: "refused" }), 1);
        }
        assert.equal((await sim.requests()).length, 0);
    });

    test("413, 405 and a body that is no JSON", async () => {
        const post = (body, path = "/v1/messages", method = "POST") => fetch(gateway.origin + path, { method, headers: { "x-api-key": key, "anthropic-version": "2023-06-01" }, body });
        const broken = await post("{");
        assert.deepEqual([broken.status, (await broken.json()).error.type], [400, "invalid_request_error"]);
        const get = await post(undefined, "/v1/messages", "GET");
        assert.deepEqual([get.status, get.headers.get("allow"), (await get.json()).type], [405, "POST", "error"]);
    });

    for (const [provider, model] of Object.entries(models)) {
        const isSame = provider === "anthropic";
        const provided = [
            [400, Anthropic.BadRequestError, "invalid_request_error", 400],
            [413, Anthropic.APIError, "request_too_large", 413],
            [429, Anthropic.RateLimitError, "rate_limit_error", 429],
            [500, Anthropic.InternalServerError, "api_error", 500],
            [529, Anthropic.InternalServerError, "overloaded_error", 529],
            [401, Anthropic.InternalServerError, "api_error", 502],
            [403, Anthropic.InternalServerError, "api_error", 502],
            [402, Anthropic.InternalServerError, "api_error", 502],
        ];
        for (const [status, type, name, told] of provided) {
            for (const stream of [false, true]) {
                test(`${status} of a provider that speaks ${provider}${stream ? ", asked for a stream" : ""}: ${type.name} ${told}`, async () => {
                    await sim.script({ status, times: 0, message: "of the provider", retry_after: "7" });
                    const e = await raised(type, name, client.messages.create(ask({ model, stream })));
                    assert.equal(e.status, told);
                    const isOurs = told === 502;
                    assert.equal(e.message.includes("of the provider"), !isOurs, e.message);
                    assert.equal(e.headers.get("retry-after"), isOurs || (status < 429 && !isSame) ? null : "7");
                    assert.ok(!JSON.stringify(e.error).includes("sk-"), "no key of ours");
                    assert.equal((await gateway.row(e.requestID)).status, "error");
                });
            }
        }
    }

    test("the package's own retry gets past a 529", async () => {
        await sim.script({ status: 529 });
        const r = await of(key, { maxRetries: 2 }).messages.create(ask());
        assert.equal(r.stop_reason, "end_turn");
    });

    test("a stream that is cut raises the error event, of each provider", async () => {
        for (const model of Object.values(models)) {
            await sim.script({ tokens: 5, close_at: "c4" });
            const stream = await client.messages.create(ask({ model, stream: true }));
            const seen = [];
            await assert.rejects(
                (async () => {
                    for await (const e of stream) seen.push(e.type);
                })(),
                (e) => e instanceof Anthropic.APIError && e.error.error.type === "api_error" && !seen.includes("message_stop"),
            );
            assert.equal(seen[0], "message_start");
        }
    });
});
