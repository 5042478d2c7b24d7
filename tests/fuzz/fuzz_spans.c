/* Property: spans and the tree agree on what is JSON, and on where and what the members are. */
#include "wire/json.h"
#include "wire/spans.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct span_name names[] = {{SLICE_INIT("model"), true},
                                         {SLICE_INIT("stream"), false}};

static bool is_utf8_matter(const struct span_fault *fault)
{
    return fault->what && strcmp(fault->what, "invalid UTF-8 in a string") == 0;
}

/* Walks everything, as deep as it goes; the sum keeps it from being optimised away. */
static size_t walk(struct slice text, int depth)
{
    struct span_cursor c;
    struct span m;
    size_t sum = 0;
    if (depth > SPAN_DEPTH_MAX || span_open(&c, text)) {
        return 0;
    }
    enum span_step step;
    while ((step = span_next(&c, &m)) == SPAN_ITEM) {
        assert(m.value.ptr >= text.ptr && m.value.ptr + m.value.len <= text.ptr + text.len);
        sum += m.value.len;
        if (m.kind == SPAN_OBJECT || m.kind == SPAN_ARRAY) {
            sum += walk(m.value, depth + 1);
        }
    }
    assert(step == SPAN_END); /* the whole was checked before */
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct span_fault fault = {.at = 0}, tree_fault = {.at = 0};
    struct span at[ARRAY_LEN(names)];
    struct span_object object;
    struct arena a;
    yyjson_val *root = NULL;
    enum err whole = spans_check(text, &fault);
    enum err e = spans_scan(text, names, ARRAY_LEN(names), at, &object);
    assert(fault.at <= size && object.fault.at <= size);
    arena_init(&a, NULL, (size_t)64 << 20);
    enum err tree = json_parse(&a, text, &root, &tree_fault);
    assert(whole == tree || is_utf8_matter(&tree_fault));
    assert(e != OK || whole == OK);
    if (whole == OK) {
        (void)walk(text, 0);
    }
    if (e == OK && tree == OK) {
        assert(yyjson_is_obj(root));
        assert(yyjson_obj_size(root) == object.members);
        assert((at[0].kind == SPAN_ABSENT) == (json_get(root, "model") == NULL));
        struct slice model = json_get_string(root, "model");
        assert((at[0].kind == SPAN_STRING) == (model.ptr != NULL));
        if (model.ptr) {
            char *out = arena_alloc(&a, at[0].value.len);
            assert(!out || slice_eq(model, slice_of(out, span_unescape(at[0].value, out))) ||
                   memmem(data, size, "\\u", 2)); /* lone surrogates: the tree refuses them */
        }
    }
    arena_deinit(&a);
    return 0;
}
