/* What each dialect's streams and answers are put through: recorded ones, stored ones, those that
 * go to another dialect and come back, and errors of either side. */
#ifndef UNIT_DIALECT_TRIAL_H
#define UNIT_DIALECT_TRIAL_H

#include "run.h"

/* A stream that is said in the test, and what became of it. */
struct trial {
    struct arena a; /* the caller's to deinit */
    struct run k;
};

static inline void trial_run(struct trial *t, const struct dialect *from, const struct dialect *to,
                             const char *in)
{
    arena_init(&t->a, NULL, (size_t)32 << 20);
    run_whole(&t->a, from, to, slice_str(in), &t->k);
}

/* A recording passes byte for byte, in one piece and in two that are cut in some 600 places, and
 * says the same. is_fine: it ends as it should. */
static inline void trial_relay(struct arena *a, const struct dialect *d, const char *name,
                               struct slice in, bool is_fine, struct run *whole)
{
    run_whole(a, d, d, in, whole);
    if (!slice_eq(text_slice(&whole->bytes), in)) {
        fail_msg("%s: the bytes differ", name);
    }
    assert_int_equal(whole->end, is_fine ? OK : E_EOF);
    assert_int_equal(whole->terminals, is_fine);
    assert_int_equal(whole->after_terminal, 0);
    assert_int_equal(whole->outcome.is_error, !is_fine);
    assert_true(whole->outcome.model.len > 0);
    if (is_fine) {
        assert_true(whole->outcome.is_complete && whole->outcome.has_usage);
        assert_int_not_equal(whole->outcome.finish, CHAT_FINISH_NONE);
    }
    size_t stride = in.len <= 4096 ? 1 : in.len / 601 + 1;
    for (size_t cut = 0; cut < in.len; cut += stride) {
        struct arena b;
        struct run k;
        arena_init(&b, NULL, (size_t)64 << 20);
        run_stream(&b, d, d, in, cut, 0, &k);
        assert_int_equal(k.end, whole->end);
        assert_true(slice_eq(text_slice(&k.bytes), in));
        assert_memory_equal(&k.outcome.usage, &whole->outcome.usage, sizeof(struct usage));
        assert_int_equal(k.outcome.output_bytes, whole->outcome.output_bytes);
        arena_deinit(&b);
    }
}

/* The same bytes and end in every cut. *k: of the last, whose arena is gone. */
static inline void trial_cuts(const struct dialect *d, const char *in, enum err want,
                              const char *out, struct run *k)
{
    struct slice text = slice_str(in);
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct arena a;
        arena_init(&a, NULL, (size_t)16 << 20);
        run_stream(&a, d, d, text, cut, 0, k);
        if (k->end != want || !slice_eq(text_slice(&k->bytes), slice_str(out))) {
            fail_msg("cut %zu: error %d\n%.*s", cut, (int)k->end, SLICE_ARG(text_slice(&k->bytes)));
        }
        arena_deinit(&a);
    }
}

/* It ends for this reason. */
static inline void trial_finish(const struct dialect *d, const char *in, enum chat_finish want)
{
    struct trial t;
    trial_run(&t, d, d, in);
    assert_int_equal(t.k.end, OK);
    assert_int_equal(t.k.terminals, 1);
    if (t.k.outcome.finish != want) {
        fail_msg("%s: %d", in, (int)t.k.outcome.finish);
    }
    arena_deinit(&t.a);
}

/* It tells this usage, which is known. */
static inline void trial_usage(const struct dialect *d, const char *in, struct usage want)
{
    struct arena a;
    struct run k;
    arena_init(&a, NULL, (size_t)1 << 20);
    run_stream(&a, d, d, slice_str(in), 9, 0, &k);
    assert_int_equal(k.end, OK);
    assert_true(k.outcome.has_usage);
    want.is_known = true;
    if (memcmp(&k.outcome.usage, &want, sizeof(want)) != 0) {
        fail_msg("%s", in);
    }
    arena_deinit(&a);
}

/* An error behind the beginning of an answer: "Overloaded", told the client so many times. */
static inline void trial_error(const struct dialect *d, const struct dialect *client,
                               const char *before, const char *error, size_t times)
{
    char in[4096];
    struct trial t;
    assert_in_range(snprintf(in, sizeof(in), "%s%s", before, error), 1, sizeof(in) - 1);
    trial_run(&t, d, client, in);
    assert_int_equal(t.k.end, E_EOF);
    assert_int_equal(t.k.errors, times);
    assert_int_equal(t.k.terminals, 0);
    assert_true(t.k.outcome.is_error && !t.k.outcome.is_complete);
    assert_true(slice_eq(t.k.outcome.error, SLICE("Overloaded")));
    arena_deinit(&t.a);
}

/* What is no stream reaches no client, and no stored one that was cut becomes a body. */
static inline void trial_no_stream(const struct dialect *d, const char *const *bad,
                                   size_t bad_count, const char *const *cut, size_t cut_count)
{
    struct arena a;
    struct slice out;
    for (size_t i = 0; i < bad_count; i++) {
        struct run k;
        trial_cuts(d, bad[i], E_SYNTAX, "", &k);
    }
    arena_init(&a, NULL, (size_t)1 << 20);
    for (size_t i = 0; i < cut_count; i++) {
        assert_int_equal(dialect_events_to_body(&a, d, CHAT_OP_CHAT, slice_str(cut[i]), &out),
                         E_SYNTAX);
    }
    assert_int_equal(dialect_body_to_events(&a, d, CHAT_OP_CHAT, SLICE("{}"), true, &out),
                     E_SYNTAX);
    arena_deinit(&a);
}

/* A body that is spread to events, which it returns, and put together again is what it was. */
static inline struct slice trial_spread(struct arena *a, const struct dialect *d, const char *name,
                                        struct slice body)
{
    struct slice events = SLICE_NONE, again = SLICE_NONE;
    assert_int_equal(dialect_body_to_events(a, d, CHAT_OP_CHAT, body, true, &events), OK);
    assert_int_equal(dialect_events_to_body(a, d, CHAT_OP_CHAT, events, &again), OK);
    if (!run_same_json(a, body, again)) {
        fail_msg("%s:\n%.*s\n%.*s", name, SLICE_ARG(body), SLICE_ARG(again));
    }
    return events;
}

/* A stored stream as a body says the same, and the body as a stream once more, which it returns.
 * is_same: the stream says nothing that its answer does not. */
static inline struct slice trial_stored(struct arena *a, const struct dialect *d, const char *name,
                                        struct slice in, bool is_same)
{
    struct run direct, spread;
    struct slice body;
    struct outcome seen = {.wants_detail = true};
    struct chat_response r;
    run_whole(a, d, &dialect_openai, in, &direct);
    assert_int_equal(direct.end, OK);
    if (dialect_events_to_body(a, d, CHAT_OP_CHAT, in, &body)) {
        fail_msg("%s: no body", name);
    }
    assert_int_equal(d->observe(a, CHAT_OP_CHAT, body, &seen), OK);
    assert_int_equal(seen.finish, direct.outcome.finish);
    assert_int_equal(seen.output_bytes > 0, direct.outcome.output_bytes > 0);
    assert_memory_equal(&seen.usage, &direct.outcome.usage, sizeof(seen.usage));
    assert_int_equal(d->decode_response(a, body, &r), OK);
    if (is_same) {
        run_check_same(a, name, dialect_stream_answer(direct.stream), &r);
    }
    struct slice events = trial_spread(a, d, name, body);
    run_whole(a, d, &dialect_openai, events, &spread);
    assert_int_equal(spread.end, OK);
    run_check_same(a, name, dialect_stream_answer(spread.stream), &r);
    return events;
}

struct trial_trip {
    struct run there, back, again;
    const struct chat_response *source;
};

/* There and back again, and there once more. */
static inline void trial_trip(struct arena *a, const char *name, const struct dialect *from,
                              const struct dialect *to, struct slice in, struct trial_trip *t)
{
    run_whole(a, from, to, in, &t->there);
    if (t->there.end) {
        fail_msg("%s: error %d", name, (int)t->there.end);
    }
    assert_int_equal(t->there.terminals, 1);
    assert_int_equal(t->there.after_terminal, 0);
    t->source = dialect_stream_answer(t->there.stream);
    assert_non_null(t->source);
    run_whole(a, to, from, text_slice(&t->there.bytes), &t->back);
    if (t->back.end) {
        fail_msg("%s: error %d\n%.*s", name, (int)t->back.end,
                 SLICE_ARG(text_slice(&t->there.bytes)));
    }
    run_check_same(a, name, t->source, dialect_stream_answer(t->back.stream));
    run_whole(a, from, to, text_slice(&t->back.bytes), &t->again);
    assert_int_equal(t->again.end, OK);
    run_check_same(a, name, t->source, dialect_stream_answer(t->again.stream));
}

/* The same of a whole answer, by tree. */
static inline void trial_body_trip(struct arena *a, const char *name, const struct dialect *from,
                                   const struct dialect *to, yyjson_val *tree)
{
    struct chat_response source, there, back;
    struct slice body;
    assert_int_equal(from->decode_response(a, json_text(a, tree), &source), OK);
    assert_int_equal(to->encode_response(a, &source, NULL, &body), OK);
    assert_int_equal(to->decode_response(a, body, &there), OK);
    run_check_same(a, name, &source, &there);
    assert_int_equal(from->encode_response(a, &there, NULL, &body), OK);
    assert_int_equal(from->decode_response(a, body, &back), OK);
    run_check_same(a, name, &source, &back);
    if (source.choice_count) {
        assert_int_equal(source.choices[0].finish, back.choices[0].finish);
    }
}

/* Whether it is an answer of OpenAI's chat with one choice. */
static inline bool trial_is_chat(yyjson_val *tree)
{
    yyjson_val *choices = json_get(tree, "choices");
    return yyjson_arr_size(choices) == 1 && json_get(yyjson_arr_get_first(choices), "message");
}

/* A stream between two dialects, and a stored one; for fixture_starve(). */
struct trial_meal {
    const struct dialect *from, *to;
    struct slice in;
    const struct dialect *stored;
    struct slice events;
};

static inline enum err trial_starved(struct arena *a, const void *ctx)
{
    const struct trial_meal *m = ctx;
    struct arena big;
    struct slice body;
    arena_init(&big, NULL, (size_t)1 << 20);
    struct run k = {.bytes = text_growing(&big)};
    const struct stream_options o = {.provider = m->from,
                                     .client = m->to,
                                     .event_max_bytes = 4096,
                                     .gathers = true,
                                     .on_bytes = run_on_bytes,
                                     .ctx = &k,
                                     .render_last = run_render_last};
    enum err e = dialect_stream_new(a, &o, &k.outcome, &k.stream);
    for (size_t at = 0; at < m->in.len && !e; at += 5) {
        e = dialect_stream_feed(k.stream, slice_head(slice_from(m->in, at), 5));
    }
    e = e ? e : dialect_stream_end(k.stream);
    assert_true(e == OK || e == E_NOMEM || e == E_LIMIT);
    assert_int_equal(k.terminals, e == OK);
    arena_deinit(&big);
    enum err stored = dialect_events_to_body(a, m->stored, CHAT_OP_CHAT, m->events, &body);
    stored =
        stored ? stored : dialect_body_to_events(a, m->stored, CHAT_OP_CHAT, body, true, &body);
    assert_true(stored == OK || stored == E_NOMEM || stored == E_LIMIT);
    return e ? e : stored;
}

/* An error of the provider's: whose it is, what it says, how long it is to last. */
static inline void trial_blame(const struct dialect *d, int status, const char *body,
                               enum blame blame, const char *message, int64_t retry_ms)
{
    struct arena a;
    struct upstream_fault f;
    arena_init(&a, NULL, (size_t)1 << 20);
    d->read_fault(&a, status, slice_str(body), &f);
    if (f.blame != blame || !slice_eq(f.message, slice_str(message)) ||
        f.retry_after_ns != retry_ms * 1000000) {
        fail_msg("%d %s: %d %.*s %lld", status, body, (int)f.blame, SLICE_ARG(f.message),
                 (long long)f.retry_after_ns);
    }
    arena_deinit(&a);
}

/* A recorded error, by tree: its message is read. Whose it is. */
static inline enum blame trial_refusal(struct arena *a, const struct dialect *d, int64_t status,
                                       yyjson_val *tree)
{
    struct upstream_fault f;
    d->read_fault(a, (int)status, json_text(a, tree), &f);
    assert_true(slice_eq(f.message, json_get_string(json_get(tree, "error"), "message")));
    return f.blame;
}

/* A recorded count, by tree: so many, and nothing that costs. */
static inline void trial_counted(struct arena *a, const struct dialect *d, yyjson_val *tree,
                                 int64_t want)
{
    int64_t count = 0;
    struct slice body = json_text(a, tree);
    struct outcome out = {.wants_detail = true};
    assert_int_equal(d->read_count(body, &count), OK);
    assert_int_equal(count, want);
    assert_int_equal(d->observe(a, CHAT_OP_COUNT_TOKENS, body, &out), OK);
    assert_true(out.has_usage && !out.is_empty && usage_total(&out.usage) == 0);
}

/* A count of ours is told so, and read again. */
static inline void trial_count(struct arena *a, const struct dialect *d, int64_t count,
                               const char *want)
{
    yyjson_val *tree;
    int64_t none;
    struct text t = text_growing(a);
    d->render_count(count, &t);
    assert_true(slice_eq(text_slice(&t), slice_str(want)));
    assert_int_equal(json_parse(a, text_slice(&t), &tree, NULL), OK);
    trial_counted(a, d, tree, count);
    assert_int_equal(d->read_count(SLICE("{}"), &none), E_SYNTAX);
}

/* An error of ours: its body by tree; *out_event: the same after a stream's first byte. */
static inline yyjson_val *trial_fault(struct arena *a, const struct dialect *d,
                                      const struct fault *f, int status, const char *headers,
                                      struct slice *out_event)
{
    int got = 0;
    yyjson_val *root;
    struct text body = text_growing(a), lines = text_growing(a), event = text_growing(a);
    d->render_fault(f, &got, &body, &lines);
    assert_int_equal(got, status);
    assert_true(slice_eq(text_slice(&lines), slice_str(headers)));
    assert_int_equal(json_parse(a, text_slice(&body), &root, NULL), OK);
    assert_true(json_get_string(json_get(root, "error"), "message").len > 0);
    d->render_stream_fault(f, &event);
    *out_event = text_slice(&event);
    return root;
}

#endif
