#include "wire/eventstream.h"

#include "core/hash.h"

#include <assert.h>

enum { PRELUDE_BYTES = 12, LENGTHS_BYTES = 8, CRC_BYTES = 4, TYPE_BYTES = 6, TYPE_STRING = 7 };

static uint32_t read_u32(const char *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static size_t read_u16(const char *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (size_t)b[0] << 8 | b[1];
}

void eventstream_init(struct eventstream *s, struct arena *a, size_t frame_max_bytes,
                      eventstream_frame_fn on_frame, void *ctx)
{
    *s = (struct eventstream){.on_frame = on_frame,
                              .ctx = ctx,
                              .max_bytes = frame_max_bytes < EVENTSTREAM_FRAME_MAX_BYTES
                                               ? frame_max_bytes
                                               : EVENTSTREAM_FRAME_MAX_BYTES,
                              .tail = text_growing(a)};
}

/* The length that the prelude announces, its CRC and bounds checked. */
static enum err frame_length(const struct eventstream *s, struct slice prelude, size_t *out)
{
    assert(prelude.len >= PRELUDE_BYTES);
    size_t total = read_u32(prelude.ptr), headers = read_u32(prelude.ptr + 4);
    if (crc32_iso(prelude.ptr, LENGTHS_BYTES) != read_u32(prelude.ptr + LENGTHS_BYTES) ||
        total < EVENTSTREAM_FRAME_LEAST_BYTES || headers > EVENTSTREAM_HEADERS_MAX_BYTES ||
        headers > total - EVENTSTREAM_FRAME_LEAST_BYTES) {
        return E_SYNTAX;
    }
    *out = total;
    return total > s->max_bytes ? E_LIMIT : OK;
}

/* Takes n bytes from the front; false: there are not as many. */
static bool take(struct slice *rest, size_t n, struct slice *out)
{
    if (rest->len < n) {
        return false;
    }
    *out = slice_head(*rest, n);
    *rest = slice_from(*rest, n);
    return true;
}

/* The value of a header of that type, without its length; false: it does not fit, or the type is
 * none. */
static bool take_value(struct slice *rest, uint8_t type, struct slice *out)
{
    static const uint8_t fixed[] = {0, 0, 1, 2, 4, 8, 0, 0, 8, 16}; /* 6, 7: bytes, string */
    struct slice length;
    if (type >= ARRAY_LEN(fixed)) {
        return false;
    }
    if (type != TYPE_BYTES && type != TYPE_STRING) {
        return take(rest, fixed[type], out);
    }
    return take(rest, 2, &length) && take(rest, read_u16(length.ptr), out);
}

static enum err read_headers(struct slice headers, struct eventstream_frame *f)
{
    struct slice kind = SLICE_NONE, event = SLICE_NONE, exception = SLICE_NONE, code = SLICE_NONE,
                 message = SLICE_NONE;
    const struct {
        struct slice name, *value;
    } wanted[] = {{SLICE(":message-type"), &kind},
                  {SLICE(":event-type"), &event},
                  {SLICE(":exception-type"), &exception},
                  {SLICE(":error-code"), &code},
                  {SLICE(":error-message"), &message}};
    while (headers.len) {
        struct slice length, name, type, value;
        if (!take(&headers, 1, &length) || !take(&headers, (uint8_t)length.ptr[0], &name) ||
            !take(&headers, 1, &type) || !take_value(&headers, (uint8_t)type.ptr[0], &value)) {
            return E_SYNTAX;
        }
        for (size_t i = 0; type.ptr[0] == TYPE_STRING && i < ARRAY_LEN(wanted); i++) {
            if (slice_eq(name, wanted[i].name)) {
                *wanted[i].value = value;
            }
        }
    }
    f->kind = slice_eq(kind, SLICE("exception")) ? EVENTSTREAM_EXCEPTION
              : slice_eq(kind, SLICE("error"))   ? EVENTSTREAM_ERROR
                                                 : EVENTSTREAM_EVENT;
    f->name = f->kind == EVENTSTREAM_EXCEPTION ? exception
              : f->kind == EVENTSTREAM_ERROR   ? code
                                               : event;
    if (f->kind == EVENTSTREAM_ERROR && f->payload.len == 0) {
        f->payload = message;
    }
    return OK;
}

static HOT enum err hand_out(struct eventstream *s, struct slice raw)
{
    size_t headers = read_u32(raw.ptr + 4);
    struct slice body = slice_head(raw, raw.len - CRC_BYTES);
    struct eventstream_frame f = {.raw = raw, .payload = slice_from(body, PRELUDE_BYTES + headers)};
    if (crc32_iso(body.ptr, body.len) != read_u32(raw.ptr + body.len)) {
        return E_SYNTAX;
    }
    enum err e = read_headers(slice_head(slice_from(body, PRELUDE_BYTES), headers), &f);
    return e ? e : s->on_frame(s->ctx, &f);
}

/* Moves bytes of in behind the tail until it holds n; false: in has not as many. */
static bool fill(struct eventstream *s, struct slice *in, size_t n)
{
    size_t missing = s->tail.len < n ? n - s->tail.len : 0;
    struct slice part = slice_head(*in, missing);
    text_add(&s->tail, part);
    *in = slice_from(*in, part.len);
    return part.len == missing;
}

/* The frame that began in an earlier feed. */
static enum err feed_tail(struct eventstream *s, struct slice *in)
{
    size_t length;
    bool has_prelude = fill(s, in, PRELUDE_BYTES);
    if (s->tail.is_full) {
        return E_NOMEM;
    }
    if (!has_prelude) {
        return OK;
    }
    enum err e = frame_length(s, text_slice(&s->tail), &length);
    if (e) {
        return e;
    }
    bool is_whole = fill(s, in, length);
    if (s->tail.is_full) {
        return E_NOMEM;
    }
    if (!is_whole) {
        return OK;
    }
    e = hand_out(s, text_slice(&s->tail));
    s->tail.len = 0;
    return e;
}

static HOT enum err feed(struct eventstream *s, struct slice in)
{
    enum err e = s->tail.len ? feed_tail(s, &in) : OK;
    while (!e && in.len >= PRELUDE_BYTES) {
        size_t length;
        e = frame_length(s, in, &length);
        if (!e && in.len < length) {
            break;
        }
        if (!e) {
            e = hand_out(s, slice_head(in, length));
            in = slice_from(in, length);
        }
    }
    if (!e && in.len) {
        text_add(&s->tail, in);
        e = s->tail.is_full ? E_NOMEM : OK;
    }
    return e;
}

enum err eventstream_feed(struct eventstream *s, struct slice in)
{
    if (!s->failure) {
        s->failure = feed(s, in);
    }
    return s->failure;
}

enum err eventstream_end(struct eventstream *s)
{
    return s->failure ? s->failure : s->tail.len ? E_EOF : OK;
}
