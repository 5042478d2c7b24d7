/* One event of an OpenAI stream as neutral chunks. */
#include "dialect/openai.h"

struct chunks {
    chat_chunk_fn on_chunk;
    void *ctx;
    struct chat_chunk base; /* id, model, created of this event */
};

static enum err send(const struct chunks *c, enum chat_chunk_kind kind, int choice,
                     struct slice text)
{
    struct chat_chunk chunk = c->base;
    chunk.kind = kind;
    chunk.choice = choice;
    chunk.text = text;
    return c->on_chunk(c->ctx, &chunk);
}

static enum err send_if(const struct chunks *c, enum chat_chunk_kind kind, int choice,
                        struct slice text)
{
    return text.len ? send(c, kind, choice, text) : OK;
}

/* Content as a string, or (Mistral) as parts of which thinking holds parts again. */
static enum err send_content(const struct chunks *c, int choice, yyjson_val *content)
{
    if (!yyjson_is_arr(content)) {
        return send_if(c, CHAT_CHUNK_TEXT, choice, json_string(content));
    }
    size_t i, max;
    yyjson_val *part;
    yyjson_arr_foreach(content, i, max, part)
    {
        yyjson_val *thinking = json_get(part, "thinking");
        size_t k, inner;
        yyjson_val *thought;
        yyjson_arr_foreach(thinking, k, inner, thought)
        {
            enum err e = send_if(c, CHAT_CHUNK_THINKING, choice, json_get_string(thought, "text"));
            if (e) {
                return e;
            }
        }
        enum err e = send_if(c, CHAT_CHUNK_TEXT, choice, json_get_string(part, "text"));
        if (e) {
            return e;
        }
    }
    return OK;
}

static enum err send_call(const struct chunks *c, int choice, yyjson_val *call, size_t position)
{
    yyjson_val *function = json_get(call, "function");
    bool is_custom = !function && json_get(call, "custom");
    function = is_custom ? json_get(call, "custom") : function;
    int64_t index = (int64_t)position;
    (void)json_i64(json_get(call, "index"), &index);
    struct chat_chunk chunk = c->base;
    chunk.choice = choice;
    chunk.tool = index < 0 || index > 1023 ? 1023 : (int)index;
    chunk.id = json_get_string(call, "id");
    chunk.name = json_get_string(function, "name");
    chunk.is_custom = is_custom;
    chunk.signature = openai_call_proof(call);
    chunk.provider = chunk.signature.len ? SLICE("gemini") : SLICE_NONE;
    if (chunk.name.len) { /* repeated empty by some; the name comes once */
        chunk.kind = CHAT_CHUNK_TOOL_START;
        enum err e = c->on_chunk(c->ctx, &chunk);
        if (e) {
            return e;
        }
    }
    chunk.kind = CHAT_CHUNK_TOOL_ARGUMENTS;
    chunk.text = json_get_string(function, is_custom ? "input" : "arguments");
    return chunk.text.len ? c->on_chunk(c->ctx, &chunk) : OK;
}

static enum err send_calls(const struct chunks *c, int choice, yyjson_val *delta)
{
    size_t i, max;
    yyjson_val *call;
    yyjson_val *calls = json_get(delta, "tool_calls");
    yyjson_arr_foreach(calls, i, max, call)
    {
        enum err e = send_call(c, choice, call, i);
        if (e) {
            return e;
        }
    }
    return OK;
}

/* What proves a thought; its text comes beside, as reasoning. */
static enum err send_proofs(const struct chunks *c, int choice, yyjson_val *delta)
{
    size_t i, max;
    yyjson_val *v;
    yyjson_val *details = json_get(delta, "reasoning_details");
    yyjson_arr_foreach(details, i, max, v)
    {
        struct chat_chunk chunk = c->base;
        int64_t block = 0;
        (void)json_i64(json_get(v, "index"), &block);
        chunk.kind = CHAT_CHUNK_THINKING;
        chunk.choice = choice;
        chunk.block = block < 0 || block > 1023 ? 1023 : (int)block;
        chunk.signature = json_get_string(v, "signature");
        chunk.data = json_get_string(v, "data");
        chunk.provider = openai_format_provider(json_get_string(v, "format"));
        if (chunk.provider.len && (chunk.signature.len || chunk.data.len)) {
            enum err e = c->on_chunk(c->ctx, &chunk);
            if (e) {
                return e;
            }
        }
    }
    return OK;
}

static enum err send_choice(const struct chunks *c, yyjson_val *v)
{
    int64_t index = 0;
    (void)json_i64(json_get(v, "index"), &index);
    int choice = index < 0 || index > 127 ? 127 : (int)index;
    yyjson_val *delta = json_get(v, "delta");
    struct slice thinking = json_get_string(delta, "reasoning_content");
    if (!thinking.len) {
        thinking = json_get_string(delta, "reasoning");
    }
    enum err e = send_if(c, CHAT_CHUNK_THINKING, choice, thinking);
    e = e ? e : send_proofs(c, choice, delta);
    e = e ? e : send_if(c, CHAT_CHUNK_TEXT, choice, json_get_string(v, "text"));
    e = e ? e : send_content(c, choice, json_get(delta, "content"));
    e = e ? e : send_if(c, CHAT_CHUNK_REFUSAL, choice, json_get_string(delta, "refusal"));
    e = e ? e : send_calls(c, choice, delta);
    enum chat_finish finish = openai_finish(json_get_string(v, "finish_reason"));
    if (!e && finish != CHAT_FINISH_NONE) {
        struct chat_chunk chunk = c->base;
        chunk.kind = CHAT_CHUNK_FINISH;
        chunk.choice = choice;
        chunk.finish = finish;
        chunk.text = json_get_string(v, "stop_reason"); /* vLLM: the stop text that was met */
        e = c->on_chunk(c->ctx, &chunk);
    }
    return e;
}

static enum err send_usage(const struct chunks *c, struct slice usage)
{
    struct chat_chunk chunk = c->base;
    chunk.kind = CHAT_CHUNK_USAGE;
    openai_read_usage(usage, &chunk.usage);
    return chunk.usage.is_known ? c->on_chunk(c->ctx, &chunk) : OK;
}

enum err openai_decode_event(struct stream_decoder *decoder, struct slice data)
{
    struct chunks c = {.on_chunk = decoder->on_chunk, .ctx = decoder->ctx};
    struct event_look look;
    yyjson_val *root;
    enum err e = openai_look(SLICE_NONE, data, &look);
    if (e || look.is_done) {
        return e ? e : send(&c, CHAT_CHUNK_END, 0, SLICE_NONE);
    }
    e = json_parse(decoder->scratch, data, &root, NULL);
    if (e) {
        return e;
    }
    c.base.id = json_get_string(root, "id");
    c.base.model = json_get_string(root, "model");
    (void)json_i64(json_get(root, "created"), &c.base.created_unix_s);
    if (decoder->is_first) {
        e = send(&c, CHAT_CHUNK_START, 0, SLICE_NONE);
    }
    size_t i, max;
    yyjson_val *v;
    yyjson_val *choices = json_get(root, "choices");
    yyjson_arr_foreach(choices, i, max, v)
    {
        e = e ? e : send_choice(&c, v);
    }
    return e || !look.usage.len ? e : send_usage(&c, look.usage);
}
