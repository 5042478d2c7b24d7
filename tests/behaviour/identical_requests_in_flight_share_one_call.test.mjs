import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { RawClient, eventually, scope, sse, startWorld } from "../support/harness.mjs";

describe("identical requests in flight share one call", () => {
    const world = scope();
    let sim, gateway, key, chat, own;
    before(async () => {
        ({ sim, gateway, key, chat, own } = await startWorld(world, { env: { MAX_ATTEMPTS: "1" } }));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    const use = (r) => r.headers.get("x-llm-gateway-cache");
    const reached = (n) => eventually(async () => (await sim.requests()).length === n, `${n} requests at the provider`);

    test("twenty at once, one upstream call", async () => {
        const content = "sim:body_delay=1000ms;tokens=3";
        const first = chat(content, { temperature: 0 });
        await reached(1);
        const answers = await Promise.all([first, ...Array.from({ length: 19 }, () => chat(content, { temperature: 0 }))]);
        const bodies = await Promise.all(answers.map((a) => a.text()));
        assert.equal(new Set(bodies).size, 1);
        assert.equal(answers.filter((a) => use(a) === "miss").length, 1);
        // On a busy machine a late one may find the answer in the cache already.
        assert.equal(answers.filter((a) => ["coalesced", "hit"].includes(use(a))).length, 19);
        assert.ok(answers.some((a) => use(a) === "coalesced"));
        assert.equal((await sim.requests()).length, 1);
    });

    test("a stream is followed live, from its beginning", async () => {
        const content = "sim:tokens=6;stall_at=c4;stall_for=400ms";
        const leader = sse(await chat(content, { temperature: 0, stream: true }));
        await leader.next();
        const answer = await chat(content, { temperature: 0, stream: true });
        assert.equal(use(answer), "coalesced");
        const follower = sse(answer);
        const early = [(await follower.next()).value.data, (await follower.next()).value.data];
        assert.equal((await sim.requests())[0].answered, false, "the provider is not done yet");
        const rest = [];
        for await (const e of follower) rest.push(e.data);
        assert.equal(rest.at(-1), "[DONE]");
        assert.match([...early, ...rest].join(""), /aaaaa .*fffff/s);
        assert.equal((await sim.requests()).length, 1);
        for await (const _ of leader);
    });

    test("different dialects and forms share too, and each gets its own", async () => {
        const content = "sim:body_delay=300ms;content=shared";
        const more = { temperature: 0, max_tokens: 9 };
        const first = chat(content, more);
        await reached(1);
        const [a, b, c] = await Promise.all([first, own(content, more), chat(content, { ...more, stream: true })]);
        assert.equal((await a.json()).choices[0].message.content, "shared");
        assert.equal((await b.json()).response.content, "shared");
        assert.match(await c.text(), /shared.*\[DONE\]/s);
        assert.equal((await sim.requests()).length, 1);
    });

    test("a failure is everybody's, and nobody waits for ever", async () => {
        const content = "sim:delay=300ms;status=400";
        const first = chat(content, { temperature: 0 });
        await reached(1);
        const answers = await Promise.all([first, chat(content, { temperature: 0 }), chat(content, { temperature: 0 })]);
        assert.deepEqual(answers.map((a) => a.status), [400, 400, 400]);
        const rows = await Promise.all(answers.map((a) => gateway.row(a)));
        assert.ok(rows.every((r) => r.status === "error" && r.cost_nusd === 0));
    });

    test("when the first client leaves, the others still get their answer", async () => {
        for (const stream of [false, true]) {
            await sim.reset();
            const content = `sim:body_delay=300ms;tokens=${stream ? 4 : 5}`;
            const body = JSON.stringify({ model: "gpt-4o-mini", temperature: 0, stream, messages: [{ role: "user", content }] });
            const raw = await RawClient.connect(gateway.port);
            await raw.send(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
            await reached(1);
            const following = chat(content, { temperature: 0, stream });
            await eventually(async () => (await gateway.admin("GET", "cache")).json.misses >= 0, "the gateway to answer"); // it has read the follower by then
            raw.close();
            const answer = await following;
            assert.equal(answer.status, 200);
            assert.match(await answer.text(), stream ? /ddddd.*\[DONE\]/s : /eeeee/);
            assert.equal((await sim.requests()).length <= 2, true);
        }
    });

    test("what is not cacheable is not shared", async () => {
        const content = "sim:body_delay=200ms";
        const answers = await Promise.all([chat(content), chat(content)]);
        assert.deepEqual(answers.map(use), ["bypass", "bypass"]);
        assert.equal((await sim.requests()).length, 2);
    });
});
