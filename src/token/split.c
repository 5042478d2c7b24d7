#include "token/split.h"

#include "token/unicode.h"

#include <assert.h>

/* Sets of classes, as bits. */
enum {
    OTHER = 1 << UNICODE_OTHER,
    UPPER = 1 << UNICODE_UPPER,
    LOWER = 1 << UNICODE_LOWER,
    LETTER = 1 << UNICODE_LETTER,
    MARK = 1 << UNICODE_MARK,
    NUMBER = 1 << UNICODE_NUMBER,
    SPACE = 1 << UNICODE_SPACE,
    NEWLINE = 1 << UNICODE_NEWLINE,
    LETTERS = UPPER | LOWER | LETTER,
    SYMBOLS = OTHER | MARK,
    SPACES = SPACE | NEWLINE,
    CASELESS = LETTER | MARK, /* in both word classes of o200k */
    HEAD = UPPER | CASELESS,  /* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] */
    TAIL = LOWER | CASELESS,  /* [\p{Ll}\p{Lm}\p{Lo}\p{M}] */
    NUMBER_MAX = 3
};

/* One code point: its class as a bit, 0 at the end of the text. */
struct unit {
    unsigned set;
    size_t len;
};

static bool is_tail(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

/* The range of the second byte keeps out overlong forms, surrogates and what lies above U+10FFFF.
 */
size_t split_decode(const uint8_t *p, const uint8_t *end, uint32_t *out_cp, bool *out_broken)
{
    size_t left = (size_t)(end - p);
    uint8_t lead = p[0];
    *out_broken = false;
    *out_cp = lead;
    if (lead < 0x80) {
        return 1;
    }
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    size_t have = 1;
    if (lead >= 0xC2 && lead <= 0xF4 && left > 1 && p[1] >= low && p[1] <= high) {
        uint32_t cp = (uint32_t)(lead & (0xFF >> (need + 1))) << 6 | (p[1] & 0x3F);
        for (have = 2; have < need && have < left && is_tail(p[have]); have++) {
            cp = cp << 6 | (p[have] & 0x3F);
        }
        if (have == need) {
            *out_cp = cp;
            return need;
        }
    }
    *out_cp = 0xFFFD;
    *out_broken = true;
    return have;
}

static struct unit unit_slow(struct split *s, const uint8_t *p)
{
    uint32_t cp;
    bool is_broken;
    size_t len = split_decode(p, s->end, &cp, &is_broken);
    if (is_broken && (!s->broken || p < s->broken)) {
        s->broken = p;
    }
    return (struct unit){1U << unicode_class_of(cp), len};
}

static inline struct unit unit_at(struct split *s, const uint8_t *p)
{
    if (p == s->end) {
        return (struct unit){0, 0};
    }
    if (*p < 0x80) {
        return (struct unit){1U << unicode_class_of(*p), 1};
    }
    return unit_slow(s, p);
}

static const uint8_t *skip(struct split *s, const uint8_t *p, unsigned set)
{
    struct unit u = unit_at(s, p);
    while (u.set & set) {
        p += u.len;
        u = unit_at(s, p);
    }
    return p;
}

static bool has_byte(const struct split *s, const uint8_t *p, uint8_t lower)
{
    return p < s->end && (*p | 0x20) == lower;
}

/* '(?i:s|d|m|t|ll|ve|re), or p when there is none. U+017F is an s without case. */
static const uint8_t *contraction(const struct split *s, const uint8_t *p)
{
    if (s->end - p < 2 || *p != '\'') {
        return p;
    }
    switch (p[1] | 0x20) {
    case 's':
    case 'd':
    case 'm':
    case 't': return p + 2;
    case 'l': return has_byte(s, p + 2, 'l') ? p + 3 : p;
    case 'v':
    case 'r': return has_byte(s, p + 2, 'e') ? p + 3 : p;
    default: return s->end - p > 2 && p[1] == 0xC5 && p[2] == 0xBF ? p + 3 : p;
    }
}

static const uint8_t *number(struct split *s, const uint8_t *p)
{
    for (int i = 0; i < NUMBER_MAX; i++) {
        struct unit u = unit_at(s, p);
        if (!(u.set & NUMBER)) {
            break;
        }
        p += u.len;
    }
    return p;
}

/* ' '?[^\s L N]+ and the newlines after it, in o200k with slashes; p when there is no symbol. */
static const uint8_t *symbols(struct split *s, const uint8_t *p)
{
    const uint8_t *first = p + (*p == ' ');
    const uint8_t *q = skip(s, first, SYMBOLS);
    if (q == first) {
        return p;
    }
    bool takes_slash = s->encoding == TOKEN_O200K;
    while (q < s->end && (*q == '\r' || *q == '\n' || (takes_slash && *q == '/'))) {
        q++;
    }
    return q;
}

/* A run of white space: to its last newline; else whole at the end of the text, else without its
 * last character, which may begin the next piece, unless it is the only one. */
static const uint8_t *space(struct split *s, const uint8_t *p)
{
    const uint8_t *newline = NULL; /* behind the last one */
    const uint8_t *last = p;
    const uint8_t *q = p;
    for (struct unit u = unit_at(s, q); u.set & SPACES; u = unit_at(s, q)) {
        last = q;
        q += u.len;
        if (u.set & NEWLINE) {
            newline = q;
        }
    }
    assert(q > p);
    if (q == s->end && s->encoding == TOKEN_CL100K) {
        return q; /* its \s+$ comes before the newlines */
    }
    if (newline) {
        return newline;
    }
    return q == s->end || last == p ? q : last;
}

static const uint8_t *end_cl100k(struct split *s, const uint8_t *p)
{
    struct unit u = unit_at(s, p);
    const uint8_t *q = p + u.len;
    if (u.set & LETTERS) {
        return skip(s, q, LETTERS);
    }
    if (u.set & NUMBER) {
        return number(s, p);
    }
    const uint8_t *e = contraction(s, p);
    if (e > p) {
        return e;
    }
    if (!(u.set & NEWLINE) && unit_at(s, q).set & LETTERS) {
        return skip(s, q, LETTERS);
    }
    e = symbols(s, p);
    return e > p ? e : space(s, p);
}

/* HEAD*TAIL+ from p, or p. HEAD* gives back up to its last caseless character when nothing of TAIL
 * follows it; *out_head is where it ended before that. */
static const uint8_t *word(struct split *s, const uint8_t *p, const uint8_t **out_head)
{
    const uint8_t *caseless = p; /* behind the last one */
    const uint8_t *q = p;
    for (struct unit u = unit_at(s, q); u.set & HEAD; u = unit_at(s, q)) {
        q += u.len;
        if (u.set & CASELESS) {
            caseless = q;
        }
    }
    *out_head = q;
    const uint8_t *e = skip(s, q, TAIL);
    return e > q ? e : caseless;
}

/* The first two alternatives of o200k, or p. With and then without the optional first character:
 * without it only a mark can begin a word, and then that mark alone is the word. */
static const uint8_t *word_o200k(struct split *s, const uint8_t *p, struct unit first)
{
    const uint8_t *q = first.set & LETTERS ? p : p + first.len;
    const uint8_t *head;
    const uint8_t *e = word(s, q, &head);
    if (e == q) {
        e = first.set & MARK ? q : head;
    }
    if (e == q && !(first.set & MARK)) {
        return p;
    }
    return contraction(s, e);
}

static const uint8_t *end_o200k(struct split *s, const uint8_t *p)
{
    struct unit u = unit_at(s, p);
    if (u.set & NUMBER) {
        return number(s, p);
    }
    const uint8_t *e = u.set & NEWLINE ? p : word_o200k(s, p, u);
    if (e == p) {
        e = symbols(s, p);
    }
    return e > p ? e : space(s, p);
}

void split_init(struct split *s, enum token_encoding encoding, struct slice text)
{
    const uint8_t *at = (const uint8_t *)text.ptr;
    *s = (struct split){.at = at, .end = text.len ? at + text.len : at, .encoding = encoding};
}

bool split_next(struct split *s, struct piece *out)
{
    const uint8_t *p = s->at;
    if (p == s->end) {
        return false;
    }
    if (s->broken && s->broken < p) {
        s->broken = NULL;
    }
    const uint8_t *e = s->encoding == TOKEN_CL100K ? end_cl100k(s, p) : end_o200k(s, p);
    assert(e > p && e <= s->end);
    *out = (struct piece){p, (size_t)(e - p), s->broken && s->broken < e};
    s->at = e;
    return true;
}
