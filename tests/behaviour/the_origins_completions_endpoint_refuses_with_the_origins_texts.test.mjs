import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { scope, sse, startWorld } from "../support/harness.mjs";

describe("the origin's completions endpoint refuses with the origin's texts", () => {
    const world = scope();
    let sim, gateway, key;
    before(async () => {
        ({ sim, gateway, key } = await startWorld(world, { priced: true }));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    const hello = { model: "gpt-4o-mini", messages: [{ role: "user", content: "hi" }] };
    const send = (body, headers = { "x-api-key": key }) =>
        fetch(`${gateway.origin}/api/v1/completions`, {
            method: "POST",
            headers: { "content-type": "application/json", ...headers },
            body: typeof body === "string" ? body : JSON.stringify(body),
        });

    test("401 API key missing, 401 Invalid API key", async () => {
        const missing = await send(hello, {});
        assert.deepEqual([missing.status, await missing.json()], [401, { detail: "API key missing" }]);
        for (const wrong of ["nonsense", "llm-gw-nonsense", `${key.slice(0, -1)}_`]) {
            const invalid = await send(hello, { "x-api-key": wrong });
            assert.deepEqual([invalid.status, await invalid.json()], [401, { detail: "Invalid API key" }]);
        }
        assert.equal((await sim.requests()).length, 0);
    });

    test("422 is FastAPI's list", async () => {
        const cases = [
            [{ messages: hello.messages }, "missing", ["body", "model"], "Field required"],
            [{ model: "m" }, "missing", ["body", "messages"], "Field required"],
            [{ ...hello, model: 5 }, "string_type", ["body", "model"], "Input should be a valid string"],
            [{ ...hello, messages: "hi" }, "list_type", ["body", "messages"], "Input should be a valid list"],
            [{ ...hello, temperature: "warm" }, "float_parsing", ["body", "temperature"], "Input should be a valid number, unable to parse string as a number"],
            [{ ...hello, max_tokens: 1.5 }, "int_from_float", ["body", "max_tokens"], "Input should be a valid integer, got a number with a fractional part"],
            [{ ...hello, stream: "perhaps" }, "bool_parsing", ["body", "stream"], "Input should be a valid boolean, unable to interpret input"],
        ];
        for (const [body, type, loc, msg] of cases) {
            const r = await send(body);
            assert.equal(r.status, 422);
            const { detail } = await r.json();
            assert.equal(detail.length, 1);
            assert.deepEqual(Object.keys(detail[0]), ["type", "loc", "msg", "input"]);
            assert.deepEqual([detail[0].type, detail[0].loc, detail[0].msg], [type, loc, msg]);
            assert.deepEqual(detail[0].input, type === "missing" ? body : body[loc[1]]);
        }
    });

    test("422 names every member at fault, and where JSON is broken", async () => {
        const { detail } = await (await send({ temperature: [], max_tokens: {} })).json();
        assert.deepEqual(detail.map((d) => d.loc.at(-1)).sort(), ["max_tokens", "messages", "model", "temperature"]);
        const broken = await send('{"model": "m", }');
        assert.equal(broken.status, 422);
        const [entry] = (await broken.json()).detail;
        assert.equal(entry.type, "json_invalid");
        assert.equal(entry.loc[0], "body");
        assert.equal(typeof entry.loc[1], "number");
        assert.equal((await sim.requests()).length, 0);
    });

    test("429 says the limit and, truly, when to come back", async () => {
        const tenant = await gateway.createTenant({ rate_limit: 3 });
        const statuses = [];
        let last;
        for (let i = 0; i < 4; i++) {
            last = await send({ ...hello, messages: [{ role: "user", content: `${i}` }] }, { "x-api-key": tenant.api_key });
            statuses.push(last.status);
            if (last.status === 200) assert.equal((await last.json()).rate_limit_remaining, 2 - i);
        }
        assert.deepEqual(statuses, [200, 200, 200, 429]);
        assert.deepEqual(await last.json(), { detail: "Rate limit exceeded. Limit: 3 requests/minute" });
        const after = Number(last.headers.get("retry-after"));
        assert.ok(Number.isInteger(after) && after >= 1 && after <= 61, `${after}`);
        assert.match(last.headers.get("x-llm-gateway-limit"), /requests/);
    });

    test("402 when the budget is exhausted", async () => {
        const tenant = await gateway.createTenant({ monthly_budget: 0.000001 });
        const r = await send(hello, { "x-api-key": tenant.api_key });
        assert.equal(r.status, 402);
        assert.match((await r.json()).detail, /^Budget exhausted: .*month.* of 0\.000001 USD/);
        assert.equal((await sim.requests()).length, 0);
    });

    test("404 for an unknown model, 404 and 405 elsewhere, in the same shape", async () => {
        const r = await send({ ...hello, model: "gpt-4o-mimi" });
        assert.equal(r.status, 404);
        assert.match((await r.json()).detail, /gpt-4o-mimi.*gpt-4o-mini/);
        const nowhere = await fetch(`${gateway.origin}/api/v1/nowhere`);
        assert.deepEqual([nowhere.status, await nowhere.json()], [404, { detail: "Not Found" }]);
        const method = await fetch(`${gateway.origin}/api/v1/completions`);
        assert.deepEqual([method.status, await method.json()], [405, { detail: "Method Not Allowed" }]);
    });

    test("503 All providers failed. Last error: ...", async (t) => {
        const broken = await startWorld(t);
        await broken.sim.script([{ status: 500, message: "the provider's last word", times: 0 }]);
        const r = await broken.own("hi");
        assert.equal(r.status, 503);
        assert.deepEqual(await r.json(), { detail: "All providers failed. Last error: the provider's last word" });
        await broken.sim.reset();
        await broken.sim.script([{ status: 429, message: "slow down", retry_after: "11", times: 0 }]);
        const limited = await broken.own("hi");
        assert.deepEqual([limited.status, limited.headers.get("retry-after")], [503, "11"]);
        await broken.sim.stop("SIGKILL");
        const dead = await broken.own("hi");
        assert.equal(dead.status, 503);
        assert.match((await dead.json()).detail, /^All providers failed\. Last error: \S/);
    });

    test("a stream that breaks ends with a detail, not with a result", async (t) => {
        const broken = await startWorld(t);
        const events = [];
        for await (const e of sse(await broken.own("sim:tokens=5;close_at=c3", { stream: true }))) events.push(JSON.parse(e.data));
        assert.ok("delta" in events[0]);
        assert.match(events.at(-1).detail, /^All providers failed\. Last error: /);
        assert.ok(events.every((e) => !("response" in e)));
    });
});
