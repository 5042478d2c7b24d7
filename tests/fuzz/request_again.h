/* request_again.h -- a request that was forwarded, with another model's name in it or a cap, reads
 * again as what it was, and belongs to the conversation that it belonged to. */
#ifndef FUZZ_REQUEST_AGAIN_H
#define FUZZ_REQUEST_AGAIN_H

#include "dialect/conversation.h"
#include "dialect/dialect.h"
#include "wire/json.h"

#include <assert.h>

static inline struct slice request_joined(struct arena *a, const struct body_parts *parts)
{
    struct text t = text_growing(a);
    for (size_t i = 0; i < parts->count; i++) {
        text_add(&t, parts->parts[i]);
    }
    assert(t.len == parts->bytes && !t.is_full);
    return text_slice(&t);
}

static inline void request_check_conversation(struct arena *a, const struct dialect *d,
                                              const struct chat_ask *before,
                                              const struct chat_ask *after)
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

/* *out_parts, *out_again: what was sent, and what a second scan reads of it. */
static inline void request_check_forward(struct arena *a, const struct dialect *d,
                                         const struct chat_ask *ask, const struct encode_options *o,
                                         struct body_parts *out_parts, struct chat_ask *out_again)
{
    struct fault fault;
    enum err e = d->forward(a, ask, o, out_parts);
    assert(e == OK);
    e = d->scan(a, ask->op, request_joined(a, out_parts), out_again, &fault);
    assert(e == OK);
    assert(slice_eq(out_again->model, o->model) && out_again->is_stream == ask->is_stream);
    request_check_conversation(a, d, ask, out_again);
}

#endif
