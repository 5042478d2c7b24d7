/* route/route.h -- which targets may serve a model, and in which order. Pure functions over an
 * immutable table.
 *
 * A name is looked up as: an exact entry of models, a pattern of it (longest wins), a model that a
 * configured provider lists, "provider/model", the catalogue's family; then along the fallback
 * order through each provider's fallback model.
 */
#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H

#include "chat/price.h"
#include "core/secret.h"
#include "dialect/dialect.h"
#include "upstream/attempt.h"
#include "upstream/health.h"

enum {
    ROUTE_PROVIDERS_MAX = 64,
    ROUTE_KEYS_MAX = 16,
    ROUTE_CANDIDATES_MAX = 16,
    ROUTE_TIERS_MAX = 8
};

struct route_key {
    struct secret secret;
    struct slice auth_headers; /* rendered once: dialect->render_auth(); in secret memory */
    struct secret auth_secret; /* owns auth_headers */
    struct health_node *health;
};

struct route_provider {
    struct slice name;
    const struct dialect *dialect;
    struct upstream_dest dest;
    struct slice base_path; /* "/v1" */
    struct route_key keys[ROUTE_KEYS_MAX];
    size_t key_count;            /* 0: no credential is sent */
    struct slice extra_headers;  /* configured lines, each with CRLF */
    struct slice head_prefix[4]; /* by chat_operation: "POST /v1/chat/completions HTTP/1.1\r\nhost:
                                    ...\r\n..." without credential and length */
    struct attempt_timeouts timeouts;
    struct slice fallback_model; /* *_FALLBACK_MODEL; empty: none */
    struct slice *models;        /* listed names; may be empty */
    size_t model_count;
    int64_t flat_nusd_per_1k_tokens; /* -1: none (OPENAI_COST_PER_1K_TOKENS) */
    bool is_free;                    /* local: unknown models cost 0 */
    bool passes_unknown;             /* serves any name (local servers) */
    bool refuses_stream_options;
    size_t index;
};

/* What is known of a model at a provider. */
struct route_model {
    struct price price;
    bool is_price_known;        /* catalogue or configured */
    int64_t context_max_tokens; /* -1 unknown */
    int64_t output_max_tokens;  /* -1 unknown */
    struct dialect_profile profile;
};

struct route_target {
    const struct route_provider *provider;
    struct slice model; /* the provider's name for it; empty in a pattern target: the asked name */
    int weight;
    int tier;
    struct route_model facts;
    struct health_node *health; /* "provider/model" */
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
    struct route_target *targets; /* arena; in tier order */
    size_t count;
    int64_t output_cap_tokens; /* configured cap of the entry; -1 */
    bool is_fallback;          /* found only through *_FALLBACK_MODEL */
};
/* E_NOT_FOUND: out_near holds up to three near names, comma-separated, for the message. */
MUST_USE enum err route_resolve(const struct route_table *t, struct arena *a, struct slice model,
                                struct route_plan *out, struct slice *out_near);

/* The next target to try and its key: lowest tier with an admitted, untried target; inside it
 * weighted power-of-two choice on in-flight and first-byte EWMA. Claims the breaker's trial. When
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
MUST_USE bool route_pick(const struct route_plan *plan, struct route_tried *tried, int64_t now_ns,
                         uint64_t random, struct route_choice *out);

/* Dearest bound over the plan, for reserve. E_NOT_FOUND: a price is unknown and policy is deny (or
 * no flat rate) -- then a hard budget refuses. out_output_tokens: what was assumed per choice. */
struct route_bound {
    int64_t cost_nusd;
    int64_t tokens;
    int64_t output_max_tokens;
    bool is_unknown_price;
    bool is_unbounded;
};
void route_bound(const struct route_plan *plan, const struct chat_ask *ask,
                 struct route_bound *out);

/* A retry budget: at most 20 % of calls (and 10 a second burst) may be retries. One a process;
 * lock-free. */
struct retry_budget {
    _Atomic int64_t tokens_milli;
};
void retry_budget_earn(struct retry_budget *b);
bool retry_budget_spend(struct retry_budget *b);

/* Names for GET /v1/models: exact entries and listed models; allowed filters (NULL: all). */
void route_models(const struct route_table *t,
                  void (*fn)(void *ctx, struct slice model, struct slice owner), void *ctx);

/* catalogue: facts of a model as a provider prices it. False: not listed. */
bool catalogue_find(struct slice provider, struct slice model, struct route_model *out);
struct slice catalogue_date(void);
void catalogue_each(void (*fn)(void *ctx, struct slice provider, struct slice model,
                               const struct route_model *facts),
                    void *ctx);

#endif
