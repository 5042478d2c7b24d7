// What is wrong with a configuration is told all at once, with its place, the value, what is accepted and the nearest name.
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";

import { runGateway, startGateway, startSim, tempDir } from "../support/harness.mjs";

const env = (t, more = {}) => {
    const dir = tempDir(t);
    return { cwd: dir, env: { DATA_DIR: dir, HOST: "127.0.0.1", ADMIN_API_KEY: "k".repeat(40), ...more } };
};

test("a port that another program holds", async (t) => {
    const server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => server.close());
    const { port } = server.address();
    const r = await runGateway([], env(t, { PORT: String(port) }));
    assert.equal(r.code, 1);
    assert.match(r.stderr, new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: .*in use`));
    assert.match(r.stderr, /another process|PORT/);
});

test("a port that another gateway holds, in spite of SO_REUSEPORT", async (t) => {
    const gateway = await startGateway(t, { sim: await startSim(t), workers: 2 });
    const r = await runGateway([], env(t, { PORT: String(gateway.port), WORKERS: "2" }));
    assert.equal(r.code, 1);
    assert.match(r.stderr, /in use/);
    assert.equal((await fetch(`${gateway.origin}/health`)).status, 200);
});

test("every wrong value is named with what is accepted, in one go", async (t) => {
    const wrong = { PORT: "eighty", WORKERS: "0", LOG_LEVEL: "loud", CACHE_TTL: "soon", ENABLE_METRICS: "perhaps", LOCAL_BASE_URL: "ftp://x", MAX_BODY: "32MB!", OPENAI_COST_PER_1K_TOKENS: "cheap" };
    for (const verb of [[], ["check"]]) {
        const r = await runGateway(verb, env(t, wrong));
        assert.equal(r.code, 1, r.stderr);
        for (const [name, value] of Object.entries(wrong)) {
            const line = r.stderr.split("\n").find((l) => l.includes(name));
            assert.ok(line, `${name} is missing in: ${r.stderr}`);
            assert.ok(line.includes(value), line);
        }
        assert.equal(r.stderr.split("\n").filter((l) => /error/.test(l)).length, Object.keys(wrong).length, r.stderr);
    }
});

test("a near miss of a variable's name is a warning", async (t) => {
    const r = await runGateway(["check"], env(t, { OPENAI_API_KY: "sk-x", LOCAL_BASE_URL: "http://127.0.0.1:1/v1", CACHE_TLL: "60" }));
    assert.equal(r.code, 0, r.stderr);
    assert.match(r.stderr, /OPENAI_API_KY.*OPENAI_API_KEY/);
    assert.match(r.stderr, /CACHE_TLL.*CACHE_TTL/);
});

test("unknown, misplaced and repeated keys of the file are errors with line and the nearest name", async (t) => {
    const o = env(t);
    const file = path.join(o.cwd, "gateway.yaml");
    writeFileSync(file, 'server:\n  lisen: "127.0.0.1:1"\n  ttl: 3s\nprovidrs: {}\nproviders:\n  local: {dialect: openai, base_ulr: "http://127.0.0.1:1/v1", base_url: "http://127.0.0.1:1/v1"}\nlog: {level: info, level: debug}\n');
    const r = await runGateway(["check", "--config", file], o);
    assert.equal(r.code, 1);
    for (const [line, unknown, near] of [[2, "lisen", "listen"], [3, "ttl", "cache.ttl"], [4, "providrs", "providers"], [6, "base_ulr", "base_url"], [7, "level", "twice"]]) {
        assert.match(r.stderr, new RegExp(`gateway\\.yaml:${line}[^\\n]*${unknown}[^\\n]*${near.replace(".", "\\.")}`), r.stderr);
    }
});

test("a file that is not there, not YAML, or asks for a variable that is not set", async (t) => {
    const o = env(t);
    assert.equal((await runGateway(["--config", path.join(o.cwd, "none.yaml")], o)).code, 1);
    for (const [text, why] of [["a: [", /:1|:2/], ['log: {level: "${NOT_SET_ANYWHERE}"}', /NOT_SET_ANYWHERE/], ["- list", /map/], ["a: &x {}\nb: *y", /alias/], [`${"[".repeat(100)}`, /deep|:1/]]) {
        const file = path.join(o.cwd, "gateway.yaml");
        writeFileSync(file, text);
        const r = await runGateway(["check", "--config", file], o);
        assert.equal(r.code, 1, text);
        assert.match(r.stderr, why, text);
    }
});

test("check prints the effective configuration with its origins and never a secret", async (t) => {
    const secrets = { OPENAI_API_KEY: `sk-proj-${"A1b2C3d4".repeat(6)}`, ADMIN_API_KEY: "admin-secret-0123456789abcdefghij", HTTPS_PROXY: "http://user:proxypassword@127.0.0.1:9" };
    const o = env(t, { ...secrets, CACHE_TTL: "60" });
    for (const args of [["check"], ["check", "--json"]]) {
        const r = await runGateway(args, o);
        assert.equal(r.code, 0, r.stderr);
        const all = r.stdout + r.stderr;
        for (const secret of ["A1b2C3d4A1b2", "admin-secret", "proxypassword"]) assert.ok(!all.includes(secret), secret);
        assert.match(all, /CACHE_TTL/);
        assert.match(all, /60/);
        if (args[1]) JSON.parse(r.stdout);
    }
});

test("--help stands on every subcommand, and a wrong one names the nearest", async (t) => {
    const o = env(t);
    const verbs = ["", "serve", "check", "migrate", "version", "tenant", "tenant create", "tenant list", "key", "key create", "key revoke", "usage", "prices"];
    for (const verb of verbs) {
        const r = await runGateway([...verb.split(" ").filter(Boolean), "--help"], o);
        assert.equal(r.code, 0, verb);
        assert.match(r.stdout, /usage/i, verb);
        assert.ok(r.stdout.includes(verb), verb);
        assert.equal(r.stderr, "", verb);
    }
    for (const [args, near] of [[["chekc"], "check"], [["tenant", "creat"], "create"], [["check", "--jsn"], "--json"], [["serve", "--prot", "1"], "--port"]]) {
        const r = await runGateway(args, o);
        assert.equal(r.code, 2, args.join(" "));
        assert.ok(r.stderr.includes(near), r.stderr);
    }
    const version = await runGateway(["version"], o);
    assert.match(version.stdout, /^llm-gateway \d+\.\d+\.\d+/);
});
