/* store/usage_group.h -- inside of store/: sums a batch in memory, so that each daily row and each
 * period total is written once a batch, not once a request. */
#ifndef STORE_USAGE_GROUP_H
#define STORE_USAGE_GROUP_H

#include "store/store.h"

struct usage_groups;

void usage_groups_free(struct usage_groups *g);

#endif
