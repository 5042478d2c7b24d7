/* Tests of route/pick.c: tiers, weights, load, keys, the breaker, affinity. */
#include "route/rank.h"
#include "unit/route/fixture.h"

#include <math.h>

enum { DRAWS = 10000, KEYS = 3 };

static const int64_t now_ns = FIXTURE_NOW_S * NS_PER_S;

struct bench {
    struct health *health;
    struct route_provider keyless, keyed;
    struct route_target targets[4];
    struct route_plan plan;
    uint64_t random;
};

/* Tier 0: two targets of weights 9 and 1; tier 1: one without and one with keys. */
static void bench_init(struct bench *b)
{
    static const char *const names[] = {"p/a", "p/b", "p/c", "k/d"};
    *b = (struct bench){.random = 1};
    assert_int_equal(health_new(&b->health), OK);
    b->keyless.name = SLICE("p");
    b->keyed.name = SLICE("k");
    b->keyed.key_count = KEYS;
    static const char *const keys[KEYS] = {"key 0", "key 1", "key 2"};
    for (size_t i = 0; i < KEYS; i++) {
        b->keyed.keys[i].health = health_node(b->health, slice_str(keys[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(b->targets); i++) {
        b->targets[i] =
            (struct route_target){.provider = i == 3 ? &b->keyed : &b->keyless,
                                  .model = slice_str(names[i] + 2),
                                  .weight = i == 0 ? 9 : 1,
                                  .tier = i < 2 ? 0 : 1,
                                  .health = health_node(b->health, slice_str(names[i]))};
    }
    b->plan = (struct route_plan){.targets = b->targets, .count = 4, .output_cap_tokens = -1};
}

static uint64_t bench_random(struct bench *b)
{
    b->random = b->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return b->random ^ b->random >> 29;
}

static void set(struct health_node *n, enum health_outcome outcome, int times,
                int64_t first_byte_ns)
{
    for (int i = 0; i < times; i++) {
        health_begin(n);
        health_end(n, outcome, now_ns, first_byte_ns, 0);
    }
}

/* How many of DRAWS first picks go to the target. */
static int share(struct bench *b, size_t target)
{
    int count = 0;
    for (int i = 0; i < DRAWS; i++) {
        struct route_tried tried = {0};
        struct route_choice choice;
        assert_true(route_pick(&b->plan, &tried, 0, now_ns, bench_random(b), &choice));
        count += choice.target == target ? 1 : 0;
    }
    return count;
}

static void test_weights_hold_while_nothing_is_slow(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    assert_in_range(share(&b, 1), 850, 1150);
    set(b.targets[0].health, HEALTH_OK, 1, 100 * NS_PER_MS);
    set(b.targets[1].health, HEALTH_OK, 1, 110 * NS_PER_MS); /* as good as the same */
    assert_in_range(share(&b, 1), 850, 1150);
    /* nine calls on the heavy one are the same load as one on the light one */
    for (int i = 0; i < 9; i++) {
        health_begin(b.targets[0].health);
    }
    health_begin(b.targets[1].health);
    assert_in_range(share(&b, 1), 850, 1150);
    health_free(b.health);
}

static void test_the_slow_and_the_busy_get_less(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    set(b.targets[0].health, HEALTH_OK, 1, 500 * NS_PER_MS);
    set(b.targets[1].health, HEALTH_OK, 1, 100 * NS_PER_MS);
    assert_in_range(share(&b, 1), 1700, 2100); /* 1 - 0.9^2 */
    health_free(b.health);
    bench_init(&b);
    for (int i = 0; i < 5; i++) {
        health_begin(b.targets[1].health);
    }
    assert_in_range(share(&b, 1), 50, 160); /* 0.1^2 */
    health_free(b.health);
}

static void test_a_tier_is_exhausted_before_the_next(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    for (int i = 0; i < 100; i++) {
        struct route_tried tried = {0};
        struct route_choice c[4];
        for (size_t k = 0; k < 4; k++) {
            assert_true(route_pick(&b.plan, &tried, 0, now_ns, bench_random(&b), &c[k]));
            assert_int_equal(c[k].key == SIZE_MAX, c[k].target != 3);
        }
        assert_int_equal(c[0].target + c[1].target, 1);
        assert_int_equal(c[2].target + c[3].target, 5);
        struct route_choice none;
        assert_false(route_pick(&b.plan, &tried, 0, now_ns, bench_random(&b), &none));
    }
    health_free(b.health);
}

static void test_an_open_breaker_is_passed_over_and_its_trial_claimed_once(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    set(b.targets[0].health, HEALTH_FAILED, 5, -1);
    assert_int_equal(share(&b, 1), DRAWS);
    b.plan.targets = &b.targets[0];
    int64_t later_ns = now_ns + 10 * NS_PER_S;
    int trials = 0;
    for (int i = 0; i < 1000; i++) {
        struct route_tried tried = {0};
        struct route_choice choice;
        assert_true(route_pick(&b.plan, &tried, 0, later_ns, bench_random(&b), &choice));
        trials += choice.target == 0 ? 1 : 0;
    }
    assert_int_equal(trials, 1);
    health_free(b.health);
}

static void test_the_least_bad_is_tried_once_when_all_are_bad(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    set(b.targets[0].health, HEALTH_FAILED, 5, -1);  /* open for 10 s */
    set(b.targets[1].health, HEALTH_LIMITED, 2, -1); /* aside for 2 s */
    set(b.targets[2].health, HEALTH_FAILED, 5, -1);
    for (size_t i = 0; i < KEYS; i++) {
        set(b.keyed.keys[i].health, HEALTH_REFUSED, 1, -1); /* 60 s */
    }
    struct route_tried tried = {0};
    struct route_choice choice;
    assert_true(route_pick(&b.plan, &tried, 0, now_ns, 1, &choice));
    assert_int_equal(choice.target, 1);
    assert_false(route_pick(&b.plan, &tried, 0, now_ns, 2, &choice));
    /* the only target, all its keys dead: the one that comes back first */
    set(b.keyed.keys[0].health, HEALTH_REFUSED, 1, -1);
    set(b.keyed.keys[2].health, HEALTH_REFUSED, 1, -1);
    b.plan = (struct route_plan){.targets = &b.targets[3], .count = 1};
    tried = (struct route_tried){0};
    assert_true(route_pick(&b.plan, &tried, 0, now_ns, 3, &choice));
    assert_int_equal(choice.key, 1);
    health_free(b.health);
}

static void test_keys_are_drawn_from_the_healthy_ones(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    b.plan = (struct route_plan){.targets = &b.targets[3], .count = 1};
    int drawn[KEYS] = {0};
    set(b.keyed.keys[1].health, HEALTH_REFUSED, 1, -1);
    for (int i = 0; i < DRAWS; i++) {
        struct route_tried tried = {0};
        struct route_choice choice;
        assert_true(route_pick(&b.plan, &tried, 0, now_ns, bench_random(&b), &choice));
        drawn[choice.key]++;
    }
    assert_int_equal(drawn[1], 0);
    assert_in_range(drawn[0], DRAWS * 45 / 100, DRAWS * 55 / 100);
    health_free(b.health);
}

static void test_a_failed_key_is_followed_by_another_of_the_same_target(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    b.plan = (struct route_plan){.targets = &b.targets[3], .count = 1};
    struct route_tried tried = {0};
    struct route_choice choice;
    unsigned seen = 0;
    for (int i = 0; i < KEYS; i++) {
        assert_true(route_pick(&b.plan, &tried, 0, now_ns, bench_random(&b), &choice));
        assert_int_equal(seen >> choice.key & 1u, 0);
        seen |= 1u << choice.key;
        set(b.keyed.keys[choice.key].health, HEALTH_LIMITED, 1, -1);
    }
    assert_false(route_pick(&b.plan, &tried, 0, now_ns, 9, &choice));
    health_free(b.health);
    /* but a target that failed with a healthy key is not asked again */
    bench_init(&b);
    b.plan = (struct route_plan){.targets = &b.targets[3], .count = 1};
    tried = (struct route_tried){0};
    assert_true(route_pick(&b.plan, &tried, 0, now_ns, 1, &choice));
    set(b.targets[3].health, HEALTH_FAILED, 1, -1);
    assert_false(route_pick(&b.plan, &tried, 0, now_ns, 2, &choice));
    health_free(b.health);
}

static void test_the_same_random_bits_pick_the_same(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    for (uint64_t random = 0; random < 1000; random++) {
        struct route_tried x = {0};
        struct route_tried y = {0};
        struct route_choice a;
        struct route_choice c;
        assert_true(route_pick(&b.plan, &x, 0, now_ns, random, &a));
        assert_true(route_pick(&b.plan, &y, 0, now_ns, random, &c));
        assert_int_equal(a.target, c.target);
    }
    health_free(b.health);
}

static void test_no_target_is_none_left(void **state)
{
    (void)state;
    struct route_plan plan = {.count = 0};
    struct route_tried tried = {0};
    struct route_choice choice;
    assert_false(route_pick(&plan, &tried, 0, now_ns, 1, &choice));
}

/* --- affinity ----------------------------------------------------------------------------------
 */

enum { CONVERSATIONS = 3000 };

static uint64_t conversation(int i)
{
    return rank_hash((uint64_t)i, SLICE("conversation"), SLICE_NONE);
}

static struct route_choice choice_of(struct bench *b, uint64_t affinity, int64_t at_ns)
{
    struct route_tried tried = {0};
    struct route_choice choice;
    assert_true(route_pick(&b->plan, &tried, affinity, at_ns, bench_random(b), &choice));
    return choice;
}

/* One tier of weights 6, 3 and 1. */
static void three_init(struct bench *b)
{
    static const int weights[] = {6, 3, 1};
    bench_init(b);
    for (size_t i = 0; i < ARRAY_LEN(weights); i++) {
        b->targets[i].weight = weights[i];
        b->targets[i].tier = 0;
    }
    b->plan.count = ARRAY_LEN(weights);
}

static void test_a_rank_is_a_logarithm(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 1000; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t hash = (random ^ random >> 29) >> i % 60;
        double exact = 64 - log2((double)(hash | 1));
        uint64_t rank = rank_of(hash);
        assert_true(fabs((double)rank / 65536 - exact) < 0.001);
    }
    assert_int_equal(rank_of(0), (uint64_t)64 << 16);
    assert_true(rank_of(UINT64_MAX) >= 1);
}

static void test_conversations_stay_and_spread_by_weight(void **state)
{
    (void)state;
    struct bench b;
    int count[3] = {0};
    three_init(&b);
    for (int i = 0; i < CONVERSATIONS; i++) {
        struct route_choice first = choice_of(&b, conversation(i), now_ns), home;
        for (int turn = 0; turn < 5; turn++) {
            assert_int_equal(choice_of(&b, conversation(i), now_ns).target, first.target);
        }
        assert_true(route_home(&b.plan, conversation(i), now_ns, &home));
        assert_int_equal(home.target, first.target);
        count[first.target]++;
    }
    assert_in_range(count[0], CONVERSATIONS * 57 / 100, CONVERSATIONS * 63 / 100);
    assert_in_range(count[1], CONVERSATIONS * 27 / 100, CONVERSATIONS * 33 / 100);
    assert_in_range(count[2], CONVERSATIONS * 8 / 100, CONVERSATIONS * 12 / 100);
    health_free(b.health);
}

static void test_a_broken_target_moves_its_own_conversations_and_gets_them_back(void **state)
{
    (void)state;
    struct bench b;
    size_t home[CONVERSATIONS];
    int moved[3] = {0};
    three_init(&b);
    for (int i = 0; i < CONVERSATIONS; i++) {
        home[i] = choice_of(&b, conversation(i), now_ns).target;
    }
    set(b.targets[1].health, HEALTH_FAILED, 5, -1); /* open for 10 s */
    for (int i = 0; i < CONVERSATIONS; i++) {
        size_t now = choice_of(&b, conversation(i), now_ns).target;
        assert_true(now != 1 && (home[i] == 1 || now == home[i]));
        moved[now] += home[i] == 1 ? 1 : 0;
    }
    assert_true(moved[0] > 3 * moved[2] && moved[2] > 0); /* by weight again */
    health_free(b.health);
    three_init(&b);
    set(b.targets[1].health, HEALTH_LIMITED, 1, -1); /* aside for 1 s */
    for (int i = 0; i < CONVERSATIONS; i++) {
        assert_int_equal(choice_of(&b, conversation(i), now_ns + 2 * NS_PER_S).target, home[i]);
    }
    health_free(b.health);
}

/* They do not go to and fro while the share of calls grows. */
static void test_a_target_that_recovers_gets_each_conversation_back_once(void **state)
{
    (void)state;
    struct bench b;
    bool is_back[CONVERSATIONS] = {false};
    int back = 0, before = 0;
    three_init(&b);
    set(b.targets[0].health, HEALTH_FAILED, 5, -1);
    int64_t at_ns = now_ns + 11 * NS_PER_S;
    assert_true(health_admits(b.targets[0].health, at_ns, 0)); /* the trial */
    health_begin(b.targets[0].health);
    health_end(b.targets[0].health, HEALTH_OK, at_ns, 1, 0);
    for (int second = 0; second <= 10; second++, at_ns += NS_PER_S) {
        for (int i = 0; i < CONVERSATIONS; i++) {
            bool is_home = choice_of(&b, conversation(i), at_ns).target == 0;
            assert_true(is_home || !is_back[i]);
            back += is_home && !is_back[i] ? 1 : 0;
            is_back[i] = is_home;
        }
        assert_true(back > before || second < 2); /* a tenth at once, then more each second */
        before = back;
    }
    assert_in_range(back, CONVERSATIONS * 57 / 100, CONVERSATIONS * 63 / 100);
    health_free(b.health);
}

static void test_a_second_try_goes_to_the_next_in_rank(void **state)
{
    (void)state;
    struct bench b;
    three_init(&b);
    for (int i = 0; i < 100; i++) {
        size_t order[2][3];
        for (size_t round = 0; round < 2; round++) {
            struct route_tried tried = {0};
            struct route_choice choice;
            for (size_t k = 0; k < 3; k++) {
                assert_true(route_pick(&b.plan, &tried, conversation(i), now_ns, bench_random(&b),
                                       &choice));
                order[round][k] = choice.target;
            }
            assert_false(route_pick(&b.plan, &tried, conversation(i), now_ns, 1, &choice));
        }
        assert_memory_equal(order[0], order[1], sizeof(order[0]));
    }
    health_free(b.health);
}

static void keyed_init(struct bench *b)
{
    static const char *const secrets[KEYS] = {"secret-a", "secret-b", "secret-c"};
    bench_init(b);
    b->plan = (struct route_plan){.targets = &b->targets[3], .count = 1};
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(secret_set(&b->keyed.keys[i].secret, slice_str(secrets[i])), OK);
    }
}

static void keyed_deinit(struct bench *b)
{
    for (size_t i = 0; i < KEYS; i++) {
        secret_deinit(&b->keyed.keys[i].secret);
    }
    health_free(b->health);
}

static void test_a_conversation_stays_with_its_key(void **state)
{
    (void)state;
    struct bench b;
    size_t home[CONVERSATIONS];
    int count[KEYS] = {0};
    keyed_init(&b);
    assert_true(route_is_free(&b.plan));
    for (int i = 0; i < CONVERSATIONS; i++) {
        home[i] = choice_of(&b, conversation(i), now_ns).key;
        assert_int_equal(choice_of(&b, conversation(i), now_ns).key, home[i]);
        count[home[i]]++;
    }
    for (size_t i = 0; i < KEYS; i++) {
        assert_in_range(count[i], CONVERSATIONS * 30 / 100, CONVERSATIONS * 37 / 100);
    }
    set(b.keyed.keys[0].health, HEALTH_REFUSED, 1, -1);
    for (int i = 0; i < CONVERSATIONS; i++) {
        size_t now = choice_of(&b, conversation(i), now_ns).key;
        assert_true(now != 0 && (home[i] == 0 || now == home[i]));
    }
    /* A key that is taken out of the file leaves the others their conversations. */
    secret_deinit(&b.keyed.keys[0].secret);
    b.keyed.keys[0] = b.keyed.keys[1];
    b.keyed.keys[1] = b.keyed.keys[2];
    b.keyed.keys[2] = (struct route_key){.health = NULL};
    b.keyed.key_count = 2;
    for (int i = 0; i < CONVERSATIONS; i++) {
        size_t now = choice_of(&b, conversation(i), now_ns).key;
        assert_true(home[i] == 0 || now == home[i] - 1);
    }
    keyed_deinit(&b);
}

static void test_one_target_with_one_key_is_no_choice(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    assert_true(route_is_free(&b.plan));
    b.plan.targets = &b.targets[1]; /* a tier each, no keys */
    b.plan.count = 2;
    assert_false(route_is_free(&b.plan));
    b.plan.targets = &b.targets[3];
    b.plan.count = 1;
    assert_true(route_is_free(&b.plan));
    b.keyed.key_count = 1;
    assert_false(route_is_free(&b.plan));
    health_free(b.health);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_hold_while_nothing_is_slow),
        cmocka_unit_test(test_the_slow_and_the_busy_get_less),
        cmocka_unit_test(test_a_tier_is_exhausted_before_the_next),
        cmocka_unit_test(test_an_open_breaker_is_passed_over_and_its_trial_claimed_once),
        cmocka_unit_test(test_the_least_bad_is_tried_once_when_all_are_bad),
        cmocka_unit_test(test_keys_are_drawn_from_the_healthy_ones),
        cmocka_unit_test(test_a_failed_key_is_followed_by_another_of_the_same_target),
        cmocka_unit_test(test_the_same_random_bits_pick_the_same),
        cmocka_unit_test(test_no_target_is_none_left),
        cmocka_unit_test(test_a_rank_is_a_logarithm),
        cmocka_unit_test(test_conversations_stay_and_spread_by_weight),
        cmocka_unit_test(test_a_broken_target_moves_its_own_conversations_and_gets_them_back),
        cmocka_unit_test(test_a_target_that_recovers_gets_each_conversation_back_once),
        cmocka_unit_test(test_a_second_try_goes_to_the_next_in_rank),
        cmocka_unit_test(test_a_conversation_stays_with_its_key),
        cmocka_unit_test(test_one_target_with_one_key_is_no_choice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
