/* gateway/handler.h -- what listen calls: from an HTTP head to an exchange, a model list or a door.
 */
#ifndef GATEWAY_HANDLER_H
#define GATEWAY_HANDLER_H

#include "gateway/exchange.h"

/* The handler of one port; port is its ctx. */
struct http_handler gateway_handler(struct worker_port *port);

/* Ends an exchange whose client has left: cancels, accounts, or lets a followed call go on. */
void exchange_gone(struct exchange *x);

/* GET /v1/models and /v1/models/{id} for a key. */
void models_reply(struct exchange *x, struct slice id);

#endif
