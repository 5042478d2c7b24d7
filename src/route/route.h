/* route/route.h -- which targets may serve a model, and in which order. Pure functions over an
 * immutable table.
 *
 * A name is looked up as: an exact entry of models, a pattern of it (longest wins), a model that a
 * configured provider lists, "provider/model", the catalogue's family; then along the fallback
 * order through each provider's fallback model.
 *
 * An entry's targets are what it says. A name that a provider lists or the catalogue prices gets
 * that provider first (several: one tier each, in fallback order), then the fallback models of the
 * other providers. "provider/model" is that provider and nothing else. A name nobody knows goes to
 * the providers that pass unknown names (local), then to the fallback models. Known names have
 * their plan made when the table is built, so that a request costs one hash lookup.
 */
#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H

#include "chat/price.h"
#include "route/model.h"
#include "route/provider.h"
#include "upstream/health.h"

enum { ROUTE_PROVIDERS_MAX = 64, ROUTE_CANDIDATES_MAX = 16, ROUTE_TIERS_MAX = 8 };

struct route_target {
    const struct route_provider *provider;
    struct slice
        model; /* the provider's name for it; empty only after route_address() without one */
    int weight;
    int tier;
    struct route_model facts;
    struct health_node
        *health; /* "provider/model"; "provider/" + "*" where only the request named it */
};

struct route_table; /* immutable, one a configuration version */

enum unknown_price {
    UNKNOWN_PRICE_DEFAULT = 0,
    UNKNOWN_PRICE_DENY,
    UNKNOWN_PRICE_ZERO,
    UNKNOWN_PRICE_FLAT
};

struct route_table_conf {
    struct arena
        *arena; /* of the configuration version; everything is copied or borrowed from it */
    struct route_provider *providers; /* borrowed, stable */
    size_t provider_count;
    struct slice *fallback_order; /* provider names */
    size_t fallback_count;
    const struct route_entry_conf *entries; /* models: of the file */
    size_t entry_count;
    enum unknown_price unknown_price;
    struct health *health;
    const struct price_override *overrides; /* configured prices */
    size_t override_count;
};
struct route_target_conf {
    struct slice provider, model;
    int weight;
};
struct route_entry_conf {
    struct slice name; /* or pattern "claude-*" */
    size_t tier_count;
    size_t tier_sizes[ROUTE_TIERS_MAX];
    const struct route_target_conf *tiers[ROUTE_TIERS_MAX];
    int64_t output_cap_tokens; /* -1: none */
};
struct price_override {
    struct slice provider, model;
    struct price price;
};

/* out_why names the entry at fault (unknown provider, empty tier). */
MUST_USE enum err route_table_new(const struct route_table_conf *conf, struct route_table **out,
                                  struct slice *out_why);

struct route_plan {
    struct route_target *targets; /* in tier order; the table's own or in the arena: read only */
    size_t count;
    int64_t output_cap_tokens; /* configured cap of the entry; -1 */
    bool is_fallback;          /* found only through *_FALLBACK_MODEL */
};
/* E_NOT_FOUND: out_near holds up to three near names, comma-separated, for the message. */
MUST_USE enum err route_resolve(const struct route_table *t, struct arena *a, struct slice model,
                                struct route_plan *out, struct slice *out_near);

/* One provider and nothing else; model may be empty: the request names none. E_NOT_FOUND: out_near
 * holds near names of providers. */
MUST_USE enum err route_address(const struct route_table *t, struct arena *a, struct slice provider,
                                struct slice model, struct route_plan *out, struct slice *out_near);
/* In which dialect to speak to a target: dialect_choose() of what its provider speaks, but for
 * models that OpenAI serves by Responses alone, which a chat is translated for. */
const struct dialect *route_dialect(const struct route_target *target, const struct dialect *client,
                                    enum chat_operation op);
bool route_speaks(const struct route_provider *p, const struct dialect *d);
/* The i-th in fallback order; NULL: there are not so many. */
const struct route_provider *route_provider_at(const struct route_table *t, size_t i);
/* The first provider of a dialect, in fallback order; NULL: there is none. */
const struct route_provider *route_first(const struct route_table *t, const struct dialect *d);
/* Leaves only targets of providers that speak the dialect; E_NOT_FOUND: none is left. */
MUST_USE enum err route_narrow(struct arena *a, const struct dialect *d, struct route_plan *plan);

/* Whether there is anything to choose: targets that share a tier, or keys that share a target. */
bool route_is_free(const struct route_plan *plan);

/* The next target to try and its key: lowest tier with an admitted, untried target. Inside it:
 * - with an affinity, the one that this value ranks first: by weight over many values, always the
 *   same for one, as long as it is open. What breaks moves only its own values, and they come back
 *   with it. The same for its keys, which weigh alike.
 * - without (0), weighted power-of-two choice on in-flight and first-byte EWMA: two are drawn by
 *   weight, and the second is taken only where its load is clearly lower, so that weights hold
 *   while nothing is slow. Any healthy key.
 * Claims the breaker's trial. A tried target counts as untried while every key tried there
 * is set aside and another key is not: the key failed, not the target. When
 * every untried target is set aside or open, the least bad one is tried once rather than refusing
 * outright (first attempt only). False: none left. */
struct route_choice {
    size_t target;
    size_t key; /* index, or SIZE_MAX: none */
};
struct route_tried {
    uint32_t targets;                    /* bit per target */
    uint16_t keys[ROUTE_CANDIDATES_MAX]; /* bit per key of it */
};
MUST_USE bool route_pick(const struct route_plan *plan, struct route_tried *tried,
                         uint64_t affinity, int64_t now_ns, uint64_t random,
                         struct route_choice *out);
/* Where an affinity's first try would go, without a claim: for explain. False: nothing is open. */
MUST_USE bool route_home(const struct route_plan *plan, uint64_t affinity, int64_t now_ns,
                         struct route_choice *out);

/* Dearest bound over the plan, for reserve. An output limit the client did not set is the entry's
 * cap (which is then sent upstream), the model's maximum, or its context window. */
struct route_bound {
    int64_t cost_nusd;
    int64_t tokens;
    int64_t output_max_tokens; /* assumed per choice; -1: no bound is known */
    bool is_unknown_price; /* of a target, with nothing to bill instead: a hard budget refuses */
    bool is_unbounded;     /* tokens of a target that costs money: a hard budget refuses */
};
void route_bound(const struct route_plan *plan, const struct chat_ask *ask,
                 struct route_bound *out);

/* A retry budget: at most 20 % of calls, and 10 at once, may be retries. One a process; lock-free;
 * zeroed is a full one. */
struct retry_budget {
    _Atomic int64_t tokens_milli; /* spent and not earned back */
};
void retry_budget_earn(struct retry_budget *b);
bool retry_budget_spend(struct retry_budget *b);

/* Names for GET /v1/models: exact entries, listed models, and what the catalogue prices at a
 * configured provider that lists none. */
void route_models(const struct route_table *t,
                  void (*fn)(void *ctx, struct slice model, struct slice owner), void *ctx);

#endif
