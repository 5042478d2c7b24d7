/* core/metric.h -- Prometheus series: counted by workers without locks, summed by the scraper.
 *
 * A registry holds one shard a worker. A shard's numbers are written by its worker only, with
 * relaxed atomics, and read by whoever renders. Labelled numbers live in cells, found once an
 * exchange and then kept by the caller: a cell a (tenant, provider), a provider block a provider.
 * Cells, blocks and label texts live as long as the registry. The first METRIC tenants_max tenants
 * have a label of their own, all later ones share "other"; so do providers past
 * METRIC_PROVIDERS_MAX. Finding a cell that the shard has seen takes no lock and no memory.
 *
 * Families, their labels and help texts are rows of core/metrics.def.
 */
#ifndef CORE_METRIC_H
#define CORE_METRIC_H

#include "core/err.h"
#include "core/id.h"
#include "core/text.h"

#include <stdatomic.h>

enum { METRIC_PROVIDERS_MAX = 128, METRIC_BUCKETS_MAX = 16, METRIC_LABELS_MAX = 3 };

enum metric_family {
#define METRIC(id, kind, owner, name, labels, help) METRIC_##id,
#include "core/metrics.def"
#undef METRIC
    METRIC_FAMILY_COUNT
};

/* The same numbers as enum record_status (chat/record.h), from SUCCESS on. */
enum metric_status {
    METRIC_STATUS_SUCCESS = 1,
    METRIC_STATUS_CACHED,
    METRIC_STATUS_ERROR,
    METRIC_STATUS_REFUSED,
    METRIC_STATUS_CLIENT_GONE,
    METRIC_STATUS_UPSTREAM_CUT,
    METRIC_STATUS_CRASHED,
    METRIC_STATUS_COUNT
};

/* prompt and completion are totals; the others are parts of them. */
enum metric_token {
    METRIC_TOKEN_PROMPT = 0,
    METRIC_TOKEN_COMPLETION,
    METRIC_TOKEN_CACHE_READ,
    METRIC_TOKEN_CACHE_WRITE,
    METRIC_TOKEN_CACHE_WRITE_1H, /* part of CACHE_WRITE */
    METRIC_TOKEN_REASONING,
    METRIC_TOKEN_COUNT
};

/* The same numbers as enum health_outcome (upstream/health.h). */
enum metric_outcome {
    METRIC_OUTCOME_OK = 0,
    METRIC_OUTCOME_FAILED,
    METRIC_OUTCOME_LIMITED,
    METRIC_OUTCOME_REFUSED,
    METRIC_OUTCOME_CANCELLED,
    METRIC_OUTCOME_COUNT
};

enum metric_price {
    METRIC_PRICE_KNOWN = 0, /* catalogue or configured */
    METRIC_PRICE_FLAT,
    METRIC_PRICE_ZERO,
    METRIC_PRICE_UNKNOWN,
    METRIC_PRICE_COUNT
};

enum metric_auth { METRIC_AUTH_MISSING = 0, METRIC_AUTH_INVALID, METRIC_AUTH_COUNT };

enum metric_dropped {
    METRIC_DROPPED_LOG_LINES = 0, /* log_dropped(), by the callback */
    METRIC_DROPPED_OVERLOAD,      /* requests refused because the process is full */
    METRIC_DROPPED_RECORDS,       /* requests refused because the journal has no room */
    METRIC_DROPPED_CACHE_ENTRIES, /* answers too large to keep */
    METRIC_DROPPED_COUNT
};

/* One writer; a plain load, add and store, visible to readers without tearing. */
struct metric_count {
    _Atomic int64_t n;
};
static inline void metric_add(struct metric_count *c, int64_t n)
{
    int64_t was = atomic_load_explicit(&c->n, memory_order_relaxed);
    atomic_store_explicit(&c->n, was + n, memory_order_relaxed);
}

struct metric_histogram {
    struct metric_count buckets[METRIC_BUCKETS_MAX + 1]; /* not cumulative; the last is +Inf */
    struct metric_count sum_ns;
};

struct metric_cell {
    struct metric_count requests[METRIC_STATUS_COUNT];
    struct metric_count tokens[METRIC_TOKEN_COUNT];
    struct metric_count cost_nusd, cache_hits, rate_limited;
};

struct metric_provider {
    struct metric_count attempts[METRIC_OUTCOME_COUNT];
    struct metric_count active; /* +1, -1 */
    struct metric_histogram duration, first_token, overhead;
};

/* What has no label of tenant or provider. */
struct metric_totals {
    struct metric_count prices[METRIC_PRICE_COUNT];
    struct metric_count auth[METRIC_AUTH_COUNT];
    struct metric_count dropped[METRIC_DROPPED_COUNT];
    struct metric_count overruns;
};

struct metric_registry; /* one a process */
struct metric_shard;    /* one a worker; used by its thread only */

MUST_USE enum err metric_registry_new(size_t workers, size_t tenants_max,
                                      struct metric_registry **out);
void metric_registry_free(struct metric_registry *reg);
struct metric_shard *metric_shard(struct metric_registry *reg, size_t worker);

/* Never NULL: what cannot be allocated is counted in a cell of the shard that no page shows. tenant
 * zero: label "unknown". provider may be empty ("none"). */
struct metric_cell *metric_cell(struct metric_shard *s, const struct id *tenant,
                                struct slice provider) NONNULL;
struct metric_provider *metric_provider(struct metric_shard *s, struct slice provider) NONNULL;
struct metric_totals *metric_totals(struct metric_shard *s) NONNULL;

/* Duration and first token have buckets from 5 ms to 5 min, overhead from 10 us to 1 s. */
void metric_observe_duration(struct metric_provider *p, int64_t ns) NONNULL;
void metric_observe_first_token(struct metric_provider *p, int64_t ns) NONNULL;
void metric_observe_overhead(struct metric_provider *p, int64_t ns) NONNULL;

/* The page being written. */
struct metric_page;
/* One sample of a family; labels: as many values as the row names. */
void metric_page_i64(struct metric_page *page, enum metric_family family,
                     const struct slice *labels, int64_t value);
/* nano-units as an exact decimal: nanoseconds give seconds, nano-USD give USD. */
void metric_page_nano(struct metric_page *page, enum metric_family family,
                      const struct slice *labels, int64_t nano);

/* Emits the samples of a family that others own; called once for every EXTRA family and for
 * DROPPED. May be NULL. */
typedef void (*metric_extra_fn)(void *ctx, struct metric_page *page, enum metric_family family);

/* The whole page (text/plain; version=0.0.4) into out, which should be growing. Any thread. */
void metric_render(struct metric_registry *reg, struct text *out, metric_extra_fn extra, void *ctx);

#endif
