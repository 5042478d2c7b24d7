/* core/arena.h -- capped bump memory.
 *
 * An arena takes 4 KiB blocks (larger ones for large requests) from a block pool and gives them
 * back all at once. The pool belongs to one worker and keeps a bounded stock, so a warm worker
 * serves requests without the heap. Not thread-safe. With ARENA_EMULATE every allocation is a heap
 * allocation of its own, so that AddressSanitizer sees an overrun of one into the next.
 *
 * Memory handed out is aligned to 16 bytes and not zeroed (arena_zalloc zeroes).
 */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include "core/attr.h"
#include "core/slice.h"

#include <stdarg.h>

enum {
    ARENA_BLOCK_BYTES = 2048,
    ARENA_REQUEST_BYTES = 7040, /* what a usual request needs from head to answer, in one block */
    ARENA_CLASSES = 6, /* up to 32 KiB; what is larger comes from the heap and goes back to it */
    ARENA_POOL_KEEP_BYTES = 16 << 20
};

struct arena_block;

/* A worker's stock of free blocks by class, and what its arenas hold in all. */
struct arena_pool {
    struct arena_block *free[ARENA_CLASSES];
    size_t free_bytes;
    size_t held_bytes; /* handed to arenas now; the worker's share of max_inflight_bytes */
};

void arena_pool_init(struct arena_pool *pool);
/* Frees the stock. Every arena of the pool must be deinitialised. NULL and zeroed are fine. */
void arena_pool_deinit(struct arena_pool *pool);
/* Gives the stock back to the heap down to keep_bytes, the largest blocks first; from the periodic
 * tick. Returns how many bytes went. */
size_t arena_pool_trim(struct arena_pool *pool, size_t keep_bytes);

struct arena {
    struct arena_pool *pool;    /* borrowed; NULL: straight from the heap */
    size_t max_bytes;           /* cap on what is held; 0 means no memory at all */
    size_t held_bytes;          /* sum of block sizes */
    struct arena_block *blocks; /* newest first */
    char *at;                   /* at..end is free in the newest small block */
    char *end;
};

void arena_init(struct arena *a, struct arena_pool *pool, size_t max_bytes)
    __attribute__((nonnull(1)));
/* Gives every block back; the arena can be used again. */
void arena_reset(struct arena *a);
/* The same; a zeroed arena is fine. */
void arena_deinit(struct arena *a);
void arena_deinit_cleanup(struct arena *a);

/* The first block has that many bytes at least, its head included; nothing when memory ends: then
 * the first allocation tells. */
void arena_begin(struct arena *a, size_t bytes) NONNULL;
/* What the block in use still holds: so much costs no further block. */
static inline size_t arena_left(const struct arena *a)
{
    return (size_t)(a->end - a->at);
}
/* NULL when the cap or the heap says no. size 0 gives a valid pointer. */
MUST_USE void *arena_alloc(struct arena *a, size_t size) NONNULL;
MUST_USE void *arena_zalloc(struct arena *a, size_t size) NONNULL;
/* n * size, checked; zeroed. */
MUST_USE void *arena_array(struct arena *a, size_t n, size_t size) NONNULL;
/* Copied into the arena, with a NUL after it that len does not count. ptr NULL on no memory. */
MUST_USE struct slice arena_dup(struct arena *a, struct slice s) NONNULL;
MUST_USE struct slice arena_printf(struct arena *a, const char *format, ...) PRINTF(2, 3);
MUST_USE struct slice arena_vprintf(struct arena *a, const char *format, va_list args) PRINTF(2, 0);

#define ARENA_NEW(a, type) ((type *)arena_zalloc((a), sizeof(type)))

#endif
