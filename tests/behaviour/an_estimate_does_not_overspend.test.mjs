import assert from "node:assert/strict";
import { test } from "node:test";

import { startWorld } from "../support/harness.mjs";

test("an answer without usage is estimated at no more than was asked for and reserved", async (t) => {
    const { gateway, chat } = await startWorld(t, { priced: true, tenant: { monthly_budget: 1 } });
    const answer = await chat("sim:usage=none;tokens=4;token_bytes=400", { max_tokens: 4 });
    assert.equal(answer.status, 200);
    await answer.text();
    const row = await gateway.row(answer);
    assert.deepEqual([row.estimated, row.completion_tokens, row.overrun], [1, 4, 0]);
    assert.ok(row.cost_nusd <= row.reserved_nusd);
});
