#include "gateway/affinity.h"

#include "dialect/conversation.h"

/* Sessions as clients name them in heads, each once a conversation. */
static const struct slice session_headers[] = {
    SLICE_INIT("x-claude-code-session-id"),
    SLICE_INIT("session-id"), /* Codex, in both spellings */
    SLICE_INIT("session_id"),
    SLICE_INIT("conversation_id"),
    SLICE_INIT("x-session-affinity"), /* OpenCode */
};

uint64_t affinity_of(struct id tenant, enum affinity_source source, struct slice value)
{
    const uint64_t first[2] = {UINT64_C(0x616666696e697479), (uint64_t)source};
    const uint64_t second[2] = {first[0],
                                siphash(first, slice_of((const char *)tenant.bytes, ID_BYTES))};
    uint64_t hash = siphash(second, value);
    return hash ? hash : 1;
}

struct slice affinity_source_name(enum affinity_source source)
{
    switch (source) {
    case AFFINITY_NONE: break;
    case AFFINITY_HEADER: return SLICE("header");
    case AFFINITY_SESSION: return SLICE("session");
    case AFFINITY_PREFIX: return SLICE("prefix");
    }
    return SLICE_NONE;
}

static void take(struct exchange *x, enum affinity_source source, struct slice value)
{
    x->affinity_source = source;
    x->affinity = affinity_of(x->who.tenant, source, value);
}

static struct slice session_of_head(const struct http_head *head)
{
    struct slice session = SLICE_NONE;
    for (size_t i = 0; i < ARRAY_LEN(session_headers) && !session.len; i++) {
        session = http_head_find(head, session_headers[i]);
    }
    return session;
}

void affinity_find(struct exchange *x)
{
    if (!route_is_free(&x->plan)) {
        return;
    }
    struct slice header = http_head_get(&x->rq->head, FIELD_X_LLM_GATEWAY_AFFINITY);
    if (slice_eq_nocase(header, SLICE("off"))) {
        return;
    }
    if (header.len) {
        take(x, AFFINITY_HEADER, header);
        return;
    }
    struct slice session = session_of_head(&x->rq->head);
    bool is_chat = !x->raw && x->route->op == CHAT_OP_CHAT;
    struct conversation c = {.session = session};
    if (is_chat && !session.len && x->client->front->find_conversation) {
        x->client->front->find_conversation(x->arena, &x->ask, &c);
    }
    if (c.session.len) {
        take(x, AFFINITY_SESSION, c.session);
        return;
    }
    uint64_t prefix = is_chat ? conversation_prefix(&c) : 0;
    if (prefix) {
        take(x, AFFINITY_PREFIX, slice_of((const char *)&prefix, sizeof(prefix)));
    }
}
