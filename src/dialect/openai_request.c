#include "core/check.h"
#include "dialect/conversation.h"
#include "dialect/openai.h"

#include <assert.h>
#include <stdarg.h>

enum {
    PROMPT_OVERHEAD_TOKENS = 64,        /* what templates put around any prompt */
    PROMPT_TOOLS_OVERHEAD_TOKENS = 512, /* and what they say about tools or formats */
    IMAGE_MAX_TOKENS =
        50000,        /* one inline image at the model that counts most for it, rounded up */
    CHOICES_MAX = 128 /* n and best_of; providers stop at or below it */
};

static const struct span_name member_names[M_COUNT] = {
    [M_MODEL] = {SLICE_INIT("model"), true},
    [M_STREAM] = {SLICE_INIT("stream"), true},
    [M_STREAM_OPTIONS] = {SLICE_INIT("stream_options"), true},
    [M_MESSAGES] = {SLICE_INIT("messages"), true},
    [M_PROMPT] = {SLICE_INIT("prompt"), true},
    [M_INPUT] = {SLICE_INIT("input"), true},
    [M_MAX_TOKENS] = {SLICE_INIT("max_tokens"), true},
    [M_MAX_COMPLETION_TOKENS] = {SLICE_INIT("max_completion_tokens"), true},
    [M_N] = {SLICE_INIT("n"), true},
    [M_BEST_OF] = {SLICE_INIT("best_of"), true},
    [M_TEMPERATURE] = {SLICE_INIT("temperature"), true},
    [M_SEED] = {SLICE_INIT("seed"), true},
    [M_USER] = {SLICE_INIT("user"), true},
    [M_SAFETY_IDENTIFIER] = {SLICE_INIT("safety_identifier"), true},
    [M_STORE] = {SLICE_INIT("store"), true},
    [M_TOOLS] = {SLICE_INIT("tools"), true},
    [M_FUNCTIONS] = {SLICE_INIT("functions"), true},
    [M_RESPONSE_FORMAT] = {SLICE_INIT("response_format"), true},
    [M_WEB_SEARCH_OPTIONS] = {SLICE_INIT("web_search_options"), true},
    [M_SEARCH_PARAMETERS] = {SLICE_INIT("search_parameters"), true},
    [M_PLUGINS] = {SLICE_INIT("plugins"), true},
    [M_PREVIOUS_RESPONSE_ID] = {SLICE_INIT("previous_response_id"), true},
    [M_CONVERSATION] = {SLICE_INIT("conversation"), true},
    [M_PROMPT_CACHE_KEY] = {SLICE_INIT("prompt_cache_key"), false},
};

void openai_refuse(struct arena *a, struct fault *out, const char *param, const char *code,
                   const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice message = arena_vprintf(a, format, args);
    va_end(args);
    *out = (struct fault){.kind = FAULT_BAD_REQUEST,
                          .message = message.ptr ? message : SLICE("The request is not valid."),
                          .param = slice_str(param),
                          .code = slice_str(code)};
}

enum err openai_find_members(struct arena *a, struct slice body, struct openai_members *out,
                             struct fault *out_fault)
{
    enum err e = spans_scan(body, member_names, M_COUNT, out->at, &out->object);
    const struct span_fault *why = &out->object.fault;
    if (e == E_DUPLICATE) {
        openai_refuse(a, out_fault, NULL, "duplicate_parameter",
                      "'%.*s' is %s (at byte %zu); readers differ in which one counts.",
                      SLICE_ARG(why->named), why->what, why->at);
        out_fault->param = why->named;
    } else if (e) {
        openai_refuse(a, out_fault, NULL, NULL,
                      "The body is not a valid JSON object: %s at byte %zu.", why->what, why->at);
    }
    return e;
}

/* A non-negative integer as the API takes it; absent and null leave -1. */
static bool read_count(struct arena *a, const struct openai_members *m, enum openai_member which,
                       int64_t least, int64_t *out, struct fault *out_fault)
{
    const struct span *s = &m->at[which];
    const char *name = member_names[which].name.ptr;
    int64_t value = -1;
    if (read_is_given(s)) {
        if (s->kind != SPAN_NUMBER || !slice_to_i64(s->value, &value)) {
            openai_refuse(a, out_fault, name, "invalid_type",
                          "Invalid type for '%s': expected an integer.", name);
            return false;
        }
        if (value < least) {
            openai_refuse(a, out_fault, name, "integer_below_min_value",
                          "Invalid '%s': integer below minimum value. Expected a value >= %d, "
                          "but got %lld instead.",
                          name, (int)least, (long long)value);
            return false;
        }
    }
    *out = value;
    return true;
}

static bool read_bool(struct arena *a, const struct openai_members *m, enum openai_member which,
                      bool *out, struct fault *out_fault)
{
    const struct span *s = &m->at[which];
    const char *name = member_names[which].name.ptr;
    *out = s->kind == SPAN_TRUE;
    if (read_is_given(s) && s->kind != SPAN_TRUE && s->kind != SPAN_FALSE) {
        openai_refuse(a, out_fault, name, "invalid_type",
                      "Invalid type for '%s': expected a boolean.", name);
        return false;
    }
    return true;
}

static size_t element_count(struct slice array)
{
    struct span_cursor c;
    struct span m;
    if (span_skim(&c, array)) {
        return 0;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
    }
    return c.count;
}

/* How many texts an array of prompts holds: one when it is itself a list of token numbers. */
static int64_t prompt_count(const struct span *s)
{
    struct span_cursor c;
    struct span first;
    if (s->kind != SPAN_ARRAY || span_skim(&c, s->value) || span_next(&c, &first) != SPAN_ITEM ||
        first.kind == SPAN_NUMBER) {
        return 1;
    }
    return i64_max(1, (int64_t)element_count(s->value));
}

/* What one content part adds beyond its bytes; -1: unbounded. */
static int64_t part_bound(struct slice part)
{
    static const struct span_name names[] = {{SLICE_INIT("type"), true},
                                             {SLICE_INIT("image_url"), true}};
    static const struct span_name url_name = {SLICE_INIT("url"), true};
    struct span at[2], url;
    struct span_object o;
    if (spans_scan(part, names, 2, at, &o)) {
        return -1;
    }
    if (span_string_is(&at[0], SLICE("text")) || span_string_is(&at[0], SLICE("refusal")) ||
        span_string_is(&at[0], SLICE("thinking")) || span_string_is(&at[0], SLICE("input_audio"))) {
        return at[1].kind == SPAN_ABSENT ? 0 : -1;
    }
    url = at[1];
    if (url.kind == SPAN_OBJECT && spans_scan(at[1].value, &url_name, 1, &url, &o)) {
        return -1;
    }
    bool is_inline =
        url.kind == SPAN_STRING && slice_starts(slice_from(url.value, 1), SLICE("data:"));
    return is_inline && span_string_is(&at[0], SLICE("image_url")) ? IMAGE_MAX_TOKENS : -1;
}

static int64_t parts_bound(struct slice parts)
{
    struct span_cursor c;
    struct span part;
    int64_t sum = 0;
    if (span_skim(&c, parts)) {
        return -1;
    }
    while (sum >= 0 && span_next(&c, &part) == SPAN_ITEM) {
        sum = read_bound_sum(sum, part.kind == SPAN_OBJECT ? part_bound(part.value) : 0);
    }
    return sum;
}

/* Any member of a message that holds a list is looked into, whatever its name: a reader that
 * ignores letter case may take it for the content. Calls and their arguments are bounded. */
static int64_t message_bound(struct slice message)
{
    struct span_cursor c;
    struct span m;
    int64_t sum = 0;
    if (span_skim(&c, message)) {
        return -1;
    }
    while (sum >= 0 && span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind == SPAN_OBJECT && slice_eq_nocase(m.key, SLICE("\"audio\""))) {
            return -1; /* an earlier answer by its id */
        }
        if (m.kind != SPAN_ARRAY || slice_eq(m.key, SLICE("\"tool_calls\"")) ||
            slice_eq(m.key, SLICE("\"annotations\"")) ||
            slice_eq(m.key, SLICE("\"reasoning_details\""))) {
            continue;
        }
        sum = read_bound_sum(sum, parts_bound(m.value));
    }
    return sum;
}

static int64_t messages_bound(const struct span *messages)
{
    struct span_cursor c;
    struct span m;
    int64_t sum = 0;
    /* An array of objects without anything nested is text alone, whatever its members are named. */
    if (messages->kind != SPAN_ARRAY || messages->depth == 2 || span_skim(&c, messages->value)) {
        return 0;
    }
    while (sum >= 0 && span_next(&c, &m) == SPAN_ITEM) {
        sum = read_bound_sum(sum, m.kind == SPAN_OBJECT ? message_bound(m.value) : 0);
    }
    return sum;
}

/* Tools that the provider runs itself bring their own input into the prompt. */
static bool has_hosted_tool(const struct span *tools)
{
    static const struct span_name name = {SLICE_INIT("type"), true};
    struct span_cursor c;
    struct span m, type;
    struct span_object o;
    if (tools->kind != SPAN_ARRAY || span_skim(&c, tools->value)) {
        return false;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind != SPAN_OBJECT || spans_scan(m.value, &name, 1, &type, &o) ||
            (read_is_given(&type) && !span_string_is(&type, SLICE("function")) &&
             !span_string_is(&type, SLICE("custom")))) {
            return true;
        }
    }
    return false;
}

int64_t openai_prompt_bound(const struct openai_members *m, struct slice body,
                            bool *out_is_uncacheable)
{
    const struct span *at = m->at;
    bool is_outside = read_is_given(&at[M_WEB_SEARCH_OPTIONS]) ||
                      read_is_given(&at[M_SEARCH_PARAMETERS]) || read_is_given(&at[M_PLUGINS]) ||
                      read_is_given(&at[M_PREVIOUS_RESPONSE_ID]) ||
                      read_is_given(&at[M_CONVERSATION]) || has_hosted_tool(&at[M_TOOLS]);
    *out_is_uncacheable = is_outside || at[M_STORE].kind == SPAN_TRUE;
    int64_t media = messages_bound(&at[M_MESSAGES]);
    if (is_outside || media < 0) {
        return -1;
    }
    /* No token is shorter than a byte, and JSON spells no text shorter than it is. */
    int64_t sum = i64_add_sat(media, (int64_t)body.len + PROMPT_OVERHEAD_TOKENS);
    if (read_is_given(&at[M_TOOLS]) || read_is_given(&at[M_FUNCTIONS]) ||
        at[M_RESPONSE_FORMAT].kind == SPAN_OBJECT) {
        sum = i64_add_sat(sum, PROMPT_TOOLS_OVERHEAD_TOKENS);
    }
    return sum;
}

static bool read_stream(struct arena *a, const struct openai_members *m, struct chat_ask *out,
                        struct fault *out_fault)
{
    static const struct span_name name = {SLICE_INIT("include_usage"), true};
    const struct span *options = &m->at[M_STREAM_OPTIONS];
    struct span found;
    struct span_object o;
    if (!read_bool(a, m, M_STREAM, &out->is_stream, out_fault)) {
        return false;
    }
    if (!read_is_given(options)) {
        return true;
    }
    if (options->kind != SPAN_OBJECT || spans_scan(options->value, &name, 1, &found, &o)) {
        openai_refuse(a, out_fault, "stream_options", "invalid_type",
                      "Invalid 'stream_options': expected an object that gives each member once.");
        return false;
    }
    out->wants_usage = out->is_stream && found.kind == SPAN_TRUE;
    return true;
}

static bool read_model(struct arena *a, const struct openai_members *m, struct chat_ask *out,
                       struct fault *out_fault)
{
    const struct span *model = &m->at[M_MODEL];
    if (!read_is_given(model) && out->op == CHAT_OP_MODERATION) {
        out->model = SLICE("omni-moderation-latest"); /* the API's own default */
        return true;
    }
    if (!read_is_given(model) || (model->kind == SPAN_STRING && model->value.len == 2)) {
        openai_refuse(a, out_fault, "model", "missing_required_parameter",
                      "You must provide a 'model'.");
        return false;
    }
    if (model->kind != SPAN_STRING) {
        openai_refuse(a, out_fault, "model", "invalid_type",
                      "Invalid type for 'model': expected a string.");
        return false;
    }
    out->model = read_text(a, model);
    return out->model.ptr != NULL;
}

static bool read_counts(struct arena *a, const struct openai_members *m, struct chat_ask *out,
                        struct fault *out_fault)
{
    int64_t old_max = -1, new_max = -1, n = -1, best_of = -1;
    if (out->op == CHAT_OP_EMBEDDING || out->op == CHAT_OP_MODERATION) {
        out->output_max_tokens = 0;
        out->choices = prompt_count(&m->at[M_INPUT]);
        return true;
    }
    if (!read_count(a, m, M_MAX_TOKENS, 0, &old_max, out_fault) ||
        !read_count(a, m, M_MAX_COMPLETION_TOKENS, 0, &new_max, out_fault) ||
        !read_count(a, m, M_N, 1, &n, out_fault) ||
        !read_count(a, m, M_BEST_OF, 1, &best_of, out_fault)) {
        return false;
    }
    out->output_max_tokens = i64_max(old_max, new_max);
    out->choices = i64_max(1, i64_max(n, best_of));
    if (out->choices > CHOICES_MAX) {
        openai_refuse(a, out_fault, n > CHOICES_MAX ? "n" : "best_of", "integer_above_max_value",
                      "At most %d choices can be asked for.", CHOICES_MAX);
        return false;
    }
    if (out->op == CHAT_OP_COMPLETION) {
        out->choices *= prompt_count(&m->at[M_PROMPT]);
    }
    return true;
}

/* The member that holds what is asked must be there; what is in it is the provider's to judge. */
static bool has_subject(struct arena *a, const struct openai_members *m, enum chat_operation op,
                        struct fault *out_fault)
{
    static const enum openai_member subjects[] = {[CHAT_OP_CHAT] = M_MESSAGES,
                                                  [CHAT_OP_COMPLETION] = M_PROMPT,
                                                  [CHAT_OP_EMBEDDING] = M_INPUT,
                                                  [CHAT_OP_MODERATION] = M_INPUT};
    const struct span *s = &m->at[subjects[op]];
    const char *name = member_names[subjects[op]].name.ptr;
    if (op == CHAT_OP_COMPLETION) {
        return true; /* no prompt means: begin a text */
    }
    if (!read_is_given(s)) {
        openai_refuse(a, out_fault, name, "missing_required_parameter",
                      "Missing required parameter: '%s'.", name);
        return false;
    }
    if (op == CHAT_OP_CHAT && s->kind != SPAN_ARRAY) {
        openai_refuse(a, out_fault, name, "invalid_type",
                      "Invalid type for 'messages': expected an array of objects.");
        return false;
    }
    struct span_cursor c;
    struct span first;
    if (s->kind == SPAN_ARRAY && (span_skim(&c, s->value) || span_next(&c, &first) != SPAN_ITEM)) {
        openai_refuse(a, out_fault, name, "empty_array",
                      "Invalid '%s': empty array. Expected at least one element.", name);
        return false;
    }
    return true;
}

enum err openai_scan(struct arena *a, enum chat_operation op, struct slice body,
                     struct chat_ask *out, struct fault *out_fault)
{
    struct openai_members *m = ARENA_NEW(a, struct openai_members);
    *out = (struct chat_ask){.op = op, .body = body, .choices = 1, .output_max_tokens = -1};
    *out_fault = FAULT_NO_MEMORY;
    if (!m) {
        return E_NOMEM;
    }
    enum err e = openai_find_members(a, body, m, out_fault);
    if (e) {
        return e;
    }
    if (!read_model(a, m, out, out_fault) || !has_subject(a, m, op, out_fault) ||
        !read_stream(a, m, out, out_fault) || !read_counts(a, m, out, out_fault)) {
        return out_fault->kind == FAULT_OVERLOADED ? E_NOMEM : E_SYNTAX;
    }
    if (op == CHAT_OP_EMBEDDING || op == CHAT_OP_MODERATION) {
        out->is_stream = out->wants_usage = false;
    }
    const struct span *user = &m->at[M_USER];
    if (user->kind != SPAN_STRING) {
        user = &m->at[M_SAFETY_IDENTIFIER];
    }
    if (user->kind == SPAN_STRING) {
        out->user = read_text(a, user);
    }
    out->is_deterministic =
        read_is_zero(&m->at[M_TEMPERATURE]) || m->at[M_SEED].kind == SPAN_NUMBER;
    out->prompt_max_tokens = openai_prompt_bound(m, body, &out->is_uncacheable);
    out->spans = m;
    return OK;
}

/* One change of the body: len bytes at `at` give way to text. Kept in order of at. */
struct edit {
    size_t at, len;
    struct slice text;
};
struct edits {
    struct edit list[(FORWARD_PARTS_MAX - 1) / 2];
    size_t count;
};

static void add_edit(struct edits *e, size_t at, size_t len, struct slice text)
{
    assert(e->count < ARRAY_LEN(e->list));
    size_t i = e->count++;
    while (i && e->list[i - 1].at > at) {
        e->list[i] = e->list[i - 1];
        i--;
    }
    e->list[i] = (struct edit){at, len, text};
}

static void replace_span(struct edits *e, struct slice body, const struct span *s,
                         struct slice text)
{
    add_edit(e, (size_t)(s->value.ptr - body.ptr), s->value.len, text);
}

static bool edit_model(struct arena *a, struct edits *edits, const struct chat_ask *ask,
                       const struct encode_options *o)
{
    const struct openai_members *m = ask->spans;
    if (slice_eq(o->model, ask->model)) {
        return true;
    }
    struct text t = text_growing(a);
    const struct span *model = &m->at[M_MODEL];
    if (model->kind == SPAN_ABSENT) {
        TEXT_ADD(&t, "\"model\":");
    }
    text_add_json_string(&t, o->model);
    if (model->kind != SPAN_ABSENT) {
        replace_span(edits, ask->body, model, text_slice(&t));
    } else {
        text_add_char(&t, ',');
        add_edit(edits, m->object.open + 1, 0, text_slice(&t));
    }
    return !t.is_full;
}

/* Asks for the usage chunk where the client did not; false: it asks already, or cannot. */
static bool edit_usage(struct edits *edits, const struct chat_ask *ask,
                       const struct encode_options *o)
{
    static const struct span_name name = {SLICE_INIT("include_usage"), true};
    const struct openai_members *m = ask->spans;
    const struct span *options = &m->at[M_STREAM_OPTIONS];
    struct span found;
    struct span_object object;
    if (!ask->is_stream || !o->wants_usage || ask->wants_usage ||
        o->profile->refuses_stream_options) {
        return false;
    }
    if (options->kind == SPAN_ABSENT) {
        add_edit(edits, m->object.open + 1, 0,
                 SLICE("\"stream_options\":{\"include_usage\":true},"));
    } else if (options->kind == SPAN_NULL) {
        replace_span(edits, ask->body, options, SLICE("{\"include_usage\":true}"));
    } else if (spans_scan(options->value, &name, 1, &found, &object) == OK) {
        if (found.kind != SPAN_ABSENT) {
            replace_span(edits, ask->body, &found, SLICE("true"));
        } else {
            add_edit(edits, (size_t)(options->value.ptr - ask->body.ptr) + object.open + 1, 0,
                     object.members ? SLICE("\"include_usage\":true,")
                                    : SLICE("\"include_usage\":true"));
        }
    }
    return true;
}

static bool edit_cap(struct arena *a, struct edits *edits, const struct chat_ask *ask,
                     const struct encode_options *o)
{
    const struct openai_members *m = ask->spans;
    if (ask->output_max_tokens >= 0 || o->output_cap_tokens < 0) {
        return true;
    }
    bool is_new = ask->op == CHAT_OP_CHAT && o->profile->takes_max_completion_tokens;
    const struct span *given = &m->at[is_new ? M_MAX_COMPLETION_TOKENS : M_MAX_TOKENS];
    struct slice text;
    if (given->kind == SPAN_NULL) {
        text = arena_printf(a, "%lld", (long long)o->output_cap_tokens);
        replace_span(edits, ask->body, given, text);
    } else {
        text = arena_printf(a, "\"%s\":%lld,", is_new ? "max_completion_tokens" : "max_tokens",
                            (long long)o->output_cap_tokens);
        add_edit(edits, m->object.open + 1, 0, text);
    }
    return text.ptr != NULL;
}

static void add_part(struct body_parts *out, struct slice part)
{
    if (part.len) {
        assert(out->count < FORWARD_PARTS_MAX);
        out->parts[out->count++] = part;
        out->bytes += part.len;
    }
}

enum err openai_forward(struct arena *a, const struct chat_ask *ask, const struct encode_options *o,
                        struct body_parts *out)
{
    assert(ask->spans && o->profile);
    struct edits edits = {.count = 0};
    *out = (struct body_parts){.count = 0};
    if (!edit_model(a, &edits, ask, o) || !edit_cap(a, &edits, ask, o)) {
        return E_NOMEM;
    }
    out->adds_usage = edit_usage(&edits, ask, o);
    size_t at = 0;
    for (size_t i = 0; i < edits.count; i++) {
        const struct edit *e = &edits.list[i];
        add_part(out, slice_of(ask->body.ptr + at, e->at - at));
        add_part(out, e->text);
        at = e->at + e->len;
    }
    add_part(out, slice_from(ask->body, at));
    return OK;
}

void openai_find_conversation(struct arena *a, const struct chat_ask *ask, struct conversation *out)
{
    const struct openai_members *m = ask->spans;
    out->session = conversation_id_of(a, &m->at[M_PROMPT_CACHE_KEY]);
    out->tools = m->at[read_is_given(&m->at[M_TOOLS]) ? M_TOOLS : M_FUNCTIONS];
    out->turns = m->at[M_MESSAGES];
}
