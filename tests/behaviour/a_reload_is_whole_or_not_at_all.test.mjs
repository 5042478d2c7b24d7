// SIGHUP, the admin API or a changed file publish a whole new configuration, or keep the old one and say why. A request keeps
// the version it began with.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";

import { RawClient, eventually, startGateway, startSim } from "../support/harness.mjs";
import { question, rawRequest } from "../support/process.mjs";

const file = (sims, first, more = "") => `
providers:
  one: {dialect: openai, base_url: "${sims[0].base}"}
  two: {dialect: openai, base_url: "${sims[1].base}"}
models:
  m: {targets: [[{provider: ${first}, model: "${first};tokens=30;rate=20ms"}]]}
${more}`;

async function start(t) {
    const sims = [await startSim(t), await startSim(t)];
    const gateway = await startGateway(t, { config: file(sims, "one"), env: { ENABLE_PROMPT_CACHE: "false", DRAIN_DELAY: "0" } });
    const { api_key: key } = await gateway.createTenant({ rate_limit: 1000 });
    const provider = async () => {
        const r = await gateway.request(key, "/v1/chat/completions", question());
        assert.equal(r.status, 200, await r.clone().text());
        await r.text();
        return r.headers.get("x-llm-gateway-provider");
    };
    return { sims, gateway, key, provider };
}

test("SIGHUP takes a changed file; a request in flight keeps its version", async (t) => {
    const { sims, gateway, key, provider } = await start(t);
    assert.equal(await provider(), "one");
    const stream = await RawClient.connect(gateway.port);
    t.after(() => stream.close());
    await stream.send(rawRequest(key, question("m", { stream: true })));
    await stream.until((text) => text.includes("data: "));
    writeFileSync(gateway.configFile, file(sims, "two"));
    gateway.child.process.kill("SIGHUP");
    await eventually(async () => (await provider()) === "two", "the new version");
    const text = await stream.until((x) => x.includes("[DONE]"));
    assert.match(text, /x-llm-gateway-provider: one/i);
    assert.match(text, /data: \[DONE\]/);
    assert.ok((await gateway.metric("llm_gateway_config_version")) >= 2);
});

test("an invalid file changes nothing, and the log says what is wrong with it", async (t) => {
    const { sims, gateway, provider } = await start(t);
    for (const [broken, why] of [
        [file(sims, "two", "server: {drian: 3s}"), /drian.*drain/],
        [file(sims, "three"), /three/],
        ["providers: [", /gateway\.yaml:[12]/],
        [file(sims, "two", "cache: {ttl: soon}"), /ttl|CACHE_TTL/],
    ]) {
        const from = gateway.child.output.length;
        writeFileSync(gateway.configFile, broken);
        gateway.child.process.kill("SIGHUP");
        await eventually(() => /refused, the old configuration stays/.test(gateway.child.output.slice(from)), "the refusal in the log");
        assert.match(gateway.child.output.slice(from), why);
        assert.equal(await provider(), "one", "not even the valid half of it");
    }
    writeFileSync(gateway.configFile, file(sims, "two"));
    gateway.child.process.kill("SIGHUP");
    await eventually(async () => (await provider()) === "two", "the corrected file");
});

test("the admin API reloads and answers with the reason; a changed file is noticed", async (t) => {
    const { sims, gateway, provider } = await start(t);
    writeFileSync(gateway.configFile, file(sims, "nobody"));
    const refused = await gateway.admin("POST", "reload");
    assert.ok(refused.status >= 400 && refused.status < 500, `${refused.status} ${refused.text}`);
    assert.match(refused.text, /nobody/);
    assert.equal(await provider(), "one");
    writeFileSync(gateway.configFile, file(sims, "two"));
    assert.equal((await gateway.admin("POST", "reload")).status, 200);
    await eventually(async () => (await provider()) === "two", "the new version");
    writeFileSync(gateway.configFile, file(sims, "one"));
    await eventually(async () => (await provider()) === "one", "the file to be noticed");
});

test("reloads under load disturb nobody", async (t) => {
    const { sims, gateway, key } = await start(t);
    let isOver = false;
    const statuses = {};
    const load = Promise.all(
        Array.from({ length: 8 }, async () => {
            while (!isOver) {
                const r = await gateway.request(key, "/v1/models", undefined);
                await r.text();
                const x = await gateway.request(key, "/api/v1/completions", { ...question("one/m"), stream: true });
                await x.text();
                statuses[x.status] = (statuses[x.status] ?? 0) + 1;
            }
        }),
    );
    for (let i = 0; i < 20; i++) {
        const version = await gateway.metric("llm_gateway_config_version");
        writeFileSync(gateway.configFile, file(sims, i % 2 ? "one" : "two"));
        gateway.child.process.kill("SIGHUP");
        await eventually(async () => (await gateway.metric("llm_gateway_config_version")) > version, "the next version");
    }
    isOver = true;
    await load;
    for (const status of Object.keys(statuses)) assert.ok(["200", "429"].includes(status), JSON.stringify(statuses));
    assert.deepEqual(await gateway.stop(), { code: 0, signal: null });
    t.diagnostic(`20 reloads; answers: ${JSON.stringify(statuses)}`);
});
