/* ledger/openmap.h -- which requests are open, and where their open record stands. Used by the
 * store's writer thread and by recovery only. Grows with the requests in flight, which listen
 * bounds; open addressing, at most half full, deletion shifts back.
 */
#ifndef LEDGER_OPENMAP_H
#define LEDGER_OPENMAP_H

#include "core/err.h"
#include "core/id.h"

struct open_place {
    struct id id;
    uint32_t lane;    /* worker, or file in recovery */
    uint32_t segment; /* generation; never 0 */
    uint32_t slot;
};

struct openmap {
    struct open_place *places; /* segment 0: free */
    size_t count;
    size_t cap; /* a power of two, or 0 */
};

/* Replaces what is there under that id. */
MUST_USE enum err openmap_put(struct openmap *m, const struct open_place *p) NONNULL;
void openmap_remove(struct openmap *m, struct id id) NONNULL;
/* NULL when absent; borrowed until the next change. */
const struct open_place *openmap_find(const struct openmap *m, struct id id) NONNULL;
void openmap_deinit(struct openmap *m);

#endif
