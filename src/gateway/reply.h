/* gateway/reply.h -- the head lines of our answers. */
#ifndef GATEWAY_REPLY_H
#define GATEWAY_REPLY_H

#include "gateway/exchange.h"

enum { REPLY_HEADERS_MAX_BYTES = 2048 };

/* Content-Type and all x- headers of design section 4, for the state the exchange is in. Never
 * fails: what does not fit is left out. */
void reply_headers(struct exchange *x, struct slice content_type, struct text *out);
/* Access-Control-* for a request with an allowed Origin. */
void reply_cors_headers(const struct gateway_conf *conf, const struct http_head *head,
                        struct text *out);

#endif
