#include "core/text.h"

#include "core/check.h"
#include "core/money.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum { TEXT_FIRST_BYTES = 512 };

static COLD bool grow(struct text *t, size_t need)
{
    size_t cap = t->cap ? t->cap : TEXT_FIRST_BYTES / 2;
    while (cap < need) {
        if (!size_mul(cap, 2, &cap)) {
            return false;
        }
    }
    char *bigger = arena_alloc(t->arena, cap);
    if (!bigger) {
        return false;
    }
    if (t->len) {
        memcpy(bigger, t->ptr, t->len);
    }
    t->ptr = bigger;
    t->cap = cap;
    return true;
}

char *text_reserve_slow(struct text *t, size_t len)
{
    size_t need;
    assert(t->len <= t->cap);
    if (t->is_full || !t->arena || !size_add(t->len, len, &need) || !grow(t, need)) {
        t->is_full = true;
        return NULL;
    }
    char *at = t->ptr + t->len;
    t->len += len;
    return at;
}

static inline unsigned digit_count(uint64_t value)
{
    unsigned n = 1;
    for (; value >= 10000; value /= 10000) {
        n += 4;
    }
    return n + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Two at a time: every answer and every log line has a dozen numbers. */
char *text_put_i64(char *to, int64_t value)
{
    static const char pairs[] = "0001020304050607080910111213141516171819202122232425262728293031"
                                "3233343536373839404142434445464748495051525354555657585960616263"
                                "6465666768697071727374757677787980818283848586878889909192939495"
                                "96979899";
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    *to = '-';
    to += value < 0;
    char *end = to + digit_count(left);
    char *at = end;
    while (left >= 100) {
        at -= 2;
        memcpy(at, pairs + 2 * (left % 100), 2);
        left /= 100;
    }
    if (left >= 10) {
        memcpy(at - 2, pairs + 2 * left, 2);
    } else {
        at[-1] = (char)('0' + left);
    }
    return end;
}

void text_add_i64(struct text *t, int64_t value)
{
    if (t->cap - t->len >= TEXT_I64_MAX_BYTES) {
        t->len = (size_t)(text_put_i64(t->ptr + t->len, value) - t->ptr);
        return;
    }
    ROOM char digits[TEXT_I64_MAX_BYTES];
    text_add(t, slice_of(digits, (size_t)(text_put_i64(digits, value) - digits)));
}

void text_add_usd(struct text *t, int64_t nusd)
{
    char number[MONEY_TEXT_MAX_BYTES];
    size_t len = money_format(nusd, number);
    text_add(t, slice_of(number, len));
}

void text_addf(struct text *t, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *at = len > 0 ? text_reserve(t, (size_t)len + 1) : NULL;
    if (at) {
        (void)vsnprintf(at, (size_t)len + 1, format, again);
        t->len--; /* the NUL does not count */
    }
    va_end(again);
    va_end(args);
}

/* Length of the UTF-8 sequence that begins with this byte, or 0: none does. */
static size_t utf8_length_of_first(uint8_t first)
{
    return first < 0x80   ? 1
           : first < 0xC2 ? 0
           : first < 0xE0 ? 2
           : first < 0xF0 ? 3
           : first < 0xF5 ? 4
                          : 0;
}

size_t text_utf8_length(const uint8_t *p, size_t left)
{
    size_t n = utf8_length_of_first(p[0]);
    if (n == 0 || n > left) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F)) {
        return 0;
    }
    return n;
}

static void add_escaped(struct text *t, uint8_t c)
{
    switch (c) {
    case '"': TEXT_ADD(t, "\\\""); break;
    case '\\': TEXT_ADD(t, "\\\\"); break;
    case '\n': TEXT_ADD(t, "\\n"); break;
    case '\r': TEXT_ADD(t, "\\r"); break;
    case '\t': TEXT_ADD(t, "\\t"); break;
    default: text_addf(t, "\\u%04x", c);
    }
}

void text_add_json_string(struct text *t, struct slice s)
{
    const uint8_t *p = (const uint8_t *)s.ptr;
    size_t run = 0; /* p[run..i) needs nothing */
    text_add_char(t, '"');
    for (size_t i = 0; i < s.len;) {
        if (p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\') {
            i++;
            continue;
        }
        size_t n = p[i] < 0x80 ? 0 : text_utf8_length(p + i, s.len - i);
        if (n) {
            i += n;
            continue;
        }
        text_add(t, slice_of(s.ptr + run, i - run));
        if (p[i] < 0x80) {
            add_escaped(t, p[i]);
        } else {
            TEXT_ADD(t, "\xEF\xBF\xBD");
        }
        run = ++i;
    }
    if (run < s.len) { /* an empty slice may have no address to add to */
        text_add(t, slice_of(s.ptr + run, s.len - run));
    }
    text_add_char(t, '"');
}

void text_add_json_key(struct text *t, const char *name)
{
    if (t->len && t->ptr[t->len - 1] != '{' && t->ptr[t->len - 1] != '[') {
        text_add_char(t, ',');
    }
    text_add_json_string(t, slice_str(name));
    text_add_char(t, ':');
}

void text_add_uri(struct text *t, struct slice s, bool keeps_slash)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = (uint8_t)s.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~' ||
                        (c == '/' && keeps_slash);
        if (is_plain) {
            text_add_char(t, (char)c);
        } else {
            const char escaped[3] = {'%', hex[c >> 4], hex[c & 15]};
            text_add(t, slice_of(escaped, sizeof(escaped)));
        }
    }
}
