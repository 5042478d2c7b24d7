/* Property: whole, byte by byte and in pieces give the same events, and their raw bytes are the
 * input. */
#include "core/hash.h"
#include "wire/sse.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct text events, raw;
};

static enum err on_event(void *ctx, const struct sse_event *e)
{
    struct seen *seen = ctx;
    text_add(&seen->raw, e->raw);
    text_add(&seen->events, e->name);
    text_add_char(&seen->events, '\1');
    text_add(&seen->events, e->data);
    text_add_char(&seen->events, (char)('2' + e->data_lines % 7));
    text_add(&seen->events, e->odd);
    text_add_char(&seen->events, '\2');
    return OK;
}

static void run(struct arena *a, struct slice in, size_t step, struct seen *seen)
{
    struct sse s;
    *seen = (struct seen){text_growing(a), text_growing(a)};
    sse_init(&s, a, in.len + 1, on_event, seen);
    for (size_t i = 0; i < in.len; i += step) {
        enum err e = sse_feed(&s, slice_head(slice_from(in, i), step));
        assert(e == OK);
    }
    enum err e = sse_end(&s);
    assert(e == OK && sse_held(&s) == 0);
    assert(slice_eq(text_slice(&seen->raw), in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct seen whole, bytes, pieces;
    struct slice in = slice_of((const char *)data, size);
    if (size > 65536) {
        return 0;
    }
    arena_init(&a, NULL, (size_t)256 << 20);
    run(&a, in, size + 1, &whole);
    run(&a, in, 1, &bytes);
    run(&a, in, 1 + (size ? data[0] % 37 : 0), &pieces);
    assert(slice_eq(text_slice(&whole.events), text_slice(&bytes.events)));
    assert(slice_eq(text_slice(&whole.events), text_slice(&pieces.events)));
    arena_deinit(&a);
    return 0;
}
