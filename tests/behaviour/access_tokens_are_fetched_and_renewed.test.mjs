// Providers that take access tokens instead of keys: Azure OpenAI with Entra ID, by client credentials or from a file.
// The simulator's token endpoint checks the secret, its tokens expire, and every other path demands one.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import { eventually, runGateway, startGateway, startSim, tempDir } from "../support/harness.mjs";

const secret = "s3cret/+&=value";
const oauth = (...more) => ({ args: ["--oauth-client", `app-id:${secret}`, ...more] });
const tokenPath = "/tenant-1/oauth2/v2.0/token";

/** A provider "azure" of that token, a provider "other" behind it. */
async function world(t, { sim: simOptions = oauth(), token, env = {}, workers = 2, targets, before } = {}) {
    const sim = await startSim(t, simOptions);
    const other = await startSim(t);
    await before?.(sim);
    const config = `
server: {workers: ${workers}}
providers:
  azure: {dialect: openai, base_url: "${sim.origin}", api_version: 2024-10-21, token: ${token?.(sim) ?? `{url: "${sim.origin}${tokenPath}", client_id: app-id, client_secret: "${secret}"}`}}
  other: {dialect: openai, base_url: "${other.base}"}
models:
  m: {targets: ${targets ?? "[[{provider: azure, model: d}]]"}}
`;
    const gateway = await startGateway(t, { config, env: { ENABLE_PROMPT_CACHE: "false", ...env } });
    const { api_key } = await gateway.createTenant({ rate_limit: 100000 });
    const chat = (more = {}) => gateway.request(api_key, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "hi" }], ...more });
    const fetches = async () => (await sim.requests()).filter((r) => r.target === tokenPath);
    const chats = async () => (await sim.requests()).filter((r) => r.target.includes("/chat/completions"));
    return { sim, other, gateway, chat, fetches, chats, key: api_key };
}
const both = "[[{provider: azure, model: d}], [{provider: other, model: d}]]";

describe("access tokens by client credentials", () => {
    test("fetched once for concurrent first requests, which wait for it; sent as Bearer; never logged or shown", async (t) => {
        const { gateway, chat, fetches, chats } = await world(t, { before: (sim) => sim.script([{ path: tokenPath, delay: "300ms" }]) });
        const answers = await Promise.all(Array.from({ length: 20 }, () => chat()));
        for (const r of answers) assert.equal(r.status, 200, await r.text());
        const asked = await fetches();
        assert.equal(asked.length, 1, "one fetch");
        assert.equal(asked[0].headers["content-type"], "application/x-www-form-urlencoded");
        const form = new URLSearchParams(asked[0].body.toString());
        assert.deepEqual([form.get("grant_type"), form.get("client_id"), form.get("client_secret"), form.get("scope")], ["client_credentials", "app-id", secret, "https://cognitiveservices.azure.com/.default"]);
        const sent = await chats();
        assert.equal(sent.length, 20);
        const tokens = new Set(sent.map((r) => r.headers.authorization));
        assert.equal(tokens.size, 1);
        const [token] = tokens;
        assert.match(token, /^Bearer sim\./);
        for (const r of sent) assert.equal(r.headers["api-key"], undefined);
        const log = await eventually(() => gateway.logs().find((l) => l.msg === "access token received"), "the log line");
        assert.deepEqual([log.level, log.provider, log.valid_s], ["info", "azure", 3600]);
        assert.equal(await gateway.metric("llm_gateway_credential_fetches_total", { provider: "azure", outcome: "ok" }), 1);
        assert.ok(!gateway.logs().some((l) => JSON.stringify(l).includes(token.slice(7)) || JSON.stringify(l).includes("s3cret")), "in a log");
        const check = await runGateway(["check", "--config", gateway.configFile, "--json"]);
        assert.ok(!check.stdout.includes("s3cret") && check.stdout.includes("(access token)"), check.stdout + check.stderr);
    });

    test("renewed before it expires, while requests go on", async (t) => {
        const { chat, fetches, chats } = await world(t, { sim: oauth("--oauth-life", "3") });
        const end = Date.now() + 8000;
        while (Date.now() < end) {
            const r = await chat();
            assert.equal(r.status, 200, await r.text());
            await new Promise((resolve) => setTimeout(resolve, 40));
        }
        const n = (await fetches()).length;
        assert.ok(n >= 3 && n <= 5, `${n} fetches in 8 s of tokens that live 3 s`);
        assert.ok(new Set((await chats()).map((r) => r.headers.authorization)).size >= 3);
    });

    test("a refused token is fetched anew, once, and the client notices nothing", async (t) => {
        const { sim, gateway, chat, fetches, chats } = await world(t);
        assert.equal((await chat()).status, 200);
        await sim.script([{ path: "/openai/deployments/d/chat/completions", status: 401, times: 1 }]);
        const r = await chat();
        assert.equal(r.status, 200, await r.text());
        assert.equal(r.headers.get("x-llm-gateway-attempts"), "2");
        const [first, refused, last] = await chats();
        assert.equal(first.headers.authorization, refused.headers.authorization);
        assert.notEqual(last.headers.authorization, refused.headers.authorization);
        assert.equal((await fetches()).length, 2);
        // A provider that refuses every token is not asked with another each time.
        await sim.script([{ path: "/openai/deployments/d/chat/completions", status: 401, times: 0 }]);
        for (let i = 0; i < 5; i++) assert.equal((await chat()).status, 502);
        assert.equal((await fetches()).length, 2);
        assert.ok(await gateway.metric("llm_gateway_credential_fetches_total", { outcome: "ok" }) === 2);
    });

    test("an endpoint that is down: the next target at once; alone a clear 503; back again without a restart", async (t) => {
        const down = (sim) => sim.script([{ path: tokenPath, status: 500, times: 3 }]);
        const { chat, gateway, other, sim } = await world(t, { targets: both, before: down });
        const r = await chat();
        assert.equal(r.status, 200, await r.text());
        assert.equal(r.headers.get("x-llm-gateway-provider"), "other");
        assert.equal((await other.requests()).length, 1);
        assert.ok(await gateway.metric("llm_gateway_credential_fetches_total", { provider: "azure", outcome: "failed" }) >= 1);
        const log = await eventually(() => gateway.logs().find((l) => l.msg === "no access token"), "the log line");
        assert.deepEqual([log.level, log.provider, log.error], ["warning", "azure", "the token endpoint answered 500"]);
        assert.equal((await sim.requests()).filter((q) => q.target !== tokenPath).length, 0, "nothing goes out without a token");
        await eventually(async () => (await chat()).headers.get("x-llm-gateway-provider") === "azure", "the provider's return", 30000);
    });

    test("alone, without a token: 503, and what is wrong is in the log", async (t) => {
        const wrong = (sim) => `{url: "${sim.origin}${tokenPath}", client_id: app-id, client_secret: another-s3cret}`;
        const { chat, gateway, chats, key } = await world(t, { token: wrong });
        const r = await chat();
        assert.equal(r.status, 503);
        assert.match((await r.json()).error.message, /no access token/);
        const own = await gateway.request(key, "/api/v1/completions", { model: "m", messages: [{ role: "user", content: "hi" }] });
        assert.equal(own.status, 503);
        assert.match((await own.json()).detail, /^All providers failed. Last error: no access token/);
        assert.equal((await gateway.row(r)).status, "error");
        const log = await eventually(() => gateway.logs().find((l) => l.msg === "no access token"), "the log line");
        assert.equal(log.error, "the token endpoint answered 401 (invalid_client, AADSTS7000215)");
        assert.ok(!gateway.child.output.includes("another-s3cret"));
        assert.equal((await chats()).length, 0);
    });

    test("a silent endpoint: who waits is answered in time", async (t) => {
        const { chat } = await world(t, { targets: both, before: (sim) => sim.script([{ path: tokenPath, delay: "60s", times: 0 }]) });
        const begun = Date.now();
        const r = await chat();
        assert.equal(r.headers.get("x-llm-gateway-provider"), "other");
        assert.ok(Date.now() - begun < 9000, "waited too long");
    });

    test("who leaves while waiting, and a stop in the middle of a fetch, do no harm", async (t) => {
        const { gateway, key, fetches } = await world(t, { before: (sim) => sim.script([{ path: tokenPath, delay: "60s", times: 0 }]) });
        const leave = new AbortController();
        const ask = (signal) => gateway.request(key, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "hi" }] }, { signal });
        await eventually(async () => (await fetches()).length === 1, "the fetch");
        const left = ask(leave.signal);
        const stays = ask();
        await new Promise((resolve) => setTimeout(resolve, 100));
        leave.abort();
        await assert.rejects(left);
        const [row] = await gateway.rows("status = 'client_gone'");
        assert.equal(row.cost_nusd, 0);
        const begun = Date.now();
        const { code } = await gateway.stop("SIGTERM");
        assert.equal(code, 0);
        assert.ok(Date.now() - begun < 9000, "the stop waits for the request, the request for no longer than it may");
        assert.equal((await stays).status, 503);
    });

    test("a reload keeps the token; relayed endpoints have it too", async (t) => {
        const { gateway, chat, fetches, sim, key } = await world(t);
        assert.equal((await chat()).status, 200);
        assert.equal((await gateway.admin("POST", "reload")).status, 200);
        assert.equal((await chat()).status, 200);
        assert.equal((await fetches()).length, 1);
        const raw = await gateway.request(key, "/passthrough/azure/d/embeddings?api-version=2024-10-21", { input: "x", model: "d" });
        assert.equal(raw.status, 200, await raw.text());
        const last = (await sim.requests()).at(-1);
        assert.match(last.headers.authorization, /^Bearer sim\./);
    });

    test("Entra's variables, and the authority of another cloud", async (t) => {
        const sim = await startSim(t, oauth());
        const { chat, fetches } = await world(t, {
            token: () => "entra",
            env: { AZURE_TENANT_ID: "tenant-1", AZURE_CLIENT_ID: "app-id", AZURE_CLIENT_SECRET: secret, AZURE_AUTHORITY_HOST: `${sim.origin}/` },
            sim: undefined,
        });
        const r = await chat();
        assert.equal(r.status, 200, await r.text());
        assert.equal((await sim.requests()).filter((q) => q.target === tokenPath).length, 1);
        assert.equal((await fetches()).length, 0, "the authority is the other one");
    });
});

describe("access tokens from a file", () => {
    test("read at the start, read again when it changes; a missing one is a fault of the target", async (t) => {
        const file = path.join(tempDir(t), "token");
        const { chat, chats, gateway } = await world(t, { sim: {}, token: () => `{file: "${file}"}`, targets: both });
        assert.equal((await chat()).headers.get("x-llm-gateway-provider"), "other");
        assert.ok(await gateway.metric("llm_gateway_credential_fetches_total", { outcome: "failed" }) >= 1);
        writeFileSync(file, "first-token\n");
        await eventually(async () => (await chat()).headers.get("x-llm-gateway-provider") === "azure", "the first token", 30000);
        assert.equal((await chats()).at(-1).headers.authorization, "Bearer first-token");
        writeFileSync(file, "second-token\n");
        await eventually(async () => (await chat()) && (await chats()).at(-1).headers.authorization === "Bearer second-token", "the second token");
        writeFileSync(file, "no token\r\nx-injected: 1\n");
        await eventually(() => gateway.logs().some((l) => l.msg === "no access token" && l.error === "what came is no token"), "the refusal");
        assert.equal((await chat()).headers.get("x-llm-gateway-provider"), "azure", "the old one goes on");
        assert.equal((await chats()).at(-1).headers.authorization, "Bearer second-token");
        assert.ok(!gateway.child.output.includes("-token\\n") && !gateway.child.output.includes("second-token"));
    });
});

test("the configuration of tokens is strict", async (t) => {
    const azure = (more) => `{dialect: openai, base_url: "http://127.0.0.1:9", api_version: 2024-10-21, ${more}}`;
    for (const [provider, words] of [
        [azure("token: entra"), /token: tenant_id is missing, and there is no AZURE_TENANT_ID/],
        [azure("token: azure"), /token: a map, or the word entra is expected/],
        [azure("token: {tenant_id: \"a/b\", client_id: i, client_secret: s}"), /tenant_id is not accepted/],
        [azure("token: {tenant_id: t, client_id: i}"), /token: client_secret is missing, and there is no AZURE_CLIENT_SECRET/],
        [azure("token: {url: \"ftp://x\", client_id: i, client_secret: s}"), /token: the url is not accepted/],
        [azure("token: {file: /tmp/x, client_id: i}"), /token: file stands alone/],
        [azure("token: {filename: /tmp/x}"), /filename/],
        [azure("token: {file: /tmp/x}, keys: [k]"), /token: there are keys, too/],
        ["{dialect: openai, base_url: \"http://127.0.0.1:9\", token: {url: \"http://127.0.0.1:9/t\", client_secret: s}}", /token: client_id is missing(?!, and)/],
        ["{dialect: bedrock, region: us-east-1, token: {file: /tmp/x}}", /token: the dialect signs/],
    ]) {
        await assert.rejects(startGateway(t, { config: `providers:\n  cloud: ${provider}\n` }), (e) => words.test(e.message), provider);
    }
});
