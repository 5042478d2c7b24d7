#include "core/metric.h"

#include "core/metric_inside.h"

#include <assert.h>
#include <pthread.h>

/* --- life --- */

enum err metric_registry_new(size_t workers, size_t tenants_max, struct metric_registry **out)
{
    assert(workers > 0);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers is meant */
    struct metric_registry *reg = calloc(1, sizeof(*reg) + workers * sizeof(reg->shards[0]));
    if (!reg) {
        return E_NOMEM;
    }
    reg->worker_count = workers;
    reg->tenants_max = tenants_max;
    (void)pthread_mutex_init(&reg->lock, NULL);
    for (size_t i = 0; i < workers; i++) {
        struct metric_shard *s = calloc(1, sizeof(*s));
        struct cell_entry *entries = calloc(CELL_BUCKETS_FIRST, sizeof(*entries));
        if (!s || !entries) {
            free(s);
            free(entries);
            metric_registry_free(reg);
            return E_NOMEM;
        }
        *s = (struct metric_shard){
            .reg = reg, .worker = i, .entries = entries, .entry_cap = CELL_BUCKETS_FIRST};
        reg->shards[i] = s;
    }
    *out = reg;
    return OK;
}

static void shard_free(struct metric_shard *s)
{
    for (size_t i = 0; s && i < METRIC_PROVIDERS_MAX; i++) {
        free(atomic_load_explicit(&s->providers[i], memory_order_relaxed));
    }
    if (s) {
        free(s->entries);
        free(s);
    }
}

void metric_registry_free(struct metric_registry *reg)
{
    if (!reg) {
        return;
    }
    for (size_t i = 0; i < reg->worker_count; i++) {
        shard_free(reg->shards[i]);
    }
    for (struct series *s = atomic_load(&reg->series), *next; s; s = next) {
        next = atomic_load(&s->next);
        for (size_t i = 0; i < reg->worker_count; i++) {
            free(atomic_load(&s->cells[i]));
        }
        free(s);
    }
    for (struct provider_name *p = atomic_load(&reg->providers), *next; p; p = next) {
        next = atomic_load(&p->next);
        free(p);
    }
    for (size_t i = 0; i < TENANT_BUCKETS; i++) {
        for (struct tenant_name *t = atomic_load(&reg->tenants[i]), *next; t; t = next) {
            next = atomic_load(&t->next);
            free(t);
        }
    }
    (void)pthread_mutex_destroy(&reg->lock);
    free(reg);
}

struct metric_shard *metric_shard(struct metric_registry *reg, size_t worker)
{
    assert(worker < reg->worker_count);
    return reg->shards[worker];
}

struct metric_totals *metric_totals(struct metric_shard *s)
{
    return &s->totals;
}

/* --- names, shared by the shards: append-only lists, read without a lock --- */

static const struct provider_name *provider_find(const struct metric_registry *reg,
                                                 struct slice name)
{
    struct provider_name *p = atomic_load_explicit(&reg->providers, memory_order_acquire);
    while (p && !(p->len == name.len && memcmp(p->text, name.ptr, name.len) == 0)) {
        p = atomic_load_explicit(&p->next, memory_order_acquire);
    }
    return p;
}

/* With the lock. */
static COLD const struct provider_name *provider_add(struct metric_registry *reg, struct slice name)
{
    const struct provider_name *known = provider_find(reg, name);
    if (known) {
        return known;
    }
    if (reg->provider_count >= METRIC_PROVIDERS_MAX - 1) { /* the last place is for the rest */
        name = SLICE("other");
        known = provider_find(reg, name);
        if (known) {
            return known;
        }
    }
    struct provider_name *p = calloc(1, sizeof(*p));
    if (!p) {
        return NULL;
    }
    p->index = reg->provider_count++;
    assert(p->index < METRIC_PROVIDERS_MAX);
    p->len = name.len;
    memcpy(p->text, name.ptr, name.len);
    atomic_init(&p->next, atomic_load_explicit(&reg->providers, memory_order_relaxed));
    atomic_store_explicit(&reg->providers, p, memory_order_release);
    return p;
}

/* The name as labels show it; NULL on no memory. */
static const struct provider_name *provider_name(struct metric_registry *reg, struct slice name)
{
    name = name.len ? slice_head(name, PROVIDER_NAME_MAX) : SLICE("none");
    const struct provider_name *p = provider_find(reg, name);
    if (!p) {
        (void)pthread_mutex_lock(&reg->lock);
        p = provider_add(reg, name);
        (void)pthread_mutex_unlock(&reg->lock);
    }
    return p;
}

static bool tenant_is_named(const struct metric_registry *reg, const struct id *tenant)
{
    size_t bucket = (size_t)(id_hash(*tenant) >> 32) % TENANT_BUCKETS;
    struct tenant_name *t = atomic_load_explicit(&reg->tenants[bucket], memory_order_acquire);
    while (t && !id_eq(t->id, *tenant)) {
        t = atomic_load_explicit(&t->next, memory_order_acquire);
    }
    return t != NULL;
}

/* With the lock: gives the tenant a label while there are some left; true when it has one. */
static bool tenant_add(struct metric_registry *reg, const struct id *tenant)
{
    if (id_is_zero(*tenant) || tenant_is_named(reg, tenant)) {
        return true;
    }
    size_t count = atomic_load_explicit(&reg->tenant_count, memory_order_relaxed);
    struct tenant_name *t = count < reg->tenants_max ? calloc(1, sizeof(*t)) : NULL;
    if (!t) {
        return false;
    }
    size_t bucket = (size_t)(id_hash(*tenant) >> 32) % TENANT_BUCKETS;
    t->id = *tenant;
    atomic_init(&t->next, atomic_load_explicit(&reg->tenants[bucket], memory_order_relaxed));
    atomic_store_explicit(&reg->tenants[bucket], t, memory_order_release);
    atomic_store_explicit(&reg->tenant_count, count + 1, memory_order_relaxed);
    return true;
}

/* With the lock. */
static struct series *series_get(struct metric_registry *reg, const struct id *tenant,
                                 bool is_other, const struct provider_name *provider)
{
    struct series *s = atomic_load_explicit(&reg->series, memory_order_relaxed);
    for (; s; s = atomic_load_explicit(&s->next, memory_order_relaxed)) {
        if (s->provider == provider && s->is_other == is_other && id_eq(s->tenant, *tenant)) {
            return s;
        }
    }
    s = calloc(1, sizeof(*s) + reg->worker_count * sizeof(s->cells[0]));
    if (s) {
        s->tenant = *tenant;
        s->is_other = is_other;
        s->provider = provider;
        atomic_init(&s->next, atomic_load_explicit(&reg->series, memory_order_relaxed));
        atomic_store_explicit(&reg->series, s, memory_order_release);
    }
    return s;
}

/* --- a shard's cells --- */

static struct cell_entry *entry_at(const struct metric_shard *s, const struct id *tenant,
                                   bool is_other, size_t provider)
{
    size_t mask = s->entry_cap - 1;
    uint64_t hash = id_hash(*tenant) ^ (provider * UINT64_C(0xD6E8FEB86659FD93));
    size_t i = (size_t)(hash >> 32) & mask;
    while (s->entries[i].cell &&
           !(s->entries[i].provider == provider && s->entries[i].is_other == is_other &&
             id_eq(s->entries[i].tenant, *tenant))) {
        i = (i + 1) & mask;
    }
    return &s->entries[i];
}

static COLD bool entries_grow(struct metric_shard *s)
{
    struct metric_shard bigger = *s;
    bigger.entry_cap = s->entry_cap * 2;
    bigger.entries = calloc(bigger.entry_cap, sizeof(*bigger.entries));
    if (!bigger.entries) {
        return false;
    }
    for (size_t i = 0; i < s->entry_cap; i++) {
        const struct cell_entry *e = &s->entries[i];
        if (e->cell) {
            *entry_at(&bigger, &e->tenant, e->is_other, e->provider) = *e;
        }
    }
    free(s->entries);
    s->entries = bigger.entries;
    s->entry_cap = bigger.entry_cap;
    return true;
}

/* First time in this shard: takes the registry's lock once. */
static COLD struct metric_cell *cell_add_slow(struct metric_shard *s, const struct id *tenant,
                                              bool is_other, const struct provider_name *provider)
{
    struct metric_registry *reg = s->reg;
    if (s->entry_count * 4 >= s->entry_cap * 3 && !entries_grow(s)) {
        return &s->lost_cell;
    }
    (void)pthread_mutex_lock(&reg->lock);
    struct series *series = series_get(reg, tenant, is_other, provider);
    (void)pthread_mutex_unlock(&reg->lock);
    struct metric_cell *cell = series ? calloc(1, sizeof(*cell)) : NULL;
    if (!cell) {
        return &s->lost_cell;
    }
    assert(!atomic_load(&series->cells[s->worker]));
    atomic_store_explicit(&series->cells[s->worker], cell, memory_order_release);
    struct cell_entry *e = entry_at(s, tenant, is_other, provider->index);
    *e = (struct cell_entry){
        .cell = cell, .tenant = *tenant, .is_other = is_other, .provider = provider->index};
    s->entry_count++;
    return cell;
}

/* Not in this shard under its own name: it may be one of the tenants without a label. */
static COLD struct metric_cell *cell_slow(struct metric_shard *s, const struct id *tenant,
                                          const struct provider_name *provider)
{
    static const struct id other;
    struct metric_registry *reg = s->reg;
    bool has_label = id_is_zero(*tenant) || tenant_is_named(reg, tenant);
    if (!has_label &&
        atomic_load_explicit(&reg->tenant_count, memory_order_relaxed) < reg->tenants_max) {
        (void)pthread_mutex_lock(&reg->lock);
        has_label = tenant_add(reg, tenant);
        (void)pthread_mutex_unlock(&reg->lock);
    }
    const struct id *label = has_label ? tenant : &other;
    struct cell_entry *e = entry_at(s, label, !has_label, provider->index);
    return e->cell ? e->cell : cell_add_slow(s, label, !has_label, provider);
}

struct metric_cell *metric_cell(struct metric_shard *s, const struct id *tenant,
                                struct slice provider)
{
    const struct provider_name *name = provider_name(s->reg, provider);
    if (!name) {
        return &s->lost_cell;
    }
    struct cell_entry *e = entry_at(s, tenant, false, name->index);
    return e->cell ? e->cell : cell_slow(s, tenant, name);
}

struct metric_provider *metric_provider(struct metric_shard *s, struct slice provider)
{
    const struct provider_name *name = provider_name(s->reg, provider);
    if (!name) {
        return &s->lost_provider;
    }
    struct metric_provider *p =
        atomic_load_explicit(&s->providers[name->index], memory_order_relaxed);
    if (!p) {
        p = calloc(1, sizeof(*p));
        if (!p) {
            return &s->lost_provider;
        }
        atomic_store_explicit(&s->providers[name->index], p, memory_order_release);
    }
    return p;
}
