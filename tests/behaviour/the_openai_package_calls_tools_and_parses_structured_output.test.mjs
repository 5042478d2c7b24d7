import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import OpenAI from "openai";

import { scope, startWorld } from "../support/harness.mjs";

const weather = {
    type: "function",
    function: {
        name: "get_weather",
        parameters: {
            type: "object",
            properties: { city: { type: "string" }, days: { type: "integer", minimum: 3 } },
            required: ["city", "days"],
        },
    },
};

describe("the OpenAI package calls tools and parses structured output through the gateway", () => {
    const world = scope();
    let client;
    before(async () => {
        const { gateway, key } = await startWorld(world);
        client = new OpenAI({ apiKey: key, baseURL: gateway.base, maxRetries: 0 });
    });
    after(() => world.end());

    const ask = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Oslo" }], tools: [weather] };

    test("a tool is called and its result goes back", async () => {
        const first = await client.chat.completions.create(ask);
        const call = first.choices[0].message.tool_calls[0];
        assert.equal(first.choices[0].finish_reason, "tool_calls");
        assert.deepEqual(JSON.parse(call.function.arguments), { city: "Oslo", days: 3 });
        const last = await client.chat.completions.create({
            ...ask,
            messages: [...ask.messages, first.choices[0].message, { role: "tool", tool_call_id: call.id, content: "sunny" }],
        });
        assert.equal(last.choices[0].message.content, "The tool said: sunny");
    });

    test("the arguments of a streamed call come in fragments that make the same text", async () => {
        let fragments = 0;
        const runner = client.chat.completions.stream(ask);
        runner.on("tool_calls.function.arguments.delta", () => fragments++);
        const final = await runner.finalChatCompletion();
        assert.deepEqual(JSON.parse(final.choices[0].message.tool_calls[0].function.arguments), { city: "Oslo", days: 3 });
        assert.ok(fragments > 1);
    });

    test("the package's tool runner makes the round trip by itself", async () => {
        const asked = [];
        const runner = client.chat.completions.runTools({
            model: "gpt-4o-mini",
            messages: ask.messages,
            tools: [{ type: "function", function: { ...weather.function, parse: JSON.parse, function: (a) => (asked.push(a), "snow") } }],
        });
        assert.equal(await runner.finalContent(), "The tool said: snow");
        assert.deepEqual(asked, [{ city: "Oslo", days: 3 }]);
    });

    test("a JSON schema is passed on and the parse helper reads the answer", async () => {
        const schema = { type: "object", properties: { name: { type: "string" }, age: { type: "integer" } }, required: ["name", "age"], additionalProperties: false };
        const r = await client.chat.completions.parse({
            model: "gpt-4o-mini",
            messages: [{ role: "user", content: "Ada" }],
            response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema } },
        });
        const answer = JSON.parse(r.choices[0].message.content);
        assert.equal(typeof answer.name, "string");
        assert.ok(Number.isInteger(answer.age));
        assert.ok("parsed" in r.choices[0].message);
    });
});
