/* The dearest a plan may come to, and the retry budget. */
#include "core/check.h"
#include "route/route.h"

#include <stdatomic.h>

/* Tokens of one target: -1 where nothing bounds them. */
struct extent {
    int64_t prompt, output; /* output: of one choice */
};

static int64_t output_of(const struct route_plan *plan, const struct route_model *facts,
                         const struct chat_ask *ask)
{
    if (ask->op == CHAT_OP_EMBEDDING || ask->op == CHAT_OP_MODERATION) {
        return 0;
    }
    if (ask->output_max_tokens >= 0) {
        return ask->output_max_tokens;
    }
    if (plan->output_cap_tokens >= 0) {
        return plan->output_cap_tokens;
    }
    return facts->output_max_tokens >= 0 ? facts->output_max_tokens : facts->context_max_tokens;
}

static struct extent extent_of(const struct route_plan *plan, const struct route_model *facts,
                               const struct chat_ask *ask)
{
    return (struct extent){.prompt = ask->prompt_max_tokens >= 0 ? ask->prompt_max_tokens
                                                                 : facts->context_max_tokens,
                           .output = output_of(plan, facts, ask)};
}

static int64_t times(int64_t tokens, int64_t choices)
{
    int64_t product;
    return i64_mul(tokens, i64_max(choices, 1), &product) ? product : INT64_MAX;
}

static bool costs_money(const struct price *price)
{
    const struct price_rates *r = &price->base;
    return !price->is_free &&
           (r->input > 0 || r->output > 0 || r->cache_read > 0 || r->cache_write_5m > 0 ||
            r->cache_write_1h > 0 || r->reasoning > 0 || price->tier_count > 0);
}

void route_bound(const struct route_plan *plan, const struct chat_ask *ask, struct route_bound *out)
{
    *out = (struct route_bound){0};
    bool is_output_open = false;
    if (ask->op == CHAT_OP_COUNT_TOKENS || ask->is_unbilled) { /* nobody bills it */
        return;
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct route_model *facts = &plan->targets[i].facts;
        struct extent x = extent_of(plan, facts, ask);
        bool is_open = x.prompt < 0 || x.output < 0;
        int64_t prompt = i64_max(x.prompt, 0);
        int64_t output = times(i64_max(x.output, 0), ask->choices);
        is_output_open |= x.output < 0;
        out->output_max_tokens = i64_max(out->output_max_tokens, x.output);
        out->tokens = i64_max(out->tokens, i64_add_sat(prompt, output));
        if (facts->price_source == ROUTE_PRICE_UNKNOWN) {
            out->is_unknown_price = true;
            continue;
        }
        out->is_unbounded |= is_open && costs_money(&facts->price);
        out->cost_nusd = i64_max(out->cost_nusd, price_bound(&facts->price, prompt, output));
    }
    if (is_output_open) {
        out->output_max_tokens = -1;
    }
}

enum { RETRY_COST_MILLI = 1000, RETRY_EARN_MILLI = 200, RETRY_BURST_MILLI = 10000 };

void retry_budget_earn(struct retry_budget *b)
{
    int64_t spent = atomic_load_explicit(&b->tokens_milli, memory_order_relaxed);
    while (spent > 0 && !atomic_compare_exchange_weak_explicit(
                            &b->tokens_milli, &spent, i64_max(spent - RETRY_EARN_MILLI, 0),
                            memory_order_relaxed, memory_order_relaxed)) {
    }
}

bool retry_budget_spend(struct retry_budget *b)
{
    int64_t spent = atomic_load_explicit(&b->tokens_milli, memory_order_relaxed);
    while (spent + RETRY_COST_MILLI <= RETRY_BURST_MILLI) {
        if (atomic_compare_exchange_weak_explicit(&b->tokens_milli, &spent,
                                                  spent + RETRY_COST_MILLI, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}
