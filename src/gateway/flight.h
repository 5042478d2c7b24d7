/* gateway/flight.h -- identical cacheable requests in flight on a worker share one upstream call.
 *
 * The first one leads; later ones follow. A follower that wants the same bytes (both streaming,
 * same dialect and usage option) gets the leader's events as they come; any other follower waits
 * for the cache entry. When the leader's client leaves, the call goes on for as long as someone
 * follows. A leader that fails takes its followers with it.
 */
#ifndef GATEWAY_FLIGHT_H
#define GATEWAY_FLIGHT_H

#include "gateway/pipeline.h"

enum { FLIGHT_FOLLOWERS_MAX = 10000 };

struct flight; /* heap; from lead to the leader's end */

/* Follows a flight with the same key, if there is one: true. */
bool flight_join(struct exchange *x);
/* Becomes the leader; does nothing on no memory. */
void flight_lead(struct exchange *x);
bool flight_has_followers(const struct exchange *leader);
/* Event bytes of the leader, about to be sent to its own client. Ends as soon as the cache's entry
 * bound is passed. */
void flight_events(struct exchange *leader, const struct slice *parts, size_t n);
/* The leader's answer is complete and (perhaps) in the cache as entry; NULL: it was not storable.
 */
void flight_done(struct exchange *leader, struct cache_entry *entry);
/* The leader failed, or its answer outgrew the cache: its followers get the same fault, nobody can
 * join any more, and the leader goes on without a flight. */
void flight_failed(struct exchange *leader, const struct fault *fault);
/* A follower's queue has drained. */
void flight_drained(struct exchange *x);
/* Leaves the flight (follower) or gives it up (leader). */
void flight_leave(struct exchange *x);

#endif
