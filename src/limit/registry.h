/* limit/registry.h -- all quota nodes of a process by id, with addresses that never change.
 *
 * Changes are made under one lock; looking up takes none: the table holds node pointers by open
 * addressing, grows by a copy that is then published, and old tables stay until the end (together
 * they are smaller than the last one). Nodes are never removed.
 */
#ifndef LIMIT_REGISTRY_H
#define LIMIT_REGISTRY_H

#include "limit/quota.h"

struct registry_table;

struct limit {
    struct limit_clock clock;               /* both set */
    pthread_mutex_t lock;                   /* who changes nodes or table */
    _Atomic(struct registry_table *) table; /* owned */
    size_t node_count;
};

#endif
