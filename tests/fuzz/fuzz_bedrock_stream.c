/* Properties: those of stream_cuts.h, of Bedrock's streams and whole answers. Frames have checksums
 * that would keep the fuzzer out, so that the input says them as lines: "name {payload}", and
 * "!name {payload}" for an exception. */
#include "stream_cuts.h"

#include "core/hash.h"
#include "wire/eventstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_u32(struct text *t, uint32_t v)
{
    const char bytes[4] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    text_add(t, slice_of(bytes, sizeof(bytes)));
}

static void add_header(struct text *t, struct slice name, struct slice value)
{
    enum { STRING = 7 };
    text_add_char(t, (char)name.len);
    text_add(t, name);
    text_add_char(t, STRING);
    text_add_char(t, (char)(value.len >> 8));
    text_add_char(t, (char)(value.len & 0xFF));
    text_add(t, value);
}

static void add_frame(struct text *t, struct slice line)
{
    struct text headers = text_growing(t->arena);
    bool is_exception = slice_starts(line, SLICE("!"));
    struct slice rest = slice_from(line, is_exception);
    struct slice name = slice_head(rest, slice_find(rest, ' '));
    struct slice payload = slice_from(rest, name.len + 1);
    size_t at = t->len;
    add_header(&headers, is_exception ? SLICE(":exception-type") : SLICE(":event-type"),
               slice_head(name, 1000));
    add_header(&headers, SLICE(":message-type"),
               is_exception ? SLICE("exception") : SLICE("event"));
    add_u32(t, (uint32_t)(headers.len + payload.len + EVENTSTREAM_FRAME_LEAST_BYTES));
    add_u32(t, (uint32_t)headers.len);
    add_u32(t, crc32_iso(t->ptr + at, 8));
    text_add(t, text_slice(&headers));
    text_add(t, payload);
    add_u32(t, crc32_iso(t->ptr + at, t->len - at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct slice in = slice_of((const char *)data, size);
    if (size == 0 || size > 16384) {
        return 0;
    }
    stream_check_answer(&dialect_bedrock, in);
    arena_init(&a, NULL, (size_t)64 << 20);
    struct text t = text_growing(&a);
    while (in.len) {
        struct slice line = slice_head(in, slice_find(in, '\n'));
        add_frame(&t, line);
        in = slice_from(in, line.len + 1);
    }
    assert(!t.is_full);
    stream_check_clients(&dialect_bedrock, text_slice(&t), 2 + data[0] % 61);
    arena_deinit(&a);
    return 0;
}
