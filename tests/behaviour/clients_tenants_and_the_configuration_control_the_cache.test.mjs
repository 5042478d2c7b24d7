import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { eventually, scope, startWorld } from "../support/harness.mjs";

let number = 0;
const fresh = () => `q${++number}`;
const use = (r) => r.headers.get("x-llm-gateway-cache");
const with_ = (headers) => ({ headers });

describe("clients, tenants and the configuration control the cache", () => {
    const world = scope();
    let sim, gateway, chat, own;
    before(async () => {
        ({ sim, gateway, chat, own } = await startWorld(world));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    test("no-store neither reads nor writes", async () => {
        const q = fresh();
        assert.equal(use(await chat(q, { temperature: 0 }, with_({ "cache-control": "no-store" }))), "bypass");
        assert.equal(use(await chat(q, { temperature: 0 })), "miss");
        assert.equal(use(await chat(q, { temperature: 0 }, with_({ "cache-control": "no-store" }))), "bypass");
        assert.equal((await sim.requests()).length, 3);
    });

    test("no-cache does not read, but writes", async () => {
        const q = fresh();
        await sim.script([{ content: "old" }, { content: "new" }]);
        await chat(q, { temperature: 0 });
        assert.equal(use(await chat(q, { temperature: 0 }, with_({ "cache-control": "no-cache" }))), "miss");
        const hit = await chat(q, { temperature: 0 });
        assert.equal(use(hit), "hit");
        assert.equal((await hit.json()).choices[0].message.content, "new");
    });

    test("max-age=0 takes nothing stored, a long one does", async () => {
        const q = fresh();
        await chat(q, { temperature: 0 });
        assert.equal(use(await chat(q, { temperature: 0 }, with_({ "cache-control": "max-age=3600" }))), "hit");
        await eventually(async () => use(await chat(q, { temperature: 0 }, with_({ "cache-control": "private, max-age=0" }))) === "miss", "an entry older than max-age");
    });

    test("x-llm-gateway-cache: on opts in, off opts out", async () => {
        const q = fresh();
        const on = with_({ "x-llm-gateway-cache": "on" });
        assert.equal(use(await chat(q, {}, on)), "miss");
        assert.equal(use(await chat(q, {}, on)), "hit");
        assert.equal(use(await chat(q, {})), "bypass");
        const off = with_({ "x-llm-gateway-cache": "off" });
        assert.equal(use(await own(q, {}, off)), "bypass");
        assert.equal(use(await own(q, {}, off)), "bypass");
    });

    test("a tenant's cache setting is on for all or off for all", async () => {
        const ask = (key, q, more) => gateway.request(key, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: q }], ...more });
        const on = await gateway.createTenant({ cache: "on" });
        const off = await gateway.createTenant({ cache: "off" });
        const q = fresh();
        assert.deepEqual([use(await ask(on.api_key, q)), use(await ask(on.api_key, q))], ["miss", "hit"]);
        assert.deepEqual([use(await ask(off.api_key, q, { temperature: 0 })), use(await ask(off.api_key, q, { temperature: 0 }))], ["bypass", "bypass"]);
    });

    test("the admin clears it", async () => {
        const q = fresh();
        await chat(q, { temperature: 0 });
        assert.equal(use(await chat(q, { temperature: 0 })), "hit");
        const before = (await gateway.admin("GET", "cache")).json;
        assert.ok(before.entries > 0 && before.bytes > 0);
        assert.equal((await gateway.admin("DELETE", "cache")).json.cleared, before.entries);
        assert.equal((await gateway.admin("GET", "cache")).json.entries, 0);
        assert.equal(use(await chat(q, { temperature: 0 })), "miss");
    });

    test("ENABLE_PROMPT_CACHE=false and its alias switch it off", async (t) => {
        for (const name of ["ENABLE_PROMPT_CACHE", "ENABLE_RESPONSE_CACHE"]) {
            const off = await startWorld(t, { env: { [name]: "false" } });
            for (let i = 0; i < 2; i++) assert.equal((await (await off.own("same")).json()).cached, false, name);
            assert.equal((await off.sim.requests()).length, 2);
        }
    });

    test("CACHE_TTL ends an entry's life", async (t) => {
        const short = await startWorld(t, { env: { CACHE_TTL: "1" } });
        await short.chat("x", { temperature: 0 });
        await eventually(async () => use(await short.chat("x", { temperature: 0 }, with_({ "x-request-id": "poll" }))) === "miss", "the entry to end");
    });
});
