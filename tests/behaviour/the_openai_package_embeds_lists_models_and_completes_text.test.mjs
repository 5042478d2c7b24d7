import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import OpenAI from "openai";

import { scope, startWorld } from "../support/harness.mjs";

describe("the OpenAI package embeds, lists models and completes text through the gateway", () => {
    const world = scope();
    let sim, gateway, tenant, client;
    before(async () => {
        ({ sim, gateway, tenant } = await startWorld(world, { priced: true }));
        client = new OpenAI({ apiKey: tenant.api_key, baseURL: gateway.base, maxRetries: 0 });
    });
    after(() => world.end());
    beforeEach(() => sim.reset());

    test("embeddings: the package's default base64 is decoded to the floats that plain numbers give", async () => {
        const input = ["the first", "and a second text"];
        const packed = await client.embeddings.create({ model: "text-embedding-3-small", input });
        const plain = await client.embeddings.create({ model: "text-embedding-3-small", input, encoding_format: "float" });
        assert.equal(packed.data.length, 2);
        assert.equal(packed.data[0].embedding.length, 1536);
        for (const i of [0, 1]) {
            packed.data[i].embedding.forEach((v, k) => assert.ok(Math.abs(v - plain.data[i].embedding[k]) < 1e-6));
        }
        const formats = (await sim.requests()).map((r) => r.json.encoding_format);
        assert.deepEqual(formats, ["base64", "float"]);
    });

    test("models can be listed and retrieved, and nothing but the configured ones", async () => {
        const list = [];
        for await (const model of client.models.list()) list.push(model);
        assert.ok(list.length > 0);
        for (const m of list) {
            assert.equal(m.object, "model");
            assert.equal(typeof m.created, "number");
            assert.equal(typeof m.owned_by, "string");
        }
        assert.equal(new Set(list.map((m) => m.id)).size, list.length, "each once");
        const one = await client.models.retrieve("gpt-4o-mini");
        assert.equal(one.id, "gpt-4o-mini");
        assert.ok(list.some((m) => m.id === "gpt-4o-mini"));
        await assert.rejects(client.models.retrieve("no-such-model"), OpenAI.NotFoundError);
        assert.equal((await sim.requests()).length, 0, "the provider is not asked");
    });

    test("a key with allowed_models sees only those", async () => {
        const limited = await gateway.createTenant({ allowed_models: ["gpt-4o-mini"] });
        const its = new OpenAI({ apiKey: limited.api_key, baseURL: gateway.base, maxRetries: 0 });
        const ids = [];
        for await (const m of its.models.list()) ids.push(m.id);
        assert.deepEqual(ids, ["gpt-4o-mini"]);
        await assert.rejects(its.models.retrieve("gpt-4o"), OpenAI.NotFoundError);
    });

    test("models need a key", async () => {
        const stranger = new OpenAI({ apiKey: "sk-wrong", baseURL: gateway.base, maxRetries: 0 });
        await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
    });

    test("legacy completions, whole and streamed", async () => {
        const whole = await client.completions.create({ model: "gpt-3.5-turbo-instruct", prompt: "say it" });
        assert.equal(whole.object, "text_completion");
        assert.equal(whole.choices[0].text, "You said: say it");
        let text = "";
        for await (const chunk of await client.completions.create({ model: "gpt-3.5-turbo-instruct", prompt: "say it", stream: true })) {
            text += chunk.choices[0]?.text ?? "";
            assert.ok(!("usage" in chunk));
        }
        assert.equal(text, "You said: say it");
    });
});
