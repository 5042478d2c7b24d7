#include "wire/skim.h"

#include "core/slice.h"

#include <assert.h>

#if defined(__SSE2__)
#    include <emmintrin.h>
#endif

enum { BLOCK_BYTES = 64 };

/* What stands where in 64 bytes: bit i is byte i. */
struct block {
    uint64_t quotes, slashes, opens, closes;
};

/* Carried from block to block, and the brackets that are open: bit d is set when the one at depth d
 * is '{'. */
struct skim {
    uint64_t in_string;  /* all ones inside a string */
    uint64_t is_escaped; /* 1: the next byte is escaped */
    uint64_t is_object[2];
    unsigned depth;
    unsigned depth_max;
};

#if defined(__SSE2__)
static inline uint64_t mask_at(__m128i equal, int at)
{
    return (uint64_t)(unsigned)_mm_movemask_epi8(equal) << at;
}

/* '[' and '{' differ by 0x20 only, ']' and '}' too. Written out: no array that the hardening flags
 * would zero. */
static inline __attribute__((always_inline)) void read_sixteen(const char *p, int at,
                                                               struct block *b)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + at));
    __m128i folded = _mm_or_si128(x, _mm_set1_epi8(0x20));
    b->quotes |= mask_at(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')), at);
    b->slashes |= mask_at(_mm_cmpeq_epi8(x, _mm_set1_epi8('\\')), at);
    b->opens |= mask_at(_mm_cmpeq_epi8(folded, _mm_set1_epi8('{')), at);
    b->closes |= mask_at(_mm_cmpeq_epi8(folded, _mm_set1_epi8('}')), at);
}

static inline __attribute__((always_inline)) struct block read_block(const char *p)
{
    struct block b = {0, 0, 0, 0};
    read_sixteen(p, 0, &b);
    read_sixteen(p, 16, &b);
    read_sixteen(p, 32, &b);
    read_sixteen(p, 48, &b);
    return b;
}
#else
static inline struct block read_block(const char *p)
{
    struct block b = {0, 0, 0, 0};
    for (unsigned i = 0; i < BLOCK_BYTES; i++) {
        uint64_t bit = UINT64_C(1) << i;
        b.quotes |= p[i] == '"' ? bit : 0;
        b.slashes |= p[i] == '\\' ? bit : 0;
        b.opens |= p[i] == '{' || p[i] == '[' ? bit : 0;
        b.closes |= p[i] == '}' || p[i] == ']' ? bit : 0;
    }
    return b;
}
#endif

/* Bytes that a backslash before them escapes: a run of backslashes escapes every second byte after
 * its start. */
static inline uint64_t escaped_bytes(struct skim *s, uint64_t slashes)
{
    const uint64_t even = UINT64_C(0x5555555555555555);
    uint64_t sum;
    slashes &= ~s->is_escaped;
    uint64_t follows = slashes << 1 | s->is_escaped;
    uint64_t odd_starts = slashes & ~even & ~follows;
    s->is_escaped = __builtin_add_overflow(odd_starts, slashes, &sum) ? 1 : 0;
    return (even ^ (sum << 1)) & follows;
}

/* Bit i of the result: parity of bits 0..i. */
static inline uint64_t prefix_xor(uint64_t x)
{
    x ^= x << 1;
    x ^= x << 2;
    x ^= x << 4;
    x ^= x << 8;
    x ^= x << 16;
    return x ^ x << 32;
}

/* OK: still open; the outermost bracket closed when depth is 0, at *out_at. */
static inline HOT enum err walk_brackets(struct skim *s, const char *p, uint64_t brackets,
                                         uint64_t opens, unsigned *out_at)
{
    for (; brackets; brackets &= brackets - 1) {
        unsigned i = (unsigned)__builtin_ctzll(brackets);
        if ((opens >> i) & 1) {
            if (s->depth == s->depth_max) {
                return E_LIMIT;
            }
            uint64_t bit = UINT64_C(1) << (s->depth % 64);
            uint64_t *word = &s->is_object[s->depth / 64];
            *word = p[i] == '{' ? *word | bit : *word & ~bit;
            s->depth++;
            continue;
        }
        if (s->depth == 0) {
            return E_SYNTAX;
        }
        s->depth--;
        bool is_object = (s->is_object[s->depth / 64] >> (s->depth % 64)) & 1;
        if ((p[i] == '}') != is_object) {
            return E_SYNTAX;
        }
        if (s->depth == 0) {
            *out_at = i;
            return OK;
        }
    }
    return OK;
}

HOT enum err skim_container(const char *text, const char *end, unsigned depth_max,
                            const char **out_end)
{
    struct skim s = {.depth_max = depth_max};
    ROOM char last[BLOCK_BYTES] __attribute__((aligned(16)));
    assert(text < end && (*text == '{' || *text == '[') && depth_max <= SKIM_DEPTH_MAX);
    if (depth_max == 0) {
        return E_LIMIT;
    }
    for (const char *p = text; p < end; p += BLOCK_BYTES) {
        const char *bytes = p;
        if (end - p < BLOCK_BYTES) {
            memset(last, ' ', sizeof(last));
            memcpy(last, p, (size_t)(end - p));
            bytes = last;
        }
        struct block b = read_block(bytes);
        if (b.slashes | s.is_escaped) {
            b.quotes &= ~escaped_bytes(&s, b.slashes);
        }
        uint64_t inside = prefix_xor(b.quotes) ^ s.in_string;
        s.in_string = (uint64_t)((int64_t)inside >> 63);
        unsigned at = 0;
        enum err e = walk_brackets(&s, bytes, (b.opens | b.closes) & ~inside, b.opens, &at);
        if (e != OK) {
            return e;
        }
        if (s.depth == 0) {
            *out_end = p + at + 1;
            return OK;
        }
    }
    return E_SYNTAX;
}
