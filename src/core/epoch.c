#include "core/epoch.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct reader {
    _Alignas(64) _Atomic uint64_t seen; /* the epoch the running turn began in; 0 while offline */
};

struct retired {
    struct retired *next;
    void *p;
    void (*free_fn)(void *p);
    uint64_t epoch;
};

struct epoch {
    struct reader readers[EPOCH_READERS_MAX];
    _Atomic uint64_t now;
    pthread_mutex_t lock; /* guards what follows */
    size_t reader_count;
    struct retired *oldest;
    struct retired **tail;
};

struct epoch *epoch_new(void)
{
    struct epoch *e = aligned_alloc(64, (sizeof(*e) + 63) & ~(size_t)63);
    if (!e) {
        return NULL;
    }
    memset(e, 0, sizeof(*e));
    atomic_store(&e->now, 1);
    (void)pthread_mutex_init(&e->lock, NULL);
    e->tail = &e->oldest;
    return e;
}

void epoch_free(struct epoch *e)
{
    if (!e) {
        return;
    }
    size_t left = epoch_collect(e);
    assert(left == 0);
    (void)pthread_mutex_destroy(&e->lock);
    free(e);
}

enum err epoch_join(struct epoch *e, size_t *out_reader)
{
    enum err result = E_LIMIT;
    pthread_mutex_lock(&e->lock);
    if (e->reader_count < EPOCH_READERS_MAX) {
        *out_reader = e->reader_count++;
        result = OK;
    }
    pthread_mutex_unlock(&e->lock);
    return result;
}

void epoch_online(struct epoch *e, size_t reader)
{
    /* Sequentially consistent: no shared pointer is read before the store is seen by writers. */
    atomic_store(&e->readers[reader].seen, atomic_load_explicit(&e->now, memory_order_relaxed));
}

void epoch_offline(struct epoch *e, size_t reader)
{
    atomic_store_explicit(&e->readers[reader].seen, 0, memory_order_release);
}

/* The oldest epoch a running turn began in. */
static uint64_t oldest_turn(struct epoch *e)
{
    uint64_t oldest = atomic_load(&e->now);
    for (size_t i = 0; i < e->reader_count; i++) {
        uint64_t seen = atomic_load(&e->readers[i].seen);
        if (seen && seen < oldest) {
            oldest = seen;
        }
    }
    return oldest;
}

static struct retired *take_free(struct epoch *e, size_t *out_left)
{
    uint64_t limit = oldest_turn(e);
    struct retired *first = e->oldest;
    struct retired **end = &e->oldest;
    while (*end && (*end)->epoch < limit) {
        end = &(*end)->next;
    }
    struct retired *rest = *end;
    *end = NULL;
    if (end == &e->oldest) {
        first = NULL;
    }
    e->oldest = rest;
    if (!rest) {
        e->tail = &e->oldest;
    }
    *out_left = 0;
    for (; rest; rest = rest->next) {
        ++*out_left;
    }
    return first;
}

size_t epoch_collect(struct epoch *e)
{
    size_t left;
    pthread_mutex_lock(&e->lock);
    struct retired *r = take_free(e, &left);
    pthread_mutex_unlock(&e->lock);
    while (r) {
        struct retired *next = r->next;
        r->free_fn(r->p);
        free(r);
        r = next;
    }
    return left;
}

void epoch_retire(struct epoch *e, void *p, void (*free_fn)(void *p))
{
    struct retired *r = malloc(sizeof(*r));
    if (!r) { /* leaked rather than freed too early */
        return;
    }
    *r = (struct retired){.p = p, .free_fn = free_fn};
    pthread_mutex_lock(&e->lock);
    r->epoch = atomic_fetch_add(&e->now, 1); /* turns from now on begin in a later epoch */
    *e->tail = r;
    e->tail = &r->next;
    pthread_mutex_unlock(&e->lock);
    (void)epoch_collect(e);
}
