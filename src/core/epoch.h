/* core/epoch.h -- when may a replaced, immutable object be freed? When every worker has passed a
 * turn.
 *
 * A reader (worker) is online while it runs a loop turn and offline while it waits for events; it
 * may use shared pointers read during the turn until the turn ends. A writer replaces a pointer,
 * retires the old object with epoch_retire(), and objects are freed once every reader that was
 * online then has since been offline or begun a new turn. Readers never lock; writers serialise
 * among themselves with the lock inside.
 */
#ifndef CORE_EPOCH_H
#define CORE_EPOCH_H

#include "core/err.h"
#include "core/slice.h"

enum { EPOCH_READERS_MAX = 256 };

struct epoch; /* heap; one a process */

struct epoch *epoch_new(void);
/* Frees what is still retired. No reader may be online. */
void epoch_free(struct epoch *e);

/* A slot for a reader thread: 0..EPOCH_READERS_MAX-1, or E_LIMIT. */
MUST_USE enum err epoch_join(struct epoch *e, size_t *out_reader);
/* Around each loop turn. */
void epoch_online(struct epoch *e, size_t reader);
void epoch_offline(struct epoch *e, size_t reader);

/* Any thread: free_fn(p) runs later, on a thread that calls epoch_retire or epoch_collect. */
void epoch_retire(struct epoch *e, void *p, void (*free_fn)(void *p));
/* Frees what can be freed now; returns how many objects still wait. */
size_t epoch_collect(struct epoch *e);

#endif
