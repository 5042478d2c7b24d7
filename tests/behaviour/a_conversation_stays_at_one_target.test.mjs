// The requests of one conversation go to one target and one key, so that the provider's prompt cache knows what they
// begin with: by a header of the gateway's, by the session that a client tells, or by what all turns begin with.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { eventually, scope, startGateway, startSim } from "../support/harness.mjs";

const providers = ["a", "b", "c"];
const weights = { a: 6, b: 3, c: 1 };
const keys = ["provider-key-one", "provider-key-two", "provider-key-three"];
const TURNS = 6;

/** Bodies of the turns of a conversation, in a dialect. */
const dialects = {
    "/v1/chat/completions": (name, turn) => ({
        model: "m",
        messages: [
            { role: "system", content: "You help." },
            { role: "user", content: `conversation ${name}` },
            ...Array.from({ length: turn }, (_, i) => [{ role: "assistant", content: `answer ${i}` }, { role: "user", content: `more ${i}` }]).flat(),
        ],
    }),
    // As Claude Code does it: an attribution line that differs, markers that wander, a text that becomes a block.
    "/v1/messages": (name, turn) => ({
        model: "m",
        max_tokens: 50,
        system: [
            { type: "text", text: `x-anthropic-billing-header: cc_version=2.1.177.${(turn * 7919).toString(16)}; cc_entrypoint=cli; cch=${(turn * 104729).toString(16)};` },
            { type: "text", text: "You help.", cache_control: { type: "ephemeral" } },
        ],
        messages: [
            { role: "user", content: turn ? `conversation ${name}` : [{ type: "text", text: `conversation ${name}`, cache_control: { type: "ephemeral" } }] },
            ...Array.from({ length: turn }, (_, i) => [{ role: "assistant", content: `answer ${i}` }, { role: "user", content: `more ${i}` }]).flat(),
        ],
    }),
    "/v1/responses": (name, turn) => ({
        model: "m",
        instructions: "You help.",
        store: false,
        input: turn
            ? [{ role: "user", content: `conversation ${name}` }, ...Array.from({ length: turn }, (_, i) => [{ role: "assistant", content: `answer ${i}` }, { role: "user", content: `more ${i}` }]).flat()]
            : `conversation ${name}`,
    }),
    "/v1beta/models/m:generateContent": (name, turn) => ({
        systemInstruction: { parts: [{ text: "You help." }] },
        contents: [
            { role: "user", parts: [{ text: `conversation ${name}` }] },
            ...Array.from({ length: turn }, (_, i) => [{ role: "model", parts: [{ text: `answer ${i}` }] }, { role: "user", parts: [{ text: `more ${i}` }] }]).flat(),
        ],
    }),
    "/api/v1/completions": (name, turn) => ({
        model: "m",
        messages: [
            { role: "user", content: `conversation ${name}` },
            ...Array.from({ length: turn }, (_, i) => [{ role: "assistant", content: `answer ${i}` }, { role: "user", content: `more ${i}` }]).flat(),
        ],
    }),
};

describe("a conversation stays at one target", () => {
    const world = scope();
    let sims, gateway, tenant, key;
    before(async () => {
        sims = Object.fromEntries(await Promise.all(providers.map(async (name) => [name, await startSim(world)])));
        const config = `
providers:
${providers.map((name) => `  ${name}: {dialect: openai, base_url: "${sims[name].base}"}`).join("\n")}
  pooled: {dialect: openai, base_url: "${sims.a.base}", keys: [${keys.map((k) => `"${k}"`).join(", ")}]}
models:
  m: {targets: [[${providers.map((name) => `{provider: ${name}, weight: ${weights[name]}}`).join(", ")}]]}
  pool: {targets: [[{provider: pooled}]]}
  one: {targets: [[{provider: a}], [{provider: b}]]}
`;
        gateway = await startGateway(world, { config, env: { ENABLE_PROMPT_CACHE: "false" } });
        tenant = await gateway.createTenant({ rate_limit: 1000000 });
        key = tenant.api_key;
    });
    after(() => world.end());
    beforeEach(() => Promise.all(providers.map((name) => sims[name].reset())));

    const send = async (path, body, headers = {}) => {
        const r = await gateway.request(key, path, body, { headers });
        const text = await r.text();
        assert.equal(r.status, 200, text);
        return r.headers.get("x-llm-gateway-provider");
    };
    const chat = (name, turn = 0, headers = {}, more = {}) => send("/v1/chat/completions", { ...dialects["/v1/chat/completions"](name, turn), ...more }, headers);

    for (const [path, turn] of Object.entries(dialects)) {
        test(`each turn goes where the first went; conversations share by weight (${path})`, async () => {
            const count = { a: 0, b: 0, c: 0 };
            for (let i = 0; i < 60; i++) {
                const home = await send(path, turn(i, 0));
                count[home]++;
                for (let k = 1; i < 15 && k < TURNS; k++) assert.equal(await send(path, turn(i, k)), home, `turn ${k} of conversation ${i}`);
            }
            // At 60 draws: more than four deviations off is none that we shall see.
            assert.ok(count.a >= 20 && count.a <= 52, JSON.stringify(count));
            assert.ok(count.b >= 4 && count.b <= 33, JSON.stringify(count));
        });
    }

    test("another first message, system prompt, tool or tenant is another conversation", async () => {
        const other = (await gateway.createTenant({ rate_limit: 1000000 })).api_key;
        const body = (i, more) => ({ model: "m", messages: [{ role: "system", content: "s" }, { role: "user", content: "u" }], ...more(i) });
        const tool = (name) => ({ type: "function", function: { name, parameters: { type: "object", properties: {} } } });
        for (const more of [
            (i) => ({ messages: [{ role: "system", content: `s ${i}` }, { role: "user", content: "u" }] }),
            (i) => ({ messages: [{ role: "system", content: "s" }, { role: "user", content: `u ${i}` }] }),
            (i) => ({ tools: [tool(`t${i}`)] }),
        ]) {
            const seen = new Set();
            for (let i = 0; i < 40; i++) seen.add(await send("/v1/chat/completions", body(i, more)));
            assert.ok(seen.size >= 2, `${more}`);
        }
        let moved = 0;
        for (let i = 0; i < 40; i++) {
            const r = await gateway.request(other, "/v1/chat/completions", dialects["/v1/chat/completions"](i, 0));
            moved += r.headers.get("x-llm-gateway-provider") !== (await chat(i));
        }
        assert.ok(moved > 3, "the same words of another tenant are its own");
    });

    test("the header overrides everything, and never leaves", async () => {
        const seen = new Set();
        for (let i = 0; i < 40; i++) {
            const headers = { "x-llm-gateway-affinity": `h${i}`, "x-claude-code-session-id": "the same", session_id: "the same" };
            const home = await chat("the same", 0, headers, { prompt_cache_key: "the same" });
            seen.add(home);
            assert.equal(await chat(`other ${i}`, 2, { "x-llm-gateway-affinity": `h${i}` }), home);
        }
        assert.equal(seen.size >= 2, true);
        for (const name of providers)
            for (const r of await sims[name].requests()) assert.ok(!JSON.stringify(r.headers).includes("affinity"), JSON.stringify(r.headers));
    });

    test("off is the choice by load and weight", async () => {
        const seen = new Set();
        for (let i = 0; i < 60; i++) seen.add(await chat("the same", 0, { "x-llm-gateway-affinity": "off" }));
        assert.ok(seen.size >= 2);
    });

    const user = (session) => JSON.stringify({ device_id: "d".repeat(64), account_uuid: "", session_id: session });
    for (const [name, path, told] of [
        ["Claude Code's header", "/v1/messages", (s) => [{}, { "x-claude-code-session-id": s }]],
        ["Claude Code's metadata", "/v1/messages", (s) => [{ metadata: { user_id: user(s) } }, {}]],
        ["Claude Code's metadata as they were", "/v1/messages", (s) => [{ metadata: { user_id: `user_${"d".repeat(64)}_account__session_${s}` } }, {}]],
        ["Codex's header", "/v1/responses", (s) => [{}, { session_id: s }]],
        ["Codex's header as it is now", "/v1/responses", (s) => [{}, { "session-id": s }]],
        ["prompt_cache_key of Responses", "/v1/responses", (s) => [{ prompt_cache_key: s }, {}]],
        ["prompt_cache_key of chat", "/v1/chat/completions", (s) => [{ prompt_cache_key: s }, {}]],
    ]) {
        test(`the session counts, whatever is said in it: ${name}`, async () => {
            const seen = new Set();
            for (let i = 0; i < 24; i++) {
                const [body, headers] = told(`0b5c1a-${i}`);
                const home = await send(path, { ...dialects[path](`x ${i}`, 0), ...body }, headers);
                seen.add(home);
                for (let k = 0; k < 3; k++) assert.equal(await send(path, { ...dialects[path](`y ${i} ${k}`, k), ...body }, headers), home);
            }
            assert.ok(seen.size >= 2);
        });
    }

    test("a user's id without a session is no session", async () => {
        const seen = new Set();
        for (let i = 0; i < 40; i++) seen.add(await send("/v1/messages", { ...dialects["/v1/messages"](i, 0), metadata: { user_id: "somebody" } }));
        assert.ok(seen.size >= 2);
    });

    test("a conversation stays with its key of a pool", async () => {
        const used = async () => (await sims.a.requests()).map((r) => r.headers.authorization);
        for (let i = 0; i < 30; i++) for (let k = 0; k < 3; k++) await chat(i, k, {}, { model: "pool" });
        const all = await used();
        for (let i = 0; i < 30; i++) assert.equal(new Set(all.slice(i * 3, i * 3 + 3)).size, 1, `conversation ${i}`);
        assert.equal(new Set(all).size, keys.length);
    });

    test("a key that is refused moves only its own conversations", async () => {
        const homes = [];
        for (let i = 0; i < 30; i++) await chat(i, 0, {}, { model: "pool" });
        for (const r of await sims.a.requests()) homes.push(r.headers.authorization.replace("Bearer ", ""));
        const dead = homes[0];
        await sims.a.reset();
        await sims.a.script([{ status: 401, code: "invalid_api_key", header: { authorization: `Bearer ${dead}` }, times: 0 }]);
        await chat(0, 1, {}, { model: "pool" });
        for (let i = 0; i < 30; i++) {
            const at = (await sims.a.requests()).length;
            await chat(i, 1, {}, { model: "pool" });
            const [used] = (await sims.a.requests()).slice(at).map((r) => r.headers.authorization.replace("Bearer ", ""));
            assert.ok(homes[i] === dead ? used !== dead : used === homes[i], `conversation ${i}`);
        }
    });

    test("explain tells where a value goes, and the log what it went by", async () => {
        const seen = new Set();
        for (let i = 0; i < 20; i++) {
            const home = await chat("the same", 0, { "x-llm-gateway-affinity": `e${i}` });
            const { json } = await gateway.admin("GET", `explain?key=${tenant.key_id ?? key}&model=m&affinity=e${i}`);
            assert.equal(json.choice, "affinity");
            assert.equal(json.affinity.provider, home, JSON.stringify(json.affinity));
            seen.add(home);
        }
        assert.ok(seen.size >= 2);
        const pooled = await gateway.admin("GET", `explain?key=${key}&model=pool&affinity=e1`);
        assert.ok(pooled.json.affinity.key >= 1 && pooled.json.affinity.key <= keys.length, JSON.stringify(pooled.json.affinity));
        assert.equal((await gateway.admin("GET", `explain?key=${key}&model=one&affinity=e1`)).json.choice, "none");
        await chat("logged", 0, { session_id: "s" });
        await chat("logged", 0, {}, { model: "one" });
        const lines = await eventually(() => {
            const found = gateway.child.output.split("\n").filter((l) => l.includes('"msg":"request"')).map((l) => JSON.parse(l));
            return found.at(-1)?.model === "one" && found;
        });
        assert.equal(lines.at(-1).affinity, undefined, "no choice, no hash");
        assert.equal(lines.at(-2).affinity, "session");
    });

    // Last: it breaks a target.
    test("a target that is down moves only its own conversations, and they return", async () => {
        const homes = [];
        for (let i = 0; i < 40; i++) homes.push(await chat(i));
        const dead = homes[0];
        await sims[dead].script([{ status: 429, retry_after: "3", times: 0 }]);
        for (let turn = 1; turn < 3; turn++)
            for (let i = 0; i < 40; i++) {
                const now = await chat(i, turn);
                assert.ok(homes[i] === dead ? now !== dead : now === homes[i], `conversation ${i}: ${homes[i]} -> ${now}`);
            }
        await sims[dead].reset();
        const mine = homes.indexOf(dead);
        await eventually(async () => (await chat(mine, 3)) === dead, "the first is back", 30000);
        await eventually(async () => {
            for (let i = 0; i < 40; i++) if ((await chat(i, 3)) !== homes[i]) return false;
            return true;
        }, "all are back", 30000);
    });
});
