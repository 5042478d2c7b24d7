/* gateway/directory.c -- the store's tenants and keys into the directory and the quota trees. */
#include "gateway/gateway.h"

#include <assert.h>

static struct quota_spec spec_of(const struct store_policy *p)
{
    _Static_assert((int)LIMIT_PERIODS == (int)BUDGET_PERIODS, "limit and store agree on periods");
    struct quota_spec spec = {.rate_per_min = p->rate_per_min,
                              .tokens_per_min = p->tokens_per_min,
                              .concurrent_max = p->concurrent_max,
                              .soft_budgets = p->soft_budgets};
    memcpy(spec.budget_nusd, p->budget_nusd, sizeof(spec.budget_nusd));
    return spec;
}

/* Tenants come in the order of their last change, so a child may come before its parent: then the
 * parent's place is made here, without limits until its own row follows. */
static struct quota_node *parent_of(struct gateway *g, const struct store_tenant *t)
{
    struct quota_spec unlimited = {.rate_per_min = -1, .tokens_per_min = -1, .concurrent_max = -1};
    struct quota_node *parent = id_is_zero(t->parent) ? NULL : limit_node_find(g->limit, t->parent);
    if (parent || id_is_zero(t->parent)) {
        return parent;
    }
    for (size_t i = 0; i < LIMIT_PERIODS; i++) {
        unlimited.budget_nusd[i] = -1;
    }
    return limit_node_put(g->limit, t->parent, NULL, &unlimited);
}

static void on_tenant(void *ctx, const struct store_tenant *t)
{
    struct gateway *g = ctx;
    struct quota_spec spec = spec_of(&t->policy);
    struct quota_node *parent = parent_of(g, t);
    if (!limit_node_put(g->limit, t->id, parent, &spec)) {
        log_event(g->log, LOG_ERROR, "out of memory for a tenant's limits");
    }
}

static void *on_key(void *ctx, const struct store_key *k)
{
    struct gateway *g = ctx;
    struct quota_spec spec = spec_of(&k->policy);
    spec.is_key = true;
    struct quota_node *tenant = limit_node_find(g->limit, k->tenant);
    return limit_node_put(g->limit, k->id, tenant, &spec);
}

struct directory_hooks gateway_directory_hooks(struct gateway *g)
{
    return (struct directory_hooks){.ctx = g, .on_tenant = on_tenant, .on_key = on_key};
}

static void put_tenant(void *ctx, const struct store_tenant *t)
{
    struct gateway *g = ctx;
    if (directory_put_tenant(g->directory, t) != OK) {
        log_event(g->log, LOG_ERROR, "a changed tenant could not be taken into the directory");
    }
}

static void put_key(void *ctx, const struct store_key *k)
{
    struct gateway *g = ctx;
    if (directory_put_key(g->directory, k) != OK) {
        log_event(g->log, LOG_ERROR, "a changed key could not be taken into the directory");
    }
}

void gateway_refresh_directory(struct gateway *g, struct store_db *db)
{
    int64_t seq = atomic_load(&g->directory_seq);
    if (store_directory_since(db, seq, put_tenant, put_key, g, &seq) == OK) {
        atomic_store(&g->directory_seq, seq);
    }
}

/* A node's own totals count for every ancestor too; keys are counted by their own rows, tenants by
 * theirs. */
static void restore_total(void *ctx, struct id node, enum budget_period period, int64_t number,
                          int64_t cost_nusd)
{
    struct gateway *g = ctx;
    struct quota_node *n = limit_node_find(g->limit, node);
    if (!n) {
        return; /* deleted since */
    }
    limit_restore_spent(n, (int)period, number, cost_nusd);
    struct quota_view view;
    limit_view(g->limit, n, &view);
    if (view.spec.is_key) {
        return; /* its tenant has a total of its own */
    }
    for (n = limit_node_parent(n); n; n = limit_node_parent(n)) {
        limit_restore_spent(n, (int)period, number, cost_nusd);
    }
}

static void restore_admission(void *ctx, const struct usage_record *r)
{
    struct gateway *g = ctx;
    if (r->status == RECORD_REFUSED) {
        return; /* refusals are not counted */
    }
    for (struct quota_node *n = limit_node_find(g->limit, r->key); n; n = limit_node_parent(n)) {
        limit_restore_admission(n, r->admitted_unix_ns, r->count, usage_total(&r->usage));
    }
}

enum err gateway_restore_limits(struct gateway *g, struct store_db *db)
{
    int64_t now = clock_unix_ns();
    enum err e = store_period_totals(db, now, restore_total, g);
    if (e == OK) {
        e = store_recent_admissions(db, now - NS_PER_MIN - LIMIT_SLOT_NS, restore_admission, g);
    }
    return e;
}
