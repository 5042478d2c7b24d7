/* Tests of upstream/health.c: the breaker's table edge by edge with a given clock. */
#include "core/clock.h"
#include "support/unit.h"
#include "upstream/health.h"

#include <pthread.h>

enum { NOW_S = 1000 };

static int64_t at(int64_t seconds)
{
    return (NOW_S + seconds) * NS_PER_S;
}

static struct health *health_or_fail(void)
{
    struct health *h = NULL;
    assert_int_equal(health_new(&h), OK);
    return h;
}

static void call(struct health_node *n, enum health_outcome outcome, int64_t now_ns)
{
    health_begin(n);
    health_end(n, outcome, now_ns, -1, 0);
}

static void calls(struct health_node *n, enum health_outcome outcome, int64_t now_ns, int count)
{
    for (int i = 0; i < count; i++) {
        call(n, outcome, now_ns);
    }
}

static enum breaker_state state_at(const struct health_node *n, int64_t now_ns)
{
    return health_view(n, now_ns).state;
}

static void test_a_node_is_found_again_by_name(void **state)
{
    (void)state;
    struct health *h = health_or_fail();
    struct health_node *a = health_node(h, SLICE("openai/gpt-4o-mini"));
    assert_non_null(a);
    assert_ptr_equal(a, health_node(h, SLICE("openai/gpt-4o-mini")));
    assert_ptr_not_equal(a, health_node(h, SLICE("openai/gpt-4o")));
    char name[16];
    for (int i = 0; i < 3000; i++) {
        int len = snprintf(name, sizeof(name), "p/%d", i);
        assert_non_null(health_node(h, slice_of(name, (size_t)len)));
    }
    assert_ptr_equal(a, health_node(h, SLICE("openai/gpt-4o-mini")));
    health_free(h);
    health_free(NULL);
}

static void test_five_failures_in_a_row_open_it(void **state)
{
    (void)state;
    struct health *h = health_or_fail();
    struct health_node *n = health_node(h, SLICE("a"));
    calls(n, HEALTH_FAILED, at(0), 4);
    assert_true(health_admits(n, at(0), 0));
    call(n, HEALTH_OK, at(0));
    calls(n, HEALTH_FAILED, at(0), 4);
    assert_int_equal(state_at(n, at(0)), BREAKER_CLOSED);
    call(n, HEALTH_FAILED, at(0));
    assert_int_equal(state_at(n, at(0)), BREAKER_OPEN);
    assert_false(health_admits(n, at(9), 0));
    assert_int_equal(health_view(n, at(9)).open_until_ns, at(10));
    health_free(h);
}

static void test_half_of_twenty_calls_open_it_and_older_ones_do_not_count(void **state)
{
    (void)state;
    struct health *h = health_or_fail();
    struct health_node *n = health_node(h, SLICE("a"));
    for (int i = 0; i < 9; i++) { /* 18 calls, half of them failed: too few to say */
        call(n, HEALTH_FAILED, at(0));
        call(n, HEALTH_OK, at(0));
    }
    assert_int_equal(state_at(n, at(0)), BREAKER_CLOSED);
    call(n, HEALTH_FAILED, at(20)); /* the 18 are out of the window */
    call(n, HEALTH_OK, at(20));
    assert_int_equal(state_at(n, at(20)), BREAKER_CLOSED);
    for (int i = 0; i < 9; i++) {
        call(n, HEALTH_OK, at(21 + i / 5));
        call(n, HEALTH_FAILED, at(21 + i / 5));
    }
    assert_int_equal(state_at(n, at(22)), BREAKER_OPEN);
    health_free(h);
}

static void test_one_trial_at_a_time_then_a_ramp_then_closed(void **state)
{
    (void)state;
    struct health *h = health_or_fail();
    struct health_node *n = health_node(h, SLICE("a"));
    calls(n, HEALTH_FAILED, at(0), 5);
    assert_true(health_admits(n, at(10), 0));
    assert_int_equal(state_at(n, at(10)), BREAKER_HALF_OPEN);
    assert_true(health_view(n, at(10)).is_trial_out);
    assert_false(health_admits(n, at(10), 0));
    call(n, HEALTH_OK, at(11));
    assert_int_equal(state_at(n, at(11)), BREAKER_RAMP);
    int admitted[3] = {0};
    for (uint64_t random = 0; random < 100; random++) {
        admitted[0] += health_admits(n, at(11), random) ? 1 : 0;
        admitted[1] += health_admits(n, at(16), random) ? 1 : 0;
        admitted[2] += health_admits(n, at(20), random) ? 1 : 0;
    }
    assert_int_equal(admitted[0], 10);
    assert_int_equal(admitted[1], 50);
    assert_int_equal(admitted[2], 90);
    assert_true(health_admits(n, at(21), 99));
    assert_int_equal(state_at(n, at(21)), BREAKER_CLOSED);
    /* what opened it is forgotten: four failures do not */
    calls(n, HEALTH_FAILED, at(22), 4);
    assert_int_equal(state_at(n, at(22)), BREAKER_CLOSED);
    health_free(h);
}

static void test_a_failed_trial_doubles_the_pause_up_to_five_minutes(void **state)
{
    (void)state;
    struct health *h = health_or_fail();
    struct health_node *n = health_node(h, SLICE("a"));
    calls(n, HEALTH_FAILED, at(0), 5);
    static const int64_t pauses_s[] = {10, 20, 40, 80, 160, 300, 300};
    int64_t now_s = 0;
    for (size_t i = 0; i < ARRAY_LEN(pauses_s); i++) {
        assert_false(health_admits(n, at(now_s + pauses_s[i]) - 1, 0));
        now_s += pauses_s[i];
        assert_true(health_admits(n, at(now_s), 0));
        call(n, HEALTH_FAILED, at(now_s));
        assert_int_equal(state_at(n, at(now_s)), BREAKER_OPEN);
    }
    health_free(h);
}

static void test_a_failure_on_the_ramp_opens_it_again(void **state)
{
    (void)state;
    struct health *h = health_or_fail();
    struct health_node *n = health_node(h, SLICE("a"));
    calls(n, HEALTH_FAILED, at(0), 5);
    assert_true(health_admits(n, at(10), 0));
    call(n, HEALTH_OK, at(10));
    call(n, HEALTH_FAILED, at(12));
    assert_int_equal(state_at(n, at(12)), BREAKER_OPEN);
    assert_int_equal(health_view(n, at(12)).open_until_ns, at(32));
    health_free(h);
}

static void test_a_trial_without_a_verdict_is_free_again(void **state)
{
    (void)state;
    struct health *h = health_or_fail();
    struct health_node *n = health_node(h, SLICE("a"));
    calls(n, HEALTH_FAILED, at(0), 5);
    assert_true(health_admits(n, at(10), 0));
    call(n, HEALTH_UNKNOWN, at(10)); /* the client left */
    assert_true(health_admits(n, at(10), 0));
    /* and one that nobody ever ended is given again after a minute */
    assert_false(health_admits(n, at(69), 0));
    assert_true(health_admits(n, at(70), 0));
    health_free(h);
}

struct aside_case {
    enum health_outcome outcome;
    int64_t retry_after_ns;
    int64_t pauses_s[3]; /* of the first, second, third in a row */
};

static void test_limited_and_refused_set_aside_without_breaking(void **state)
{
    (void)state;
    static const struct aside_case cases[] = {
        {HEALTH_LIMITED, 0, {1, 2, 4}},
        {HEALTH_LIMITED, 30 * NS_PER_S, {30, 30, 30}},
        {HEALTH_LIMITED, 86400 * NS_PER_S, {600, 600, 600}},
        {HEALTH_REFUSED, 0, {60, 120, 240}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct health *h = health_or_fail();
        struct health_node *n = health_node(h, SLICE("a"));
        int64_t now_s = 0;
        for (size_t k = 0; k < 3; k++) {
            health_begin(n);
            health_end(n, cases[i].outcome, at(now_s), -1, cases[i].retry_after_ns);
            now_s += cases[i].pauses_s[k];
            assert_int_equal(health_view(n, at(now_s) - 1).set_aside_until_ns, at(now_s));
            assert_false(health_admits(n, at(now_s) - 1, 0));
            assert_true(health_admits(n, at(now_s), 0));
            assert_int_equal(state_at(n, at(now_s)), BREAKER_CLOSED);
        }
        health_free(h);
    }
}

static void test_latency_is_averaged_and_fades(void **state)
{
    (void)state;
    struct health *h = health_or_fail();
    struct health_node *n = health_node(h, SLICE("a"));
    assert_int_equal(health_view(n, at(0)).first_byte_ewma_ns, 0);
    health_begin(n);
    assert_int_equal(health_view(n, at(0)).in_flight, 1);
    health_end(n, HEALTH_OK, at(0), 800, 0);
    assert_int_equal(health_view(n, at(0)).in_flight, 0);
    assert_int_equal(health_view(n, at(0)).first_byte_ewma_ns, 800);
    health_begin(n);
    health_end(n, HEALTH_OK, at(0), 1600, 0);
    assert_int_equal(health_view(n, at(0)).first_byte_ewma_ns, 900);
    assert_int_equal(health_view(n, at(10)).first_byte_ewma_ns, 450);
    assert_int_equal(health_view(n, at(100000)).first_byte_ewma_ns, 0);
    health_free(h);
}

static void count_node(void *ctx, struct slice name, const struct health_view *view)
{
    (void)view;
    assert_true(slice_eq(name, SLICE("used")));
    (*(int *)ctx)++;
}

static void test_only_nodes_that_had_a_call_are_walked(void **state)
{
    (void)state;
    struct health *h = health_or_fail();
    assert_non_null(health_node(h, SLICE("unused")));
    call(health_node(h, SLICE("used")), HEALTH_OK, at(0));
    int count = 0;
    health_each(h, count_node, &count, at(0));
    assert_int_equal(count, 1);
    health_free(h);
}

static void *hammer(void *ctx)
{
    struct health *h = ctx;
    for (int64_t i = 0; i < 20000; i++) {
        struct health_node *n = health_node(h, i % 2 ? SLICE("a") : SLICE("b"));
        int64_t now_ns = at(0) + i * NS_PER_MS;
        if (health_admits(n, now_ns, (uint64_t)i)) {
            health_begin(n);
            health_end(n, i % 3 ? HEALTH_OK : HEALTH_FAILED, now_ns, i, 0);
        }
    }
    return NULL;
}

static void test_threads_leave_nothing_in_flight(void **state)
{
    (void)state;
    struct health *h = health_or_fail();
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, h), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(health_view(health_node(h, SLICE("a")), at(100)).in_flight, 0);
    assert_int_equal(health_view(health_node(h, SLICE("b")), at(100)).in_flight, 0);
    health_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_node_is_found_again_by_name),
        cmocka_unit_test(test_five_failures_in_a_row_open_it),
        cmocka_unit_test(test_half_of_twenty_calls_open_it_and_older_ones_do_not_count),
        cmocka_unit_test(test_one_trial_at_a_time_then_a_ramp_then_closed),
        cmocka_unit_test(test_a_failed_trial_doubles_the_pause_up_to_five_minutes),
        cmocka_unit_test(test_a_failure_on_the_ramp_opens_it_again),
        cmocka_unit_test(test_a_trial_without_a_verdict_is_free_again),
        cmocka_unit_test(test_limited_and_refused_set_aside_without_breaking),
        cmocka_unit_test(test_latency_is_averaged_and_fades),
        cmocka_unit_test(test_only_nodes_that_had_a_call_are_walked),
        cmocka_unit_test(test_threads_leave_nothing_in_flight)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
