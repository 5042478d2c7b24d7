#include "dialect/read.h"

#include "core/check.h"

#include <assert.h>

/* More than any model ever sees; so that sums of what a provider tells cannot overflow. */
#define TOKENS_TOLD_MAX (INT64_C(1) << 40)

struct chat_request *read_begin(struct arena *a, const struct chat_ask *ask,
                                struct fault *out_fault)
{
    struct chat_request *r = ARENA_NEW(a, struct chat_request);
    *out_fault = FAULT_NO_MEMORY;
    if (r) {
        r->model = ask->model;
        r->is_stream = ask->is_stream;
        r->wants_usage = ask->wants_usage;
        r->user = ask->user;
    }
    return r;
}

enum err read_end(const struct decoder *d, struct chat_ask *ask, struct chat_request *r)
{
    r->dropped = text_slice(&d->dropped);
    ask->neutral = r;
    return d->failed ? d->failed : d->dropped.is_full ? E_NOMEM : OK;
}

enum err read_no_memory(struct decoder *d)
{
    d->failed = E_NOMEM;
    return E_NOMEM;
}

struct slice read_place(const struct decoder *d, const char *member)
{
    return arena_printf(d->arena, "%.*s%s%s", SLICE_ARG(d->place),
                        *member && d->place.len ? "." : "", member);
}

struct slice read_json(struct decoder *d, yyjson_val *v)
{
    struct slice text = json_is_none(v) ? SLICE_NONE : json_text(d->arena, v);
    if (!json_is_none(v) && !text.ptr) {
        d->failed = E_NOMEM;
    }
    return text;
}

struct slice read_extras(struct decoder *d, yyjson_val *obj, const char *const *names, size_t count)
{
    struct slice extras;
    if (!json_other_members(d->arena, obj, names, count, &extras)) {
        d->failed = E_NOMEM;
    }
    return extras;
}

enum err read_tools(struct decoder *d, yyjson_val *list,
                    enum err (*take)(struct decoder *d, yyjson_val *v, size_t index,
                                     struct chat_tool *out),
                    struct chat_request *out)
{
    size_t i, max;
    yyjson_val *v;
    if (!yyjson_arr_size(list)) {
        return OK;
    }
    out->tools = arena_array(d->arena, yyjson_arr_size(list), sizeof(*out->tools));
    if (!out->tools) {
        return read_no_memory(d);
    }
    yyjson_arr_foreach(list, i, max, v)
    {
        if (take(d, v, i, &out->tools[out->tool_count++])) {
            return d->failed;
        }
    }
    return OK;
}

enum err read_stops(struct decoder *d, yyjson_val *list, struct chat_request *out)
{
    size_t i, max;
    yyjson_val *v;
    if (!yyjson_arr_size(list)) {
        return OK;
    }
    out->stops = arena_array(d->arena, yyjson_arr_size(list), sizeof(*out->stops));
    if (!out->stops) {
        return read_no_memory(d);
    }
    yyjson_arr_foreach(list, i, max, v)
    {
        if (yyjson_is_str(v)) {
            out->stops[out->stop_count++] = json_string(v);
        }
    }
    return OK;
}

enum err read_vectors(struct arena *a, struct slice body, const char *name,
                      struct embed_response *out, yyjson_val **out_list)
{
    yyjson_val *root;
    enum err e = json_parse(a, slice_trim(body), &root, NULL);
    yyjson_val *list = e ? NULL : json_get(root, name);
    if (e || !yyjson_arr_size(list)) {
        return e ? e : E_SYNTAX;
    }
    *out = (struct embed_response){.model = json_get_string(root, "model"),
                                   .vector_count = yyjson_arr_size(list)};
    out->vectors = arena_array(a, out->vector_count, sizeof(*out->vectors));
    *out_list = list;
    return out->vectors ? OK : E_NOMEM;
}

struct slice read_text(struct arena *a, const struct span *s)
{
    assert(s->kind == SPAN_STRING);
    if (s->is_string_plain) {
        return span_plain(s);
    }
    char *out = arena_alloc(a, s->value.len);
    return out ? slice_of(out, span_unescape(s->value, out)) : SLICE_NONE;
}

struct slice read_error_message(struct arena *a, struct slice error)
{
    static const struct span_name name = {SLICE_INIT("message"), false};
    struct span found = {.kind = SPAN_STRING, .value = error};
    struct span_object o;
    bool is_string = error.len >= 2 && error.ptr[0] == '"';
    if (!is_string && (spans_scan(error, &name, 1, &found, &o) || found.kind != SPAN_STRING)) {
        return arena_dup(a, error);
    }
    return read_text(a, &found);
}

int64_t read_tokens(const struct span *s)
{
    int64_t value = 0;
    size_t whole = 0;
    if (s->kind != SPAN_NUMBER) {
        return 0;
    }
    while (whole < s->value.len && s->value.ptr[whole] >= '0' && s->value.ptr[whole] <= '9') {
        whole++;
    }
    bool is_count = whole && slice_to_i64(slice_head(s->value, whole), &value);
    return is_count ? i64_min(value, TOKENS_TOLD_MAX) : 0;
}

bool read_is_one_of(const struct span *s, const struct slice *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_string_is(s, names[i])) {
            return true;
        }
    }
    return false;
}

bool read_is_zero(const struct span *s)
{
    if (s->kind != SPAN_NUMBER) {
        return false;
    }
    for (size_t i = 0; i < s->value.len; i++) {
        char c = s->value.ptr[i];
        if (c == 'e' || c == 'E') {
            break;
        }
        if (c >= '1' && c <= '9') {
            return false;
        }
    }
    return true;
}

bool read_says(struct slice text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(words[i]);
        for (size_t at = 0; at + len <= text.len; at++) {
            if (strncasecmp(text.ptr + at, words[i], len) == 0) {
                return true;
            }
        }
    }
    return false;
}

enum blame read_blame(int status)
{
    switch (status) {
    case 401:
    case 403: return BLAME_US_KEY;
    case 402: return BLAME_US_QUOTA;
    case 404:
    case 405: return BLAME_US_DEPLOYMENT;
    case 429: return BLAME_LIMITED;
    case 407: /* nothing that the request could be blamed for */
    case 408:
    case 409:
    case 424:
    case 425: return BLAME_PROVIDER;
    default: return status >= 400 && status < 500 ? BLAME_CLIENT : BLAME_PROVIDER;
    }
}
