// What the system says about a running process, and what the tests of bad input share.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { RawClient, gatewayBinary, startGateway, startSim } from "./harness.mjs";

export const isSanitized = /asan|tsan|ubsan/.test(gatewayBinary); // their memory says nothing
export const MiB = 1 << 20;

/** A field of /proc/<pid>/status that is given in kB, in bytes. */
export function memory(pid, field) {
    const line = readFileSync(`/proc/${pid}/status`, "utf8").match(new RegExp(`^${field}:\\s+(\\d+) kB`, "m"));
    return Number(line[1]) * 1024;
}

/** Notes what the process holds now; the function it returns fails when it ever held 64 MiB more. */
export function watchMemory(gateway) {
    const idle = memory(gateway.child.pid, "VmRSS");
    return (t) => {
        const grown = memory(gateway.child.pid, "VmHWM") - idle;
        t.diagnostic(`memory: ${(idle / MiB).toFixed(1)} MiB idle, at most ${(grown / MiB).toFixed(1)} MiB more`);
        if (!isSanitized) assert.ok(grown <= 64 * MiB, `the process grew by ${grown} bytes`);
    };
}

/** A simulator, a gateway that has answered once, a tenant's key, and the check of what the process holds from then on. */
export async function startWatched(t, options = {}) {
    const sim = await startSim(t);
    const gateway = await startGateway(t, { sim, ...options });
    const key = (await gateway.createTenant({ rate_limit: 1000000 })).api_key;
    const first = await gateway.request(key, "/v1/chat/completions", question());
    assert.equal(first.status, 200);
    return { sim, gateway, key, checkMemory: watchMemory(gateway) };
}

/** The gateway is the same process and answers. */
export async function assertAlive(gateway) {
    gateway.child.failIfEnded();
    const r = await fetch(`${gateway.origin}/health`);
    assert.equal(r.status, 200);
    assert.deepEqual(await r.json(), { status: "healthy", service: "llm-gateway" });
}

/** The text of an error body in whichever dialect; fails when it has none. */
export function errorText(body) {
    const parsed = JSON.parse(String(body));
    const text = parsed.error?.message ?? (typeof parsed.detail === "string" ? parsed.detail : parsed.detail?.[0]?.msg);
    assert.equal(typeof text, "string", `no message in ${body}`);
    assert.ok(text.length > 0, `no message in ${body}`);
    return text;
}

/** A request as bytes. */
export function rawRequest(key, body, { path = "/v1/chat/completions", headers = "" } = {}) {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return (
        `POST ${path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\n` +
        `${headers}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${Buffer.from(text, "utf8").toString("latin1")}`
    );
}

/** A client that never reuses anything and closes itself after the test. */
export async function connect(t, gateway) {
    const client = await RawClient.connect(gateway.port);
    t.after(() => client.close());
    return client;
}

export const question = (model = "m", more = {}) => ({ model, messages: [{ role: "user", content: "hello there" }], ...more });
