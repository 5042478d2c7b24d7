/* Arguments of a call that stream by their JSON paths:
 * {"jsonPath":"$.location","stringValue":"Bos", "willContinue":true}. Pieces of a string with one
 * path are one string.
 *
 *   path    $ ( .name | ['name'] | ["name"] | [n] )*
 */
#include "dialect/gemini.h"

enum { NODES_MAX = 4096, DEPTH_MAX = 32, INDEX_MAX = 4095 };

enum node_kind { NODE_NONE, NODE_OBJECT, NODE_ARRAY, NODE_STRING, NODE_OTHER };

struct node {
    enum node_kind kind;
    struct slice key; /* in an object; the exchange's arena */
    int64_t index;    /* in an array */
    struct text text; /* STRING: unescaped; OTHER: JSON */
    struct node *first, *last, *next;
};

struct gemini_partial {
    struct node root;
    size_t nodes;
};

/* One step of a path: a name, or an index where the name has no address. */
struct step {
    struct slice name;
    int64_t index;
};

/* False: it is no path. */
static bool next_step(struct slice *rest, struct step *out)
{
    struct slice s = *rest;
    *out = (struct step){.index = -1};
    if (s.ptr[0] == '.') {
        s = slice_from(s, 1);
        size_t len = 0;
        while (len < s.len && s.ptr[len] != '.' && s.ptr[len] != '[') {
            len++;
        }
        out->name = slice_head(s, len);
        *rest = slice_from(s, len);
        return len > 0;
    }
    bool is_quoted = s.len > 3 && (s.ptr[1] == '\'' || s.ptr[1] == '"');
    struct slice end = !is_quoted ? SLICE("]") : s.ptr[1] == '\'' ? SLICE("']") : SLICE("\"]");
    size_t from = is_quoted ? 2 : 1;
    size_t len = slice_search(slice_from(s, from), end);
    if (s.ptr[0] != '[' || from + len >= s.len) {
        return false;
    }
    struct slice inside = slice_of(s.ptr + from, len);
    *rest = slice_from(s, from + len + end.len);
    if (is_quoted) {
        out->name = inside;
        return true;
    }
    return slice_to_i64(inside, &out->index) && out->index >= 0 && out->index <= INDEX_MAX;
}

/* E_SYNTAX: the place is taken by another kind; E_LIMIT; E_NOMEM. */
static enum err find_child(struct arena *a, struct gemini_partial *p, struct node *parent,
                           const struct step *step, struct node **out)
{
    bool is_array = step->index >= 0;
    if (parent->kind == NODE_NONE) {
        parent->kind = is_array ? NODE_ARRAY : NODE_OBJECT;
    }
    if (parent->kind != (is_array ? NODE_ARRAY : NODE_OBJECT)) {
        return E_SYNTAX;
    }
    for (struct node *n = parent->first; n; n = n->next) {
        if (is_array ? n->index == step->index : slice_eq(n->key, step->name)) {
            *out = n;
            return OK;
        }
    }
    struct node *n = p->nodes < NODES_MAX ? ARENA_NEW(a, struct node) : NULL;
    if (!n) {
        return p->nodes < NODES_MAX ? E_NOMEM : E_LIMIT;
    }
    p->nodes++;
    n->key = arena_dup(a, step->name);
    n->index = step->index;
    n->text = text_growing(a);
    if (parent->last) {
        parent->last->next = n;
    } else {
        parent->first = n;
    }
    parent->last = n;
    *out = n;
    return n->key.ptr ? OK : E_NOMEM;
}

static enum err find_node(struct arena *a, struct gemini_partial *p, struct slice path,
                          struct node **out)
{
    struct node *at = &p->root;
    enum err e = OK;
    if (path.len < 2 || path.ptr[0] != '$') {
        return E_SYNTAX; /* the arguments are an object; its members stream */
    }
    path = slice_from(path, 1);
    for (size_t depth = 0; path.len && !e; depth++) {
        struct step step;
        if (depth == DEPTH_MAX || !next_step(&path, &step)) {
            return E_SYNTAX;
        }
        e = find_child(a, p, at, &step, &at);
    }
    *out = at;
    return e;
}

static enum err add_value(struct arena *a, struct node *n, yyjson_val *v)
{
    yyjson_val *string = gemini_get(v, "stringValue");
    yyjson_val *number = gemini_get(v, "numberValue");
    yyjson_val *boolean = gemini_get(v, "boolValue");
    if (n->kind == NODE_OBJECT || n->kind == NODE_ARRAY) {
        return E_SYNTAX;
    }
    if (string) {
        n->kind = NODE_STRING;
        text_add(&n->text, json_string(string));
    } else {
        n->kind = NODE_OTHER;
        n->text.len = 0;
        if (number || boolean) {
            json_add(&n->text, a, number ? number : boolean);
        } else {
            TEXT_ADD(&n->text, "null");
        }
    }
    return n->text.is_full ? E_NOMEM : OK;
}

enum err gemini_partial_add(struct arena *a, struct gemini_partial **p, yyjson_val *args)
{
    size_t i, max;
    yyjson_val *v;
    if (!*p) {
        *p = ARENA_NEW(a, struct gemini_partial);
    }
    if (!*p) {
        return E_NOMEM;
    }
    yyjson_arr_foreach(args, i, max, v)
    {
        struct node *n = NULL;
        enum err e = find_node(a, *p, gemini_get_string(v, "jsonPath"), &n);
        e = e ? e : add_value(a, n, v);
        if (e) {
            return e;
        }
    }
    return OK;
}

static void write_node(const struct node *n, struct text *t)
{
    switch (n->kind) {
    case NODE_STRING: text_add_json_string(t, text_slice(&n->text)); return;
    case NODE_OTHER: text_add(t, text_slice(&n->text)); return;
    case NODE_NONE: TEXT_ADD(t, "{}"); return;
    case NODE_OBJECT:
    case NODE_ARRAY: break;
    }
    text_add_char(t, n->kind == NODE_OBJECT ? '{' : '[');
    for (const struct node *c = n->first; c; c = c->next) { /* elements come in their order */
        if (c != n->first) {
            text_add_char(t, ',');
        }
        if (n->kind == NODE_OBJECT) {
            text_add_json_string(t, c->key);
            text_add_char(t, ':');
        }
        write_node(c, t);
    }
    text_add_char(t, n->kind == NODE_OBJECT ? '}' : ']');
}

void gemini_partial_write(const struct gemini_partial *p, struct text *t)
{
    if (p) {
        write_node(&p->root, t);
    } else {
        TEXT_ADD(t, "{}");
    }
}
