/* limit/quota.h -- a node of a quota tree, and the locks that keep its tree whole.
 *
 * Who may touch what:
 *   - Everything of a node but its id and the registry's links is used under the mutex of its tree.
 *     node->lock names that mutex: it is the root's, shared by all nodes below it.
 *   - node->lock and node->parent change only in a move, which holds the registry's lock and both
 *     trees' mutexes (lower address first). So who holds the mutex a node names, and looked again
 *     after locking, owns the node's whole chain up to the root.
 *   - A ticket's nodes stand in one tree unless one of them was moved since; then every mutex they
 *     name is taken, lower address first, and looked at again (quota_lock_nodes).
 *   - Nodes and locks live until limit_free(), so a pointer read before locking is always valid.
 */
#ifndef LIMIT_QUOTA_H
#define LIMIT_QUOTA_H

#include "core/list.h"
#include "limit/window.h"

#include <pthread.h>
#include <stdatomic.h>

enum { QUOTA_PERIODS_KEPT = 2 }; /* the running period and the one before it */

/* A tree's mutex, and the tree's time, which never goes back. */
struct quota_lock {
    _Alignas(64) pthread_mutex_t mutex;
    uint32_t slot;
    int32_t period[LIMIT_PERIODS];
    int64_t day_begin_unix_ns, day_end_unix_ns; /* while the clock is in here, period[] stands */
};

/* One calendar period of one node. Spent is kept where there is no budget too, for one set later.
 */
struct budget_cell {
    int64_t spent_nusd;
    int64_t reserved_nusd; /* sum over the open tickets of that period */
    int32_t number;        /* INT32_MIN: never used */
};

struct quota_node {
    _Atomic(struct quota_lock *) lock;
    _Atomic(struct quota_node *) parent;
    struct window *rate;   /* owned; NULL while no rate was ever set */
    struct window *tokens; /* owned; NULL while no token limit was ever set */
    int64_t concurrent;
    uint8_t hard; /* bit per period: a budget that refuses */
    struct quota_spec spec;
    struct budget_cell cells[LIMIT_PERIODS][QUOTA_PERIODS_KEPT];
    struct id id;
    struct limit *owner;         /* borrowed */
    struct quota_lock *own_lock; /* owned; made when the node first is a root */
    struct list siblings;        /* registry's lock */
    struct list children;        /* registry's lock */
};

/* The number of each kind's period that holds the time: days, ISO weeks (from Monday), months since
 * 1970, 0. */
void quota_period_numbers(int64_t unix_ns, int32_t out[LIMIT_PERIODS]);
/* First instant after the period; INT64_MAX for the total. */
int64_t quota_period_end_unix_ns(int period, int32_t number);

struct quota_lock *quota_lock_new(void); /* NULL on no memory */
void quota_lock_free(struct quota_lock *lock);
/* The slot of a fresh reading, taken with the mutex held. */
uint32_t quota_lock_slot(struct quota_lock *lock, int64_t mono_ns);
void quota_lock_periods(struct quota_lock *lock, int64_t unix_ns);

/* Locks the tree that the node is in. */
struct quota_lock *quota_lock_node(const struct quota_node *n);
static inline void quota_unlock(struct quota_lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}

/* The mutexes of a ticket's nodes, lower address first. */
struct quota_locks {
    struct quota_lock *held[LIMIT_DEPTH_MAX];
    size_t count;
};
void quota_lock_nodes(struct quota_node *const *nodes, size_t n, struct quota_locks *out);
void quota_unlock_nodes(const struct quota_locks *locks);
/* Both, in order; the same one twice is locked once. */
void quota_lock_two(struct quota_lock *a, struct quota_lock *b, struct quota_locks *out);

/* The cell of that period, begun when the period is newer than what is kept; NULL when it is older.
 */
static inline struct budget_cell *quota_cell(struct quota_node *n, int period, int32_t number)
{
    struct budget_cell *c = &n->cells[period][(uint32_t)number % QUOTA_PERIODS_KEPT];
    if (c->number < number) {
        *c = (struct budget_cell){.number = number};
    }
    return c->number == number ? c : NULL;
}

static inline int64_t budget_used(const struct budget_cell *c)
{
    return i64_add_sat(c->spent_nusd, c->reserved_nusd);
}

#endif
