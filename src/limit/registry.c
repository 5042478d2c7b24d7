#include "limit/registry.h"

#include <assert.h>
#include <stdlib.h>

enum { TABLE_FIRST_BITS = 6 };

struct registry_table {
    struct registry_table *older; /* owned; readers may still walk it */
    unsigned bits;
    _Atomic(struct quota_node *) slots[]; /* 1 << bits */
};

static struct registry_table *table_new(unsigned bits, struct registry_table *older)
{
    struct registry_table *t =
        calloc(1, sizeof(*t) + ((size_t)1 << bits) * sizeof(_Atomic(struct quota_node *)));
    if (t) {
        t->bits = bits;
        t->older = older;
    }
    return t;
}

static void table_insert(struct registry_table *t, struct quota_node *n)
{
    size_t mask = ((size_t)1 << t->bits) - 1;
    size_t i = (size_t)(id_hash(n->id) >> (64 - t->bits));
    while (atomic_load_explicit(&t->slots[i], memory_order_relaxed)) {
        i = (i + 1) & mask;
    }
    atomic_store_explicit(&t->slots[i], n, memory_order_release);
}

struct quota_node *limit_node_find(struct limit *l, struct id id)
{
    struct registry_table *t = atomic_load_explicit(&l->table, memory_order_acquire);
    size_t mask = ((size_t)1 << t->bits) - 1;
    size_t i = (size_t)(id_hash(id) >> (64 - t->bits));
    for (;; i = (i + 1) & mask) { /* the table is never more than half full */
        struct quota_node *n = atomic_load_explicit(&t->slots[i], memory_order_acquire);
        if (!n || id_eq(n->id, id)) {
            return n;
        }
    }
}

/* Room for one more node. */
static bool table_grow(struct limit *l)
{
    struct registry_table *t = atomic_load(&l->table);
    size_t size = (size_t)1 << t->bits;
    if (l->node_count + 1 <= size / 2) {
        return true;
    }
    struct registry_table *larger = table_new(t->bits + 1, t);
    if (!larger) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        struct quota_node *n = atomic_load_explicit(&t->slots[i], memory_order_relaxed);
        if (n) {
            table_insert(larger, n);
        }
    }
    atomic_store_explicit(&l->table, larger, memory_order_release);
    return true;
}

enum err limit_new(const struct limit_clock *clock, struct limit **out)
{
    struct limit *l = calloc(1, sizeof(*l));
    struct registry_table *table = table_new(TABLE_FIRST_BITS, NULL);
    if (!l || !table) {
        free(l);
        free(table);
        return E_NOMEM;
    }
    l->clock.mono_ns = clock && clock->mono_ns ? clock->mono_ns : clock_mono_ns;
    l->clock.unix_ns = clock && clock->unix_ns ? clock->unix_ns : clock_unix_ns;
    (void)pthread_mutex_init(&l->lock, NULL);
    atomic_init(&l->table, table);
    *out = l;
    return OK;
}

static void node_free(struct quota_node *n)
{
    if (n) {
        quota_lock_free(n->own_lock);
        free(n->rate);
        free(n->tokens);
        free(n);
    }
}

void limit_free(struct limit *l)
{
    if (!l) {
        return;
    }
    struct registry_table *t = atomic_load(&l->table);
    for (size_t i = 0; i < (size_t)1 << t->bits; i++) {
        node_free(atomic_load(&t->slots[i]));
    }
    while (t) {
        struct registry_table *older = t->older;
        free(t);
        t = older;
    }
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

struct quota_node *limit_node_parent(const struct quota_node *n)
{
    return atomic_load_explicit(&n->parent, memory_order_acquire);
}

struct id limit_node_id(const struct quota_node *n)
{
    return n->id;
}

static size_t depth_of(const struct quota_node *n)
{
    size_t depth = 0;
    for (; n; n = limit_node_parent(n)) {
        depth++;
    }
    return depth;
}

/* Levels of the subtree, the node's own included. Recursion ends at LIMIT_DEPTH_MAX. */
static size_t height_of(const struct quota_node *n)
{
    size_t height = 0;
    list_each_safe(child, &n->children) {
        size_t h = height_of(CONTAINER_OF(child, struct quota_node, siblings));
        height = h > height ? h : height;
    }
    return height + 1;
}

static bool is_below(const struct quota_node *n, const struct quota_node *top)
{
    for (; n; n = limit_node_parent(n)) {
        if (n == top) {
            return true;
        }
    }
    return false;
}

/* What the new limits need, made before any tree lock is taken. */
struct parts {
    struct window *rate, *tokens;
    struct quota_lock *lock;
};

static bool parts_new(struct limit *l, const struct quota_node *n, bool is_root,
                      const struct quota_spec *spec, struct parts *out)
{
    uint32_t slot = window_slot(l->clock.mono_ns());
    bool needs_rate = spec->rate_per_min >= 0 && !(n && n->rate);
    bool needs_tokens = spec->tokens_per_min >= 0 && !(n && n->tokens);
    bool needs_lock = is_root && !(n && n->own_lock);
    *out = (struct parts){
        .rate = needs_rate ? window_new(false, slot) : NULL,
        .tokens = needs_tokens ? window_new(true, slot) : NULL,
        .lock = needs_lock ? quota_lock_new() : NULL,
    };
    if ((needs_rate && !out->rate) || (needs_tokens && !out->tokens) ||
        (needs_lock && !out->lock)) {
        free(out->rate);
        free(out->tokens);
        quota_lock_free(out->lock);
        return false;
    }
    return true;
}

static void parts_install(struct quota_node *n, const struct parts *parts,
                          const struct quota_spec *spec)
{
    n->rate = parts->rate ? parts->rate : n->rate;
    n->tokens = parts->tokens ? parts->tokens : n->tokens;
    n->spec = *spec;
    n->hard = 0;
    for (unsigned k = 0; k < LIMIT_PERIODS; k++) {
        if (spec->budget_nusd[k] >= 0 && !(spec->soft_budgets & (1u << k))) {
            n->hard |= (uint8_t)(1u << k);
        }
    }
}

static struct quota_node *node_add(struct limit *l, struct id id, struct quota_node *parent,
                                   const struct quota_spec *spec)
{
    struct parts parts;
    struct quota_node *n = calloc(1, sizeof(*n));
    if (!n || !table_grow(l) || !parts_new(l, NULL, !parent, spec, &parts)) {
        free(n);
        return NULL;
    }
    if (parts.rate) {
        parts.rate->born--; /* nothing was taken from a node that is only now made */
    }
    if (parts.tokens) {
        parts.tokens->born--;
    }
    n->id = id;
    n->owner = l;
    n->own_lock = parts.lock;
    list_init(&n->children);
    list_init(&n->siblings);
    for (int k = 0; k < LIMIT_PERIODS; k++) {
        for (int i = 0; i < QUOTA_PERIODS_KEPT; i++) {
            n->cells[k][i].number = INT32_MIN;
        }
    }
    parts_install(n, &parts, spec);
    if (parent) {
        list_append(&parent->children, &n->siblings);
    }
    atomic_init(&n->parent, parent);
    atomic_init(&n->lock, parent ? atomic_load(&parent->lock) : n->own_lock);
    table_insert(atomic_load(&l->table), n);
    l->node_count++;
    return n;
}

/* Every node below follows to the new tree's lock. Both trees' locks are held for as long as that
 * takes; it happens when an administrator moves a tenant. */
static void relock(struct quota_node *n, struct quota_lock *lock)
{
    atomic_store_explicit(&n->lock, lock, memory_order_release);
    list_each_safe(child, &n->children) {
        relock(CONTAINER_OF(child, struct quota_node, siblings), lock);
    }
}

/* The tree's time never goes back, also as seen by a node that came from another tree. */
static void inherit_time(struct quota_lock *to, const struct quota_lock *from)
{
    if (from->slot > to->slot) {
        to->slot = from->slot;
    }
    for (int k = 0; k < LIMIT_PERIODS; k++) {
        if (from->period[k] > to->period[k]) {
            to->period[k] = from->period[k];
        }
    }
}

static bool node_change(struct limit *l, struct quota_node *n, struct quota_node *parent,
                        const struct quota_spec *spec)
{
    bool is_moving = limit_node_parent(n) != parent;
    if (is_moving && parent &&
        (is_below(parent, n) || depth_of(parent) + height_of(n) > LIMIT_DEPTH_MAX)) {
        return false;
    }
    struct parts parts;
    if (!parts_new(l, n, !parent, spec, &parts)) {
        return false;
    }
    n->own_lock = parts.lock ? parts.lock : n->own_lock;
    struct quota_lock *from = atomic_load(&n->lock);
    struct quota_lock *to = parent ? atomic_load(&parent->lock) : n->own_lock;
    struct quota_locks locks;
    quota_lock_two(from, to, &locks);
    parts_install(n, &parts, spec);
    if (is_moving) {
        list_remove(&n->siblings);
        if (parent) {
            list_append(&parent->children, &n->siblings);
        }
        atomic_store_explicit(&n->parent, parent, memory_order_release);
        inherit_time(to, from);
        relock(n, to);
    }
    quota_unlock_nodes(&locks);
    return true;
}

struct quota_node *limit_node_put(struct limit *l, struct id id, struct quota_node *parent,
                                  const struct quota_spec *spec)
{
    pthread_mutex_lock(&l->lock);
    struct quota_node *n = limit_node_find(l, id);
    if (!n) {
        n = depth_of(parent) < LIMIT_DEPTH_MAX ? node_add(l, id, parent, spec) : NULL;
    } else if (!node_change(l, n, parent, spec)) {
        n = NULL;
    }
    pthread_mutex_unlock(&l->lock);
    return n;
}
