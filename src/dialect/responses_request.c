/* A Responses request as the gateway sees it: what it must know, and what it changes in place. */
#include "core/check.h"
#include "dialect/conversation.h"
#include "dialect/responses.h"

#include <assert.h>

enum {
    PROMPT_OVERHEAD_TOKENS = 64, /* what templates put around any prompt */
    FORMAT_OVERHEAD_TOKENS = 512 /* and what they say about formats */
};

static const struct span_name member_names[R_COUNT] = {
    [R_MODEL] = {SLICE_INIT("model"), true},
    [R_STREAM] = {SLICE_INIT("stream"), true},
    [R_INPUT] = {SLICE_INIT("input"), true},
    [R_INSTRUCTIONS] = {SLICE_INIT("instructions"), true},
    [R_MAX_OUTPUT_TOKENS] = {SLICE_INIT("max_output_tokens"), true},
    [R_TEMPERATURE] = {SLICE_INIT("temperature"), true},
    [R_TOOLS] = {SLICE_INIT("tools"), true},
    [R_TEXT] = {SLICE_INIT("text"), true},
    [R_STORE] = {SLICE_INIT("store"), true},
    [R_BACKGROUND] = {SLICE_INIT("background"), true},
    [R_PREVIOUS_RESPONSE_ID] = {SLICE_INIT("previous_response_id"), true},
    [R_CONVERSATION] = {SLICE_INIT("conversation"), true},
    [R_PROMPT] = {SLICE_INIT("prompt"), true},
    [R_CONTEXT_MANAGEMENT] = {SLICE_INIT("context_management"), true},
    [R_USER] = {SLICE_INIT("user"), true},
    [R_SAFETY_IDENTIFIER] = {SLICE_INIT("safety_identifier"), true},
    [R_PROMPT_CACHE_KEY] = {SLICE_INIT("prompt_cache_key"), false},
    [R_REQUEST_ID] = {SLICE_INIT("request_id"), true},
};

/* One scan at work. */
struct reader {
    struct arena *arena;
    const struct responses_members *m;
    struct chat_ask *out;
    struct fault *fault;
};

static bool refuse_type(struct reader *r, enum responses_member which, const char *what)
{
    const char *name = member_names[which].name.ptr;
    openai_refuse(r->arena, r->fault, name, "invalid_type", "Invalid type for '%s': expected %s.",
                  name, what);
    return false;
}

static bool read_bool(struct reader *r, enum responses_member which, bool *out)
{
    const struct span *s = &r->m->at[which];
    *out = s->kind == SPAN_TRUE;
    return !read_is_given(s) || s->kind == SPAN_TRUE || s->kind == SPAN_FALSE ||
           refuse_type(r, which, "a boolean");
}

static bool read_model(struct reader *r)
{
    const struct span *model = &r->m->at[R_MODEL];
    if (!read_is_given(model) || (model->kind == SPAN_STRING && model->value.len == 2)) {
        openai_refuse(r->arena, r->fault, "model", "missing_required_parameter",
                      "You must provide a 'model'.");
        return false;
    }
    if (model->kind != SPAN_STRING) {
        return refuse_type(r, R_MODEL, "a string");
    }
    r->out->model = read_text(r->arena, model);
    return r->out->model.ptr != NULL;
}

static bool read_input(struct reader *r)
{
    const struct span *at = r->m->at;
    const struct span *input = &at[R_INPUT];
    struct span_cursor c;
    struct span first;
    if (!read_is_given(input)) {
        bool is_elsewhere = read_is_given(&at[R_PREVIOUS_RESPONSE_ID]) ||
                            read_is_given(&at[R_CONVERSATION]) || read_is_given(&at[R_PROMPT]);
        if (!is_elsewhere) {
            openai_refuse(r->arena, r->fault, "input", "missing_required_parameter",
                          "One of 'input', 'previous_response_id', 'conversation' or 'prompt' "
                          "must be provided.");
        }
        return is_elsewhere;
    }
    if (input->kind != SPAN_STRING && input->kind != SPAN_ARRAY) {
        return refuse_type(r, R_INPUT, "a string or an array of items");
    }
    if (input->kind == SPAN_ARRAY &&
        (span_skim(&c, input->value) || span_next(&c, &first) != SPAN_ITEM) &&
        !read_is_given(&at[R_PREVIOUS_RESPONSE_ID]) && !read_is_given(&at[R_PROMPT]) &&
        !read_is_given(&at[R_CONVERSATION])) {
        openai_refuse(r->arena, r->fault, "input", "empty_array",
                      "Invalid 'input': empty array. Expected at least one element.");
        return false;
    }
    return true;
}

static bool read_most(struct reader *r)
{
    const struct span *s = &r->m->at[R_MAX_OUTPUT_TOKENS];
    int64_t value = -1;
    if (r->out->op == CHAT_OP_COUNT_TOKENS) {
        r->out->output_max_tokens = 0;
        return true;
    }
    if (!read_is_given(s)) {
        return true;
    }
    if (s->kind != SPAN_NUMBER || !slice_to_i64(s->value, &value)) {
        return refuse_type(r, R_MAX_OUTPUT_TOKENS, "an integer");
    }
    if (value < 0) {
        openai_refuse(r->arena, r->fault, "max_output_tokens", "integer_below_min_value",
                      "Invalid 'max_output_tokens': integer below minimum value. Expected a value "
                      ">= 16, but got %lld instead.",
                      (long long)value);
        return false;
    }
    r->out->output_max_tokens = value;
    return true;
}

static bool take_text(struct reader *r, const struct span *s, struct slice *out)
{
    if (s->kind != SPAN_STRING) {
        return true;
    }
    *out = read_text(r->arena, s);
    return out->ptr != NULL;
}

/* The id that a member is or holds. */
static bool take_id(struct reader *r, const struct span *s)
{
    static const struct span_name name = {SLICE_INIT("id"), true};
    struct span id = *s;
    struct span_object o;
    if (s->kind == SPAN_OBJECT && spans_scan(s->value, &name, 1, &id, &o)) {
        id.kind = SPAN_ABSENT;
    }
    return take_text(r, &id, &r->out->pinned_id);
}

/* What ties it to the provider that keeps the rest of it. */
static bool read_pins(struct reader *r)
{
    static const enum responses_member pins[] = {R_PROMPT, R_CONVERSATION, R_PREVIOUS_RESPONSE_ID};
    r->out->pinned_by = SLICE("background");
    for (size_t i = 0; i < ARRAY_LEN(pins); i++) {
        const struct span *s = &r->m->at[pins[i]];
        if (read_is_given(s)) {
            r->out->is_pinned = true;
            r->out->pinned_by = member_names[pins[i]].name;
            if (!take_id(r, s)) {
                return false;
            }
        }
    }
    return true;
}

/* vLLM lets a client choose the answer's id: another tenant's answer would be replaced, or pinned
 * to who asked for its id (docs/decisions/007). */
static bool chooses_no_id(struct reader *r)
{
    if (read_is_given(&r->m->at[R_REQUEST_ID])) {
        openai_refuse(r->arena, r->fault, "request_id", "unknown_parameter",
                      "Unknown parameter: 'request_id'.");
        return false;
    }
    return true;
}

static bool read_flags(struct reader *r)
{
    bool is_stored;
    if (!read_bool(r, R_STREAM, &r->out->is_stream) ||
        !read_bool(r, R_BACKGROUND, &r->out->is_deferred) || !read_bool(r, R_STORE, &is_stored)) {
        return false;
    }
    r->out->is_stream = r->out->is_stream && r->out->op == CHAT_OP_CHAT;
    r->out->wants_usage = r->out->is_stream; /* every stream of this dialect tells it */
    r->out->is_deferred = r->out->is_deferred && r->out->op == CHAT_OP_CHAT;
    r->out->is_pinned = r->out->is_deferred; /* it is fetched where it is made */
    const struct span *user = &r->m->at[R_USER];
    user = user->kind == SPAN_STRING ? user : &r->m->at[R_SAFETY_IDENTIFIER];
    return take_text(r, user, &r->out->user);
}

static void read_bounds(struct reader *r)
{
    const struct span *at = r->m->at;
    bool names_kept = false;
    int64_t tools = responses_tools_bound(&at[R_TOOLS]);
    int64_t input = responses_input_bound(&at[R_INPUT], &names_kept);
    bool is_outside =
        r->out->is_pinned || names_kept || tools < 0 || read_is_given(&at[R_CONTEXT_MANAGEMENT]);
    if (names_kept && !r->out->is_pinned) {
        r->out->is_pinned = true;
        r->out->pinned_by = SLICE("input");
    }
    r->out->is_kept = r->out->op == CHAT_OP_CHAT && at[R_STORE].kind != SPAN_FALSE;
    /* Stored unless it is said otherwise: the answer's id is promised to be there later. */
    r->out->is_uncacheable = is_outside || at[R_STORE].kind != SPAN_FALSE;
    r->out->is_deterministic = read_is_zero(&at[R_TEMPERATURE]);
    if (is_outside || input < 0) {
        r->out->prompt_max_tokens = -1;
        return;
    }
    int64_t sum = i64_add_sat(input, (int64_t)r->out->body.len + PROMPT_OVERHEAD_TOKENS);
    sum = i64_add_sat(sum, tools);
    r->out->prompt_max_tokens =
        i64_add_sat(sum, read_is_given(&at[R_TEXT]) ? FORMAT_OVERHEAD_TOKENS : 0);
}

enum err responses_scan(struct arena *a, enum chat_operation op, struct slice body,
                        struct chat_ask *out, struct fault *out_fault)
{
    struct responses_members *m = ARENA_NEW(a, struct responses_members);
    struct reader r = {.arena = a, .m = m, .out = out, .fault = out_fault};
    *out = (struct chat_ask){.op = op, .body = body, .choices = 1, .output_max_tokens = -1};
    *out_fault = FAULT_NO_MEMORY;
    if (!m) {
        return E_NOMEM;
    }
    enum err e = spans_scan(body, member_names, R_COUNT, m->at, &m->object);
    const struct span_fault *why = &m->object.fault;
    if (e == E_DUPLICATE) {
        openai_refuse(a, out_fault, NULL, "duplicate_parameter",
                      "'%.*s' is %s (at byte %zu); readers differ in which one counts.",
                      SLICE_ARG(why->named), why->what, why->at);
        out_fault->param = why->named;
        return e;
    }
    if (e) {
        openai_refuse(a, out_fault, NULL, NULL,
                      "The body is not a valid JSON object: %s at byte %zu.", why->what, why->at);
        return e;
    }
    if (!read_model(&r) || !read_flags(&r) || !read_input(&r) || !read_most(&r) ||
        !chooses_no_id(&r) || !read_pins(&r)) {
        return out_fault->kind == FAULT_OVERLOADED ? E_NOMEM : E_SYNTAX;
    }
    read_bounds(&r);
    out->spans = m;
    return OK;
}

/* What goes on from a stored answer begins nowhere in the request: only an id tells. */
void responses_find_conversation(struct arena *a, const struct chat_ask *ask,
                                 struct conversation *out)
{
    const struct span *at = ((const struct responses_members *)ask->spans)->at;
    out->session = conversation_id_of(a, &at[R_PROMPT_CACHE_KEY]);
    if (!out->session.len) {
        out->session = conversation_id_of(a, &at[R_CONVERSATION]);
    }
    if (!read_is_given(&at[R_PREVIOUS_RESPONSE_ID])) {
        out->system = at[R_INSTRUCTIONS];
        out->tools = at[R_TOOLS];
        out->turns = at[R_INPUT];
    }
}

/* --- forward -----------------------------------------------------------------------------------
 */

static void add_part(struct body_parts *out, struct slice part)
{
    if (part.len) {
        out->parts[out->count++] = part;
        out->bytes += part.len;
    }
}

/* body without the value of s, in whose place text comes; from: where the rest begins. */
static void replace(struct body_parts *out, struct slice body, size_t *from, const struct span *s,
                    struct slice text)
{
    size_t at = (size_t)(s->value.ptr - body.ptr);
    add_part(out, slice_of(body.ptr + *from, at - *from));
    add_part(out, text);
    *from = at + s->value.len;
}

/* Every byte as it came, but for the model's name and, where one is configured, a cap. */
enum err responses_forward(struct arena *a, const struct chat_ask *ask,
                           const struct encode_options *o, struct body_parts *out)
{
    const struct responses_members *m = ask->spans;
    assert(m && m->at[R_MODEL].kind == SPAN_STRING);
    const struct span *model = &m->at[R_MODEL], *cap = &m->at[R_MAX_OUTPUT_TOKENS];
    bool adds_cap =
        ask->op == CHAT_OP_CHAT && ask->output_max_tokens < 0 && o->output_cap_tokens >= 0;
    bool is_null_first = cap->kind == SPAN_NULL && cap->value.ptr < model->value.ptr;
    struct text name = text_growing(a), most = text_growing(a);
    size_t from = 0;
    *out = (struct body_parts){.count = 0};
    if (slice_eq(o->model, ask->model)) {
        text_add(&name, model->value);
    } else {
        text_add_json_string(&name, o->model);
    }
    if (adds_cap && cap->kind == SPAN_NULL) {
        text_add_i64(&most, o->output_cap_tokens);
    } else if (adds_cap) {
        text_addf(&most, "\"max_output_tokens\":%lld,", (long long)o->output_cap_tokens);
        add_part(out, slice_head(ask->body, m->object.open + 1));
        add_part(out, text_slice(&most));
        from = m->object.open + 1;
    }
    if (adds_cap && is_null_first) {
        replace(out, ask->body, &from, cap, text_slice(&most));
    }
    replace(out, ask->body, &from, model, text_slice(&name));
    if (adds_cap && cap->kind == SPAN_NULL && !is_null_first) {
        replace(out, ask->body, &from, cap, text_slice(&most));
    }
    add_part(out, slice_from(ask->body, from));
    return name.is_full || most.is_full ? E_NOMEM : OK;
}
