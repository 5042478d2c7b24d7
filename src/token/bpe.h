/* token/bpe.h -- byte-pair encoding of one piece, counted in linear time and without memory of its
 * own.
 *
 * Merging the pair of lowest rank again and again gives an encoding in which every two neighbours
 * *fit*: taken apart in the order of their ranks, no merge across their border would have come
 * first. An encoding whose neighbours all fit is that encoding; it is unique, for every prefix too
 * (after rust-gems' bpe, MIT, and the proof there). So nothing is merged: tokens are looked for
 * that fit.
 *
 *   greedy   takes the longest token that fits behind the last one; where none does, the last one
 * is given up for a shorter one and its end is dead for good. Each end is left once: at most 128
 * tokens tried a byte, about one in ordinary text. What can still be given up is kept for the
 * newest BPE_WINDOW tokens and the newest BPE_REACH bytes. steady   for what would go back further:
 * the last token of every prefix, from left to right, in a ring of two token lengths. At most 128
 * tokens tried a byte, always.
 *
 * Each try takes two tokens apart, at most 128 halvings each. steps counts bytes, tries and
 * halvings.
 */
#ifndef TOKEN_BPE_H
#define TOKEN_BPE_H

#include "token/ranks.h"
#include "token/split.h"

enum {
    BPE_WINDOW = 1024,
    BPE_REACH = 768,       /* and a token's length more is less than the window */
    BPE_ROOM_BYTES = 4096, /* of a broken piece, as it reads after replacement */
    BPE_RING = 2 * RANKS_TOKEN_MAX_BYTES,
    BPE_KNOWN = 512
};

/* Ids go to out in order, as far as it holds them. */
struct bpe_ids {
    uint32_t *out; /* borrowed */
    size_t cap, count;
    bool is_lost; /* more than cap, or not to be had by the steady way: out is of no use */
};

/* Zeroed but for ranks and reach; for one thread. */
struct bpe {
    struct ranks ranks;
    struct bpe_ids *ids; /* borrowed; NULL: only count */
    size_t reach;        /* BPE_REACH; tests set less, to go the steady way */
    uint64_t steps;
    /* Answers of the greedy way for text that repeats itself: (last << 18 | token) + 1, by its
     * hash, and below it << 18 the longest beginning of token that fits behind last. */
    uint64_t known[BPE_KNOWN];
};

/* Tokens of the piece; is_broken pieces read as with U+FFFD in them. */
MUST_USE size_t bpe_count(struct bpe *b, const struct piece *piece) NONNULL;
/* Whether the two, next to each other, would both be in the encoding. */
MUST_USE bool bpe_fits(struct bpe *b, uint32_t left, uint32_t right) NONNULL;

#endif
