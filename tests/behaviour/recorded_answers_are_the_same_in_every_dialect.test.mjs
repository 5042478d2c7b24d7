// Every recorded answer of a provider, asked for in every other client dialect: what arrives is valid in that dialect, and
// says what the recording says. (In the provider's own dialect the bytes pass as they are: recorded_answers_pass_byte_for_byte.)
//
// Where a client's dialect has no words: the text of a custom tool's call is the member "input" of its arguments; arguments
// that are no JSON are the member "_raw"; a refusal is a text; an answer ends for its tools when it calls any; the gateway's
// own dialect has texts and no calls or thoughts. Tools that the provider ran itself are told in its own dialect alone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";

import Ajv from "ajv/dist/2020.js";

import { OpenAI, clientKinds } from "../support/clients.mjs";
import { fixtures, root, scope, startWorld } from "../support/harness.mjs";
import { dialectOf, eventsOf, folders, jsonOf, recordings, scriptOf, sourceOf } from "../support/recordings.mjs";

const dialects = ["openai", "anthropic", "gemini", "responses", "bedrock"];

// Other operations than chat have no other dialects, or their own tests.
const isChat = (r) => !/^openai-(completions|embeddings)\/|count-tokens/.test(r.name) && !/:countTokens/.test(r.request?.url) && r.request?.method !== "GET";
const all = recordings(folders()).filter(isChat);

/** A recorded JSON array of Gemini's is what the same answer has as events when it is asked for with alt=sse. */
function asEvents(recording) {
    if (recording.body || recording.isStream || recording.status !== 200) return recording;
    const { body } = JSON.parse(readFileSync(path.join(fixtures, `${recording.name}.json`), "utf8")).response;
    if (!Array.isArray(body)) return recording;
    const script = { body: body.map((e) => `data: ${JSON.stringify(e)}\r\n\r\n`).join(""), content_type: "text/event-stream" };
    return { ...recording, isStreamed: true, script };
}

/** Holds an answer of OpenAI's dialects against OpenAI's own description of it. */
const ajv = new Ajv({ strict: false, validateFormats: false });
const described = JSON.parse(readFileSync(path.join(root, "tests/schemas/openai.json"), "utf8"));
ajv.addSchema({ $id: "openai", ...described });
function assertDescribed(name, value) {
    const validate = ajv.getSchema(`openai#/$defs/${name}`);
    assert.ok(validate(value), `${name}: ${ajv.errorsText(validate.errors)}: ${JSON.stringify(value)}`);
}
const eventNames = new Map();
for (const { $ref } of described.$defs.ResponseStreamEvent.anyOf) {
    const name = $ref.split("/").at(-1);
    for (const type of described.$defs[name].properties.type.enum) eventNames.set(type, name);
}

/** Where the API's own answers leave its description: members that are null, and counts that it does not always tell. */
function forgiven(value) {
    for (const holder of [value, value.response ?? {}]) {
        for (const name of ["usage", "user"]) if (holder[name] === null) delete holder[name];
        if (holder.usage?.input_tokens_details) holder.usage.input_tokens_details.cache_write_tokens ??= 0;
    }
    for (const { delta } of value.choices ?? []) for (const call of delta?.tool_calls ?? []) if (call.custom) delete call.type; // newer than it
    return value;
}

/** What the package makes of the bytes that the gateway sent. */
const packageOf = (raw) => new OpenAI({ apiKey: "none", fetch: async () => new Response(raw, { headers: { "content-type": "text/event-stream" } }) });
const valid = {
    openai: async (raw, isStream, said) => {
        if (!isStream) return assertDescribed("CreateChatCompletionResponse", JSON.parse(raw));
        for (const chunk of eventsOf(raw).map(jsonOf).filter(Boolean)) assertDescribed("CreateChatCompletionStreamResponse", forgiven(chunk));
        const { choices } = await packageOf(raw).chat.completions.stream({ model: "m", messages: [] }).finalChatCompletion();
        assert.deepEqual([choices[0].message.content ?? "", choices[0].message.refusal ?? ""], [said.text, said.refusal]);
    },
    responses: async (raw, isStream, said) => {
        if (!isStream) return assertDescribed("Response", forgiven(JSON.parse(raw)));
        for (const event of eventsOf(raw).map(jsonOf).filter(Boolean)) assertDescribed(eventNames.get(event.type), forgiven(event));
        const response = await packageOf(raw).responses.stream({ model: "m", input: "" }).finalResponse();
        assert.equal(response.output_text, said.text);
    },
};

for (const provider of dialects) {
    describe(`recorded answers of ${provider} are the same in every dialect`, () => {
        const world = scope();
        const clients = {};
        let sim, gateway, raw;
        const keeping = async (url, init) => {
            const r = await fetch(url, init);
            raw = await r.text();
            return new Response(raw, { status: r.status, headers: r.headers });
        };
        before(async () => {
            const more = provider === "bedrock" ? "region: us-east-1, " : "";
            const config = (s) => `
providers:
  theirs: {dialect: ${provider}, ${more}base_url: "${/openai|responses/.test(provider) ? s.base : s.origin}", keys: [sk-provider], passes_unknown: true}
models:
  m: {targets: [[{provider: theirs, model: a-model}]]}
`;
            let key;
            ({ sim, gateway, key } = await startWorld(world, { config, env: { MAX_ATTEMPTS: "1" }, tenant: { cache: "off" } }));
            for (const [name, make] of Object.entries(clientKinds)) clients[name] = make(gateway, key, valid[name] ? { fetch: keeping } : {});
        });
        after(() => world.end());
        beforeEach(() => sim.reset());

        const told = all.filter((r) => dialectOf(r) === provider).map(asEvents);
        test("there are recordings", () => assert.ok(told.length >= 8, `${told.length}`));

        for (const recording of told) {
            for (const name of Object.keys(clientKinds).filter((n) => n !== provider)) {
                test(`${recording.name} for a client that speaks ${name}`, async () => {
                    const c = clients[name];
                    const source = sourceOf(recording);
                    const stream = recording.isStreamed ?? recording.isStream;
                    await sim.script(recording.script ?? scriptOf(recording));
                    const asked = c.say([c.user("hi")], { model: "m", stream });
                    if (source.error) return assert.rejects(asked, (e) => e.status >= 400 && e.message.length > 0);
                    const said = await asked;
                    assert.equal(said.text + (said.refusal ?? ""), source.text);
                    // A provider that never says how it ended: by what it said; the gateway's own dialect calls that an end.
                    assert.equal(said.finish, source.finish ?? (source.calls.length > 0 && name !== "own" ? "tools" : "end"));
                    if (name !== "own") {
                        assert.equal(said.thoughts, source.thoughts);
                        assert.deepEqual(said.calls.map((k) => ({ name: k.name, input: k.input })), source.calls);
                    }
                    if (source.usage) {
                        const { prompt_tokens: prompt, completion_tokens: completion, cache_read_tokens: cacheRead } = source.usage;
                        assert.deepEqual(said.usage, { prompt, completion, ...(name !== "own" && { cacheRead }) });
                    }
                    await valid[name]?.(raw, stream, said);
                });
            }
        }
    });
}
