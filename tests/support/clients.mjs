// The client dialects, each spoken by its official package (the gateway's own by fetch), behind one neutral form.
//
// say(messages, options) asks and returns {text, thoughts, calls: [{id, name, input}], finish, usage: {prompt, completion},
// turn, headers, id, data}; turn is the assistant's message as the dialect sends it back. Messages are made by user(),
// image() and results(). options: model, stream, tools [{name, description, schema}], choice, schema, thinking, more
// (members of the dialect), headers, signal, onText(text so far).
import { createRequire } from "node:module";
import path from "node:path";

import { root, sse } from "./harness.mjs";

const require = createRequire(path.join(root, "tests/behaviour/package.json")); // the packages are installed there
export const OpenAI = require("openai");
export const Anthropic = require("@anthropic-ai/sdk");

const user = (content) => ({ role: "user", content });

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
        thoughts: message.reasoning_content ?? "",
        calls: (message.tool_calls ?? []).map((c) => ({ id: c.id, name: c.function.name, input: JSON.parse(c.function.arguments) })),
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
            for (const { index, ...call } of value) {
                const at = (message.tool_calls[index] ??= { type: "function", function: { name: "", arguments: "" } });
                if (call.id) at.id = call.id;
                at.function.name += call.function?.name ?? "";
                at.function.arguments += call.function?.arguments ?? "";
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

export const clientKinds = { openai: openaiClient, anthropic: anthropicClient, own: ownClient };
