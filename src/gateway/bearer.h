/* gateway/bearer.h -- access tokens on a request's way: waiting for the first one, sending it, and
 * asking for another when a provider refuses it. upstream/credential.h keeps and fetches them.
 */
#ifndef GATEWAY_BEARER_H
#define GATEWAY_BEARER_H

#include "gateway/exchange.h"

/* What was picked takes a token that is still on its way: the timer is set to look again, and
 * nothing is sent yet. False: go on, bearer_take() says how it stands; also after some seconds. */
bool bearer_waits(struct exchange *x, loop_timer_fn look_again);
/* Takes the token of the attempt that begins, if its provider takes one. E_CREDENTIAL: there is
 * none, which is the target's fault. */
MUST_USE enum err bearer_take(struct exchange *x);
/* The head lines of the attempt's credential: the token's, or the key's; empty: none. Borrowed till
 * the next attempt. */
struct slice bearer_lines(const struct exchange *x);
/* The provider refused the token, and another is fetched: the same target is worth another try.
 * Once a request. */
bool bearer_renews(struct exchange *x, const struct failure *why);

/* --- the worker's part: the first one fetches, from its tick --- */
void bearer_init(struct worker *w);
void bearer_tick(struct worker *w);
/* Before its upstream goes. */
void bearer_close(struct worker *w);

#endif
