/* store/usage.h -- inside of store/: how a request becomes a row of requests_data, and one row read
 * back.
 *
 * A row has what differs from request to request; what is equal for most requests of a key (tenant,
 * key, provider, model, status ...) is its kind (usage_kind.h).
 */
#ifndef STORE_USAGE_H
#define STORE_USAGE_H

#include "store/db.h"

enum { USAGE_SEQ_PROBES = 64 /* numbers tried for ids that fall on the same one */ };

/* 43 bits of the id's milliseconds, 20 of its random bits. */
int64_t usage_seq(struct id id);
/* Numbers of ids made at that time or later are not below. */
int64_t usage_seq_since(int64_t unix_ns);
/* Status, dialect and flags in one integer, as schema_data_views takes them apart. */
int64_t usage_bits(const struct usage_record *r);
/* Texts are copied into the arena. E_NOT_FOUND. */
MUST_USE enum err usage_find(struct store_db *db, struct arena *a, struct id id,
                             struct usage_record *out, int64_t *out_seq);
/* Migration 3: the rows of the tables before it, with their numbers. */
MUST_USE enum err usage_carry_over(struct store_db *db);

struct usage_row {
    const struct usage_record *record; /* borrowed */
    int64_t seq;
    int64_t kind;
    bool is_plain; /* the rarer columns are all absent */
    bool is_in;    /* was inserted: the number was free */
};

/* Fills in everything but seq and is_in; a kind that is new gets its row. */
MUST_USE enum err usage_row_init(struct store_db *db, const struct usage_record *r,
                                 struct usage_row *out);
/* Room for n rows that stays the connection's; NULL: no memory. */
struct usage_row *usage_rows_room(struct store_db *db, size_t n);
/* One statement for all: rows whose number is taken stay out, and is_in says so. Sorts them by
 * number, since appending is cheapest. */
MUST_USE enum err usage_rows_insert(struct store_db *db, struct usage_row *rows, size_t n);
/* Makes the virtual table known that usage_rows_insert reads from; once a writing connection. */
MUST_USE enum err usage_rows_register(struct store_db *db);

#endif
