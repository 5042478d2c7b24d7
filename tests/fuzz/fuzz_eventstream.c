/* Property: whole, byte by byte and in pieces give the same frames and the same end, and the
 * frames' raw bytes are the beginning of the input. Checksums would keep the fuzzer out, so that
 * every input is tried a second time cut into frames whose checksums are right. */
#include "core/hash.h"
#include "wire/eventstream.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct text frames, raw;
    enum err end;
};

static enum err on_frame(void *ctx, const struct eventstream_frame *f)
{
    struct seen *seen = ctx;
    text_add(&seen->raw, f->raw);
    text_addf(&seen->frames, "%d,%zu,%zu:", (int)f->kind, f->name.len, f->payload.len);
    text_add(&seen->frames, f->name);
    text_add(&seen->frames, f->payload);
    return OK;
}

static void run(struct arena *a, struct slice in, size_t step, struct seen *seen)
{
    struct eventstream s;
    enum err e = OK;
    *seen = (struct seen){text_growing(a), text_growing(a), OK};
    eventstream_init(&s, a, 65536, on_frame, seen);
    for (size_t i = 0; i < in.len && !e; i += step) {
        e = eventstream_feed(&s, slice_head(slice_from(in, i), step));
    }
    seen->end = e ? e : eventstream_end(&s);
    assert(slice_eq(text_slice(&seen->raw), slice_head(in, seen->raw.len)));
    assert(seen->end != OK || seen->raw.len == in.len);
}

static void check(struct arena *a, struct slice in, size_t step)
{
    struct seen whole, bytes, pieces;
    run(a, in, in.len + 1, &whole);
    run(a, in, 1, &bytes);
    run(a, in, step, &pieces);
    assert(whole.end == bytes.end && whole.end == pieces.end);
    assert(slice_eq(text_slice(&whole.frames), text_slice(&bytes.frames)));
    assert(slice_eq(text_slice(&whole.frames), text_slice(&pieces.frames)));
}

static void add_u32(struct text *t, uint32_t v)
{
    const char bytes[4] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    text_add(t, slice_of(bytes, sizeof(bytes)));
}

/* Two bytes say how long headers and payload of the next frame are. */
static struct slice framed(struct arena *a, struct slice in)
{
    struct text t = text_growing(a);
    while (in.len >= 2) {
        size_t headers = (uint8_t)in.ptr[0], payload = (uint8_t)in.ptr[1], at = t.len;
        struct slice body = slice_head(slice_from(in, 2), headers + payload);
        headers = headers < body.len ? headers : body.len;
        add_u32(&t, (uint32_t)(body.len + EVENTSTREAM_FRAME_LEAST_BYTES));
        add_u32(&t, (uint32_t)headers);
        add_u32(&t, crc32_iso(t.ptr + at, 8));
        text_add(&t, body);
        add_u32(&t, crc32_iso(t.ptr + at, t.len - at));
        in = slice_from(in, 2 + body.len);
    }
    assert(!t.is_full);
    return text_slice(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct slice in = slice_of((const char *)data, size);
    size_t step = 1 + (size ? data[0] % 37U : 0);
    if (size > 65536) {
        return 0;
    }
    arena_init(&a, NULL, (size_t)256 << 20);
    check(&a, in, step);
    check(&a, framed(&a, in), step);
    arena_deinit(&a);
    return 0;
}
