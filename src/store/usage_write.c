#include "store/usage_group.h"
void usage_groups_free(struct usage_groups *g)
{
    free(g);
}
