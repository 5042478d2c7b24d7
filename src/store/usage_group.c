#include "store/usage_group.h"

#include "core/clock.h"

#include <assert.h>

enum { GROUPS_MIN = 64 };

void usage_groups_deinit(struct usage_groups *g)
{
    free(g->days);
    free(g->nodes);
    free(g->slots);
    *g = (struct usage_groups){0};
}

static enum err grow(struct usage_groups *g, size_t records)
{
    size_t cap = GROUPS_MIN;
    while (cap < records) {
        cap *= 2;
    }
    usage_groups_deinit(g);
    g->days = calloc(cap, sizeof(*g->days));
    g->nodes = calloc(cap * 2, sizeof(*g->nodes));
    g->slots = calloc(cap * 8, sizeof(*g->slots)); /* days and nodes, each at most half full */
    if (!g->days || !g->nodes || !g->slots) {
        usage_groups_deinit(g);
        return E_NOMEM;
    }
    g->cap = cap;
    g->slot_mask = cap * 4 - 1;
    return OK;
}

enum err usage_groups_begin(struct usage_groups *g, size_t records)
{
    assert(records <= UINT32_MAX / 16);
    if (records > g->cap || g->cap == 0) {
        return grow(g, records);
    }
    if (g->day_count) {
        memset(g->slots, 0, (g->slot_mask + 1) * 2 * sizeof(*g->slots));
    }
    g->day_count = g->node_count = g->last_day = 0;
    g->last_kind = 0;
    return OK;
}

static uint64_t mix(uint64_t h, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        h = (h ^ (uint8_t)s.ptr[i]) * UINT64_C(0x100000001B3);
    }
    return h;
}

static bool is_same_group(const struct usage_day *d, const struct usage_record *r, int64_t day)
{
    const struct usage_record *f = d->first;
    return d->day == day && id_eq(f->key, r->key) && id_eq(f->tenant, r->tenant) &&
           slice_eq(f->model, r->model) && slice_eq(f->provider, r->provider);
}

/* Days use the first half of the slots, nodes the second. */
static size_t find_day(struct usage_groups *g, const struct usage_record *r, int64_t day)
{
    uint64_t h =
        mix(mix(id_hash(r->key) ^ id_hash(r->tenant) ^ (uint64_t)day, r->provider), r->model);
    for (size_t at = (size_t)(h ^ (h >> 29)) & g->slot_mask;; at = (at + 1) & g->slot_mask) {
        if (!g->slots[at]) {
            assert(g->day_count < g->cap);
            g->days[g->day_count] = (struct usage_day){.first = r, .day = day};
            g->slots[at] = (uint32_t)++g->day_count;
            return g->day_count - 1;
        }
        if (is_same_group(&g->days[g->slots[at] - 1], r, day)) {
            return g->slots[at] - 1;
        }
    }
}

static void add_node(struct usage_groups *g, struct id node, int64_t day, int64_t cost_nusd)
{
    uint32_t *slots = g->slots + g->slot_mask + 1;
    uint64_t h = id_hash(node) ^ (uint64_t)day;
    for (size_t at = (size_t)(h ^ (h >> 29)) & g->slot_mask;; at = (at + 1) & g->slot_mask) {
        if (!slots[at]) {
            assert(g->node_count < g->cap * 2);
            g->nodes[g->node_count] = (struct usage_node){node, day, cost_nusd};
            slots[at] = (uint32_t)++g->node_count;
            return;
        }
        struct usage_node *n = &g->nodes[slots[at] - 1];
        if (n->day == day && id_eq(n->node, node)) {
            n->cost_nusd += cost_nusd;
            return;
        }
    }
}

void usage_groups_add(struct usage_groups *g, const struct usage_record *r, int64_t kind, int sign)
{
    int64_t day = clock_days(r->admitted_unix_ns);
    if (!kind || kind != g->last_kind || g->days[g->last_day].day != day) {
        g->last_day = find_day(g, r, day);
        g->last_kind = kind;
    }
    struct usage_day *d = &g->days[g->last_day];
    int64_t count = r->count * sign;
    if (r->status == RECORD_REFUSED) {
        d->refused += count;
    } else {
        d->requests += count;
        d->errors += r->status == RECORD_SUCCESS || r->status == RECORD_CACHED ? 0 : count;
        d->latency_us += r->latency_ns / NS_PER_US * sign;
    }
    d->prompt_tokens += usage_prompt(&r->usage) * sign;
    d->completion_tokens += usage_completion(&r->usage) * sign;
    d->total_tokens += usage_total(&r->usage) * sign;
    d->cost_nusd += r->cost_nusd * sign;
    d->saved_nusd += r->saved_nusd * sign;
    if (r->status != RECORD_CACHED) { /* a hit repeats what its original used */
        d->cache_read += r->usage.cache_read * sign;
        d->cache_write_5m += r->usage.cache_write_5m * sign;
        d->cache_write_1h += r->usage.cache_write_1h * sign;
    }
}

void usage_groups_sum_nodes(struct usage_groups *g)
{
    for (size_t i = 0; i < g->day_count; i++) {
        const struct usage_day *d = &g->days[i];
        if (d->cost_nusd) { /* hits and refusals cost nothing */
            add_node(g, d->first->tenant, d->day, d->cost_nusd);
            add_node(g, d->first->key, d->day, d->cost_nusd);
        }
    }
}
