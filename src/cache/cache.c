#include "cache/cache.h"

#include "core/check.h"
#include "core/list.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    SHARDS = 64,
    HEADS_MIN = 16,
    HEADS_MAX = 8192,
    ENTRY_TYPICAL_BYTES = 512, /* with its node: decides the length of hash chains */
    ROOM_TRIES_MAX = 4096      /* a put gives up when others take the room as fast as it is made */
};

/* What is allocated for an entry; its texts stand behind it. */
struct node {
    struct cache_entry entry;
    _Atomic int32_t refs; /* one is the cache's own while linked */
    struct sha256 key;
    size_t bytes;
    struct node *next; /* hash chain */
    struct list used;  /* newest first */
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct node **heads; /* of c->head_mask + 1; borrowed from c->heads */
    struct list used;
    size_t bytes, count;
    int64_t hits, misses, evictions;
};

struct cache {
    struct shard shards[SHARDS];
    size_t max_bytes, entry_max_bytes;
    size_t head_mask;
    struct node **heads;
    _Atomic size_t bytes; /* of all entries linked or about to be */
    _Atomic unsigned next_victim;
};

/* --- entries ------------------------------------------------------------------------------------
 */

static struct node *node_of(struct cache_entry *e)
{
    return CONTAINER_OF(e, struct node, entry);
}

struct cache_entry *cache_entry_ref(struct cache_entry *e)
{
    int32_t before = atomic_fetch_add_explicit(&node_of(e)->refs, 1, memory_order_relaxed);
    assert(before > 0);
    return e;
}

void cache_entry_unref(struct cache_entry *e)
{
    if (!e) {
        return;
    }
    int32_t before = atomic_fetch_sub_explicit(&node_of(e)->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1) {
        free(node_of(e));
    }
}

static void node_unref(struct node *n)
{
    if (n) {
        cache_entry_unref(&n->entry);
    }
}

static char *put_text(char *at, struct slice from, struct slice *out)
{
    *out = slice_of(at, from.len);
    if (from.len) {
        memcpy(at, from.ptr, from.len);
    }
    return at + from.len;
}

static bool node_bytes(const struct cache_entry *e, size_t *out)
{
    return size_add(sizeof(struct node), e->payload.len, out) &&
           size_add(*out, e->provider.len, out) && size_add(*out, e->model.len, out);
}

static struct node *node_new(const struct sha256 *key, const struct cache_entry *e, size_t bytes)
{
    struct node *n = malloc(bytes);
    if (n) {
        *n = (struct node){.entry = *e, .key = *key, .bytes = bytes};
        atomic_init(&n->refs, 1);
        list_init(&n->used);
        char *at = put_text((char *)(n + 1), e->provider, &n->entry.provider);
        at = put_text(at, e->model, &n->entry.model);
        (void)put_text(at, e->payload, &n->entry.payload);
    }
    return n;
}

/* --- shards; the lock is held
 * ---------------------------------------------------------------------
 */

static struct shard *shard_of(struct cache *c, const struct sha256 *key)
{
    return &c->shards[key->bytes[0] % SHARDS];
}

static struct node **head_of(const struct cache *c, const struct shard *s, const struct sha256 *key)
{
    uint64_t hash;
    memcpy(&hash, key->bytes + 8, sizeof(hash));
    return &s->heads[hash & c->head_mask];
}

/* The pointer that points to the entry, or to NULL at the end of its chain. */
static struct node **place_of(const struct cache *c, const struct shard *s,
                              const struct sha256 *key)
{
    struct node **place = head_of(c, s, key);
    while (*place && memcmp((*place)->key.bytes, key->bytes, SHA256_BYTES) != 0) {
        place = &(*place)->next;
    }
    return place;
}

/* The cache's reference becomes the caller's, who drops it after unlocking. */
static struct node *unlink_at(struct cache *c, struct shard *s, struct node **place)
{
    struct node *n = *place;
    *place = n->next;
    list_remove(&n->used);
    assert(s->bytes >= n->bytes && s->count > 0);
    s->bytes -= n->bytes;
    s->count--;
    atomic_fetch_sub_explicit(&c->bytes, n->bytes, memory_order_relaxed);
    return n;
}

static struct node *unlink_oldest(struct cache *c, struct shard *s)
{
    if (list_is_empty(&s->used)) {
        return NULL;
    }
    struct node *oldest = CONTAINER_OF(s->used.prev, struct node, used);
    struct node **place = place_of(c, s, &oldest->key);
    assert(*place == oldest);
    return unlink_at(c, s, place);
}

/* --- room ---------------------------------------------------------------------------------------
 */

static void evict_one(struct cache *c, struct shard *s)
{
    pthread_mutex_lock(&s->lock);
    struct node *n = unlink_oldest(c, s);
    s->evictions += n != NULL;
    pthread_mutex_unlock(&s->lock);
    node_unref(n);
}

static bool is_over_share(const struct cache *c, struct shard *s, size_t more)
{
    pthread_mutex_lock(&s->lock);
    bool is_over = s->count && s->bytes + more > c->max_bytes / SHARDS;
    pthread_mutex_unlock(&s->lock);
    return is_over;
}

/* Counts bytes in, evicting until they fit. */
static bool take_room(struct cache *c, struct shard *own, size_t bytes)
{
    size_t held = atomic_load_explicit(&c->bytes, memory_order_relaxed);
    for (int tries = 0; tries < ROOM_TRIES_MAX;) {
        if (held <= c->max_bytes - bytes) {
            if (atomic_compare_exchange_weak_explicit(&c->bytes, &held, held + bytes,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                return true;
            }
            continue;
        }
        bool is_own = is_over_share(c, own, bytes);
        unsigned next = atomic_fetch_add_explicit(&c->next_victim, !is_own, memory_order_relaxed);
        evict_one(c, is_own ? own : &c->shards[next % SHARDS]);
        held = atomic_load_explicit(&c->bytes, memory_order_relaxed);
        tries++;
    }
    return false;
}

/* --- the cache ----------------------------------------------------------------------------------
 */

enum err cache_new(size_t max_bytes, size_t entry_max_bytes, struct cache **out)
{
    size_t heads = HEADS_MIN;
    while (heads < HEADS_MAX && heads * SHARDS * ENTRY_TYPICAL_BYTES < max_bytes) {
        heads *= 2;
    }
    struct cache *c = aligned_alloc(_Alignof(struct cache), sizeof(*c));
    struct node **all = calloc(heads * SHARDS, sizeof(struct node *)); /* untouched until used */
    if (!c || !all) {
        free(c);
        free(all);
        return E_NOMEM;
    }
    memset(c, 0, sizeof(*c));
    c->max_bytes = max_bytes;
    c->entry_max_bytes = size_min(entry_max_bytes, max_bytes);
    c->heads = all;
    c->head_mask = heads - 1;
    for (size_t i = 0; i < SHARDS; i++) {
        (void)pthread_mutex_init(&c->shards[i].lock, NULL);
        list_init(&c->shards[i].used);
        c->shards[i].heads = all + i * heads;
    }
    *out = c;
    return OK;
}

void cache_free(struct cache *c)
{
    if (!c) {
        return;
    }
    (void)cache_clear(c);
    for (size_t i = 0; i < SHARDS; i++) {
        (void)pthread_mutex_destroy(&c->shards[i].lock);
    }
    free(c->heads);
    free(c);
}

struct cache_entry *cache_find(struct cache *c, const struct sha256 *key, int64_t now_ns,
                               int64_t unix_ns, int64_t max_age_ns)
{
    struct shard *s = shard_of(c, key);
    struct node *found = NULL, *expired = NULL;
    pthread_mutex_lock(&s->lock);
    struct node **place = place_of(c, s, key);
    if (*place && now_ns >= (*place)->entry.expires_ns) {
        expired = unlink_at(c, s, place);
    } else if (*place &&
               (max_age_ns < 0 || unix_ns - (*place)->entry.stored_unix_ns < max_age_ns)) {
        found = *place;
        list_remove(&found->used);
        list_prepend(&s->used, &found->used);
        (void)cache_entry_ref(&found->entry);
    }
    s->hits += found != NULL;
    s->misses += found == NULL;
    pthread_mutex_unlock(&s->lock);
    node_unref(expired);
    return found ? &found->entry : NULL;
}

enum err cache_put(struct cache *c, const struct sha256 *key,
                   const struct cache_entry *entry_template)
{
    size_t bytes;
    if (!node_bytes(entry_template, &bytes) || bytes > c->entry_max_bytes) {
        return E_LIMIT;
    }
    struct node *n = node_new(key, entry_template, bytes);
    if (!n) {
        return E_NOMEM;
    }
    struct shard *s = shard_of(c, key);
    if (!take_room(c, s, bytes)) {
        node_unref(n);
        return E_BUSY;
    }
    pthread_mutex_lock(&s->lock);
    struct node **place = place_of(c, s, key);
    struct node *before = *place ? unlink_at(c, s, place) : NULL;
    struct node **head = head_of(c, s, key);
    n->next = *head;
    *head = n;
    list_prepend(&s->used, &n->used);
    s->bytes += bytes;
    s->count++;
    pthread_mutex_unlock(&s->lock);
    node_unref(before);
    return OK;
}

/* One entry a lock: a shard may hold many. What is put meanwhile may stay. */
static size_t clear_shard(struct cache *c, struct shard *s)
{
    size_t removed = 0;
    size_t left = SIZE_MAX;
    while (left) {
        pthread_mutex_lock(&s->lock);
        left = size_min(left, s->count);
        struct node *n = left ? unlink_oldest(c, s) : NULL;
        pthread_mutex_unlock(&s->lock);
        removed += n != NULL;
        left -= n != NULL;
        node_unref(n);
    }
    return removed;
}

size_t cache_clear(struct cache *c)
{
    size_t removed = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        removed += clear_shard(c, &c->shards[i]);
    }
    return removed;
}

struct cache_stats cache_stats(struct cache *c)
{
    /* One number, so never above the bound, which a sum over moving shards could seem to be. */
    struct cache_stats sum = {.bytes =
                                  (int64_t)atomic_load_explicit(&c->bytes, memory_order_relaxed)};
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];
        pthread_mutex_lock(&s->lock);
        sum.entries += (int64_t)s->count;
        sum.hits += s->hits;
        sum.misses += s->misses;
        sum.evictions += s->evictions;
        pthread_mutex_unlock(&s->lock);
    }
    return sum;
}
