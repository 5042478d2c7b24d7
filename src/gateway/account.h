/* gateway/account.h -- the last stage: usage, cost, limits, journal, metrics. Every exchange passes
 * once. */
#ifndef GATEWAY_ACCOUNT_H
#define GATEWAY_ACCOUNT_H

#include "gateway/exchange.h"

/* Settles and records; idempotent. Called before the last byte of an answer is sent, or when the
 * client has left. http_status: what the client gets. */
void account(struct exchange *x, enum record_status status, int http_status);

/* How long the request took: until it was accounted, or until now. */
static inline int64_t account_took_ns(const struct exchange *x)
{
    return (x->is_accounted ? x->ended_ns : clock_mono_ns()) - x->started_ns;
}

/* The request's log line; at the exchange's end, so that the client does not wait for it. */
void account_log(struct exchange *x);

/* Usage of an answer that reported none, or was cut: our own estimate. */
void account_estimate(struct exchange *x);
/* An attempt is given up before the client had anything of it: if it was fully sent, its input (or
 * what it reported) is billed, and nothing else. */
void account_abandoned(struct exchange *x);

#endif
