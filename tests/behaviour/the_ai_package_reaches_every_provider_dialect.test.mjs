// The `ai` package, with each of its providers as client of the gateway, against each provider dialect.
//
// A test's name is "CLIENT to PROVIDER: FEATURE"; tools/compatibility.mjs writes docs/COMPATIBILITY.md from the results.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, Output, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";

import { eventually, scope, startWorld } from "../support/harness.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;

const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

// What the package calls its providers, and how each asks for thoughts.
const clientKinds = {
    "ai/openai": {
        make: (gateway, apiKey) => createOpenAI({ baseURL: gateway.base, apiKey }).chat,
        thinking: { openai: { reasoningEffort: "low", forceReasoning: true } },
        hidesThoughts: true, // the package has no words for them in chat completions
    },
    "ai/responses": {
        make: (gateway, apiKey) => createOpenAI({ baseURL: gateway.base, apiKey }).responses,
        options: { openai: { store: false } },
        thinking: { openai: { reasoningEffort: "low", reasoningSummary: "auto", forceReasoning: true, store: false, include: ["reasoning.encrypted_content"] } },
    },
    "ai/anthropic": {
        make: (gateway, apiKey) => createAnthropic({ baseURL: gateway.base, apiKey }),
        thinking: { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } },
    },
    "ai/google": {
        make: (gateway, apiKey) => createGoogleGenerativeAI({ baseURL: `${gateway.origin}/v1beta`, apiKey }),
        thinking: { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } } },
    },
};

const haiku = "anthropic.claude-haiku-4-5-20251001-v1:0";
const sonnet = "anthropic.claude-sonnet-4-5-20250929-v1:0";
const providers = {
    openai: { plain: "gpt-4o-mini", thinking: "gpt-5-mini" },
    anthropic: { plain: "claude-haiku-4-5", thinking: "claude-sonnet-4-5" },
    gemini: { plain: "gemini-2.5-flash", thinking: "gemini-3-flash-preview" },
    responses: {
        config: (sim) => `openai-responses: {dialect: responses, base_url: "${sim.base}", keys: [sk-provider], models: [gpt-4o-mini, gpt-5-mini]}`,
        plain: "gpt-4o-mini",
        thinking: "gpt-5-mini",
    },
    bedrock: {
        config: (sim) => `bedrock: {dialect: bedrock, region: us-east-1, base_url: "${sim.origin}", keys: [api-key-of-bedrock], models: ["${haiku}", "${sonnet}"]}`,
        plain: haiku,
        thinking: sonnet,
    },
    ollama: {
        config: (sim) => `ollama: {dialect: ollama, base_url: "${sim.origin}", cost_per_1k_tokens: 0.001, models: ["qwen3:8b"]}`,
        plain: "qwen3:8b",
        thinking: "qwen3:8b",
        cached: 0, // it does not tell
    },
};

for (const [provider, { config, plain, thinking, cached = 40 }] of Object.entries(providers)) {
    describe(`the ai package reaches a provider that speaks ${provider}`, () => {
        const world = scope();
        let sim, gateway, key;
        before(async () => {
            const where = config ? { config: (s) => `providers:\n  ${config(s)}\n` } : { providers: [provider] };
            ({ sim, gateway, key } = await startWorld(world, { ...where, env: { MAX_ATTEMPTS: "1" }, tenant: { cache: "off" } }));
        });
        after(() => world.end());
        beforeEach(() => sim.reset());

        for (const [name, kind] of Object.entries(clientKinds)) {
            const ask = (o, id = plain) => ({ model: kind.make(gateway, key)(id), providerOptions: kind.options, maxRetries: 0, ...o });
            /** The same of generateText and of streamText: {text, reasoningText, finishReason, usage, steps, toolCalls}. */
            async function said(stream, o) {
                if (!stream) return generateText(o);
                let failure;
                const r = streamText({ ...o, onError: ({ error }) => (failure = error) });
                let text = "";
                for await (const piece of r.textStream) text += piece;
                if (failure) throw failure;
                const [reasoningText, finishReason, totalUsage, usage, steps] = await Promise.all([r.reasoningText, r.finishReason, r.totalUsage, r.usage, r.steps]);
                return { text: steps.length > 1 ? steps.at(-1).text : text, reasoningText, finishReason, totalUsage, usage, steps };
            }
            const both = (feature, run) => {
                test(`${name} to ${provider}: ${feature}`, () => run((o, id) => said(false, ask(o, id))));
                test(`${name} to ${provider}: ${feature}, streamed`, () => run((o, id) => said(true, ask(o, id))));
            };

            both("chat", async (say) => {
                const r = await say({ system: "be brief", prompt: "hello there", maxOutputTokens: 50 });
                assert.deepEqual([r.text, r.finishReason], ["You said: hello there", "stop"]);
                assert.match((await sim.requests()).at(-1).body, /be brief/);
            });

            both("usage is what the provider told", async (say) => {
                await sim.script({ prompt_tokens: 100, cached_tokens: 40, completion_tokens: 7 });
                const { usage } = await say({ prompt: "count" });
                const prompt = provider === "anthropic" || provider === "bedrock" ? 140 : 100; // theirs do not count the cached ones
                assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.inputTokenDetails.cacheReadTokens ?? 0], [prompt, 7, cached]);
                const [row] = await gateway.rows("completion_tokens = 7 ORDER BY created_at DESC LIMIT 1 --");
                assert.deepEqual([row.prompt_tokens, row.cache_read_tokens, row.status], [prompt, cached, "success"]);
            });

            both("an answer that ran into its limit says so", async (say) => {
                await sim.script({ tokens: 100 });
                assert.equal((await say({ prompt: "long", maxOutputTokens: 20 })).finishReason, "length");
            });

            both("tools over several steps, two of them at once", async (say) => {
                await sim.script({ tool: "get_weather", args: { city: "Ås" }, content: "I look.", times: 1 }, { tool: "get_weather", calls: 2 }, { content: "done" });
                const ran = [];
                const made = (title) =>
                    tool({ description: title, inputSchema: z.object({ city: z.string() }), execute: async (input) => (ran.push([title, input]), `${title}: ${input.city}`) });
                const r = await say({ prompt: "Ås", tools: { get_weather: made("weather"), get_time: made("time") }, stopWhen: stepCountIs(5) });
                assert.deepEqual([r.text, r.finishReason, r.steps.length], ["done", "stop", 3]);
                assert.equal(r.steps[0].text, "I look.");
                assert.deepEqual(ran.map(([title]) => title).sort(), ["time", "weather", "weather"]);
                assert.deepEqual(ran[0], ["weather", { city: "Ås" }]);
                const sent = (await sim.requests()).at(-1).body;
                for (const word of ["weather: Ås", "time: ", "I look."]) assert.ok(sent.includes(word), `${word} in ${sent}`);
            });

            both("a tool that is demanded", async (say) => {
                const made = tool({ description: "t", inputSchema: z.object({ city: z.string() }) });
                const r = await say({ prompt: "Oslo", tools: { get_weather: made, get_time: made }, toolChoice: { type: "tool", toolName: "get_time" } });
                assert.deepEqual(r.steps[0].toolCalls.map((c) => [c.toolName, typeof c.input.city]), [["get_time", "string"]]);
                // OpenAI itself ends such an answer with "stop".
                assert.equal(r.finishReason, name === "ai/openai" && provider === "openai" ? "stop" : "tool-calls");
            });

            const schema = z.object({ name: z.string(), age: z.number().int() });
            const isPerson = (p) => assert.ok(typeof p.name === "string" && Number.isInteger(p.age), JSON.stringify(p));
            test(`${name} to ${provider}: structured output`, async () => {
                isPerson((await generateObject(ask({ prompt: "Ada", schema }))).object);
                isPerson((await generateText(ask({ prompt: "Ada", output: Output.object({ schema }) }))).output);
            });
            test(`${name} to ${provider}: structured output, streamed`, async () => {
                const r = streamObject(ask({ prompt: "Ada", schema }));
                for await (const piece of r.partialObjectStream) assert.equal(typeof piece, "object");
                isPerson(await r.object);
            });

            both("an image", async (say) => {
                const content = [{ type: "text", text: "what is it?" }, { type: "image", image: Buffer.from(png, "base64"), mediaType: "image/png" }];
                await say({ messages: [{ role: "user", content }] });
                assert.ok((await sim.requests()).at(-1).body.includes(png));
            });

            /** A model that thinks calls a tool; the last request that the provider saw. */
            async function thinks(say, isShown) {
                await sim.script({ tool: "get_weather", reasoning: "let me see" }, { content: "done" });
                const tools = { get_weather: tool({ description: "w", inputSchema: z.object({ city: z.string() }), execute: async () => "sunny" }) };
                const r = await say({ prompt: "Oslo", tools, stopWhen: stepCountIs(3), maxOutputTokens: 4000, providerOptions: kind.thinking }, thinking);
                assert.deepEqual([r.text, r.steps.length], ["done", 2]);
                if (isShown) assert.equal(r.steps[0].reasoningText, "let me see");
                const sent = (await sim.requests()).at(-1).body;
                assert.ok(sent.includes("sunny"));
                return sent;
            }
            both("a model that thinks calls tools", (say) => thinks(say, false));
            if (!kind.hidesThoughts) {
                both("thinking is shown, and its signature goes back", async (say) => {
                    const sent = await thinks(say, true);
                    if (provider === "anthropic" || provider === "bedrock") assert.match(sent, /let me see.*signature|signature.*let me see/);
                    if (provider === "gemini") assert.match(sent, /thoughtSignature/);
                });
            }

            test(`${name} to ${provider}: an aborted stream is cancelled upstream and billed`, async () => {
                const abort = new AbortController();
                await sim.script({ tokens: 1000, token_bytes: 40, rate: "2ms" });
                const r = streamText(ask({ prompt: "endless", abortSignal: abort.signal, onError() {} }));
                let length = 0;
                for await (const piece of r.textStream) if ((length += piece.length) > 400) abort.abort();
                const gone = await eventually(async () => (await sim.requests()).find((q) => q.client_gone), "the simulator to see its client leave");
                assert.ok(gone.sent_bytes < 1000 * 200);
                const rows = await gateway.rows("status = 'client_gone'");
                assert.ok(rows.at(-1).completion_tokens > 0);
            });

            test(`${name} to ${provider}: a stream that breaks raises an error and never ends cleanly`, async () => {
                for (const broken of [{ tokens: 8, reset_at: "c6" }, { tokens: 8, error_at: 5 }]) {
                    await sim.script(broken);
                    let failure;
                    const r = streamText(ask({ prompt: "cut", onError: ({ error }) => (failure = error) }));
                    let finish;
                    for await (const part of r.fullStream) if (part.type === "finish") finish = part.finishReason;
                    assert.ok(failure, JSON.stringify(broken));
                    assert.ok(finish === undefined || finish === "error", finish);
                }
            });

            both("errors have a status and say whether another try may help", async (say) => {
                const failing = async (entry, id) => {
                    if (entry) await sim.script(entry);
                    const error = await say({ prompt: "x" }, id).then(() => assert.fail("an error was expected"), (e) => e);
                    assert.ok(APICallError.isInstance(error), String(error));
                    return [error.statusCode, error.isRetryable];
                };
                assert.deepEqual(await failing(undefined, "no-such-model"), [404, false]);
                assert.deepEqual(await failing({ status: 400, message: "bad" }), [400, false]);
                assert.deepEqual(await failing({ status: 429, retry_after: 7 }), [429, true]);
                assert.deepEqual(await failing({ status: 500 }), [500, true]);
            });
        }
    });
}
