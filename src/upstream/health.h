/* upstream/health.h -- what all workers know of a target and of a provider key: breaker, load,
 * latency.
 *
 * Nodes have stable addresses, outlive configuration versions and are found by name
 * ("openai/gpt-4o-mini"). Members are atomics; state changes take a short lock per node.
 *
 *   state      event                                     -> state      effect
 *   CLOSED     5 failures in a row, or half of >= 20 in 10 s -> OPEN   refused for open_ns,
 *                                                                      doubling, 10 s .. 5 min
 *   OPEN       open_ns passed                            -> HALF_OPEN  one trial at a time
 *   HALF_OPEN  trial succeeds                            -> RAMP       the share of calls grows
 *                                                                      over 10 s
 *   HALF_OPEN  trial fails                               -> OPEN
 *   RAMP       a failure                                 -> OPEN
 *   RAMP       10 s without failure                      -> CLOSED     open_ns is 10 s again
 *
 * Beside the breaker a node may be set aside until a time: LIMITED for what Retry-After says, or
 * 1 s doubling; REFUSED for a minute, doubling; ten minutes at most, whatever the provider says.
 */
#ifndef UPSTREAM_HEALTH_H
#define UPSTREAM_HEALTH_H

#include "core/err.h"
#include "core/slice.h"

enum breaker_state { BREAKER_CLOSED = 0, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_RAMP };

enum health_outcome {
    HEALTH_OK,      /* an answer, whatever the client did wrong */
    HEALTH_FAILED,  /* connect, time-out, 5xx, bad body, cut */
    HEALTH_LIMITED, /* 429 or overload with or without Retry-After: set aside, not broken */
    HEALTH_REFUSED, /* our credentials or quota: a key's outcome */
    HEALTH_UNKNOWN  /* cancelled: says nothing */
};

struct health;      /* the registry; one a process */
struct health_node; /* one target or key */

struct health_view {
    enum breaker_state state;
    int64_t in_flight;
    int64_t first_byte_ewma_ns; /* 0: unknown */
    int64_t set_aside_until_ns; /* monotonic; 0: not */
    int64_t open_until_ns;      /* OPEN: when a trial may go; 0 otherwise */
    bool is_trial_out;          /* HALF_OPEN: somebody is trying */
};

MUST_USE enum err health_new(struct health **out);
void health_free(struct health *h);
/* Finds or makes; the address stays valid until health_free. NULL on no memory or too many nodes.
 * For building a configuration version, not for the request path. */
struct health_node *health_node(struct health *h, struct slice name);
/* May a call go there now? random: 64 random bits for the ramp. True claims the half-open trial;
 * a claim that no health_end answers is given again after a minute. */
bool health_admits(struct health_node *n, int64_t now_ns, uint64_t random);
/* The same question without a claim: for explain and for choosing. */
struct health_view health_view(const struct health_node *n, int64_t now_ns);
void health_begin(struct health_node *n);
/* Ends what health_begin began. first_byte_ns -1: none. retry_after_ns 0: none given. */
void health_end(struct health_node *n, enum health_outcome outcome, int64_t now_ns,
                int64_t first_byte_ns, int64_t retry_after_ns);
/* Walks all nodes that ever had a call (metrics, admin). */
void health_each(struct health *h,
                 void (*fn)(void *ctx, struct slice name, const struct health_view *view),
                 void *ctx, int64_t now_ns);

#endif
