/* core/metric_inside.h -- what metric.c (counting) and metric_page.c (showing) share; nobody else
 * includes it. */
#ifndef CORE_METRIC_INSIDE_H
#define CORE_METRIC_INSIDE_H

#include "core/metric.h"

#include <pthread.h>

enum {
    TENANT_BUCKETS = 1024,   /* of the registry's set of named tenants; a power of two */
    CELL_BUCKETS_FIRST = 64, /* of a shard's own table; it doubles */
    PROVIDER_NAME_MAX = 128
};

/* A provider's name, known to all shards; never removed. */
struct provider_name {
    struct provider_name *_Atomic next;
    size_t index;
    size_t len;
    char text[PROVIDER_NAME_MAX];
};

struct tenant_name {
    struct tenant_name *_Atomic next; /* in its bucket */
    struct id id;
};

/* The (tenant, provider) pairs that have been seen by anyone; never removed. */
struct series {
    struct series *_Atomic next;
    struct id tenant;
    bool is_other; /* the shared label of tenants without one */
    const struct provider_name *provider;
    struct metric_cell *_Atomic cells[]; /* by worker */
};

/* A shard's own index; only its thread looks at it. */
struct cell_entry {
    struct metric_cell *cell; /* NULL: empty */
    struct id tenant;
    bool is_other;
    size_t provider;
};

struct metric_shard {
    struct metric_registry *reg; /* borrowed */
    size_t worker;
    struct cell_entry *entries; /* open addressing */
    size_t entry_cap, entry_count;
    struct metric_provider *_Atomic providers[METRIC_PROVIDERS_MAX]; /* by provider_name.index */
    struct metric_totals totals;
    struct metric_cell lost_cell; /* what could not be allocated */
    struct metric_provider lost_provider;
};

struct metric_registry {
    size_t worker_count;
    size_t tenants_max;
    pthread_mutex_t lock; /* of additions */
    struct provider_name *_Atomic providers;
    size_t provider_count;
    _Atomic size_t tenant_count;
    struct tenant_name *_Atomic tenants[TENANT_BUCKETS];
    struct series *_Atomic series;
    struct metric_shard *shards[];
};

#endif
