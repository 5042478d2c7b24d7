#include "wire/json.h"

static void *alc_malloc(void *ctx, size_t size)
{
    return arena_alloc(ctx, size);
}

static void *alc_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    if (size <= old_size) {
        return ptr;
    }
    void *bigger = arena_alloc(ctx, size);
    if (bigger && old_size) {
        memcpy(bigger, ptr, old_size);
    }
    return bigger;
}

static void alc_free(void *ctx, void *ptr)
{
    (void)ctx; /* the arena frees all at once */
    (void)ptr;
}

enum err json_parse_checked(struct arena *a, struct slice text, yyjson_val **out_root,
                            struct span_fault *out_fault)
{
    const yyjson_alc alc = {alc_malloc, alc_realloc, alc_free, a};
    yyjson_read_err why = {.code = 0};
    const union {
        const char *ours;
        char *theirs;
    } bytes = {.ours = text.ptr}; /* not in situ: the text is not written to */
    yyjson_doc *doc =
        yyjson_read_opts(bytes.theirs, text.len, YYJSON_READ_NUMBER_AS_RAW, &alc, &why);
    if (doc) {
        *out_root = yyjson_doc_get_root(doc);
        return OK;
    }
    if (out_fault) {
        *out_fault = (struct span_fault){.at = why.pos, .what = "invalid UTF-8 in a string"};
    }
    return why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? E_LIMIT : E_SYNTAX;
}

enum err json_parse(struct arena *a, struct slice text, yyjson_val **out_root,
                    struct span_fault *out_fault)
{
    struct span_fault fault = {.at = 0};
    enum err e = spans_check(text, &fault);
    if (e == OK) {
        return json_parse_checked(a, text, out_root, out_fault);
    }
    if (out_fault) {
        *out_fault = fault;
    }
    return e;
}

yyjson_val *json_get(yyjson_val *obj, const char *name)
{
    return yyjson_obj_get(obj, name);
}

struct slice json_string(yyjson_val *v)
{
    return yyjson_is_str(v) ? slice_of(yyjson_get_str(v), yyjson_get_len(v)) : SLICE_NONE;
}

struct slice json_get_string(yyjson_val *obj, const char *name)
{
    return json_string(yyjson_obj_get(obj, name));
}

struct slice json_number(yyjson_val *v)
{
    return yyjson_is_raw(v) ? slice_of(yyjson_get_raw(v), yyjson_get_len(v)) : SLICE_NONE;
}

bool json_i64(yyjson_val *v, int64_t *out)
{
    struct slice text = json_number(v);
    return text.len && slice_to_i64(text, out);
}

bool json_is_true(yyjson_val *v)
{
    return yyjson_is_true(v);
}

bool json_is_none(yyjson_val *v)
{
    return !v || yyjson_is_null(v);
}

struct slice json_text(struct arena *a, yyjson_val *v)
{
    const yyjson_alc alc = {alc_malloc, alc_realloc, alc_free, a};
    size_t len = 0;
    const char *text = yyjson_val_write_opts(v, YYJSON_WRITE_NOFLAG, &alc, &len, NULL);
    return text ? slice_of(text, len) : SLICE_NONE;
}

void json_add(struct text *t, struct arena *scratch, yyjson_val *v)
{
    struct slice text = json_text(scratch, v);
    if (text.ptr) {
        text_add(t, text);
    } else {
        t->is_full = true;
    }
}

static bool is_among(struct slice name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(name, slice_str(names[i]))) {
            return true;
        }
    }
    return false;
}

bool json_other_members(struct arena *a, yyjson_val *obj, const char *const *names, size_t count,
                        struct slice *out)
{
    struct text t = text_growing(a);
    size_t i, max;
    yyjson_val *key, *v;
    *out = SLICE_NONE;
    if (yyjson_obj_size(obj) == 0) {
        return true; /* the walk below takes no NULL */
    }
    yyjson_obj_foreach(obj, i, max, key, v)
    {
        struct slice name = json_string(key);
        if (yyjson_is_null(v) || is_among(name, names, count)) {
            continue;
        }
        text_add_char(&t, t.len ? ',' : '{');
        text_add_json_string(&t, name);
        text_add_char(&t, ':');
        json_add(&t, a, v);
    }
    if (t.len) {
        text_add_char(&t, '}');
    }
    *out = text_slice(&t);
    return !t.is_full;
}
