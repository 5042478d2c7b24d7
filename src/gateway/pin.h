/* gateway/pin.h -- requests that go on from what one provider keeps: Responses'
 * previous_response_id, conversation, prompt, items and files by their id. docs/decisions/007.
 */
#ifndef GATEWAY_PIN_H
#define GATEWAY_PIN_H

#include "gateway/exchange.h"

/* For chat_ask.is_pinned: leaves only targets of the provider that keeps what the request names and
 * that speak the client's dialect, so that no fallback leaves it. E_NOT_FOUND, E_NOMEM with
 * *out_fault for the client. */
MUST_USE enum err pin_narrow(struct exchange *x, struct fault *out_fault);
/* The provider that keeps the tenant's answer of that id; NULL: it is not known, or does not speak
 * Responses any more. */
const struct route_provider *pin_keeper(const struct exchange *x, struct slice answer) NONNULL;
/* At account: remembers who keeps the answer, so that a later request of the tenant may name it. */
void pin_answer(struct exchange *x);

#endif
