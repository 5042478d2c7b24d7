import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { scope, startWorld } from "../support/harness.mjs";

const chunk = (content) => ({ id: "c", object: "chat.completion.chunk", model: "gpt-4o-mini", choices: [{ index: 0, delta: { content }, finish_reason: null }] });
const event = (data) => `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;

describe("an attempt that is given up is billed its input, once", () => {
    const world = scope();
    let sim, gateway, chat;
    before(async () => {
        ({ sim, gateway, chat } = await startWorld(world, { priced: true, env: { MAX_ATTEMPTS: "1" } }));
    });
    after(() => world.end());

    /** The row of a request that one answer of the simulator spoils. */
    const spoiled = async (entry, more) => {
        await sim.script(entry);
        const answer = await chat("hello there", more);
        assert.equal(answer.status, 502);
        return gateway.row(answer);
    };

    test("whatever of it had been read already", async () => {
        const content_type = "text/event-stream";
        const none = await spoiled({ content_type, body: event("{") }, { stream: true });
        const some = await spoiled({ content_type, body: event(chunk("x".repeat(4000))) + event("{") }, { stream: true });
        assert.equal(none.status, "error");
        assert.ok(none.cost_nusd > 0);
        assert.equal(none.completion_tokens, 0);
        assert.deepEqual([some.cost_nusd, some.prompt_tokens, some.completion_tokens], [none.cost_nusd, none.prompt_tokens, 0]);
    });

    test("and an error object in a 200 costs nothing", async () => {
        const row = await spoiled({ content_type: "application/json", body: JSON.stringify({ error: { message: "no" } }) });
        assert.deepEqual([row.status, row.cost_nusd, row.total_tokens], ["error", 0, 0]);
    });
});
