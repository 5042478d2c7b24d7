// OpenAI's Responses through the gateway: as bytes to a provider that speaks it, translated to one that speaks chat and to Claude.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import OpenAI from "openai";

import { scope, startGateway, startSim } from "../support/harness.mjs";

const weather = {
    type: "function",
    name: "get_weather",
    strict: true,
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
};

describe("the official package uses Responses", () => {
    const world = scope();
    let sim, gateway, client, key;
    before(async () => {
        sim = await startSim(world);
        const origin = sim.base.replace(/\/v1$/, "");
        const config = `
providers:
  native: {dialect: responses, base_url: "${sim.base}", keys: [sk-test], passes_unknown: true}
  both: {dialect: [openai, responses], base_url: "${sim.base}", keys: [sk-test], passes_unknown: true}
  chat: {dialect: openai, base_url: "${sim.base}", keys: [sk-test], passes_unknown: true}
  claude: {dialect: anthropic, base_url: "${origin}", keys: [sk-test], passes_unknown: true}
models:
  native: {targets: [[{provider: native, model: gpt-5}]]}
  both: {targets: [[{provider: both, model: gpt-5}]]}
  codex: {targets: [[{provider: both, model: gpt-5-codex}]]}
  chat: {targets: [[{provider: chat, model: gpt-4o-mini}]]}
  claude: {targets: [[{provider: claude, model: claude-sonnet-4-5}]]}
`;
        gateway = await startGateway(world, { config });
        key = (await gateway.createTenant({ rate_limit: 100000 })).api_key;
        client = new OpenAI({ apiKey: key, baseURL: gateway.base, maxRetries: 0 });
    });
    after(() => world.end());
    afterEach(() => sim.reset());

    for (const model of ["native", "both", "chat", "claude"]) {
        describe(`on a provider of ${model}`, () => {
            test("a response, with its usage booked", async () => {
                const { data: r, response } = await client.responses.create({ model, input: "hello there", store: false }).withResponse();
                assert.equal(r.output_text, "You said: hello there");
                assert.equal(r.status, "completed");
                const row = await gateway.row(response);
                assert.equal(row.status, "success");
                assert.deepEqual([row.prompt_tokens, row.completion_tokens], [r.usage.input_tokens, r.usage.output_tokens]);
            });

            test("a stream whose last event is the whole response", async () => {
                const stream = client.responses.stream({ model, input: "hello there", store: false });
                const types = [];
                let text = "";
                for await (const e of stream) {
                    types.push(e.type);
                    assert.equal(e.sequence_number, types.length - 1);
                    if (e.type === "response.output_text.delta") text += e.delta;
                }
                assert.equal(text, "You said: hello there");
                assert.equal(types[0], "response.created");
                assert.equal(types.at(-1), "response.completed");
                assert.equal((await stream.finalResponse()).output_text, text);
            });

            test("a tool is called and its result is told back", async () => {
                const input = [{ role: "user", content: 'sim:tool=get_weather;args={"city":"Bern"}' }];
                const first = await client.responses.create({ model, input, tools: [weather], store: false });
                const call = first.output.find((o) => o.type === "function_call");
                assert.equal(call.name, "get_weather");
                assert.deepEqual(JSON.parse(call.arguments), { city: "Bern" });
                input.push(...first.output.filter((o) => o.type === "function_call"), { type: "function_call_output", call_id: call.call_id, output: "12 degrees" });
                const second = await client.responses.create({ model, input, tools: [weather], store: false });
                assert.match(second.output_text, /12 degrees/);
            });

            test("an unknown key raises the package's AuthenticationError", async () => {
                const stranger = new OpenAI({ apiKey: "llm-gw-no", baseURL: gateway.base, maxRetries: 0 });
                await assert.rejects(stranger.responses.create({ model, input: "x" }), OpenAI.AuthenticationError);
            });
        });
    }

    for (const model of ["native", "both"]) {
        test(`bytes pass as they are where the provider speaks the dialect: ${model}`, async () => {
            const body = JSON.stringify({ model: "gpt-5", input: "hello  there", store: false, unknown_member: { a: [1.0, 1e2] } });
            const answer = await gateway.request(key, "/v1/responses", body.replace("gpt-5", model));
            assert.equal(answer.status, 200);
            await answer.text();
            const received = (await sim.requests()).at(-1);
            assert.equal(received.path, "/v1/responses");
            assert.equal(received.bytes.toString(), body);
        });
    }

    test("one provider is spoken to in chat by chat clients and in Responses by others", async () => {
        const body = JSON.stringify({ model: "gpt-5", messages: [{ role: "user", content: "hello  there" }], unknown_member: [1.0] });
        const answer = await gateway.request(key, "/v1/chat/completions", body.replace("gpt-5", "both"));
        assert.equal((await answer.json()).choices[0].message.content, "You said: hello  there");
        const received = (await sim.requests()).at(-1);
        assert.equal(received.path, "/v1/chat/completions");
        assert.equal(received.bytes.toString(), body);
        assert.equal((await gateway.row(answer)).provider, "both");
    });

    test("a chat with a model that has Responses alone is translated to it", async () => {
        const chat = await client.chat.completions.create({ model: "codex", messages: [{ role: "user", content: "hello there" }] });
        assert.equal(chat.choices[0].message.content, "You said: hello there");
        assert.equal((await sim.requests()).at(-1).path, "/v1/responses");
    });

    test("a passage to a provider's Responses is metered as such", async () => {
        const answer = await gateway.request(key, "/passthrough/both/responses", { model: "gpt-5", input: "hello there", stream: true });
        assert.match(await answer.text(), /response.completed/);
        const row = await gateway.row(answer);
        assert.ok(row.prompt_tokens > 0 && row.completion_tokens > 0, JSON.stringify(row));
        assert.equal(row.estimated, 0);
    });

    test("what only a provider keeps is refused where it would have to be translated", async () => {
        await assert.rejects(client.responses.create({ model: "chat", input: "x", previous_response_id: "resp_1" }), (e) => e instanceof OpenAI.BadRequestError && /previous_response_id/.test(e.message));
        await assert.rejects(client.responses.create({ model: "native", input: "x", background: true }), (e) => e instanceof OpenAI.BadRequestError && /background/.test(e.message));
    });

    test("a response goes on from one that the provider keeps", async () => {
        const first = await client.responses.create({ model: "native", input: "hello" });
        const second = await client.responses.create({ model: "native", input: "again", previous_response_id: first.id });
        assert.equal(second.previous_response_id, first.id);
    });

    test("tokens are counted, by the provider or here", async () => {
        for (const model of ["native", "both", "chat"]) {
            const r = await gateway.request(key, "/v1/responses/input_tokens", { model, input: "hello there" });
            assert.equal(r.status, 200);
            const counted = await r.json();
            assert.ok(counted.input_tokens > 0, JSON.stringify(counted));
        }
    });
});
