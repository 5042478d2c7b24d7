// previous_response_id is bound to the provider that keeps the answer: over restarts, on every worker, without a way round.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import OpenAI from "openai";

import { scope, startGateway, startSim } from "../support/harness.mjs";

const provider = (name, sim) => `  ${name}: {dialect: [openai, responses], base_url: "${sim.base}", keys: [sk-test], passes_unknown: true}\n`;

describe("a response goes on where it was made", () => {
    const world = scope();
    const sims = {};
    let gateway, client, key, other;
    before(async () => {
        [sims.red, sims.blue] = [await startSim(world), await startSim(world)];
        const config =
            "providers:\n" + provider("red", sims.red) + provider("blue", sims.blue) +
            `  chat: {dialect: openai, base_url: "${sims.blue.base}", keys: [sk-test], passes_unknown: true}\n` +
            `  azure: {dialect: [openai, responses], base_url: "${sims.red.origin}/openai/v1", keys: [sk-test], passes_unknown: true, api_version: preview}\n` +
            "models:\n  azure: {targets: [[{provider: azure, model: gpt-5}]]}\n" +
            "  both: {targets: [[{provider: red, model: gpt-5}, {provider: blue, model: gpt-5}]]}\n" +
            "  red: {targets: [[{provider: red, model: gpt-5}], [{provider: blue, model: gpt-5}], [{provider: chat, model: gpt-5}]]}\n" +
            "  blue: {targets: [[{provider: blue, model: gpt-5}]]}\n" +
            "  translated: {targets: [[{provider: chat, model: gpt-5}]]}\n";
        gateway = await startGateway(world, { config, workers: 2 });
        key = (await gateway.createTenant({ rate_limit: 100000 })).api_key;
        other = (await gateway.createTenant({ rate_limit: 100000 })).api_key;
        client = new OpenAI({ apiKey: key, baseURL: gateway.base, maxRetries: 0 });
    });
    after(() => world.end());

    const ask = (model, input, previous_response_id, more = {}) =>
        client.responses.create({ model, input, ...(previous_response_id && { previous_response_id }), ...more }).withResponse();
    const madeBy = ({ response }) => response.headers.get("x-llm-gateway-provider");
    const received = async () => (await sims.red.requests()).length + (await sims.blue.requests()).length;
    const notFound = (e) => e instanceof OpenAI.BadRequestError && e.code === "previous_response_not_found" && e.param === "previous_response_id" && e.type === "invalid_request_error";

    test("each of many goes back to its maker, on connections of all workers", async () => {
        const firsts = await Promise.all(Array.from({ length: 24 }, (_, i) => ask("both", `first ${i}`)));
        assert.deepEqual([...new Set(firsts.map(madeBy))].sort(), ["blue", "red"]);
        for (const first of firsts) {
            const fresh = new OpenAI({ apiKey: key, baseURL: gateway.base, maxRetries: 0, defaultHeaders: { connection: "close" } });
            const second = await fresh.responses.create({ model: "both", input: "and on", previous_response_id: first.data.id }).withResponse();
            assert.equal(madeBy(second), madeBy(first));
            assert.equal(second.data.previous_response_id, first.data.id);
            assert.equal((await gateway.row(second.response)).provider, madeBy(first));
        }
    });

    test("the id is the provider's own, byte for byte, also when it is streamed", async () => {
        const stream = await client.responses.create({ model: "blue", input: "stream this", stream: true });
        let id;
        for await (const event of stream) id = event.response?.id ?? id;
        const kept = await fetch(`${sims.blue.base}/responses/${id}`);
        assert.equal(kept.status, 200);
        assert.equal(madeBy(await ask("both", "and on", id)), "blue");
    });

    test("a kill forgets nothing", async () => {
        const first = await ask("both", "before the kill");
        await gateway.kill();
        gateway = await gateway.again();
        for (let i = 0; i < 8; i++) assert.equal(madeBy(await ask("both", `after it ${i}`, first.data.id)), madeBy(first));
    });

    test("an unknown id is refused in OpenAI's words, and nobody is asked", async () => {
        const before = await received();
        await assert.rejects(ask("both", "x", "resp_unknown"), (e) => notFound(e) && /Previous response with id 'resp_unknown' not found/.test(e.message));
        await assert.rejects(ask("translated", "x", "resp_unknown"), notFound);
        assert.equal(await received(), before);
    });

    test("another tenant's response is unknown", async () => {
        const { data } = await ask("red", "a secret");
        const stranger = new OpenAI({ apiKey: other, baseURL: gateway.base, maxRetries: 0 });
        const before = await received();
        await assert.rejects(stranger.responses.create({ model: "red", input: "what was it?", previous_response_id: data.id }), notFound);
        assert.equal(await received(), before);
    });

    test("what is not kept cannot be named", async () => {
        const { data } = await ask("red", "forget this", undefined, { store: false });
        await assert.rejects(ask("red", "x", data.id), notFound);
        const translated = await ask("translated", "of another dialect");
        assert.equal(translated.data.store, false);
        await assert.rejects(ask("translated", "x", translated.data.id), notFound);
    });

    test("a model that the maker does not serve is refused", async () => {
        const { data } = await ask("red", "made by red");
        await assert.rejects(ask("blue", "x", data.id), (e) => notFound(e) && /does not serve the model `blue`/.test(e.message));
    });

    describe("when the maker fails", () => {
        afterEach(() => sims.red.reset());
        test("no other target is tried", async () => {
            const { data } = await ask("red", "made by red");
            await sims.red.script({ path: "/v1/responses", times: 0, status: 500 });
            const moved = await ask("red", "this may move on");
            assert.equal(madeBy(moved), "blue");
            const before = (await sims.blue.requests()).length;
            await assert.rejects(ask("red", "this may not", data.id), OpenAI.InternalServerError);
            assert.equal((await sims.blue.requests()).length, before);
        });
    });

    test("an answer is looked at, and deleted, where it is kept, and costs nothing", async () => {
        for (const model of ["both", "blue", "red", "both"]) {
            const first = await ask(model, "keep this");
            const { data } = first;
            const got = await client.responses.retrieve(data.id).withResponse();
            assert.equal(madeBy(got), madeBy(first));
            assert.equal(got.data.id, data.id);
            assert.equal(got.data.output_text, data.output_text);
            const row = await gateway.row(got.response);
            assert.deepEqual([row.status, row.provider, row.total_tokens, row.cost_nusd], ["success", madeBy(first), 0, 0]);
            assert.equal((await client.responses.inputItems.list(data.id)).data[0].content[0].text, "keep this");
            await client.responses.delete(data.id);
            await assert.rejects(client.responses.retrieve(data.id), OpenAI.NotFoundError);
        }
    });

    test("another tenant's answer, and one that nobody keeps, is a 404 without a call", async () => {
        const { data } = await ask("red", "a secret");
        const stranger = new OpenAI({ apiKey: other, baseURL: gateway.base, maxRetries: 0 });
        const before = await received();
        const unknown = (id) => (e) => e instanceof OpenAI.NotFoundError && e.error.message === `Response with id '${id}' not found.` && e.type === "invalid_request_error";
        await assert.rejects(stranger.responses.retrieve(data.id), unknown(data.id));
        await assert.rejects(stranger.responses.delete(data.id), unknown(data.id));
        await assert.rejects(stranger.responses.cancel(data.id), unknown(data.id));
        await assert.rejects(client.responses.retrieve("resp_unknown"), unknown("resp_unknown"));
        assert.equal(await received(), before);
        assert.equal((await client.responses.retrieve(data.id)).id, data.id);
    });

    test("Azure's is asked for under the API version that made it", async () => {
        const { data } = await ask("azure", "made at Azure");
        const seen = (await sims.red.requests()).length;
        await client.responses.retrieve(data.id);
        await client.responses.inputItems.list(data.id, { limit: 5 });
        const targets = (await sims.red.requests()).slice(seen).map((r) => r.target);
        assert.deepEqual(targets, [`/openai/v1/responses/${data.id}?api-version=preview`, `/openai/v1/responses/${data.id}/input_items?api-version=preview&limit=5`]);
    });

    test("nothing else passes below an answer, and nobody chooses its id", async () => {
        const { data } = await ask("red", "mine");
        const before = await received();
        const at = (method, path) => gateway.request(key, `/v1/responses/${path}`, method === "POST" ? {} : undefined, { method });
        for (const [method, path] of [["POST", data.id], ["POST", `${data.id}/anything`], ["DELETE", `${data.id}/input_items`], ["GET", `${data.id}/`], ["GET", `${data.id}%2finput_items`], ["POST", "compact"]]) {
            const r = await at(method, path);
            assert.ok([400, 404].includes(r.status), `${method} ${path}: ${r.status}`);
            assert.equal((await r.json()).error.type, "invalid_request_error");
        }
        await assert.rejects(ask("red", "x", undefined, { request_id: data.id }), (e) => e instanceof OpenAI.BadRequestError && e.param === "request_id" && e.code === "unknown_parameter");
        assert.equal(await received(), before);
        assert.equal((await at("HEAD", data.id)).status, 200);
        assert.equal((await fetch(`${gateway.origin}/responses/${data.id}`, { headers: { authorization: `Bearer ${key}` } })).status, 200);
    });

    test("a conversation that was made elsewhere needs a model of one provider", async () => {
        const more = { conversation: "conv_1" };
        await assert.rejects(ask("both", "x", undefined, more), (e) => e instanceof OpenAI.BadRequestError && e.param === "conversation" && /several serve the model `both`/.test(e.message));
        await assert.rejects(ask("translated", "x", undefined, more), (e) => e instanceof OpenAI.BadRequestError && e.param === "conversation" && /speaks this dialect/.test(e.message));
        assert.equal(madeBy(await ask("red/gpt-5", "x", undefined, more)), "red");
        const reference = [{ type: "item_reference", id: "msg_1" }, { role: "user", content: "x" }];
        await assert.rejects(ask("both", reference), (e) => e instanceof OpenAI.BadRequestError && e.param === "input");
    });
});
