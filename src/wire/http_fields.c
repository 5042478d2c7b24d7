/* Look-ups in a parsed head and in a query. */
#include "wire/http1.h"

struct slice http_head_get(const struct http_head *head, enum http_field field)
{
    int16_t at = head->first[field];
    return at ? head->headers[at - 1].value : SLICE_NONE;
}

struct slice http_head_find(const struct http_head *head, struct slice name)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (slice_eq_nocase(head->headers[i].name, name)) {
            return head->headers[i].value;
        }
    }
    return SLICE_NONE;
}

struct slice http_percent_decode(struct arena *a, struct slice text)
{
    if (slice_find(text, '%') == text.len) {
        return text.ptr ? text : slice_of("", 0);
    }
    char *out = arena_alloc(a, text.len);
    size_t len = 0;
    if (!out) {
        return SLICE_NONE;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            out[len++] = text.ptr[i];
            continue;
        }
        int high = i + 1 < text.len ? hex_value(text.ptr[i + 1]) : -1;
        int low = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
        if (high < 0 || low < 0 || (high == 0 && low == 0)) {
            return SLICE_NONE;
        }
        out[len++] = (char)(high * 16 + low);
        i += 2;
    }
    return slice_of(out, len);
}

struct slice http_query_get(struct arena *a, struct slice query, struct slice name)
{
    while (query.len) {
        struct slice pair = slice_head(query, slice_find(query, '&'));
        size_t equals = slice_find(pair, '=');
        if (slice_eq(slice_head(pair, equals), name)) {
            return http_percent_decode(a, slice_from(pair, equals + 1));
        }
        query = slice_from(query, pair.len + 1);
    }
    return SLICE_NONE;
}
