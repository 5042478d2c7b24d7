#include "cache/fingerprint.h"

#include "core/check.h"
#include "core/text.h"
#include "dialect/conversation.h"
#include "wire/json.h"

#include <assert.h>

enum { EXPONENT_DIGITS_MAX = 18 }; /* fits int64 with room for the shift by the digits */

struct member {
    struct slice name;
    yyjson_val *value;
};

/* What is hashed is written to text first: it is about as long as the body. */
struct canon {
    struct arena *scratch; /* borrowed */
    struct text text;
    unsigned depth; /* containers entered */
};

static enum err put_value(struct canon *c, yyjson_val *v);

/* --- primitives ---------------------------------------------------------------------------------
 */

static void put_kind(struct canon *c, char kind, uint64_t count)
{
    char *head = text_reserve(&c->text, 1 + sizeof(count));
    if (head) { /* in this machine's order of bytes: keys do not leave the process */
        head[0] = kind;
        memcpy(head + 1, &count, sizeof(count));
    }
}

static void put_string(struct canon *c, struct slice s)
{
    put_kind(c, 's', s.len);
    text_add(&c->text, s);
}

/* A number as its digits between the first and the last that is not 0, and the power of ten of the
 * last one. */
struct decimal {
    bool is_negative;
    struct slice mantissa; /* as spelled, without sign and exponent */
    size_t first, last;    /* positions among the digits, the point not counted */
    bool is_zero;
    int64_t exponent;
};

static enum err read_exponent(struct slice text, int64_t *out)
{
    bool is_signed = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+');
    bool is_negative = is_signed && text.ptr[0] == '-';
    text = slice_from(text, is_signed ? 1 : 0);
    while (text.len > 1 && text.ptr[0] == '0') {
        text = slice_from(text, 1);
    }
    if (text.len > EXPONENT_DIGITS_MAX || !slice_to_i64(text, out)) {
        return E_LIMIT;
    }
    *out = is_negative ? -*out : *out;
    return OK;
}

/* The grammar was checked by the parser. */
static enum err read_decimal(struct slice spelled, struct decimal *d)
{
    *d = (struct decimal){.is_negative = spelled.len && spelled.ptr[0] == '-', .is_zero = true};
    struct slice text = slice_from(spelled, d->is_negative ? 1 : 0);
    size_t e = size_min(slice_find(text, 'e'), slice_find(text, 'E'));
    d->mantissa = slice_head(text, e);
    size_t digits_before_point = slice_find(d->mantissa, '.');
    size_t digit = 0;
    for (size_t i = 0; i < d->mantissa.len; i++) {
        if (i == digits_before_point) {
            continue;
        }
        if (d->mantissa.ptr[i] != '0') {
            d->first = d->is_zero ? digit : d->first;
            d->last = digit;
            d->is_zero = false;
        }
        digit++;
    }
    if (d->is_zero) {
        return OK; /* whatever its exponent and sign */
    }
    enum err err = e < text.len ? read_exponent(slice_from(text, e + 1), &d->exponent) : OK;
    d->exponent += (int64_t)digits_before_point - 1 - (int64_t)d->last;
    return err;
}

static enum err put_number(struct canon *c, struct slice spelled)
{
    struct decimal d;
    enum err e = read_decimal(spelled, &d);
    if (e != OK) {
        return e;
    }
    if (d.is_zero) {
        put_kind(c, '#', 1);
        text_add_char(&c->text, '0');
        return OK;
    }
    size_t point = slice_find(d.mantissa, '.');
    put_kind(c, '#', d.last - d.first + 1);
    text_add_char(&c->text, d.is_negative ? '-' : '+');
    for (size_t digit = d.first; digit <= d.last; digit++) {
        text_add_char(&c->text, d.mantissa.ptr[digit >= point ? digit + 1 : digit]);
    }
    text_add_char(&c->text, 'e');
    text_add_i64(&c->text, d.exponent);
    text_add_char(&c->text, ';');
    return OK;
}

/* --- objects ------------------------------------------------------------------------------------
 */

static int by_name(const struct member *a, const struct member *b)
{
    size_t both = size_min(a->name.len, b->name.len);
    int order = both ? memcmp(a->name.ptr, b->name.ptr, both) : 0;
    return order ? order : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

static void sift_down(struct member *m, size_t at, size_t n)
{
    for (size_t child; (child = at * 2 + 1) < n; at = child) {
        if (child + 1 < n && by_name(&m[child], &m[child + 1]) < 0) {
            child++;
        }
        if (by_name(&m[at], &m[child]) >= 0) {
            return;
        }
        struct member tmp = m[at];
        m[at] = m[child];
        m[child] = tmp;
    }
}

/* Heap sort: the library's takes memory from the heap, and no order of names makes this slow. */
static void sort_members(struct member *m, size_t n)
{
    for (size_t i = n / 2; i > 0; i--) {
        sift_down(m, i - 1, n);
    }
    for (size_t i = n; i > 1; i--) {
        struct member tmp = m[0];
        m[0] = m[i - 1];
        m[i - 1] = tmp;
        sift_down(m, 0, i - 1);
    }
}

/* Members by name; a name twice is E_SYNTAX. */
static enum err members_of(struct canon *c, yyjson_val *object, struct member **out, size_t *out_n)
{
    size_t n = yyjson_obj_size(object), i = 0;
    struct member *m = arena_array(c->scratch, n, sizeof(*m));
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    yyjson_val *name;
    if (!m) {
        return E_NOMEM;
    }
    while ((name = yyjson_obj_iter_next(&iter))) {
        assert(i < n);
        m[i++] = (struct member){json_string(name), yyjson_obj_iter_get_val(name)};
    }
    sort_members(m, n);
    for (i = 1; i < n; i++) {
        if (by_name(&m[i - 1], &m[i]) == 0) {
            return E_SYNTAX;
        }
    }
    *out = m;
    *out_n = n;
    return OK;
}

static enum err put_members(struct canon *c, const struct member *m, size_t n)
{
    put_kind(c, '{', n);
    for (size_t i = 0; i < n; i++) {
        put_string(c, m[i].name);
        enum err e = put_value(c, m[i].value);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err put_array(struct canon *c, yyjson_val *array)
{
    yyjson_arr_iter iter = yyjson_arr_iter_with(array);
    yyjson_val *v;
    put_kind(c, '[', yyjson_arr_size(array));
    while ((v = yyjson_arr_iter_next(&iter))) {
        enum err e = put_value(c, v);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err put_container(struct canon *c, yyjson_val *v)
{
    struct member *members;
    size_t n;
    if (c->depth == SPAN_DEPTH_MAX - 1) { /* the request itself is one more */
        return E_LIMIT;
    }
    c->depth++;
    enum err e = yyjson_is_arr(v) ? put_array(c, v) : members_of(c, v, &members, &n);
    if (e == OK && yyjson_is_obj(v)) {
        e = put_members(c, members, n);
    }
    c->depth--;
    return e;
}

static enum err put_value(struct canon *c, yyjson_val *v)
{
    if (yyjson_is_str(v)) {
        put_string(c, json_string(v));
        return OK;
    }
    if (yyjson_is_raw(v)) {
        return put_number(c, json_number(v));
    }
    if (yyjson_is_arr(v) || yyjson_is_obj(v)) {
        return put_container(c, v);
    }
    char kind = 'f';
    if (yyjson_is_null(v)) {
        kind = 'n';
    } else if (yyjson_is_true(v)) {
        kind = 't';
    }
    put_kind(c, kind, 0);
    return OK;
}

/* --- the request --------------------------------------------------------------------------------
 */

/* Top-level members that cannot change the answer, and model, which stands for itself. */
static bool is_left_out(struct slice name)
{
    static const struct slice names[] = {
        SLICE_INIT("model"),
        SLICE_INIT("stream"),
        SLICE_INIT("stream_options"),
        SLICE_INIT("user"),
        SLICE_INIT("safety_identifier"),
        SLICE_INIT("metadata"),
        SLICE_INIT("service_tier"),
        SLICE_INIT("store"),
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(name, names[i])) {
            return true;
        }
    }
    return slice_starts(name, SLICE("prompt_cache_"));
}

static size_t attribution_of(yyjson_val *text)
{
    return yyjson_is_str(text) ? conversation_attribution(json_string(text), SLICE("\n")) : 0;
}

/* A block that begins with an attribution: what stands behind it counts, its other members (a cache
 * marker) do not. */
static enum err put_attributed(struct canon *c, yyjson_val *block, size_t attribution)
{
    struct member *m;
    size_t n;
    enum err e = members_of(c, block, &m, &n); /* no name twice */
    put_kind(c, 'a', 0);
    put_string(c, slice_from(json_string(yyjson_obj_get(block, "text")), attribution));
    return e;
}

/* Claude Code's system prompt without its attribution, which is another one in each request. */
static enum err put_system(struct canon *c, yyjson_val *system)
{
    yyjson_arr_iter iter = yyjson_arr_iter_with(system);
    yyjson_val *block;
    size_t attribution = attribution_of(system);
    enum err e = OK;
    if (attribution) {
        put_kind(c, 'a', 0);
        put_string(c, slice_from(json_string(system), attribution));
        return OK;
    }
    if (!yyjson_is_arr(system)) {
        return put_value(c, system);
    }
    put_kind(c, '[', yyjson_arr_size(system));
    while (e == OK && (block = yyjson_arr_iter_next(&iter))) {
        attribution = attribution_of(yyjson_obj_get(block, "text"));
        e = attribution ? put_attributed(c, block, attribution) : put_value(c, block);
    }
    return e;
}

static enum err put_request(struct canon *c, yyjson_val *root)
{
    struct member *m;
    size_t n, kept = 0;
    if (!yyjson_is_obj(root)) {
        return E_SYNTAX;
    }
    enum err e = members_of(c, root, &m, &n);
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_left_out(m[i].name)) {
            m[kept++] = m[i];
        }
    }
    put_kind(c, '{', kept);
    for (size_t i = 0; i < kept && e == OK; i++) {
        put_string(c, m[i].name);
        e = slice_eq(m[i].name, SLICE("system")) ? put_system(c, m[i].value)
                                                 : put_value(c, m[i].value);
    }
    return e;
}

enum err fingerprint_request(struct arena *scratch, struct id scope, struct slice operation,
                             struct slice model, struct slice body, struct sha256 *out_key)
{
    struct canon c = {.scratch = scratch, .text = text_growing(scratch)};
    yyjson_val *root;
    enum err e = json_parse_checked(scratch, body, &root, NULL);
    if (e != OK) {
        return e;
    }
    put_string(&c, SLICE("llm-gateway cache 1")); /* another form needs another number */
    put_string(&c, slice_of((const char *)scope.bytes, ID_BYTES));
    put_string(&c, operation);
    put_string(&c, model);
    e = put_request(&c, root);
    if (e == OK && c.text.is_full) {
        e = E_NOMEM;
    }
    if (e == OK) {
        *out_key = sha256_of(text_slice(&c.text));
    }
    return e;
}
