/* store/usage_group.h -- inside of store/: sums a batch in memory, so that each daily row and each
 * period total is written once a batch, not once a request.
 *
 * Groups point into the records of the batch (borrowed), so they are reset before it ends. The
 * tables grow to the largest batch seen and stay.
 */
#ifndef STORE_USAGE_GROUP_H
#define STORE_USAGE_GROUP_H

#include "store/store.h"

/* One row of usage_daily. */
struct usage_day {
    const struct usage_record *first; /* tenant, key, provider and model are the same for all */
    int64_t day;                      /* since 1970-01-01 */
    int64_t requests, errors, refused;
    int64_t prompt_tokens, completion_tokens, total_tokens;
    int64_t cost_nusd, saved_nusd, latency_us;
    int64_t cache_read, cache_write_5m, cache_write_1h; /* tokens; not those of our cache's hits */
};

/* One tenant's or key's spending on one day. */
struct usage_node {
    struct id node;
    int64_t day;
    int64_t cost_nusd;
};

struct usage_groups {
    struct usage_day *days;
    struct usage_node *nodes;
    size_t day_count, node_count;
    size_t cap;      /* of days; nodes has twice that */
    uint32_t *slots; /* hash to index + 1; twice as many as nodes, a power of two */
    size_t slot_mask;
    size_t last_day;   /* neighbours are often of one group ... */
    int64_t last_kind; /* ... and then of one kind (usage_kind.h), which is quicker to see */
};

/* Makes room for records of a batch. */
MUST_USE enum err usage_groups_begin(struct usage_groups *g, size_t records);
/* kind: the record's, or 0. sign is 1, or -1 to take a record back. r stays until the groups were
 * written. */
void usage_groups_add(struct usage_groups *g, const struct usage_record *r, int64_t kind, int sign);
/* Makes nodes of days, once the batch is in. */
void usage_groups_sum_nodes(struct usage_groups *g);
void usage_groups_deinit(struct usage_groups *g);

#endif
