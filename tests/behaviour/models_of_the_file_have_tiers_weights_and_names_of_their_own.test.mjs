import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { scope, startGateway, startSim } from "../support/harness.mjs";

describe("models of the file have tiers, weights and names of their own", () => {
    const world = scope();
    let a, b, c, gateway, key;
    before(async () => {
        [a, b, c] = await Promise.all([startSim(world), startSim(world), startSim(world)]);
        const config = `
providers:
  heavy: {dialect: openai, base_url: "${a.base}"}
  light: {dialect: openai, base_url: "${b.base}", models: [listed-model]}
  spare: {dialect: openai, base_url: "${c.base}"}
models:
  balanced:
    targets:
      - [{provider: heavy, weight: 9}, {provider: light, model: my-deployment, weight: 1}]
      - [{provider: spare, model: stand-in}]
  capped: {targets: [[{provider: heavy}]], max_output_tokens: 77}
  "claude-*": {targets: [[{provider: spare}]]}
`;
        gateway = await startGateway(world, { config });
        key = (await gateway.createTenant({ rate_limit: 100000 })).api_key;
    });
    after(() => world.end());
    beforeEach(() => Promise.all([a.reset(), b.reset(), c.reset()]));

    const chat = (model, more, options) => gateway.request(key, "/v1/chat/completions", { model, messages: [{ role: "user", content: "hi" }], ...more }, options);
    const counts = async () => Promise.all([a, b, c].map(async (s) => (await s.requests()).length));

    test("weights share the first tier; the second waits", async () => {
        // The same time for both, so that the faster of two is no reason.
        // By conversation, which is the default, and by the draw of two.
        for (const told of [(i) => ({ messages: [{ role: "user", content: `hi ${i}` }] }), () => ({})]) {
            await Promise.all([a, b].map((s) => s.reset()));
            await Promise.all([a, b].map((s) => s.script([{ delay: "5ms", times: 0 }])));
            const headers = told(0).messages ? {} : { "x-llm-gateway-affinity": "off" };
            for (let i = 0; i < 200; i++) assert.equal((await chat("balanced", told(i), { headers })).status, 200);
            const [heavy, light, spare] = await counts();
            assert.equal(heavy + light, 200);
            assert.equal(spare, 0);
            assert.ok(light >= 3 && light <= 70, `${light} of 200 at a weight of 1 in 10`);
        }
        assert.ok((await b.requests()).every((r) => r.json.model === "my-deployment"));
        assert.ok((await a.requests()).every((r) => r.json.model === "balanced"));
    });

    test("the second tier is tried when the first is exhausted", async () => {
        await Promise.all([a, b].map((s) => s.script([{ status: 503, times: 0 }])));
        const r = await chat("balanced");
        assert.equal(r.status, 200);
        assert.equal((await r.json()).model, "stand-in");
        assert.deepEqual(await counts(), [1, 1, 1]);
        assert.equal(r.headers.get("x-llm-gateway-attempts"), "3");
        assert.equal(r.headers.get("x-llm-gateway-provider"), "spare");
    });

    test("a pattern passes the name on", async () => {
        assert.equal((await chat("claude-haiku-4-5")).status, 200);
        assert.equal((await c.requests())[0].json.model, "claude-haiku-4-5");
    });

    test("a listed model and provider/model are found, another name is not", async () => {
        assert.equal((await chat("listed-model")).headers.get("x-llm-gateway-provider"), "light");
        assert.equal((await chat("spare/any-model")).headers.get("x-llm-gateway-model"), "any-model");
        assert.equal((await c.requests())[0].json.model, "any-model");
        assert.equal((await chat("nobody-has-this")).status, 404);
    });

    test("a configured cap is sent where the client gives none", async () => {
        await chat("capped");
        await chat("capped", { max_tokens: 5 });
        const [without, given] = await a.requests();
        assert.equal(without.json.max_tokens ?? without.json.max_completion_tokens, 77);
        assert.equal(given.json.max_tokens, 5);
    });

    test("the models of the file are listed, patterns are not", async () => {
        const list = (await (await gateway.request(key, "/v1/models")).json()).data.map((m) => m.id);
        for (const name of ["balanced", "capped", "listed-model"]) assert.ok(list.includes(name), name);
        assert.ok(!list.some((n) => n.includes("*")));
    });
});
