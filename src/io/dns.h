/* io/dns.h -- host name to addresses, off the loop (getaddrinfo on offload threads), cached per
 * loop.
 *
 * Both families; the order alternates IPv6 and IPv4 as RFC 8305 section 4 does. Literals are
 * answered at once. Positive answers live dns_conf.ttl_ns, failures a second; an expired answer is
 * served while a new one is fetched, and on when that fails.
 */
#ifndef IO_DNS_H
#define IO_DNS_H

#include "core/err.h"
#include "core/slice.h"
#include "io/loop.h"
#include "io/offload.h"

#include <netinet/in.h>
#include <sys/socket.h>

enum { DNS_ADDRESSES_MAX = 8, DNS_HOST_MAX_BYTES = 255, DNS_CACHE_MAX_ENTRIES = 256 };

union dns_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct dns_answer {
    size_t count;
    union dns_address addresses[DNS_ADDRESSES_MAX]; /* port filled in */
};

struct dns;       /* one a loop */
struct dns_query; /* in flight */
/* answer is borrowed for the call; e is OK or E_DNS. */
typedef void (*dns_answer_fn)(void *ctx, enum err e, const struct dns_answer *answer);

MUST_USE enum err dns_new(struct loop *loop, struct offload *offload, int64_t ttl_ns,
                          struct dns **out_dns);
/* No query's on_answer is called any more. Free it before the offload, and that before the loop. */
void dns_free(struct dns *dns);
/* *out_query is NULL when on_answer was called before the return, and on error (E_DNS: not a name;
 * E_BUSY, E_NOMEM), when it is not called at all. The query is gone once on_answer was called. */
MUST_USE enum err dns_lookup(struct dns *dns, struct slice host, uint16_t port,
                             dns_answer_fn on_answer, void *ctx, struct dns_query **out_query);
/* on_answer will not be called. NULL is fine. */
void dns_cancel(struct dns_query *query);

#endif
