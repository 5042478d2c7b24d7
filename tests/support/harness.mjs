// Starts and drives the binaries for the behaviour tests: provider-sim as the provider, llm-gateway in front of it.
//
// Every helper that takes a test context `t` (or anything with after(fn)) cleans up behind it, and shows the logs of what
// it started when the test failed. Nothing here sleeps to be safe: conditions are awaited with eventually().
import { spawn, execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
export const fixtures = path.join(root, "tests/wire");
export const gatewayBinary = process.env.LLM_GATEWAY_BIN ?? path.join(root, "build/llm-gateway");
export const simBinary = process.env.PROVIDER_SIM_BIN ?? path.join(root, "build/provider-sim");
export const adminKey = "test-admin-key-0123456789abcdef0123456789abcdef";

const WAIT_MS = Number(process.env.HARNESS_WAIT_MS ?? 20000); // sanitizer builds are slow to start
const LOG_MAX_BYTES = 1 << 20;
const children = new Set();

process.on("exit", () => {
    for (const child of children) child.kill("SIGKILL"); // by the handles of our own children only
});

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Calls probe until it returns something truthy and returns that; an exception counts as not yet. */
export async function eventually(probe, what = "the condition", timeoutMs = WAIT_MS) {
    const end = Date.now() + timeoutMs;
    let last;
    for (let wait = 2; ; wait = Math.min(wait * 2, 50)) {
        try {
            const value = await probe();
            if (value) return value;
            last = undefined;
        } catch (error) {
            last = error;
        }
        if (Date.now() > end) throw new Error(`${what} did not come about in ${timeoutMs} ms`, { cause: last });
        await pause(wait);
    }
}

/** A port that was free a moment ago. */
export async function freePort() {
    const server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address();
    server.close();
    await once(server, "close");
    return port;
}

/** A directory of its own, removed after the test. */
export function tempDir(t) {
    const dir = mkdtempSync(path.join(os.tmpdir(), "llm-gateway-test-"));
    t?.after(() => rmSync(dir, { recursive: true, force: true }));
    return dir;
}

/** Cleans up for a whole describe block: after(fn) as a test context has it, end() runs them, the last first. */
export function scope() {
    const cleanups = [];
    return {
        after: (fn) => cleanups.push(fn),
        async end() {
            while (cleanups.length > 0) await cleanups.pop()();
        },
    };
}

/** A child process with its output kept. */
class Child {
    constructor(t, name, file, args, options) {
        this.name = name;
        this.output = "";
        this.process = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
        children.add(this.process);
        const keep = (data) => {
            this.output = (this.output + data).slice(-LOG_MAX_BYTES);
        };
        this.process.stdout.setEncoding("utf8").on("data", keep);
        this.process.stderr.setEncoding("utf8").on("data", keep);
        this.exited = new Promise((resolve) => {
            this.process.on("error", (error) => resolve({ code: null, signal: null, error }));
            this.process.on("close", (code, signal) => resolve({ code, signal }));
        });
        this.exited.then((how) => {
            this.how = how;
            children.delete(this.process);
        });
        t?.after(async () => {
            await this.stop("SIGKILL");
            if (t.passed === false || process.env.HARNESS_LOGS) console.error(`--- ${name} ---\n${this.output}`);
        });
    }

    get pid() {
        return this.process.pid;
    }

    /** Sends a signal and waits for the end; returns {code, signal}. */
    async stop(signal = "SIGTERM", timeoutMs = WAIT_MS) {
        if (!this.how) this.process.kill(signal);
        const late = setTimeout(() => this.process.kill("SIGKILL"), timeoutMs);
        const how = await this.exited;
        clearTimeout(late);
        return how;
    }

    failIfEnded() {
        if (this.how) {
            throw Object.assign(new Error(`${this.name} ended: ${JSON.stringify(this.how)}\n${this.output}`), { ended: true });
        }
    }
}

async function ready(child, probe) {
    const end = Date.now() + WAIT_MS;
    for (;;) {
        child.failIfEnded();
        try {
            if (await probe()) return;
        } catch {
            // not listening yet
        }
        if (Date.now() > end) throw new Error(`${child.name} is not ready after ${WAIT_MS} ms\n${child.output}`);
        await pause(5);
    }
}

/** The provider simulator. options: args, env, control = true, fixtures = tests/wire, tls = {cert, key}, port. */
export async function startSim(t, options = {}) {
    const args = ["--port", String(options.port ?? 0), "--die-with-parent", "--fixtures", options.fixtures ?? fixtures];
    if (options.control ?? true) args.push("--control");
    if (options.tls) args.push("--tls", options.tls.cert, options.tls.key);
    args.push(...(options.args ?? []));
    const child = new Child(t, "provider-sim", simBinary, args, { env: { ...process.env, ...options.env } });
    await ready(child, () => /listening on \S+\/v1\n/.test(child.output));
    const base = child.output.match(/listening on (\S+)\n/)[1];
    const { origin, port } = new URL(base);
    const control = async (method, where, body) => {
        const r = await fetch(origin + where, { method, body: body && JSON.stringify(body) });
        const answer = await r.json();
        if (!r.ok) throw new Error(`sim: ${where}: ${JSON.stringify(answer)}`);
        return answer;
    };
    return {
        child,
        port: Number(port),
        origin,
        base, // the base URL with /v1
        /** Appends behaviours, used in order; see sim/control.h and `provider-sim --help`. */
        script: (...entries) => control("POST", "/_sim/script", entries.flat()),
        reset: () => control("POST", "/_sim/reset"),
        stats: () => control("GET", "/_sim/stats"),
        /** What was received: [{seq, connection, method, path, headers, body, bytes, client_gone, answered, ...}]. */
        async requests(since = 0) {
            const { requests } = await control("GET", `/_sim/requests?since=${since}`);
            return requests.map(unpackRequest);
        },
        stop: (signal) => child.stop(signal),
    };
}

function unpackRequest(record) {
    const bytes = (name) => (record[name] !== undefined ? Buffer.from(record[name]) : Buffer.from(record[`${name}_base64`] ?? "", "base64"));
    const text = (name) => bytes(name).toString("utf8");
    const [line, ...lines] = text("head").split("\r\n");
    const [method, target] = line.split(" ");
    const headers = {};
    for (const header of lines) {
        const colon = header.indexOf(":");
        const name = header.slice(0, colon).toLowerCase();
        const value = header.slice(colon + 1).trim();
        headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
    }
    const body = text("body");
    let json;
    try {
        json = JSON.parse(body);
    } catch {
        // not JSON: body has it as it came
    }
    return { ...record, method, target, path: target.split("?")[0], headers, head: text("head"), body, bytes: bytes("body"), json };
}

/**
 * The gateway in a fresh data directory.
 * options: sim (its base becomes LOCAL_BASE_URL), env, config (text of the YAML file), args, dataDir, port, workers = 1.
 */
export async function startGateway(t, options = {}) {
    const dataDir = options.dataDir ?? tempDir(t);
    const env = {
        PATH: process.env.PATH,
        HOST: "127.0.0.1",
        PORT: String(options.port ?? 0),
        WORKERS: String(options.workers ?? 1),
        DATA_DIR: dataDir,
        ADMIN_API_KEY: adminKey,
        DRAIN_DELAY: "0", // SIGTERM need not wait for a load balancer
        ...(options.sim ? { LOCAL_BASE_URL: options.sim.base } : {}),
        ...Object.fromEntries(Object.entries(process.env).filter(([name]) => /^(ASAN|UBSAN|TSAN|LSAN|LLVM|GCOV)_/.test(name))),
        ...options.env,
    };
    const args = [...(options.args ?? [])];
    if (options.config !== undefined) {
        const file = path.join(options.configDir ?? tempDir(t), "gateway.yaml");
        writeFileSync(file, options.config);
        args.push("--config", file);
        options.configFile = file;
    }
    // The working directory is the data directory's, so that no .env of the checkout is read.
    const child = new Child(t, "llm-gateway", gatewayBinary, args, { env, cwd: dataDir });
    // Its own word for where it listens: a port chosen here could be another test's gateway, which would answer.
    const said = /"llm-gateway listens on \S+?:(\d+) /;
    await ready(child, () => said.test(child.output));
    const port = Number(child.output.match(said)[1]);
    env.PORT = String(port);
    const origin = `http://127.0.0.1:${port}`;
    await ready(child, async () => (await fetch(`${origin}/health`)).status === 200);
    return gatewayHandle(t, { child, port, origin, dataDir, env, options });
}

function gatewayHandle(t, { child, port, origin, dataDir, env, options }) {
    const admin = async (method, where, body) => {
        const r = await fetch(`${origin}/api/v1/admin/${where}`, {
            method,
            headers: { authorization: `Bearer ${adminKey}`, "content-type": "application/json" },
            body: body === undefined ? undefined : JSON.stringify(body),
        });
        const text = await r.text();
        return { status: r.status, headers: r.headers, text, json: text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : undefined };
    };
    return {
        child,
        port,
        origin,
        base: `${origin}/v1`,
        dataDir,
        env,
        configFile: options.configFile,
        admin,
        /** A new tenant; its answer with tenant_id and api_key. */
        async createTenant(fields = {}) {
            const r = await admin("POST", "tenants", { name: `tenant-${process.hrtime.bigint()}`, ...fields });
            if (r.status !== 201) throw new Error(`no tenant: ${r.status} ${r.text}`);
            return r.json;
        },
        /** One request with a tenant's key. */
        request: (key, where, body, init = {}) =>
            fetch(origin + where, {
                method: body === undefined ? "GET" : "POST",
                ...init,
                headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...init.headers },
                body: body === undefined || typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
            }),
        /** The value of a metric, summed over the series whose labels contain all of labels. */
        metric: async (name, labels = {}) => sumMetric(await (await fetch(`${origin}/metrics`)).text(), name, labels),
        sql: (query) => sql(dataDir, query),
        /** The usage row of an answer (or of a request id), as soon as it is in the database. */
        row(of) {
            const id = typeof of === "string" ? of : of.headers.get("x-request-id");
            return eventually(async () => (await sql(dataDir, `SELECT * FROM requests WHERE id = '${id}'`))[0], `the usage row of ${id}`);
        },
        /** Usage rows that fulfil an SQL condition, oldest first, once there are at least count of them. */
        rows: (where, count = 1) =>
            eventually(async () => {
                const rows = await sql(dataDir, `SELECT * FROM requests WHERE ${where} ORDER BY created_at, seq`);
                return rows.length >= count && rows;
            }, `${count} usage rows with ${where}`),
        logs: () => child.output.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : [])),
        stop: (signal, timeoutMs) => child.stop(signal, timeoutMs),
        kill: () => child.stop("SIGKILL"),
        /** The same data directory, port and configuration once more (after stop or kill). */
        again: (more = {}) => startGateway(t, { ...options, dataDir, port, ...more }),
    };
}

/** What makes the simulator the provider of that name; the model's name then says which of them is asked. */
export const providerEnv = {
    local: (sim) => ({ LOCAL_BASE_URL: sim.base }),
    openai: (sim) => ({ OPENAI_API_KEY: "sk-provider", OPENAI_UPSTREAM_URL: sim.base }),
    anthropic: (sim) => ({ ANTHROPIC_API_KEY: "sk-ant-provider", ANTHROPIC_UPSTREAM_URL: sim.origin }),
    gemini: (sim) => ({ GEMINI_API_KEY: "gemini-provider", GEMINI_UPSTREAM_URL: sim.origin }),
};

/**
 * A simulator, a gateway in front of it and a tenant: {sim, gateway, tenant, key, post, chat}.
 * options: those of startGateway; tenant (its fields), sim (options of startSim), config (also a function of the
 * simulator), providers: names in providerEnv (local; or none with a config), priced: the same as providers ["openai"].
 */
export async function startWorld(t, { tenant: fields, sim: simOptions, ...options } = {}) {
    const sim = await startSim(t, simOptions);
    const { priced, providers = priced ? ["openai"] : options.config !== undefined ? [] : ["local"], env, ...rest } = options;
    const gateway = await startGateway(t, {
        ...rest,
        ...(typeof rest.config === "function" ? { config: rest.config(sim) } : {}),
        env: { ...Object.assign({}, ...providers.map((name) => providerEnv[name](sim))), ...env },
    });
    const tenant = await gateway.createTenant({ rate_limit: 1000000, ...fields });
    const key = tenant.api_key;
    const post = (where, body, init) => gateway.request(key, where, body, init);
    return {
        sim,
        gateway,
        tenant,
        key,
        post,
        /** A chat completion of OpenAI's dialect; content may begin with "sim:" and directives. */
        chat: (content, more = {}, init = {}) =>
            post("/v1/chat/completions", { model: "gpt-4o-mini", messages: [{ role: "user", content }], ...more }, init),
        /** The same in the gateway's own dialect. */
        own: (content, more = {}, init = {}) =>
            post("/api/v1/completions", { model: "gpt-4o-mini", messages: [{ role: "user", content }], ...more }, init),
    };
}

export function sumMetric(text, name, labels = {}) {
    let sum;
    for (const line of text.split("\n")) {
        const m = line.match(/^([a-zA-Z_:][\w:]*)(\{.*\})?\s+(\S+)/);
        if (!m || m[1] !== name) continue;
        if (Object.entries(labels).every(([k, v]) => (m[2] ?? "").includes(`${k}="${v}"`))) sum = (sum ?? 0) + Number(m[3]);
    }
    return sum;
}

/** Runs the binary with arguments (a subcommand) to its end; returns {code, stdout, stderr}. */
export async function runGateway(args, { env = {}, cwd, input } = {}) {
    const child = spawn(gatewayBinary, args, { env: { PATH: process.env.PATH, ...env }, cwd, stdio: ["pipe", "pipe", "pipe"] });
    children.add(child);
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (d) => (stdout += d));
    child.stderr.setEncoding("utf8").on("data", (d) => (stderr += d));
    child.stdin.on("error", () => {}).end(input ?? "");
    const [code, signal] = await once(child, "close");
    children.delete(child);
    return { code, signal, stdout, stderr };
}

/** Rows of a query on the database file of a data directory (or on a file). */
export async function sql(where, query) {
    let file = where;
    if (!/\.(db|sqlite3?)$/.test(where)) {
        const found = readdirSync(where).filter((name) => /\.(db|sqlite3?)$/.test(name));
        if (found.length === 0) throw new Error(`no database in ${where}`);
        file = path.join(where, found[0]);
    }
    const { stdout } = await promisify(execFile)("sqlite3", ["-json", "-cmd", ".timeout 5000", file, query], { maxBuffer: 64 << 20 });
    return stdout.trim() === "" ? [] : JSON.parse(stdout);
}

/** A TCP client that sends what it is told and keeps what it gets. */
export class RawClient {
    static async connect(port, host = "127.0.0.1") {
        const client = new RawClient();
        client.socket = net.connect({ port, host, noDelay: true, allowHalfOpen: true });
        client.received = Buffer.alloc(0);
        client.ended = false; // FIN or RST has come
        client.socket.on("data", (data) => (client.received = Buffer.concat([client.received, data])));
        client.socket.on("end", () => (client.ended = true));
        client.socket.on("error", (error) => {
            client.error = error;
            client.ended = true;
        });
        client.socket.on("close", () => (client.ended = true));
        await once(client.socket, "connect");
        return client;
    }

    /** A string is sent as bytes (latin1), so that "\xff" is one byte. Resolves when the kernel has it. */
    send(data) {
        const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data;
        return new Promise((resolve) => this.socket.write(bytes, () => resolve()));
    }

    get text() {
        return this.received.toString("latin1");
    }

    /** Until the received text satisfies probe, or the connection ended. */
    async until(probe, what = "the answer", timeoutMs = WAIT_MS) {
        await eventually(() => this.ended || probe(this.text), what, timeoutMs);
        return this.text;
    }

    /** Everything up to the end of the connection. */
    async readAll(timeoutMs = WAIT_MS) {
        await eventually(() => this.ended, "the end of the connection", timeoutMs);
        return this.text;
    }

    /** The next whole answer, taken out of received: {status, headers, head, body}. Not for HEAD requests. */
    async response(timeoutMs = WAIT_MS) {
        let got;
        await eventually(() => (got = parseResponse(this.received, this.ended)) || this.ended, "an answer", timeoutMs);
        got ??= parseResponse(this.received, true);
        if (!got) throw new Error(`no answer: ${JSON.stringify(this.text)} ${this.error ?? ""}`);
        this.received = this.received.subarray(got.used);
        return got;
    }

    /** FIN from our side; the other may go on sending. */
    end() {
        this.socket.end();
    }

    /** RST. */
    reset() {
        this.socket.resetAndDestroy();
    }

    close() {
        this.socket.destroy();
    }
}

/** Sends the pieces over one connection and returns all that came until it ended. */
export async function exchange(port, pieces, timeoutMs = WAIT_MS) {
    const client = await RawClient.connect(port);
    try {
        for (const piece of [pieces].flat()) await client.send(piece);
        return await client.readAll(timeoutMs);
    } finally {
        client.close();
    }
}

/** One HTTP/1.1 answer at the start of bytes, or undefined while it is not whole. */
export function parseResponse(bytes, ended) {
    const headEnd = bytes.indexOf("\r\n\r\n");
    if (headEnd < 0) return undefined;
    const head = bytes.subarray(0, headEnd).toString("latin1");
    const [line, ...lines] = head.split("\r\n");
    const status = Number(line.split(" ")[1]);
    const headers = {};
    for (const h of lines) headers[h.slice(0, h.indexOf(":")).toLowerCase()] = h.slice(h.indexOf(":") + 1).trim();
    const from = headEnd + 4;
    const done = (body, used) => ({ status, headers, head, body, used });
    if (status < 200 || status === 204 || status === 304) return done(Buffer.alloc(0), from);
    if (/chunked/i.test(headers["transfer-encoding"] ?? "")) {
        const parts = [];
        for (let at = from; ; ) {
            const eol = bytes.indexOf("\r\n", at);
            if (eol < 0) return undefined;
            const size = Number.parseInt(bytes.subarray(at, eol).toString("latin1"), 16);
            if (!(size >= 0)) throw new Error(`bad chunk size in ${JSON.stringify(bytes.subarray(at, eol).toString("latin1"))}`);
            if (bytes.length < eol + 2 + size + 2) return undefined;
            if (size === 0) {
                const end = bytes.indexOf("\r\n\r\n", eol);
                return end < 0 ? undefined : done(Buffer.concat(parts), end + 4);
            }
            parts.push(bytes.subarray(eol + 2, eol + 2 + size));
            at = eol + 2 + size + 2;
        }
    }
    const length = headers["content-length"];
    if (length !== undefined) {
        const end = from + Number(length);
        return bytes.length >= end ? done(bytes.subarray(from, end), end) : undefined;
    }
    return ended ? done(bytes.subarray(from), bytes.length) : undefined;
}

/** The events of a fetch answer (or of a whole text): yields {event, data, comment}. */
export async function* sse(source) {
    let rest = "";
    const text = typeof source === "string" ? [source] : source.body.pipeThrough(new TextDecoderStream());
    for await (const piece of text) {
        rest += piece;
        for (;;) {
            const end = rest.match(/\r?\n\r?\n/);
            if (!end) break;
            const block = rest.slice(0, end.index);
            rest = rest.slice(end.index + end[0].length);
            const lines = block.split(/\r?\n/);
            const field = (name) => lines.filter((l) => l.startsWith(`${name}:`)).map((l) => l.slice(name.length + 1).replace(/^ /, ""));
            yield { event: field("event")[0], data: field("data").join("\n"), comment: field("")[0], raw: block };
        }
    }
    if (rest.trim() !== "") yield { event: undefined, data: undefined, raw: rest, cut: true };
}

/** A certificate for localhost and 127.0.0.1 that is its own authority: {cert, key}. */
export async function certificate(dir, name = "localhost") {
    const key = path.join(dir, `${name}.key`);
    const cert = path.join(dir, `${name}.pem`);
    if (!existsSync(cert)) {
        await promisify(execFile)("openssl", [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", `/CN=${name}`,
            "-addext", `subjectAltName=DNS:${name},IP:127.0.0.1`, "-keyout", key, "-out", cert,
        ]);
    }
    return { cert, key };
}

/** A recorded exchange of tests/wire: {request, response, body}. body is the answer's bytes as the simulator sends them. */
export function fixture(name) {
    const file = path.join(fixtures, `${name}.json`);
    const recorded = JSON.parse(readFileSync(file, "utf8"));
    const bodyFile = recorded.response.body_file;
    const body = bodyFile ? readFileSync(path.join(path.dirname(file), bodyFile)) : undefined;
    return { ...recorded, body };
}

/** The base64 of little-endian floats, as embeddings come. */
export function floatsOf(base64) {
    const bytes = Buffer.from(base64, "base64");
    return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(i * 4));
}
