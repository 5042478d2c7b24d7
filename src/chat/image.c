#include "chat/image.h"

#include "core/base64.h"
#include "core/check.h"

/* Byte i of the file, or -1: there is none, or it is no base64. */
static int byte_at(struct slice data, size_t i)
{
    size_t first = i / 3 * 4 + i % 3;
    if (i >= data.len || first + 1 >= data.len) {
        return -1;
    }
    int high = base64_digit(data.ptr[first]);
    int low = base64_digit(data.ptr[first + 1]);
    if (high < 0 || low < 0) {
        return -1;
    }
    unsigned shift = 2 * (unsigned)(i % 3) + 2; /* bits of high that count */
    return (int)(((unsigned)high << shift | (unsigned)low >> (6 - shift)) & 0xFF);
}

static bool has_bytes(struct slice data, size_t at, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (byte_at(data, at + i) != (uint8_t)bytes.ptr[i]) {
            return false;
        }
    }
    return true;
}

/* n bytes as a number, -1 when they are not all there. */
static int64_t big(struct slice data, size_t at, size_t n)
{
    int64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        int byte = byte_at(data, at + i);
        if (byte < 0) {
            return -1;
        }
        value = value << 8 | byte;
    }
    return value;
}

static int64_t little(struct slice data, size_t at, size_t n)
{
    int64_t value = 0;
    for (size_t i = n; i-- > 0;) {
        int byte = byte_at(data, at + i);
        if (byte < 0) {
            return -1;
        }
        value = value << 8 | byte;
    }
    return value;
}

static bool size_of(int64_t width, int64_t height, struct image_size *out)
{
    if (width <= 0 || height <= 0) {
        return false;
    }
    *out = (struct image_size){i64_min(width, IMAGE_SIDE_MAX), i64_min(height, IMAGE_SIDE_MAX)};
    return true;
}

/* Segments up to the first start of frame: any of C0..CF but C4 (tables), C8 and CC. */
static bool jpeg(struct slice data, struct image_size *out)
{
    size_t at = 2;
    for (int i = 0; i < IMAGE_SEGMENTS_MAX; i++) {
        int64_t marker = big(data, at + 1, 1);
        if (byte_at(data, at) != 0xFF || marker < 0) {
            return false;
        }
        if (marker == 0xFF) { /* padding */
            at++;
            continue;
        }
        if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 &&
            marker != 0xCC) {
            return size_of(big(data, at + 7, 2), big(data, at + 5, 2), out);
        }
        bool is_bare = marker == 1 || (marker >= 0xD0 && marker <= 0xD8);
        int64_t len = is_bare ? 0 : big(data, at + 2, 2);
        if (len < 0) {
            return false;
        }
        at += 2 + (size_t)len;
    }
    return false;
}

static bool webp(struct slice data, struct image_size *out)
{
    if (has_bytes(data, 12, SLICE("VP8X"))) {
        return size_of(little(data, 24, 3) + 1, little(data, 27, 3) + 1, out);
    }
    if (has_bytes(data, 12, SLICE("VP8L"))) {
        int64_t bits = little(data, 21, 4);
        return bits >= 0 && size_of((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, out);
    }
    if (has_bytes(data, 12, SLICE("VP8 "))) {
        int64_t width = little(data, 26, 2);
        int64_t height = little(data, 28, 2);
        return width > 0 && height > 0 && size_of(width & 0x3FFF, height & 0x3FFF, out);
    }
    return false;
}

bool image_size_find(struct slice base64, struct image_size *out)
{
    if (has_bytes(base64, 0, SLICE("\x89PNG\r\n\x1A\n")) && has_bytes(base64, 12, SLICE("IHDR"))) {
        return size_of(big(base64, 16, 4), big(base64, 20, 4), out);
    }
    if (has_bytes(base64, 0, SLICE("\xFF\xD8\xFF"))) {
        return jpeg(base64, out);
    }
    if (has_bytes(base64, 0, SLICE("GIF8"))) {
        return size_of(little(base64, 6, 2), little(base64, 8, 2), out);
    }
    if (has_bytes(base64, 0, SLICE("RIFF")) && has_bytes(base64, 8, SLICE("WEBP"))) {
        return webp(base64, out);
    }
    return false;
}
