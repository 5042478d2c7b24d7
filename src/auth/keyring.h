/* auth/keyring.h -- the directory's inside, as auth.c reads it.
 *
 * A tenant has a slot whose address never changes; the slot points to the tenant's newest immutable
 * record. A key's record points to its tenant's slot, a tenant's record to its parent's, so a
 * request walks from key to root without a look-up, and a change of one tenant is one pointer.
 * Records found are valid until the end of the loop turn (core/epoch.h).
 */
#ifndef AUTH_KEYRING_H
#define AUTH_KEYRING_H

#include "auth/auth.h"

#include <stdatomic.h>

/* Texts stand behind the record in the same allocation. */
struct tenant_record {
    struct tenant_slot *parent; /* NULL: a root */
    bool is_active;
    int64_t rate_per_min;
    struct slice name, allowed_models, cache_mode;
};

struct tenant_slot {
    struct id id;
    _Atomic(struct tenant_record *) record; /* NULL until the tenant is published */
};

struct key_record {
    struct id id;
    struct tenant_slot *tenant;
    void *quota;
    bool is_active;
    int64_t expires_unix_ns; /* 0: never */
    struct slice allowed_models, cache_mode;
};

/* NULL when absent. Compares whole digests in constant time. */
const struct key_record *keyring_find(const struct directory *d, const struct sha256 *hash) NONNULL;

#endif
