import assert from "node:assert/strict";
import { test } from "node:test";

import { startWorld } from "../support/harness.mjs";

test("a parent that was changed after its child was made still limits it after a restart", async (t) => {
    const { gateway } = await startWorld(t);
    const parent = await gateway.createTenant();
    const child = await gateway.createTenant({ parent_id: parent.tenant_id });
    assert.equal((await gateway.admin("PATCH", `tenants/${parent.tenant_id}`, { monthly_budget: 0.000001 })).status, 200);
    const levels = async (g) =>
        (await g.admin("GET", `explain?key=${child.api_key}`)).json.limits.map((l) => [l.kind, l.monthly_budget.limit]);
    const before = await levels(gateway);
    assert.deepEqual(before.map(([kind]) => kind), ["key", "tenant", "tenant"]);
    assert.equal(before[2][1], 0.000001);
    await gateway.stop();
    const again = await gateway.again();
    assert.deepEqual(await levels(again), before);
});
