/* route/inside.h -- what the files of route/ share: the built table and the steps that make it. */
#ifndef ROUTE_INSIDE_H
#define ROUTE_INSIDE_H

#include "route/route.h"

enum {
    ROUTE_NAMES_MAX = 8192, /* names with a plan of their own */
    ROUTE_CATALOGUE_NAMES_MAX =
        2048, /* of those, the catalogue's; the rest is planned when asked */
    ROUTE_NAME_MAX_BYTES = 512
};

/* A name with a ready plan. Plans are immutable once the table is built. */
struct route_name {
    struct slice name;
    struct route_plan plan;
    struct slice owner; /* provider of the first target */
    bool is_entry;      /* of models: it goes before patterns */
};

struct route_pattern {
    struct slice glob; /* '*' stands for any bytes */
    struct route_plan plan;
    bool is_open; /* a target has no model of its own: it takes the asked name */
};

/* A provider as the table sees it. */
struct route_seat {
    const struct route_provider *provider;
    struct slice catalogue;       /* the catalogue's name of it; empty: none */
    struct health_node *any;      /* "provider/" and a star: targets only a request named */
    struct route_target fallback; /* its fallback model, if has_fallback */
    bool has_fallback;            /* it has one and stands in the fallback order */
};

struct route_table {
    uint64_t key[2];
    struct arena *arena; /* of the configuration version */
    struct health *health;
    enum unknown_price unknown_price;
    const struct price_override *overrides; /* borrowed */
    size_t override_count;

    struct route_seat seats[ROUTE_PROVIDERS_MAX]; /* in fallback order, then as configured */
    size_t seat_count;

    struct route_pattern *patterns; /* longest first */
    size_t pattern_count;

    struct route_name *names; /* in the order they were added */
    size_t name_count, name_cap;
    uint32_t *slots; /* open addressing: index into names + 1; 0 is empty */
    size_t slot_mask;
};

const struct route_name *table_find(const struct route_table *t, struct slice name);
const struct route_seat *table_seat(const struct route_table *t, struct slice provider);
/* Facts of a model at a provider: overrides, free, catalogue, then the unknown-price policy. */
void table_facts(const struct route_table *t, const struct route_seat *seat, struct slice model,
                 struct route_model *out);
/* Plans a name that no entry has: who lists or prices it, who passes it, the fallbacks. Targets are
 * made in a; named nodes only when is_static (while the table is built). E_NOT_FOUND: nobody. */
MUST_USE enum err table_plan(const struct route_table *t, struct arena *a, struct slice name,
                             bool is_static, struct route_plan *out);
/* Sets target->health; E_NOMEM. */
MUST_USE enum err table_name_health(const struct route_table *t, struct route_target *target);

bool catalogue_has_provider(struct slice provider);
size_t catalogue_count(struct slice provider);
struct slice catalogue_model(struct slice provider, size_t index, enum route_mode *out_mode);

#endif
