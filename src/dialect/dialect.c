#include "dialect/dialect.h"

#include "dialect/stream.h"

#include <assert.h>

static const struct dialect *const providers[] = {&dialect_openai,  &dialect_anthropic,
                                                  &dialect_gemini,  &dialect_responses,
                                                  &dialect_bedrock, &dialect_ollama};

const struct dialect *dialect_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(providers); i++) {
        if (slice_eq(name, slice_str(providers[i]->name))) {
            return providers[i];
        }
    }
    return NULL;
}

static bool can_translate_to(const struct dialect *d, enum chat_operation op)
{
    switch (op) {
    case CHAT_OP_COUNT_TOKENS: return d->read_count != NULL;
    case CHAT_OP_EMBEDDING: return d->embedding != NULL;
    case CHAT_OP_CHAT:
    case CHAT_OP_COMPLETION:
    case CHAT_OP_MODERATION: break; /* the last two are relayed, never translated */
    }
    return true;
}

const struct dialect *dialect_choose(const struct dialect *client, enum chat_operation op,
                                     const struct dialect *const *spoken, size_t count)
{
    const struct dialect *able = NULL;
    assert(count > 0);
    for (size_t i = 0; i < count; i++) {
        if (spoken[i] == client) {
            return client;
        }
        able = able || !can_translate_to(spoken[i], op) ? able : spoken[i];
    }
    return able ? able : spoken[0];
}

const struct dialect *dialect_of_path(struct slice path)
{
    for (size_t i = 0; i < ARRAY_LEN(providers); i++) {
        struct slice begin = providers[i]->front->path;
        if (begin.len && slice_starts(path, begin)) {
            return providers[i];
        }
    }
    return NULL;
}

const struct dialect *dialect_of_head(const struct http_head *head, const struct dialect *otherwise)
{
    for (size_t i = 0; i < ARRAY_LEN(providers); i++) {
        struct slice name = providers[i]->front->client_header;
        if (name.len && http_head_find(head, name).len) {
            return providers[i];
        }
    }
    return otherwise;
}

const struct dialect *dialect_of_record(enum record_dialect record)
{
    for (size_t i = 0; i < ARRAY_LEN(providers); i++) {
        if (providers[i]->record == record) {
            return providers[i];
        }
    }
    return record == RECORD_DIALECT_OWN ? &dialect_own : NULL;
}

enum err dialect_events_to_body(struct arena *a, const struct dialect *d, enum chat_operation op,
                                struct slice events, struct slice *out_body)
{
    return d->events->to_body(a, op, events, out_body);
}

enum err dialect_body_to_events(struct arena *a, const struct dialect *d, enum chat_operation op,
                                struct slice body, bool wants_usage, struct slice *out_events)
{
    return d->events->to_events(a, op, body, wants_usage, out_events);
}

enum err events_walk(struct arena *a, struct slice events, sse_event_fn on_event, void *ctx)
{
    struct sse s;
    sse_init(&s, a, events.len + 1, on_event, ctx);
    enum err e = sse_feed(&s, events);
    return e ? e : sse_end(&s);
}
