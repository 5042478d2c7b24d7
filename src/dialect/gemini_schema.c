/* The API's Schema, a part of OpenAPI's, and JSON Schema, each as the other. */
#include "dialect/gemini.h"
#include "dialect/write.h"

enum { DEPTH_MAX = 32, REFERENCES_MAX = 256 };

struct walk {
    struct text t;
    struct text *dropped;
    struct arena *arena;
    yyjson_val *root;  /* where references point */
    size_t references; /* followed so far; a schema that holds itself would never end */
};

static void drop(struct walk *w, const char *name)
{
    drop_name(w->dropped, arena_printf(w->arena, "schema.%s", name));
}

static void add_key(struct walk *w, struct slice name)
{
    struct text *t = &w->t;
    text_add(t, t->len && t->ptr[t->len - 1] != '{' ? SLICE(",") : SLICE_NONE);
    text_add_json_string(t, name);
    text_add_char(t, ':');
}

/* ASCII only; what is no letter becomes '_'. */
static char cased(char c, bool is_upper)
{
    char lower = (char)(c | 0x20);
    if (lower < 'a' || lower > 'z') {
        return '_';
    }
    return (char)(is_upper ? lower & ~0x20 : lower);
}

static void add_cased(struct text *t, struct slice word, bool is_upper)
{
    text_add_char(t, '"');
    for (size_t i = 0; i < word.len; i++) {
        text_add_char(t, cased(word.ptr[i], is_upper));
    }
    text_add_char(t, '"');
}

/* --- in ----------------------------------------------------------------------------------------
 */

static void add_in(struct walk *w, yyjson_val *v, int depth);

static void add_list_in(struct walk *w, yyjson_val *list, bool is_nullable, int depth)
{
    size_t i, max;
    yyjson_val *v;
    TEXT_ADD(&w->t, "[");
    yyjson_arr_foreach(list, i, max, v)
    {
        write_next(&w->t);
        add_in(w, v, depth + 1);
    }
    if (is_nullable) {
        write_next(&w->t);
        TEXT_ADD(&w->t, "{\"type\":\"null\"}");
    }
    TEXT_ADD(&w->t, "]");
}

static void add_map_in(struct walk *w, yyjson_val *map, int depth)
{
    size_t i, max;
    yyjson_val *key, *v;
    TEXT_ADD(&w->t, "{");
    yyjson_obj_foreach(map, i, max, key, v)
    {
        add_key(w, json_string(key));
        add_in(w, v, depth + 1);
    }
    TEXT_ADD(&w->t, "}");
}

static void add_type_in(struct walk *w, yyjson_val *type, bool is_nullable)
{
    struct slice word = json_string(type);
    if (!word.len || slice_eq(word, SLICE("TYPE_UNSPECIFIED"))) {
        return;
    }
    add_key(w, SLICE("type"));
    text_add(&w->t, is_nullable ? SLICE("[") : SLICE_NONE);
    add_cased(&w->t, word, false);
    text_add(&w->t, is_nullable ? SLICE(",\"null\"]") : SLICE_NONE);
}

/* The camelCase spelling of a keyword that may come in snake_case. */
static struct slice keyword_of(struct slice key)
{
    static const char *const names[] = {"anyOf",     "minItems",      "maxItems",     "minLength",
                                        "maxLength", "minProperties", "maxProperties"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (gemini_is(key, names[i])) {
            return slice_str(names[i]);
        }
    }
    return key;
}

static bool is_count(struct slice name)
{
    return (slice_starts(name, SLICE("min")) || slice_starts(name, SLICE("max"))) &&
           !slice_ends(name, SLICE("imum"));
}

static void add_member_in(struct walk *w, struct slice key, yyjson_val *v, bool is_nullable,
                          int depth)
{
    struct slice name = keyword_of(key);
    struct slice text = json_string(v);
    bool is_format_enum = slice_eq(name, SLICE("format")) && slice_eq(text, SLICE("enum"));
    if (slice_eq(name, SLICE("nullable")) || is_format_enum || yyjson_is_null(v)) {
        return;
    }
    if (slice_eq(name, SLICE("type"))) {
        add_type_in(w, v, is_nullable);
    } else if (gemini_is(name, "propertyOrdering")) {
        drop(w, "propertyOrdering");
    } else if (slice_eq(name, SLICE("properties")) && yyjson_is_obj(v)) {
        add_key(w, name);
        add_map_in(w, v, depth);
    } else if (slice_eq(name, SLICE("items")) && yyjson_is_obj(v)) {
        add_key(w, name);
        add_in(w, v, depth + 1);
    } else if (slice_eq(name, SLICE("anyOf")) && yyjson_is_arr(v)) {
        add_key(w, name);
        add_list_in(w, v, is_nullable, depth);
    } else if (slice_eq(name, SLICE("example"))) {
        add_key(w, SLICE("examples"));
        TEXT_ADD(&w->t, "[");
        json_add(&w->t, w->arena, v);
        TEXT_ADD(&w->t, "]");
    } else {
        int64_t unused;
        add_key(w, name);
        if (is_count(name) && slice_to_i64(text, &unused)) {
            text_add(&w->t, text); /* int64 travels as a string */
        } else {
            json_add(&w->t, w->arena, v);
        }
    }
}

static void add_in(struct walk *w, yyjson_val *v, int depth)
{
    size_t i, max;
    yyjson_val *key, *member;
    bool is_nullable = json_is_true(json_get(v, "nullable"));
    TEXT_ADD(&w->t, "{");
    if (depth == DEPTH_MAX) {
        drop(w, "properties");
        TEXT_ADD(&w->t, "}");
        return;
    }
    yyjson_obj_foreach(v, i, max, key, member)
    {
        add_member_in(w, json_string(key), member, is_nullable, depth);
    }
    TEXT_ADD(&w->t, "}");
}

static struct slice finish(struct walk *w)
{
    w->dropped->is_full = w->dropped->is_full || w->t.is_full;
    return text_slice(&w->t);
}

struct slice gemini_schema_in(struct arena *a, yyjson_val *schema, struct text *dropped)
{
    struct walk w = {.t = text_growing(a), .dropped = dropped, .arena = a};
    add_in(&w, schema, 0);
    return finish(&w);
}

/* --- out ---------------------------------------------------------------------------------------
 */

static void add_out(struct walk *w, yyjson_val *v, int depth);

/* "#/$defs/name" and the like; NULL: it points nowhere, or too many were followed. */
static yyjson_val *target_of(struct walk *w, struct slice reference)
{
    yyjson_val *at = w->root;
    if (!slice_starts(reference, SLICE("#/")) || w->references++ >= REFERENCES_MAX) {
        return NULL;
    }
    reference = slice_from(reference, 2);
    while (reference.len && at) {
        size_t len = slice_find(reference, '/');
        at = yyjson_obj_getn(at, reference.ptr, len);
        reference = slice_from(reference, len + 1);
    }
    return at;
}

static bool is_null_type(yyjson_val *v)
{
    return slice_eq(json_string(v), SLICE("null")) ||
           (yyjson_is_obj(v) && slice_eq(json_get_string(v, "type"), SLICE("null")));
}

/* What the list offers beside null. */
static size_t count_real(yyjson_val *list, bool *out_has_null)
{
    size_t i, max, count = 0;
    yyjson_val *v;
    *out_has_null = false;
    yyjson_arr_foreach(list, i, max, v)
    {
        *out_has_null = *out_has_null || is_null_type(v);
        count += !is_null_type(v);
    }
    return count;
}

static void add_nullable(struct walk *w)
{
    add_key(w, SLICE("nullable"));
    TEXT_ADD(&w->t, "true");
}

static void add_types_out(struct walk *w, yyjson_val *types)
{
    size_t i, max;
    yyjson_val *v;
    bool has_null;
    size_t count = count_real(types, &has_null);
    if (has_null) {
        add_nullable(w);
    }
    if (count > 1) {
        add_key(w, SLICE("anyOf"));
        TEXT_ADD(&w->t, "[");
    }
    yyjson_arr_foreach(types, i, max, v)
    {
        if (is_null_type(v)) {
            continue;
        }
        if (count > 1) {
            write_element(&w->t);
        }
        add_key(w, SLICE("type"));
        add_cased(&w->t, json_string(v), true);
        text_add(&w->t, count > 1 ? SLICE("}") : SLICE_NONE);
    }
    text_add(&w->t, count > 1 ? SLICE("]") : SLICE_NONE);
}

/* Alternatives; null among them is said apart. */
static void add_choices_out(struct walk *w, yyjson_val *list, int depth)
{
    size_t i, max;
    yyjson_val *v;
    bool has_null;
    (void)count_real(list, &has_null);
    if (has_null) {
        add_nullable(w);
    }
    add_key(w, SLICE("anyOf"));
    TEXT_ADD(&w->t, "[");
    yyjson_arr_foreach(list, i, max, v)
    {
        if (!is_null_type(v)) {
            write_next(&w->t);
            add_out(w, v, depth + 1);
        }
    }
    TEXT_ADD(&w->t, "]");
}

/* The API's enumerations are of strings. */
static void add_enum_out(struct walk *w, yyjson_val *v)
{
    struct slice text = yyjson_is_str(v) ? json_string(v) : json_text(w->arena, v);
    if (!yyjson_is_str(v)) {
        drop(w, "enum");
    }
    write_next(&w->t);
    text_add_json_string(&w->t, text);
}

static void add_enums_out(struct walk *w, yyjson_val *v)
{
    size_t i, max;
    yyjson_val *one;
    add_key(w, SLICE("enum"));
    TEXT_ADD(&w->t, "[");
    if (!yyjson_is_arr(v)) {
        add_enum_out(w, v); /* const */
    }
    yyjson_arr_foreach(v, i, max, one)
    {
        if (!yyjson_is_null(one)) {
            add_enum_out(w, one);
        }
    }
    TEXT_ADD(&w->t, "]");
}

static bool is_taken_as_is(struct slice name)
{
    static const char *const names[] = {
        "title",    "description",   "nullable",     "minimum", "maximum",          "minItems",
        "maxItems", "minLength",     "maxLength",    "pattern", "propertyOrdering", "default",
        "example",  "minProperties", "maxProperties"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(name, slice_str(names[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_known_format(struct slice format)
{
    static const char *const names[] = {"enum", "date-time", "int32", "int64", "float", "double"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(format, slice_str(names[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_silent(struct slice name)
{
    return slice_starts(name, SLICE("$")) || slice_eq(name, SLICE("definitions"));
}

static void add_properties_out(struct walk *w, yyjson_val *map, int depth)
{
    size_t i, max;
    yyjson_val *key, *v;
    if (yyjson_obj_size(map) == 0) {
        return; /* refused when empty */
    }
    add_key(w, SLICE("properties"));
    TEXT_ADD(&w->t, "{");
    yyjson_obj_foreach(map, i, max, key, v)
    {
        add_key(w, json_string(key));
        add_out(w, v, depth + 1);
    }
    TEXT_ADD(&w->t, "}");
}

static void add_plain_out(struct walk *w, struct slice name, yyjson_val *v)
{
    if (slice_eq(name, SLICE("required"))) {
        if (yyjson_arr_size(v)) {
            add_key(w, name);
            json_add(&w->t, w->arena, v);
        }
    } else if (slice_eq(name, SLICE("exclusiveMinimum")) ||
               slice_eq(name, SLICE("exclusiveMaximum"))) {
        drop_name(w->dropped, arena_printf(w->arena, "schema.%.*s", SLICE_ARG(name)));
        add_key(w, slice_eq(name, SLICE("exclusiveMinimum")) ? SLICE("minimum") : SLICE("maximum"));
        json_add(&w->t, w->arena, v);
    } else if (is_taken_as_is(name) ||
               (slice_eq(name, SLICE("format")) && is_known_format(json_string(v)))) {
        add_key(w, name);
        json_add(&w->t, w->arena, v);
    } else if (!is_silent(name)) {
        drop_name(w->dropped, arena_printf(w->arena, "schema.%.*s", SLICE_ARG(name)));
    }
}

static void add_members_out(struct walk *w, yyjson_val *v, int depth);

static void add_member_out(struct walk *w, struct slice name, yyjson_val *v, bool has_enum,
                           int depth)
{
    if (slice_eq(name, SLICE("type"))) {
        if (has_enum) {
            return; /* said with the enumeration */
        }
        if (yyjson_is_arr(v)) {
            add_types_out(w, v);
        } else {
            add_key(w, name);
            add_cased(&w->t, json_string(v), true);
        }
    } else if (slice_eq(name, SLICE("properties"))) {
        add_properties_out(w, v, depth);
    } else if (slice_eq(name, SLICE("items")) && yyjson_is_obj(v)) {
        add_key(w, name);
        add_out(w, v, depth + 1);
    } else if (slice_eq(name, SLICE("anyOf")) || slice_eq(name, SLICE("oneOf"))) {
        add_choices_out(w, v, depth);
    } else if (slice_eq(name, SLICE("allOf")) && yyjson_arr_size(v) == 1) {
        add_members_out(w, yyjson_arr_get_first(v), depth + 1);
    } else if (slice_eq(name, SLICE("enum")) || slice_eq(name, SLICE("const"))) {
        add_key(w, SLICE("type"));
        TEXT_ADD(&w->t, "\"STRING\"");
        add_enums_out(w, v);
    } else {
        add_plain_out(w, name, v);
    }
}

static void add_members_out(struct walk *w, yyjson_val *v, int depth)
{
    size_t i, max;
    yyjson_val *key, *member;
    struct slice reference = json_get_string(v, "$ref");
    bool has_enum = json_get(v, "enum") || json_get(v, "const");
    if (depth >= DEPTH_MAX) {
        drop(w, "properties");
        return;
    }
    if (reference.len) {
        yyjson_val *target = target_of(w, reference);
        if (target) {
            add_members_out(w, target, depth + 1);
        } else {
            drop(w, "$ref");
        }
        return;
    }
    yyjson_obj_foreach(v, i, max, key, member)
    {
        add_member_out(w, json_string(key), member, has_enum, depth);
    }
}

static void add_out(struct walk *w, yyjson_val *v, int depth)
{
    TEXT_ADD(&w->t, "{");
    add_members_out(w, v, depth);
    TEXT_ADD(&w->t, "}");
}

struct slice gemini_schema_out(struct arena *a, struct slice schema, struct text *dropped)
{
    struct walk w = {.t = text_growing(a), .dropped = dropped, .arena = a};
    if (json_parse(a, schema, &w.root, NULL)) {
        return SLICE("{}");
    }
    add_out(&w, w.root, 0);
    return finish(&w);
}
