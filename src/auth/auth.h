/* auth/auth.h -- who is calling? From the request head alone, against an in-memory directory; never
 * the database.
 *
 * The directory maps SHA-256 of a key to key and tenant. It is made of small immutable buckets
 * replaced singly (core/epoch.h), so that one changed key does not copy the rest; readers never
 * lock. Records found are valid until the end of the loop turn: auth_check() copies what an
 * exchange keeps into struct auth_who.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "core/epoch.h"
#include "store/store.h"
#include "wire/http1.h"

/* "llm-gw-" + 43 characters: 32 random bytes as one big-endian number in base 62 (0-9, A-Z, a-z),
 * with leading '0's + 6 characters: the CRC-32 (ISO-HDLC, as in zlib) of those 43 characters as
 * ASCII text, without the prefix, in the same base, with leading '0's. */
enum { AUTH_KEY_BYTES = 7 + 43 + 6, AUTH_KEY_MAX_BYTES = 512 };

struct directory;

/* Called when a key or tenant appears or changes, on the publishing thread: returns the opaque
 * quota leaf kept with the key (limit/ builds it; auth does not look inside). NULL from on_key is
 * no memory: the put fails. Parents are published before children, tenants before their keys; a key
 * whose tenant, or a tenant whose parent, was never published is refused. */
struct directory_hooks {
    void *ctx;
    void (*on_tenant)(void *ctx, const struct store_tenant *t);
    void *(*on_key)(void *ctx, const struct store_key *k);
};

enum auth_verdict { AUTH_OK, AUTH_MISSING, AUTH_INVALID };

/* Copied: safe for the exchange's whole life. Texts are copied into the arena. */
struct auth_who {
    struct id tenant;
    struct id key;
    struct slice tenant_name;
    void *quota;                 /* struct quota_node of the key */
    struct slice allowed_models; /* JSON array of names or patterns; empty: all. The nearest of key,
                                    tenant, ancestors */
    struct slice cache_mode;     /* "", "on", "off": nearest */
    int64_t rate_per_min;        /* the tenant's own, for the error text; -1: none */
};

MUST_USE enum err directory_new(struct epoch *epoch, const struct directory_hooks *hooks,
                                struct directory **out);
void directory_free(struct directory *d);
/* Publishing thread only (one). Replace-or-insert (a key by its hash, which a key never changes);
 * an inactive row takes effect at once. E_NOMEM: nothing was changed. */
MUST_USE enum err directory_put_tenant(struct directory *d, const struct store_tenant *t);
MUST_USE enum err directory_put_key(struct directory *d, const struct store_key *k);
size_t directory_key_count(const struct directory *d);

/* The credential of a request: X-API-Key, the header named by API_KEY_HEADER, Authorization:
 * Bearer, api-key, x-goog-api-key; ptr NULL when absent. Two different credentials in one head: the
 * first of that order. */
struct slice auth_credential(const struct http_head *head, struct slice api_key_header);
/* AUTH_INVALID also when the arena has no room for what must be copied (a policy that is lost would
 * allow everything), and for a mistyped key of our prefix (checked offline), an inactive or expired
 * key, an inactive tenant or ancestor. */
enum auth_verdict auth_check(const struct directory *d, struct slice credential, int64_t unix_ns,
                             struct arena *a, struct auth_who *out_who);

/* out holds AUTH_KEY_BYTES + 1. */
void auth_key_make(char *out);
/* False when it has our prefix but wrong length, alphabet or check characters; true for foreign
 * keys too. */
bool auth_key_is_plausible(struct slice key);
struct sha256 auth_key_hash(struct slice key);
/* One name against a JSON array of names and trailing-* patterns. */
bool auth_model_allowed(struct slice allowed_models, struct slice model);

#endif
