/* http1_cuts.h -- the whole input at once must leave the same notes as byte by byte and as pieces
 * whose size the input itself chooses. */
#ifndef FUZZ_HTTP1_CUTS_H
#define FUZZ_HTTP1_CUTS_H

#include "unit/wire/http1_feed.h"

static inline void compare_cuts(struct feed *f, struct slice in)
{
    struct arena arena;
    arena_init(&arena, NULL, 64u << 20);
    struct text whole = text_growing(&arena);
    struct text bytes = text_growing(&arena);
    struct text pieces = text_growing(&arena);
    size_t step = in.len ? (unsigned char)in.ptr[in.len - 1] + 1u : 1;
    feed_all(f, in, in.len, 1, &whole);
    feed_all(f, in, 1, 1, &bytes);
    feed_all(f, in, step / 2, step, &pieces);
    if (!slice_eq(text_slice(&whole), text_slice(&bytes)) ||
        !slice_eq(text_slice(&whole), text_slice(&pieces))) {
        (void)fprintf(stderr, "whole:\n%.*s\nbytes:\n%.*s\npieces:\n%.*s\n",
                      SLICE_ARG(text_slice(&whole)), SLICE_ARG(text_slice(&bytes)),
                      SLICE_ARG(text_slice(&pieces)));
        __builtin_trap();
    }
    arena_deinit(&arena);
}

#endif
