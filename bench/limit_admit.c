/* bench/limit_admit.c -- what the limiter costs a request: admit, reserve and settle on a path of
 * four levels, by one thread and by two on the same tree.
 *
 * Prints nanoseconds a call as the median of rounds. No figure here is checked: bench/RESULTS.md
 * keeps them with machine and date.
 */
#include "limit/limit.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { LEVELS = 4, CALLS = 200000, ROUNDS = 9, THREADS_MAX = 2 };

enum work { ADMIT, ADMIT_SETTLE, ADMIT_RESERVE_SETTLE };

struct run {
    struct limit *l;
    struct quota_node *leaf;
    enum work work;
    pthread_barrier_t *start;
    int64_t took_ns;
};

static void one_call(const struct run *r)
{
    struct limit_ticket t = {0};
    struct limit_remaining left;
    struct limit_refusal refusal;
    bool is_admitted = limit_admit(r->l, r->leaf, &t, &left, &refusal);
    assert(is_admitted);
    if (r->work == ADMIT) {
        return; /* its concurrency is never given back: this work comes last */
    }
    if (r->work == ADMIT_RESERVE_SETTLE) {
        bool is_reserved = limit_reserve(r->l, &t, 1000, 100, &refusal);
        assert(is_reserved);
    }
    (void)limit_settle(r->l, &t, 900, 90);
}

static void *run_calls(void *arg)
{
    struct run *r = arg;
    (void)pthread_barrier_wait(r->start);
    int64_t begin_ns = clock_mono_ns();
    for (int i = 0; i < CALLS; i++) {
        one_call(r);
    }
    r->took_ns = clock_mono_ns() - begin_ns;
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Wall nanoseconds between two finished calls of one thread, median of the rounds. */
static int64_t measure(struct limit *l, struct quota_node *leaf, enum work work, size_t threads)
{
    int64_t took[ROUNDS];
    for (size_t round = 0; round < ROUNDS; round++) {
        pthread_barrier_t start;
        pthread_t ids[THREADS_MAX];
        struct run runs[THREADS_MAX];
        int64_t longest = 0;
        (void)pthread_barrier_init(&start, NULL, (unsigned)threads);
        for (size_t i = 0; i < threads; i++) {
            runs[i] = (struct run){l, leaf, work, &start, 0};
            int rc = pthread_create(&ids[i], NULL, run_calls, &runs[i]);
            assert(rc == 0);
        }
        for (size_t i = 0; i < threads; i++) {
            (void)pthread_join(ids[i], NULL);
            longest = runs[i].took_ns > longest ? runs[i].took_ns : longest;
        }
        (void)pthread_barrier_destroy(&start);
        took[round] = longest / CALLS;
    }
    qsort(took, ROUNDS, sizeof(took[0]), by_value);
    return took[ROUNDS / 2];
}

int main(void)
{
    static const char *const names[] = {"admit", "admit + settle", "admit + reserve + settle"};
    struct limit *l;
    if (limit_new(NULL, &l) != OK) {
        return 1;
    }
    struct quota_spec spec = {.rate_per_min = INT64_C(1) << 40,
                              .tokens_per_min = -1,
                              .concurrent_max = -1,
                              .budget_nusd = {-1, -1, INT64_C(1) << 60, -1}};
    struct quota_node *leaf = NULL;
    for (int i = 0; i < LEVELS; i++) {
        leaf = limit_node_put(l, id_random(), leaf, &spec);
        assert(leaf);
    }
    printf("limiter, %d levels, each with a rate and a monthly budget; ns a request\n", LEVELS);
    printf("%-28s %10s %10s\n", "", "1 thread", "2 threads");
    for (int work = ADMIT_RESERVE_SETTLE; work >= ADMIT; work--) {
        int64_t one = measure(l, leaf, (enum work)work, 1);
        int64_t two = measure(l, leaf, (enum work)work, 2);
        printf("%-28s %10lld %10lld\n", names[work], (long long)one, (long long)two);
    }
    limit_free(l);
    return 0;
}
