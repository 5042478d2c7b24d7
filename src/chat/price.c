#include "chat/price.h"

#include "core/check.h"

#include <assert.h>

__extension__ typedef __int128 wide; /* nano-USD times a million: one request's exact sum */

enum { PER_MTOK = 1000000, TOKENS_PER_1K_PRICE = 1000 };

/* Far more than INT64_MAX once divided, and so small that eight of them cannot overflow. */
#define LINE_MAX_VALUE ((wide)1 << 120)

static wide line(wide tokens, int64_t price_nusd_per_mtok)
{
    assert(price_nusd_per_mtok >= 0);
    if (tokens <= 0) {
        return 0;
    }
    wide product;
    bool is_over = __builtin_mul_overflow(tokens, (wide)price_nusd_per_mtok, &product);
    return is_over || product > LINE_MAX_VALUE ? LINE_MAX_VALUE : product;
}

static int64_t narrow(wide value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static int64_t stated_or(int64_t price, int64_t fallback)
{
    return price >= 0 ? price : fallback;
}

/* Every rate as a number: a tier's gaps are the base's input and output, then the lines fall back
 * as the header says. What no source states at all costs nothing. */
static struct price_rates rates_full(const struct price_rates *rates,
                                     const struct price_rates *base)
{
    struct price_rates full = *rates;
    full.input = stated_or(full.input, stated_or(base->input, 0));
    full.output = stated_or(full.output, stated_or(base->output, 0));
    full.cache_read = stated_or(full.cache_read, full.input);
    full.cache_write_5m = stated_or(full.cache_write_5m, full.input);
    full.cache_write_1h = stated_or(full.cache_write_1h, full.cache_write_5m);
    full.reasoning = stated_or(full.reasoning, full.output);
    return full;
}

static int64_t dearest_prompt_rate(const struct price_rates *full)
{
    int64_t dearest = full->input;
    dearest = full->cache_read > dearest ? full->cache_read : dearest;
    dearest = full->cache_write_5m > dearest ? full->cache_write_5m : dearest;
    return full->cache_write_1h > dearest ? full->cache_write_1h : dearest;
}

/* Tokens of the provider's own total that no line names are hidden thinking: they are billed as
 * reasoning, because that is what the providers who report this way do. */
static wide unnamed_tokens(const struct usage *u, wide prompt)
{
    return (wide)u->total_reported - prompt - u->output - u->reasoning;
}

int64_t price_cost(const struct price *price, const struct usage *usage)
{
    if (price->is_free) {
        return 0;
    }
    assert(price->tier_count <= PRICE_TIERS_MAX);
    wide prompt =
        (wide)usage->input + usage->cache_read + usage->cache_write_5m + usage->cache_write_1h;
    const struct price_rates *rates = &price->base;
    for (size_t i = 0; i < price->tier_count; i++) {
        if (prompt > price->tiers[i].above_prompt_tokens) {
            rates = &price->tiers[i].rates;
        }
    }
    struct price_rates full = rates_full(rates, &price->base);
    wide sum = line(usage->input, full.input) + line(usage->cache_read, full.cache_read) +
               line(usage->cache_write_5m, full.cache_write_5m) +
               line(usage->cache_write_1h, full.cache_write_1h) + line(usage->output, full.output) +
               line(usage->reasoning, full.reasoning) +
               line(unnamed_tokens(usage, prompt), full.reasoning) +
               (wide)price->per_request_nusd * PER_MTOK;
    return narrow((sum + PER_MTOK / 2) / PER_MTOK);
}

int64_t price_prompt_cache_saved(const struct price *price, const struct usage *usage)
{
    int64_t cached =
        i64_add_sat(usage->cache_read, i64_add_sat(usage->cache_write_5m, usage->cache_write_1h));
    if (cached == 0) {
        return 0;
    }
    struct usage plain = *usage;
    plain.input = i64_add_sat(plain.input, cached);
    plain.cache_read = plain.cache_write_5m = plain.cache_write_1h = 0;
    return price_cost(price, &plain) - price_cost(price, usage);
}

int64_t price_bound(const struct price *price, int64_t prompt_max_tokens, int64_t output_max_tokens)
{
    if (price->is_free) {
        return 0;
    }
    assert(price->tier_count <= PRICE_TIERS_MAX);
    struct price_rates full = rates_full(&price->base, &price->base);
    int64_t prompt_rate = dearest_prompt_rate(&full);
    int64_t output_rate = full.output > full.reasoning ? full.output : full.reasoning;
    for (size_t i = 0; i < price->tier_count; i++) {
        if (prompt_max_tokens > price->tiers[i].above_prompt_tokens) {
            full = rates_full(&price->tiers[i].rates, &price->base);
            int64_t prompt = dearest_prompt_rate(&full);
            prompt_rate = prompt > prompt_rate ? prompt : prompt_rate;
            output_rate = full.output > output_rate ? full.output : output_rate;
            output_rate = full.reasoning > output_rate ? full.reasoning : output_rate;
        }
    }
    wide sum = line(prompt_max_tokens, prompt_rate) + line(output_max_tokens, output_rate) +
               (wide)price->per_request_nusd * PER_MTOK;
    return narrow((sum + PER_MTOK - 1) / PER_MTOK);
}

struct price price_flat(int64_t nusd_per_1k_tokens)
{
    assert(nusd_per_1k_tokens >= 0);
    int64_t per_mtok;
    if (__builtin_mul_overflow(nusd_per_1k_tokens, TOKENS_PER_1K_PRICE, &per_mtok)) {
        per_mtok = INT64_MAX;
    }
    return (struct price){.base = {.input = per_mtok,
                                   .output = per_mtok,
                                   .cache_read = -1,
                                   .cache_write_5m = -1,
                                   .cache_write_1h = -1,
                                   .reasoning = -1}};
}
