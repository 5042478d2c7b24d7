/* route/catalogue_data.h -- the tables that tools/embed_catalogue.py makes of the catalogue.
 *
 * Providers are sorted by name, and so are a provider's rows, which end where the next one's begin
 * (one sentinel more than catalogue_provider_count). Names are pieces of catalogue_names.
 */
#ifndef ROUTE_CATALOGUE_DATA_H
#define ROUTE_CATALOGUE_DATA_H

#include "chat/price.h"

enum catalogue_flag {
    CATALOGUE_REASONING = 1,
    CATALOGUE_TOOLS = 2,
    CATALOGUE_VISION = 4,
    CATALOGUE_SCHEMA = 8
};

struct catalogue_row {
    int64_t per_request_nusd;
    uint32_t name_at;
    uint32_t base;                                 /* index into catalogue_rates */
    int32_t context_max_tokens, output_max_tokens; /* -1: unknown */
    uint32_t tiers_at;
    uint16_t name_len;
    uint8_t tier_count;
    uint8_t mode;  /* enum route_mode */
    uint8_t flags; /* enum catalogue_flag bits */
};

struct catalogue_tier {
    int64_t above_prompt_tokens;
    uint32_t rates;
};

struct catalogue_provider {
    uint32_t name_at, name_len;
    uint32_t rows_at;
};

extern const char catalogue_as_of[];
extern const char catalogue_names[];
extern const struct price_rates catalogue_rates[];
extern const struct catalogue_tier catalogue_tiers[];
extern const struct catalogue_provider catalogue_providers[];
extern const size_t catalogue_provider_count;
extern const struct catalogue_row catalogue_rows[];

#endif
