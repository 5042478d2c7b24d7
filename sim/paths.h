/* sim/paths.h -- whose endpoint a request means. */
#ifndef SIM_PATHS_H
#define SIM_PATHS_H

#include "ask.h"

/* The endpoint of path and method; NULL when there is none, then out_dialect is the best guess and
 * out_is_path tells that only the method was wrong. out_part is what the star took, as it came. */
const struct endpoint *endpoint_of(const struct request *r, struct str *out_part,
                                   enum dialect *out_dialect, bool *out_is_path);

#endif
