#include "core/check.h"
#include "dialect/openai.h"
#include "dialect/own.h"

#include <assert.h>

/* Members as read; numbers are JSON text. */
struct own_members {
    struct openai_members found; /* first: openai_find_conversation() takes it for all of it */
    struct slice temperature;
    bool has_temperature, has_max_tokens;
    struct fault_detail details[OWN_DETAILS_MAX];
    size_t detail_count;
};

struct reader {
    struct arena *arena;
    struct own_members *m;
};

static void complain(struct reader *r, const char *type, struct slice loc, const char *message,
                     struct slice input)
{
    if (r->m->detail_count < OWN_DETAILS_MAX) {
        r->m->details[r->m->detail_count++] =
            (struct fault_detail){.type = slice_str(type),
                                  .loc = loc.ptr ? loc : SLICE("[\"body\"]"),
                                  .message = slice_str(message),
                                  .input = input};
    }
}

static void complain_of(struct reader *r, const char *member, const char *type, const char *message,
                        struct slice input)
{
    complain(r, type, arena_printf(r->arena, "[\"body\",\"%s\"]", member), message, input);
}

/* The inside of a string, or the number as spelled. */
static struct slice loose_text(struct reader *r, const struct span *s)
{
    return s->kind == SPAN_STRING ? slice_trim(read_text(r->arena, s)) : s->value;
}

static bool is_json_number(struct slice text)
{
    struct span_fault fault;
    return text.len && (text.ptr[0] == '-' || (text.ptr[0] >= '0' && text.ptr[0] <= '9')) &&
           spans_check(text, &fault) == OK;
}

static bool read_model(struct reader *r, struct slice body, struct chat_ask *out)
{
    const struct span *s = &r->m->found.at[M_MODEL];
    if (s->kind == SPAN_ABSENT) {
        complain_of(r, "model", "missing", "Field required", slice_trim(body));
    } else if (s->kind != SPAN_STRING) {
        complain_of(r, "model", "string_type", "Input should be a valid string", s->value);
    } else if (s->value.len == 2) {
        complain_of(r, "model", "string_too_short", "String should have at least 1 character",
                    s->value);
    } else {
        out->model = read_text(r->arena, s);
        return out->model.ptr != NULL;
    }
    return true;
}

static void check_message(struct reader *r, const struct span *message, size_t index)
{
    static const struct span_name names[] = {{SLICE_INIT("role"), true},
                                             {SLICE_INIT("content"), true}};
    struct span at[2];
    struct span_object o;
    if (message->kind != SPAN_OBJECT) {
        complain(r, "dict_type", arena_printf(r->arena, "[\"body\",\"messages\",%zu]", index),
                 "Input should be a valid dictionary", message->value);
        return;
    }
    if (spans_scan(message->value, names, 2, at, &o)) {
        complain(r, "value_error", arena_printf(r->arena, "[\"body\",\"messages\",%zu]", index),
                 "role and content may be given once", message->value);
        return;
    }
    if (at[0].kind != SPAN_STRING) {
        bool is_missing = at[0].kind == SPAN_ABSENT;
        complain(r, is_missing ? "missing" : "string_type",
                 arena_printf(r->arena, "[\"body\",\"messages\",%zu,\"role\"]", index),
                 is_missing ? "Field required" : "Input should be a valid string",
                 is_missing ? message->value : at[0].value);
    }
}

static void read_messages(struct reader *r, struct slice body)
{
    const struct span *s = &r->m->found.at[M_MESSAGES];
    struct span_cursor c;
    struct span m;
    if (s->kind == SPAN_ABSENT) {
        complain_of(r, "messages", "missing", "Field required", slice_trim(body));
        return;
    }
    if (s->kind != SPAN_ARRAY || span_open(&c, s->value)) {
        complain_of(r, "messages", "list_type", "Input should be a valid list", s->value);
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        check_message(r, &m, c.count - 1);
    }
    if (c.count == 0) {
        complain_of(r, "messages", "too_short",
                    "List should have at least 1 item after validation, not 0", s->value);
    }
}

static void read_temperature(struct reader *r)
{
    const struct span *s = &r->m->found.at[M_TEMPERATURE];
    struct slice text = s->kind == SPAN_ABSENT ? SLICE("0.7") : loose_text(r, s);
    r->m->has_temperature = s->kind != SPAN_ABSENT;
    if (s->kind != SPAN_ABSENT && s->kind != SPAN_NUMBER && s->kind != SPAN_STRING) {
        complain_of(r, "temperature", "float_type", "Input should be a valid number", s->value);
    } else if (!is_json_number(text)) {
        complain_of(r, "temperature", "float_parsing",
                    "Input should be a valid number, unable to parse string as a number", s->value);
    }
    r->m->temperature = text;
}

/* 100, "100" and 100.0 are one hundred. */
static bool loose_integer(struct slice text, int64_t *out, bool *out_is_number)
{
    size_t dot = slice_find(text, '.');
    *out_is_number = is_json_number(text);
    for (size_t i = dot + 1; i < text.len; i++) {
        if (text.ptr[i] != '0') {
            return false;
        }
    }
    return *out_is_number && slice_to_i64(slice_head(text, dot), out);
}

static void read_max_tokens(struct reader *r, struct chat_ask *out)
{
    const struct span *s = &r->m->found.at[M_MAX_TOKENS];
    bool is_number = false;
    int64_t value = OWN_DEFAULT_MAX_TOKENS;
    r->m->has_max_tokens = s->kind != SPAN_ABSENT;
    if (s->kind == SPAN_ABSENT) {
        out->output_max_tokens = value;
        return;
    }
    if (s->kind != SPAN_NUMBER && s->kind != SPAN_STRING) {
        complain_of(r, "max_tokens", "int_type", "Input should be a valid integer", s->value);
    } else if (!loose_integer(loose_text(r, s), &value, &is_number)) {
        bool is_fraction = is_number && s->kind == SPAN_NUMBER;
        complain_of(r, "max_tokens", is_fraction ? "int_from_float" : "int_parsing",
                    is_fraction
                        ? "Input should be a valid integer, got a number with a fractional part"
                        : "Input should be a valid integer, unable to parse string as an integer",
                    s->value);
    } else if (value < 1) {
        complain_of(r, "max_tokens", "greater_than_equal",
                    "Input should be greater than or equal to 1", s->value);
    }
    out->output_max_tokens = value;
}

static void read_stream(struct reader *r, struct chat_ask *out)
{
    static const char *const yes[] = {"true", "t", "yes", "y", "on", "1"};
    static const char *const no[] = {"false", "f", "no", "n", "off", "0"};
    const struct span *s = &r->m->found.at[M_STREAM];
    out->is_stream = s->kind == SPAN_TRUE;
    if (s->kind == SPAN_ABSENT || s->kind == SPAN_TRUE || s->kind == SPAN_FALSE) {
        return;
    }
    if (s->kind != SPAN_STRING && s->kind != SPAN_NUMBER) {
        complain_of(r, "stream", "bool_type", "Input should be a valid boolean", s->value);
        return;
    }
    struct slice text = loose_text(r, s);
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        bool is_yes = slice_eq_nocase(text, slice_str(yes[i]));
        if (is_yes || slice_eq_nocase(text, slice_str(no[i]))) {
            out->is_stream = is_yes;
            return;
        }
    }
    complain_of(r, "stream", "bool_parsing",
                "Input should be a valid boolean, unable to interpret input", s->value);
}

/* The body is no JSON object, or a member that decides is given twice. */
static enum err refuse_body(struct reader *r, struct slice body, enum err e,
                            struct fault *out_fault)
{
    struct span_fault why = r->m->found.object.fault;
    struct span_fault whole;
    if (e == E_DUPLICATE) {
        struct slice loc = arena_printf(r->arena, "[\"body\",\"%.*s\"]", SLICE_ARG(why.named));
        complain(r, "value_error", loc, why.what, SLICE_NONE);
    } else if (e == E_SYNTAX && spans_check(body, &whole) == OK) {
        complain(r, "model_attributes_type", SLICE_NONE,
                 "Input should be a valid dictionary or object to extract fields from",
                 slice_trim(body));
    } else {
        complain(r, "json_invalid", arena_printf(r->arena, "[\"body\",%zu]", why.at),
                 "JSON decode error", SLICE("{}"));
    }
    *out_fault = (struct fault){.kind = FAULT_BAD_REQUEST,
                                .message = SLICE("JSON decode error"),
                                .details = r->m->details,
                                .detail_count = r->m->detail_count};
    return e;
}

static bool is_zero(struct slice number)
{
    size_t end = 0;
    while (end < number.len && number.ptr[end] != 'e' && number.ptr[end] != 'E') {
        if (number.ptr[end] >= '1' && number.ptr[end] <= '9') {
            return false;
        }
        end++;
    }
    return end != 0;
}

enum err own_scan(struct arena *a, enum chat_operation op, struct slice body, struct chat_ask *out,
                  struct fault *out_fault)
{
    struct reader r = {.arena = a, .m = ARENA_NEW(a, struct own_members)};
    *out = (struct chat_ask){.op = op, .body = body, .choices = 1, .output_max_tokens = -1};
    *out_fault = FAULT_NO_MEMORY;
    if (!r.m) {
        return E_NOMEM;
    }
    enum err e = openai_find_members(a, body, &r.m->found, out_fault);
    if (e) {
        return refuse_body(&r, body, e, out_fault);
    }
    if (!read_model(&r, body, out)) {
        return E_NOMEM;
    }
    read_messages(&r, body);
    read_temperature(&r);
    read_max_tokens(&r, out);
    read_stream(&r, out);
    if (r.m->detail_count) {
        *out_fault = (struct fault){.kind = FAULT_BAD_REQUEST,
                                    .message = r.m->details[0].message,
                                    .details = r.m->details,
                                    .detail_count = r.m->detail_count};
        return E_SYNTAX;
    }
    out->is_deterministic = r.m->has_temperature && is_zero(r.m->temperature);
    struct openai_members sent = {.at[M_MESSAGES] = r.m->found.at[M_MESSAGES]};
    out->prompt_max_tokens = openai_prompt_bound(&sent, body, &out->is_uncacheable);
    out->spans = r.m;
    return OK;
}

enum err own_decode_request(struct arena *a, struct chat_ask *ask, struct fault *out_fault)
{
    const struct own_members *m = ask->spans;
    struct chat_request *r = ARENA_NEW(a, struct chat_request);
    yyjson_val *root;
    assert(m);
    *out_fault = FAULT_NO_MEMORY;
    if (!r) {
        return E_NOMEM;
    }
    enum err e = json_parse_checked(a, m->found.at[M_MESSAGES].value, &root, NULL);
    if (e) {
        *out_fault = (struct fault){.kind = e == E_LIMIT ? FAULT_TOO_LARGE : FAULT_BAD_REQUEST,
                                    .message = SLICE("The messages cannot be read."),
                                    .param = SLICE("messages")};
        return e;
    }
    e = openai_decode_messages(a, root, r, out_fault);
    if (e) {
        return e;
    }
    r->model = ask->model;
    r->is_stream = ask->is_stream;
    r->temperature.text = m->temperature;
    r->is_temperature_default = !m->has_temperature;
    r->max_tokens.text = arena_printf(a, "%lld", (long long)ask->output_max_tokens);
    r->is_max_tokens_default = !m->has_max_tokens;
    r->parallel_tool_calls = -1;
    r->format_strict = -1;
    ask->neutral = r;
    return r->max_tokens.text.ptr ? OK : E_NOMEM;
}
