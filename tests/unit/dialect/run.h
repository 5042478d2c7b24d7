/* Streams between any two dialects, for the dialects' tests: fed in any cut, gathered, taken apart.
 */
#ifndef UNIT_DIALECT_RUN_H
#define UNIT_DIALECT_RUN_H

#include "fixture.h"

#include "dialect/dialect.h"

struct run {
    struct text bytes;
    size_t terminals, errors, after_terminal;
    struct dialect_stream *stream;
    struct outcome outcome;
    enum err end;
    enum err answer; /* what on_bytes returns */
};

static inline enum err run_on_bytes(void *ctx, struct slice bytes, unsigned flags)
{
    struct run *k = ctx;
    k->after_terminal += k->terminals;
    k->terminals += (flags & STREAM_TERMINAL) != 0;
    k->errors += (flags & STREAM_ERROR) != 0;
    assert_true(bytes.len > 0);
    assert_true(!(flags & STREAM_TERMINAL) || k->outcome.is_complete);
    text_add(&k->bytes, bytes);
    return k->answer;
}

static inline void run_render_last(void *ctx, struct text *out)
{
    const struct run *k = ctx;
    text_add_json_string(out, dialect_stream_text(k->stream));
}

/* step 0: two pieces, cut at `cut`; otherwise pieces of step bytes. */
static inline void run_stream(struct arena *a, const struct dialect *provider,
                              const struct dialect *client, struct slice in, size_t cut,
                              size_t step, struct run *k)
{
    *k = (struct run){.bytes = text_growing(a)};
    struct stream_options o = {.provider = provider,
                               .client = client,
                               .op = CHAT_OP_CHAT,
                               .event_max_bytes = (size_t)1 << 20,
                               .gathers = true,
                               .now_unix_s = 1700000000,
                               .on_bytes = run_on_bytes,
                               .ctx = k,
                               .render_last = run_render_last};
    k->end = dialect_stream_new(a, &o, &k->outcome, &k->stream);
    if (step == 0) {
        k->end = k->end ? k->end : dialect_stream_feed(k->stream, slice_head(in, cut));
        k->end = k->end ? k->end : dialect_stream_feed(k->stream, slice_from(in, cut));
    } else {
        for (size_t i = 0; i < in.len && !k->end; i += step) {
            k->end = dialect_stream_feed(k->stream, slice_head(slice_from(in, i), step));
        }
    }
    k->end = k->end ? k->end : dialect_stream_end(k->stream);
}

static inline void run_whole(struct arena *a, const struct dialect *provider,
                             const struct dialect *client, struct slice in, struct run *k)
{
    run_stream(a, provider, client, in, in.len, 0, k);
}

/* The next event's data by tree, NULL for [DONE] and at the end; *out_name its event: line. */
static inline yyjson_val *run_next(struct arena *a, struct slice *rest, struct slice *out_name)
{
    struct slice event = slice_head(*rest, slice_search(*rest, SLICE("\n\n")));
    yyjson_val *root = NULL;
    *rest = slice_from(*rest, event.len + 2);
    *out_name = SLICE_NONE;
    while (event.len) {
        struct slice line = slice_head(event, slice_find(event, '\n'));
        event = slice_from(event, line.len + 1);
        if (slice_starts(line, SLICE("event: "))) {
            *out_name = slice_from(line, 7);
        } else if (slice_starts(line, SLICE("data: {"))) {
            assert_int_equal(json_parse(a, slice_trim(slice_from(line, 6)), &root, NULL), OK);
        }
    }
    return root;
}

static inline size_t run_part_count(const struct chat_response *r)
{
    return r && r->choice_count ? r->choices[0].part_count : 0;
}

/* The part of the first choice; an empty one when there are not so many. */
static inline struct chat_part run_part(const struct chat_response *r, size_t n)
{
    assert_true(n < run_part_count(r));
    return n < run_part_count(r) ? r->choices[0].parts[n] : (struct chat_part){.kind = CHAT_TEXT};
}

/* All texts of a choice of one kind, joined. */
static inline struct slice run_text(struct arena *a, const struct chat_response *r,
                                    enum chat_part_kind kind)
{
    struct text t = text_growing(a);
    for (size_t i = 0; i < run_part_count(r); i++) {
        if (r->choices[0].parts[i].kind == kind) {
            text_add(&t, r->choices[0].parts[i].text);
        }
    }
    return text_slice(&t);
}

/* The same JSON value, or the same bytes; no arguments are an empty object. */
static inline bool run_same_json(struct arena *a, struct slice one, struct slice two)
{
    yyjson_val *x, *y;
    one = one.len ? one : SLICE("{}");
    two = two.len ? two : SLICE("{}");
    if (json_parse(a, one, &x, NULL) || json_parse(a, two, &y, NULL)) {
        return slice_eq(one, two);
    }
    return yyjson_equals(x, y);
}

static inline const struct chat_part *run_call(const struct chat_response *r, size_t n)
{
    for (size_t i = 0; i < run_part_count(r); i++) {
        if (r->choices[0].parts[i].kind == CHAT_TOOL_CALL && n-- == 0) {
            return &r->choices[0].parts[i];
        }
    }
    return NULL;
}

/* The same, by value: an empty one when there are not so many. */
static inline struct chat_part run_called(const struct chat_response *r, size_t n)
{
    const struct chat_part *call = run_call(r, n);
    assert_non_null(call);
    return call ? *call : (struct chat_part){.kind = CHAT_TOOL_CALL};
}

static inline struct slice run_arguments(const struct chat_response *r, size_t n)
{
    const struct chat_part *call = run_call(r, n);
    assert_non_null(call);
    return call ? call->text : SLICE_NONE;
}

/* Texts, thoughts, calls, finish and usage of two answers are the same. */
static inline void run_check_same(struct arena *a, const char *name, const struct chat_response *x,
                                  const struct chat_response *y)
{
    assert_non_null(x);
    assert_non_null(y);
    if (!slice_eq(run_text(a, x, CHAT_TEXT), run_text(a, y, CHAT_TEXT)) ||
        !slice_eq(run_text(a, x, CHAT_THINKING), run_text(a, y, CHAT_THINKING))) {
        fail_msg("%s: other texts", name);
    }
    for (size_t i = 0;; i++) {
        const struct chat_part *one = run_call(x, i), *two = run_call(y, i);
        if (!one || !two) {
            assert_ptr_equal(one, two);
            break;
        }
        assert_true(slice_eq(one->name, two->name));
        if (!run_same_json(a, one->text, two->text)) {
            fail_msg("%s: %.*s is not %.*s", name, SLICE_ARG(one->text), SLICE_ARG(two->text));
        }
    }
    if (!x || !y) {
        return;
    }
    assert_int_equal(usage_prompt(&x->usage), usage_prompt(&y->usage));
    assert_int_equal(x->usage.cache_read, y->usage.cache_read);
    assert_int_equal(usage_completion(&x->usage), usage_completion(&y->usage));
    assert_int_equal(x->usage.reasoning, y->usage.reasoning);
}

#endif
