/* conversation.h -- a request that was forwarded, with another model's name in it or a cap, belongs
 * to the conversation that it belonged to. */
#ifndef FUZZ_CONVERSATION_H
#define FUZZ_CONVERSATION_H

#include "dialect/conversation.h"
#include "dialect/dialect.h"

#include <assert.h>

static inline void check_conversation(struct arena *a, const struct dialect *d,
                                      const struct chat_ask *before, const struct chat_ask *after)
{
    struct conversation one = {.session = SLICE_NONE}, two = {.session = SLICE_NONE};
    if (before->op != CHAT_OP_CHAT) {
        return;
    }
    d->front->find_conversation(a, before, &one);
    d->front->find_conversation(a, after, &two);
    assert(slice_eq(one.session, two.session));
    assert(conversation_prefix(&one) == conversation_prefix(&two));
}

#endif
