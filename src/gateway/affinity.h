/* gateway/affinity.h -- keeps the requests of one conversation at one target and key, so that the
 * provider's prompt cache knows what they begin with.
 *
 * In this order: the client's header x-llm-gateway-affinity ("off": none); the session that a
 * client tells in a header or in its body; a hash of what the conversation's turns begin with
 * (dialect/conversation.h). Each counts for its tenant alone. Where nothing tells, and where the
 * route leaves no choice, there is none, and nothing is read.
 */
#ifndef GATEWAY_AFFINITY_H
#define GATEWAY_AFFINITY_H

#include "gateway/exchange.h"

/* Fills x->affinity and x->affinity_source, before the first route_pick(). */
void affinity_find(struct exchange *x);
/* The value of a source; never 0. For explain: what a header or a session comes to. */
uint64_t affinity_of(struct id tenant, enum affinity_source source, struct slice value);
/* "header", "session", "prefix"; empty: none. */
struct slice affinity_source_name(enum affinity_source source);

#endif
