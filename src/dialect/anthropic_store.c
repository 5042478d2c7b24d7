/* Stored Anthropic streams as whole answers, and whole answers as streams: for cache hits in the
 * other form. */
#include "dialect/anthropic.h"
#include "dialect/write.h"

enum { STORE_BLOCKS_MAX = 4096 };

/* A block as it began, and what its deltas added. */
struct part {
    int64_t index;
    yyjson_val *start;
    struct text text, signature, input, citations; /* citations: elements with commas between */
    struct part *next;
};

struct store {
    struct arena *arena;
    yyjson_val *message; /* of message_start */
    yyjson_val *delta, *usage;
    struct part *first, *last;
    size_t count;
    bool is_done, is_failed;
};

static bool is_type(yyjson_val *v, const char *type)
{
    return slice_eq(json_get_string(v, "type"), slice_str(type));
}

static bool has_input(yyjson_val *block)
{
    return slice_ends(json_get_string(block, "type"), SLICE("tool_use"));
}

/* --- events to a body --------------------------------------------------------------------------
 */

static enum err start_part(struct store *s, int64_t index, yyjson_val *start)
{
    struct part *p = s->count < STORE_BLOCKS_MAX ? ARENA_NEW(s->arena, struct part) : NULL;
    if (!yyjson_is_obj(start)) {
        return E_SYNTAX;
    }
    if (!p) {
        return s->count < STORE_BLOCKS_MAX ? E_NOMEM : E_LIMIT;
    }
    *p = (struct part){.index = index,
                       .start = start,
                       .text = text_growing(s->arena),
                       .signature = text_growing(s->arena),
                       .input = text_growing(s->arena),
                       .citations = text_growing(s->arena)};
    if (s->last) {
        s->last->next = p;
    } else {
        s->first = p;
    }
    s->last = p;
    s->count++;
    return OK;
}

static enum err add_delta(struct store *s, int64_t index, yyjson_val *delta)
{
    struct part *p = s->last && s->last->index == index ? s->last : s->first;
    while (p && p->index != index) {
        p = p->next;
    }
    if (!p) {
        return E_SYNTAX;
    }
    text_add(&p->text, json_get_string(delta, "text"));
    text_add(&p->text, json_get_string(delta, "thinking"));
    text_add(&p->signature, json_get_string(delta, "signature"));
    text_add(&p->input, json_get_string(delta, "partial_json"));
    if (json_get(delta, "citation")) {
        text_add(&p->citations, p->citations.len ? SLICE(",") : SLICE_NONE);
        json_add(&p->citations, s->arena, json_get(delta, "citation"));
    }
    s->is_failed = s->is_failed || p->text.is_full || p->signature.is_full || p->input.is_full ||
                   p->citations.is_full;
    return OK;
}

static enum err take_event(void *ctx, const struct sse_event *event)
{
    struct store *s = ctx;
    struct slice data = slice_trim(event->data);
    yyjson_val *root;
    int64_t index = 0;
    if (!data.len || s->is_done) {
        return OK;
    }
    enum err e = json_parse(s->arena, data, &root, NULL);
    if (e || is_type(root, "error") || !json_is_none(json_get(root, "error"))) {
        return e ? e : E_SYNTAX;
    }
    (void)json_i64(json_get(root, "index"), &index);
    if (is_type(root, "message_start")) { /* another one begins anew */
        s->message = json_get(root, "message");
        s->first = s->last = NULL;
        s->count = 0;
    } else if (is_type(root, "content_block_start")) {
        e = start_part(s, index, json_get(root, "content_block"));
    } else if (is_type(root, "content_block_delta")) {
        e = add_delta(s, index, json_get(root, "delta"));
    } else if (is_type(root, "message_delta")) {
        s->delta = json_get(root, "delta");
        s->usage = json_get(root, "usage");
    } else {
        s->is_done = is_type(root, "message_stop");
    }
    return e;
}

static void write_joined(struct text *t, const char *name, yyjson_val *was, const struct text *more)
{
    struct text all = text_growing(t->arena);
    text_add(&all, json_string(was));
    text_add(&all, text_slice(more));
    write_string(t, name, text_slice(&all));
    t->is_full = t->is_full || all.is_full;
}

/* The member of the block that its deltas made grow; false: none did. */
static bool write_grown(struct text *t, const struct part *p, struct slice name, yyjson_val *v)
{
    struct span_fault unused;
    if (slice_eq(name, SLICE("text")) && is_type(p->start, "text")) {
        write_joined(t, "text", v, &p->text);
    } else if (slice_eq(name, SLICE("thinking")) && is_type(p->start, "thinking")) {
        write_joined(t, "thinking", v, &p->text);
    } else if (slice_eq(name, SLICE("signature")) && p->signature.len) {
        write_joined(t, "signature", v, &p->signature);
    } else if (slice_eq(name, SLICE("input")) && p->input.len &&
               spans_check(text_slice(&p->input), &unused) == OK) {
        write_raw(t, "input", text_slice(&p->input));
    } else if (slice_eq(name, SLICE("citations")) && p->citations.len) {
        text_add_json_key(t, "citations");
        TEXT_ADD(t, "[");
        text_add(t, text_slice(&p->citations));
        TEXT_ADD(t, "]");
    } else {
        return false;
    }
    return true;
}

static void write_name(struct text *t, struct slice name)
{
    text_add(t, t->ptr && t->ptr[t->len - 1] != '{' ? SLICE(",") : SLICE_NONE);
    text_add_json_string(t, name);
    text_add_char(t, ':');
}

/* v NULL: null. */
static void write_member(struct text *t, struct arena *a, struct slice name, yyjson_val *v)
{
    write_name(t, name);
    if (v) {
        json_add(t, a, v);
    } else {
        TEXT_ADD(t, "null");
    }
}

static void write_part(struct store *s, struct text *t, const struct part *p)
{
    size_t i, max;
    yyjson_val *key, *v;
    write_element(t);
    yyjson_obj_foreach(p->start, i, max, key, v)
    {
        if (!write_grown(t, p, json_string(key), v)) {
            write_member(t, s->arena, json_string(key), v);
        }
    }
    if (!json_get(p->start, "signature") && p->signature.len) {
        write_string(t, "signature", text_slice(&p->signature));
    }
    if (!json_get(p->start, "citations")) {
        (void)write_grown(t, p, SLICE("citations"), NULL);
    }
    TEXT_ADD(t, "}");
}

/* The members of an object whose names the other has not. */
static void write_others(struct text *t, struct arena *a, yyjson_val *object, yyjson_val *other)
{
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&iter))) {
        if (!yyjson_obj_getn(other, yyjson_get_str(key), yyjson_get_len(key))) {
            write_member(t, a, json_string(key), yyjson_obj_iter_get_val(key));
        }
    }
}

/* Members of one object, those of another in their place where they are not null, and what only the
 * other has. */
static void write_merged(struct text *t, struct arena *a, yyjson_val *one, yyjson_val *two)
{
    yyjson_obj_iter iter = yyjson_obj_iter_with(one);
    yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&iter))) {
        yyjson_val *newer = yyjson_obj_getn(two, yyjson_get_str(key), yyjson_get_len(key));
        write_member(t, a, json_string(key),
                     json_is_none(newer) ? yyjson_obj_iter_get_val(key) : newer);
    }
    write_others(t, a, two, one);
}

static void write_content(struct store *s, struct text *t)
{
    text_add_json_key(t, "content");
    TEXT_ADD(t, "[");
    for (const struct part *p = s->first; p; p = p->next) {
        write_part(s, t, p);
    }
    TEXT_ADD(t, "]");
}

static void write_usage(struct store *s, struct text *t)
{
    text_add_json_key(t, "usage");
    TEXT_ADD(t, "{");
    write_merged(t, s->arena, json_get(s->message, "usage"), s->usage);
    TEXT_ADD(t, "}");
}

static void write_message(struct store *s, struct text *t)
{
    size_t i, max;
    yyjson_val *key, *v;
    TEXT_ADD(t, "{");
    yyjson_obj_foreach(s->message, i, max, key, v)
    {
        struct slice name = json_string(key);
        yyjson_val *newer = yyjson_obj_getn(s->delta, yyjson_get_str(key), yyjson_get_len(key));
        if (slice_eq(name, SLICE("content"))) {
            write_content(s, t);
        } else if (slice_eq(name, SLICE("usage"))) {
            write_usage(s, t);
        } else {
            write_member(t, s->arena, name, newer ? newer : v);
        }
    }
    write_others(t, s->arena, s->delta, s->message);
    TEXT_ADD(t, "}");
}

enum err anthropic_to_body(struct arena *a, enum chat_operation op, struct slice events,
                           struct slice *out_body)
{
    struct store s = {.arena = a};
    struct text t = text_growing(a);
    (void)op;
    enum err e = events_walk(a, events, take_event, &s);
    if (e || !s.is_done || !json_get(s.message, "content")) {
        return e ? e : E_SYNTAX;
    }
    write_message(&s, &t);
    *out_body = text_slice(&t);
    return t.is_full || s.is_failed ? E_NOMEM : OK;
}

/* --- a body to events --------------------------------------------------------------------------
 */

static void open_event(struct text *t, const char *type)
{
    text_addf(t, "event: %s\ndata: {\"type\":\"%s\"", type, type);
}

static bool is_of_the_end(struct slice name)
{
    return slice_eq(name, SLICE("stop_reason")) || slice_eq(name, SLICE("stop_sequence")) ||
           slice_eq(name, SLICE("stop_details")) || slice_eq(name, SLICE("container"));
}

static void spread_start(struct text *t, struct arena *a, yyjson_val *root)
{
    size_t i, max;
    yyjson_val *key, *v;
    open_event(t, "message_start");
    text_add_json_key(t, "message");
    TEXT_ADD(t, "{");
    yyjson_obj_foreach(root, i, max, key, v)
    {
        struct slice name = json_string(key);
        if (slice_eq(name, SLICE("content"))) {
            write_raw(t, "content", SLICE("[]"));
        } else if (is_of_the_end(name)) {
            write_member(t, a, name, NULL);
        } else {
            write_member(t, a, name, v);
        }
    }
    TEXT_ADD(t, "}}\n\n");
}

/* What grows by deltas begins empty. */
static void spread_block_start(struct text *t, struct arena *a, yyjson_val *block, size_t index)
{
    size_t i, max;
    yyjson_val *key, *v;
    open_event(t, "content_block_start");
    write_count(t, "index", (int64_t)index);
    text_add_json_key(t, "content_block");
    TEXT_ADD(t, "{");
    yyjson_obj_foreach(block, i, max, key, v)
    {
        struct slice name = json_string(key);
        bool is_text = (slice_eq(name, SLICE("text")) && is_type(block, "text")) ||
                       (is_type(block, "thinking") &&
                        (slice_eq(name, SLICE("thinking")) || slice_eq(name, SLICE("signature"))));
        if (is_text && yyjson_is_str(v)) {
            write_name(t, name);
            TEXT_ADD(t, "\"\"");
        } else if (slice_eq(name, SLICE("input")) && has_input(block) && yyjson_is_obj(v)) {
            write_raw(t, "input", SLICE("{}"));
        } else if (slice_eq(name, SLICE("citations")) && yyjson_is_arr(v) &&
                   is_type(block, "text")) {
            write_raw(t, "citations", SLICE("[]"));
        } else {
            write_member(t, a, name, v);
        }
    }
    TEXT_ADD(t, "}}\n\n");
}

static void open_delta(struct text *t, size_t index, const char *type)
{
    open_event(t, "content_block_delta");
    write_count(t, "index", (int64_t)index);
    text_add_json_key(t, "delta");
    TEXT_ADD(t, "{");
    write_string(t, "type", slice_str(type));
}

static void spread_text(struct text *t, size_t index, const char *type, const char *member,
                        struct slice text)
{
    if (text.len) {
        open_delta(t, index, type);
        write_string(t, member, text);
        TEXT_ADD(t, "}}\n\n");
    }
}

static void spread_block(struct text *t, struct arena *a, yyjson_val *block, size_t index)
{
    size_t i, max;
    yyjson_val *v;
    yyjson_val *input = json_get(block, "input");
    yyjson_val *citations = is_type(block, "text") ? json_get(block, "citations") : NULL;
    spread_block_start(t, a, block, index);
    yyjson_arr_foreach(citations, i, max, v)
    {
        open_delta(t, index, "citations_delta");
        write_member(t, a, SLICE("citation"), v);
        TEXT_ADD(t, "}}\n\n");
    }
    if (is_type(block, "text")) {
        spread_text(t, index, "text_delta", "text", json_get_string(block, "text"));
    } else if (is_type(block, "thinking")) {
        spread_text(t, index, "thinking_delta", "thinking", json_get_string(block, "thinking"));
        spread_text(t, index, "signature_delta", "signature", json_get_string(block, "signature"));
    } else if (has_input(block) && yyjson_obj_size(input)) {
        spread_text(t, index, "input_json_delta", "partial_json", json_text(a, input));
    }
    open_event(t, "content_block_stop");
    write_count(t, "index", (int64_t)index);
    TEXT_ADD(t, "}\n\n");
}

static void spread_end(struct text *t, struct arena *a, yyjson_val *root)
{
    size_t i, max;
    yyjson_val *key, *v;
    open_event(t, "message_delta");
    text_add_json_key(t, "delta");
    TEXT_ADD(t, "{");
    yyjson_obj_foreach(root, i, max, key, v)
    {
        if (is_of_the_end(json_string(key))) {
            write_member(t, a, json_string(key), v);
        }
    }
    TEXT_ADD(t, "}");
    if (json_get(root, "usage")) {
        write_member(t, a, SLICE("usage"), json_get(root, "usage"));
    }
    TEXT_ADD(t, "}\n\n");
    text_add(t, dialect_anthropic.events->done);
}

enum err anthropic_to_events(struct arena *a, enum chat_operation op, struct slice body,
                             bool wants_usage, struct slice *out_events)
{
    struct text t = text_growing(a);
    yyjson_val *root, *v;
    size_t i, max;
    (void)op;
    (void)wants_usage; /* every stream tells it */
    enum err e = json_parse(a, slice_trim(body), &root, NULL);
    yyjson_val *content = e ? NULL : json_get(root, "content");
    if (e || !yyjson_is_arr(content)) {
        return e ? e : E_SYNTAX;
    }
    spread_start(&t, a, root);
    yyjson_arr_foreach(content, i, max, v)
    {
        if (!yyjson_is_obj(v)) {
            return E_SYNTAX;
        }
        spread_block(&t, a, v, i);
    }
    spread_end(&t, a, root);
    *out_events = text_slice(&t);
    return t.is_full ? E_NOMEM : OK;
}
