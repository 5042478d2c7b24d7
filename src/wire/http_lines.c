#include "wire/http_lines.h"

void http_line(struct text *out, struct slice name, struct slice value)
{
    size_t need = name.len + value.len + 4;
    char *at = value.len ? text_reserve(out, need) : NULL;
    if (!at) {
        return;
    }
    at = slice_put(at, name);
    *at++ = ':';
    *at++ = ' ';
    at = slice_put(at, value);
    *at++ = '\r';
    *at = '\n';
}

void http_line_printable(struct text *out, struct slice name, struct slice value)
{
    size_t before = out->len;
    http_line(out, name, value);
    for (size_t i = before; i + 2 < out->len; i++) { /* but for the CR LF of our own */
        if (out->ptr[i] < ' ' || out->ptr[i] > '~') {
            out->ptr[i] = '?';
        }
    }
}

void http_line_i64(struct text *out, struct slice name, int64_t value)
{
    char digits[24];
    struct text t = text_in(digits, sizeof(digits));
    text_add_i64(&t, value);
    http_line(out, name, text_slice(&t));
}
