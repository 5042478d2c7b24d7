import assert from "node:assert/strict";
import { test } from "node:test";

import { RawClient, eventually, sse, startWorld } from "../support/harness.mjs";

const misses = (gateway, n) => eventually(async () => (await gateway.admin("GET", "cache")).json.misses >= n, `${n} misses`);
const rest = async (events) => {
    const data = [];
    for await (const e of events) data.push(e.data);
    return data.join("\n");
};

test("a stream that is cut is billed to its leader alone", async (t) => {
    const { gateway, chat } = await startWorld(t, { priced: true, env: { MAX_ATTEMPTS: "1" } });
    const content = "sim:tokens=8;rate=100ms;reset_at=c6";
    const leading = await chat(content, { temperature: 0, stream: true });
    const leader = sse(leading);
    await leader.next();
    const following = await chat(content, { temperature: 0, stream: true });
    assert.equal(following.headers.get("x-llm-gateway-cache"), "coalesced");
    const [a, b] = await Promise.all([rest(leader), rest(sse(following))]);
    assert.match(a, /error/);
    assert.match(b, /error/);
    const [first, second] = [await gateway.row(leading), await gateway.row(following)];
    assert.deepEqual([first.status, second.status], ["upstream_cut", "upstream_cut"]);
    assert.ok(first.cost_nusd > 0);
    assert.deepEqual([second.cost_nusd, second.total_tokens, second.provider], [0, 0, ""]);
});

test("the drain's end tells leader and followers, in whatever order they came", async (t) => {
    const { sim, gateway, key, chat } = await startWorld(t, { env: { MAX_ATTEMPTS: "1", DRAIN: "300ms" } });
    const content = "sim:delay=60s";
    const body = JSON.stringify({ model: "gpt-4o-mini", messages: [{ role: "user", content }], temperature: 0 });
    const early = await RawClient.connect(gateway.port);
    await early.send(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\nexpect: 100-continue\r\ncontent-length: ${body.length}\r\n\r\n`);
    await early.until((text) => text.includes("100 Continue"));
    const leading = chat(content, { temperature: 0 });
    await eventually(async () => (await sim.requests()).length === 1, "the leader at the provider");
    await early.send(body);
    await misses(gateway, 2);
    const stopped = gateway.stop("SIGTERM");
    assert.equal((await leading).status, 503);
    assert.match(await early.readAll(), /HTTP\/1\.1 503 /);
    assert.deepEqual(await stopped, { code: 0, signal: null });
});

test("a client that leaves during a back-off leaves the call to who follows", async (t) => {
    const { sim, gateway, key, chat } = await startWorld(t, { env: { MAX_ATTEMPTS: "8" } });
    const content = "sim:content=late";
    const body = JSON.stringify({ model: "gpt-4o-mini", messages: [{ role: "user", content }], temperature: 0 });
    await sim.script(Array.from({ length: 4 }, () => ({ status: 500 })));
    const raw = await RawClient.connect(gateway.port);
    await raw.send(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    await eventually(async () => (await sim.requests()).length === 1, "the leader at the provider");
    const following = chat(content, { temperature: 0 });
    await misses(gateway, 2);
    raw.reset();
    const answer = await following;
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /late/);
});
