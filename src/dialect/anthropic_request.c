/* What the gateway reads from a Messages request, and how it forwards one. */
#include "core/check.h"
#include "dialect/anthropic.h"

#include <assert.h>
#include <stdarg.h>

enum {
    PROMPT_OVERHEAD_TOKENS = 64,         /* what templates put around any prompt */
    PROMPT_TOOLS_OVERHEAD_TOKENS = 1024, /* and what they say about tools or formats */
    PROMPT_TYPED_TOOLS_TOKENS = 4096,    /* and about the API's own, which the client runs */
    IMAGE_MAX_TOKENS = 50000,            /* one inline image, rounded up */
    BLOCK_DEPTH_MAX = 3                  /* a document in a result in a message */
};

static const struct span_name member_names[A_COUNT] = {
    [A_MODEL] = {SLICE_INIT("model"), true},
    [A_STREAM] = {SLICE_INIT("stream"), true},
    [A_MESSAGES] = {SLICE_INIT("messages"), true},
    [A_SYSTEM] = {SLICE_INIT("system"), true},
    [A_MAX_TOKENS] = {SLICE_INIT("max_tokens"), true},
    [A_TEMPERATURE] = {SLICE_INIT("temperature"), true},
    [A_TOOLS] = {SLICE_INIT("tools"), true},
    [A_METADATA] = {SLICE_INIT("metadata"), true},
    [A_MCP_SERVERS] = {SLICE_INIT("mcp_servers"), true},
    [A_CONTAINER] = {SLICE_INIT("container"), true},
    [A_OUTPUT_CONFIG] = {SLICE_INIT("output_config"), true},
    [A_OUTPUT_FORMAT] = {SLICE_INIT("output_format"), true},
};

void anthropic_refuse(struct arena *a, struct fault *out, struct slice param, const char *format,
                      ...)
{
    va_list args;
    va_start(args, format);
    struct slice message = arena_vprintf(a, format, args);
    va_end(args);
    *out = (struct fault){.kind = FAULT_BAD_REQUEST,
                          .message = message.ptr ? message : SLICE("The request is not valid."),
                          .param = param};
}

/* --- the prompt's bound ------------------------------------------------------------------------
 */

static int64_t blocks_bound(struct slice blocks, int depth);

/* An inline image has a most; what lies elsewhere, and what is packed, has no bound in bytes. */
static int64_t source_bound(const struct span *source, bool is_image, int depth)
{
    static const struct span_name names[] = {{SLICE_INIT("type"), true},
                                             {SLICE_INIT("content"), true}};
    struct span at[ARRAY_LEN(names)];
    struct span_object o;
    if (source->kind != SPAN_OBJECT || spans_scan(source->value, names, ARRAY_LEN(names), at, &o)) {
        return -1;
    }
    if (is_image) {
        return span_string_is(&at[0], SLICE("base64")) ? IMAGE_MAX_TOKENS : -1;
    }
    if (span_string_is(&at[0], SLICE("content")) && at[1].kind == SPAN_ARRAY) {
        return blocks_bound(at[1].value, depth + 1);
    }
    return span_string_is(&at[0], SLICE("text")) || span_string_is(&at[0], SLICE("content")) ? 0
                                                                                             : -1;
}

/* Types whose tokens are no more than their bytes. */
static bool is_bounded_type(const struct span *type)
{
    static const struct slice types[] = {SLICE_INIT("text"), SLICE_INIT("thinking"),
                                         SLICE_INIT("tool_use"), SLICE_INIT("search_result"),
                                         SLICE_INIT("tool_reference")};
    return read_is_one_of(type, types, ARRAY_LEN(types));
}

static int64_t block_bound(struct slice block, int depth)
{
    static const struct span_name names[] = {
        {SLICE_INIT("type"), true}, {SLICE_INIT("source"), true}, {SLICE_INIT("content"), true}};
    struct span at[ARRAY_LEN(names)];
    struct span_object o;
    if (spans_scan(block, names, ARRAY_LEN(names), at, &o)) {
        return -1;
    }
    bool is_image = span_string_is(&at[0], SLICE("image"));
    if (is_image || span_string_is(&at[0], SLICE("document"))) {
        return source_bound(&at[1], is_image, depth);
    }
    if (at[1].kind == SPAN_OBJECT) {
        return -1; /* a reader that takes another type for it may look there */
    }
    if (span_string_is(&at[0], SLICE("tool_result"))) {
        return at[2].kind == SPAN_ARRAY ? blocks_bound(at[2].value, depth + 1) : 0;
    }
    return is_bounded_type(&at[0]) ? 0 : -1;
}

static int64_t blocks_bound(struct slice blocks, int depth)
{
    struct span_cursor c;
    struct span block;
    int64_t sum = 0;
    if (depth > BLOCK_DEPTH_MAX || span_skim(&c, blocks)) {
        return -1;
    }
    while (sum >= 0 && span_next(&c, &block) == SPAN_ITEM) {
        sum = read_bound_sum(sum, block.kind == SPAN_OBJECT ? block_bound(block.value, depth) : 0);
    }
    return sum;
}

/* Every list in a message is looked into, whatever its name. */
static int64_t message_bound(struct slice message)
{
    struct span_cursor c;
    struct span m;
    int64_t sum = 0;
    if (span_skim(&c, message)) {
        return -1;
    }
    while (sum >= 0 && span_next(&c, &m) == SPAN_ITEM) {
        sum = read_bound_sum(sum, m.kind == SPAN_ARRAY ? blocks_bound(m.value, 0) : 0);
    }
    return sum;
}

static int64_t messages_bound(const struct span *messages)
{
    struct span_cursor c;
    struct span m;
    int64_t sum = 0;
    if (messages->kind != SPAN_ARRAY || messages->depth == 2 || span_skim(&c, messages->value)) {
        return 0;
    }
    while (sum >= 0 && span_next(&c, &m) == SPAN_ITEM) {
        sum = read_bound_sum(sum, m.kind == SPAN_OBJECT ? message_bound(m.value) : 0);
    }
    return sum;
}

/* Tokens that the API says about the tools; -1: it runs one of them itself, and its results come
 * into the prompt. */
static int64_t tools_bound(const struct span *tools)
{
    static const char *const clients[] = {"bash_", "text_editor_", "memory_", "computer_",
                                          "browser_"};
    static const struct span_name name = {SLICE_INIT("type"), true};
    struct span_cursor c;
    struct span m, type;
    struct span_object o;
    int64_t sum = PROMPT_TOOLS_OVERHEAD_TOKENS;
    if (tools->kind != SPAN_ARRAY || span_skim(&c, tools->value)) {
        return 0;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind != SPAN_OBJECT || spans_scan(m.value, &name, 1, &type, &o)) {
            return -1;
        }
        if (!read_is_given(&type) || span_string_is(&type, SLICE("custom"))) {
            continue;
        }
        bool is_clients = false;
        for (size_t i = 0; i < ARRAY_LEN(clients) && type.kind == SPAN_STRING; i++) {
            is_clients |= slice_starts(slice_from(type.value, 1), slice_str(clients[i]));
        }
        if (!is_clients) {
            return -1;
        }
        sum = i64_add_sat(sum, PROMPT_TYPED_TOOLS_TOKENS);
    }
    return sum;
}

/* No token is shorter than a byte, and JSON spells no text shorter than it is. */
static int64_t prompt_bound(const struct anthropic_members *m, struct slice body,
                            bool *out_is_uncacheable)
{
    int64_t tools = tools_bound(&m->at[A_TOOLS]);
    bool is_outside =
        tools < 0 || read_is_given(&m->at[A_MCP_SERVERS]) || read_is_given(&m->at[A_CONTAINER]);
    *out_is_uncacheable = is_outside;
    int64_t media = messages_bound(&m->at[A_MESSAGES]);
    if (is_outside || media < 0) {
        return -1;
    }
    int64_t sum = i64_add_sat(media, (int64_t)body.len + PROMPT_OVERHEAD_TOKENS);
    bool has_format =
        read_is_given(&m->at[A_OUTPUT_CONFIG]) || read_is_given(&m->at[A_OUTPUT_FORMAT]);
    return i64_add_sat(sum, tools + (has_format ? PROMPT_TOOLS_OVERHEAD_TOKENS : 0));
}

/* --- scan --------------------------------------------------------------------------------------
 */

static bool refuse_member(struct arena *a, struct fault *out, enum anthropic_member which,
                          const char *what)
{
    struct slice name = member_names[which].name;
    anthropic_refuse(a, out, name, "%.*s: %s", SLICE_ARG(name), what);
    return false;
}

static bool read_model(struct arena *a, const struct anthropic_members *m, struct chat_ask *out,
                       struct fault *out_fault)
{
    const struct span *model = &m->at[A_MODEL];
    if (!read_is_given(model)) {
        return refuse_member(a, out_fault, A_MODEL, "Field required");
    }
    if (model->kind != SPAN_STRING) {
        return refuse_member(a, out_fault, A_MODEL, "Input should be a valid string");
    }
    if (model->value.len == 2) {
        return refuse_member(a, out_fault, A_MODEL, "String should have at least 1 character");
    }
    out->model = read_text(a, model);
    return out->model.ptr != NULL;
}

static bool read_messages(struct arena *a, const struct anthropic_members *m,
                          struct fault *out_fault)
{
    const struct span *s = &m->at[A_MESSAGES];
    struct span_cursor c;
    struct span first;
    if (!read_is_given(s)) {
        return refuse_member(a, out_fault, A_MESSAGES, "Field required");
    }
    if (s->kind != SPAN_ARRAY) {
        return refuse_member(a, out_fault, A_MESSAGES, "Input should be a valid array");
    }
    if (span_skim(&c, s->value) || span_next(&c, &first) != SPAN_ITEM) {
        return refuse_member(a, out_fault, A_MESSAGES, "at least one message is required");
    }
    return true;
}

static bool read_max_tokens(struct arena *a, const struct anthropic_members *m,
                            struct chat_ask *out, struct fault *out_fault)
{
    const struct span *s = &m->at[A_MAX_TOKENS];
    int64_t value = -1;
    if (out->op == CHAT_OP_COUNT_TOKENS) {
        out->output_max_tokens = 0;
        return true;
    }
    if (!read_is_given(s)) {
        return refuse_member(a, out_fault, A_MAX_TOKENS, "Field required");
    }
    if (s->kind != SPAN_NUMBER || !slice_to_i64(s->value, &value)) {
        return refuse_member(a, out_fault, A_MAX_TOKENS, "Input should be a valid integer");
    }
    if (value < 0) {
        return refuse_member(a, out_fault, A_MAX_TOKENS,
                             "Input should be greater than or equal to 0");
    }
    out->output_max_tokens = value;
    return true;
}

static bool read_stream(struct arena *a, const struct anthropic_members *m, struct chat_ask *out,
                        struct fault *out_fault)
{
    const struct span *s = &m->at[A_STREAM];
    if (read_is_given(s) && s->kind != SPAN_TRUE && s->kind != SPAN_FALSE) {
        return refuse_member(a, out_fault, A_STREAM, "Input should be a valid boolean");
    }
    out->is_stream = s->kind == SPAN_TRUE && out->op == CHAT_OP_CHAT;
    out->wants_usage = out->is_stream; /* every stream of this dialect tells it */
    return true;
}

static bool read_user(struct arena *a, const struct anthropic_members *m, struct chat_ask *out,
                      struct fault *out_fault)
{
    static const struct span_name name = {SLICE_INIT("user_id"), true};
    const struct span *metadata = &m->at[A_METADATA];
    struct span user;
    struct span_object o;
    if (!read_is_given(metadata)) {
        return true;
    }
    if (metadata->kind != SPAN_OBJECT || spans_scan(metadata->value, &name, 1, &user, &o)) {
        return refuse_member(a, out_fault, A_METADATA, "Input should be a valid object");
    }
    if (user.kind == SPAN_STRING) {
        out->user = read_text(a, &user);
        return out->user.ptr != NULL;
    }
    return true;
}

enum err anthropic_scan(struct arena *a, enum chat_operation op, struct slice body,
                        struct chat_ask *out, struct fault *out_fault)
{
    struct anthropic_members *m = ARENA_NEW(a, struct anthropic_members);
    *out = (struct chat_ask){.op = op, .body = body, .choices = 1, .output_max_tokens = -1};
    *out_fault = FAULT_NO_MEMORY;
    if (!m) {
        return E_NOMEM;
    }
    enum err e = spans_scan(body, member_names, A_COUNT, m->at, &m->object);
    const struct span_fault *why = &m->object.fault;
    if (e == E_DUPLICATE) {
        anthropic_refuse(a, out_fault, why->named,
                         "%.*s: it is %s (at byte %zu); readers differ in which one counts",
                         SLICE_ARG(why->named), why->what, why->at);
        return e;
    }
    if (e) {
        anthropic_refuse(a, out_fault, SLICE_NONE,
                         "The request body is not valid JSON: %s at byte %zu", why->what, why->at);
        return e;
    }
    if (!read_model(a, m, out, out_fault) || !read_messages(a, m, out_fault) ||
        !read_stream(a, m, out, out_fault) || !read_max_tokens(a, m, out, out_fault) ||
        !read_user(a, m, out, out_fault)) {
        return out_fault->kind == FAULT_OVERLOADED ? E_NOMEM : E_SYNTAX;
    }
    out->is_deterministic = read_is_zero(&m->at[A_TEMPERATURE]);
    out->prompt_max_tokens = prompt_bound(m, body, &out->is_uncacheable);
    out->spans = m;
    return OK;
}

/* The body with other bytes in the place of some of its. */
static enum err replace(struct slice body, struct slice was, const struct text *now,
                        struct body_parts *out)
{
    size_t at = (size_t)(was.ptr - body.ptr);
    out->parts[out->count++] = slice_head(body, at);
    out->parts[out->count++] = text_slice(now);
    out->parts[out->count++] = slice_from(body, at + was.len);
    out->bytes += now->len - was.len;
    return now->is_full ? E_NOMEM : OK;
}

/* Vertex: the version stands where the model stood; only what counts says the model, too. */
static enum err forward_to_vertex(struct arena *a, const struct span *model, struct slice body,
                                  const struct encode_options *o, struct body_parts *out)
{
    struct text t = text_growing(a);
    size_t len = (size_t)(model->value.ptr + model->value.len - model->key.ptr);
    TEXT_ADD(&t, ANTHROPIC_VERTEX_VERSION);
    if (o->op == CHAT_OP_COUNT_TOKENS) {
        TEXT_ADD(&t, ",\"model\":");
        text_add_json_string(&t, o->model);
    }
    return replace(body, slice_of(model->key.ptr, len), &t, out);
}

/* Every byte as it came, but for the model's name. */
enum err anthropic_forward(struct arena *a, const struct chat_ask *ask,
                           const struct encode_options *o, struct body_parts *out)
{
    const struct anthropic_members *m = ask->spans;
    assert(m && m->at[A_MODEL].kind == SPAN_STRING);
    *out = (struct body_parts){.bytes = ask->body.len};
    if (o->is_vertex) {
        return forward_to_vertex(a, &m->at[A_MODEL], ask->body, o, out);
    }
    if (slice_eq(o->model, ask->model)) {
        out->parts[out->count++] = ask->body;
        return OK;
    }
    struct text name = text_growing(a);
    text_add_json_string(&name, o->model);
    return replace(ask->body, m->at[A_MODEL].value, &name, out);
}
