/* The configuration file as a bounded tree with marks; ${VAR} is expanded in values. */
#include "app/config_inside.h"
#include "core/check.h"

#include <errno.h>
#include <yaml.h>

enum { YAML_DEPTH_MAX = 24, YAML_NODES_MAX = 20000, YAML_ITEMS_MAX = 4096, YAML_ANCHORS_MAX = 256 };

struct anchor {
    struct slice name;
    struct yaml_node *node;
};

struct reader {
    struct config_build *b;
    yaml_parser_t parser;
    size_t node_count;
    struct anchor anchors[YAML_ANCHORS_MAX];
    size_t anchor_count;
    bool has_failed;
};

struct slice config_place(struct config_build *b, const struct yaml_node *node)
{
    char text[512];
    int len =
        snprintf(text, sizeof(text), "%s:%zu:%zu", b->src->config_file, node->line, node->column);
    return scratch_dup(&b->scratch,
                       slice_of(text, size_min(len > 0 ? (size_t)len : 0, sizeof(text) - 1)));
}

static void fail_at(struct reader *r, yaml_mark_t mark, const char *problem)
{
    struct yaml_node at = {.line = mark.line + 1, .column = mark.column + 1};
    if (!r->has_failed) {
        config_error(r->b, config_place(r->b, &at), "%s", problem);
    }
    r->has_failed = true;
}

static struct yaml_node *node_new(struct reader *r, enum yaml_kind kind, yaml_mark_t mark)
{
    struct yaml_node *node = NULL;
    if (r->node_count++ < YAML_NODES_MAX) {
        node = scratch_alloc(&r->b->scratch, sizeof(*node));
    }
    if (!node) {
        fail_at(r, mark, "the file has too many values");
        return NULL;
    }
    node->kind = kind;
    node->line = mark.line + 1;
    node->column = mark.column + 1;
    return node;
}

/* --- ${VAR}, ${VAR:-default}, $${ for a literal ${ --- */

static bool add_variable(struct reader *r, struct slice inside, const struct yaml_node *node,
                         struct text *out)
{
    size_t dash = slice_search(inside, SLICE(":-"));
    struct slice name = slice_head(inside, dash);
    struct slice value = config_env(r->b, name);
    if (r->b->expanded_count < CONFIG_EXPANDED_MAX) {
        r->b->expanded[r->b->expanded_count++] = scratch_dup(&r->b->scratch, name);
    }
    if (value.len == 0 && dash == inside.len) {
        config_error(r->b, config_place(r->b, node),
                     "%.*s is not set; write ${%.*s:-default} if it may be absent", SLICE_ARG(name),
                     SLICE_ARG(name));
        return false;
    }
    text_add(out, value.len ? value : slice_from(inside, dash + 2));
    return true;
}

static struct slice expand(struct reader *r, struct slice text, const struct yaml_node *node)
{
    enum { EXPANDED_MAX_BYTES = 65536 };
    static const struct slice open = SLICE_INIT("${");
    if (slice_search(text, open) == text.len) {
        return scratch_dup(&r->b->scratch, text);
    }
    char *room = scratch_alloc(&r->b->scratch, EXPANDED_MAX_BYTES);
    struct text out = text_in(room, room ? EXPANDED_MAX_BYTES : 0);
    while (text.len) {
        size_t at = slice_search(text, open);
        text_add(&out, slice_head(text, at));
        bool is_literal = at < text.len && at > 0 && text.ptr[at - 1] == '$';
        text = slice_from(text, at);
        size_t end = slice_find(text, '}');
        if (is_literal) {
            TEXT_ADD(&out, "{");
            text = slice_from(text, open.len);
        } else if (text.len && end == text.len) {
            config_error(r->b, config_place(r->b, node), "${ without }");
            return SLICE_NONE;
        } else if (text.len) {
            if (!add_variable(r, slice_of(text.ptr + 2, end - 2), node, &out)) {
                return SLICE_NONE;
            }
            text = slice_from(text, end + 1);
        }
    }
    if (out.is_full) {
        config_error(r->b, config_place(r->b, node), "the value is too long");
    }
    return text_slice(&out);
}

/* --- events to tree --- */

static struct slice event_text(const yaml_char_t *text, size_t len)
{
    return slice_of((const char *)text, len);
}

static void remember(struct reader *r, const yaml_char_t *name, struct yaml_node *node,
                     yaml_mark_t mark)
{
    if (!name || !node) {
        return;
    }
    if (r->anchor_count == YAML_ANCHORS_MAX) {
        fail_at(r, mark, "the file has too many anchors");
        return;
    }
    r->anchors[r->anchor_count++] = (struct anchor){
        .name = scratch_dup(&r->b->scratch, slice_str((const char *)name)), .node = node};
}

/* An alias is the anchored node itself, so nothing multiplies. It is only known once it is
 * complete: a node cannot hold itself. */
static struct yaml_node *find_anchor(struct reader *r, const yaml_event_t *event)
{
    struct slice name = slice_str((const char *)event->data.alias.anchor);
    for (size_t i = r->anchor_count; i > 0; i--) {
        if (slice_eq(r->anchors[i - 1].name, name)) {
            return r->anchors[i - 1].node;
        }
    }
    fail_at(r, event->start_mark, "the alias has no anchor before it");
    return NULL;
}

static bool next_event(struct reader *r, yaml_event_t *event)
{
    if (r->has_failed) {
        return false;
    }
    if (!yaml_parser_parse(&r->parser, event)) {
        fail_at(r, r->parser.problem_mark,
                r->parser.problem ? r->parser.problem : "not a YAML file");
        return false;
    }
    return true;
}

static struct yaml_node *build(struct reader *r, const yaml_event_t *event, size_t depth);

/* The next node inside a collection; NULL at its end or on failure. */
static struct yaml_node *build_next(struct reader *r, size_t depth, bool is_key)
{
    yaml_event_t event;
    if (!next_event(r, &event)) {
        return NULL;
    }
    struct yaml_node *node = NULL;
    if (event.type != YAML_SEQUENCE_END_EVENT && event.type != YAML_MAPPING_END_EVENT) {
        if (is_key && event.type != YAML_SCALAR_EVENT) {
            fail_at(r, event.start_mark, "a key must be a plain text");
        } else {
            node = build(r, &event, depth);
        }
    }
    yaml_event_delete(&event);
    return node;
}

static bool grow(struct reader *r, struct yaml_node *node, size_t *cap)
{
    if (node->count < *cap) {
        return true;
    }
    size_t bigger = *cap ? *cap * 2 : 8;
    struct yaml_node **items = NULL;
    struct yaml_node **keys = NULL;
    if (bigger <= YAML_ITEMS_MAX) {
        items = scratch_alloc(&r->b->scratch, bigger * sizeof(struct yaml_node *));
        keys = scratch_alloc(&r->b->scratch, bigger * sizeof(struct yaml_node *));
    }
    if (!items || !keys) {
        fail_at(r, (yaml_mark_t){.line = node->line - 1, .column = node->column - 1},
                "the list or map has too many entries");
        return false;
    }
    for (size_t i = 0; i < node->count; i++) {
        items[i] = node->items[i];
        keys[i] = node->keys[i];
    }
    node->items = items;
    node->keys = keys;
    *cap = bigger;
    return true;
}

static bool is_new_key(struct reader *r, const struct yaml_node *map, const struct yaml_node *key)
{
    for (size_t i = 0; i < map->count; i++) {
        if (slice_eq(map->keys[i]->text, key->text)) {
            config_error(r->b, config_place(r->b, key), "%.*s is given twice (first in line %zu)",
                         SLICE_ARG(key->text), map->keys[i]->line);
            return false;
        }
    }
    return true;
}

static void fill_map(struct reader *r, struct yaml_node *map, size_t depth)
{
    size_t cap = 0;
    struct yaml_node *key;
    while ((key = build_next(r, depth, true)) != NULL) {
        struct yaml_node *value = build_next(r, depth, false);
        if (!value || !grow(r, map, &cap)) {
            return;
        }
        if (is_new_key(r, map, key)) {
            map->keys[map->count] = key;
            map->items[map->count++] = value;
        }
    }
}

static void fill_list(struct reader *r, struct yaml_node *list, size_t depth)
{
    size_t cap = 0;
    struct yaml_node *item;
    while ((item = build_next(r, depth, false)) != NULL) {
        if (!grow(r, list, &cap)) {
            return;
        }
        list->items[list->count++] = item;
    }
}

static struct yaml_node *build_scalar(struct reader *r, const yaml_event_t *event)
{
    struct yaml_node *node = node_new(r, YAML_SCALAR, event->start_mark);
    if (node) {
        node->is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        node->text =
            expand(r, event_text(event->data.scalar.value, event->data.scalar.length), node);
        remember(r, event->data.scalar.anchor, node, event->start_mark);
    }
    return node;
}

static struct yaml_node *build(struct reader *r, const yaml_event_t *event, size_t depth)
{
    struct yaml_node *node = NULL;
    bool is_map = event->type == YAML_MAPPING_START_EVENT;
    if (event->type == YAML_SCALAR_EVENT) {
        return build_scalar(r, event);
    }
    if (event->type == YAML_ALIAS_EVENT) {
        return find_anchor(r, event);
    }
    if (!is_map && event->type != YAML_SEQUENCE_START_EVENT) {
        fail_at(r, event->start_mark, "not expected here");
        return NULL;
    }
    if (depth == YAML_DEPTH_MAX) {
        fail_at(r, event->start_mark, "nested too deeply");
        return NULL;
    }
    node = node_new(r, is_map ? YAML_MAP : YAML_LIST, event->start_mark);
    if (node && is_map) {
        fill_map(r, node, depth + 1);
        remember(r, event->data.mapping_start.anchor, node, event->start_mark);
    } else if (node) {
        fill_list(r, node, depth + 1);
        remember(r, event->data.sequence_start.anchor, node, event->start_mark);
    }
    return node;
}

/* One document, or none. */
static struct yaml_node *build_file(struct reader *r)
{
    struct yaml_node *root = NULL;
    bool is_over = false;
    while (!is_over) {
        yaml_event_t event;
        if (!next_event(r, &event)) {
            return NULL;
        }
        if (event.type == YAML_STREAM_END_EVENT) {
            is_over = true;
        } else if (event.type == YAML_DOCUMENT_START_EVENT && root) {
            fail_at(r, event.start_mark, "a second document; one is expected");
        } else if (event.type != YAML_STREAM_START_EVENT &&
                   event.type != YAML_DOCUMENT_START_EVENT &&
                   event.type != YAML_DOCUMENT_END_EVENT) {
            root = build(r, &event, 0);
        }
        yaml_event_delete(&event);
    }
    return root;
}

void yaml_file_read(struct config_build *b)
{
    if (!b->src->config_file) {
        return;
    }
    struct slice text;
    enum err e = scratch_read_file(&b->scratch, b->src->config_file, &text);
    if (e != OK) {
        config_error(b, slice_str(b->src->config_file), "cannot be read: %s",
                     e == E_LIMIT ? "it is larger than 1 MiB" : strerrordesc_np(errno));
        return;
    }
    struct reader *r = scratch_alloc(&b->scratch, sizeof(*r));
    if (!r || !yaml_parser_initialize(&r->parser)) {
        config_error(b, slice_str(b->src->config_file), "out of memory");
        return;
    }
    r->b = b;
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)text.ptr, text.len);
    struct yaml_node *root = build_file(r);
    if (!r->has_failed && root && !yaml_is_null(root)) {
        if (root->kind == YAML_MAP) {
            b->root = root;
        } else {
            config_error(b, config_place(b, root), "a map of sections is expected");
        }
    }
    yaml_parser_delete(&r->parser);
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    for (size_t i = 0; map && map->kind == YAML_MAP && i < map->count; i++) {
        if (slice_eq(map->keys[i]->text, slice_str(key))) {
            return map->items[i];
        }
    }
    return NULL;
}

bool yaml_is_null(const struct yaml_node *node)
{
    return !node || (node->kind == YAML_SCALAR && node->is_plain &&
                     (node->text.len == 0 || slice_eq(node->text, SLICE("~")) ||
                      slice_eq_nocase(node->text, SLICE("null"))));
}
