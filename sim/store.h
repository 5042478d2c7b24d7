/* sim/store.h -- what requests leave behind: responses, files, batches. In memory, shared by all
 * threads under one lock; the oldest go when there are too many. POST /_sim/reset empties it.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "buf.h"

enum { STORE_ITEMS_MAX = 1000 };

enum store_kind { STORED_RESPONSE, STORED_FILE, STORED_BATCH };

struct store;

struct store *store_new(void);
void store_reset(struct store *s);
uint64_t store_next_id(struct store *s);

/* Copies json and data in; an item of that kind and id is replaced. */
void store_put(struct store *s, enum store_kind kind, struct str id, struct str json,
               struct str data);

/* Appends copies; either may be NULL. False when there is no such item. */
bool store_get(struct store *s, enum store_kind kind, struct str id, struct buf *out_json,
               struct buf *out_data);
bool store_delete(struct store *s, enum store_kind kind, struct str id);
void store_list(struct store *s, enum store_kind kind, struct buf *out); /* "{...},{...}" */

#endif
