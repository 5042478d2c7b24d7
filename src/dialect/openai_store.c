/* Stored OpenAI streams as whole answers, and whole answers as streams: for cache hits in the other
 * form. */
#include "dialect/openai.h"

enum { STORE_DEPTH_MAX = 8, STORE_CHOICES_MAX = 128 };

/* What has come in of one member: deltas are put together as their readers do it. Strings are
 * joined, numbers and the rest replaced, objects merged, elements that carry an index merged by
 * it. */
struct part {
    struct slice key; /* empty in arrays */
    enum { PART_STRING, PART_OTHER, PART_OBJECT, PART_ARRAY } kind;
    struct text text; /* string unescaped, or JSON */
    int64_t index;    /* elements */
    struct part *first, *last, *next;
};

struct store {
    struct arena *arena;
    struct slice head[5]; /* id, model, created, system_fingerprint, service_tier: JSON */
    struct slice usage;
    struct part choices; /* PART_ARRAY */
    bool is_done, is_error;
};

static const char *const head_names[] = {"id", "model", "created", "system_fingerprint",
                                         "service_tier"};

static struct part *add_part(struct store *s, struct part *parent, struct slice key, int64_t index)
{
    struct part *p = ARENA_NEW(s->arena, struct part);
    if (!p) {
        return NULL;
    }
    p->key = key;
    p->index = index;
    p->kind = PART_OTHER;
    p->text = text_growing(s->arena);
    if (parent->last) {
        parent->last->next = p;
    } else {
        parent->first = p;
    }
    parent->last = p;
    return p;
}

static struct part *find_key(const struct part *parent, struct slice key)
{
    for (struct part *p = parent->first; p; p = p->next) {
        if (slice_eq(p->key, key)) {
            return p;
        }
    }
    return NULL;
}

static struct part *find_index(const struct part *parent, int64_t index)
{
    for (struct part *p = parent->first; p; p = p->next) {
        if (p->index == index) {
            return p;
        }
    }
    return NULL;
}

static enum err merge(struct store *s, struct part *into, yyjson_val *v, int depth);

static enum err merge_object(struct store *s, struct part *into, yyjson_val *v, int depth)
{
    size_t i, max;
    yyjson_val *key, *member;
    into->kind = PART_OBJECT;
    yyjson_obj_foreach(v, i, max, key, member)
    {
        struct part *p = find_key(into, json_string(key));
        if (!p) {
            p = add_part(s, into, json_string(key), 0);
        }
        enum err e = p ? merge(s, p, member, depth + 1) : E_NOMEM;
        if (e) {
            return e;
        }
    }
    return OK;
}

static struct part *add_string(struct store *s, struct part *parent, struct slice key,
                               struct slice text)
{
    struct part *p = add_part(s, parent, key, 0);
    if (p) {
        p->kind = PART_STRING;
        text_add(&p->text, text);
    }
    return p;
}

/* Text that joins a list of parts (Mistral sends content as parts and as strings by turns): the
 * last part when it is text, or a new one. */
static enum err join_text(struct store *s, struct part *list, struct slice text)
{
    struct part *last = list->last;
    struct part *type = last ? find_key(last, SLICE("type")) : NULL;
    struct part *at = NULL;
    if (text.len == 0) {
        return OK;
    }
    if (type && slice_eq(text_slice(&type->text), SLICE("text"))) {
        at = find_key(last, SLICE("text"));
    }
    if (at) {
        text_add(&at->text, text);
    } else {
        last = add_part(s, list, SLICE_NONE, -1);
        if (!last || !add_string(s, last, SLICE("type"), SLICE("text")) ||
            !(at = add_string(s, last, SLICE("text"), text))) {
            return E_NOMEM;
        }
        last->kind = PART_OBJECT;
    }
    return at->text.is_full ? E_NOMEM : OK;
}

static enum err merge_array(struct store *s, struct part *into, yyjson_val *v, int depth)
{
    size_t i, max;
    yyjson_val *element;
    bool was_string = into->kind == PART_STRING;
    into->kind = PART_ARRAY;
    if (was_string && join_text(s, into, text_slice(&into->text))) {
        return E_NOMEM;
    }
    yyjson_arr_foreach(v, i, max, element)
    {
        int64_t index = -1;
        struct part *p = NULL;
        if (json_i64(json_get(element, "index"), &index) && index >= 0) {
            p = find_index(into, index);
        }
        if (!p) {
            p = add_part(s, into, SLICE_NONE, index);
        }
        enum err e = p ? merge(s, p, element, depth + 1) : E_NOMEM;
        if (e) {
            return e;
        }
    }
    return OK;
}

/* Names of a thing come once; some servers repeat them. */
static bool is_replaced(struct slice key)
{
    return slice_eq(key, SLICE("id")) || slice_eq(key, SLICE("type")) ||
           slice_eq(key, SLICE("role")) || slice_eq(key, SLICE("name")) ||
           slice_eq(key, SLICE("finish_reason"));
}

static enum err merge(struct store *s, struct part *into, yyjson_val *v, int depth)
{
    if (depth == STORE_DEPTH_MAX) {
        return E_LIMIT;
    }
    if (yyjson_is_obj(v)) {
        return merge_object(s, into, v, depth);
    }
    if (yyjson_is_arr(v)) {
        return merge_array(s, into, v, depth);
    }
    struct slice text = json_string(v);
    if (text.ptr && into->kind == PART_ARRAY) {
        return join_text(s, into, text);
    }
    if (text.ptr) {
        if (into->kind != PART_STRING || (is_replaced(into->key) && text.len)) {
            into->text.len = 0;
        }
        into->kind = PART_STRING;
        text_add(&into->text, text);
    } else if (!yyjson_is_null(v) || into->text.len == 0) {
        if (into->kind != PART_OTHER && yyjson_is_null(v)) {
            return OK;
        }
        into->kind = PART_OTHER;
        into->text.len = 0;
        json_add(&into->text, s->arena, v);
    }
    return into->text.is_full ? E_NOMEM : OK;
}

static enum err take_event(void *ctx, const struct sse_event *event)
{
    struct store *s = ctx;
    struct slice data = slice_trim(event->data);
    yyjson_val *root;
    if (!data.len || s->is_done) {
        return OK;
    }
    if (slice_eq(data, SLICE("[DONE]"))) {
        s->is_done = true;
        return OK;
    }
    enum err e = json_parse(s->arena, data, &root, NULL);
    if (e) {
        return e;
    }
    if (!json_is_none(json_get(root, "error"))) {
        return E_SYNTAX;
    }
    for (size_t i = 0; i < ARRAY_LEN(head_names); i++) {
        yyjson_val *v = json_get(root, head_names[i]);
        if (!s->head[i].len && !json_is_none(v)) {
            s->head[i] = json_text(s->arena, v);
        }
    }
    yyjson_val *usage = json_get(root, "usage");
    if (yyjson_is_obj(usage)) {
        s->usage = json_text(s->arena, usage);
    }
    yyjson_val *choices = json_get(root, "choices");
    return yyjson_is_arr(choices) ? merge_array(s, &s->choices, choices, 0) : OK;
}

/* in_call: inside tool_calls, whose elements carry no index in a whole answer. */
static void write_part(struct text *t, const struct part *p, bool in_call)
{
    if (p->kind == PART_STRING) {
        text_add_json_string(t, text_slice(&p->text));
        return;
    }
    if (p->kind == PART_OTHER) {
        text_add(t, text_slice(&p->text));
        return;
    }
    bool is_object = p->kind == PART_OBJECT;
    bool is_begun = false;
    text_add_char(t, is_object ? '{' : '[');
    for (const struct part *c = p->first; c; c = c->next) {
        if (is_object && in_call && slice_eq(c->key, SLICE("index"))) {
            continue;
        }
        if (is_begun) {
            text_add_char(t, ',');
        }
        is_begun = true;
        if (is_object) {
            text_add_json_string(t, slice_eq(c->key, SLICE("delta")) ? SLICE("message") : c->key);
            text_add_char(t, ':');
        }
        write_part(t, c, in_call || slice_eq(c->key, SLICE("tool_calls")));
    }
    text_add_char(t, is_object ? '}' : ']');
}

enum err openai_to_body(struct arena *a, enum chat_operation op, struct slice events,
                        struct slice *out_body)
{
    struct store s = {.arena = a};
    s.choices.kind = PART_ARRAY;
    enum err e = events_walk(a, events, take_event, &s);
    if (e) {
        return e;
    }
    if (!s.is_done || !s.choices.first) {
        return E_SYNTAX;
    }
    struct text t = text_growing(a);
    TEXT_ADD(&t, "{");
    text_add_json_key(&t, "object");
    text_add_json_string(&t,
                         op == CHAT_OP_CHAT ? SLICE("chat.completion") : SLICE("text_completion"));
    for (size_t i = 0; i < ARRAY_LEN(head_names); i++) {
        if (s.head[i].len) {
            text_add_json_key(&t, head_names[i]);
            text_add(&t, s.head[i]);
        }
    }
    text_add_json_key(&t, "choices");
    write_part(&t, &s.choices, false);
    if (s.usage.len) {
        text_add_json_key(&t, "usage");
        text_add(&t, s.usage);
    }
    TEXT_ADD(&t, "}");
    *out_body = text_slice(&t);
    return t.is_full ? E_NOMEM : OK;
}

struct spread {
    struct text t;
    struct arena *arena;
    yyjson_val *root;
    enum chat_operation op;
    bool wants_usage;
};

static void open_chunk(struct spread *s)
{
    TEXT_ADD(&s->t, "data: {");
    text_add_json_key(&s->t, "object");
    text_add_json_string(&s->t, s->op == CHAT_OP_CHAT ? SLICE("chat.completion.chunk")
                                                      : SLICE("text_completion"));
    for (size_t i = 0; i < ARRAY_LEN(head_names); i++) {
        yyjson_val *v = json_get(s->root, head_names[i]);
        if (!json_is_none(v)) {
            text_add_json_key(&s->t, head_names[i]);
            json_add(&s->t, s->arena, v);
        }
    }
    text_add_json_key(&s->t, "choices");
}

static void close_chunk(struct spread *s)
{
    if (s->wants_usage) {
        TEXT_ADD(&s->t, ",\"usage\":null");
    }
    TEXT_ADD(&s->t, "}\n\n");
}

/* The elements again, each with the index that streams name it by. */
static void write_calls(struct spread *s, yyjson_val *calls)
{
    size_t i, max;
    yyjson_val *call;
    text_add_char(&s->t, '[');
    yyjson_arr_foreach(calls, i, max, call)
    {
        size_t k, count;
        yyjson_val *key, *v;
        text_addf(&s->t, "%s{\"index\":%zu", i ? "," : "", i);
        yyjson_obj_foreach(call, k, count, key, v)
        {
            if (!slice_eq(json_string(key), SLICE("index"))) {
                text_add_char(&s->t, ',');
                text_add_json_string(&s->t, json_string(key));
                text_add_char(&s->t, ':');
                json_add(&s->t, s->arena, v);
            }
        }
        text_add_char(&s->t, '}');
    }
    text_add_char(&s->t, ']');
}

static void write_delta(struct spread *s, yyjson_val *message)
{
    size_t i, max;
    yyjson_val *key, *v;
    bool is_begun = false;
    text_add_char(&s->t, '{');
    yyjson_obj_foreach(message, i, max, key, v)
    {
        if (is_begun) {
            text_add_char(&s->t, ',');
        }
        is_begun = true;
        text_add_json_string(&s->t, json_string(key));
        text_add_char(&s->t, ':');
        if (yyjson_is_arr(v) && slice_eq(json_string(key), SLICE("tool_calls"))) {
            write_calls(s, v);
        } else {
            json_add(&s->t, s->arena, v);
        }
    }
    text_add_char(&s->t, '}');
}

/* All members of the choice but finish_reason, then finish_reason alone. */
static void write_choice(struct spread *s, yyjson_val *choice, size_t position)
{
    size_t i, max;
    yyjson_val *key, *v;
    int64_t index = (int64_t)position;
    (void)json_i64(json_get(choice, "index"), &index);
    open_chunk(s);
    text_addf(&s->t, "[{\"index\":%lld", (long long)index);
    yyjson_obj_foreach(choice, i, max, key, v)
    {
        struct slice name = json_string(key);
        if (slice_eq(name, SLICE("index")) || slice_eq(name, SLICE("finish_reason"))) {
            continue;
        }
        text_add_char(&s->t, ',');
        bool is_message = slice_eq(name, SLICE("message"));
        text_add_json_string(&s->t, is_message ? SLICE("delta") : name);
        text_add_char(&s->t, ':');
        if (is_message) {
            write_delta(s, v);
        } else {
            json_add(&s->t, s->arena, v);
        }
    }
    TEXT_ADD(&s->t, ",\"finish_reason\":null}]");
    close_chunk(s);
    open_chunk(s);
    text_addf(&s->t, "[{\"index\":%lld,%s,\"finish_reason\":", (long long)index,
              s->op == CHAT_OP_CHAT ? "\"delta\":{}" : "\"text\":\"\"");
    yyjson_val *finish = json_get(choice, "finish_reason");
    if (json_is_none(finish)) {
        TEXT_ADD(&s->t, "null"); /* as it came */
    } else {
        json_add(&s->t, s->arena, finish);
    }
    TEXT_ADD(&s->t, "}]");
    close_chunk(s);
}

enum err openai_to_events(struct arena *a, enum chat_operation op, struct slice body,
                          bool wants_usage, struct slice *out_events)
{
    struct spread s = {.t = text_growing(a), .arena = a, .op = op, .wants_usage = wants_usage};
    enum err e = json_parse(a, slice_trim(body), &s.root, NULL);
    if (e) {
        return e;
    }
    yyjson_val *choices = json_get(s.root, "choices");
    if (!yyjson_is_arr(choices) || yyjson_arr_size(choices) == 0 ||
        yyjson_arr_size(choices) > STORE_CHOICES_MAX) {
        return E_SYNTAX;
    }
    size_t i, max;
    yyjson_val *choice;
    yyjson_arr_foreach(choices, i, max, choice)
    {
        write_choice(&s, choice, i);
    }
    yyjson_val *usage = json_get(s.root, "usage");
    if (wants_usage && yyjson_is_obj(usage)) {
        open_chunk(&s);
        TEXT_ADD(&s.t, "[],\"usage\":");
        json_add(&s.t, a, usage);
        TEXT_ADD(&s.t, "}\n\n");
    }
    TEXT_ADD(&s.t, "data: [DONE]\n\n");
    *out_events = text_slice(&s.t);
    return s.t.is_full ? E_NOMEM : OK;
}
