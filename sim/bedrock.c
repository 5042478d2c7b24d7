#define _GNU_SOURCE
#include "bedrock.h"

#include "anthropic.h"
#include "eventstream.h"
#include "reply.h"
#include "trouble.h"

#include <inttypes.h>
#include <string.h>

static void read_blocks(struct prompt *p, yyjson_val *content)
{
    size_t i;
    size_t n;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, n, block)
    {
        yyjson_val *result = yyjson_obj_get(block, "toolResult");
        if (result != NULL) {
            prompt_result(p, yyjson_obj_get(result, "content"));
        } else {
            prompt_text(p, json_member(block, "text"));
        }
    }
}

void bedrock_read(struct prompt *p, const struct ask *a)
{
    yyjson_val *system = yyjson_obj_get(a->root, "system");
    yyjson_val *config = yyjson_obj_get(a->root, "toolConfig");
    yyjson_val *max = yyjson_obj_get(yyjson_obj_get(a->root, "inferenceConfig"), "maxTokens");
    yyjson_val *more = yyjson_obj_get(a->root, "additionalModelRequestFields");
    struct str thinking = json_member(yyjson_obj_get(more, "thinking"), "type");
    size_t i;
    size_t n;
    yyjson_val *v;
    if (system != NULL) {
        prompt_turn(p, false);
        read_blocks(p, system);
    }
    yyjson_arr_foreach(yyjson_obj_get(a->root, "messages"), i, n, v)
    {
        prompt_turn(p, str_is(json_member(v, "role"), "user"));
        read_blocks(p, yyjson_obj_get(v, "content"));
    }
    yyjson_arr_foreach(yyjson_obj_get(config, "tools"), i, n, v)
    {
        yyjson_val *spec = yyjson_obj_get(v, "toolSpec");
        prompt_tool(p, (struct tool){json_member(spec, "name"),
                                     yyjson_obj_get(yyjson_obj_get(spec, "inputSchema"), "json"),
                                     false});
    }
    p->must_call = yyjson_obj_get(yyjson_obj_get(config, "toolChoice"), "any") != NULL;
    p->wanted = json_member(yyjson_obj_get(yyjson_obj_get(config, "toolChoice"), "tool"), "name");
    p->thinks = str_is(thinking, "enabled") || str_is(thinking, "adaptive");
    p->max_tokens = yyjson_is_uint(max) ? (int64_t)yyjson_get_uint(max) : -1;
}

static bool has_block(yyjson_val *message, const char *name)
{
    size_t i;
    size_t n;
    yyjson_val *block;
    yyjson_arr_foreach(yyjson_obj_get(message, "content"), i, n, block)
    {
        if (yyjson_obj_get(block, name) != NULL) {
            return true;
        }
    }
    return false;
}

/* What is wrong with the messages; NULL: nothing. */
static const char *fault_of(const struct ask *a)
{
    yyjson_val *messages = yyjson_obj_get(a->root, "messages");
    struct str expected = STR("user");
    size_t i;
    size_t n;
    yyjson_val *message;
    if (yyjson_arr_size(messages) == 0) {
        return "The messages field is required.";
    }
    yyjson_arr_foreach(messages, i, n, message)
    {
        if (!str_same(json_member(message, "role"), expected)) {
            return i == 0 ? "A conversation must start with a user message."
                          : "The roles must alternate between user and assistant.";
        }
        if (yyjson_arr_size(yyjson_obj_get(message, "content")) == 0) {
            return "The content field in the Message object is empty.";
        }
        bool tools = has_block(message, "toolUse") || has_block(message, "toolResult");
        if (tools && yyjson_obj_get(a->root, "toolConfig") == NULL) {
            return "The toolConfig field must be defined when using toolUse and toolResult "
                   "content blocks.";
        }
        expected = i % 2 == 0 ? STR("assistant") : STR("user");
    }
    return NULL;
}

static void put_usage(struct buf *out, const struct reply *r)
{
    const struct behaviour *b = &r->ask->b;
    int64_t read = reply_told(b->cached_tokens, 0);
    int64_t written = reply_told(b->cache_write_tokens, 0);
    if (!reply_usage_is(r, "none")) {
        buf_printf(out,
                   "\"usage\":{\"inputTokens\":%" PRId64 ",\"outputTokens\":%" PRId64
                   ",\"totalTokens\":%" PRId64 ",\"cacheReadInputTokens\":%" PRId64
                   ",\"cacheWriteInputTokens\":%" PRId64 "},",
                   r->prompt_tokens, r->output_tokens,
                   r->prompt_tokens + r->output_tokens + read + written, read, written);
    }
    buf_str(out, "\"metrics\":{\"latencyMs\":5}");
}

static const char *stop_reason(const struct reply *r)
{
    return reply_finish(r, "end_turn", "max_tokens", "tool_use");
}

static void put_signature(struct buf *out, const struct reply *r)
{
    struct buf text = {0};
    buf_printf(&text, "signature of %016" PRIx64, r->ask->id);
    buf_str(out, "\"");
    buf_base64(out, text.ptr, text.len);
    buf_str(out, "\"");
    buf_free(&text);
}

static void put_tool_use(struct buf *out, const struct reply *r, size_t i)
{
    buf_printf(out,
               "\"toolUse\":{\"toolUseId\":\"tooluse_%016" PRIx64 "\",\"name\":", r->ask->id + i);
    buf_json(out, r->calls[i].tool->name);
}

static void write_document(struct content *c, const struct reply *r)
{
    struct buf *out = &c->bytes;
    buf_str(out, "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[");
    size_t open = out->len;
    if (r->thoughts.piece_n > 0) {
        buf_str(out, "{\"reasoningContent\":{\"reasoningText\":{\"text\":");
        buf_json(out, buf_view(&r->thoughts.bytes));
        buf_str(out, ",\"signature\":");
        put_signature(out, r);
        buf_str(out, "}}}");
    }
    if (reply_has_text(r)) {
        buf_str(out, out->len > open ? ",{\"text\":" : "{\"text\":");
        buf_json(out, buf_view(&r->text.bytes));
        buf_str(out, "}");
    }
    for (size_t i = 0; i < r->call_n; i++) {
        struct str input = buf_view(&r->calls[i].arguments.bytes);
        buf_str(out, out->len > open ? ",{" : "{");
        put_tool_use(out, r, i);
        buf_str(out, ",\"input\":");
        buf_put(out, input.len > 0 ? input : STR("{}"));
        buf_str(out, "}}");
    }
    buf_printf(out, "]}},\"stopReason\":\"%s\",", stop_reason(r));
    put_usage(out, r);
    buf_str(out, "}");
    content_document(c, "application/json");
}

/* One frame whose payload is {<members>,"p":<padding>}. */
static void event(struct content *c, const char *name, struct str members)
{
    struct buf json = {0};
    buf_str(&json, "{");
    buf_put(&json, members);
    buf_str(&json, ",\"p\":\"abcdefghijklm\"}");
    eventstream_frame(&c->bytes, "event", name, buf_view(&json));
    content_end_piece(c);
    buf_free(&json);
}

static void delta(struct content *c, size_t index, const char *before, struct str text,
                  const char *after)
{
    struct buf json = {0};
    buf_printf(&json, "\"contentBlockIndex\":%zu,\"delta\":%s", index, before);
    buf_json(&json, text);
    buf_str(&json, after);
    event(c, "contentBlockDelta", buf_view(&json));
    buf_free(&json);
}

static void deltas(struct content *c, size_t index, const char *before, const struct content *from,
                   const char *after)
{
    for (size_t i = 0; i < from->piece_n; i++) {
        delta(c, index, before, content_piece(from, i), after);
    }
}

static void block_stop(struct content *c, size_t index)
{
    struct buf json = {0};
    buf_printf(&json, "\"contentBlockIndex\":%zu", index);
    event(c, "contentBlockStop", buf_view(&json));
    buf_free(&json);
}

static void stream_thoughts(struct content *c, const struct reply *r, size_t index)
{
    struct buf json = {0};
    deltas(c, index, "{\"reasoningContent\":{\"text\":", &r->thoughts, "}}");
    buf_printf(&json,
               "\"contentBlockIndex\":%zu,\"delta\":{\"reasoningContent\":{\"signature\":", index);
    put_signature(&json, r);
    buf_str(&json, "}}");
    event(c, "contentBlockDelta", buf_view(&json));
    block_stop(c, index);
    buf_free(&json);
}

static void stream_call(struct content *c, const struct reply *r, size_t index, size_t i)
{
    struct buf json = {0};
    buf_printf(&json, "\"contentBlockIndex\":%zu,\"start\":{", index);
    put_tool_use(&json, r, i);
    buf_str(&json, "}}");
    event(c, "contentBlockStart", buf_view(&json)); /* only calls have a start */
    deltas(c, index, "{\"toolUse\":{\"input\":", &r->calls[i].arguments, "}}");
    block_stop(c, index);
    buf_free(&json);
}

static void write_stream(struct content *c, const struct reply *r)
{
    size_t index = 0;
    struct buf json = {0};
    event(c, "messageStart", STR("\"role\":\"assistant\""));
    if (r->thoughts.piece_n > 0) {
        stream_thoughts(c, r, index++);
    }
    if (reply_has_text(r)) {
        deltas(c, index, "{\"text\":", &r->text, "}");
        block_stop(c, index++);
    }
    for (size_t i = 0; i < r->call_n; i++) {
        stream_call(c, r, index++, i);
    }
    buf_printf(&json, "\"stopReason\":\"%s\"", stop_reason(r));
    event(c, "messageStop", buf_view(&json));
    if (!r->ask->b.no_done) { /* usage comes after the stop */
        json.len = 0;
        put_usage(&json, r);
        event(c, "metadata", buf_view(&json));
    }
    buf_free(&json);
    c->is_stream = true;
    c->type = "application/vnd.amazon.eventstream";
}

void bedrock_answer(struct content *c, const struct ask *a)
{
    struct reply r;
    const char *fault = fault_of(a);
    if (fault != NULL) {
        content_refuse(c, a, 400, fault);
        return;
    }
    reply_make(&r, a);
    if (a->stream) {
        write_stream(c, &r);
    } else {
        write_document(c, &r);
    }
    reply_deinit(&r);
}

/* The JSON of an SSE event, between "data:" and the end of its line. */
static struct str data_of(struct str event)
{
    static const char mark[] = "data:";
    const char *at = memmem(event.ptr, event.len, mark, sizeof(mark) - 1);
    if (at == NULL) {
        return STR("");
    }
    at += sizeof(mark) - 1;
    size_t left = event.len - (size_t)(at - event.ptr);
    const char *lf = memchr(at, '\n', left);
    return (struct str){at, lf != NULL ? (size_t)(lf - at) : left};
}

/* Anthropic's events, each in a frame of its own as base64. */
void bedrock_invoke(struct content *c, const struct ask *a)
{
    struct content own = {.status = c->status};
    anthropic_answer(a->stream ? &own : c, a);
    if (a->stream && !own.is_stream) { /* it was refused */
        c->status = own.status;
        buf_put(&c->headers, buf_view(&own.headers));
        buf_put(&c->bytes, buf_view(&own.bytes));
        content_document(c, own.type);
    } else if (a->stream) {
        struct buf json = {0};
        for (size_t i = 0; i < own.piece_n; i++) {
            struct str data = data_of(content_piece(&own, i));
            json.len = 0;
            buf_str(&json, "\"bytes\":\"");
            buf_base64(&json, data.ptr, data.len);
            buf_str(&json, "\"");
            event(c, "chunk", buf_view(&json));
        }
        buf_free(&json);
        c->is_stream = true;
        c->type = "application/vnd.amazon.eventstream";
    }
    content_deinit(&own);
}
