import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { scope, startWorld } from "../support/harness.mjs";

describe("a stream without content ends well", () => {
    const world = scope();
    let sim, gateway, chat, own;
    before(async () => {
        ({ sim, gateway, chat, own } = await startWorld(world));
    });
    after(() => world.end());

    test("in the gateway's own dialect, where nothing precedes the last event", async () => {
        const answer = await own("sim:tokens=0", { stream: true });
        assert.equal(answer.status, 200);
        const events = (await answer.text()).trim().split("\n\n");
        assert.equal(events.length, 1);
        assert.equal(JSON.parse(events[0].slice("data: ".length)).response.content, "");
        assert.equal((await gateway.row(answer)).status, "success");
    });

    test("and where a provider sends its terminal event and nothing else", async () => {
        await sim.script({ body: "data: [DONE]\n\n", content_type: "text/event-stream" });
        const answer = await chat("hi", { stream: true });
        assert.equal(answer.status, 200);
        assert.equal(await answer.text(), "data: [DONE]\n\n");
        assert.equal((await gateway.row(answer)).status, "success");
    });
});
