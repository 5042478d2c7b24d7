/* sim/routes.h -- from a request to its answer. */
#ifndef SIM_ROUTES_H
#define SIM_ROUTES_H

#include "answer.h"
#include "ask.h"
#include "control.h"
#include "http.h"

/* Never NULL; the caller owns one reference. out_fixed: without a script, the same target and body
 * always have this answer. */
struct answer *route(const struct sim_conf *conf, const struct request *r, bool *out_fixed);

/* An early scripted answer, given when the head alone is there; NULL: none. */
struct answer *route_early(const struct sim_conf *conf, const struct request *r);

struct answer *route_bad_request(const char *why);
bool route_is_control(const struct request *r);

#endif
