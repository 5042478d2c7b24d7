#include "wire/spans.h"

#include "wire/skim.h"

#include <assert.h>

#if defined(__SSE2__)
#    include <emmintrin.h>
#endif

/* 0..at checked | at..end unread. */
struct walk {
    const char *at, *end;
    const char *what; /* set with a failure */
    enum err failed;
    bool has_escape;  /* of the last string */
    bool is_skimming; /* containers are passed over by their brackets */
};

static enum err fail(struct walk *w, const char *what)
{
    w->what = what;
    w->failed = E_SYNTAX;
    return E_SYNTAX;
}

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline void skip_space(struct walk *w)
{
    while (w->at < w->end && is_space(*w->at)) {
        w->at++;
    }
}

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool is_hex(char c)
{
    return hex_value(c) >= 0;
}

/* First byte from p on that ends a run of plain string bytes: quote, backslash or control. */
static inline HOT const char *plain_run(const char *p, const char *end)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i slash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1F);
    while (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash));
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(_mm_min_epu8(x, control), x));
        unsigned mask = (unsigned)_mm_movemask_epi8(stop);
        if (mask) {
            return p + __builtin_ctz(mask);
        }
        p += 16;
    }
#endif
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20) {
        p++;
    }
    return p;
}

static enum err escape(struct walk *w)
{
    assert(*w->at == '\\');
    if (w->end - w->at < 2) {
        return fail(w, "the text ends inside an escape");
    }
    if (span_is_short_escape(w->at[1])) {
        w->at += 2;
        return OK;
    }
    if (w->at[1] != 'u') {
        return fail(w, "bad escape in a string");
    }
    if (w->end - w->at < 6 || !is_hex(w->at[2]) || !is_hex(w->at[3]) || !is_hex(w->at[4]) ||
        !is_hex(w->at[5])) {
        return fail(w, "bad \\u escape in a string");
    }
    w->at += 6;
    return OK;
}

/* At the opening quote; ends behind the closing one. */
static inline enum err string(struct walk *w)
{
    w->has_escape = false;
    w->at++;
    for (;;) {
        w->at = plain_run(w->at, w->end);
        if (w->at == w->end) {
            return fail(w, "the text ends inside a string");
        }
        if (*w->at == '"') {
            w->at++;
            return OK;
        }
        if (*w->at != '\\') {
            return fail(w, "control character in a string");
        }
        w->has_escape = true;
        if (escape(w)) {
            return w->failed;
        }
    }
}

static inline const char *digits(const char *p, const char *end)
{
    while (p < end && is_digit(*p)) {
        p++;
    }
    return p;
}

static enum err number(struct walk *w)
{
    const char *p = w->at;
    if (p < w->end && *p == '-') {
        p++;
    }
    const char *whole = p;
    p = digits(p, w->end);
    if (p == whole || (*whole == '0' && p - whole > 1)) {
        return fail(w, "bad number");
    }
    if (p < w->end && *p == '.') {
        const char *fraction = ++p;
        p = digits(p, w->end);
        if (p == fraction) {
            return fail(w, "bad number");
        }
    }
    if (p < w->end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < w->end && (*p == '+' || *p == '-')) {
            p++;
        }
        const char *power = p;
        p = digits(p, w->end);
        if (p == power) {
            return fail(w, "bad number");
        }
    }
    w->at = p;
    return OK;
}

static enum err literal(struct walk *w, const char *text, size_t len)
{
    if ((size_t)(w->end - w->at) < len || memcmp(w->at, text, len) != 0) {
        return fail(w, "expected a value");
    }
    w->at += len;
    return OK;
}

/* A value that is neither object nor array. */
static inline enum err scalar(struct walk *w, enum span_kind *out_kind)
{
    switch (*w->at) {
    case '"': *out_kind = SPAN_STRING; return string(w);
    case 't': *out_kind = SPAN_TRUE; return literal(w, "true", 4);
    case 'f': *out_kind = SPAN_FALSE; return literal(w, "false", 5);
    case 'n': *out_kind = SPAN_NULL; return literal(w, "null", 4);
    default: *out_kind = SPAN_NUMBER; return number(w);
    }
}

/* A key and its colon, white space around them included. */
static inline enum err key(struct walk *w)
{
    skip_space(w);
    if (w->at == w->end || *w->at != '"') {
        return fail(w, "expected a member name in quotes");
    }
    if (string(w)) {
        return w->failed;
    }
    skip_space(w);
    if (w->at == w->end || *w->at != ':') {
        return fail(w, "expected ':'");
    }
    w->at++;
    return OK;
}

/* What encloses the value at hand: bit d is set when the container at depth d is an object. */
struct nest {
    uint64_t is_object[2];
    unsigned depth, deepest;
};

static_assert(SPAN_DEPTH_MAX <= 128, "struct nest holds 128 levels");

static inline bool in_object(const struct nest *n)
{
    unsigned d = n->depth - 1;
    return (n->is_object[d / 64] >> (d % 64)) & 1;
}

/* At '{' or '['. *out_closed: it was empty and is already behind us. */
static inline enum err open_container(struct walk *w, struct nest *n, unsigned depth_max,
                                      bool *out_closed)
{
    bool is_object = *w->at == '{';
    if (n->depth == depth_max) {
        w->what = "nested too deeply";
        w->failed = E_LIMIT;
        return E_LIMIT;
    }
    uint64_t bit = (uint64_t)1 << (n->depth % 64);
    if (is_object) {
        n->is_object[n->depth / 64] |= bit;
    } else {
        n->is_object[n->depth / 64] &= ~bit;
    }
    n->depth++;
    n->deepest = n->depth > n->deepest ? n->depth : n->deepest;
    w->at++;
    skip_space(w);
    *out_closed = w->at < w->end && *w->at == (is_object ? '}' : ']');
    if (*out_closed) {
        w->at++;
        n->depth--;
        return OK;
    }
    return is_object ? key(w) : OK;
}

/* Behind a value inside a container: closes what ends here, up to the next value to read or to the
 * outside. */
static inline enum err after_value(struct walk *w, struct nest *n)
{
    while (n->depth) {
        skip_space(w);
        if (w->at == w->end) {
            return fail(w, "the text ends inside an object or array");
        }
        bool is_object = in_object(n);
        char c = *w->at;
        if (c == ',') {
            w->at++;
            return is_object ? key(w) : OK;
        }
        if (c != (is_object ? '}' : ']')) {
            return fail(w, is_object ? "expected ',' or '}'" : "expected ',' or ']'");
        }
        w->at++;
        n->depth--;
    }
    return OK;
}

/* At the first byte of a value or white space before it; ends behind it. */
/* NOLINTNEXTLINE(readability-function-cognitive-complexity): the hot walk, in one piece (26) */
static HOT enum err value(struct walk *w, unsigned depth_max, struct span *out)
{
    struct nest nest = {.depth = 0};
    enum span_kind kind = SPAN_ABSENT;
    skip_space(w);
    const char *start = w->at;
    if (start < w->end && *start != '{' && *start != '[') { /* most members */
        if (scalar(w, &kind)) {
            return w->failed;
        }
        out->value = slice_of(start, (size_t)(w->at - start));
        out->kind = kind;
        out->is_string_plain = kind == SPAN_STRING && !w->has_escape;
        out->depth = 0;
        return OK;
    }
    if (w->is_skimming && start < w->end) {
        out->depth = 0;
        w->failed = skim_container(start, w->end, depth_max, &w->at);
        w->what = "its brackets or strings do not end";
        out->value = slice_of(start, (size_t)(w->at - start));
        out->kind = *start == '{' ? SPAN_OBJECT : SPAN_ARRAY;
        out->is_string_plain = false;
        return w->failed;
    }
    do {
        bool is_scalar = true;
        skip_space(w);
        if (w->at == w->end) {
            return fail(w, "the text ends where a value was expected");
        }
        if (*w->at == '{' || *w->at == '[') {
            bool closed;
            kind = *w->at == '{' ? SPAN_OBJECT : SPAN_ARRAY;
            if (open_container(w, &nest, depth_max, &closed)) {
                return w->failed;
            }
            is_scalar = closed;
        } else if (scalar(w, &kind)) {
            return w->failed;
        }
        if (is_scalar && after_value(w, &nest)) {
            return w->failed;
        }
    } while (nest.depth);
    out->value = slice_of(start, (size_t)(w->at - start));
    out->kind = *start == '{' ? SPAN_OBJECT : SPAN_ARRAY;
    out->is_string_plain = false;
    out->depth = (uint8_t)nest.deepest;
    return OK;
}

enum err span_open(struct span_cursor *c, struct slice text)
{
    *c = (struct span_cursor){.begin = text.ptr, .at = text.ptr, .end = text.ptr + text.len};
    struct walk w = {.at = c->at, .end = c->end};
    skip_space(&w);
    if (w.at == w.end || (*w.at != '{' && *w.at != '[')) {
        c->fault =
            (struct span_fault){.at = (size_t)(w.at - c->begin), .what = "expected an object"};
        c->failed = E_SYNTAX;
        return E_SYNTAX;
    }
    c->is_object = *w.at == '{';
    c->at = w.at + 1;
    return OK;
}

enum err span_skim(struct span_cursor *c, struct slice text)
{
    enum err e = span_open(c, text);
    c->is_skimming = true;
    return e;
}

static enum span_step step_failed(struct span_cursor *c, const struct walk *w)
{
    c->failed = (int)w->failed;
    c->fault = (struct span_fault){.at = (size_t)(w->at - c->begin), .what = w->what};
    return SPAN_BAD;
}

/* Behind the closing bracket only white space may follow. */
static enum span_step step_end(struct span_cursor *c, struct walk *w)
{
    c->is_done = true;
    c->at = ++w->at;
    skip_space(w);
    if (w->at != w->end) {
        (void)fail(w, "extra bytes after the value");
        return step_failed(c, w);
    }
    return SPAN_END;
}

static inline bool is_ascii(struct slice s)
{
    uint64_t seen = 0, word = 0;
    size_t i = 0;
    for (; s.len - i >= 8; i += 8) {
        memcpy(&word, s.ptr + i, 8);
        seen |= word;
    }
    for (; i < s.len; i++) {
        seen |= (uint64_t)(unsigned char)s.ptr[i];
    }
    return (seen & 0x8080808080808080u) == 0;
}

/* Nearly every key: plain ASCII, at most 30 bytes, the colon right behind it. False: nothing was
 * read. */
static inline HOT bool quick_key(struct walk *w, struct span *out)
{
#if defined(__SSE2__)
    const char *p = w->at;
    if (w->end - p < 34 || *p != '"') {
        return false;
    }
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(p + 17));
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i slash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(0x20);
    unsigned quotes = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(low, quote)) |
                      (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(high, quote)) << 16;
    if (quotes == 0) {
        return false;
    }
    /* Signed comparison: control characters and bytes above 0x7F are both below a space. */
    unsigned others = (unsigned)_mm_movemask_epi8(
                          _mm_or_si128(_mm_cmpeq_epi8(low, slash), _mm_cmplt_epi8(low, space))) |
                      (unsigned)_mm_movemask_epi8(
                          _mm_or_si128(_mm_cmpeq_epi8(high, slash), _mm_cmplt_epi8(high, space)))
                          << 16;
    unsigned len = (unsigned)__builtin_ctz(quotes);
    if ((others & ((1u << len) - 1)) || p[len + 2] != ':') {
        return false;
    }
    out->key = slice_of(p, len + 2);
    out->is_key_plain = true;
    w->at = p + len + 3;
    return true;
#else
    (void)w;
    (void)out;
    return false;
#endif
}

enum span_step span_next(struct span_cursor *c, struct span *out)
{
    struct walk w = {.at = c->at, .end = c->end, .is_skimming = c->is_skimming};
    if (c->failed || c->is_done) {
        return c->failed ? SPAN_BAD : SPAN_END;
    }
    skip_space(&w);
    if (w.at == w.end) {
        (void)fail(&w, "the text ends inside an object or array");
        return step_failed(c, &w);
    }
    if (*w.at == (c->is_object ? '}' : ']')) {
        return step_end(c, &w);
    }
    if (c->count) {
        if (*w.at != ',') {
            (void)fail(&w, c->is_object ? "expected ',' or '}'" : "expected ',' or ']'");
            return step_failed(c, &w);
        }
        w.at++;
        skip_space(&w);
    }
    out->key = SLICE_NONE;
    out->is_key_plain = false;
    if (c->is_object && !quick_key(&w, out)) {
        const char *start = w.at;
        if (key(&w)) {
            return step_failed(c, &w);
        }
        const char *stop = w.at - 1; /* at the colon */
        while (is_space(stop[-1])) {
            stop--;
        }
        out->key = slice_of(start, (size_t)(stop - start));
        out->is_key_plain = !w.has_escape && is_ascii(out->key);
    }
    if (value(&w, SPAN_DEPTH_MAX - 1, out)) {
        return step_failed(c, &w);
    }
    c->at = w.at;
    c->count++;
    return SPAN_ITEM;
}

static unsigned hex4(const char *p)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i];
        v = v << 4 | (c <= '9' ? c - 0x30u : (c | 0x20u) - 0x61u + 10u);
    }
    return v;
}

static char *put_utf8(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    }
    return out;
}

/* At "\u"; returns behind the escape or the pair. Never writes more than it reads. */
static const char *unescape_unicode(const char *p, const char *end, char **out)
{
    unsigned c = hex4(p + 2);
    p += 6;
    if (c >= 0xD800 && c < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        unsigned low = hex4(p + 2);
        if (low >= 0xDC00 && low < 0xE000) {
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
            p += 6;
        }
    }
    if (c >= 0xD800 && c < 0xE000) {
        c = 0xFFFD;
    }
    *out = put_utf8(*out, c);
    return p;
}

size_t span_unescape(struct slice raw, char *out)
{
    assert(raw.len >= 2);
    char *to = out;
    const char *p = raw.ptr + 1;
    const char *end = raw.ptr + raw.len - 1;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((slash ? slash : end) - p);
        memcpy(to, p, run);
        to += run;
        p += run;
        if (!slash) {
            break;
        }
        if (p[1] == 'u') {
            p = unescape_unicode(p, end, &to);
            continue;
        }
        static const char from[] = "bfnrt", into[] = "\b\f\n\r\t";
        const char *found = memchr(from, p[1], sizeof(from) - 1);
        const char *meant = found ? &into[found - from] : &p[1];
        *to++ = *meant;
        p += 2;
    }
    return (size_t)(to - out);
}

bool span_string_is(const struct span *s, struct slice text)
{
    if (s->kind != SPAN_STRING) {
        return false;
    }
    if (s->is_string_plain) {
        return slice_eq(span_plain(s), text);
    }
    char room[6 * SPAN_NAME_MAX_BYTES + 2];
    if (s->value.len > sizeof(room)) {
        return false;
    }
    return slice_eq(slice_of(room, span_unescape(s->value, room)), text);
}

/* Go's decoder, which several providers use, folds U+017F to s and U+212A to k; so a key spelled
 * with them is another spelling of the name, too. In place; returns the new length. */
static size_t fold_lookalikes(char *s, size_t len)
{
    size_t to = 0;
    for (size_t i = 0; i < len; to++) {
        if (len - i >= 2 && memcmp(s + i, "\xC5\xBF", 2) == 0) {
            s[to] = 's';
            i += 2;
        } else if (len - i >= 3 && memcmp(s + i, "\xE2\x84\xAA", 3) == 0) {
            s[to] = 'k';
            i += 3;
        } else {
            s[to] = s[i++];
        }
    }
    return to;
}

static inline bool same_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && a.len && ((a.ptr[0] ^ b.ptr[0]) & ~0x20) == 0 && slice_eq_nocase(a, b);
}

/* Names wanted and where they were found. */
struct search {
    const struct span_name *names;
    size_t count;
    struct span *out;
    struct span_fault *fault;
};

/* The member's key is exact; folded is what a lenient reader may take it for. E_DUPLICATE when a
 * deciding name is met again or in other letters. */
static inline enum err match(const struct search *s, const struct span *m, struct slice exact,
                             struct slice folded)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct span_name *name = &s->names[i];
        if (folded.len != name->name.len && exact.len != name->name.len) {
            continue;
        }
        bool is_it = slice_eq(exact, name->name);
        if (is_it && (!name->is_deciding || s->out[i].kind == SPAN_ABSENT)) {
            s->out[i] = *m;
            return OK;
        }
        if (is_it || (name->is_deciding && same_nocase(folded, name->name))) {
            s->fault->named = name->name;
            s->fault->what = is_it ? "given twice" : "given in other letter case";
            return E_DUPLICATE;
        }
    }
    return OK;
}

/* Apart from the fast way, for its rooms are zeroed on entry (-ftrivial-auto-var-init). */
static COLD enum err match_slow(const struct search *s, const struct span *m)
{
    char exact[6 * SPAN_NAME_MAX_BYTES + 2];
    char folded[sizeof(exact)];
    if (m->key.len > sizeof(exact)) {
        return OK; /* longer than any name, however it is spelled */
    }
    size_t len = span_unescape(m->key, exact);
    memcpy(folded, exact, len);
    return match(s, m, slice_of(exact, len), slice_of(folded, fold_lookalikes(folded, len)));
}

enum err spans_scan(struct slice text, const struct span_name *names, size_t count,
                    struct span *out, struct span_object *out_object)
{
    const struct search search = {names, count, out, &out_object->fault};
    struct span_cursor c;
    struct span m;
    enum span_step step;
    memset(out, 0, count * sizeof(*out));
    *out_object = (struct span_object){.open = 0};
    if (span_open(&c, text) || !c.is_object) {
        out_object->fault = (struct span_fault){.at = 0, .what = "expected an object"};
        return E_SYNTAX;
    }
    out_object->open = (size_t)(c.at - 1 - c.begin);
    while ((step = span_next(&c, &m)) == SPAN_ITEM) {
        struct slice plain = slice_of(m.key.ptr + 1, m.key.len - 2);
        enum err e = m.is_key_plain ? match(&search, &m, plain, plain) : match_slow(&search, &m);
        if (e) {
            out_object->fault.at = (size_t)(m.key.ptr - c.begin);
            return e;
        }
    }
    if (step == SPAN_BAD) {
        out_object->fault = c.fault;
        return (enum err)c.failed;
    }
    out_object->members = c.count;
    out_object->close = (size_t)(c.at - 1 - c.begin);
    return OK;
}

enum err spans_check(struct slice text, struct span_fault *out_fault)
{
    struct walk w = {.at = text.ptr, .end = text.ptr + text.len};
    struct span whole;
    enum err e = value(&w, SPAN_DEPTH_MAX, &whole);
    skip_space(&w);
    if (!e && w.at != w.end) {
        e = fail(&w, "extra bytes after the value");
    }
    if (e) {
        *out_fault = (struct span_fault){.at = (size_t)(w.at - text.ptr), .what = w.what};
    }
    return e;
}
