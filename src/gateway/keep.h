/* gateway/keep.h -- a finished answer for the cache and for those who follow the call. */
#ifndef GATEWAY_KEEP_H
#define GATEWAY_KEEP_H

#include "gateway/exchange.h"

/* A translated stream as one neutral answer; it points into itself. */
struct streamed {
    struct chat_part part;
    struct chat_choice choice;
    struct chat_response response;
};

void keep_gather(const struct exchange *x, struct streamed *out);
/* The provider's whole answer: into the cache where it is wanted, and to the followers in any case.
 */
void keep_answer(struct exchange *x, struct slice body);
/* The same for a stream that has come to its end: its events are in x->answer and x->tail. */
void keep_stream(struct exchange *x);

#endif
