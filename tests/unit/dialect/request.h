/* What each dialect's requests are put through: refused, forwarded, decoded, without memory. */
#ifndef UNIT_DIALECT_REQUEST_H
#define UNIT_DIALECT_REQUEST_H

#include "fixture.h"

#include "dialect/dialect.h"

static inline struct slice request_joined(struct arena *a, const struct body_parts *parts)
{
    struct text t = text_growing(a);
    for (size_t i = 0; i < parts->count; i++) {
        assert_true(parts->parts[i].len > 0);
        text_add(&t, parts->parts[i]);
    }
    assert_int_equal(t.len, parts->bytes);
    return text_slice(&t);
}

/* The scan refuses it with a message and names the member; NULL: whichever. */
static inline void request_refused(const struct dialect *d, enum chat_operation op,
                                   const char *body, enum err err, const char *param)
{
    struct arena a;
    struct chat_ask k = {.model = SLICE_INIT("m")}; /* where the URL says it */
    struct fault f = {.kind = FAULT_NONE};
    arena_init(&a, NULL, (size_t)1 << 20);
    enum err e = d->scan(&a, op, slice_str(body), &k, &f);
    if (e != err || f.kind != FAULT_BAD_REQUEST || !f.message.len ||
        (param && !slice_eq(f.param, slice_str(param)))) {
        fail_msg("%s: %d %.*s", body, (int)e, SLICE_ARG(f.message));
    }
    arena_deinit(&a);
}

/* Bytes bound its prompt, and it may be cached, as is said. */
static inline void request_bounded(const struct dialect *d, const char *body, bool is_bounded,
                                   bool is_uncacheable)
{
    struct arena a;
    struct chat_ask k;
    struct fault f;
    arena_init(&a, NULL, (size_t)1 << 20);
    assert_int_equal(d->scan(&a, CHAT_OP_CHAT, slice_str(body), &k, &f), OK);
    int64_t least = is_bounded ? (int64_t)k.body.len : -1;
    if ((k.prompt_max_tokens >= 0) != is_bounded || k.prompt_max_tokens < least ||
        k.is_uncacheable != is_uncacheable) {
        fail_msg("%s: %lld", body, (long long)k.prompt_max_tokens);
    }
    arena_deinit(&a);
}

/* It passes the scan, and decoding names the place. begins: the message does so with it. */
static inline void request_undecodable(const struct dialect *d, const char *body, const char *param,
                                       bool begins)
{
    struct arena a;
    struct chat_ask k = {.model = SLICE_INIT("m")};
    struct fault f = {.kind = FAULT_NONE};
    arena_init(&a, NULL, (size_t)1 << 20);
    assert_int_equal(d->scan(&a, CHAT_OP_CHAT, slice_str(body), &k, &f), OK);
    enum err e = d->decode_request(&a, &k, &f);
    if (e != E_SYNTAX || f.kind != FAULT_BAD_REQUEST || !slice_eq(f.param, slice_str(param))) {
        fail_msg("%s: %d %.*s", body, (int)e, SLICE_ARG(f.param));
    }
    assert_true(!begins || slice_starts(f.message, f.param));
    arena_deinit(&a);
}

/* What is sent for it is `out`. o: but for is_stream, which is the request's. */
static inline void request_forwarded(const struct dialect *d, enum chat_operation op,
                                     const char *in, struct encode_options o, const char *out,
                                     bool adds_usage)
{
    struct arena a;
    struct chat_ask k;
    struct fault f;
    struct body_parts parts;
    arena_init(&a, NULL, (size_t)1 << 20);
    assert_int_equal(d->scan(&a, op, slice_str(in), &k, &f), OK);
    o.is_stream = k.is_stream;
    assert_int_equal(d->forward(&a, &k, &o, &parts), OK);
    struct slice got = request_joined(&a, &parts);
    if (!slice_eq(got, slice_str(out))) {
        fail_msg("%s\nis %.*s", in, SLICE_ARG(got));
    }
    assert_int_equal(parts.adds_usage, adds_usage);
    arena_deinit(&a);
}

/* Forwarded, and encoded for two dialects, the second NULL when there is none; for
 * fixture_starve(). */
struct request_meal {
    const struct dialect *from;
    const char *body;
    const struct encode_options *options;
    const struct dialect *to[2];
};

static inline enum err request_starved(struct arena *a, const void *ctx)
{
    const struct request_meal *m = ctx;
    struct chat_ask k = {.model = SLICE_INIT("g")};
    struct fault f;
    struct body_parts parts;
    enum err e = m->from->scan(a, CHAT_OP_CHAT, slice_str(m->body), &k, &f);
    e = e ? e : m->from->forward(a, &k, m->options, &parts);
    e = e ? e : m->from->decode_request(a, &k, &f);
    for (size_t i = 0; i < ARRAY_LEN(m->to) && m->to[i]; i++) {
        e = e ? e : m->to[i]->encode_request(a, k.neutral, m->options, &parts);
    }
    return e;
}

#endif
