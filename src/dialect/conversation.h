/* dialect/conversation.h -- to which conversation a request belongs: what its client says of it,
 * and what all its turns begin with. Read only where a route leaves a choice, so that the turns of
 * one conversation meet the same provider's prompt cache; nothing but that choice depends on it.
 */
#ifndef DIALECT_CONVERSATION_H
#define DIALECT_CONVERSATION_H

#include "core/arena.h"
#include "wire/spans.h"

enum {
    CONVERSATION_PIECE_MAX_BYTES = 8192, /* hashed of one text, both its ends; its length counts */
    CONVERSATION_LEAD_MAX = 16           /* system turns looked at before the first other one */
};

/* Where a request tells it. Spans are those that scan() found, SPAN_ABSENT where there is none. */
struct conversation {
    struct slice session; /* the client's own id; empty: not told */
    struct span system;   /* a text, a list of blocks, or an object of them */
    struct span tools;
    struct span turns; /* a text, or a list of objects with role and content (or parts) */
};

/* What stays the same from turn to turn, hashed: system prompt, tools, and the turns up to the
 * first that is not the system's; cache markers, which move, and the attribution line are left out,
 * and a text is the same as a list of that one block. 0: there is no turn. */
uint64_t conversation_prefix(const struct conversation *c) NONNULL;

/* Claude Code's system prompt begins with a line that tells Anthropic who bills
 * ("x-anthropic-billing-header: cc_version=...; cch=...;") and differs from request to request.
 * Bytes of it at the beginning of text, its line end included; 0: there is none. line_end: "\n", or
 * the two bytes that spell it in JSON. */
size_t conversation_attribution(struct slice text, struct slice line_end);

/* The session in what Claude Code sends as metadata.user_id, a JSON object with session_id or
 * "user_..._session_<id>"; empty: a user's id like any other. */
struct slice conversation_session_of(struct slice user_id);

/* The text that s is, or that its member "id" is; empty: neither. E.g. of a conversation. */
struct slice conversation_id_of(struct arena *a, const struct span *s) NONNULL;

#endif
