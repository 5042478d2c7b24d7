// The client dialects, each spoken by its official package (the gateway's own by fetch), behind one neutral form.
//
// say(messages, options) asks and returns {text, refusal where the dialect has one, thoughts, calls: [{id, name, input}], finish, usage: {prompt, completion},
// turn, headers, id, data}; turn is the assistant's message as the dialect sends it back. Messages are made by user(),
// image() and results(). options: model, stream, tools [{name, description, schema}], choice, schema, thinking, more
// (members of the dialect), headers, signal, onText(text so far).
import { createRequire } from "node:module";
import path from "node:path";

import { root, sse } from "./harness.mjs";

const require = createRequire(path.join(root, "tests/behaviour/package.json")); // the packages are installed there
export const OpenAI = require("openai");
export const Anthropic = require("@anthropic-ai/sdk");
export const { GoogleGenAI, ApiError } = require("@google/genai");

const user = (content) => ({ role: "user", content });
/** A call's arguments; a text that is no JSON as the dialects carry it that have values there. */
export function argumentsOf(text) {
    try {
        return JSON.parse(text);
    } catch {
        return { _raw: text };
    }
}

export function openaiClient(gateway, key, more = {}) {
    const client = new OpenAI({ apiKey: key, baseURL: gateway.base, maxRetries: 0, ...more });
    const bodyOf = (messages, o) => ({
        model: o.model,
        messages,
        ...(o.tools && { tools: o.tools.map((t) => ({ type: "function", function: { name: t.name, description: t.description, parameters: t.schema } })) }),
        ...(o.choice && { tool_choice: o.choice === "any" ? "required" : { type: "function", function: { name: o.choice } } }),
        ...(o.schema && { response_format: { type: "json_schema", json_schema: { name: "answer", strict: true, schema: o.schema } } }),
        ...(o.thinking && { reasoning_effort: "low" }),
        ...o.more,
    });
    const neutral = (message, finish, usage) => ({
        text: message.content ?? "",
        refusal: message.refusal ?? "",
        thoughts: message.reasoning_content ?? "",
        calls: (message.tool_calls ?? []).map((c) =>
            c.custom ? { id: c.id, name: c.custom.name, input: { input: c.custom.input } } : { id: c.id, name: c.function.name, input: argumentsOf(c.function.arguments) },
        ),
        finish: { stop: "end", length: "length", tool_calls: "tools", content_filter: "filter" }[finish],
        usage: usage && {
            prompt: usage.prompt_tokens,
            completion: usage.completion_tokens,
            cacheRead: usage.prompt_tokens_details?.cached_tokens ?? 0,
        },
        turn: message,
    });
    return {
        name: "openai",
        client,
        user,
        image: (text, type, data) => user([{ type: "text", text }, { type: "image_url", image_url: { url: `data:${type};base64,${data}` } }]),
        results: (calls, texts) => calls.map((c, i) => ({ role: "tool", tool_call_id: c.id, content: texts[i] })),
        async say(messages, o) {
            const init = { headers: o.headers, signal: o.signal };
            if (!o.stream) {
                const { data, response } = await client.chat.completions.create(bodyOf(messages, o), init).withResponse();
                return { ...neutral(data.choices[0].message, data.choices[0].finish_reason, data.usage), data, headers: response.headers, id: response.headers.get("x-request-id") };
            }
            const body = { ...bodyOf(messages, o), stream: true, stream_options: { include_usage: true } };
            const { data: stream, response } = await client.chat.completions.create(body, init).withResponse();
            const message = { role: "assistant", content: null };
            let finish, usage;
            for await (const chunk of stream) {
                usage = chunk.usage ?? usage;
                finish = chunk.choices[0]?.finish_reason ?? finish;
                addDelta(message, chunk.choices[0]?.delta ?? {});
                o.onText?.(message.content ?? "");
            }
            return { ...neutral(message, finish, usage), headers: response.headers, id: response.headers.get("x-request-id") };
        },
    };
}

function addDelta(message, delta) {
    for (const [name, value] of Object.entries(delta)) {
        if (name === "role" || value === null) continue;
        if (name === "tool_calls") {
            message.tool_calls ??= [];
            for (const { index, function: f, custom, ...more } of value) {
                const isCustom = custom || message.tool_calls[index]?.custom;
                const at = (message.tool_calls[index] ??= isCustom
                    ? { type: "custom", custom: { name: "", input: "" } }
                    : { type: "function", function: { name: "", arguments: "" } });
                Object.assign(at, more); // id, and what the package does not know
                if (isCustom) {
                    at.custom.name += custom?.name ?? "";
                    at.custom.input += custom?.input ?? "";
                    continue;
                }
                at.function.name += f?.name ?? "";
                at.function.arguments += f?.arguments ?? "";
            }
        } else if (typeof value === "string") message[name] = (message[name] ?? "") + value;
        else if (Array.isArray(value)) message[name] = [...(message[name] ?? []), ...value];
        else message[name] = value;
    }
}

export function anthropicClient(gateway, key, more = {}) {
    const client = new Anthropic({ apiKey: key, baseURL: gateway.origin, maxRetries: 0, ...more });
    const bodyOf = (messages, o) => ({
        model: o.model,
        max_tokens: 2048,
        messages,
        ...(o.tools && { tools: o.tools.map((t) => ({ name: t.name, description: t.description, input_schema: t.schema })) }),
        ...(o.choice && { tool_choice: o.choice === "any" ? { type: "any" } : { type: "tool", name: o.choice } }),
        ...(o.schema && { output_config: { format: { type: "json_schema", schema: o.schema } } }),
        ...(o.thinking && { thinking: { type: "enabled", budget_tokens: 1024 } }),
        ...o.more,
    });
    const neutral = (message) => ({
        text: message.content.filter((b) => b.type === "text").map((b) => b.text).join(""),
        thoughts: message.content.filter((b) => b.type === "thinking").map((b) => b.thinking).join(""),
        calls: message.content.filter((b) => b.type === "tool_use").map((b) => ({ id: b.id, name: b.name, input: b.input })),
        finish: { end_turn: "end", stop_sequence: "end", max_tokens: "length", tool_use: "tools", refusal: "filter" }[message.stop_reason],
        usage: {
            prompt: message.usage.input_tokens + (message.usage.cache_read_input_tokens ?? 0) + (message.usage.cache_creation_input_tokens ?? 0),
            completion: message.usage.output_tokens,
            cacheRead: message.usage.cache_read_input_tokens ?? 0,
        },
        turn: { role: "assistant", content: message.content },
    });
    return {
        name: "anthropic",
        client,
        user,
        image: (text, type, data) => user([{ type: "text", text }, { type: "image", source: { type: "base64", media_type: type, data } }]),
        results: (calls, texts) => [user(calls.map((c, i) => ({ type: "tool_result", tool_use_id: c.id, content: texts[i] })))],
        async say(messages, o) {
            const init = { headers: o.headers, signal: o.signal };
            if (!o.stream) {
                const { data, response } = await client.messages.create(bodyOf(messages, o), init).withResponse();
                return { ...neutral(data), data, headers: response.headers, id: response.headers.get("request-id") };
            }
            const stream = client.messages.stream(bodyOf(messages, o), init);
            stream.on("text", (_, text) => o.onText?.(text));
            const message = await stream.finalMessage();
            return { ...neutral(message), headers: stream.response.headers, id: stream.response.headers.get("request-id") };
        },
    };
}

/** apiVersion: of the paths; "v1" is the package's own choice. */
export function geminiClient(gateway, key, { apiVersion = "v1beta", ...more } = {}) {
    const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: gateway.origin, apiVersion, ...more } });
    const partsOf = (response) => response.candidates?.[0]?.content?.parts ?? [];
    const textOf = (parts, isThought) => parts.filter((p) => Boolean(p.thought) === isThought).map((p) => p.text ?? "").join("");
    const bodyOf = (messages, o) => ({
        model: o.model,
        contents: messages,
        config: {
            httpOptions: { headers: o.headers },
            abortSignal: o.signal,
            ...(o.tools && { tools: [{ functionDeclarations: o.tools.map((t) => ({ name: t.name, description: t.description, parametersJsonSchema: t.schema })) }] }),
            ...(o.choice && { toolConfig: { functionCallingConfig: { mode: "ANY", ...(o.choice !== "any" && { allowedFunctionNames: [o.choice] }) } } }),
            ...(o.schema && { responseMimeType: "application/json", responseJsonSchema: o.schema }),
            ...(o.thinking && { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } }),
            ...o.more,
        },
    });
    const neutral = (parts, finish, usage, headers) => {
        const calls = parts.filter((p) => p.functionCall).map(({ functionCall: c }) => ({ id: c.id, name: c.name, input: c.args ?? {} }));
        return {
            text: textOf(parts, false),
            thoughts: textOf(parts, true),
            calls,
            finish: { STOP: calls.length > 0 ? "tools" : "end", MAX_TOKENS: "length", SAFETY: "filter" }[finish],
            usage: usage && {
                prompt: usage.promptTokenCount,
                completion: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
                cacheRead: usage.cachedContentTokenCount ?? 0,
            },
            turn: { role: "model", parts },
            headers,
            id: headers.get("x-request-id"),
        };
    };
    return {
        name: "gemini",
        client,
        user: (content) => ({ role: "user", parts: typeof content === "string" ? [{ text: content }] : content }),
        image: (text, mimeType, data) => ({ role: "user", parts: [{ text }, { inlineData: { mimeType, data } }] }),
        results: (calls, texts) => [{ role: "user", parts: calls.map((c, i) => ({ functionResponse: { ...(c.id && { id: c.id }), name: c.name, response: { output: texts[i] } } })) }],
        async say(messages, o) {
            const headersOf = (response) => new Headers(response.sdkHttpResponse.headers);
            if (!o.stream) {
                const data = await client.models.generateContent(bodyOf(messages, o));
                return { ...neutral(partsOf(data), data.candidates?.[0]?.finishReason, data.usageMetadata, headersOf(data)), data };
            }
            const parts = [];
            let finish, usage, headers;
            for await (const chunk of await client.models.generateContentStream(bodyOf(messages, o))) {
                headers ??= headersOf(chunk);
                parts.push(...partsOf(chunk));
                finish = chunk.candidates?.[0]?.finishReason ?? finish;
                usage = chunk.usageMetadata ?? usage;
                o.onText?.(textOf(parts, false));
            }
            if (finish === undefined) throw new Error("the stream has no end");
            return neutral(joined(parts), finish, usage, headers);
        },
    };
}

/** Pieces of a text as one part; what is signed stays as it came. */
function joined(parts) {
    const out = [];
    for (const part of parts) {
        const last = out.at(-1);
        const isPiece = (p) => p?.text !== undefined && !p.thoughtSignature;
        if (isPiece(part) && isPiece(last) && Boolean(part.thought) === Boolean(last.thought)) out[out.length - 1] = { ...last, text: last.text + part.text };
        else out.push(part);
    }
    return out;
}

export function responsesClient(gateway, key, more = {}) {
    const client = new OpenAI({ apiKey: key, baseURL: gateway.base, maxRetries: 0, ...more });
    const bodyOf = (messages, o) => ({
        model: o.model,
        input: messages.flat(),
        store: false,
        ...(o.tools && { tools: o.tools.map((t) => ({ type: "function", name: t.name, description: t.description, parameters: t.schema, strict: false })) }),
        ...(o.choice && { tool_choice: o.choice === "any" ? "required" : { type: "function", name: o.choice } }),
        ...(o.schema && { text: { format: { type: "json_schema", name: "answer", strict: true, schema: o.schema } } }),
        ...(o.thinking && { reasoning: { effort: "low", summary: "auto" }, include: ["reasoning.encrypted_content"] }),
        ...o.more,
    });
    const neutral = (r) => {
        const callOf = (c) => ({ id: c.call_id, name: c.name, input: c.type === "custom_tool_call" ? { input: c.input } : argumentsOf(c.arguments) });
        const calls = r.output.filter((i) => i.type === "function_call" || i.type === "custom_tool_call").map(callOf);
        return {
            text: r.output.filter((i) => i.type === "message").flatMap((i) => i.content).map((c) => c.text ?? "").join(""),
            refusal: r.output.filter((i) => i.type === "message").flatMap((i) => i.content).map((c) => c.refusal ?? "").join(""),
            thoughts: r.output.filter((i) => i.type === "reasoning").flatMap((i) => [...(i.summary ?? []), ...(i.content ?? [])]).map((c) => c.text).join(""),
            calls,
            finish: r.status === "incomplete" ? { max_output_tokens: "length", content_filter: "filter" }[r.incomplete_details?.reason] : calls.length > 0 ? "tools" : "end",
            usage: r.usage && { prompt: r.usage.input_tokens, completion: r.usage.output_tokens, cacheRead: r.usage.input_tokens_details?.cached_tokens ?? 0 },
            turn: r.output,
        };
    };
    return {
        name: "responses",
        client,
        user,
        image: (text, type, data) => user([{ type: "input_text", text }, { type: "input_image", detail: "auto", image_url: `data:${type};base64,${data}` }]),
        results: (calls, texts) => calls.map((c, i) => ({ type: "function_call_output", call_id: c.id, output: texts[i] })),
        async say(messages, o) {
            const init = { headers: o.headers, signal: o.signal };
            if (!o.stream) {
                const { data, response } = await client.responses.create(bodyOf(messages, o), init).withResponse();
                return { ...neutral(data), data, headers: response.headers, id: response.headers.get("x-request-id") };
            }
            const { data: stream, response } = await client.responses.create({ ...bodyOf(messages, o), stream: true }, init).withResponse();
            let text = "";
            let last;
            for await (const e of stream) {
                if (e.type === "response.output_text.delta") o.onText?.((text += e.delta));
                if (e.type === "error") throw Object.assign(new Error(e.message), { event: e });
                if (e.type === "response.failed") throw Object.assign(new Error(e.response.error?.message), { event: e });
                if (e.type === "response.completed" || e.type === "response.incomplete") last = e.response;
            }
            if (!last) throw new Error("the stream has no last event");
            return { ...neutral(last), headers: response.headers, id: response.headers.get("x-request-id") };
        },
    };
}

/** The gateway's own dialect has texts alone. */
export function ownClient(gateway, key) {
    const neutral = (result) => ({
        text: result.response.content,
        thoughts: "",
        calls: [],
        finish: { stop: "end", length: "length", tool_calls: "tools", content_filter: "filter" }[result.response.finish_reason],
        usage: { prompt: result.response.prompt_tokens, completion: result.response.completion_tokens },
        turn: { role: "assistant", content: result.response.content },
        data: result,
    });
    return {
        name: "own",
        user,
        async say(messages, o) {
            const body = { model: o.model, messages, stream: o.stream ?? false, ...o.more };
            const r = await gateway.request(key, "/api/v1/completions", body, { headers: o.headers, signal: o.signal });
            const about = { headers: r.headers, id: r.headers.get("x-request-id") };
            if (!r.ok) throw Object.assign(new Error(await r.text()), { status: r.status, headers: r.headers });
            if (!o.stream) return { ...neutral(await r.json()), ...about };
            let text = "";
            let last;
            for await (const e of sse(r)) {
                if (e.data === undefined || e.data === "") continue;
                last = JSON.parse(e.data);
                if (last.detail) throw Object.assign(new Error(last.detail), { event: last });
                text += last.delta ?? "";
                o.onText?.(text);
            }
            if (!last?.response) throw new Error("the stream has no last event");
            return { ...neutral(last), text, ...about };
        },
    };
}

export const clientKinds = { openai: openaiClient, anthropic: anthropicClient, gemini: geminiClient, responses: responsesClient, own: ownClient };
