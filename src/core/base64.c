#include "core/base64.h"

#include <assert.h>

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void add(struct text *t, struct slice bytes, const char *alphabet, bool is_padded)
{
    assert(bytes.ptr || bytes.len == 0);
    for (size_t i = 0; i < bytes.len; i += 3) {
        const unsigned char *p = (const unsigned char *)bytes.ptr + i;
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = (uint32_t)p[0] << 16;
        group |= n > 1 ? (uint32_t)p[1] << 8 : 0;
        group |= n > 2 ? (uint32_t)p[2] : 0;
        char four[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63],
                        alphabet[group >> 6 & 63], alphabet[group & 63]};
        for (size_t k = n + 1; k < sizeof(four); k++) {
            four[k] = '=';
        }
        text_add(t, slice_of(four, is_padded ? sizeof(four) : n + 1));
    }
}

void base64_add(struct text *t, struct slice bytes)
{
    add(t, bytes, standard, true);
}

void base64url_add(struct text *t, struct slice bytes)
{
    add(t, bytes, url_safe, false);
}

int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

enum err base64_read(struct arena *a, struct slice text, struct slice *out)
{
    while (text.len && text.ptr[text.len - 1] == '=') {
        text.len--;
    }
    char *to = arena_alloc(a, text.len);
    size_t len = 0;
    uint32_t bits = 0;
    unsigned count = 0;
    if (!to || text.len % 4 == 1) {
        return to ? E_SYNTAX : E_NOMEM;
    }
    for (size_t i = 0; i < text.len; i++) {
        int six = base64_digit(text.ptr[i]);
        if (six < 0) {
            return E_SYNTAX;
        }
        bits = (bits << 6 | (uint32_t)six) & 0xFFFFFF;
        count += 6;
        if (count >= 8) {
            count -= 8;
            to[len++] = (char)(unsigned char)(bits >> count & 0xFF);
        }
    }
    *out = slice_of(to, len);
    return OK;
}
