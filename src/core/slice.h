/* core/slice.h -- borrowed bytes by value. NUL-terminated strings exist only at library edges. */
#ifndef CORE_SLICE_H
#define CORE_SLICE_H

#include "core/attr.h"
#include "core/banned.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Borrowed, not NUL-terminated; ptr may be NULL only when len is 0. */
struct slice {
    const char *ptr;
    size_t len;
};

/* Borrowed writable area. */
struct room {
    char *ptr;
    size_t cap;
};

#define SLICE(lit) ((struct slice){"" lit, sizeof(lit) - 1})
#define SLICE_INIT(lit)         \
    {                           \
        "" lit, sizeof(lit) - 1 \
    } /* for static tables */
#define SLICE_NONE   ((struct slice){NULL, 0})
#define SLICE_ARG(s) ((int)(s).len), ((s).ptr ? (s).ptr : "") /* for "%.*s" */

static inline struct slice slice_of(const char *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

/* s may be NULL: the empty slice. */
static inline struct slice slice_str(const char *s)
{
    return s ? (struct slice){s, strlen(s)} : SLICE_NONE;
}

/* Copies s to to, where it fits; returns the place behind. For names, numbers and ids: a call of
 * memcpy costs more than their bytes. */
static inline char *slice_put(char *to, struct slice s)
{
    const char *from = s.ptr;
    size_t len = s.len;
    if (len > 32) {
        memcpy(to, from, len);
    } else if (len >= 16) { /* the ends overlap, here and below */
        memcpy(to, from, 16);
        memcpy(to + len - 16, from + len - 16, 16);
    } else if (len >= 8) {
        memcpy(to, from, 8);
        memcpy(to + len - 8, from + len - 8, 8);
    } else if (len >= 4) {
        memcpy(to, from, 4);
        memcpy(to + len - 4, from + len - 4, 4);
    } else if (len) {
        to[0] = from[0];
        to[len / 2] = from[len / 2];
        to[len - 1] = from[len - 1];
    }
    return to + len;
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII case only. */
static inline bool slice_eq_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool slice_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* n may exceed the length: the empty rest. */
static inline struct slice slice_from(struct slice s, size_t n)
{
    return n >= s.len ? SLICE_NONE : (struct slice){s.ptr + n, s.len - n};
}

static inline struct slice slice_head(struct slice s, size_t n)
{
    return (struct slice){s.ptr, n < s.len ? n : s.len};
}

/* Position of the byte, or s.len. */
static inline size_t slice_find(struct slice s, char byte)
{
    const char *at = s.len ? memchr(s.ptr, byte, s.len) : NULL;
    return at ? (size_t)(at - s.ptr) : s.len;
}

/* Position of the first occurrence of needle, or s.len. */
static inline size_t slice_search(struct slice s, struct slice needle)
{
    if (needle.len == 0 || s.len < needle.len) {
        return s.len;
    }
    const char *at = memmem(s.ptr, s.len, needle.ptr, needle.len);
    return at ? (size_t)(at - s.ptr) : s.len;
}

/* Without leading and trailing SP, HTAB, CR, LF. */
static inline struct slice slice_trim(struct slice s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t' || s.ptr[0] == '\r' || s.ptr[0] == '\n')) {
        s.ptr++;
        s.len--;
    }
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t' ||
                     s.ptr[s.len - 1] == '\r' || s.ptr[s.len - 1] == '\n')) {
        s.len--;
    }
    return s;
}

/* At most max bytes of s, not ending inside a UTF-8 character. */
static inline struct slice slice_shortened(struct slice s, size_t max)
{
    if (s.len > max) {
        s.len = max;
        while (s.len && ((uint8_t)s.ptr[s.len] & 0xC0) == 0x80) {
            s.len--;
        }
    }
    return s;
}

/* Of a hexadecimal digit in either case; -1: it is none. */
static inline int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Whole slice as a decimal int64: optional '-', digits only; false when it is not or does not fit.
 */
static inline MUST_USE bool slice_to_i64(struct slice s, int64_t *out_value)
{
    bool negative = s.len && s.ptr[0] == '-';
    int64_t value = 0;
    size_t i = negative ? 1 : 0;
    if (i == s.len) {
        return false;
    }
    for (; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, s.ptr[i] - '0', &value)) { /* negative side holds more */
            return false;
        }
    }
    if (!negative && __builtin_sub_overflow((int64_t)0, value, &value)) {
        return false;
    }
    *out_value = value;
    return true;
}

#endif
