#include "dialect/conversation.h"

#include "core/check.h"
#include "core/hash.h"
#include "dialect/read.h"

/* --- what differs though the conversation does not ---------------------------------------------
 */

size_t conversation_attribution(struct slice text, struct slice line_end)
{
    if (!slice_starts(text, SLICE("x-anthropic-billing-header:"))) {
        return 0;
    }
    return size_min(text.len, slice_search(text, line_end) + line_end.len);
}

static bool is_passing(const struct span *member)
{
    struct slice key = read_key(member);
    return slice_eq(key, SLICE("cache_control")) || slice_eq(key, SLICE("type"));
}

/* --- prefix ------------------------------------------------------------------------------------
 */

/* Each piece is hashed under the hash of those before it; the same in every process. */
struct prefix {
    uint64_t hash;
};

static void add_bytes(struct prefix *p, struct slice s)
{
    enum { END_BYTES = CONVERSATION_PIECE_MAX_BYTES / 2 };
    const uint64_t key[2] = {p->hash, s.len};
    if (s.len <= CONVERSATION_PIECE_MAX_BYTES) {
        p->hash = siphash(key, s);
        return;
    }
    const uint64_t then[2] = {siphash(key, slice_head(s, END_BYTES)), s.len};
    p->hash = siphash(then, slice_from(s, s.len - END_BYTES));
}

/* As spelled: a client spells the same text alike. */
static void add_string(struct prefix *p, const struct span *s)
{
    struct slice text = span_plain(s);
    text = slice_from(text, conversation_attribution(text, SLICE("\\n")));
    if (text.len) {
        add_bytes(p, text);
    }
}

/* A block by its members, whatever they are. */
static void add_block(struct prefix *p, struct slice block)
{
    struct span_cursor c;
    struct span m;
    if (span_skim(&c, block)) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind == SPAN_STRING && !is_passing(&m)) {
            add_string(p, &m);
        } else if (!is_passing(&m)) {
            add_bytes(p, m.value);
        }
    }
}

/* A text, or blocks of it. */
static void add_content(struct prefix *p, const struct span *content)
{
    struct span_cursor c;
    struct span m;
    if (content->kind == SPAN_STRING) {
        add_string(p, content);
    } else if (content->kind == SPAN_OBJECT) {
        add_block(p, content->value);
    }
    if (content->kind != SPAN_ARRAY || span_skim(&c, content->value)) {
        return;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        if (m.kind == SPAN_OBJECT) {
            add_block(p, m.value);
        } else {
            add_bytes(p, m.value);
        }
    }
}

/* True: it says something, and is not the system's. */
static bool add_turn(struct prefix *p, struct slice turn)
{
    struct span_cursor c;
    struct span m;
    bool is_system = false, has_content = false;
    if (span_skim(&c, turn)) {
        return false;
    }
    while (span_next(&c, &m) == SPAN_ITEM) {
        struct slice key = read_key(&m);
        if (slice_eq(key, SLICE("role"))) {
            is_system =
                span_string_is(&m, SLICE("system")) || span_string_is(&m, SLICE("developer"));
        } else if (slice_eq(key, SLICE("content")) || slice_eq(key, SLICE("parts"))) {
            has_content = true;
            add_content(p, &m);
        }
    }
    return has_content && !is_system;
}

static bool add_turns(struct prefix *p, const struct span *turns)
{
    struct span_cursor c;
    struct span m;
    bool is_found = turns->kind == SPAN_STRING;
    if (turns->kind == SPAN_STRING) {
        add_string(p, turns);
    }
    if (turns->kind != SPAN_ARRAY || span_skim(&c, turns->value)) {
        return is_found;
    }
    for (int i = 0; !is_found && i < CONVERSATION_LEAD_MAX && span_next(&c, &m) == SPAN_ITEM; i++) {
        is_found = m.kind == SPAN_OBJECT && add_turn(p, m.value);
    }
    return is_found;
}

uint64_t conversation_prefix(const struct conversation *c)
{
    struct prefix p = {.hash = 0};
    if (!add_turns(&p, &c->turns)) {
        return 0;
    }
    add_content(&p, &c->system);
    if (read_is_given(&c->tools)) {
        add_bytes(&p, c->tools.value);
    }
    return p.hash ? p.hash : 1;
}

/* --- session -----------------------------------------------------------------------------------
 */

struct slice conversation_session_of(struct slice user_id)
{
    static const struct span_name name = {SLICE_INIT("session_id"), false};
    static const struct slice mark = SLICE_INIT("_session_");
    struct span session;
    struct span_object o;
    if (slice_starts(user_id, SLICE("{"))) {
        bool is_told = spans_scan(user_id, &name, 1, &session, &o) == OK &&
                       session.kind == SPAN_STRING && session.is_string_plain;
        return is_told ? span_plain(&session) : SLICE_NONE;
    }
    size_t at = slice_search(user_id, mark);
    return slice_from(user_id, at + mark.len);
}

struct slice conversation_id_of(struct arena *a, const struct span *s)
{
    static const struct span_name name = {SLICE_INIT("id"), false};
    struct span id = *s;
    struct span_object o;
    if (s->kind == SPAN_OBJECT && spans_scan(s->value, &name, 1, &id, &o)) {
        return SLICE_NONE;
    }
    return id.kind == SPAN_STRING ? read_text(a, &id) : SLICE_NONE;
}
