/* What one event of a Responses stream says, or a whole Response, found without building a tree. */
#include "dialect/responses.h"

enum {
    L_TYPE,
    L_RESPONSE,
    L_DELTA,
    L_ITEM,
    L_ERROR,
    L_STATUS,
    L_USAGE,
    L_MODEL,
    L_OUTPUT,
    L_INCOMPLETE_DETAILS,
    L_INPUT_TOKENS,
    L_SEQUENCE_NUMBER,
    L_OBFUSCATION,
    L_COUNT,
    L_ID = L_COUNT, /* of a response alone */
    L_ALL
};

static const struct slice names[L_ALL] = {
    [L_TYPE] = SLICE_INIT("type"),
    [L_RESPONSE] = SLICE_INIT("response"),
    [L_DELTA] = SLICE_INIT("delta"),
    [L_ITEM] = SLICE_INIT("item"),
    [L_ERROR] = SLICE_INIT("error"),
    [L_STATUS] = SLICE_INIT("status"),
    [L_USAGE] = SLICE_INIT("usage"),
    [L_MODEL] = SLICE_INIT("model"),
    [L_OUTPUT] = SLICE_INIT("output"),
    [L_INCOMPLETE_DETAILS] = SLICE_INIT("incomplete_details"),
    [L_INPUT_TOKENS] = SLICE_INIT("input_tokens"),
    [L_SEQUENCE_NUMBER] = SLICE_INIT("sequence_number"),
    [L_OBFUSCATION] = SLICE_INIT("obfuscation"), /* so that its size does not tell the text */
    [L_ID] = SLICE_INIT("id"),
};

/* Members of an object by the first count of those names; E_SYNTAX: it is none. */
static HOT enum err find(struct slice text, size_t count, struct span *out)
{
    struct span_cursor c;
    struct span m;
    enum span_step step;
    memset(out, 0, count * sizeof(*out));
    if (span_skim(&c, text) || !c.is_object) {
        return E_SYNTAX;
    }
    while ((step = span_next(&c, &m)) == SPAN_ITEM) {
        struct slice key = read_key(&m);
        for (size_t i = 0; i < count; i++) {
            if (slice_eq(key, names[i])) {
                out[i] = m;
                break;
            }
        }
    }
    return step == SPAN_BAD ? (enum err)c.failed : OK;
}

static bool is(const struct span *s, const char *text)
{
    return s->kind == SPAN_STRING && slice_eq(span_plain(s), slice_str(text));
}

static struct slice plain(const struct span *s)
{
    return s->kind == SPAN_STRING && s->is_string_plain ? span_plain(s) : SLICE_NONE;
}

/* Bytes of the strings that are the answer's own in an item, its content and its summary. */
static int64_t said_bytes(struct slice container, int depth)
{
    static const struct slice texts[] = {SLICE_INIT("text"), SLICE_INIT("refusal"),
                                         SLICE_INIT("arguments"), SLICE_INIT("input"),
                                         SLICE_INIT("name")};
    struct span_cursor c;
    struct span m;
    int64_t bytes = 0;
    if (span_skim(&c, container)) {
        return 0;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        struct slice key = c.is_object ? read_key(&m) : SLICE("content");
        bool is_list = slice_eq(key, SLICE("content")) || slice_eq(key, SLICE("summary"));
        for (size_t i = 0; i < ARRAY_LEN(texts) && m.kind == SPAN_STRING; i++) {
            bytes += slice_eq(key, texts[i]) ? (int64_t)m.value.len - 2 : 0;
        }
        if (is_list && depth && (m.kind == SPAN_OBJECT || m.kind == SPAN_ARRAY)) {
            bytes += said_bytes(m.value, depth - 1);
        }
    }
    return bytes;
}

/* Whether the client is to call something; adds the bytes of all items where they are wanted. */
static bool look_output(const struct span *output, int64_t *bytes)
{
    struct span_cursor c;
    struct span item, at[L_COUNT];
    bool has_call = false;
    if (output->kind != SPAN_ARRAY || span_skim(&c, output->value)) {
        return false;
    }
    while (span_next(&c, &item) == SPAN_ITEM) {
        if (item.kind == SPAN_OBJECT && find(item.value, L_COUNT, at) == OK) {
            has_call =
                has_call || is(&at[L_TYPE], "function_call") || is(&at[L_TYPE], "custom_tool_call");
            if (bytes) {
                *bytes += said_bytes(item.value, 3);
            }
        }
    }
    return has_call;
}

static void look_response(const struct span *at, struct event_look *out, int64_t *bytes)
{
    static const struct span_name name = {SLICE_INIT("reason"), false};
    struct span reason = {.kind = SPAN_ABSENT};
    struct span_object o;
    bool has_call = look_output(&at[L_OUTPUT], bytes);
    out->model = plain(&at[L_MODEL]);
    out->id = plain(&at[L_ID]);
    out->usage = at[L_USAGE].kind == SPAN_OBJECT ? at[L_USAGE].value : SLICE_NONE;
    if (at[L_INCOMPLETE_DETAILS].kind == SPAN_OBJECT &&
        spans_scan(at[L_INCOMPLETE_DETAILS].value, &name, 1, &reason, &o)) {
        reason.kind = SPAN_ABSENT;
    }
    out->finish = responses_finish(plain(&at[L_STATUS]), plain(&reason), has_call);
    if (read_is_given(&at[L_ERROR]) || out->finish == CHAT_FINISH_ERROR) {
        out->is_error = true;
        out->error = read_is_given(&at[L_ERROR]) ? at[L_ERROR].value : SLICE("\"failed\"");
    }
}

static bool is_terminal(struct slice type)
{
    return slice_eq(type, SLICE("response.completed")) ||
           slice_eq(type, SLICE("response.incomplete"));
}

/* What is different in every event and tells nothing. */
static void look_fillers(const struct span *at, struct event_look *out)
{
    if (at[L_SEQUENCE_NUMBER].kind == SPAN_NUMBER) {
        look_add_gap(out, at[L_SEQUENCE_NUMBER].value, LOOK_GAP_NUMBER);
    }
    if (at[L_OBFUSCATION].kind == SPAN_STRING) {
        look_add_gap(out, span_plain(&at[L_OBFUSCATION]), LOOK_GAP_FILLER);
    }
}

HOT enum err responses_look(struct slice name, struct slice data, struct event_look *out)
{
    struct span at[L_COUNT], inner[L_ALL];
    *out = (struct event_look){.finish = CHAT_FINISH_NONE};
    if (slice_eq(data, SLICE("[DONE]"))) {
        return OK; /* some servers end with it, too; here it says nothing */
    }
    enum err e = find(data, L_COUNT, at);
    if (e) {
        return e;
    }
    struct slice type = plain(&at[L_TYPE]);
    type = type.len ? type : name;
    if (slice_eq(type, SLICE("error")) || read_is_given(&at[L_ERROR])) {
        out->is_error = true;
        out->error = read_is_given(&at[L_ERROR]) ? at[L_ERROR].value : data;
        return OK;
    }
    look_fillers(at, out);
    if (at[L_DELTA].kind == SPAN_STRING) {
        look_add_text(out, span_plain(&at[L_DELTA]));
    } else if (at[L_ITEM].kind == SPAN_OBJECT &&
               slice_eq(type, SLICE("response.output_item.added"))) {
        out->output_bytes = said_bytes(at[L_ITEM].value, 0); /* the name of a call */
    }
    if (at[L_RESPONSE].kind == SPAN_OBJECT && find(at[L_RESPONSE].value, L_ALL, inner) == OK) {
        look_response(inner, out, NULL);
    }
    out->is_done = is_terminal(type) && !out->is_error;
    return OK;
}

enum err responses_observe(struct arena *a, enum chat_operation op, struct slice body,
                           struct outcome *out)
{
    struct event_look look = {.finish = CHAT_FINISH_NONE};
    struct span at[L_ALL];
    bool wants_detail = out->wants_detail;
    if (find(slice_trim(body), L_ALL, at)) {
        return E_SYNTAX;
    }
    *out = (struct outcome){.wants_detail = wants_detail, .is_complete = true};
    if (op == CHAT_OP_COUNT_TOKENS) { /* counting is free */
        out->is_empty = at[L_INPUT_TOKENS].kind != SPAN_NUMBER;
        out->usage.is_known = out->has_usage = !out->is_empty;
        return OK;
    }
    bool counts = wants_detail || at[L_USAGE].kind != SPAN_OBJECT;
    look_response(at, &look, counts ? &look.output_bytes : NULL);
    if (look.usage.len) {
        openai_read_usage(look.usage, &out->usage);
        out->has_usage = out->usage.is_known;
    }
    out->finish = look.finish;
    out->output_bytes = look.output_bytes;
    out->has_content = look.output_bytes > 0;
    out->is_error = look.is_error;
    out->is_empty = at[L_OUTPUT].kind != SPAN_ARRAY;
    if (look.is_error) {
        out->error = openai_error_message(a, look.error);
    }
    out->model = arena_dup(a, look.model);
    out->kept_id = arena_dup(a, look.id);
    return out->model.ptr && out->kept_id.ptr ? OK : E_NOMEM;
}

enum err responses_read_count(struct slice body, int64_t *out_input_tokens)
{
    struct span at[L_COUNT];
    if (find(slice_trim(body), L_COUNT, at) || at[L_INPUT_TOKENS].kind != SPAN_NUMBER) {
        return E_SYNTAX;
    }
    *out_input_tokens = read_tokens(&at[L_INPUT_TOKENS]);
    return OK;
}
