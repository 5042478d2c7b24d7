#include "eventstream.h"

#include <assert.h>
#include <string.h>

enum { PRELUDE_BYTES = 8, OVERHEAD_BYTES = 16, HEADER_TEXT = 7 };

/* CRC-32 of IEEE 802.3, bit by bit: frames are small and kept. */
static uint32_t crc32_of(const char *p, size_t n)
{
    uint32_t crc = 0xffffffffU;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)p[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
        }
    }
    return ~crc;
}

static void put_u32(struct buf *out, uint32_t v)
{
    unsigned char be[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16),
                           (unsigned char)(v >> 8), (unsigned char)v};
    buf_add(out, be, sizeof(be));
}

static void put_header(struct buf *out, const char *name, const char *value)
{
    size_t name_len = strlen(name);
    size_t len = strlen(value);
    assert(name_len < 256 && len < 65536);
    unsigned char lead = (unsigned char)name_len;
    unsigned char after[3] = {HEADER_TEXT, (unsigned char)(len >> 8), (unsigned char)len};
    buf_add(out, &lead, 1);
    buf_str(out, name);
    buf_add(out, after, sizeof(after));
    buf_str(out, value);
}

void eventstream_frame(struct buf *out, const char *kind, const char *name, struct str payload)
{
    struct buf headers = {0};
    put_header(&headers, strcmp(kind, "event") == 0 ? ":event-type" : ":exception-type", name);
    put_header(&headers, ":content-type", "application/json");
    put_header(&headers, ":message-type", kind);
    size_t at = out->len;
    put_u32(out, (uint32_t)(headers.len + payload.len + OVERHEAD_BYTES));
    put_u32(out, (uint32_t)headers.len);
    put_u32(out, crc32_of(out->ptr + at, PRELUDE_BYTES));
    buf_put(out, buf_view(&headers));
    buf_put(out, payload);
    put_u32(out, crc32_of(out->ptr + at, out->len - at));
    buf_free(&headers);
}
