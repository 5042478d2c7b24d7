/* sim/routes.h -- from a request to its answer. */
#ifndef SIM_ROUTES_H
#define SIM_ROUTES_H

#include "answer.h"
#include "control.h"
#include "http.h"

struct sim_conf {
    const char *fixtures; /* directory; NULL: none */
    const char *api_key;  /* NULL: any key is accepted */
    struct control *control;
    int64_t created; /* unix seconds, in every answer */
};

/* Never NULL; the caller owns one reference. */
struct answer *route(const struct sim_conf *conf, const struct request *r);

/* An early scripted answer, given when the head alone is there; NULL: none. */
struct answer *route_early(const struct sim_conf *conf, const struct request *r);

struct answer *route_bad_request(const char *why);
bool route_is_control(const struct request *r);

#endif
