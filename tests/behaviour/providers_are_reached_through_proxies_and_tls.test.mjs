// HTTPS_PROXY and NO_PROXY are honoured; certificates are checked against the authorities given, name included.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, before, describe, test } from "node:test";

import { certificate, scope, startGateway, startSim, tempDir } from "../support/harness.mjs";
import { assertAlive, errorText, question } from "../support/process.mjs";

/** An HTTP proxy that only knows CONNECT; says what it was asked. */
async function startProxy(t, { password, refuse } = {}) {
    const asked = [];
    const sockets = new Set();
    const server = net.createServer((client) => {
        sockets.add(client);
        let head = "";
        client.on("error", () => {});
        client.on("data", function onHead(data) {
            head += data.toString("latin1");
            if (!head.includes("\r\n\r\n")) return;
            client.removeListener("data", onHead);
            asked.push(head);
            const [, host, port] = head.match(/^CONNECT ([^:]+):(\d+) HTTP\/1\.1\r\n/) ?? [];
            const wanted = password && `proxy-authorization: basic ${Buffer.from(password).toString("base64")}`.toLowerCase();
            if (!host || refuse || (wanted && !head.toLowerCase().includes(wanted))) {
                client.end(refuse ? "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" : "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
                return;
            }
            const upstream = net.connect(Number(port), "127.0.0.1", () => {
                client.write("HTTP/1.1 200 Connection established\r\n\r\n");
                client.pipe(upstream).pipe(client);
            });
            sockets.add(upstream);
            upstream.on("error", () => client.destroy());
        });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
        for (const socket of sockets) socket.destroy();
        server.close();
    });
    return { port: server.address().port, asked };
}

describe("providers are reached through proxies and TLS", () => {
    const world = scope();
    let cert;
    let other;
    let sim;
    let url;
    before(async () => {
        const dir = tempDir(world);
        cert = await certificate(dir);
        other = await certificate(dir, "other.example");
        sim = await startSim(world, { tls: cert });
        url = `https://localhost:${sim.port}/v1`;
    });
    after(() => world.end());

    const start = async (t, env, config) => {
        const gateway = await startGateway(t, { env: { MAX_ATTEMPTS: "1", ENABLE_PROMPT_CACHE: "false", DRAIN_DELAY: "0", ...env }, config });
        const { api_key: key } = await gateway.createTenant({ rate_limit: 1000 });
        return { gateway, ask: (more) => gateway.request(key, "/v1/chat/completions", question("m", more)) };
    };

    test("TLS with an authority of UPSTREAM_CA_FILE, whole and streamed, connections kept", async (t) => {
        const { ask } = await start(t, { LOCAL_BASE_URL: url, UPSTREAM_CA_FILE: cert.cert });
        for (let i = 0; i < 4; i++) {
            const r = await ask({ stream: i % 2 === 1 });
            assert.equal(r.status, 200, await r.clone().text());
            assert.match(await r.text(), i % 2 ? /\[DONE\]/ : /You said/);
        }
    });

    test("an authority given with the provider in the file", async (t) => {
        const { ask } = await start(t, {}, `providers:\n  local: {dialect: openai, base_url: "${url}", ca_file: "${cert.cert}"}\n`);
        assert.equal((await ask()).status, 200);
    });

    test("an unknown authority, another name and plain HTTP behind https are refused with the reason", async (t) => {
        const plain = await startSim(t);
        const misnamed = await startSim(t, { tls: other });
        for (const [what, env, why] of [
            ["unknown authority", { LOCAL_BASE_URL: url }, /certificate|self.signed|TLS/i],
            ["another authority", { LOCAL_BASE_URL: url, UPSTREAM_CA_FILE: other.cert }, /certificate|self.signed|TLS/i],
            ["another name", { LOCAL_BASE_URL: `https://localhost:${misnamed.port}/v1`, UPSTREAM_CA_FILE: other.cert }, /certificate|host|name|TLS/i],
            ["plain HTTP", { UPSTREAM_CONNECT_TIMEOUT: "500ms", LOCAL_BASE_URL: `https://localhost:${plain.port}/v1` }, /TLS/i],
            ["nobody there", { LOCAL_BASE_URL: "https://127.0.0.1:1/v1" }, /connect/i],
        ]) {
            const { gateway, ask } = await start(t, env);
            const r = await ask();
            const text = await r.text();
            assert.equal(r.status, what === "plain HTTP" ? 504 : 502, `${what}: ${text}`); // that one waits for a request line
            assert.match(errorText(text), why, what);
            await assertAlive(gateway);
            await gateway.stop();
        }
        assert.equal((await plain.stats()).requests, 0, "nothing was sent in the clear");
    });

    test("HTTPS_PROXY: a tunnel with the proxy's password, TLS inside; NO_PROXY goes around it", async (t) => {
        const proxy = await startProxy(t, { password: "user:secret" });
        const env = { LOCAL_BASE_URL: url, UPSTREAM_CA_FILE: cert.cert, HTTPS_PROXY: `http://user:secret@127.0.0.1:${proxy.port}` };
        const through = await start(t, env);
        for (let i = 0; i < 3; i++) assert.equal((await through.ask()).status, 200);
        assert.ok(proxy.asked.length >= 1 && proxy.asked.every((head) => head.startsWith(`CONNECT localhost:${sim.port} HTTP/1.1\r\n`)), proxy.asked.join());
        assert.ok(!proxy.asked.join().includes("hello there"));
        await through.gateway.stop();

        const before = proxy.asked.length;
        for (const list of ["localhost", "example.com, .localhost,localhost", "*"]) {
            const around = await start(t, { ...env, NO_PROXY: list });
            assert.equal((await around.ask()).status, 200);
            assert.equal(proxy.asked.length, before, list);
            await around.gateway.stop();
        }
        const lower = await start(t, { ...env, HTTPS_PROXY: undefined, https_proxy: env.HTTPS_PROXY });
        assert.equal((await lower.ask()).status, 200);
        assert.ok(proxy.asked.length > before, "https_proxy is the same");
    });

    test("a proxy that refuses is a 502 that says so, without its password", async (t) => {
        for (const options of [{ refuse: true }, { password: "user:other" }]) {
            const proxy = await startProxy(t, options);
            const { gateway, ask } = await start(t, { LOCAL_BASE_URL: url, UPSTREAM_CA_FILE: cert.cert, HTTPS_PROXY: `http://user:hunter2@127.0.0.1:${proxy.port}` });
            const r = await ask();
            const text = await r.text();
            assert.equal(r.status, 502, text);
            assert.match(errorText(text), /proxy|tunnel|403|407/i);
            assert.ok(!(text + gateway.child.output).includes("hunter2"));
            assert.equal(proxy.asked.length, 1);
        }
    });
});
