/* store/usage_kind.h -- inside of store/: numbers of table requests_kinds, remembered.
 *
 * A kind is what most requests of a key share: tenant, key, provider, model, status and the like.
 * There are about as many as rows of a day in usage_daily, so they are never deleted. A number is
 * remembered before its transaction is committed, so whoever rolls one back forgets all of them.
 */
#ifndef STORE_USAGE_KIND_H
#define STORE_USAGE_KIND_H

#include "core/arena.h"
#include "store/store.h"

struct usage_kind {
    struct id tenant, key;
    struct slice provider, model; /* in the arena */
    int64_t bits;
    int32_t attempts, http_status;
    int64_t no;
};

struct usage_kinds {
    struct usage_kind *at; /* USAGE_KINDS_MAX places, made on first need; owned */
    uint32_t *slots;       /* hash to index + 1 */
    size_t count;
    size_t last; /* neighbours are often of one kind */
    struct arena texts;
};

struct store_db;

/* Looks the kind up, in memory or in the table, and adds it to both when it is new. */
MUST_USE enum err usage_kind_no(struct store_db *db, const struct usage_record *r, int64_t *out_no);
void usage_kinds_forget(struct usage_kinds *k);
void usage_kinds_deinit(struct usage_kinds *k);

#endif
