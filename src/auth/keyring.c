#include "auth/keyring.h"

#include <assert.h>
#include <stdlib.h>

enum { TABLE_FIRST_BITS = 4, BUCKET_LOAD_MAX = 4 };

/* Immutable once published: a change makes a new one of the few keys in it. */
struct bucket {
    size_t count;
    struct bucket_entry {
        struct sha256 hash;
        struct key_record *record;
    } entries[];
};

struct key_table {
    unsigned bits;
    _Atomic(struct bucket *) buckets[]; /* 1 << bits; NULL: empty */
};

/* By id, for the publishing thread alone: open addressing, never more than half full. */
struct tenant_table {
    struct tenant_slot **slots;
    size_t size, count;
};

struct directory {
    struct epoch *epoch;               /* borrowed */
    struct directory_hooks hooks;      /* copied */
    _Atomic(struct key_table *) table; /* owned */
    struct tenant_table tenants;       /* owned, with every slot and record */
    _Atomic size_t key_count;
};

/* --- reading ------------------------------------------------------------------------------------
 */

static size_t bucket_index(const struct key_table *t, const struct sha256 *hash)
{
    uint64_t head;
    memcpy(&head, hash->bytes, sizeof(head));
    return (size_t)(head >> (64 - t->bits));
}

const struct key_record *keyring_find(const struct directory *d, const struct sha256 *hash)
{
    const struct key_table *t = atomic_load_explicit(&d->table, memory_order_acquire);
    const struct bucket *b =
        atomic_load_explicit(&t->buckets[bucket_index(t, hash)], memory_order_acquire);
    for (size_t i = 0; b && i < b->count; i++) {
        if (bytes_eq_const_time(b->entries[i].hash.bytes, hash->bytes, SHA256_BYTES)) {
            return b->entries[i].record;
        }
    }
    return NULL;
}

size_t directory_key_count(const struct directory *d)
{
    return atomic_load_explicit(&d->key_count, memory_order_relaxed);
}

/* --- tenants ------------------------------------------------------------------------------------
 */

static struct tenant_slot **tenant_place(const struct tenant_table *t, struct id id)
{
    size_t i = (size_t)(id_hash(id) >> 20) & (t->size - 1);
    while (t->slots[i] && !id_eq(t->slots[i]->id, id)) {
        i = (i + 1) & (t->size - 1);
    }
    return &t->slots[i];
}

static bool tenant_table_grow(struct tenant_table *t)
{
    if ((t->count + 1) * 2 <= t->size) {
        return true;
    }
    struct tenant_table larger = {.size = t->size ? t->size * 2 : 16, .count = t->count};
    larger.slots = calloc(larger.size, sizeof(struct tenant_slot *));
    if (!larger.slots) {
        return false;
    }
    for (size_t i = 0; i < t->size; i++) {
        if (t->slots[i]) {
            *tenant_place(&larger, t->slots[i]->id) = t->slots[i];
        }
    }
    free(t->slots);
    *t = larger;
    return true;
}

/* The tenant's slot, made when it is first named. NULL on no memory. */
static struct tenant_slot *tenant_slot_of(struct tenant_table *t, struct id id)
{
    if (!tenant_table_grow(t)) {
        return NULL;
    }
    struct tenant_slot **place = tenant_place(t, id);
    if (!*place) {
        struct tenant_slot *slot = calloc(1, sizeof(*slot));
        if (!slot) {
            return NULL;
        }
        slot->id = id;
        *place = slot;
        t->count++;
    }
    return *place;
}

static char *put_text(char *at, struct slice from, struct slice *out)
{
    *out = slice_of(at, from.len);
    if (from.len) {
        memcpy(at, from.ptr, from.len);
    }
    return at + from.len;
}

static struct tenant_record *tenant_record_new(const struct store_tenant *t,
                                               struct tenant_slot *parent)
{
    const struct store_policy *p = &t->policy;
    struct tenant_record *r =
        malloc(sizeof(*r) + t->name.len + p->allowed_models.len + p->cache_mode.len);
    if (r) {
        *r = (struct tenant_record){
            .parent = parent, .is_active = t->is_active, .rate_per_min = p->rate_per_min};
        char *at = put_text((char *)(r + 1), t->name, &r->name);
        at = put_text(at, p->allowed_models, &r->allowed_models);
        (void)put_text(at, p->cache_mode, &r->cache_mode);
    }
    return r;
}

enum err directory_put_tenant(struct directory *d, const struct store_tenant *t)
{
    struct tenant_slot *slot = tenant_slot_of(&d->tenants, t->id);
    struct tenant_slot *parent =
        id_is_zero(t->parent) ? NULL : tenant_slot_of(&d->tenants, t->parent);
    struct tenant_record *r = tenant_record_new(t, parent);
    if (!slot || !r || (!id_is_zero(t->parent) && !parent)) {
        free(r);
        return E_NOMEM;
    }
    if (d->hooks.on_tenant) {
        d->hooks.on_tenant(d->hooks.ctx, t);
    }
    struct tenant_record *before = atomic_exchange_explicit(&slot->record, r, memory_order_acq_rel);
    if (before) {
        epoch_retire(d->epoch, before, free);
    }
    return OK;
}

/* --- keys ---------------------------------------------------------------------------------------
 */

static struct key_record *key_record_new(const struct store_key *k, struct tenant_slot *tenant)
{
    const struct store_policy *p = &k->policy;
    struct key_record *r = malloc(sizeof(*r) + p->allowed_models.len + p->cache_mode.len);
    if (r) {
        *r = (struct key_record){.id = k->id,
                                 .tenant = tenant,
                                 .is_active = k->is_active,
                                 .expires_unix_ns = k->expires_unix_ns};
        char *at = put_text((char *)(r + 1), p->allowed_models, &r->allowed_models);
        (void)put_text(at, p->cache_mode, &r->cache_mode);
    }
    return r;
}

static struct key_table *key_table_new(unsigned bits)
{
    struct key_table *t =
        calloc(1, sizeof(*t) + ((size_t)1 << bits) * sizeof(_Atomic(struct bucket *)));
    if (t) {
        t->bits = bits;
    }
    return t;
}

static struct bucket *bucket_new(size_t count)
{
    struct bucket *b = malloc(sizeof(*b) + count * sizeof(struct bucket_entry));
    if (b) {
        b->count = count;
    }
    return b;
}

/* With its buckets; the records belong to whoever is published. */
static void key_table_free(void *p)
{
    struct key_table *t = p;
    for (size_t i = 0; t && i < (size_t)1 << t->bits; i++) {
        free(atomic_load_explicit(&t->buckets[i], memory_order_relaxed));
    }
    free(t);
}

/* Bucket b's entries whose place in the larger table is index. NULL on no memory. */
static struct bucket *bucket_split(const struct bucket *b, const struct key_table *larger,
                                   size_t index)
{
    struct bucket *part = bucket_new(b->count);
    if (part) {
        part->count = 0;
        for (size_t i = 0; i < b->count; i++) {
            if (bucket_index(larger, &b->entries[i].hash) == index) {
                part->entries[part->count++] = b->entries[i];
            }
        }
    }
    return part;
}

/* Twice as many buckets, built aside and published whole. */
static bool key_table_grow(struct directory *d)
{
    struct key_table *t = atomic_load_explicit(&d->table, memory_order_relaxed);
    size_t size = (size_t)1 << t->bits;
    if (directory_key_count(d) < size * BUCKET_LOAD_MAX) {
        return true;
    }
    struct key_table *larger = key_table_new(t->bits + 1);
    for (size_t i = 0; larger && i < size * 2; i++) {
        const struct bucket *b = atomic_load_explicit(&t->buckets[i / 2], memory_order_relaxed);
        struct bucket *part = b ? bucket_split(b, larger, i) : NULL;
        if (b && !part) {
            key_table_free(larger);
            return false;
        }
        atomic_init(&larger->buckets[i], part);
    }
    if (!larger) {
        return false;
    }
    atomic_store_explicit(&d->table, larger, memory_order_release);
    epoch_retire(d->epoch, t, key_table_free);
    return true;
}

/* A copy of old (may be NULL) with the key replaced or added; *out_before is the record replaced.
 */
static struct bucket *bucket_with(const struct bucket *old, const struct sha256 *hash,
                                  struct key_record *record, struct key_record **out_before)
{
    size_t count = old ? old->count : 0;
    size_t at = 0;
    while (at < count && memcmp(old->entries[at].hash.bytes, hash->bytes, SHA256_BYTES) != 0) {
        at++;
    }
    struct bucket *b = bucket_new(at == count ? count + 1 : count);
    if (!b) {
        return NULL;
    }
    if (count) {
        memcpy(b->entries, old->entries, count * sizeof(struct bucket_entry));
    }
    *out_before = at < count ? old->entries[at].record : NULL;
    b->entries[at] = (struct bucket_entry){*hash, record};
    return b;
}

static enum err publish_key(struct directory *d, const struct sha256 *hash, struct key_record *r)
{
    struct key_record *replaced = NULL;
    struct key_table *t = atomic_load_explicit(&d->table, memory_order_relaxed);
    size_t index = bucket_index(t, hash);
    struct bucket *old = atomic_load_explicit(&t->buckets[index], memory_order_relaxed);
    struct bucket *b = bucket_with(old, hash, r, &replaced);
    if (!b) {
        return E_NOMEM;
    }
    atomic_store_explicit(&t->buckets[index], b, memory_order_release);
    if (old) {
        epoch_retire(d->epoch, old, free);
    }
    if (replaced) {
        epoch_retire(d->epoch, replaced, free);
    } else {
        atomic_fetch_add_explicit(&d->key_count, 1, memory_order_relaxed);
    }
    return OK;
}

enum err directory_put_key(struct directory *d, const struct store_key *k)
{
    struct tenant_slot *tenant = tenant_slot_of(&d->tenants, k->tenant);
    struct key_record *r = tenant ? key_record_new(k, tenant) : NULL;
    if (!r || !key_table_grow(d)) {
        free(r);
        return E_NOMEM;
    }
    if (d->hooks.on_key) {
        r->quota = d->hooks.on_key(d->hooks.ctx, k);
    }
    enum err e = d->hooks.on_key && !r->quota ? E_NOMEM : publish_key(d, &k->hash, r);
    if (e != OK) {
        free(r);
    }
    return e;
}

/* --- life ---------------------------------------------------------------------------------------
 */

enum err directory_new(struct epoch *epoch, const struct directory_hooks *hooks,
                       struct directory **out)
{
    struct directory *d = calloc(1, sizeof(*d));
    struct key_table *t = key_table_new(TABLE_FIRST_BITS);
    if (!d || !t) {
        free(d);
        free(t);
        return E_NOMEM;
    }
    d->epoch = epoch;
    d->hooks = hooks ? *hooks : (struct directory_hooks){0};
    atomic_init(&d->table, t);
    *out = d;
    return OK;
}

static void free_key_records(struct key_table *t)
{
    for (size_t i = 0; i < (size_t)1 << t->bits; i++) {
        const struct bucket *b = atomic_load(&t->buckets[i]);
        for (size_t k = 0; b && k < b->count; k++) {
            free(b->entries[k].record);
        }
    }
}

void directory_free(struct directory *d)
{
    if (!d) {
        return;
    }
    struct key_table *t = atomic_load(&d->table);
    free_key_records(t);
    key_table_free(t);
    for (size_t i = 0; i < d->tenants.size; i++) {
        if (d->tenants.slots[i]) {
            free(atomic_load(&d->tenants.slots[i]->record));
            free(d->tenants.slots[i]);
        }
    }
    free(d->tenants.slots);
    free(d);
}
