/* store/usage.h -- inside of store/: how a request's id becomes its row number, and one row read
 * back.
 */
#ifndef STORE_USAGE_H
#define STORE_USAGE_H

#include "store/db.h"

enum {
    USAGE_PARAMETERS = 26,          /* of FRESH_INSERT */
    USAGE_IDS_BYTES = 3 * ID_BYTES, /* id, tenant and key in one blob */
    USAGE_SEQ_PROBES = 64           /* numbers tried for ids that fall on the same one */
};

/* 43 bits of the id's milliseconds, 20 of its random bits. */
int64_t usage_seq(struct id id);
/* Numbers of ids made at that time or later are not below. */
int64_t usage_seq_since(int64_t unix_ns);
/* Status, dialect and flags in one integer, as schema_usage takes them apart. */
int64_t usage_bits(const struct usage_record *r);
/* Texts are copied into the arena. E_NOT_FOUND. */
MUST_USE enum err usage_find(struct store_db *db, struct arena *a, struct id id,
                             struct usage_record *out, int64_t *out_seq);

#endif
