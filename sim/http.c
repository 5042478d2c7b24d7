#define _GNU_SOURCE
#include "http.h"

#include <string.h>

struct framing {
    bool sized;
    bool chunked;
    bool has_host;
    size_t length;
};

static bool is_token_char(unsigned char c)
{
    return c > 0x20 && c < 0x7f && strchr("()<>@,;:\\\"/[]?={}", c) == NULL;
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_token_char((unsigned char)s.ptr[i])) {
            return false;
        }
    }
    return s.len > 0;
}

static struct str trim(struct str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

static const char *take_request_line(struct str line, struct request *out)
{
    const char *sp1 = memchr(line.ptr, ' ', line.len);
    if (sp1 == NULL) {
        return "the request line has no space";
    }
    struct str rest = {sp1 + 1, line.len - (size_t)(sp1 + 1 - line.ptr)};
    const char *sp2 = memchr(rest.ptr, ' ', rest.len);
    if (sp2 == NULL) {
        return "the request line has no version";
    }
    out->method = (struct str){line.ptr, (size_t)(sp1 - line.ptr)};
    out->target = (struct str){rest.ptr, (size_t)(sp2 - rest.ptr)};
    struct str version = {sp2 + 1, rest.len - (size_t)(sp2 + 1 - rest.ptr)};
    if (!is_token(out->method) || out->target.len == 0) {
        return "bad method or target";
    }
    if (!str_is(version, "HTTP/1.1") && !str_is(version, "HTTP/1.0")) {
        return "the version is neither HTTP/1.1 nor HTTP/1.0";
    }
    out->keep_alive = version.ptr[7] == '1';
    const char *q = memchr(out->target.ptr, '?', out->target.len);
    out->path = out->target;
    if (q != NULL) {
        out->path.len = (size_t)(q - out->target.ptr);
    }
    return NULL;
}

static const char *take_length(struct str v, struct framing *f)
{
    size_t n = 0;
    if (v.len == 0 || v.len > 15) {
        return "bad content-length";
    }
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9') {
            return "bad content-length";
        }
        n = n * 10 + (size_t)(v.ptr[i] - '0');
    }
    if (f->sized) {
        return "content-length twice";
    }
    f->sized = true;
    f->length = n;
    return n > HTTP_BODY_MAX_BYTES ? "the body is too large" : NULL;
}

static const char *note_header(struct header h, struct request *out, struct framing *f)
{
    if (str_is_nocase(h.name, "content-length")) {
        return take_length(h.value, f);
    }
    if (str_is_nocase(h.name, "transfer-encoding")) {
        if (!str_is_nocase(h.value, "chunked") || f->chunked) {
            return "transfer-encoding is not chunked";
        }
        f->chunked = true;
    } else if (str_is_nocase(h.name, "connection")) {
        if (str_is_nocase(h.value, "close")) {
            out->keep_alive = false;
        } else if (str_is_nocase(h.value, "keep-alive")) {
            out->keep_alive = true;
        }
    } else if (str_is_nocase(h.name, "expect")) {
        out->expects_100 = str_is_nocase(h.value, "100-continue");
    } else if (str_is_nocase(h.name, "host")) {
        if (f->has_host) {
            return "host twice";
        }
        f->has_host = true;
    }
    return NULL;
}

static const char *take_header_line(struct str line, struct request *out, struct framing *f)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon == NULL) {
        return "a header line has no colon";
    }
    struct header h = {{line.ptr, (size_t)(colon - line.ptr)},
                       trim((struct str){colon + 1, line.len - (size_t)(colon + 1 - line.ptr)})};
    if (!is_token(h.name)) {
        return "bad header name";
    }
    for (size_t i = 0; i < h.value.len; i++) {
        unsigned char c = (unsigned char)h.value.ptr[i];
        if (c == 0x7f || (c < 0x20 && c != '\t')) {
            return "control character in a header value";
        }
    }
    if (out->header_n == HTTP_HEADERS_MAX) {
        return "too many headers";
    }
    out->headers[out->header_n++] = h;
    return note_header(h, out, f);
}

/* The bytes of one line up to CR LF, and what follows it. A bare CR or LF inside is an error. */
static const char *split_line(struct str *rest, struct str *line)
{
    const char *lf = memchr(rest->ptr, '\n', rest->len);
    if (lf == NULL || lf == rest->ptr || lf[-1] != '\r') {
        return "a line does not end in CR LF";
    }
    *line = (struct str){rest->ptr, (size_t)(lf - 1 - rest->ptr)};
    if (memchr(line->ptr, '\r', line->len) != NULL) {
        return "bare CR";
    }
    size_t used = (size_t)(lf + 1 - rest->ptr);
    *rest = (struct str){rest->ptr + used, rest->len - used};
    return NULL;
}

static const char *parse_head(struct str head, struct request *out, struct framing *f)
{
    struct str line;
    const char *why = split_line(&head, &line);
    if (why == NULL) {
        why = take_request_line(line, out);
    }
    while (why == NULL && head.len > 0) {
        why = split_line(&head, &line);
        if (why == NULL) {
            why = take_header_line(line, out, f);
        }
    }
    if (why == NULL && f->sized && f->chunked) {
        why = "content-length and transfer-encoding";
    }
    if (why == NULL && !f->has_host && out->keep_alive) {
        why = "no host";
    }
    return why;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum parse chunk_size(struct str in, size_t *at, size_t *out_size, const char **out_why)
{
    const char *lf = memchr(in.ptr + *at, '\n', in.len - *at);
    if (lf == NULL) {
        *out_why = "chunk size line too long";
        return in.len - *at > 4096 ? PARSE_BAD : PARSE_MORE;
    }
    size_t size = 0;
    const char *p = in.ptr + *at;
    int digits = 0;
    for (; p < lf && hex_digit(*p) >= 0; p++, digits++) {
        size = size * 16 + (size_t)hex_digit(*p);
    }
    if (digits == 0 || digits > 8 || size > HTTP_BODY_MAX_BYTES || lf[-1] != '\r' ||
        (p != lf - 1 && *p != ';')) {
        *out_why = "bad chunk size";
        return PARSE_BAD;
    }
    *at = (size_t)(lf + 1 - in.ptr);
    *out_size = size;
    return PARSE_DONE;
}

static enum parse skip_trailer(struct str in, size_t *at, const char **out_why)
{
    for (;;) {
        struct str rest = {in.ptr + *at, in.len - *at};
        if (memchr(rest.ptr, '\n', rest.len) == NULL) {
            return PARSE_MORE;
        }
        struct str line;
        const char *why = split_line(&rest, &line);
        if (why != NULL) {
            *out_why = why;
            return PARSE_BAD;
        }
        *at = in.len - rest.len;
        if (line.len == 0) {
            return PARSE_DONE;
        }
    }
}

static enum parse parse_chunks(struct str in, size_t at, struct buf *scratch, struct request *out,
                               const char **out_why)
{
    scratch->len = 0;
    for (;;) {
        size_t size = 0;
        enum parse p = chunk_size(in, &at, &size, out_why);
        if (p != PARSE_DONE) {
            return p;
        }
        if (size == 0) {
            p = skip_trailer(in, &at, out_why);
            out->body = buf_view(scratch);
            out->used = at;
            return p;
        }
        if (in.len - at < size + 2) {
            out->need = at + size + 2;
            return PARSE_MORE;
        }
        if (memcmp(in.ptr + at + size, "\r\n", 2) != 0) {
            *out_why = "a chunk does not end in CR LF";
            return PARSE_BAD;
        }
        buf_add(scratch, in.ptr + at, size);
        at += size + 2;
        if (scratch->len > HTTP_BODY_MAX_BYTES) {
            *out_why = "the body is too large";
            return PARSE_BAD;
        }
    }
}

enum parse http_parse(struct str in, struct buf *scratch, struct request *out, const char **out_why)
{
    const char *end = memmem(in.ptr, in.len, "\r\n\r\n", 4);
    out->header_n = 0;
    out->need = 0;
    out->head_ready = false;
    out->expects_100 = false;
    if (end == NULL) {
        *out_why = "the head is too large";
        return in.len > HTTP_HEAD_MAX_BYTES ? PARSE_BAD : PARSE_MORE;
    }
    struct framing f = {0};
    size_t head_len = (size_t)(end + 4 - in.ptr);
    out->head = (struct str){in.ptr, head_len - 4};
    const char *why = parse_head((struct str){in.ptr, head_len - 2}, out, &f);
    if (why != NULL) {
        *out_why = why;
        return PARSE_BAD;
    }
    out->head_ready = true;
    if (f.chunked) {
        return parse_chunks(in, head_len, scratch, out, out_why);
    }
    out->used = head_len + f.length;
    out->need = out->used;
    out->body = (struct str){in.ptr + head_len, f.length};
    return in.len >= out->used ? PARSE_DONE : PARSE_MORE;
}

struct str http_header(const struct request *r, const char *name)
{
    for (size_t i = 0; i < r->header_n; i++) {
        if (str_is_nocase(r->headers[i].name, name)) {
            return r->headers[i].value;
        }
    }
    return (struct str){NULL, 0};
}
