/* The limiter under four threads: exact windows, exact money, moves while tickets are open. */
#include "limit/limit.h"
#include "support/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { THREADS = 4, PER_MIN = 100, RECORDS = 20000, MONTH = 2 };

static _Atomic int64_t step_mono; /* the stepping clock */
static int64_t real_start;
static _Thread_local int64_t last_reading; /* the reading that admitted, inside the lock */

static int64_t stepping_mono(void)
{
    last_reading = atomic_fetch_add(&step_mono, 1000) + 1000;
    return last_reading;
}

/* The real clock, 400 times as fast: a minute passes in 0.15 s. */
static int64_t fast_mono(void)
{
    last_reading = real_start + (clock_mono_ns() - real_start) * 400;
    return last_reading;
}

static int64_t real_mono(void)
{
    last_reading = clock_mono_ns();
    return last_reading;
}

struct hammer {
    struct limit *l;
    struct quota_node *leaf;
    int64_t until;
    int64_t jump_ns; /* the stepping clock is pushed on by up to this */
    uint32_t seed;
    int64_t *times;
    size_t count;
    int tries_max;
};

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void *hammer_rate(void *arg)
{
    struct hammer *h = arg;
    last_reading = 0;
    for (int i = 0; i < h->tries_max && last_reading < h->until && h->count < RECORDS; i++) {
        struct limit_ticket t = {0};
        struct limit_refusal r;
        if (limit_admit(h->l, h->leaf, &t, NULL, &r)) {
            h->times[h->count++] = last_reading;
            (void)limit_settle(h->l, &t, 1, 1);
        }
        if (h->jump_ns && next_random(&h->seed) % 16 == 0) {
            atomic_fetch_add(&step_mono, next_random(&h->seed) % h->jump_ns);
        }
    }
    return NULL;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static struct quota_spec rate(int64_t per_min)
{
    return (struct quota_spec){.rate_per_min = per_min,
                               .tokens_per_min = -1,
                               .concurrent_max = -1,
                               .budget_nusd = {-1, -1, -1, -1}};
}

static size_t check_windows(int64_t (*mono)(void), int64_t jump_ns, int64_t duration_ns,
                            int tries_max)
{
    struct limit *l;
    struct limit_clock clock = {.mono_ns = mono};
    assert_int_equal(limit_new(&clock, &l), OK);
    struct quota_spec narrow = rate(PER_MIN);
    struct quota_spec wide = rate(1000000);
    struct quota_node *root = limit_node_put(l, id_random(), NULL, &narrow);
    int64_t *all = calloc(THREADS * RECORDS, sizeof(*all));
    pthread_t threads[THREADS];
    struct hammer hammers[THREADS];
    int64_t until = mono() + duration_ns;
    for (size_t i = 0; i < THREADS; i++) { /* two keys, two threads each */
        hammers[i] = (struct hammer){.l = l,
                                     .until = until,
                                     .jump_ns = jump_ns,
                                     .seed = (uint32_t)i + 7,
                                     .times = all + i * RECORDS,
                                     .tries_max = tries_max};
        hammers[i].leaf = i % 2 ? hammers[i - 1].leaf : limit_node_put(l, id_random(), root, &wide);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hammer_rate, &hammers[i]), 0);
    }
    size_t n = 0;
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        memmove(all + n, hammers[i].times, hammers[i].count * sizeof(*all));
        n += hammers[i].count;
    }
    qsort(all, n, sizeof(*all), by_time);
    for (size_t i = PER_MIN; i < n; i++) {
        assert_true(all[i] - all[i - PER_MIN] > NS_PER_MIN);
    }
    free(all);
    limit_free(l);
    return n;
}

static void no_minute_holds_more_with_a_stepping_clock(void **state)
{
    (void)state;
    atomic_store(&step_mono, 1000 * NS_PER_S);
    assert_true(check_windows(stepping_mono, 1800 * NS_PER_MS, 1800 * NS_PER_S, 1 << 20) >
                10 * PER_MIN);
}

static void no_minute_holds_more_with_the_real_clock(void **state)
{
    (void)state;
    real_start = clock_mono_ns();
    assert_true(check_windows(fast_mono, 0, 130 * NS_PER_S, INT32_MAX) >= 2 * PER_MIN);
    assert_true(check_windows(real_mono, 0, NS_PER_MIN, 3000) >= PER_MIN);
}

/* --- money ---------------------------------------------------------------------------------------
 */

struct spender {
    struct limit *l;
    struct quota_node *leaf;
    uint32_t seed;
    int64_t spent;
    int64_t refused;
    int rounds;
};

static void *spend(void *arg)
{
    enum { OPEN = 8 };
    struct spender *s = arg;
    struct limit_ticket open[OPEN] = {0};
    for (int i = 0; i < s->rounds; i++) {
        struct limit_ticket *t = &open[next_random(&s->seed) % OPEN];
        struct limit_refusal r;
        if (!t->is_admitted) {
            if (limit_admit(s->l, s->leaf, t, NULL, &r) &&
                !limit_reserve(s->l, t, 1 + next_random(&s->seed) % 1000, 10, &r)) {
                s->refused++;
                limit_cancel(s->l, t);
            }
        } else if (next_random(&s->seed) % 4 == 0) {
            limit_cancel(s->l, t);
        } else {
            int64_t cost = next_random(&s->seed) % (t->reserved_nusd + 1);
            s->spent += cost;
            if (limit_settle(s->l, t, cost, 5)) {
                abort();
            }
        }
    }
    for (size_t i = 0; i < OPEN; i++) {
        limit_cancel(s->l, &open[i]);
    }
    return NULL;
}

static struct quota_spec monthly(int64_t nusd)
{
    return (struct quota_spec){.rate_per_min = -1,
                               .tokens_per_min = -1,
                               .concurrent_max = -1,
                               .budget_nusd = {-1, -1, nusd, -1}};
}

static void run_spenders(struct spender *s, pthread_t *threads)
{
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, spend, &s[i]), 0);
    }
}

static void budgets_are_never_overspent(void **state)
{
    (void)state;
    struct limit *l;
    assert_int_equal(limit_new(NULL, &l), OK);
    struct quota_spec root_spec = monthly(1000000), key_spec = monthly(400000);
    struct quota_node *root = limit_node_put(l, id_random(), NULL, &root_spec);
    struct spender s[THREADS];
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        s[i] = (struct spender){
            l, limit_node_put(l, id_random(), root, &key_spec), (uint32_t)i + 1, 0, 0, 12000};
    }
    run_spenders(s, threads);
    struct quota_view v;
    bool is_within = true;
    for (int i = 0; i < 2000; i++) { /* looked at from outside while it goes on */
        limit_view(l, root, &v);
        is_within = is_within && v.spent_nusd[MONTH] + v.reserved_nusd[MONTH] <= 1000000;
    }
    int64_t spent = 0, refused = 0;
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        spent += s[i].spent;
        refused += s[i].refused;
        limit_view(l, s[i].leaf, &v);
        assert_int_equal(v.spent_nusd[MONTH], s[i].spent);
        assert_int_equal(v.reserved_nusd[MONTH], 0);
        assert_true(v.spent_nusd[MONTH] <= 400000);
    }
    limit_view(l, root, &v);
    assert_true(is_within);
    assert_int_equal(v.spent_nusd[MONTH], spent);
    assert_int_equal(v.reserved_nusd[MONTH], 0);
    assert_int_equal(v.concurrent, 0);
    assert_true(spent <= 1000000 && spent >= 990000 && refused > 0);
    limit_free(l);
}

/* One team is moved between two organisations, and to the top, while its keys spend. */
static void moves_lose_no_money(void **state)
{
    (void)state;
    struct limit *l;
    assert_int_equal(limit_new(NULL, &l), OK);
    struct quota_spec none = monthly(-1);
    struct quota_node *org[2] = {limit_node_put(l, id_random(), NULL, &none),
                                 limit_node_put(l, id_random(), NULL, &none)};
    struct id team_id = id_random();
    struct quota_node *team = limit_node_put(l, team_id, org[0], &none);
    struct spender s[THREADS];
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        struct quota_node *parent = i == 3 ? org[1] : team;
        s[i] = (struct spender){
            l, limit_node_put(l, id_random(), parent, &none), (uint32_t)i + 1, 0, 0, 8000};
    }
    run_spenders(s, threads);
    for (int i = 0; i < 1000; i++) {
        struct quota_node *parents[] = {org[1], NULL, org[0]};
        assert_ptr_equal(limit_node_put(l, team_id, parents[i % 3], &none), team);
    }
    int64_t spent = 0;
    struct quota_view v;
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        spent += i == 3 ? 0 : s[i].spent;
    }
    limit_view(l, team, &v);
    assert_int_equal(v.spent_nusd[MONTH], spent);
    assert_int_equal(v.reserved_nusd[MONTH], 0);
    assert_int_equal(v.concurrent, 0);
    int64_t outside = 0;
    for (int i = 0; i < 2; i++) {
        limit_view(l, org[i], &v);
        assert_int_equal(v.reserved_nusd[MONTH], 0);
        assert_int_equal(v.concurrent, 0);
        outside += v.spent_nusd[MONTH];
    }
    assert_true(outside <= spent + s[3].spent && outside >= s[3].spent);
    limit_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_minute_holds_more_with_a_stepping_clock),
        cmocka_unit_test(no_minute_holds_more_with_the_real_clock),
        cmocka_unit_test(budgets_are_never_overspent),
        cmocka_unit_test(moves_lose_no_money),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
