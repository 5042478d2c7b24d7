/* gateway/raw.h -- requests whose bodies the gateway does not look into: files, audio, images,
 * batches, and anything below /passthrough/{provider}/.
 *
 * They are exchanges like others, of ROUTE_RAW. The stages ask here what they would ask a dialect:
 * raw_begin() after auth (path and provider), raw_scan() in parse (the model's name, which is a
 * JSON member or a form's field, and the bounds of what it may cost), raw_plan() in resolve,
 * raw_add_request() in call. Bodies go as they came, but for the model's name where an alias stands
 * for another. An answer below 400 streams through raw_relay.c, which sees it pass: the usage
 * object of a JSON answer, the events of the provider's dialect. An answer of 400 and more is
 * gathered and judged in relay.c as of any provider.
 *
 * What cannot be repeated (all but GET, HEAD, and RAW_MODEL, whose calls change nothing at the
 * provider) is sent once: on a fresh connection, and again only when no connection came about.
 */
#ifndef GATEWAY_RAW_H
#define GATEWAY_RAW_H

#include "gateway/exchange.h"
#include "wire/json_tap.h"

struct raw {
    struct slice provider;    /* RAW_PASS: the one that the path names; RAW_KEPT: the keeper */
    struct slice path;        /* below the provider's base, "/files/x" */
    struct slice query;       /* without '?' and without key=; may be empty */
    bool is_json;             /* the request's body is a JSON object */
    size_t name_at, name_len; /* the model's name in the body, with its quotes in JSON; 0: none */

    /* answer */
    bool is_begun;                /* the client has the head */
    int64_t length;               /* promised by the provider; -1: not known */
    int64_t arrived;              /* body bytes */
    struct json_tap *usage;       /* NULL: the answer is no JSON */
    struct dialect_stream *watch; /* NULL: the answer has no events, or none that can be read */
};

/* The largest body of the request's route. */
size_t raw_body_max(const struct exchange *x);
/* Makes x->raw. E_NOT_FOUND and others with out_fault filled. */
MUST_USE enum err raw_begin(struct exchange *x, struct fault *out_fault);
/* Fills x->ask; may run on an offload thread. */
MUST_USE enum err raw_scan(struct exchange *x, struct arena *a, struct fault *out_fault);
/* Azure's clients name the model in the path: the body gets it where it has none. */
MUST_USE enum err raw_name_model(struct exchange *x, struct arena *a, struct fault *out_fault);
/* Uses no model: a key's list of models does not matter. False for requests of other kinds. */
bool raw_is_harmless(const struct exchange *x);
MUST_USE enum err raw_plan(struct exchange *x, struct slice *out_near);
/* Head and body of what is sent, and how it may be. */
MUST_USE enum err raw_add_request(struct exchange *x, struct attempt_request *request);
/* True for requests of other kinds. */
bool raw_may_retry(const struct exchange *x, const struct failure *why);
/* Whose fault an error answer is, where only the provider understands the request. */
enum blame raw_blame(const struct exchange *x, enum blame blame);

/* raw_relay.c */
bool raw_is_answering(const struct exchange *x);
void raw_on_head(struct exchange *x, const struct http_head *head);
void raw_on_body(struct exchange *x, struct slice data);
void raw_on_end(struct exchange *x, enum err e, const char *action);
/* The client must not take what it has for the whole. */
void raw_cut(struct exchange *x);
/* Sets the usage of what was answered; false: nothing was. */
bool raw_settle(struct exchange *x);

#endif
