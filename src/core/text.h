/* core/text.h -- writes text into a fixed room, or into an arena when one is given.
 *
 * Appends never overrun: what does not fit sets is_full and is left out, so a caller checks once,
 * at the end. 0..len written | len..cap free
 */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "core/arena.h"
#include "core/slice.h"

#include <assert.h>

struct text {
    char *ptr;
    size_t len;
    size_t cap;
    struct arena *arena; /* borrowed; NULL: the room is all there is */
    bool is_full;        /* something was left out */
};

static inline struct text text_in(char *ptr, size_t cap)
{
    return (struct text){.ptr = ptr, .cap = cap};
}

/* Grows by doubling inside the arena (old copies stay until the arena is reset). */
static inline struct text text_growing(struct arena *arena)
{
    return (struct text){.arena = arena};
}

static inline struct slice text_slice(const struct text *t)
{
    return slice_of(t->ptr, t->len);
}

/* text_reserve() when the room must grow, if it can. */
MUST_USE char *text_reserve_slow(struct text *t, size_t len) NONNULL;

/* len bytes to write at, already counted; NULL when they do not fit. */
static inline MUST_USE char *text_reserve(struct text *t, size_t len)
{
    if (len > t->cap - t->len) {
        return text_reserve_slow(t, len);
    }
    char *at = t->ptr + t->len;
    t->len += len;
    return at;
}

static inline void text_add(struct text *t, struct slice s)
{
    char *at = s.len ? text_reserve(t, s.len) : NULL;
    if (at) {
        assert(s.ptr);
        memcpy(at, s.ptr, s.len);
    }
}

static inline void text_add_char(struct text *t, char c)
{
    char *at = text_reserve(t, 1);
    if (at) {
        *at = c;
    }
}

/* Decimal, at most so many bytes; returns the place behind. */
enum { TEXT_I64_MAX_BYTES = 20 };
char *text_put_i64(char *to, int64_t value) NONNULL;
void text_add_i64(struct text *t, int64_t value) NONNULL;
/* Exact decimal USD, a JSON number. */
void text_add_usd(struct text *t, int64_t nusd) NONNULL;
void text_addf(struct text *t, const char *format, ...) PRINTF(2, 3);
/* Length of the valid UTF-8 sequence at p, of left bytes; 0: there is none. */
size_t text_utf8_length(const uint8_t *p, size_t left) NONNULL;
/* With quotes; control characters, quote and backslash escaped (RFC 8259 section 7); invalid UTF-8
 * becomes U+FFFD. */
void text_add_json_string(struct text *t, struct slice s) NONNULL;
/* Percent-encoded (RFC 3986): letters, digits and -._~ stay, and the slash where it is kept. */
void text_add_uri(struct text *t, struct slice s, bool keeps_slash) NONNULL;
/* ,"name":  -- the comma only when the last byte is not '{' or '['. */
void text_add_json_key(struct text *t, const char *name) NONNULL;

#define TEXT_ADD(t, lit) text_add((t), SLICE(lit))

#endif
