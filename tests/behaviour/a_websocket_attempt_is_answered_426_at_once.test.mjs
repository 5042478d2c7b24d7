// Codex asks for a WebSocket before it posts: a 426 makes it fall back at once, where a 405 costs it five tries.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { describe, test, before, after } from "node:test";

import { scope, startWorld } from "../support/harness.mjs";

describe("a WebSocket attempt is answered 426 at once", () => {
    const world = scope();
    let gateway, sim, post, agent;
    before(async () => {
        ({ gateway, sim, post } = await startWorld(world));
        agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    });
    after(async () => {
        agent.destroy();
        await world.end();
    });

    async function ask(path, headers, method = "GET") {
        const request = http.request(gateway.origin + path, { method, agent, headers });
        request.end();
        const [response] = await once(request, "response");
        let body = "";
        for await (const piece of response.setEncoding("utf8")) body += piece;
        return { status: response.statusCode, reason: response.statusMessage, headers: response.headers, json: JSON.parse(body), socket: request.socket, reused: request.reusedSocket };
    }
    const upgrade = { connection: "Upgrade", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" };

    for (const path of ["/v1/responses", "/responses", "/v1/responses?x=1"]) {
        test(`${path}, without a key`, async () => {
            const r = await ask(path, { ...upgrade, upgrade: "websocket" });
            assert.equal(r.status, 426);
            assert.equal(r.reason, "Upgrade Required");
            assert.equal(r.headers.upgrade, "HTTP/1.1"); // RFC 9110, section 15.5.22, and 7.8 for Connection
            assert.equal(r.headers.connection, "upgrade");
            assert.equal(r.headers.allow, "POST");
            assert.match(r.headers["content-type"], /^application\/json/);
            assert.equal(r.json.error.code, "websocket_not_supported");
            assert.equal(r.json.error.type, "invalid_request_error");
            assert.match(r.json.error.message, /POST/);
        });
    }

    test("in any spelling, and beside other protocols", async () => {
        for (const protocols of ["WebSocket", "h2c, websocket", "websocket/13"]) {
            assert.equal((await ask("/v1/responses", { ...upgrade, upgrade: protocols })).status, 426, protocols);
        }
    });

    test("the connection is kept, and what is posted on it is answered", async () => {
        const first = await ask("/v1/responses", { ...upgrade, upgrade: "websocket" });
        const second = await ask("/v1/responses", {});
        assert.ok(second.reused && second.socket === first.socket);
        const answer = await post("/v1/responses", { model: "gpt-4o-mini", input: "hello", stream: true });
        assert.equal(answer.status, 200);
        assert.match(await answer.text(), /event: response.completed/);
    });

    test("other GETs are 405 as before, and nobody was asked", async () => {
        const before = (await sim.requests()).length;
        assert.equal((await ask("/v1/responses", {})).status, 405);
        const h2c = await ask("/v1/responses", { ...upgrade, upgrade: "h2c" });
        assert.deepEqual([h2c.status, h2c.headers.upgrade], [405, undefined]);
        assert.equal((await sim.requests()).length, before);
    });
});
