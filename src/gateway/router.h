/* gateway/router.h -- which path is what. One table; the OpenAPI document is tested against it. */
#ifndef GATEWAY_ROUTER_H
#define GATEWAY_ROUTER_H

#include "gateway/gateway.h"

enum route_kind {
    ROUTE_NONE = 0,
    ROUTE_CHAT,   /* goes through the pipeline */
    ROUTE_RAW,    /* the same, but nobody looks into the bodies (gateway/raw.h) */
    ROUTE_MODELS, /* list or one model, of what the key may use */
    ROUTE_DOOR    /* admin/, health, metrics, documents */
};

/* What a ROUTE_RAW path is. */
enum raw_kind {
    RAW_NONE = 0,
    RAW_MODEL, /* a model answers: its name is a JSON member or a form's field */
    RAW_STORE, /* files and uploads: nothing is billed */
    RAW_BATCH, /* what it will cost is not known when it is sent */
    RAW_KEPT,  /* /responses/{id}...: an answer that a provider keeps for the tenant */
    RAW_PASS   /* /passthrough/{provider}/... */
};

struct api_route {
    /* "{api}" is API_V1_STR; a trailing "/" matches everything below; one "*" any segment, "*:" any
     * name before a colon, be it escaped */
    const char *path;
    enum route_kind kind;
    unsigned verbs; /* bits of enum http_verb */
    enum chat_operation op;
    const struct dialect *dialect;
    unsigned roles; /* ports that serve it, enum port_role */
    enum raw_kind raw;
};

extern const struct api_route api_routes[];
extern const size_t api_route_count;

/* The route of a path, NULL when there is none; *out_rest is what follows a "/"-terminated path,
 * what a "*" stands for, or the "*:" and all behind it. */
const struct api_route *router_find(struct slice path, struct slice api_prefix, unsigned roles,
                                    struct slice *out_rest);
/* "GET, HEAD, POST" of the route's verbs. */
void router_allow(const struct api_route *route, struct text *out);

#endif
