/* chat/price.h -- what tokens cost: prices of a model, and usage x price.
 *
 * Prices are nano-USD per million tokens (core/money.h); -1 means the catalogue states none, and
 * the line falls back: cache_read, cache_write -> input; cache_write_1h -> cache_write_5m;
 * reasoning -> output; a tier's input and output -> the base's. Sums are made in 128 bits and
 * rounded once: half up to settle, up to reserve.
 */
#ifndef CHAT_PRICE_H
#define CHAT_PRICE_H

#include "chat/usage.h"

enum { PRICE_TIERS_MAX = 3 };

struct price_rates {
    int64_t input, output, cache_read, cache_write_5m, cache_write_1h,
        reasoning; /* nano-USD per Mtok or -1 */
};

/* From the first prompt token beyond above_prompt_tokens the whole request has these rates. */
struct price_tier {
    int64_t above_prompt_tokens;
    struct price_rates rates;
};

struct price {
    struct price_rates base;
    size_t tier_count;
    struct price_tier tiers[PRICE_TIERS_MAX]; /* ascending by above_prompt_tokens */
    int64_t per_request_nusd;                 /* 0: none */
    bool is_free;                             /* known to cost nothing (a local model) */
};

/* Cost of a finished answer. Tokens of total_reported that no other member names are billed as
 * reasoning. */
int64_t price_cost(const struct price *price, const struct usage *usage) NONNULL;
/* What the provider's prompt cache made the answer cheaper: its reads at the price of plain input,
 * less what its writes cost more; negative where the writes outweigh. */
int64_t price_prompt_cache_saved(const struct price *price, const struct usage *usage) NONNULL;
/* Upper bound before the call: dearest of every tier the prompt may reach, cache writes included;
 * rounded up. */
int64_t price_bound(const struct price *price, int64_t prompt_max_tokens, int64_t output_max_tokens)
    NONNULL;
/* A flat price for both directions, from OPENAI_COST_PER_1K_TOKENS and the like. */
struct price price_flat(int64_t nusd_per_1k_tokens);

#endif
