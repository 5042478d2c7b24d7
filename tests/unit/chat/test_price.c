/* Tests of chat/price.c: worked examples, tiers, rounding, bounds, saturation. */
#include "chat/price.h"
#include "support/unit.h"

#define USD_PER_MTOK(milli) ((int64_t)(milli)*1000000)
#define NOT_STATED          -1

static struct price gpt_4o_mini(void)
{
    return (struct price){.base = {.input = USD_PER_MTOK(150),
                                   .output = USD_PER_MTOK(600),
                                   .cache_read = USD_PER_MTOK(75),
                                   .cache_write_5m = NOT_STATED,
                                   .cache_write_1h = NOT_STATED,
                                   .reasoning = NOT_STATED}};
}

static struct price tiered(void)
{
    return (struct price){.base = {USD_PER_MTOK(3000), USD_PER_MTOK(15000), USD_PER_MTOK(300),
                                   USD_PER_MTOK(3750), USD_PER_MTOK(6000), NOT_STATED},
                          .tier_count = 2,
                          .tiers = {{200000,
                                     {USD_PER_MTOK(6000), USD_PER_MTOK(22500), USD_PER_MTOK(600),
                                      USD_PER_MTOK(7500), NOT_STATED, NOT_STATED}},
                                    {400000,
                                     {USD_PER_MTOK(9000), NOT_STATED, NOT_STATED, NOT_STATED,
                                      NOT_STATED, NOT_STATED}}}};
}

struct cost_case {
    const char *what;
    struct usage usage;
    int64_t cost_nusd;
};

static void test_gpt_4o_mini_worked_examples(void **state)
{
    (void)state;
    static const struct cost_case cases[] = {
        {"nothing", {0}, 0},
        {"one prompt token", {.input = 1}, 150},
        {"one completion token", {.output = 1}, 600},
        {"1,000 and 500", {.input = 1000, .output = 500}, 450000},
        {"a million each", {.input = 1000000, .output = 1000000}, 750000000},
        {"cached input is half", {.input = 200, .cache_read = 800, .output = 100}, 150000},
        {"a write costs input", {.cache_write_5m = 10, .cache_write_1h = 10}, 3000},
        {"reasoning costs output", {.output = 10, .reasoning = 90}, 60000},
        {"hidden thinking is billed", {.input = 10, .output = 10, .total_reported = 120}, 67500},
        {"a smaller total changes nothing",
         {.input = 10, .output = 10, .total_reported = 5},
         7500}};
    struct price price = gpt_4o_mini();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t cost = price_cost(&price, &cases[i].usage);
        if (cost != cases[i].cost_nusd) {
            fail_msg("%s: %lld, expected %lld", cases[i].what, (long long)cost,
                     (long long)cases[i].cost_nusd);
        }
    }
}

static void test_a_tier_counts_from_the_first_token_beyond_it(void **state)
{
    (void)state;
    struct price price = tiered();
    assert_int_equal(price_cost(&price, &(struct usage){.input = 200000}), 600000000);
    assert_int_equal(price_cost(&price, &(struct usage){.input = 200001}), 1200006000);
    /* cached tokens are prompt tokens: they lift the whole request into the tier */
    assert_int_equal(price_cost(&price, &(struct usage){.input = 1, .cache_read = 200000}),
                     6000 + 120000000);
    assert_int_equal(
        price_cost(&price, &(struct usage){.input = 200000, .cache_write_1h = 1, .output = 1}),
        1200000000 + 7500 + 22500);
}

static void test_a_tier_without_an_output_price_keeps_the_base_one(void **state)
{
    (void)state;
    struct price price = tiered();
    assert_int_equal(price_cost(&price, &(struct usage){.input = 400001, .output = 1}),
                     INT64_C(400001) * 9000 + 15000);
    /* but cache reads fall back inside the tier, to its input price */
    assert_int_equal(price_cost(&price, &(struct usage){.cache_read = 400001}),
                     INT64_C(400001) * 9000);
}

static void test_a_cost_is_rounded_once_and_half_up(void **state)
{
    (void)state;
    struct price price = {.base = {.input = 300000,
                                   .output = 200000,
                                   .cache_read = NOT_STATED,
                                   .cache_write_5m = NOT_STATED,
                                   .cache_write_1h = NOT_STATED,
                                   .reasoning = NOT_STATED}};
    /* 0.3 + 0.2 = 0.5 -> 1; rounded line by line it would be 0 */
    assert_int_equal(price_cost(&price, &(struct usage){.input = 1, .output = 1}), 1);
    assert_int_equal(price_cost(&price, &(struct usage){.input = 1}), 0);
    assert_int_equal(price_bound(&price, 1, 0), 1);
    assert_int_equal(price_bound(&price, 0, 0), 0);
}

static void test_a_request_may_have_a_price_of_its_own(void **state)
{
    (void)state;
    struct price price = gpt_4o_mini();
    price.per_request_nusd = 5000000;
    assert_int_equal(price_cost(&price, &(struct usage){.input = 1}), 5000150);
    assert_int_equal(price_bound(&price, 1, 1), 5000750);
}

static void test_a_bound_is_the_dearest_tier_the_prompt_may_reach(void **state)
{
    (void)state;
    struct price price = tiered();
    /* a cache write of one hour is the dearest prompt line */
    assert_int_equal(price_bound(&price, 1000, 10), 1000 * 6000 + 10 * 15000);
    assert_int_equal(price_bound(&price, 200000, 0), INT64_C(200000) * 6000);
    assert_int_equal(price_bound(&price, 200001, 1), INT64_C(200001) * 7500 + 22500);
    assert_int_equal(price_bound(&price, 400001, 1), INT64_C(400001) * 9000 + 22500);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static void test_no_answer_within_a_bound_costs_more_than_it(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int i = 0; i < 20000; i++) {
        struct price price = i % 2 ? tiered() : gpt_4o_mini();
        price.per_request_nusd = (int64_t)(next_random(&seed) % 1000);
        struct usage u = {.input = (int64_t)(next_random(&seed) % 300000),
                          .cache_read = (int64_t)(next_random(&seed) % 200000),
                          .cache_write_5m = (int64_t)(next_random(&seed) % 1000),
                          .cache_write_1h = (int64_t)(next_random(&seed) % 1000),
                          .output = (int64_t)(next_random(&seed) % 5000),
                          .reasoning = (int64_t)(next_random(&seed) % 5000)};
        assert_true(price_cost(&price, &u) <=
                    price_bound(&price, usage_prompt(&u), usage_completion(&u)));
    }
}

static void test_sums_that_do_not_fit_stop_at_the_largest_number(void **state)
{
    (void)state;
    struct price price = {
        .base = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
        .per_request_nusd = INT64_MAX};
    struct usage all = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, 0, true};
    assert_int_equal(price_cost(&price, &all), INT64_MAX);
    assert_int_equal(price_bound(&price, INT64_MAX, INT64_MAX), INT64_MAX);
    struct price cheap = {.base = {.output = 600, .reasoning = -1}};
    assert_int_equal(price_cost(&cheap, &(struct usage){.output = INT64_MAX}),
                     INT64_C(5534023222112865)); /* (2^63 - 1) * 600 / 10^6, half up: fits */
}

static void test_flat_and_free(void **state)
{
    (void)state;
    struct price flat = price_flat(2000000); /* 0.002 USD per 1k */
    assert_int_equal(price_cost(&flat, &(struct usage){.input = 1000, .output = 1000}), 4000000);
    assert_int_equal(price_cost(&flat, &(struct usage){.cache_read = 1000}), 2000000);
    assert_int_equal(price_flat(INT64_MAX).base.input, INT64_MAX);
    struct price is_free = {.is_free = true, .per_request_nusd = 5};
    assert_int_equal(price_cost(&is_free, &(struct usage){.input = 1000}), 0);
    assert_int_equal(price_bound(&is_free, 1000, 1000), 0);
}

/* Per million: input 3, read 0.3, writes 3.75 and 6. */
static void test_what_a_prompt_cache_saves(void **state)
{
    (void)state;
    struct price price = tiered();
    static const struct {
        struct usage usage;
        int64_t saved_nusd;
    } rows[] = {
        {{.input = 1000, .output = 1000}, 0},
        {{.cache_read = 1000}, 2700000},
        {{.cache_write_5m = 1000}, -750000},
        {{.cache_write_1h = 1000}, -3000000},
        {{.input = 5, .cache_read = 1000, .cache_write_5m = 1000, .output = 7}, 1950000},
        {{.input = 150000, .cache_read = 60000}, INT64_C(60000) * 5400}, /* the tier's 6 and 0.6 */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(price_prompt_cache_saved(&price, &rows[i].usage), rows[i].saved_nusd);
    }
    struct price flat = price_flat(2000000); /* no price of its own for reads: nothing is saved */
    assert_int_equal(price_prompt_cache_saved(&flat, &(struct usage){.cache_read = 1000}), 0);
    struct usage absurd = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, 0, 0, 0, true};
    assert_int_equal(price_prompt_cache_saved(&price, &absurd), 0); /* both are the largest */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt_4o_mini_worked_examples),
        cmocka_unit_test(test_a_tier_counts_from_the_first_token_beyond_it),
        cmocka_unit_test(test_a_tier_without_an_output_price_keeps_the_base_one),
        cmocka_unit_test(test_a_cost_is_rounded_once_and_half_up),
        cmocka_unit_test(test_a_request_may_have_a_price_of_its_own),
        cmocka_unit_test(test_a_bound_is_the_dearest_tier_the_prompt_may_reach),
        cmocka_unit_test(test_no_answer_within_a_bound_costs_more_than_it),
        cmocka_unit_test(test_sums_that_do_not_fit_stop_at_the_largest_number),
        cmocka_unit_test(test_flat_and_free),
        cmocka_unit_test(test_what_a_prompt_cache_saves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
