/* Tests of route/bound.c: what a request may cost at most, and how often it may be retried. */
#include "route/route.h"
#include "support/unit.h"

#include <pthread.h>

#define UNKNOWN -1

struct bound_case {
    const char *what;
    int64_t context, output; /* of the model */
    int64_t cap;             /* of the entry */
    int64_t prompt_max, output_max, choices;
    enum chat_operation op;
    enum route_price_source source;
    int64_t cost_nusd, tokens, assumed;
    bool is_unbounded, is_unknown_price;
};

/* 1,000 nano-USD a prompt token, 2,000 an output token. */
static const struct price thousand = {
    .base = {INT64_C(1000000000), INT64_C(2000000000), -1, -1, -1, -1}};

static const struct price nothing;

static const struct bound_case cases[] = {
    {"the client's limit", 8000, 4000, -1, 100, 50, 1, CHAT_OP_CHAT, ROUTE_PRICE_CATALOGUE, 200000,
     150, 50, false, false},
    {"times its choices", 8000, 4000, -1, 100, 50, 3, CHAT_OP_CHAT, ROUTE_PRICE_CATALOGUE, 400000,
     250, 50, false, false},
    {"the client's limit goes before a cap", 8000, 4000, 10, 100, 50, 1, CHAT_OP_CHAT,
     ROUTE_PRICE_CATALOGUE, 200000, 150, 50, false, false},
    {"a cap", 8000, 4000, 10, 100, UNKNOWN, 1, CHAT_OP_CHAT, ROUTE_PRICE_CATALOGUE, 120000, 110, 10,
     false, false},
    {"the model's maximum", 8000, 4000, -1, 100, UNKNOWN, 1, CHAT_OP_CHAT, ROUTE_PRICE_CATALOGUE,
     8100000, 4100, 4000, false, false},
    {"the context window", 8000, UNKNOWN, -1, 100, UNKNOWN, 1, CHAT_OP_CHAT, ROUTE_PRICE_CATALOGUE,
     16100000, 8100, 8000, false, false},
    {"nothing known", UNKNOWN, UNKNOWN, -1, 100, UNKNOWN, 1, CHAT_OP_CHAT, ROUTE_PRICE_CATALOGUE,
     100000, 100, -1, true, false},
    {"input that bytes do not bound", 8000, 4000, -1, UNKNOWN, 50, 1, CHAT_OP_CHAT,
     ROUTE_PRICE_CATALOGUE, 8100000, 8050, 50, false, false},
    {"and no window", UNKNOWN, 4000, -1, UNKNOWN, 50, 1, CHAT_OP_CHAT, ROUTE_PRICE_CATALOGUE,
     100000, 50, 50, true, false},
    {"embeddings have no output", UNKNOWN, UNKNOWN, -1, 100, UNKNOWN, 1, CHAT_OP_EMBEDDING,
     ROUTE_PRICE_CATALOGUE, 100000, 100, 0, false, false},
    {"an unknown price", 8000, 4000, -1, 100, 50, 1, CHAT_OP_CHAT, ROUTE_PRICE_UNKNOWN, 0, 150, 50,
     false, true},
    {"a flat price is a price", 8000, 4000, -1, 100, 50, 1, CHAT_OP_CHAT, ROUTE_PRICE_FLAT, 200000,
     150, 50, false, false},
    {"overflow stops", 8000, 4000, -1, INT64_MAX, INT64_MAX, INT64_MAX, CHAT_OP_CHAT,
     ROUTE_PRICE_CATALOGUE, INT64_MAX, INT64_MAX, INT64_MAX, false, false},
};

static void test_a_bound_by_what_is_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct bound_case *c = &cases[i];
        struct route_target target = {
            .provider = NULL,
            .facts = {.price = c->source == ROUTE_PRICE_UNKNOWN ? nothing : thousand,
                      .price_source = c->source,
                      .context_max_tokens = c->context,
                      .output_max_tokens = c->output}};
        struct route_plan plan = {.targets = &target, .count = 1, .output_cap_tokens = c->cap};
        struct chat_ask ask = {.op = c->op,
                               .prompt_max_tokens = c->prompt_max,
                               .output_max_tokens = c->output_max,
                               .choices = c->choices};
        struct route_bound b;
        route_bound(&plan, &ask, &b);
        if (b.cost_nusd != c->cost_nusd || b.tokens != c->tokens ||
            b.output_max_tokens != c->assumed || b.is_unbounded != c->is_unbounded ||
            b.is_unknown_price != c->is_unknown_price) {
            fail_msg("%s: cost %lld, tokens %lld, output %lld, unbounded %d, unknown %d", c->what,
                     (long long)b.cost_nusd, (long long)b.tokens, (long long)b.output_max_tokens,
                     b.is_unbounded, b.is_unknown_price);
        }
    }
}

static void test_the_dearest_target_counts_and_free_ones_need_no_bound(void **state)
{
    (void)state;
    struct route_target targets[] = {{.facts = {.price = thousand,
                                                .price_source = ROUTE_PRICE_CATALOGUE,
                                                .context_max_tokens = 8000,
                                                .output_max_tokens = 100}},
                                     {.facts = {.price = {.base = {5, 5, -1, -1, -1, -1}},
                                                .price_source = ROUTE_PRICE_CATALOGUE,
                                                .context_max_tokens = 8000,
                                                .output_max_tokens = 4000}},
                                     {.facts = {.price = {.is_free = true},
                                                .price_source = ROUTE_PRICE_FREE,
                                                .context_max_tokens = -1,
                                                .output_max_tokens = -1}}};
    struct route_plan plan = {.targets = targets, .count = 3, .output_cap_tokens = -1};
    struct chat_ask ask = {.prompt_max_tokens = 100, .output_max_tokens = -1, .choices = 1};
    struct route_bound b;
    route_bound(&plan, &ask, &b);
    assert_int_equal(b.cost_nusd, 100 * 1000 + 100 * 2000);
    assert_int_equal(b.tokens, 4100);
    assert_false(b.is_unbounded);
    assert_int_equal(b.output_max_tokens, -1); /* the free one may go on for ever */
}

static void test_one_retry_is_earned_by_five_calls(void **state)
{
    (void)state;
    struct retry_budget b = {0};
    for (int i = 0; i < 10; i++) {
        assert_true(retry_budget_spend(&b));
    }
    assert_false(retry_budget_spend(&b));
    for (int i = 0; i < 4; i++) {
        retry_budget_earn(&b);
        assert_false(retry_budget_spend(&b));
    }
    retry_budget_earn(&b);
    assert_true(retry_budget_spend(&b));
    assert_false(retry_budget_spend(&b));
    for (int i = 0; i < 1000; i++) { /* earned back once, not hoarded */
        retry_budget_earn(&b);
    }
    for (int i = 0; i < 10; i++) {
        assert_true(retry_budget_spend(&b));
    }
    assert_false(retry_budget_spend(&b));
}

struct spender {
    struct retry_budget *budget;
    int spent;
};

static void *spend(void *ctx)
{
    struct spender *s = ctx;
    for (int i = 0; i < 5000; i++) {
        retry_budget_earn(s->budget);
        s->spent += retry_budget_spend(s->budget) ? 1 : 0;
    }
    return NULL;
}

static void test_threads_never_spend_more_than_the_share(void **state)
{
    (void)state;
    struct retry_budget budget = {0};
    struct spender spenders[4];
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        spenders[i] = (struct spender){.budget = &budget};
        assert_int_equal(pthread_create(&threads[i], NULL, spend, &spenders[i]), 0);
    }
    int spent = 0;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        spent += spenders[i].spent;
    }
    assert_in_range(spent, 1, 4 * 5000 / 5 + 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bound_by_what_is_known),
        cmocka_unit_test(test_the_dearest_target_counts_and_free_ones_need_no_bound),
        cmocka_unit_test(test_one_retry_is_earned_by_five_calls),
        cmocka_unit_test(test_threads_never_spend_more_than_the_share)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
