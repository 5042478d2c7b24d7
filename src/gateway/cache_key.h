/* gateway/cache_key.h -- the key under which a request's answer is cached.
 *
 * The fingerprint (cache/fingerprint.h) needs a tree of the body, which is half of what a hit
 * costs. So each worker remembers the fingerprints of the last bodies by the SHA-256 of their
 * bytes, together with everything else that decides: tenant, operation, model and configuration
 * version.
 */
#ifndef GATEWAY_CACHE_KEY_H
#define GATEWAY_CACHE_KEY_H

#include "gateway/exchange.h"

/* Fills x->cache_key; false: the request has none (its body is not canonical, or memory ended). */
bool cache_key_make(struct exchange *x);

#endif
