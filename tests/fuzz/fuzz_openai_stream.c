/* Properties: in whatever pieces a stream comes, the same bytes and facts come out; without hiding
 * they are the input's own bytes up to the terminal event; nothing follows the terminal event; the
 * end is clean only if it was seen. */
#include "dialect/dialect.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static void run(struct arena *a, struct slice in, int mode, size_t step, struct seen *seen)
{
    *seen = (struct seen){.bytes = text_growing(a)};
    const struct stream_options o = {.provider = &dialect_openai,
                                     .client = mode == 2 ? &dialect_own : &dialect_openai,
                                     .hides_usage = mode == 1,
                                     .event_max_bytes = 65536,
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
    assert(seen->outcome.is_complete == (seen->terminals == 1));
    assert(seen->outcome.usage.input >= 0 && seen->outcome.usage.output >= 0 &&
           seen->outcome.usage.cache_read >= 0 && seen->outcome.usage.reasoning >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    if (size == 0 || size > 32768) {
        return 0;
    }
    for (int mode = 0; mode < 3; mode++) {
        struct arena a;
        struct seen whole, bytes, pieces;
        arena_init(&a, NULL, (size_t)256 << 20);
        run(&a, in, mode, size, &whole);
        run(&a, in, mode, 1, &bytes);
        run(&a, in, mode, 2 + data[0] % 61, &pieces);
        assert(slice_eq(text_slice(&whole.bytes), text_slice(&bytes.bytes)));
        assert(slice_eq(text_slice(&whole.bytes), text_slice(&pieces.bytes)));
        assert(whole.end == bytes.end && whole.end == pieces.end);
        assert(memcmp(&whole.outcome.usage, &bytes.outcome.usage, sizeof(struct usage)) == 0);
        assert(whole.outcome.output_bytes == pieces.outcome.output_bytes);
        if (mode == 0 && whole.terminals == 0) {
            assert(slice_starts(in, text_slice(&whole.bytes)) ||
                   slice_ends(text_slice(&whole.bytes), SLICE("\n\n")));
        }
        arena_deinit(&a);
    }
    return 0;
}
