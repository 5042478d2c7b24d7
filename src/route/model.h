/* route/model.h -- what is known of a model at a provider, and the embedded catalogue that knows
 * it.
 */
#ifndef ROUTE_MODEL_H
#define ROUTE_MODEL_H

#include "chat/price.h"
#include "dialect/dialect.h"

enum route_price_source {
    ROUTE_PRICE_UNKNOWN = 0, /* and the policy is to deny: a hard budget refuses */
    ROUTE_PRICE_CATALOGUE,
    ROUTE_PRICE_CONFIGURED, /* an override */
    ROUTE_PRICE_FREE,       /* a local model */
    ROUTE_PRICE_FLAT,       /* unknown, billed at the provider's flat rate */
    ROUTE_PRICE_ZERO        /* unknown, and the policy is to bill nothing */
};

enum route_mode {
    ROUTE_MODE_CHAT = 0,
    ROUTE_MODE_COMPLETION,
    ROUTE_MODE_RESPONSES,
    ROUTE_MODE_EMBEDDING,
    ROUTE_MODE_MODERATION
};

/* What is known of a model at a provider. */
struct route_model {
    struct price price;
    enum route_price_source price_source; /* for the counter of price lookups */
    bool is_price_known;                  /* catalogue, configured or free */
    bool is_listed;                       /* the catalogue knows it; mode says something */
    bool is_family; /* known only by another date or version of the same name */
    bool is_reasoning;
    enum route_mode mode;
    int64_t context_max_tokens; /* -1 unknown */
    int64_t output_max_tokens;  /* -1 unknown */
    struct dialect_profile profile;
};

/* Facts of a model as a provider prices it, by its name, without "models/", or by
 * another date or version of the same name (is_family): the undated one, else the dearest dated
 * one; never by a mere prefix. False: not listed. profile is left zeroed. */
bool catalogue_find(struct slice provider, struct slice model, struct route_model *out);
struct slice catalogue_date(void);
void catalogue_each(void (*fn)(void *ctx, struct slice provider, struct slice model,
                               const struct route_model *facts),
                    void *ctx);

#endif
