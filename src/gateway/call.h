/* gateway/call.h -- pick <-> call: one target after the other until one answers. */
#ifndef GATEWAY_CALL_H
#define GATEWAY_CALL_H

#include "gateway/pipeline.h"

/* Picks a target and sends. False: none is left; x->failure says why. */
bool call_next(struct exchange *x);
/* The current target failed before the client saw a byte: next target, back-off, or the final
 * error. x->attempt is NULL. */
void call_failed(struct exchange *x, enum health_outcome outcome, const struct failure *why);
/* Ends the health bookkeeping of the current attempt. */
void call_health_end(struct exchange *x, enum health_outcome outcome, int64_t retry_after_ns);
/* The client has left, or nobody wants the answer any more. */
void call_cancel(struct exchange *x);

extern const struct attempt_handler relay_handler; /* gateway/relay.c */

/* Overwrites the key that this attempt sent, should a provider repeat it: text is about to be
 * shown. text lies in memory of the exchange's. */
void call_hide_key(const struct exchange *x, struct slice text);

#endif
