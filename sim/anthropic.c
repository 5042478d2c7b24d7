#include "anthropic.h"

#include "reply.h"
#include "trouble.h"

#include <inttypes.h>
#include <string.h>

static const char json_type[] = "application/json";

static void read_blocks(struct prompt *p, yyjson_val *content)
{
    size_t i;
    size_t n;
    yyjson_val *block;
    if (yyjson_is_str(content)) {
        prompt_text(p, json_str(content));
        return;
    }
    yyjson_arr_foreach(content, i, n, block)
    {
        struct str type = json_member(block, "type");
        yyjson_val *inner = yyjson_obj_get(block, "content");
        if (str_is(type, "tool_result")) {
            prompt_result(p, inner != NULL ? inner : block);
        } else if (str_is(type, "text")) {
            prompt_text(p, json_member(block, "text"));
        }
    }
}

static void read_tools(struct prompt *p, const struct ask *a)
{
    size_t i;
    size_t n;
    yyjson_val *tool;
    yyjson_val *choice = yyjson_obj_get(a->root, "tool_choice");
    yyjson_arr_foreach(yyjson_obj_get(a->root, "tools"), i, n, tool)
    {
        yyjson_val *schema = yyjson_obj_get(tool, "input_schema");
        if (schema != NULL) { /* the server's own tools have none, and are never called here */
            prompt_tool(p, (struct tool){json_member(tool, "name"), schema, false});
        }
    }
    p->wanted = json_member(choice, "name");
    p->no_tools = str_is(json_member(choice, "type"), "none");
    p->must_call = str_is(json_member(choice, "type"), "any");
}

static bool thinks(const struct ask *a)
{
    struct str type = json_member(yyjson_obj_get(a->root, "thinking"), "type");
    return str_is(type, "enabled") || str_is(type, "adaptive");
}

void anthropic_read(struct prompt *p, const struct ask *a)
{
    size_t i;
    size_t n;
    yyjson_val *v;
    yyjson_val *system = yyjson_obj_get(a->root, "system");
    if (system != NULL) {
        prompt_turn(p, false);
        prompt_content(p, system);
    }
    yyjson_arr_foreach(yyjson_obj_get(a->root, "messages"), i, n, v)
    {
        prompt_turn(p, str_is(json_member(v, "role"), "user"));
        read_blocks(p, yyjson_obj_get(v, "content"));
    }
    read_tools(p, a);
    yyjson_val *format = yyjson_obj_get(yyjson_obj_get(a->root, "output_config"), "format");
    format = format != NULL ? format : yyjson_obj_get(a->root, "output_format");
    p->schema = yyjson_obj_get(format, "schema");
    p->wants_json = p->schema != NULL;
    p->thinks = thinks(a);
    v = yyjson_obj_get(a->root, "max_tokens");
    p->max_tokens = yyjson_is_uint(v) ? (int64_t)yyjson_get_uint(v) : -1;
}

/* The ids of one kind of block in a message, each in quotes, for find_id(). */
static bool has_id(yyjson_val *message, const char *type, const char *member, struct str id)
{
    size_t i;
    size_t n;
    yyjson_val *block;
    yyjson_arr_foreach(yyjson_obj_get(message, "content"), i, n, block)
    {
        if (str_is(json_member(block, "type"), type) && str_same(json_member(block, member), id)) {
            return true;
        }
    }
    return false;
}

/* Every tool_use is answered in the very next message, and nothing else is. */
static bool refuse_pairs(struct content *c, const struct ask *a, yyjson_val *before,
                         yyjson_val *message, size_t index)
{
    size_t i;
    size_t n;
    yyjson_val *block;
    yyjson_arr_foreach(yyjson_obj_get(message, "content"), i, n, block)
    {
        struct str id = json_member(block, "tool_use_id");
        if (str_is(json_member(block, "type"), "tool_result") &&
            !has_id(before, "tool_use", "id", id)) {
            content_refusef(c, a, 400,
                            "messages.%zu.content.%zu: unexpected `tool_use_id` found in "
                            "`tool_result` blocks: %.*s. Each `tool_result` block must have a "
                            "corresponding `tool_use` block in the previous message.",
                            index, i, (int)id.len, id.ptr);
            return true;
        }
    }
    yyjson_arr_foreach(yyjson_obj_get(before, "content"), i, n, block)
    {
        struct str id = json_member(block, "id");
        if (str_is(json_member(block, "type"), "tool_use") &&
            !has_id(message, "tool_result", "tool_use_id", id)) {
            content_refusef(c, a, 400,
                            "messages.%zu: `tool_use` ids were found without `tool_result` blocks "
                            "immediately after: %.*s. Each `tool_use` block must have a "
                            "corresponding `tool_result` block in the next message.",
                            index - 1, (int)id.len, id.ptr);
            return true;
        }
    }
    return false;
}

/* What is wrong with one block; NULL: nothing. */
static const char *block_fault(yyjson_val *block)
{
    struct str type = json_member(block, "type");
    if (type.len == 0) {
        return "type: Field required";
    }
    if (str_is(type, "text") && json_member(block, "text").len == 0) {
        return "text content blocks must be non-empty";
    }
    if (str_is(type, "tool_use") && !yyjson_is_obj(yyjson_obj_get(block, "input"))) {
        return "tool_use.input: Input should be a valid dictionary";
    }
    if (str_is(type, "thinking") && json_member(block, "signature").len == 0) {
        return "thinking.signature: Field required";
    }
    return NULL;
}

static bool refuse_message(struct content *c, const struct ask *a, yyjson_val *message, size_t at)
{
    struct str role = json_member(message, "role");
    yyjson_val *content = yyjson_obj_get(message, "content");
    size_t i;
    size_t n;
    yyjson_val *block;
    if (!str_is(role, "user") && !str_is(role, "assistant") && !str_is(role, "system")) {
        content_refusef(c, a, 400, "messages.%zu.role: Input should be 'user' or 'assistant'", at);
        return true;
    }
    if (!yyjson_is_str(content) && !yyjson_is_arr(content)) {
        content_refusef(c, a, 400, "messages.%zu.content: Input should be a valid list", at);
        return true;
    }
    yyjson_arr_foreach(content, i, n, block)
    {
        const char *fault = block_fault(block);
        if (fault != NULL) {
            content_refusef(c, a, 400, "messages.%zu.content.%zu.%s", at, i, fault);
            return true;
        }
    }
    return false;
}

static bool refuse_messages(struct content *c, const struct ask *a)
{
    yyjson_val *messages = yyjson_obj_get(a->root, "messages");
    yyjson_val *before = NULL;
    size_t i;
    size_t n;
    yyjson_val *message;
    if (!yyjson_is_arr(messages)) {
        content_refuse(c, a, 400, "messages: Field required");
        return true;
    }
    if (yyjson_arr_size(messages) == 0) {
        content_refuse(c, a, 400, "messages: at least one message is required");
        return true;
    }
    yyjson_arr_foreach(messages, i, n, message)
    {
        if (refuse_message(c, a, message, i) || refuse_pairs(c, a, before, message, i)) {
            return true;
        }
        before = message;
    }
    return false;
}

/* What is wrong with the members beside the messages; NULL: nothing. */
static const char *member_fault(const struct ask *a, bool counts)
{
    static const char *const sampling[] = {"temperature", "top_p", "top_k"};
    yyjson_val *thinking = yyjson_obj_get(a->root, "thinking");
    yyjson_val *budget = yyjson_obj_get(thinking, "budget_tokens");
    struct str choice = json_member(yyjson_obj_get(a->root, "tool_choice"), "type");
    struct str version = http_header(a->http, "anthropic-version");
    version = version.ptr != NULL ? version
                                  : json_member(a->root, "anthropic_version"); /* Vertex, Bedrock */
    int64_t max = a->prompt.max_tokens;
    if (version.len == 0) {
        return "anthropic-version: header is required";
    }
    for (size_t i = 0; i < 3 && str_is(version, "2026-10-21"); i++) {
        if (yyjson_obj_get(a->root, sampling[i]) != NULL) {
            return "temperature, top_p and top_k are not accepted by this anthropic-version";
        }
    }
    if (!counts && max < 0) {
        return "max_tokens: Field required";
    }
    if (str_is(json_member(thinking, "type"), "enabled") && yyjson_get_sint(budget) < 1024) {
        return "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024";
    }
    if (!counts && budget != NULL && yyjson_get_sint(budget) >= max) {
        return "`max_tokens` must be greater than `thinking.budget_tokens`.";
    }
    if (thinks(a) && (str_is(choice, "any") || str_is(choice, "tool"))) {
        return "Thinking may not be enabled when tool_choice forces tool use.";
    }
    return NULL;
}

static bool refuse(struct content *c, const struct ask *a, bool counts)
{
    const char *fault = member_fault(a, counts);
    if (fault != NULL) {
        content_refuse(c, a, 400, fault);
        return true;
    }
    return refuse_messages(c, a);
}

static void put_input_usage(struct buf *out, const struct reply *r)
{
    const struct behaviour *b = &r->ask->b;
    int64_t written = reply_told(b->cache_write_tokens, 0);
    buf_printf(out,
               "{\"input_tokens\":%" PRId64 ",\"cache_creation_input_tokens\":%" PRId64
               ",\"cache_read_input_tokens\":%" PRId64
               ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":%" PRId64
               ",\"ephemeral_1h_input_tokens\":0}",
               r->prompt_tokens, written, reply_told(b->cached_tokens, 0), written);
}

static void put_usage(struct buf *out, const struct reply *r)
{
    put_input_usage(out, r);
    buf_printf(out,
               ",\"output_tokens\":%" PRId64
               ",\"output_tokens_details\":{\"thinking_tokens\":%" PRId64
               "},\"service_tier\":\"standard\"}",
               r->output_tokens, r->thought_tokens);
}

static const char *stop_reason(const struct reply *r)
{
    return reply_finish(r, "end_turn", "max_tokens", "tool_use");
}

static void put_open(struct buf *out, const struct reply *r)
{
    buf_printf(out, "{\"id\":\"msg_%016" PRIx64 "\",\"type\":\"message\",\"role\":\"assistant\"",
               r->ask->id);
    buf_str(out, ",\"model\":");
    buf_json(out, r->ask->model);
    buf_str(out, ",\"content\":[");
}

/* The signature that stands for the thoughts; base64 of their hash. */
static void put_signature(struct buf *out, const struct reply *r)
{
    struct buf text = {0};
    buf_printf(&text, "signature of %016" PRIx64, str_hash(buf_view(&r->thoughts.bytes), 5));
    buf_str(out, "\"");
    buf_base64(out, text.ptr, text.len);
    buf_str(out, "\"");
    buf_free(&text);
}

static void put_tool_use(struct buf *out, const struct reply *r, size_t i, struct str input)
{
    buf_printf(out,
               "{\"type\":\"tool_use\",\"id\":\"toolu_%016" PRIx64 "\",\"name\":", r->ask->id + i);
    buf_json(out, r->calls[i].tool->name);
    buf_str(out, ",\"input\":");
    buf_put(out, input.len > 0 ? input : STR("{}"));
    buf_str(out, "}");
}

static bool has_text_block(const struct reply *r)
{
    return r->text.piece_n > 0 || (r->call_n == 0 && r->ask->prompt.max_tokens != 0);
}

static void write_document(struct content *c, const struct reply *r)
{
    struct buf *out = &c->bytes;
    put_open(out, r);
    if (r->thoughts.piece_n > 0) {
        buf_str(out, "{\"type\":\"thinking\",\"thinking\":");
        buf_json(out, buf_view(&r->thoughts.bytes));
        buf_str(out, ",\"signature\":");
        put_signature(out, r);
        buf_str(out, has_text_block(r) || r->call_n > 0 ? "}," : "}");
    }
    if (has_text_block(r)) {
        buf_str(out, "{\"type\":\"text\",\"text\":");
        buf_json(out, buf_view(&r->text.bytes));
        buf_str(out, r->call_n > 0 ? "}," : "}");
    }
    for (size_t i = 0; i < r->call_n; i++) {
        buf_str(out, i > 0 ? "," : "");
        put_tool_use(out, r, i, buf_view(&r->calls[i].arguments.bytes));
    }
    buf_printf(out, "],\"stop_reason\":\"%s\",\"stop_sequence\":null,\"stop_details\":null",
               stop_reason(r));
    if (!reply_usage_is(r, "none")) {
        buf_str(out, ",\"usage\":");
        put_usage(out, r);
    }
    buf_str(out, "}");
    content_document(c, json_type);
}

/* One event whose data is {"type":name,<members>}. */
static void event(struct content *c, const struct reply *r, const char *name, struct str members)
{
    struct buf json = {0};
    buf_printf(&json, "{\"type\":\"%s\"%s", name, members.len > 0 ? "," : "");
    buf_put(&json, members);
    buf_str(&json, "}");
    content_event(c, &r->ask->b, name, buf_view(&json));
    buf_free(&json);
}

static void block_start(struct content *c, const struct reply *r, size_t index, struct str block)
{
    struct buf json = {0};
    buf_printf(&json, "\"index\":%zu,\"content_block\":", index);
    buf_put(&json, block);
    event(c, r, "content_block_start", buf_view(&json));
    buf_free(&json);
    if (index == 0) {
        event(c, r, "ping", STR(""));
    }
}

/* The pieces as deltas {"type":<type>_delta,<member>:piece}. */
static void block_deltas(struct content *c, const struct reply *r, size_t index, const char *open,
                         const struct content *from)
{
    struct buf json = {0};
    for (size_t i = 0; i < from->piece_n; i++) {
        json.len = 0;
        buf_printf(&json, "\"index\":%zu,\"delta\":{%s", index, open);
        buf_json(&json, content_piece(from, i));
        buf_str(&json, "}");
        event(c, r, "content_block_delta", buf_view(&json));
    }
    buf_free(&json);
}

static void block_stop(struct content *c, const struct reply *r, size_t index)
{
    struct buf json = {0};
    buf_printf(&json, "\"index\":%zu", index);
    event(c, r, "content_block_stop", buf_view(&json));
    buf_free(&json);
}

static void stream_thoughts(struct content *c, const struct reply *r, size_t index)
{
    struct buf json = {0};
    block_start(c, r, index, STR("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"));
    block_deltas(c, r, index, "\"type\":\"thinking_delta\",\"thinking\":", &r->thoughts);
    buf_printf(&json,
               "\"index\":%zu,\"delta\":{\"type\":\"signature_delta\",\"signature\":", index);
    put_signature(&json, r);
    buf_str(&json, "}");
    event(c, r, "content_block_delta", buf_view(&json));
    block_stop(c, r, index);
    buf_free(&json);
}

static void stream_call(struct content *c, const struct reply *r, size_t index, size_t call)
{
    static const char open[] = "\"type\":\"input_json_delta\",\"partial_json\":";
    struct content empty = {0};
    struct buf json = {0};
    put_tool_use(&json, r, call, STR(""));
    block_start(c, r, index, buf_view(&json));
    content_end_piece(&empty); /* the first fragment is empty, as the real one's */
    empty.bytes.ptr = xdup(STR(""));
    block_deltas(c, r, index, open, &empty);
    block_deltas(c, r, index, open, &r->calls[call].arguments);
    block_stop(c, r, index);
    content_deinit(&empty);
    buf_free(&json);
}

static void stream_opening(struct content *c, const struct reply *r)
{
    struct buf json = {0};
    buf_str(&json, "\"message\":");
    put_open(&json, r);
    buf_str(&json, "],\"stop_reason\":null,\"stop_sequence\":null");
    if (!reply_usage_is(r, "none") && !reply_usage_is(r, "last")) {
        buf_str(&json, ",\"usage\":");
        put_input_usage(&json, r);
        buf_str(&json, ",\"output_tokens\":1,\"service_tier\":\"standard\"}");
    }
    buf_str(&json, "}");
    event(c, r, "message_start", buf_view(&json));
    buf_free(&json);
}

static void stream_closing(struct content *c, const struct reply *r)
{
    struct buf json = {0};
    buf_printf(&json, "\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":null}", stop_reason(r));
    if (!reply_usage_is(r, "none")) {
        buf_str(&json, ",\"usage\":");
        put_usage(&json, r);
    }
    event(c, r, "message_delta", buf_view(&json));
    if (!r->ask->b.no_done) {
        event(c, r, "message_stop", STR(""));
    }
    buf_free(&json);
}

static void write_stream(struct content *c, const struct reply *r)
{
    size_t index = 0;
    stream_opening(c, r);
    if (r->thoughts.piece_n > 0) {
        stream_thoughts(c, r, index++);
    }
    if (has_text_block(r)) {
        block_start(c, r, index, STR("{\"type\":\"text\",\"text\":\"\"}"));
        block_deltas(c, r, index, "\"type\":\"text_delta\",\"text\":", &r->text);
        block_stop(c, r, index++);
    }
    for (size_t i = 0; i < r->call_n; i++) {
        stream_call(c, r, index++, i);
    }
    stream_closing(c, r);
    c->type = "text/event-stream; charset=utf-8";
    c->is_stream = true;
}

void anthropic_answer(struct content *c, const struct ask *a)
{
    struct reply r;
    if (refuse(c, a, false)) {
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

void anthropic_count(struct content *c, const struct ask *a)
{
    if (!refuse(c, a, true)) {
        buf_printf(&c->bytes, "{\"input_tokens\":%" PRId64 "}",
                   reply_told(a->b.prompt_tokens, a->prompt.tokens));
        content_document(c, json_type);
    }
}

static void put_model(struct buf *out, struct str id)
{
    buf_str(out, "{\"type\":\"model\",\"id\":");
    buf_json(out, id);
    buf_str(out, ",\"display_name\":");
    buf_json(out, id);
    buf_str(out, ",\"created_at\":\"2026-01-02T03:04:05Z\"}");
}

void anthropic_models(struct content *c, const struct ask *a)
{
    static const char *const ids[] = {"claude-opus-5", "claude-sonnet-5", "claude-haiku-4-5"};
    (void)a;
    buf_str(&c->bytes, "{\"data\":[");
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        buf_str(&c->bytes, i > 0 ? "," : "");
        put_model(&c->bytes, (struct str){ids[i], strlen(ids[i])});
    }
    buf_printf(&c->bytes, "],\"has_more\":false,\"first_id\":\"%s\",\"last_id\":\"%s\"}", ids[0],
               ids[sizeof(ids) / sizeof(ids[0]) - 1]);
    content_document(c, json_type);
}

void anthropic_model(struct content *c, const struct ask *a)
{
    put_model(&c->bytes, a->model);
    content_document(c, json_type);
}
