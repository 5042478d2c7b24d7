/* Properties: in whatever pieces a stream of Ollama's comes, clients of five dialects get the same
 * bytes and facts; nothing follows the terminal event, and the end is clean only if it was seen.
 * A whole answer that can be read is one that looks like one, and tells the same usage. */
#include "dialect/dialect.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dialect *const clients[] = {&dialect_openai, &dialect_anthropic,
                                                &dialect_responses, &dialect_gemini, &dialect_own};

struct seen {
    struct text bytes;
    struct outcome outcome;
    struct dialect_stream *stream;
    size_t terminals;
    enum err end;
};

static enum err on_bytes(void *ctx, struct slice bytes, unsigned flags)
{
    struct seen *seen = ctx;
    assert(seen->terminals == 0 && bytes.len);
    text_add(&seen->bytes, bytes);
    seen->terminals += (flags & STREAM_TERMINAL) != 0;
    return OK;
}

static void render_last(void *ctx, struct text *out)
{
    const struct seen *seen = ctx;
    text_add_json_string(out, dialect_stream_text(seen->stream));
}

static void run(struct arena *a, struct slice in, size_t mode, size_t step, struct seen *seen)
{
    *seen = (struct seen){.bytes = text_growing(a)};
    const struct stream_options o = {.provider = &dialect_ollama,
                                     .client = clients[mode],
                                     .event_max_bytes = 65536,
                                     .gathers = true,
                                     .on_bytes = on_bytes,
                                     .ctx = seen,
                                     .render_last = render_last};
    enum err e = dialect_stream_new(a, &o, &seen->outcome, &seen->stream);
    assert(e == OK);
    for (size_t i = 0; i < in.len && !e; i += step) {
        e = dialect_stream_feed(seen->stream, slice_head(slice_from(in, i), step));
    }
    seen->end = e ? e : dialect_stream_end(seen->stream);
    assert((seen->end == OK) <= (seen->terminals == 1));
    assert(seen->outcome.usage.input >= 0 && seen->outcome.usage.output >= 0);
}

static void check_whole(struct slice in)
{
    struct arena a;
    struct chat_response r;
    struct outcome o = {.wants_detail = true};
    arena_init(&a, NULL, (size_t)64 << 20);
    if (dialect_ollama.decode_response(&a, in, &r) == OK) {
        enum err e = dialect_ollama.observe(&a, CHAT_OP_CHAT, in, &o);
        assert(e == OK && !o.is_error);
        assert(o.has_usage == r.has_usage);
        assert(o.usage.input == r.usage.input && o.usage.output == r.usage.output);
    }
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    if (size == 0 || size > 32768) {
        return 0;
    }
    check_whole(in);
    for (size_t mode = 0; mode < ARRAY_LEN(clients); mode++) {
        struct arena a;
        struct seen whole, bytes, pieces;
        arena_init(&a, NULL, (size_t)512 << 20);
        run(&a, in, mode, size, &whole);
        run(&a, in, mode, size > 4096 ? 7 : 1, &bytes);
        run(&a, in, mode, 2 + data[0] % 61, &pieces);
        assert(slice_eq(text_slice(&whole.bytes), text_slice(&bytes.bytes)));
        assert(slice_eq(text_slice(&whole.bytes), text_slice(&pieces.bytes)));
        assert(whole.end == bytes.end && whole.end == pieces.end);
        assert(whole.outcome.output_bytes == bytes.outcome.output_bytes);
        arena_deinit(&a);
    }
    return 0;
}
