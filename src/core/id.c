#include "core/id.h"

#include "core/clock.h"
#include "core/hash.h"

void id_source_init(struct id_source *source)
{
    *source = (struct id_source){0};
    rand_bytes(source->state, sizeof(source->state));
    source->state[0] |= 1; /* never all zero */
}

static uint64_t next_random(uint64_t state[2])
{
    uint64_t a = state[0];
    uint64_t b = state[1];
    uint64_t result = a + b;
    b ^= a;
    state[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
    state[1] = (b << 37) | (b >> 27);
    return result;
}

struct id id_next(struct id_source *source, int64_t unix_ns)
{
    int64_t ms = unix_ns / NS_PER_MS;
    if (ms > source->last_ms) {
        source->last_ms = ms;
        source->sequence = 0;
    } else if (source->sequence++ ==
               0x0FFF) { /* more than 4096 in a millisecond: borrow the next */
        source->last_ms++;
        source->sequence = 0;
    }

    struct id id;
    uint64_t head = ((uint64_t)source->last_ms << 16) | 0x7000u | source->sequence;
    uint64_t tail = (next_random(source->state) >> 2) | (UINT64_C(2) << 62);
    for (int i = 0; i < 8; i++) {
        id.bytes[i] = (uint8_t)(head >> (56 - 8 * i));
        id.bytes[8 + i] = (uint8_t)(tail >> (56 - 8 * i));
    }
    return id;
}

struct id id_random(void)
{
    struct id id;
    rand_bytes(id.bytes, sizeof(id.bytes));
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0F) | 0x40);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3F) | 0x80);
    return id;
}

/* Two digits a byte: ids are written on every request, several times. */
static inline char *put_hex(char *out, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
                                 "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
                                 "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
                                 "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
                                 "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
                                 "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
                                 "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
                                 "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
    for (size_t i = 0; i < n; i++, out += 2) {
        memcpy(out, digits + 2 * (size_t)bytes[i], 2);
    }
    return out;
}

void id_format(struct id id, char *out)
{
    out = put_hex(out, id.bytes, 4);
    *out++ = '-';
    out = put_hex(out, id.bytes + 4, 2);
    *out++ = '-';
    out = put_hex(out, id.bytes + 6, 2);
    *out++ = '-';
    out = put_hex(out, id.bytes + 8, 2);
    *out++ = '-';
    (void)put_hex(out, id.bytes + 10, 6);
}

bool id_parse(struct slice text, struct id *out_id)
{
    struct id id;
    if (text.len != ID_TEXT_BYTES) {
        return false;
    }
    for (size_t i = 0, at = 0; i < ID_BYTES; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && text.ptr[at++] != '-') {
            return false;
        }
        int high = hex_value(text.ptr[at++]);
        int low = hex_value(text.ptr[at++]);
        if (high < 0 || low < 0) {
            return false;
        }
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *out_id = id;
    return true;
}
