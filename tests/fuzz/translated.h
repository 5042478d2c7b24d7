/* What holds of every provider's stream that is always translated: in whatever pieces it comes,
 * clients of five dialects get the same bytes and facts; nothing follows the terminal event, and
 * the end is clean only if it was seen. */
#ifndef FUZZ_TRANSLATED_H
#define FUZZ_TRANSLATED_H

#include "dialect/dialect.h"

#include <assert.h>

struct translated {
    struct text bytes;
    struct outcome outcome;
    struct dialect_stream *stream;
    size_t terminals;
    enum err end;
};

static enum err translated_bytes(void *ctx, struct slice bytes, unsigned flags)
{
    struct translated *seen = ctx;
    assert(seen->terminals == 0 && bytes.len);
    text_add(&seen->bytes, bytes);
    seen->terminals += (flags & STREAM_TERMINAL) != 0;
    return OK;
}

static void translated_last(void *ctx, struct text *out)
{
    const struct translated *seen = ctx;
    text_add_json_string(out, dialect_stream_text(seen->stream));
}

static void translated_run(struct arena *a, const struct dialect *provider,
                           const struct dialect *client, struct slice in, size_t step,
                           struct translated *seen)
{
    *seen = (struct translated){.bytes = text_growing(a)};
    const struct stream_options o = {.provider = provider,
                                     .client = client,
                                     .event_max_bytes = 65536,
                                     .gathers = true,
                                     .on_bytes = translated_bytes,
                                     .ctx = seen,
                                     .render_last = translated_last};
    enum err e = dialect_stream_new(a, &o, &seen->outcome, &seen->stream);
    assert(e == OK);
    for (size_t i = 0; i < in.len && !e; i += step) {
        e = dialect_stream_feed(seen->stream, slice_head(slice_from(in, i), step));
    }
    seen->end = e ? e : dialect_stream_end(seen->stream);
    assert((seen->end == OK) <= (seen->terminals == 1));
    assert(seen->outcome.usage.input >= 0 && seen->outcome.usage.output >= 0);
}

/* step: bytes of a piece, beside whole and small ones. */
static void translated_check(const struct dialect *provider, struct slice in, size_t step)
{
    static const struct dialect *const clients[] = {
        &dialect_openai, &dialect_anthropic, &dialect_responses, &dialect_gemini, &dialect_own};
    for (size_t i = 0; i < ARRAY_LEN(clients) && in.len; i++) {
        struct arena a;
        struct translated whole, bytes, pieces;
        arena_init(&a, NULL, (size_t)512 << 20);
        translated_run(&a, provider, clients[i], in, in.len, &whole);
        translated_run(&a, provider, clients[i], in, in.len > 4096 ? 7 : 1, &bytes);
        translated_run(&a, provider, clients[i], in, step, &pieces);
        assert(slice_eq(text_slice(&whole.bytes), text_slice(&bytes.bytes)));
        assert(slice_eq(text_slice(&whole.bytes), text_slice(&pieces.bytes)));
        assert(whole.end == bytes.end && whole.end == pieces.end);
        assert(whole.outcome.output_bytes == bytes.outcome.output_bytes);
        arena_deinit(&a);
    }
}

/* A whole answer that can be read is one that looks like one, and tells the same usage. */
static void translated_check_whole(const struct dialect *provider, struct slice in)
{
    struct arena a;
    struct chat_response r;
    struct outcome o = {.wants_detail = true};
    arena_init(&a, NULL, (size_t)64 << 20);
    if (provider->decode_response(&a, in, &r) == OK) {
        enum err e = provider->observe(&a, CHAT_OP_CHAT, in, &o);
        assert(e == OK && !o.is_error);
        assert(o.has_usage == r.has_usage);
        assert(o.usage.input == r.usage.input && o.usage.output == r.usage.output);
    }
    arena_deinit(&a);
}

#endif
