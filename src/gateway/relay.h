/* gateway/relay.h -- provider -> client: whole answers and streams, back-pressure, the cut that is
 * never a clean end. */
#ifndef GATEWAY_RELAY_H
#define GATEWAY_RELAY_H

#include "gateway/exchange.h"

/* The neutral form of an answer, for a client of another dialect: x->decoded or x->vectors. */
MUST_USE enum err relay_decode(struct exchange *x, struct slice body,
                               const struct dialect *provider);
/* The Content-Type of a stream as this client reads it. */
struct slice relay_stream_type(const struct exchange *x);
/* Sends a finished whole answer (x->answer) to the client in its dialect; accounts first. */
void relay_whole(struct exchange *x);
/* The client's queue has drained: read on. */
void relay_drained(struct exchange *x);
/* A cache entry answers, in the form and dialect that the request wants. False: it cannot be
 * converted (treat as a miss). */
bool relay_entry(struct exchange *x, struct cache_entry *entry, enum cache_use use);
/* The answer to CHAT_OP_COUNT_TOKENS that was counted here. */
void relay_count(struct exchange *x, struct slice body);

#endif
