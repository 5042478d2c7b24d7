/* route/rank.h -- rendezvous: every value ranks the places it may go to by itself, so that a place
 * that goes takes only its own values with it, and nobody keeps a list of who is where.
 *
 * With u = hash / 2^64 a place's rank is -log2(u) / weight, and the least goes first: over many
 * values with a probability in proportion to the weight (Efraimidis and Spirakis, 2006). In
 * integers, so that all replicas agree whatever their libraries are.
 */
#ifndef ROUTE_RANK_H
#define ROUTE_RANK_H

#include "core/hash.h"

enum { RANK_FRACTION_BITS = 16 };

/* Of a place named by two texts, for a value. */
static inline uint64_t rank_hash(uint64_t value, struct slice a, struct slice b)
{
    const uint64_t first[2] = {value, UINT64_C(0x61666669)};
    const uint64_t second[2] = {value, siphash(first, a)};
    return siphash(second, b);
}

/* -log2(hash / 2^64) in units of 1/2^16: 1 .. 64 * 2^16. */
static inline uint64_t rank_of(uint64_t hash)
{
    hash |= 1;
    unsigned zeros = (unsigned)__builtin_clzll(hash);
    uint64_t x = hash << zeros >> 32; /* 1 <= x / 2^31 < 2 */
    uint64_t fraction = 0;
    for (int i = 0; i < RANK_FRACTION_BITS; i++) { /* squaring doubles the logarithm */
        x = x * x;
        uint64_t bit = x >> 63;
        x >>= 31 + bit;
        fraction = fraction << 1 | bit;
    }
    return ((uint64_t)(zeros + 1) << RANK_FRACTION_BITS) - fraction;
}

/* rank_a / weight_a < rank_b / weight_b; weights are positive and fit 32 bits. */
static inline bool rank_is_before(uint64_t rank_a, uint64_t weight_a, uint64_t rank_b,
                                  uint64_t weight_b)
{
    return rank_a * weight_b < rank_b * weight_a;
}

#endif
