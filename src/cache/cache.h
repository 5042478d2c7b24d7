/* cache/cache.h -- exact-match answers in memory; the tenant is part of the key.
 *
 * 64 mutexed shards, LRU by bytes, reference-counted immutable entries. max_bytes bounds all shards
 * together and is never exceeded: room is made (from the entry's own shard when that holds more
 * than its share, else from the others in turn) and taken before an entry goes in. An evicted entry
 * that is still being sent lives until its last reference, outside of the bound. The key is SHA-256
 * over the tenant scope, the operation and the canonical form of the request (cache/fingerprint.h).
 * Errors, truncated and refused answers are never stored (the caller decides). Bytes count entry,
 * key and payload.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include "chat/usage.h"
#include "core/err.h"
#include "core/hash.h"
#include "core/id.h"

struct cache;

enum cache_form {
    CACHE_BODY = 0,
    CACHE_EVENTS = 1
}; /* a whole answer, or the bytes of an event stream */

/* Immutable; freed with the last reference. payload and texts stand behind the struct in one
 * allocation. */
struct cache_entry {
    enum cache_form form;
    int dialect; /* caller's tag: which dialect the payload is in */
    struct slice payload;
    struct slice provider;
    struct slice model;
    struct usage usage;
    int64_t cost_nusd; /* what the original cost: a hit saves it */
    int64_t stored_unix_ns;
    int64_t expires_ns; /* monotonic */
};

MUST_USE enum err cache_new(size_t max_bytes, size_t entry_max_bytes, struct cache **out);
void cache_free(struct cache *c);
/* NULL: absent, expired, or max_age_ns old or older; otherwise a reference for the caller.
 * max_age_ns < 0: any age. */
struct cache_entry *cache_find(struct cache *c, const struct sha256 *key, int64_t now_ns,
                               int64_t unix_ns, int64_t max_age_ns);
void cache_entry_unref(struct cache_entry *e);
struct cache_entry *cache_entry_ref(struct cache_entry *e);
/* Copies everything of template. Too large: E_LIMIT, nothing stored. Replaces an older one. */
MUST_USE enum err cache_put(struct cache *c, const struct sha256 *key,
                            const struct cache_entry *entry_template);
/* Removes everything, or one tenant's when entries were put with that tag. Returns how many. */
size_t cache_clear(struct cache *c);

struct cache_stats {
    int64_t entries, bytes, hits, misses, evictions;
};
struct cache_stats cache_stats(struct cache *c);

#endif
