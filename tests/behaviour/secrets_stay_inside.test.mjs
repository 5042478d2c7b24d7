// Provider keys, tenant keys, the admin key and prompts are looked for where they must not be: logs, metrics, error bodies,
// headers, the data directory, the command line, a core.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { eventually, freePort, gatewayBinary, adminKey, scope, startGateway, startSim, tempDir } from "../support/harness.mjs";
import { isSanitized, question } from "../support/process.mjs";

const providerKey = "sk-proj-Pr0v1derSecret0123456789abcdefghijklmnopq";
const prompt = "the patient's name is Zanzibar Quetzalcoatl";
const answer = "Dear Xylophon Ypsilanti, yes";

function filesBelow(dir) {
    return readdirSync(dir, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? filesBelow(path.join(dir, e.name)) : e.isFile() ? [path.join(dir, e.name)] : []));
}

describe("secrets stay inside", () => {
    const world = scope();
    let sim;
    let gateway;
    let key;
    const shown = []; // every byte a client was given
    before(async () => {
        sim = await startSim(world);
        gateway = await startGateway(world, {
            env: { OPENAI_API_KEY: providerKey, OPENAI_UPSTREAM_URL: sim.base, LOG_LEVEL: "debug", MAX_ATTEMPTS: "2", DRAIN_DELAY: "0", UPSTREAM_IDLE_TIMEOUT: "300ms" },
        });
        key = (await gateway.createTenant({ rate_limit: 1000 })).api_key;
    });
    after(() => world.end());

    const ask = async (model, more = {}, where = "/v1/chat/completions", k = key) => {
        const r = await gateway.request(k, where, { ...question(model, more), messages: [{ role: "user", content: prompt }] }).catch(() => undefined);
        if (!r) return undefined;
        const text = await r.text().catch(() => "");
        if (r.status >= 400) shown.push(JSON.stringify([...r.headers]), text);
        return r.status;
    };
    const secrets = () => [["the provider's key", providerKey], ["the tenant's key", key], ["the admin key", adminKey], ["a prompt", "Quetzalcoatl"], ["an answer", "Ypsilanti"]];
    const assertNone = (text, where, except = []) => {
        for (const [name, secret] of secrets()) {
            if (!except.includes(name)) assert.ok(!text.includes(secret), `${name} is in ${where}: ${text.slice(Math.max(0, text.indexOf(secret) - 200), text.indexOf(secret) + 100)}`);
        }
    };

    test("after good requests, refused ones, failed ones, and a provider that repeats what it was sent", async (t) => {
        let cases = 0;
        const each = async (...args) => {
            const status = await ask(...args);
            assert.ok(status !== 404, `${args[0]} reaches the provider`);
            cases++;
        };
        await sim.script([
            { model: "gpt-4o", content: answer, times: 3 },
            { model: "echo", times: 0, status: 401, message: `Incorrect API key provided: ${providerKey}. You said: ${prompt}`, type: "invalid_request_error", code: "invalid_api_key" },
            { model: "echo5", times: 0, status: 500, message: `Internal error for key ${providerKey}`, type: "server_error" },
        ]);
        assert.equal(await ask("gpt-4o"), 200);
        assert.equal(await ask("gpt-4o", { stream: true }), 200);
        assert.equal(await ask("gpt-4o", {}, "/api/v1/completions"), 200);
        for (const model of ["echo", "echo5", "m;status=401", "m;status=403", "m;status=429", "m;status=500", "m;malformed=json", "m;malformed=head_garbage", "m;reset_at=10", "m;stall_at=50"]) {
            await each(`openai/${model}`);
            await each(`openai/${model}`, { stream: true });
            await each(`openai/${model}`, {}, "/api/v1/completions");
        }
        await each("gpt-4o", { max_tokens: -1 });
        await each("gpt-4o", { n: "x" }, "/api/v1/completions");
        for (const bad of [key.slice(0, -1), `${key}x`, key.slice(0, -1) + (key.endsWith("0") ? "1" : "0"), key.toLowerCase()]) {
            const r = await gateway.request(bad, "/v1/chat/completions", question());
            assert.equal(r.status, 401);
            shown.push(JSON.stringify([...r.headers]), await r.text());
            cases++;
        }
        const raw = await fetch(`${gateway.origin}/v1/models?key=${key}`);
        shown.push(await raw.text());
        const wrongAdmin = await fetch(`${gateway.origin}/api/v1/admin/tenants`, { headers: { authorization: `Bearer ${adminKey}x` } });
        assert.equal(wrongAdmin.status, 401);
        shown.push(await wrongAdmin.text());
        await eventually(async () => (await gateway.sql("SELECT count(*) AS n FROM requests"))[0].n >= 20, "rows");
        t.diagnostic(`${cases} failures provoked`);
    });

    test("not in what clients were told", () => {
        for (const text of shown) assertNone(text, "an error", ["a prompt"]); // a provider's 4xx may quote the client to itself
    });

    test("not in the logs, at level debug", () => assertNone(gateway.child.output, "the log"));

    test("not in /metrics, nor in what the admin API and the request's record show", async () => {
        for (const where of ["/metrics", "/health/ready", "/api/v1/openapi.json", "/docs"]) assertNone(await (await fetch(gateway.origin + where)).text(), where);
        const { json } = await gateway.admin("GET", "tenants");
        for (const where of ["tenants", "state", "audit", "cache", "prices", `tenants/${json.data[0].id ?? json.data[0].tenant_id}/keys`, `explain?key=${key}&model=gpt-4o`]) {
            const r = await gateway.admin("GET", where);
            assert.equal(r.status, 200, where);
            assertNone(r.text, where);
        }
        for (const row of await gateway.sql("SELECT id FROM requests")) {
            const r = await gateway.request(key, `/api/v1/requests/${row.id}`);
            assertNone(await r.text(), "the request's record", ["a prompt"]); // error_message has the provider's words
        }
    });

    test("not in any file of the data directory (but for an error that quotes its prompt), which only the owner can read", () => {
        const files = filesBelow(gateway.dataDir);
        assert.ok(files.some((f) => f.endsWith(".db")));
        for (const file of files) {
            assertNone(readFileSync(file, "latin1"), file, ["a prompt"]);
            assert.equal(statSync(file).mode & 0o077, 0, `${file} is for the owner alone`);
        }
    });

    test("not on the command line, and no core is written", () => {
        const proc = `/proc/${gateway.child.pid}`;
        assertNone(readFileSync(`${proc}/cmdline`, "latin1"), "the command line");
        assert.match(readFileSync(`${proc}/limits`, "utf8"), /Max core file size\s+0\s+0\s/);
    });

    test("keys are not in a dump that a debugger takes either", { skip: isSanitized || !existsSync("/usr/bin/gcore") }, (t) => {
        const dir = tempDir(t);
        try {
            execFileSync("gcore", ["-o", path.join(dir, "core"), String(gateway.child.pid)], { stdio: "pipe", timeout: 60000 });
        } catch (error) {
            t.skip(`no debugger may attach here: ${String(error.stderr).slice(-200)}`);
            return;
        }
        const dump = readFileSync(path.join(dir, `core.${gateway.child.pid}`));
        const found = [];
        for (let at = dump.indexOf(providerKey); at >= 0; at = dump.indexOf(providerKey, at + 1)) found.push(dump.subarray(Math.max(0, at - 16), at + 8).toString("latin1"));
        // The environment that the kernel copied to the stack is the one place we were given it in; nothing of ours is.
        assert.deepEqual(found.filter((context) => !context.includes("OPENAI_API_KEY=")), []);
    });

    test("an unprivileged process is not dumpable: its /proc files are root's, and SIGABRT leaves no core", { skip: process.getuid() !== 0 && "needs root to become somebody else" }, async (t) => {
        const dir = tempDir(t);
        const binary = path.join(dir, "llm-gateway");
        copyFileSync(gatewayBinary, binary);
        const data = path.join(dir, "data");
        mkdirSync(data);
        for (const p of [dir, data, binary]) chmodSync(p, 0o755);
        chownSync(data, 65534, 65534);
        const port = await freePort();
        const child = spawn(binary, [], { uid: 65534, gid: 65534, cwd: data, stdio: "ignore", env: { HOST: "127.0.0.1", PORT: String(port), DATA_DIR: data, ADMIN_API_KEY: adminKey } });
        t.after(() => child.kill("SIGKILL"));
        await eventually(async () => (await fetch(`http://127.0.0.1:${port}/health`)).status === 200, "the gateway as nobody");
        assert.equal(statSync(`/proc/${child.pid}/environ`).uid, 0, "dumpable: the files would be nobody's");
        const ended = new Promise((resolve) => child.on("exit", (code, signal) => resolve(signal)));
        child.kill("SIGABRT");
        assert.equal(await ended, "SIGABRT");
        assert.deepEqual(readdirSync(data).filter((name) => /core/.test(name)), []);
    });

    test("the data directory's files were looked through after a clean stop too", async () => {
        await gateway.stop();
        for (const file of filesBelow(gateway.dataDir)) assertNone(readFileSync(file, "latin1"), file, ["a prompt"]);
    });
});
