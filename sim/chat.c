#include "chat.h"

#include "schema.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ECHO_MAX_BYTES = 1000, CHOICES_MAX = 16, ARGUMENT_PIECE_BYTES = 8, FILLER_BYTES = 1024 };

struct shape { /* what differs between the two endpoints */
    const char *id_prefix;
    const char *object;
    const char *chunk_object;
    bool is_chat;
};

static const struct shape chat_shape = {"chatcmpl-", "chat.completion", "chat.completion.chunk",
                                        true};
static const struct shape text_shape = {"cmpl-", "text_completion", "text_completion", false};

/* What is said: pieces of text are tokens, pieces of arguments are the fragments of a tool call. */
struct reply {
    const struct ask *ask;
    const struct shape *shape;
    struct content text;
    struct content arguments;
    struct str tool; /* name of the function called; empty: none */
    const char *finish;
    int64_t prompt_tokens;
    int64_t completion_tokens;
    int64_t choices;
};

struct str json_str(yyjson_val *v)
{
    const char *s = yyjson_get_str(v);
    return s != NULL ? (struct str){s, yyjson_get_len(v)} : STR("");
}

void content_error(struct content *c, int64_t status, const char *message, const char *param,
                   const char *code)
{
    const char *type = status == 429   ? "requests"
                       : status >= 500 ? "server_error"
                       : status == 401 ? "authentication_error"
                                       : "invalid_request_error";
    if (code != NULL && strcmp(code, "insufficient_quota") == 0) {
        type = code;
    }
    c->status = status;
    c->bytes.len = 0;
    buf_str(&c->bytes, "{\"error\":{\"message\":");
    buf_json(&c->bytes, (struct str){message, strlen(message)});
    buf_printf(&c->bytes, ",\"type\":\"%s\",\"param\":", type);
    if (param != NULL) {
        buf_json(&c->bytes, (struct str){param, strlen(param)});
    } else {
        buf_str(&c->bytes, "null");
    }
    buf_str(&c->bytes, ",\"code\":");
    if (code != NULL) {
        buf_json(&c->bytes, (struct str){code, strlen(code)});
    } else {
        buf_str(&c->bytes, "null");
    }
    buf_str(&c->bytes, "}}");
    content_document(c, "application/json");
}

void content_event(struct content *c, const struct behaviour *b, struct str json)
{
    const char *eol = b->crlf ? "\r\n" : "\n";
    if (b->comments > 0 && c->piece_n % (size_t)b->comments == 0) {
        buf_printf(&c->bytes, ": keep-alive%s%s", eol, eol);
    }
    buf_str(&c->bytes, b->nospace ? "data:" : "data: ");
    buf_put(&c->bytes, json);
    buf_str(&c->bytes, eol);
    buf_str(&c->bytes, eol);
    content_end_piece(c);
}

int64_t count_words(struct str s)
{
    int64_t n = 0;
    bool inside = false;
    for (size_t i = 0; i < s.len; i++) {
        bool space = s.ptr[i] == ' ' || s.ptr[i] == '\n' || s.ptr[i] == '\t';
        n += !space && !inside ? 1 : 0;
        inside = !space;
    }
    return n;
}

/* The text of a message's content: a string, or the text parts of a list. */
static void take_text(struct buf *out, yyjson_val *content)
{
    if (yyjson_is_str(content)) {
        buf_put(out, json_str(content));
        return;
    }
    size_t i;
    size_t n;
    yyjson_val *part;
    yyjson_arr_foreach(content, i, n, part)
    {
        if (yyjson_is_str(part)) {
            buf_put(out, json_str(part));
        } else {
            buf_put(out, json_str(yyjson_obj_get(part, "text")));
        }
    }
}

static struct str clip(struct str s)
{
    if (s.len > ECHO_MAX_BYTES) {
        s.len = ECHO_MAX_BYTES;
        while (s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80) {
            s.len--;
        }
    }
    return s;
}

/* The text to answer, and the prompt's words as its tokens. out_role is the last message's. */
static void read_prompt(struct reply *r, struct buf *last, struct str *out_role)
{
    yyjson_val *root = r->ask->root;
    *out_role = STR("user");
    if (!r->shape->is_chat) {
        take_text(last, yyjson_obj_get(root, "prompt"));
        r->prompt_tokens = count_words(buf_view(last));
        return;
    }
    size_t i;
    size_t n;
    yyjson_val *message;
    struct buf text = {0};
    yyjson_arr_foreach(yyjson_obj_get(root, "messages"), i, n, message)
    {
        text.len = 0;
        take_text(&text, yyjson_obj_get(message, "content"));
        r->prompt_tokens += 3 + count_words(buf_view(&text));
        struct str role = json_str(yyjson_obj_get(message, "role"));
        if (str_is(role, "user") || str_is(role, "tool")) {
            last->len = 0;
            buf_put(last, buf_view(&text));
        }
        *out_role = role;
    }
    buf_free(&text);
}

static void tokens_of_words(struct content *tokens, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        buf_add(&tokens->bytes, s.ptr + i, 1);
        if (s.ptr[i] == ' ' || i + 1 == s.len) {
            content_end_piece(tokens);
        }
    }
}

static void tokens_of_count(struct content *tokens, int64_t count, int64_t bytes)
{
    size_t each = bytes > 0 ? (size_t)bytes : 6;
    for (int64_t i = 0; i < count; i++) {
        buf_repeat(&tokens->bytes, (char)('a' + i % 26), each > 1 ? each - 1 : 1);
        buf_repeat(&tokens->bytes, ' ', each > 1 ? 1 : 0);
        content_end_piece(tokens);
    }
}

static void pad(struct content *tokens, int64_t size)
{
    while ((int64_t)tokens->bytes.len < size) {
        buf_repeat(&tokens->bytes, 'x', FILLER_BYTES - 1);
        buf_repeat(&tokens->bytes, ' ', 1);
        content_end_piece(tokens);
    }
}

/* The schema of response_format, when there is one. */
static bool wants_json(struct reply *r, yyjson_val **out_schema)
{
    yyjson_val *format = yyjson_obj_get(r->ask->root, "response_format");
    struct str type = json_str(yyjson_obj_get(format, "type"));
    *out_schema = yyjson_obj_get(yyjson_obj_get(format, "json_schema"), "schema");
    return str_is(type, "json_object") || str_is(type, "json_schema");
}

static void say(struct reply *r, struct str asked, bool from_tool)
{
    const struct behaviour *b = &r->ask->b;
    struct buf text = {0};
    yyjson_val *schema = NULL;
    if (b->content != NULL) {
        buf_str(&text, b->content);
    } else if (b->tokens >= 0) {
        tokens_of_count(&r->text, b->tokens, b->token_bytes);
    } else if (wants_json(r, &schema)) {
        if (schema != NULL) {
            schema_sample(&text, schema, asked);
        } else {
            buf_str(&text, "{\"answer\": ");
            buf_json(&text, asked);
            buf_str(&text, "}");
        }
    } else {
        buf_str(&text, from_tool ? "The tool said: " : "You said: ");
        buf_put(&text, asked);
    }
    tokens_of_words(&r->text, buf_view(&text));
    buf_free(&text);
    pad(&r->text, b->size);
}

/* The function to call: the named one, else the first; NULL when there is none or it is forbidden.
 */
static yyjson_val *pick_tool(const struct ask *a, bool *out_named)
{
    yyjson_val *tools = yyjson_obj_get(a->root, "tools");
    yyjson_val *choice = yyjson_obj_get(a->root, "tool_choice");
    struct str wanted = json_str(yyjson_obj_get(yyjson_obj_get(choice, "function"), "name"));
    *out_named = wanted.len > 0;
    if (str_is(json_str(choice), "none")) {
        return NULL;
    }
    size_t i;
    size_t n;
    yyjson_val *tool;
    yyjson_arr_foreach(tools, i, n, tool)
    {
        yyjson_val *function = yyjson_obj_get(tool, "function");
        struct str name = json_str(yyjson_obj_get(function, "name"));
        bool same = wanted.len == name.len && memcmp(wanted.ptr, name.ptr, name.len) == 0;
        if (name.len > 0 && (!*out_named || same)) {
            return function;
        }
    }
    return NULL;
}

static void call_tool(struct reply *r, yyjson_val *function, bool named, struct str asked)
{
    struct buf json = {0};
    schema_sample(&json, yyjson_obj_get(function, "parameters"), asked);
    for (size_t at = 0; at < json.len; at += ARGUMENT_PIECE_BYTES) {
        size_t left = json.len - at;
        buf_add(&r->arguments.bytes, json.ptr + at,
                left < ARGUMENT_PIECE_BYTES ? left : ARGUMENT_PIECE_BYTES);
        content_end_piece(&r->arguments);
    }
    buf_free(&json);
    r->tool = json_str(yyjson_obj_get(function, "name"));
    r->finish =
        named ? "stop" : "tool_calls"; /* a named choice finishes with stop, as OpenAI's does */
}

static void limit_tokens(struct reply *r)
{
    static const char *const names[] = {"max_tokens", "max_completion_tokens"};
    for (size_t i = 0; i < 2; i++) {
        yyjson_val *v = yyjson_obj_get(r->ask->root, names[i]);
        if (yyjson_is_uint(v) && yyjson_get_uint(v) < r->text.piece_n) {
            r->text.piece_n = (size_t)yyjson_get_uint(v);
            r->text.bytes.len = r->text.piece_n > 0 ? r->text.ends[r->text.piece_n - 1] : 0;
            r->finish = "length";
        }
    }
}

static void make_reply(struct reply *r)
{
    const struct behaviour *b = &r->ask->b;
    struct buf last = {0};
    struct str role;
    read_prompt(r, &last, &role);
    struct str asked = clip(buf_view(&last));
    bool from_tool = str_is(role, "tool");
    bool named = false;
    yyjson_val *function = from_tool || b->tokens >= 0 ? NULL : pick_tool(r->ask, &named);
    r->finish = "stop";
    if (function != NULL) {
        call_tool(r, function, named, asked);
    } else {
        say(r, asked, from_tool);
        limit_tokens(r);
    }
    buf_free(&last);
    int64_t n = yyjson_get_sint(yyjson_obj_get(r->ask->root, "n"));
    r->choices = n < 1 ? 1 : n > CHOICES_MAX ? CHOICES_MAX : n;
    r->completion_tokens = (int64_t)(r->text.piece_n + r->arguments.piece_n) * r->choices;
    r->finish = b->finish != NULL ? b->finish : r->finish;
    r->prompt_tokens = b->prompt_tokens >= 0 ? b->prompt_tokens : r->prompt_tokens;
    r->completion_tokens = b->completion_tokens >= 0 ? b->completion_tokens : r->completion_tokens;
}

static void put_usage(struct buf *out, const struct reply *r, int64_t completion)
{
    const struct behaviour *b = &r->ask->b;
    buf_printf(out,
               "{\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64
               ",\"total_tokens\":%" PRId64 ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRId64
               ",\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":%" PRId64
               ",\"audio_tokens\":0}}",
               r->prompt_tokens, completion, r->prompt_tokens + completion,
               b->cached_tokens > 0 ? b->cached_tokens : 0,
               b->reasoning_tokens > 0 ? b->reasoning_tokens : 0);
}

static bool usage_is(const struct reply *r, const char *mode)
{
    return behaviour_is(r->ask->b.usage, mode);
}

static void put_open(struct buf *out, const struct reply *r, const char *object)
{
    buf_printf(out,
               "{\"id\":\"%s%016" PRIx64 "\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":",
               r->shape->id_prefix, r->ask->id, object, r->ask->created);
    buf_json(out, r->ask->model);
    buf_str(out, ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_sim\",\"choices\":[");
}

static void put_tool_calls(struct buf *out, const struct reply *r, bool indexed,
                           struct str arguments)
{
    buf_printf(out, "\"tool_calls\":[{%s\"id\":\"call_%016" PRIx64 "\",\"type\":\"function\"",
               indexed ? "\"index\":0," : "", r->ask->id);
    buf_str(out, ",\"function\":{\"name\":");
    buf_json(out, r->tool);
    buf_str(out, ",\"arguments\":");
    buf_json(out, arguments);
    buf_str(out, "}}]");
}

static void put_choice(struct buf *out, const struct reply *r, int64_t index)
{
    buf_printf(out, "%s{\"index\":%" PRId64 ",", index > 0 ? "," : "", index);
    if (!r->shape->is_chat) {
        buf_str(out, "\"text\":");
        buf_json(out, buf_view(&r->text.bytes));
    } else if (r->tool.len > 0) {
        buf_str(out, "\"message\":{\"role\":\"assistant\",\"content\":null,");
        put_tool_calls(out, r, false, buf_view(&r->arguments.bytes));
        buf_str(out, ",\"refusal\":null,\"annotations\":[]}");
    } else {
        buf_str(out, "\"message\":{\"role\":\"assistant\",\"content\":");
        buf_json(out, buf_view(&r->text.bytes));
        buf_str(out, ",\"refusal\":null,\"annotations\":[]}");
    }
    buf_printf(out, ",\"logprobs\":null,\"finish_reason\":\"%s\"}", r->finish);
}

static void write_document(struct content *c, const struct reply *r)
{
    put_open(&c->bytes, r, r->shape->object);
    for (int64_t i = 0; i < r->choices; i++) {
        put_choice(&c->bytes, r, i);
    }
    buf_str(&c->bytes, "]");
    if (!usage_is(r, "none")) {
        buf_str(&c->bytes, ",\"usage\":");
        put_usage(&c->bytes, r, r->completion_tokens);
    }
    buf_str(&c->bytes, "}");
    content_document(c, "application/json");
}

/* One chunk with one choice. member is the delta's or choice's inside; last closes the choice. */
static void write_chunk(struct content *c, const struct reply *r, int64_t index, struct str member,
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
    content_event(c, &r->ask->b, buf_view(&json));
    buf_free(&json);
}

static void write_opening(struct content *c, const struct reply *r)
{
    struct buf json = {0};
    if (r->tool.len > 0) {
        buf_str(&json, "\"role\":\"assistant\",\"content\":null,");
        put_tool_calls(&json, r, true, STR(""));
        buf_str(&json, ",\"refusal\":null");
    } else {
        buf_str(&json, "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null");
    }
    for (int64_t k = 0; k < r->choices && r->shape->is_chat; k++) {
        write_chunk(c, r, k, buf_view(&json), false);
    }
    buf_free(&json);
}

static void write_deltas(struct content *c, const struct reply *r)
{
    const struct content *from = r->tool.len > 0 ? &r->arguments : &r->text;
    struct buf json = {0};
    size_t at = 0;
    for (size_t i = 0; i < from->piece_n; i++) {
        struct str piece = {from->bytes.ptr + at, from->ends[i] - at};
        at = from->ends[i];
        json.len = 0;
        if (r->tool.len > 0) {
            buf_str(&json, "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":");
            buf_json(&json, piece);
            buf_str(&json, "}}]");
        } else {
            buf_str(&json, r->shape->is_chat ? "\"content\":" : "\"text\":");
            buf_json(&json, piece);
        }
        for (int64_t k = 0; k < r->choices; k++) {
            write_chunk(c, r, k, buf_view(&json), false);
        }
    }
    buf_free(&json);
}

static void write_closing(struct content *c, const struct reply *r)
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
        content_event(c, b, buf_view(&json));
        buf_free(&json);
    }
    if (!b->no_done) {
        content_event(c, b, STR("[DONE]"));
    }
}

/* After so many events the stream turns into an error and ends, as a provider in trouble does it.
 */
static void break_off(struct content *c, const struct behaviour *b)
{
    size_t keep = (size_t)b->error_at;
    if (b->error_at < 0 || keep > c->piece_n) {
        return;
    }
    c->piece_n = keep;
    c->bytes.len = keep > 0 ? c->ends[keep - 1] : 0;
    if (b->error_event) {
        buf_str(&c->bytes, b->crlf ? "event: error\r\n" : "event: error\n");
    }
    struct buf json = {0};
    buf_str(&json, "{\"error\":{\"message\":");
    const char *message = b->message != NULL ? b->message : "The server had an error in mid-stream";
    buf_json(&json, (struct str){message, strlen(message)});
    buf_str(&json, ",\"type\":\"server_error\",\"param\":null,\"code\":null}}");
    content_event(c, b, buf_view(&json));
    buf_free(&json);
}

static void complete(struct content *c, const struct ask *a, const struct shape *shape)
{
    struct reply r = {.ask = a, .shape = shape};
    make_reply(&r);
    if (a->stream) {
        write_opening(c, &r);
        write_deltas(c, &r);
        write_closing(c, &r);
        break_off(c, &a->b);
        c->type = "text/event-stream; charset=utf-8";
        c->is_stream = true;
    } else {
        write_document(c, &r);
    }
    content_deinit(&r.text);
    content_deinit(&r.arguments);
}

void chat_completion(struct content *c, const struct ask *a)
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

void text_completion(struct content *c, const struct ask *a)
{
    complete(c, a, &text_shape);
}
