/* token/ranks.h -- the embedded tables of one encoding, read-only and shared by all threads.
 *
 * tools/make_ranks.py writes them into one block of the program's read-only data (little-endian):
 * pages are loaded when first used. A build that could not have the rank files has a block without
 * encodings.
 *
 *   tokens[id]  left | right << 18 | prefix << 36 | length << 54: the pair whose merge makes it (a
 * single byte's value, twice), the longest shorter token that it begins with, its bytes trie[slot]
 * token | base << 18 | parent << 40: a double array; the child of s by byte c is slot base + c if
 * its parent is s; slot 0 is the root pairs       open addressing by (left, right): token | 14 bits
 * of the hash << 18
 */
#ifndef TOKEN_RANKS_H
#define TOKEN_RANKS_H

#include "core/attr.h"
#include "token/token.h"

enum { RANKS_NONE = (1 << 18) - 1, RANKS_TOKEN_MAX_BYTES = 128, RANKS_BYTES = 256 };

struct ranks {
    const uint64_t *tokens;
    const uint64_t *trie;
    const uint32_t *pairs;
    const uint8_t *seen;
    uint32_t token_count; /* ids are below it, the 256 single bytes first */
    uint32_t trie_len;
    uint32_t pair_bits; /* of the table's length */
};

/* false: this build has no ranks. */
MUST_USE bool ranks_find(enum token_encoding encoding, struct ranks *out) NONNULL;

static inline uint32_t ranks_left(const struct ranks *r, uint32_t token)
{
    return (uint32_t)(r->tokens[token] & RANKS_NONE);
}

static inline uint32_t ranks_right(const struct ranks *r, uint32_t token)
{
    return (uint32_t)(r->tokens[token] >> 18 & RANKS_NONE);
}

/* Of a token below RANKS_BYTES. */
static inline uint8_t ranks_byte(const struct ranks *r, uint32_t token)
{
    return (uint8_t)ranks_left(r, token);
}

/* RANKS_NONE for a single byte. */
static inline uint32_t ranks_prefix(const struct ranks *r, uint32_t token)
{
    return (uint32_t)(r->tokens[token] >> 36 & RANKS_NONE);
}

static inline uint32_t ranks_len(const struct ranks *r, uint32_t token)
{
    return (uint32_t)(r->tokens[token] >> 54);
}

/* The token that is made by merging exactly these two, or RANKS_NONE. */
static inline uint32_t ranks_merge(const struct ranks *r, uint32_t left, uint32_t right)
{
    uint64_t pair = (uint64_t)left << 18 | right;
    uint64_t hash = pair * UINT64_C(0x9E3779B97F4A7C15);
    uint64_t bit = hash >> (64 - r->pair_bits - 2);
    if (!(r->seen[bit / 8] >> (bit % 8) & 1)) {
        return RANKS_NONE;
    }
    uint32_t mask = (UINT32_C(1) << r->pair_bits) - 1;
    uint32_t mark = (uint32_t)(hash >> (64 - r->pair_bits - 14)) & 0x3FFF;
    uint32_t at = (uint32_t)(hash >> (64 - r->pair_bits));
    for (uint32_t slot = r->pairs[at]; slot != UINT32_MAX; slot = r->pairs[at = (at + 1) & mask]) {
        uint32_t token = slot & RANKS_NONE;
        if (slot >> 18 == mark && ranks_left(r, token) == left && ranks_right(r, token) == right) {
            return token;
        }
    }
    return RANKS_NONE;
}

/* The longest token that p[0..n) begins with, n > 0; *steps grows by the bytes looked at. */
static inline uint32_t ranks_longest(const struct ranks *r, const uint8_t *p, size_t n,
                                     uint64_t *steps)
{
    uint32_t found = RANKS_NONE;
    uint32_t at = 0;
    size_t i = 0;
    for (; i < n; i++) {
        uint32_t next = (uint32_t)(r->trie[at] >> 18 & 0x3FFFFF) + p[i];
        uint64_t slot = r->trie[next];
        if (slot >> 40 != at) {
            break;
        }
        at = next;
        uint32_t token = (uint32_t)(slot & RANKS_NONE);
        found = token == RANKS_NONE ? found : token;
    }
    *steps += i + 1;
    return found;
}

#endif
