import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { RawClient, eventually, scope, startWorld } from "../support/harness.mjs";

describe("failed and truncated answers are not cached", () => {
    const world = scope();
    let sim, gateway, key, chat;
    before(async () => {
        ({ sim, gateway, key, chat } = await startWorld(world, { env: { MAX_ATTEMPTS: "1" } }));
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    let number = 0;
    for (const stream of [false, true]) {
        const cuts = stream ? ["close_at=c2", "reset_at=c2", "error_at=2"] : ["close_at=50", "reset_at=50", "malformed=length_short"];
        for (const behaviour of ["finish=length", "finish=content_filter", "status=400", "status=500", "malformed=json", ...cuts]) {
            test(`${behaviour}, ${stream ? "streamed" : "whole"}`, async () => {
                const content = `x ${++number}`;
                await sim.script([{ do: behaviour }]);
                await (await chat(content, { temperature: 0, stream })).text();
                const again = await chat(content, { temperature: 0, stream });
                assert.equal(again.headers.get("x-llm-gateway-cache"), "miss");
                assert.match(await again.text(), /said/);
                assert.equal((await chat(content, { temperature: 0 })).headers.get("x-llm-gateway-cache"), "hit", "a good answer is");
            });
        }
    }

    test("an answer whose client left in the middle", async () => {
        const content = "sim:tokens=8;stall_at=c3";
        const body = JSON.stringify({ model: "gpt-4o-mini", temperature: 0, stream: true, messages: [{ role: "user", content }] });
        const raw = await RawClient.connect(gateway.port);
        await raw.send(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
        await raw.until((text) => text.includes("data:"));
        raw.close();
        await eventually(async () => (await sim.requests())[0].client_gone, "the call to be cancelled");
        assert.equal((await gateway.admin("GET", "cache")).json.hits >= 0, true);
        await sim.reset();
        await sim.script([{ content: "whole" }]);
        const abort = new AbortController();
        const again = await chat(content, { temperature: 0, stream: true }, { signal: abort.signal });
        assert.equal(again.headers.get("x-llm-gateway-cache"), "miss");
        abort.abort();
    });
});
