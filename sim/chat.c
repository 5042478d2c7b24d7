#include "chat.h"

#include "reply.h"
#include "trouble.h"

#include <inttypes.h>
#include <string.h>

enum { CHOICES_MAX = 16 };

struct shape { /* what differs between the two endpoints */
    const char *id_prefix;
    const char *object;
    const char *chunk_object;
    bool is_chat;
};

static const struct shape chat_shape = {"chatcmpl-", "chat.completion", "chat.completion.chunk",
                                        true};
static const struct shape text_shape = {"cmpl-", "text_completion", "text_completion", false};

/* One answer of one or more equal choices. */
struct said {
    const struct ask *ask;
    const struct shape *shape;
    struct reply reply;
    const char *finish;
    int64_t completion_tokens;
    int64_t choices;
};

static const char filter_results[] =
    "{\"hate\":{\"filtered\":false,\"severity\":\"safe\"},\"self_harm\":{\"filtered\":false,"
    "\"severity\":\"safe\"},\"sexual\":{\"filtered\":false,\"severity\":\"safe\"},\"violence\":{"
    "\"filtered\":false,\"severity\":\"safe\"}}";

static void read_limits(struct prompt *p, yyjson_val *root)
{
    static const char *const names[] = {"max_tokens", "max_completion_tokens"};
    for (size_t i = 0; i < 2; i++) {
        yyjson_val *v = yyjson_obj_get(root, names[i]);
        int64_t n = yyjson_is_uint(v) ? (int64_t)yyjson_get_uint(v) : -1;
        p->max_tokens = n >= 0 && (p->max_tokens < 0 || n < p->max_tokens) ? n : p->max_tokens;
    }
}

void chat_read(struct prompt *p, const struct ask *a)
{
    yyjson_val *format = yyjson_obj_get(a->root, "response_format");
    yyjson_val *choice = yyjson_obj_get(a->root, "tool_choice");
    size_t i;
    size_t n;
    yyjson_val *v;
    yyjson_arr_foreach(yyjson_obj_get(a->root, "messages"), i, n, v)
    {
        struct str role = json_member(v, "role");
        yyjson_val *content = yyjson_obj_get(v, "content");
        prompt_turn(p, str_is(role, "user") || str_is(role, "tool"));
        if (str_is(role, "tool")) {
            prompt_result(p, content);
        } else {
            prompt_content(p, content);
        }
    }
    yyjson_arr_foreach(yyjson_obj_get(a->root, "tools"), i, n, v)
    {
        yyjson_val *function = yyjson_obj_get(v, "function");
        prompt_tool(p, (struct tool){json_member(function, "name"),
                                     yyjson_obj_get(function, "parameters"), false});
    }
    p->wanted = json_member(yyjson_obj_get(choice, "function"), "name");
    p->no_tools = str_is(json_str(choice), "none");
    p->must_call = str_is(json_str(choice), "required");
    struct str type = json_member(format, "type");
    p->schema = yyjson_obj_get(yyjson_obj_get(format, "json_schema"), "schema");
    p->wants_json = str_is(type, "json_object") || str_is(type, "json_schema");
    read_limits(p, a->root);
}

void text_read(struct prompt *p, const struct ask *a)
{
    prompt_turn(p, true);
    p->tokens = 0; /* only words count here */
    prompt_content(p, yyjson_obj_get(a->root, "prompt"));
    read_limits(p, a->root);
}

static void put_usage(struct buf *out, const struct said *r, int64_t completion)
{
    const struct behaviour *b = &r->ask->b;
    buf_printf(out,
               "{\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64
               ",\"total_tokens\":%" PRId64 ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRId64
               ",\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":%" PRId64
               ",\"audio_tokens\":0}}",
               r->reply.prompt_tokens, completion, r->reply.prompt_tokens + completion,
               b->cached_tokens > 0 ? b->cached_tokens : 0, r->reply.thought_tokens);
}

static bool usage_is(const struct said *r, const char *mode)
{
    return reply_usage_is(&r->reply, mode);
}

static void put_open(struct buf *out, const struct said *r, const char *object)
{
    buf_printf(out,
               "{\"id\":\"%s%016" PRIx64 "\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":",
               r->shape->id_prefix, r->ask->id, object, r->ask->created);
    buf_json(out, r->ask->model);
    buf_str(out, ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_sim\",\"choices\":[");
}

/* Call i as a whole, or as it opens in a stream. */
static void put_tool_call(struct buf *out, const struct said *r, size_t i, bool opens)
{
    const struct call *call = &r->reply.calls[i];
    buf_str(out, "{");
    if (opens) {
        buf_printf(out, "\"index\":%zu,", i);
    }
    buf_printf(out, "\"id\":\"call_%016" PRIx64 "\",\"type\":\"function\"", r->ask->id + i);
    buf_str(out, ",\"function\":{\"name\":");
    buf_json(out, call->tool->name);
    buf_str(out, ",\"arguments\":");
    buf_json(out, opens ? STR("") : buf_view(&call->arguments.bytes));
    buf_str(out, "}}");
}

static void put_message(struct buf *out, const struct said *r)
{
    const struct reply *reply = &r->reply;
    buf_str(out, "\"message\":{\"role\":\"assistant\",\"content\":");
    if (reply_has_text(reply)) {
        buf_json(out, buf_view(&reply->text.bytes));
    } else {
        buf_str(out, "null");
    }
    if (reply->thoughts.piece_n > 0) {
        buf_str(out, ",\"reasoning_content\":");
        buf_json(out, buf_view(&reply->thoughts.bytes));
    }
    for (size_t i = 0; i < reply->call_n; i++) {
        buf_str(out, i > 0 ? "," : ",\"tool_calls\":[");
        put_tool_call(out, r, i, false);
    }
    buf_str(out, reply->call_n > 0 ? "]" : "");
    buf_str(out, ",\"refusal\":null,\"annotations\":[]}");
}

static void put_choice(struct buf *out, const struct said *r, int64_t index)
{
    buf_printf(out, "%s{\"index\":%" PRId64 ",", index > 0 ? "," : "", index);
    if (r->shape->is_chat) {
        put_message(out, r);
    } else {
        buf_str(out, "\"text\":");
        buf_json(out, buf_view(&r->reply.text.bytes));
    }
    if (r->ask->dialect == AZURE) {
        buf_printf(out, ",\"content_filter_results\":%s", filter_results);
    }
    buf_printf(out, ",\"logprobs\":null,\"finish_reason\":\"%s\"}", r->finish);
}

static void put_prompt_filter(struct buf *out)
{
    buf_printf(out,
               ",\"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_results\":%s}]",
               filter_results);
}

static void write_document(struct content *c, const struct said *r)
{
    put_open(&c->bytes, r, r->shape->object);
    for (int64_t i = 0; i < r->choices; i++) {
        put_choice(&c->bytes, r, i);
    }
    buf_str(&c->bytes, "]");
    if (r->ask->dialect == AZURE) {
        put_prompt_filter(&c->bytes);
    }
    if (!usage_is(r, "none")) {
        buf_str(&c->bytes, ",\"usage\":");
        put_usage(&c->bytes, r, r->completion_tokens);
    }
    buf_str(&c->bytes, "}");
    content_document(c, "application/json");
}

/* One chunk with one choice. member is the delta's or choice's inside; last closes the choice. */
static void write_chunk(struct content *c, const struct said *r, int64_t index, struct str member,
                        bool last)
{
    struct buf json = {0};
    put_open(&json, r, r->shape->chunk_object);
    buf_printf(&json, "{\"index\":%" PRId64 ",", index);
    buf_str(&json, r->shape->is_chat ? "\"delta\":{" : "");
    buf_put(&json, member);
    buf_str(&json, r->shape->is_chat ? "}" : "");
    buf_printf(&json, ",\"logprobs\":null,\"finish_reason\":%s%s%s}]", last ? "\"" : "",
               last ? r->finish : "null", last ? "\"" : "");
    if (usage_is(r, "every") || (last && usage_is(r, "last"))) {
        buf_str(&json, ",\"usage\":");
        put_usage(&json, r, last ? r->completion_tokens : (int64_t)c->piece_n);
    } else if (last && usage_is(r, "xgroq")) {
        buf_str(&json, ",\"x_groq\":{\"id\":\"req_sim\",\"usage\":");
        put_usage(&json, r, r->completion_tokens);
        buf_str(&json, "}");
    } else if (r->ask->b.usage == NULL ? r->ask->include_usage : usage_is(r, "always")) {
        buf_str(&json, ",\"usage\":null");
    }
    buf_str(&json, "}");
    content_event(c, &r->ask->b, NULL, buf_view(&json));
    buf_free(&json);
}

/* The same delta for every choice. */
static void write_chunks(struct content *c, const struct said *r, const struct buf *member)
{
    for (int64_t k = 0; k < r->choices; k++) {
        write_chunk(c, r, k, buf_view(member), false);
    }
}

/* Azure's first chunk says what its filter thinks of the prompt, and nothing else. */
static void write_filter_chunk(struct content *c, const struct said *r)
{
    struct buf json = {0};
    buf_str(&json, "{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\"");
    put_prompt_filter(&json);
    buf_str(&json, "}");
    content_event(c, &r->ask->b, NULL, buf_view(&json));
    buf_free(&json);
}

static void write_opening(struct content *c, const struct said *r)
{
    const struct reply *reply = &r->reply;
    struct buf json = {0};
    if (r->ask->dialect == AZURE) {
        write_filter_chunk(c, r);
    }
    if (!r->shape->is_chat) {
        return;
    }
    if (reply_has_text(reply)) {
        buf_str(&json, "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null");
    } else {
        buf_str(&json, "\"role\":\"assistant\",\"content\":null");
        if (reply->thoughts.piece_n == 0) { /* the first call opens with the role */
            buf_str(&json, ",\"tool_calls\":[");
            put_tool_call(&json, r, 0, true);
            buf_str(&json, "]");
        }
        buf_str(&json, ",\"refusal\":null");
    }
    write_chunks(c, r, &json);
    buf_free(&json);
}

static void write_pieces(struct content *c, const struct said *r, const struct content *from,
                         const char *before, const char *after)
{
    struct buf json = {0};
    for (size_t i = 0; i < from->piece_n; i++) {
        json.len = 0;
        buf_str(&json, before);
        buf_json(&json, content_piece(from, i));
        buf_str(&json, after);
        write_chunks(c, r, &json);
    }
    buf_free(&json);
}

static void write_deltas(struct content *c, const struct said *r)
{
    const struct reply *reply = &r->reply;
    bool opened = !reply_has_text(reply) && reply->thoughts.piece_n == 0;
    if (r->shape->is_chat) {
        write_pieces(c, r, &reply->thoughts, "\"reasoning_content\":", "");
    }
    write_pieces(c, r, &reply->text, r->shape->is_chat ? "\"content\":" : "\"text\":", "");
    for (size_t i = 0; i < reply->call_n; i++) {
        struct buf json = {0};
        if (i > 0 || !opened) {
            buf_str(&json, "\"tool_calls\":[");
            put_tool_call(&json, r, i, true);
            buf_str(&json, "]");
            write_chunks(c, r, &json);
        }
        json.len = 0;
        buf_printf(&json, "\"tool_calls\":[{\"index\":%zu,\"function\":{\"arguments\":", i);
        buf_add(&json, "", 1);
        write_pieces(c, r, &reply->calls[i].arguments, json.ptr, "}}]");
        buf_free(&json);
    }
}

static void write_closing(struct content *c, const struct said *r)
{
    const struct behaviour *b = &r->ask->b;
    for (int64_t k = 0; k < r->choices; k++) {
        write_chunk(c, r, k, r->shape->is_chat ? STR("") : STR("\"text\":\"\""), true);
    }
    bool asked = r->ask->include_usage && (b->usage == NULL || usage_is(r, "every"));
    if (asked || usage_is(r, "always")) {
        struct buf json = {0};
        put_open(&json, r, r->shape->chunk_object);
        buf_str(&json, "],\"usage\":");
        put_usage(&json, r, r->completion_tokens);
        buf_str(&json, "}");
        content_event(c, b, NULL, buf_view(&json));
        buf_free(&json);
    }
    if (!b->no_done) {
        content_event(c, b, NULL, STR("[DONE]"));
    }
}

static void complete(struct content *c, const struct ask *a, const struct shape *shape)
{
    struct said r = {.ask = a, .shape = shape};
    int64_t n = yyjson_get_sint(yyjson_obj_get(a->root, "n"));
    reply_make(&r.reply, a);
    r.choices = n < 1 ? 1 : n > CHOICES_MAX ? CHOICES_MAX : n;
    r.completion_tokens =
        a->b.completion_tokens >= 0 ? a->b.completion_tokens : r.reply.output_tokens * r.choices;
    /* A named choice finishes with stop, as OpenAI's does. */
    r.finish =
        reply_finish(&r.reply, "stop", "length", a->prompt.wanted.len > 0 ? "stop" : "tool_calls");
    if (a->stream) {
        write_opening(c, &r);
        write_deltas(c, &r);
        write_closing(c, &r);
        c->type = "text/event-stream; charset=utf-8";
        c->is_stream = true;
    } else {
        write_document(c, &r);
    }
    reply_deinit(&r.reply);
}

void chat_answer(struct content *c, const struct ask *a)
{
    yyjson_val *messages = yyjson_obj_get(a->root, "messages");
    if (messages == NULL) {
        content_error(c, 400, "Missing required parameter: 'messages'.", "messages",
                      "missing_required_parameter");
    } else if (!yyjson_is_arr(messages)) {
        content_error(c, 400, "Invalid type for 'messages': expected an array of objects.",
                      "messages", "invalid_type");
    } else if (yyjson_arr_size(messages) == 0) {
        content_error(
            c, 400,
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but "
            "got an empty array instead.",
            "messages", "empty_array");
    } else {
        complete(c, a, &chat_shape);
    }
}

void text_answer(struct content *c, const struct ask *a)
{
    complete(c, a, &text_shape);
}
