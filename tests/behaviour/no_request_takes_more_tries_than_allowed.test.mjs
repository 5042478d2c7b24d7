import assert from "node:assert/strict";
import { test } from "node:test";

import { startSim, startGateway } from "../support/harness.mjs";

test("MAX_ATTEMPTS counts the tries over all targets", async (t) => {
    const sim = await startSim(t);
    const provider = (name) => `  ${name}: {dialect: openai, base_url: "${sim.base}", keys: ["sk-x"]}\n`;
    const names = ["a", "b", "c", "d"];
    const config = `providers:\n${names.map(provider).join("")}models:\n  m:\n    targets: [${names.map((n) => `[{provider: ${n}, model: gpt-4o-mini}]`).join(", ")}]\n`;
    const gateway = await startGateway(t, { config, env: { MAX_ATTEMPTS: "2" } });
    const { api_key } = await gateway.createTenant();
    await sim.script(Array.from({ length: 8 }, () => ({ status: 500 })));
    const answer = await gateway.request(api_key, "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "hi" }] });
    assert.equal(answer.status, 500);
    assert.equal(answer.headers.get("x-llm-gateway-attempts"), "2");
    assert.equal((await sim.requests()).length, 2);
});
