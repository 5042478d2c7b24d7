#include "limit/quota.h"

#include <assert.h>
#include <stdlib.h>

enum { DAY = 0, WEEK, MONTH, TOTAL }; /* as enum budget_period of store/store.h */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

/* 1970-01-01 was a Thursday: the Monday before it is day -3. */
void quota_period_numbers(int64_t unix_ns, int32_t out[LIMIT_PERIODS])
{
    int64_t days = clock_days(unix_ns);
    struct civil_date d = clock_civil(unix_ns);
    out[DAY] = (int32_t)days;
    out[WEEK] = (int32_t)floor_div(days + 3, 7);
    out[MONTH] = (d.year - 1970) * 12 + d.month - 1;
    out[TOTAL] = 0;
}

int64_t quota_period_end_unix_ns(int period, int32_t number)
{
    int64_t next = (int64_t)number + 1;
    if (period == DAY) {
        return next * NS_PER_DAY;
    }
    if (period == WEEK) {
        return (next * 7 - 3) * NS_PER_DAY;
    }
    if (period == MONTH) {
        int64_t year = floor_div(next, 12);
        struct civil_date first = {
            .year = (int32_t)(1970 + year), .month = (int32_t)(next - year * 12) + 1, .day = 1};
        return clock_unix_ns_of_date(first);
    }
    return INT64_MAX;
}

struct quota_lock *quota_lock_new(void)
{
    struct quota_lock *lock = aligned_alloc(_Alignof(struct quota_lock), sizeof(*lock));
    if (!lock) {
        return NULL;
    }
    memset(lock, 0, sizeof(*lock));
    for (int k = 0; k < LIMIT_PERIODS; k++) {
        lock->period[k] = INT32_MIN;
    }
    /* Adaptive: the critical section is far shorter than a sleep, so waiting spins first. */
    pthread_mutexattr_t attr;
    (void)pthread_mutexattr_init(&attr);
    (void)pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    int rc = pthread_mutex_init(&lock->mutex, &attr);
    assert(rc == 0);
    (void)pthread_mutexattr_destroy(&attr);
    return lock;
}

void quota_lock_free(struct quota_lock *lock)
{
    if (lock) {
        (void)pthread_mutex_destroy(&lock->mutex);
        free(lock);
    }
}

uint32_t quota_lock_slot(struct quota_lock *lock, int64_t mono_ns)
{
    uint32_t slot = window_slot(mono_ns);
    if (slot > lock->slot) {
        lock->slot = slot;
    }
    return lock->slot;
}

/* The calendar is worked out once a day. A wall clock set back does not bring a past period back:
 * its budget would be spent a second time. */
void quota_lock_periods(struct quota_lock *lock, int64_t unix_ns)
{
    if (unix_ns >= lock->day_begin_unix_ns && unix_ns < lock->day_end_unix_ns) {
        return;
    }
    int32_t now[LIMIT_PERIODS];
    quota_period_numbers(unix_ns, now);
    for (int k = 0; k < LIMIT_PERIODS; k++) {
        if (now[k] > lock->period[k]) {
            lock->period[k] = now[k];
        }
    }
    lock->day_begin_unix_ns = now[DAY] * NS_PER_DAY;
    lock->day_end_unix_ns = lock->day_begin_unix_ns + NS_PER_DAY;
}

static struct quota_lock *lock_of(const struct quota_node *n)
{
    return atomic_load_explicit(&n->lock, memory_order_acquire);
}

struct quota_lock *quota_lock_node(const struct quota_node *n)
{
    for (;;) {
        struct quota_lock *lock = lock_of(n);
        pthread_mutex_lock(&lock->mutex);
        if (lock_of(n) == lock) {
            return lock;
        }
        pthread_mutex_unlock(&lock->mutex); /* moved meanwhile */
    }
}

static bool is_held(const struct quota_locks *locks, const struct quota_lock *lock)
{
    for (size_t i = 0; i < locks->count; i++) {
        if (locks->held[i] == lock) {
            return true;
        }
    }
    return false;
}

static bool are_all_held(const struct quota_locks *locks, struct quota_node *const *nodes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!is_held(locks, lock_of(nodes[i]))) {
            return false;
        }
    }
    return true;
}

/* Kept in order of address, which is the order in which everybody locks more than one. */
static void insert(struct quota_locks *locks, struct quota_lock *lock)
{
    if (is_held(locks, lock)) {
        return;
    }
    size_t at = locks->count++;
    for (; at > 0 && (uintptr_t)locks->held[at - 1] > (uintptr_t)lock; at--) {
        locks->held[at] = locks->held[at - 1];
    }
    locks->held[at] = lock;
}

static void lock_all(const struct quota_locks *locks)
{
    for (size_t i = 0; i < locks->count; i++) {
        pthread_mutex_lock(&locks->held[i]->mutex);
    }
}

static COLD void lock_nodes_slow(struct quota_node *const *nodes, size_t n, struct quota_locks *out)
{
    for (;;) {
        out->count = 0;
        for (size_t i = 0; i < n; i++) {
            insert(out, lock_of(nodes[i]));
        }
        lock_all(out);
        if (are_all_held(out, nodes, n)) {
            return;
        }
        quota_unlock_nodes(out); /* another move came between; moves are rare, so this ends */
    }
}

void quota_lock_nodes(struct quota_node *const *nodes, size_t n, struct quota_locks *out)
{
    assert(n > 0 && n <= LIMIT_DEPTH_MAX);
    out->held[0] = quota_lock_node(nodes[0]);
    out->count = 1;
    if (!are_all_held(out, nodes, n)) {
        quota_unlock_nodes(out);
        lock_nodes_slow(nodes, n, out);
    }
}

void quota_unlock_nodes(const struct quota_locks *locks)
{
    for (size_t i = locks->count; i > 0; i--) {
        pthread_mutex_unlock(&locks->held[i - 1]->mutex);
    }
}

void quota_lock_two(struct quota_lock *a, struct quota_lock *b, struct quota_locks *out)
{
    out->count = 0;
    insert(out, a);
    insert(out, b);
    lock_all(out);
}
