#include "cache/cache.h"
#include "core/clock.h"
#include "support/unit.h"

#include <pthread.h>
#include <stdatomic.h>

enum { FOREVER_S = 1000000 };

static struct sha256 key_of(uint64_t n)
{
    return sha256_of(slice_of((const char *)&n, sizeof(n)));
}

static struct cache_entry entry(struct slice payload)
{
    return (struct cache_entry){.form = CACHE_EVENTS,
                                .dialect = 3,
                                .payload = payload,
                                .provider = SLICE("openai"),
                                .model = SLICE("gpt-4o"),
                                .usage = {.input = 7, .output = 9, .is_known = true},
                                .cost_nusd = 42,
                                .stored_unix_ns = 1000 * NS_PER_S,
                                .expires_ns = FOREVER_S * NS_PER_S};
}

static enum err put(struct cache *c, uint64_t n, struct slice payload)
{
    struct sha256 key = key_of(n);
    struct cache_entry e = entry(payload);
    return cache_put(c, &key, &e);
}

static struct cache_entry *find(struct cache *c, uint64_t n)
{
    struct sha256 key = key_of(n);
    return cache_find(c, &key, 0, 1000 * NS_PER_S, -1);
}

static bool has(struct cache *c, uint64_t n)
{
    struct cache_entry *e = find(c, n);
    cache_entry_unref(e);
    return e != NULL;
}

static struct cache *start(size_t max_bytes, size_t entry_max_bytes)
{
    struct cache *c;
    assert_int_equal(cache_new(max_bytes, entry_max_bytes, &c), OK);
    return c;
}

static void everything_is_copied_and_comes_back(void **state)
{
    (void)state;
    struct cache *c = start(1 << 20, 1 << 16);
    char payload[] = "data: 1\n\n";
    assert_int_equal(put(c, 1, slice_str(payload)), OK);
    payload[6] = '9';
    struct cache_entry *e = find(c, 1);
    assert_non_null(e);
    assert_true(slice_eq(e->payload, SLICE("data: 1\n\n")));
    assert_true(slice_eq(e->provider, SLICE("openai")));
    assert_true(slice_eq(e->model, SLICE("gpt-4o")));
    assert_int_equal(e->form, CACHE_EVENTS);
    assert_int_equal(e->dialect, 3);
    assert_int_equal(e->usage.output, 9);
    assert_int_equal(e->cost_nusd, 42);
    assert_null(find(c, 2));
    assert_int_equal(put(c, 2, SLICE("")), OK);
    struct cache_entry *empty = find(c, 2);
    assert_int_equal(empty->payload.len, 0);
    cache_entry_unref(empty);
    cache_entry_unref(e);
    struct cache_stats s = cache_stats(c);
    assert_int_equal(s.entries, 2);
    assert_int_equal(s.hits, 2);
    assert_int_equal(s.misses, 1);
    cache_free(c);
}

static void a_reference_outlives_replacement_eviction_and_clearing(void **state)
{
    (void)state;
    struct cache *c = start(1 << 20, 1 << 16);
    assert_int_equal(put(c, 1, SLICE("old")), OK);
    struct cache_entry *old = find(c, 1);
    struct cache_entry *again = cache_entry_ref(old);
    assert_int_equal(put(c, 1, SLICE("new")), OK);
    struct cache_entry *new = find(c, 1);
    assert_true(slice_eq(new->payload, SLICE("new")));
    assert_int_equal(cache_stats(c).entries, 1);
    assert_int_equal(cache_clear(c), 1);
    assert_int_equal(cache_clear(c), 0);
    assert_null(find(c, 1));
    assert_int_equal(cache_stats(c).bytes, 0);
    assert_true(slice_eq(old->payload, SLICE("old")));
    cache_entry_unref(old);
    assert_true(slice_eq(again->payload, SLICE("old")));
    cache_entry_unref(again);
    assert_true(slice_eq(new->payload, SLICE("new")));
    cache_free(c);
    cache_entry_unref(new);
    cache_entry_unref(NULL);
}

static void entries_expire_and_age_by_the_given_clocks(void **state)
{
    (void)state;
    struct cache *c = start(1 << 20, 1 << 16);
    struct sha256 key = key_of(5);
    struct cache_entry e = entry(SLICE("x"));
    e.expires_ns = 500;
    e.stored_unix_ns = 1000;
    assert_int_equal(cache_put(c, &key, &e), OK);
    static const struct {
        int64_t now_ns, unix_ns, max_age_ns;
        bool want;
    } rows[] = {
        {0, 1000, -1, true},   {499, 99999999, -1, true},
        {0, 1010, 11, true},   {0, 1010, 10, false},
        {0, 1000, 0, false},   {0, 990, 1, true},
        {499, 1010, 11, true}, {500, 1000, -1, false},
        {0, 1000, -1, false}, /* expired once: gone */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cache_entry *got =
            cache_find(c, &key, rows[i].now_ns, rows[i].unix_ns, rows[i].max_age_ns);
        assert_int_equal(got != NULL, rows[i].want);
        cache_entry_unref(got);
    }
    assert_int_equal(cache_stats(c).entries, 0);
    assert_int_equal(cache_stats(c).bytes, 0);
    cache_free(c);
}

static void too_large_is_refused_and_nothing_stored(void **state)
{
    (void)state;
    static char payload[200000];
    struct cache *c = start(100000, 50000);
    assert_int_equal(put(c, 1, slice_of(payload, 50000)), E_LIMIT);
    assert_int_equal(put(c, 1, slice_of(payload, sizeof(payload))), E_LIMIT);
    assert_int_equal(put(c, 1, slice_of(payload, 49000)), OK); /* far over a 64th of the whole */
    assert_int_equal(put(c, 1, slice_of(payload, 50000)), E_LIMIT);
    assert_true(has(c, 1));
    cache_free(c);
    c = start(0, 50000);
    assert_int_equal(put(c, 1, SLICE("")), E_LIMIT);
    assert_false(has(c, 1));
    cache_free(c);
}

static void the_bound_holds_whatever_is_put(void **state)
{
    (void)state;
    static char payload[60000];
    static const size_t bounds[] = {600, 5000, 64000, 1 << 20};
    for (size_t b = 0; b < ARRAY_LEN(bounds); b++) {
        struct cache *c = start(bounds[b], bounds[b]);
        uint32_t seed = 3;
        int stored = 0;
        for (uint64_t n = 0; n < 4000; n++) {
            seed = seed * 1664525 + 1013904223;
            size_t len = (seed >> 8) % (n % 10 ? 300 : sizeof(payload));
            enum err e = put(c, n % 1500, slice_of(payload, len));
            assert_true(e == OK || e == E_LIMIT);
            stored += e == OK;
            assert_true(e != OK || has(c, n % 1500));
            struct cache_stats s = cache_stats(c);
            assert_true(s.bytes <= (int64_t)bounds[b] && s.bytes >= 0 && s.entries >= 0);
        }
        assert_true(stored > 2000);
        struct cache_stats s = cache_stats(c);
        assert_true(s.evictions > 0);
        assert_int_equal(cache_clear(c), s.entries);
        assert_int_equal(cache_stats(c).bytes, 0);
        cache_free(c);
    }
}

/* Within a shard what was used last stays longest. */
static void the_least_recently_used_goes_first(void **state)
{
    (void)state;
    uint64_t same_shard[40];
    size_t n = 0;
    uint8_t shard = key_of(0).bytes[0] % 64;
    for (uint64_t i = 0; n < ARRAY_LEN(same_shard); i++) {
        if (key_of(i).bytes[0] % 64 == shard) {
            same_shard[n++] = i;
        }
    }
    static char payload[1000];
    struct cache *c = start(16000, 16000);
    for (size_t i = 0; i < ARRAY_LEN(same_shard); i++) {
        assert_int_equal(put(c, same_shard[i], slice_of(payload, sizeof(payload))), OK);
        assert_true(has(c, same_shard[0])); /* kept young */
    }
    assert_false(has(c, same_shard[1]));
    assert_true(has(c, same_shard[ARRAY_LEN(same_shard) - 1]));
    assert_true(has(c, same_shard[ARRAY_LEN(same_shard) - 2]));
    cache_free(c);
}

struct worker {
    struct cache *c;
    _Atomic int *running; /* workers that have not ended */
    uint32_t seed;
    int64_t wrong, found;
};

enum { THREADS = 4, SHARED_MAX_BYTES = 60000 };

static void *use_cache(void *arg)
{
    struct worker *w = arg;
    char payload[2000];
    for (int i = 0; i < 20000; i++) {
        w->seed = w->seed * 1664525 + 1013904223;
        uint64_t n = (w->seed >> 8) % 200;
        if (w->seed % 7 < 2) {
            size_t len = 1 + n * 9;
            memset(payload, (char)n, len);
            w->wrong += put(w->c, n, slice_of(payload, len)) == E_NOMEM;
        } else if (i % 5000 == 4999) {
            (void)cache_clear(w->c);
        } else {
            struct cache_entry *e = find(w->c, n);
            for (size_t k = 0; e && k < e->payload.len; k += 97) {
                w->wrong += e->payload.ptr[k] != (char)n;
            }
            w->wrong += e && e->payload.len != 1 + n * 9;
            w->found += e != NULL;
            cache_entry_unref(e);
        }
    }
    atomic_fetch_sub(w->running, 1);
    return NULL;
}

static void threads_share_it_and_the_bound_holds(void **state)
{
    (void)state;
    struct cache *c = start(SHARED_MAX_BYTES, 4000);
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    _Atomic int running = THREADS;
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.c = c, .running = &running, .seed = (uint32_t)i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, use_cache, &workers[i]), 0);
    }
    int64_t most = 0;
    while (atomic_load(&running)) { /* on a busy machine they may begin late */
        struct cache_stats s = cache_stats(c);
        most = s.bytes > most ? s.bytes : most;
        (void)sched_yield();
    }
    int64_t found = 0;
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].wrong, 0);
        found += workers[i].found;
    }
    struct cache_stats s = cache_stats(c);
    assert_true(s.bytes <= SHARED_MAX_BYTES && found > 1000 && s.evictions > 0);
    assert_true(most > 0 && most <= SHARED_MAX_BYTES);
    assert_int_equal(cache_clear(c), s.entries);
    assert_int_equal(cache_stats(c).bytes, 0);
    cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_copied_and_comes_back),
        cmocka_unit_test(a_reference_outlives_replacement_eviction_and_clearing),
        cmocka_unit_test(entries_expire_and_age_by_the_given_clocks),
        cmocka_unit_test(too_large_is_refused_and_nothing_stored),
        cmocka_unit_test(the_bound_holds_whatever_is_put),
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(threads_share_it_and_the_bound_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
