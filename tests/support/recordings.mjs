// The recorded exchanges of tests/wire, and what they say: read from their own bytes, without the gateway's readers.
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import path from "node:path";

import { argumentsOf } from "./clients.mjs";
import { fixtures } from "./harness.mjs";

const ofFolder = { anthropic: "anthropic", bedrock: "bedrock", gemini: "gemini", "openai-responses": "responses" };
/** The dialect of a recording's provider; folders of others than these speak OpenAI's. */
export const dialectOf = (recording) => ofFolder[recording.name.split("/")[0]] ?? "openai";

/** Of some folders, or of all that speak OpenAI's: {name, request, status, body: the recorded text where it is to be scripted, isStream}. */
export function recordings(providers = folders().filter((d) => !ofFolder[d])) {
    const found = [];
    for (const provider of providers) {
        const files = readdirSync(path.join(fixtures, provider));
        for (const file of files) {
            const name = `${provider}/${file.replace(/(\.body)?\.(json|sse)$/, "")}`;
            const beside = files.includes(`${path.basename(name)}.json`);
            if (file.endsWith(".sse") && !beside) {
                found.push({ name, isStream: true, status: 200 });
            } else if (file.endsWith(".body.json")) {
                // A stream of the same name hides the body from the simulator; it is replayed as a scripted body.
                found.push({ name: `${name}.body`, isStream: false, status: 200, body: readFileSync(path.join(fixtures, provider, file), "utf8") });
            } else if (file.endsWith(".json")) {
                const { request, response } = JSON.parse(readFileSync(path.join(fixtures, provider, file), "utf8"));
                found.push({ name, request, status: response.status, isStream: /\.(sse|eventstream\.bin)$/.test(response.body_file ?? "") });
            }
        }
    }
    return found;
}

export const folders = () => readdirSync(fixtures).filter((d) => d !== "tokenizer" && statSync(path.join(fixtures, d)).isDirectory());

/** How the simulator plays a recording. */
export const scriptOf = (recording) => (recording.body ? { body: recording.body } : { fixture: recording.name });

export const eventsOf = (text) => text.split(/(?<=\r?\n\r?\n)/).filter((e) => e.trim() !== "");
const dataOf = (event) => event.split(/\r?\n/).filter((l) => l.startsWith("data:")).map((l) => l.slice(5).trim()).join("\n");
export const jsonOf = (event) => (dataOf(event).startsWith("{") ? JSON.parse(dataOf(event)) : undefined);

/** What a provider that speaks OpenAI's reports, in the columns of the usage row. */
export function expectedUsage(usage) {
    let completion = usage.completion_tokens ?? 0;
    const reasoning = usage.completion_tokens_details?.reasoning_tokens ?? 0;
    const prompt = usage.prompt_tokens ?? usage.total_tokens - completion;
    if (reasoning > completion || (reasoning > 0 && prompt + completion + reasoning === usage.total_tokens)) completion += reasoning;
    return {
        prompt_tokens: prompt,
        completion_tokens: completion,
        total_tokens: Math.max(usage.total_tokens ?? 0, prompt + completion),
        cache_read_tokens: usage.prompt_tokens_details?.cached_tokens ?? usage.prompt_cache_hit_tokens ?? 0,
        reasoning_tokens: reasoning,
        estimated: 0,
    };
}

/** The same of an Anthropic answer; of a stream the later words count. */
export function expectedOfAnthropic(usages) {
    const u = {};
    for (const usage of usages) for (const [name, value] of Object.entries(usage)) if (value !== null && value !== undefined) u[name] = value;
    const written = u.cache_creation_input_tokens ?? 0;
    const hour = u.cache_creation?.ephemeral_1h_input_tokens ?? 0;
    const prompt = (u.input_tokens ?? 0) + (u.cache_read_input_tokens ?? 0) + written;
    return {
        prompt_tokens: prompt,
        completion_tokens: u.output_tokens,
        total_tokens: prompt + u.output_tokens,
        cache_read_tokens: u.cache_read_input_tokens ?? 0,
        cache_write_5m_tokens: written - hour,
        cache_write_1h_tokens: hour,
        estimated: 0,
    };
}

/** The same of Gemini's answers; of a stream the later words count. */
export function expectedOfGemini(usages) {
    const u = Object.assign({}, ...usages);
    const prompt = (u.promptTokenCount ?? 0) + (u.toolUsePromptTokenCount ?? 0);
    const thoughts = u.thoughtsTokenCount ?? 0;
    const completion = (u.candidatesTokenCount ?? 0) + thoughts;
    return {
        prompt_tokens: prompt,
        completion_tokens: completion,
        total_tokens: Math.max(u.totalTokenCount ?? 0, prompt + completion),
        cache_read_tokens: u.cachedContentTokenCount ?? 0,
        reasoning_tokens: thoughts,
        estimated: 0,
    };
}

/** {event, json} of each frame of an AWS event stream. */
function framesOf(bytes) {
    const frames = [];
    for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at)) {
        const headEnd = at + 12 + bytes.readUInt32BE(at + 4);
        let event;
        for (let h = at + 12; h < headEnd; ) {
            const name = bytes.toString("utf8", h + 1, h + 1 + bytes[h]);
            h += 1 + bytes[h] + 1; // all of them are strings, type 7
            const value = bytes.toString("utf8", h + 2, h + 2 + bytes.readUInt16BE(h));
            h += 2 + bytes.readUInt16BE(h);
            if (name === ":event-type") event = value;
        }
        frames.push({ event, json: JSON.parse(bytes.toString("utf8", headEnd, at + bytes.readUInt32BE(at) - 4)) });
    }
    return frames;
}

const gather = () => ({ text: "", thoughts: "", calls: new Map() });
const ends = {
    openai: { stop: "end", length: "length", tool_calls: "tools", content_filter: "filter" },
    anthropic: { end_turn: "end", stop_sequence: "end", max_tokens: "length", tool_use: "tools", refusal: "filter" },
    gemini: { STOP: "end", MAX_TOKENS: "length", SAFETY: "filter" },
    responses: { completed: "end", max_output_tokens: "length", content_filter: "filter" },
    bedrock: { end_turn: "end", stop_sequence: "end", max_tokens: "length", tool_use: "tools", guardrail_intervened: "filter", content_filtered: "filter" },
};
const callOf = (into, at) => into.calls.get(at) ?? into.calls.set(at, { name: "", input: "" }).get(at);

const readers = {
    openai(into, json) {
        if (json.error) into.error = json.error;
        const usage = json.usage ?? json.x_groq?.usage;
        if (usage) into.usage = expectedUsage(usage);
        const choice = (json.choices ?? []).find((c) => c.index === 0) ?? json.choices?.[0];
        into.end = ends.openai[choice?.finish_reason] ?? into.end;
        const said = choice?.delta ?? choice?.message ?? {};
        into.text += said.refusal ?? "";
        into.thoughts += said.reasoning_content ?? said.reasoning ?? "";
        for (const part of typeof said.content === "string" ? [{ type: "text", text: said.content }] : (said.content ?? [])) {
            if (part.type === "thinking") into.thoughts += part.thinking.map((t) => t.text).join("");
            else into.text += part.text ?? "";
        }
        for (const [i, call] of (said.tool_calls ?? []).entries()) {
            const of = callOf(into, call.index ?? i);
            of.name = call.function.name || of.name; // some repeat it in every piece
            of.input += call.function.arguments ?? "";
        }
    },
    anthropic(into, json) {
        into.usages ??= [];
        const usage = json.message?.usage ?? json.usage;
        if (usage) into.usages.push(usage);
        if (into.usages.length > 0) into.usage = expectedOfAnthropic(into.usages);
        if (json.type === "error") into.error = json.error;
        into.end = ends.anthropic[json.stop_reason ?? json.delta?.stop_reason] ?? into.end;
        if (json.type === "message_start") into.message = (into.message ?? 0) + 1; // a relay may begin anew
        const key = (at) => `${into.message} ${at}`;
        const block = (b, at) => {
            if (b.type === "text") into.text += b.text;
            if (b.type === "thinking") into.thoughts += b.thinking;
            if (b.type === "tool_use") callOf(into, key(at)).name = b.name;
            if (b.type === "tool_use" && Object.keys(b.input).length > 0) callOf(into, key(at)).input = JSON.stringify(b.input);
        };
        (json.content ?? []).forEach(block);
        if (json.type === "content_block_start") block(json.content_block, json.index);
        if (json.delta?.type === "text_delta") into.text += json.delta.text;
        if (json.delta?.type === "thinking_delta") into.thoughts += json.delta.thinking;
        if (json.delta?.type === "input_json_delta" && into.calls.has(key(json.index))) into.calls.get(key(json.index)).input += json.delta.partial_json;
    },
    gemini(into, json) {
        into.usages ??= [];
        if (json.error) into.error = json.error;
        into.text += json.promptFeedback?.blockReasonMessage ?? "";
        into.end = json.promptFeedback?.blockReason ? "filter" : (ends.gemini[json.candidates?.[0]?.finishReason] ?? into.end);
        if (json.usageMetadata) into.usages.push(json.usageMetadata);
        if (into.usages.some((u) => "totalTokenCount" in u)) into.usage = expectedOfGemini(into.usages);
        for (const part of json.candidates?.[0]?.content?.parts ?? []) {
            if (part.thought) into.thoughts += part.text ?? "";
            else into.text += part.text ?? "";
            const { functionCall: call } = part;
            if (!call) continue;
            const at = call.willContinue || into.open !== undefined ? (into.open ??= into.calls.size) : into.calls.size;
            const of = callOf(into, at);
            if (call.name) of.name = call.name;
            if (call.args) of.input = JSON.stringify(call.args);
            of.pieces = [...(of.pieces ?? []), ...(call.partialArgs ?? [])];
            if (!call.willContinue) into.open = undefined;
        }
    },
    responses(into, json) {
        if (json.error || json.response?.error) into.error = json.error ?? json.response.error;
        const whole = json.object === "response" ? json : /completed|incomplete|failed/.test(json.type) ? json.response : undefined;
        if (!whole) return;
        const { usage } = whole;
        into.end = ends.responses[whole.incomplete_details?.reason ?? whole.status];
        if (usage) {
            into.usage = {
                prompt_tokens: usage.input_tokens,
                completion_tokens: usage.output_tokens,
                cache_read_tokens: usage.input_tokens_details?.cached_tokens ?? 0,
            };
        }
        for (const [i, item] of whole.output.entries()) {
            if (item.type === "message") for (const c of item.content) into.text += c.refusal ?? c.text;
            if (item.type === "reasoning") into.thoughts += [...(item.summary ?? []), ...(item.content ?? [])].map((c) => c.text).join("");
            if (item.type === "function_call") Object.assign(callOf(into, i), { name: item.name, input: item.arguments });
            if (item.type === "custom_tool_call") Object.assign(callOf(into, i), { name: item.name, input: JSON.stringify({ input: item.input }) });
        }
    },
    bedrock(into, json, event) {
        const { usage: u } = json;
        if (u) {
            const read = u.cacheReadInputTokens ?? 0;
            into.usage = { prompt_tokens: u.inputTokens + read + (u.cacheWriteInputTokens ?? 0), completion_tokens: u.outputTokens, cache_read_tokens: read };
        }
        into.end = ends.bedrock[json.stopReason] ?? into.end;
        for (const [i, b] of (json.output?.message.content ?? []).entries()) {
            into.text += b.text ?? "";
            into.thoughts += b.reasoningContent?.reasoningText?.text ?? "";
            if (b.toolUse) Object.assign(callOf(into, i), { name: b.toolUse.name, input: JSON.stringify(b.toolUse.input) });
        }
        if (event === "contentBlockStart" && json.start?.toolUse) callOf(into, json.contentBlockIndex).name = json.start.toolUse.name;
        if (event === "contentBlockDelta") {
            into.text += json.delta.text ?? "";
            into.thoughts += json.delta.reasoningContent?.text ?? "";
            if (json.delta.toolUse) callOf(into, json.contentBlockIndex).input += json.delta.toolUse.input;
        }
    },
};

/** The partial arguments of one call of Gemini's, put together: {jsonPath: "$.a.b[0]", stringValue | numberValue | ...}. */
function assembled(pieces) {
    const root = {};
    for (const { jsonPath, willContinue, ...value } of pieces) {
        const names = [...jsonPath.matchAll(/[.[]["']?([^.[\]"']+)["']?\]?/g)].map((m) => m[1]);
        let at = root;
        names.slice(0, -1).forEach((name, i) => (at = at[name] ??= /^\d+$/.test(names[i + 1]) ? [] : {}));
        const [[kind, given]] = Object.entries(value).length > 0 ? Object.entries(value) : [["stringValue", ""]];
        const last = names.at(-1);
        at[last] = kind === "stringValue" ? (at[last] ?? "") + given : kind === "nullValue" ? null : given;
    }
    return JSON.stringify(root);
}

/** What a recorded answer of the dialect says, whole or streamed: {text, thoughts, calls: [{name, input}], finish, usage, error}, in the words of clients.mjs. */
export function sourceOf(recording) {
    const into = gather();
    const read = readers[dialectOf(recording)];
    const [folder, name] = recording.name.split("/");
    const file = (suffix) => path.join(fixtures, folder, name + suffix);
    const exchange = !recording.body && existsSync(file(".json")) ? JSON.parse(readFileSync(file(".json"), "utf8")) : undefined;
    if (!recording.isStream) {
        const body = exchange ? exchange.response.body : JSON.parse(recording.body);
        for (const piece of [body].flat()) read(into, piece);
    } else if (exchange?.response.body_file.endsWith(".bin")) {
        for (const { event, json } of framesOf(readFileSync(path.join(fixtures, folder, exchange.response.body_file)))) read(into, json, event);
    } else {
        const text = readFileSync(file(".sse"), "utf8");
        for (const json of eventsOf(text).map(jsonOf).filter(Boolean)) read(into, json);
    }
    const calls = [...into.calls.values()].map((c) => ({
        name: c.name,
        input: argumentsOf((c.pieces?.length ? assembled(c.pieces) : c.input) || "{}"),
    }));
    // An answer that calls tools ends for them, whether its dialect has a word for it or not.
    const finish = into.end === "end" && calls.length > 0 ? "tools" : into.end;
    return { text: into.text, thoughts: into.thoughts, calls, finish, usage: into.usage, error: into.error };
}
