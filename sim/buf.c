#include "buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void *need(void *p)
{
    if (p == NULL) {
        (void)fputs("provider-sim: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *xmalloc(size_t n)
{
    return need(malloc(n > 0 ? n : 1));
}

void *xzalloc(size_t n)
{
    return need(calloc(1, n > 0 ? n : 1));
}

char *xdup(struct str s)
{
    char *p = xmalloc(s.len + 1);
    if (s.len > 0) {
        memcpy(p, s.ptr, s.len);
    }
    p[s.len] = '\0';
    return p;
}

void buf_free(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf){0};
}

void buf_room(struct buf *b, size_t more)
{
    if (b->cap - b->len >= more) {
        return;
    }
    size_t cap = b->cap > 0 ? b->cap : 256;
    while (cap - b->len < more) {
        cap *= 2;
    }
    b->ptr = need(realloc(b->ptr, cap));
    b->cap = cap;
}

void buf_add(struct buf *b, const void *ptr, size_t len)
{
    if (len > 0) {
        buf_room(b, len);
        memcpy(b->ptr + b->len, ptr, len);
        b->len += len;
    }
}

void buf_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_put(struct buf *b, struct str s)
{
    buf_add(b, s.ptr, s.len);
}

void buf_repeat(struct buf *b, char c, size_t n)
{
    if (n > 0) {
        buf_room(b, n);
        memset(b->ptr + b->len, c, n);
        b->len += n;
    }
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n > 0) {
        buf_room(b, (size_t)n + 1);
        (void)vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_json(struct buf *b, struct str s)
{
    buf_room(b, s.len + 2);
    buf_add(b, "\"", 1);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\') {
            char two[2] = {'\\', (char)c};
            buf_add(b, two, 2);
        } else if (c == '\n') {
            buf_add(b, "\\n", 2);
        } else if (c < 0x20) {
            buf_printf(b, "\\u%04x", c);
        } else {
            buf_add(b, s.ptr + i, 1);
        }
    }
    buf_add(b, "\"", 1);
}

void buf_base64(struct buf *b, const void *ptr, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = ptr;
    buf_room(b, len / 3 * 4 + 4);
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        v |= i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0;
        v |= i + 2 < len ? (uint32_t)p[i + 2] : 0;
        char out[4] = {digits[v >> 18], digits[(v >> 12) & 63], digits[(v >> 6) & 63],
                       digits[v & 63]};
        if (i + 1 >= len) {
            out[2] = '=';
        }
        if (i + 2 >= len) {
            out[3] = '=';
        }
        buf_add(b, out, 4);
    }
}

void buf_drop(struct buf *b, size_t n)
{
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
}

struct str buf_view(const struct buf *b)
{
    return (struct str){b->ptr != NULL ? b->ptr : "", b->len};
}

bool str_is(struct str s, const char *lit)
{
    return s.len == strlen(lit) && (s.len == 0 || memcmp(s.ptr, lit, s.len) == 0);
}

bool str_is_nocase(struct str s, const char *lit)
{
    return s.len == strlen(lit) && (s.len == 0 || strncasecmp(s.ptr, lit, s.len) == 0);
}

uint64_t str_hash(struct str s, uint64_t seed)
{
    uint64_t h = seed ^ (s.len * 0x9e3779b97f4a7c15ULL);
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t w = 0;
        memcpy(&w, s.ptr + i, 8);
        h = (h ^ w) * 0xff51afd7ed558ccdULL;
        h ^= h >> 32;
    }
    for (; i < s.len; i++) {
        h = (h ^ (unsigned char)s.ptr[i]) * 0xff51afd7ed558ccdULL;
    }
    return h ^ (h >> 29);
}
