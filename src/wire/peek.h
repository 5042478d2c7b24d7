/* wire/peek.h -- walks JSON that somebody else checks, in one pass: events and answers of
 * providers, of which a few members count (docs/decisions/003).
 *
 * Whatever the bytes are, nothing is read beyond the end, and every call moves forward or fails: it
 * checks strings' ends, brackets, names and commas, not numbers, literals and escapes. A failure is
 * remembered (at becomes NULL), so a loop is checked once, at its end.
 *   struct peek k = peek_open(text);
 *   for (bool more = peek_enter(&k); more; more = peek_more(&k)) {
 *       struct slice key = peek_key(&k);
 *       ... exactly one of peek_string(), peek_count(), peek_pass(), peek_enter() and its loop
 *   }
 *   if (!peek_is_over(&k)) ... E_SYNTAX
 */
#ifndef WIRE_PEEK_H
#define WIRE_PEEK_H

#include "core/slice.h"
#include "wire/skim.h"

#if defined(__SSE2__)
#    include <emmintrin.h>
#endif

enum { PEEK_DEPTH_MAX = 64 }; /* of containers entered; those passed may nest deeper */

/* begin..at passed | at..end unread; at NULL: failed. */
struct peek {
    const char *begin, *at, *end;
    uint64_t is_object; /* bit 0: the container entered last; its parents above */
    unsigned depth;
};

static inline struct peek peek_open(struct slice text)
{
    return (struct peek){.begin = text.ptr, .at = text.ptr, .end = text.ptr + text.len};
}

static inline bool peek_fail(struct peek *k)
{
    k->at = NULL;
    return false;
}

/* The next byte that is not white space; 0 at the end and after a failure. */
static inline char peek_byte(struct peek *k)
{
    if (!k->at) {
        return 0;
    }
    while (k->at != k->end && (unsigned char)*k->at <= ' ') {
        k->at++;
    }
    return (char)(k->at == k->end ? 0 : *k->at);
}

/* The first quote, backslash or control character from p on, or the end. */
static inline const char *peek_run(const struct peek *k, const char *p)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i slash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1F);
    while (k->end - p >= 16 || (k->end - k->begin >= 16 && p != k->end)) {
        ptrdiff_t back = k->end - p >= 16 ? 0 : 16 - (k->end - p); /* bytes seen before */
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p - back));
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash));
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(_mm_min_epu8(x, control), x));
        unsigned mask = (unsigned)_mm_movemask_epi8(stop) >> back;
        if (mask) {
            return p + __builtin_ctz(mask);
        }
        p += 16 - back;
    }
#endif
    while (p != k->end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20) {
        p++;
    }
    return p;
}

/* At the opening quote: the inside as spelled; out_is_plain: without escapes. ptr NULL: failed. */
static inline struct slice peek_string(struct peek *k, bool *out_is_plain)
{
    const char *start = k->at + 1;
    const char *p = peek_run(k, start);
    *out_is_plain = true;
    while (p != k->end && *p == '\\' && k->end - p > 2) {
        *out_is_plain = false;
        p = peek_run(k, p + 2);
    }
    if (p == k->end || *p != '"') {
        (void)peek_fail(k);
        return SLICE_NONE;
    }
    k->at = p + 1;
    return slice_of(start, (size_t)(p - start));
}

/* At '{' or '[': true when there is a first member or element to read. */
static inline bool peek_enter(struct peek *k)
{
    char open = peek_byte(k);
    if ((open != '{' && open != '[') || k->depth == PEEK_DEPTH_MAX) {
        return peek_fail(k);
    }
    k->at++;
    char next = peek_byte(k);
    if (next == open + 2) { /* ']' and '}' follow their openers by two */
        k->at++;
        return false;
    }
    k->is_object = k->is_object << 1 | (open == '{');
    k->depth++;
    return next != 0 || peek_fail(k);
}

/* After a value: true when another one follows; false behind the container's end, or failed. */
static inline bool peek_more(struct peek *k)
{
    char next = peek_byte(k);
    if (next == ',') {
        k->at++;
        return peek_byte(k) != 0 || peek_fail(k);
    }
    if (next != (k->is_object & 1 ? '}' : ']')) {
        return peek_fail(k);
    }
    k->at++;
    k->is_object >>= 1;
    k->depth--;
    return false;
}

/* The name of the next member without its quotes, as spelled, and over its colon: the value is
 * next. Empty also when it has escapes: no name that counts is spelled so. */
static inline struct slice peek_key(struct peek *k)
{
    bool is_plain = false;
    struct slice key = peek_byte(k) == '"' ? peek_string(k, &is_plain) : SLICE_NONE;
    if (!key.ptr || peek_byte(k) != ':') {
        (void)peek_fail(k);
        return SLICE_NONE;
    }
    k->at++;
    (void)(peek_byte(k) != 0 || peek_fail(k));
    return is_plain ? key : SLICE_NONE;
}

/* Passes a value of any kind; what it was, quotes and brackets included. ptr NULL: failed. */
static inline struct slice peek_pass(struct peek *k)
{
    bool is_plain;
    const char *start = k->at;
    switch (peek_byte(k)) {
    case '"': (void)peek_string(k, &is_plain); break;
    case '{':
    case '[':
        if (skim_container(k->at, k->end, SKIM_DEPTH_MAX, &k->at) != OK) {
            (void)peek_fail(k);
        }
        break;
    default:
        while (k->at && k->at != k->end && *k->at > ' ' && *k->at != ',' && *k->at != '}' &&
               *k->at != ']') {
            k->at++;
        }
        if (k->at == start) {
            (void)peek_fail(k);
        }
        break;
    }
    return k->at ? slice_of(start, (size_t)(k->at - start)) : SLICE_NONE;
}

/* A whole number that is not negative, cut down to max; anything else, and what int64 does not
 * hold, is passed and counts as 0; a fraction is cut off. */
static inline int64_t peek_count(struct peek *k, int64_t max)
{
    int64_t value = 0;
    bool is_over = false;
    const char *p = peek_byte(k) ? k->at : k->end;
    for (; p != k->end && *p >= '0' && *p <= '9'; p++) {
        is_over |= __builtin_mul_overflow(value, 10, &value) ||
                   __builtin_add_overflow(value, *p - '0', &value);
    }
    if (p != k->at && p != k->end && (*p == ',' || *p == '}' || *p == ']')) {
        k->at = p; /* nearly always */
    } else {
        (void)peek_pass(k);
    }
    return is_over ? 0 : value > max ? max : value;
}

/* Behind the outermost container, and nothing but white space follows. */
static inline bool peek_is_over(struct peek *k)
{
    return k->at && peek_byte(k) == 0 && k->at == k->end;
}

#endif
