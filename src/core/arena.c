#include "core/arena.h"

#include "core/check.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t size; /* of the whole block, this head included */
};

_Static_assert(sizeof(struct arena_block) % ARENA_ALIGN == 0, "blocks start aligned");

void arena_pool_init(struct arena_pool *pool)
{
    *pool = (struct arena_pool){0};
}

size_t arena_pool_trim(struct arena_pool *pool, size_t keep_bytes)
{
    size_t before = pool->free_bytes;
    for (int class = ARENA_CLASSES - 1; class >= 0; class --) {
        while (pool->free_bytes > keep_bytes && pool->free[class]) {
            struct arena_block *block = pool->free[class];
            pool->free[class] = block->next;
            pool->free_bytes -= block->size;
            free(block);
        }
    }
    return before - pool->free_bytes;
}

void arena_pool_deinit(struct arena_pool *pool)
{
    if (pool) {
        (void)arena_pool_trim(pool, 0);
    }
}

void arena_init(struct arena *a, struct arena_pool *pool, size_t max_bytes)
{
    *a = (struct arena){.pool = pool, .max_bytes = max_bytes};
}

_Static_assert(ARENA_BLOCK_BYTES == 2048, "the smallest class");
static const size_t class_bytes[ARENA_CLASSES] = {2048, 4096,  ARENA_REQUEST_BYTES,
                                                  8192, 16384, 32768};

/* The class whose blocks hold size bytes; ARENA_CLASSES: none does. */
static inline unsigned class_of(size_t size)
{
    unsigned class = 0;
    while (class < ARENA_CLASSES && size > class_bytes[class]) {
        class ++;
    }
    return class;
}

/* size is a class's, or larger than all of them. */
static struct arena_block *take_block(struct arena *a, size_t size)
{
    struct arena_pool *pool = a->pool;
    unsigned class = class_of(size);
    struct arena_block *block;

    if (pool && class < ARENA_CLASSES && pool->free[class]) {
        block = pool->free[class];
        pool->free[class] = block->next;
        pool->free_bytes -= block->size;
    } else {
        block = malloc(size);
        if (!block) {
            return NULL;
        }
    }
    block->size = size;
    block->next = a->blocks;
    a->blocks = block;
    a->held_bytes += size;
    if (pool) {
        pool->held_bytes += size;
    }
    return block;
}

static void give_block(struct arena_pool *pool, struct arena_block *block)
{
    if (pool) {
        unsigned class = class_of(block->size);
        assert(pool->held_bytes >= block->size);
        pool->held_bytes -= block->size;
        if (class < ARENA_CLASSES && block->size == class_bytes[class] &&
            pool->free_bytes + block->size <= ARENA_POOL_KEEP_BYTES) {
            block->next = pool->free[class];
            pool->free[class] = block;
            pool->free_bytes += block->size;
            return;
        }
    }
    free(block);
}

void arena_reset(struct arena *a)
{
    struct arena_block *block = a->blocks;
    while (block) {
        struct arena_block *next = block->next;
        give_block(a->pool, block);
        block = next;
    }
    a->blocks = NULL;
    a->at = a->end = NULL;
    a->held_bytes = 0;
}

void arena_deinit(struct arena *a)
{
    if (a) {
        arena_reset(a);
    }
}

void arena_deinit_cleanup(struct arena *a)
{
    arena_deinit(a);
}

/* A block of its own for what does not fit a small one, or the next small one. */
static COLD void *arena_alloc_slow(struct arena *a, size_t size)
{
    const size_t head = sizeof(struct arena_block);
    size_t block_size = ARENA_BLOCK_BYTES;
    bool is_large = false;

    if (!a->blocks && a->max_bytes >= 2 * (size_t)ARENA_BLOCK_BYTES) {
        block_size *= 2; /* the first holds what every request has */
    }
#ifdef ARENA_EMULATE
    is_large = true;
    block_size = size + head;
#else
    if (size > block_size - head) {
        is_large = true;
        if (!size_add(size, head, &block_size)) {
            return NULL;
        }
        unsigned class = class_of(block_size);
        if (class < ARENA_CLASSES &&
            class_bytes[class] <= a->max_bytes - size_min(a->max_bytes, a->held_bytes)) {
            block_size = class_bytes[class];
        }
    }
#endif
    if (a->held_bytes > a->max_bytes || block_size > a->max_bytes - a->held_bytes) {
        return NULL;
    }
    struct arena_block *block = take_block(a, block_size);
    if (!block) {
        return NULL;
    }
    char *memory = (char *)block + head;
    if (!is_large) { /* a large block leaves the current small one in use */
        a->at = memory + size;
        a->end = (char *)block + block_size;
    }
    return memory;
}

void arena_begin(struct arena *a, size_t bytes)
{
    assert(!a->blocks && bytes >= sizeof(struct arena_block));
#ifndef ARENA_EMULATE
    struct arena_block *block = bytes <= a->max_bytes ? take_block(a, bytes) : NULL;
    if (block) {
        a->at = (char *)(block + 1);
        a->end = (char *)block + bytes;
    }
#endif
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t rounded;
    if (!size_add(size, ARENA_ALIGN - 1, &rounded)) {
        return NULL;
    }
#ifdef ARENA_EMULATE
    return arena_alloc_slow(a, size);
#else
    rounded &= ~(size_t)(ARENA_ALIGN - 1);
    if (a->at && rounded <= (size_t)(a->end - a->at)) {
        char *memory = a->at;
        a->at += rounded;
        return memory;
    }
    return arena_alloc_slow(a, rounded);
#endif
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *memory = arena_alloc(a, size);
    if (memory) {
        memset(memory, 0, size);
    }
    return memory;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t total;
    return size_mul(n, size, &total) ? arena_zalloc(a, total) : NULL;
}

struct slice arena_dup(struct arena *a, struct slice s)
{
    size_t with_nul;
    char *copy = size_add(s.len, 1, &with_nul) ? arena_alloc(a, with_nul) : NULL;
    if (!copy) {
        return SLICE_NONE;
    }
    if (s.len) {
        memcpy(copy, s.ptr, s.len);
    }
    copy[s.len] = '\0';
    return slice_of(copy, s.len);
}

struct slice arena_vprintf(struct arena *a, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *text = len < 0 ? NULL : arena_alloc(a, (size_t)len + 1);
    if (text) {
        (void)vsnprintf(text, (size_t)len + 1, format, again);
    }
    va_end(again);
    return text ? slice_of(text, (size_t)len) : SLICE_NONE;
}

struct slice arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice text = arena_vprintf(a, format, args);
    va_end(args);
    return text;
}
