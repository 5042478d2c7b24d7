/* A complete head: first line, header lines, and what they mean together. The characters of a line
 * are checked while it is read; that every line ends in CR LF the caller has seen. */
#include "wire/http1_head.h"

#include "core/check.h"

#if defined(__SSE2__)
#    include <emmintrin.h>
#endif

/* ---- the first line ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.0" or "HTTP/1.1" in eight bytes. */
static enum http1_fault read_version(struct http_head *head, const char *at)
{
    if (memcmp(at, "HTTP/", 5) != 0 || !is_digit(at[5]) || at[6] != '.' || !is_digit(at[7])) {
        return HTTP1_BAD_SYNTAX;
    }
    if (at[5] != '1' || at[7] > '1') {
        return HTTP1_BAD_VERSION;
    }
    head->version_minor = at[7] - '0';
    return HTTP1_OK;
}

static enum http_verb verb_of(struct slice method)
{
    static const struct {
        struct slice text;
        enum http_verb verb;
    } verbs[] = {{SLICE_INIT("POST"), VERB_POST},     {SLICE_INIT("GET"), VERB_GET},
                 {SLICE_INIT("HEAD"), VERB_HEAD},     {SLICE_INIT("OPTIONS"), VERB_OPTIONS},
                 {SLICE_INIT("DELETE"), VERB_DELETE}, {SLICE_INIT("PUT"), VERB_PUT},
                 {SLICE_INIT("PATCH"), VERB_PATCH}};
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (slice_eq(method, verbs[i].text)) {
            return verbs[i].verb;
        }
    }
    return VERB_OTHER;
}

static bool is_visible_ascii(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~') {
            return false;
        }
    }
    return true;
}

/* Origin form, absolute form (its path is what counts) or the asterisk of OPTIONS. */
static bool split_target(struct http_head *head)
{
    struct slice rest = head->target;
    if (head->verb == VERB_OPTIONS && slice_eq(rest, SLICE("*"))) {
        head->path = rest;
        return true;
    }
    if (rest.ptr[0] != '/') {
        size_t scheme = slice_starts(rest, SLICE("http://"))    ? 7
                        : slice_starts(rest, SLICE("https://")) ? 8
                                                                : 0;
        rest = slice_from(rest, scheme);
        size_t slash = slice_find(rest, '/');
        if (scheme == 0 || slash == 0 || rest.len == 0) {
            return false;
        }
        if (slash == rest.len || slice_find(slice_head(rest, slash), '?') < slash) {
            size_t mark = slice_find(rest, '?');
            head->path = SLICE("/");
            head->query = slice_from(rest, mark + 1);
            return mark > 0;
        }
        rest = slice_from(rest, slash);
    }
    size_t mark = slice_find(rest, '?');
    head->path = slice_head(rest, mark);
    head->query = slice_from(rest, mark + 1);
    return true;
}

static enum http1_fault read_request_line(struct http_head *head, struct slice line)
{
    size_t space = slice_find(line, ' ');

    if (line.len < space + 1 + 1 + 1 + 8 || line.ptr[line.len - 9] != ' ' || space == 0) {
        return HTTP1_BAD_SYNTAX;
    }
    enum http1_fault fault = read_version(head, line.ptr + line.len - 8);
    if (fault != HTTP1_OK) {
        return fault;
    }
    head->method_text = slice_head(line, space);
    head->verb = verb_of(head->method_text);
    head->target = slice_of(line.ptr + space + 1, line.len - 9 - (space + 1));
    bool is_good = is_visible_ascii(head->target) &&
                   slice_find(head->target, '#') == head->target.len && split_target(head);
    return is_good ? HTTP1_OK : HTTP1_BAD_SYNTAX;
}

static enum http1_fault read_status_line(struct http_head *head, struct slice line)
{
    if (line.len < 12) {
        return HTTP1_BAD_SYNTAX;
    }
    enum http1_fault fault = read_version(head, line.ptr);
    if (fault != HTTP1_OK) {
        return fault;
    }
    const char *code = line.ptr + 9;
    bool is_good = line.ptr[8] == ' ' && code[0] >= '1' && code[0] <= '9' && is_digit(code[1]) &&
                   is_digit(code[2]) && (line.len == 12 || line.ptr[12] == ' ');
    if (!is_good) {
        return HTTP1_BAD_SYNTAX;
    }
    head->status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
    head->reason = slice_from(line, 13);
    return HTTP1_OK;
}

/* ---- header lines ---- */

enum { FIELD_NAME_ROOM = 32 };

/* Lower-case text of each field; FIELD_OTHER has none. */
static const char field_texts[][FIELD_NAME_ROOM] __attribute__((aligned(16))) = {
    "",
#define FIELD(id, text) text, /* NOLINT(bugprone-macro-parentheses): no array begins so */
#include "wire/fields.def"
#undef FIELD
};

#define FIELD(id, text) _Static_assert(sizeof(text) <= FIELD_NAME_ROOM, "a name fits its row");
#include "wire/fields.def"
#undef FIELD

enum { FIELD_LENGTHS = 32 };
_Static_assert(ARRAY_LEN(field_texts) == FIELD_COUNT && (int)FIELD_COUNT <= (int)FIELD_LENGTHS,
               "a row a field, two blocks of lengths");

static const uint8_t field_lengths[FIELD_LENGTHS] __attribute__((aligned(16))) = {
    0,
#define FIELD(id, text) sizeof(text) - 1,
#include "wire/fields.def"
#undef FIELD
};

/* Bit i: field i has a name of that length. */
static inline uint32_t fields_of_length(size_t len)
{
    uint32_t found = 0;
#if defined(__SSE2__)
    const __m128i *lengths = (const __m128i *)(const void *)field_lengths;
    __m128i wanted = _mm_set1_epi8((char)(len < UINT8_MAX ? len : UINT8_MAX));
    found = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_load_si128(lengths), wanted)) |
            (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_load_si128(lengths + 1), wanted)) << 16;
#else
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        found |= field_lengths[i] == len ? UINT32_C(1) << i : 0;
    }
#endif
    return found & ~UINT32_C(1);
}

/* Of what is not a control character only letters become a letter, digit or '-' by bit 5: what is
 * the same is made of token characters. Reads up to HTTP1_HEAD_SLACK_BYTES behind the name. */
static inline bool same_token(const char *name, const char *lower, size_t len)
{
#if defined(__SSE2__)
    const __m128i bit5 = _mm_set1_epi8(0x20);
    for (size_t i = 0; i < len; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(name + i));
        __m128i y = _mm_load_si128((const __m128i *)(const void *)(lower + i));
        __m128i same =
            _mm_and_si128(_mm_cmpeq_epi8(_mm_or_si128(x, bit5), y), _mm_cmpgt_epi8(x, bit5));
        unsigned others = ~(unsigned)_mm_movemask_epi8(same);
        unsigned wanted = len - i >= 16 ? 0xFFFF : (1u << (len - i)) - 1;
        if (others & wanted) {
            return false;
        }
    }
#else
    for (size_t i = 0; i < len; i++) {
        if (name[i] <= ' ' || (name[i] | 0x20) != lower[i]) {
            return false;
        }
    }
#endif
    return true;
}

static enum http_field field_of(struct slice name)
{
    if (name.len == 0) {
        return FIELD_OTHER;
    }
    for (uint32_t left = fields_of_length(name.len); left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctz(left);
        if (same_token(name.ptr, field_texts[i], name.len)) {
            return (enum http_field)i;
        }
    }
    return FIELD_OTHER;
}

/* RFC 9110 section 5.6.2: the characters of a token, one row for sixteen. */
/* clang-format off */
static const uint8_t is_token[UINT8_MAX + 1] = {
    [0x20] = 0, 1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 0, /* !"#$%&'() +,-. */
    [0x30] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, /* 0123456789:;<=>? */
    [0x40] = 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* @ABCDEFGHIJKLMNO */
    [0x50] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, /* PQRSTUVWXYZ[\]^_ */
    [0x60] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* `abcdefghijklmno */
    [0x70] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0, /* pqrstuvwxyz{|}~ */
};
/* clang-format on */

/* The first control character from at on but for HTAB: in a good line its CR. There is one. */
static inline const char *value_end(const char *at)
{
#if defined(__SSE2__)
    const __m128i last = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(0x7f);
    for (;; at += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i control =
            _mm_andnot_si128(_mm_cmpeq_epi8(x, tab), _mm_cmpeq_epi8(_mm_min_epu8(x, last), x));
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(x, del)));
        if (mask) {
            return at + __builtin_ctz(mask);
        }
    }
#else
    while (((unsigned char)*at >= 0x20 && *at != 0x7f) || *at == '\t') {
        at++;
    }
    return at;
#endif
}

/* Where a name of token characters ends. */
static inline const char *name_end(const char *at)
{
    while (is_token[(unsigned char)*at]) {
        at++;
    }
    return at;
}

/* The first colon, when it is near. */
static inline const char *near_colon(const char *at)
{
#if defined(__SSE2__)
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
    unsigned mask = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8(':')));
    return mask ? at + __builtin_ctz(mask) : at;
#else
    return at;
#endif
}

/* The line that begins at at. Returns the next one; NULL: it is none. */
static const char *read_header(const char *at, struct http_header *header)
{
    const char *colon = near_colon(at);
    enum http_field field = field_of(slice_of(at, (size_t)(colon - at)));
    if (field == FIELD_OTHER) { /* only of those must the characters be looked at */
        colon = name_end(at);
        field = field_of(slice_of(at, (size_t)(colon - at)));
    }
    if (colon == at || *colon != ':') {
        return NULL;
    }
    const char *end = value_end(colon + 1);
    if (*end != '\r') {
        return NULL;
    }
    struct slice name = slice_of(at, (size_t)(colon - at));
    *header =
        (struct http_header){.name = name,
                             .value = slice_trim(slice_of(colon + 1, (size_t)(end - colon - 1))),
                             .field = field};
    return end + 2;
}

/* ---- what the headers mean together ---- */

/* What no authority has (RFC 3986 section 3.2), beside what is not visible ASCII. */
static bool is_foreign_to_hosts(char c)
{
    switch (c) {
    case '/':
    case '?':
    case '#':
    case '@':
    case ',':
    case '\\':
    case '"':
    case '<':
    case '>': return true;
    default: return c <= ' ' || c > '~';
    }
}

static bool is_host_good(struct slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (is_foreign_to_hosts(host.ptr[i])) {
            return false;
        }
    }
    return host.len > 0;
}

/* False: it closes, whatever else is said. */
static bool read_connection(struct http_head *head, struct slice value)
{
    while (value.len) {
        struct slice token = slice_head(value, slice_find(value, ','));
        value = slice_from(value, token.len + 1);
        token = slice_trim(token);
        if (slice_eq_nocase(token, SLICE("close"))) {
            head->is_keep_alive = false;
            return false;
        }
        if (slice_eq_nocase(token, SLICE("keep-alive"))) {
            head->is_keep_alive = true;
        }
    }
    return true;
}

/* All digits, at most 18 of them, so that it fits. */
static bool read_length(struct slice value, int64_t *out_length)
{
    int64_t length = 0;
    if (value.len == 0 || value.len > 18) {
        return false;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (!is_digit(value.ptr[i])) {
            return false;
        }
        length = length * 10 + (value.ptr[i] - '0');
    }
    *out_length = length;
    return true;
}

/* Fields that came, and those that came more than once: a bit each. */
struct seen {
    uint32_t once, twice;
};

static inline bool has(uint32_t fields, enum http_field field)
{
    return fields >> field & 1;
}

static const char *framing_problem(struct http_head *head, const struct seen *seen)
{
    struct slice encoding = http_head_get(head, FIELD_TRANSFER_ENCODING);

    head->content_length = -1;
    if (has(seen->once, FIELD_TRANSFER_ENCODING)) {
        if (has(seen->once, FIELD_CONTENT_LENGTH)) {
            return "Content-Length with Transfer-Encoding";
        }
        if (has(seen->twice, FIELD_TRANSFER_ENCODING) ||
            !slice_eq_nocase(encoding, SLICE("chunked"))) {
            return "Transfer-Encoding is not chunked";
        }
        if (head->version_minor == 0) {
            return "Transfer-Encoding in HTTP/1.0";
        }
        head->is_chunked = true;
    }
    if (has(seen->twice, FIELD_CONTENT_LENGTH)) {
        return "Content-Length is repeated";
    }
    if (has(seen->once, FIELD_CONTENT_LENGTH) &&
        !read_length(http_head_get(head, FIELD_CONTENT_LENGTH), &head->content_length)) {
        return "Content-Length is not a number";
    }
    return NULL;
}

/* ---- all of it ---- */

/* Nothing in the head but what this file knows all of. */
static bool is_ordinary(const struct http_head *head, const struct seen *seen, bool is_response)
{
    struct slice connection = http_head_get(head, FIELD_CONNECTION);
    struct slice length = http_head_get(head, FIELD_CONTENT_LENGTH);
    if (has(seen->once, FIELD_CONTENT_LENGTH) && length.ptr[length.len] != '\r') {
        return false; /* white space behind a length: not every reader takes it */
    }
    if (has(seen->once, FIELD_TRANSFER_ENCODING) || has(seen->once, FIELD_UPGRADE) ||
        has(seen->twice, FIELD_CONNECTION)) {
        return false;
    }
    if (has(seen->once, FIELD_CONNECTION) && !slice_eq_nocase(connection, SLICE("keep-alive")) &&
        !slice_eq_nocase(connection, SLICE("close"))) {
        return false;
    }
    return is_response || (head->verb != VERB_OTHER && head->target.ptr[0] == '/');
}

static enum http1_fault fault_of(struct http1_head_bytes *in, enum http1_fault fault,
                                 const char *text)
{
    in->fault_text = text;
    return fault;
}

static enum http1_fault read_headers(struct http1_head_bytes *in, const char *at,
                                     struct arena *arena, struct http_head *head, struct seen *seen)
{
    size_t count = in->header_count;
    head->headers = arena_alloc(arena, count * sizeof(struct http_header));
    if (!head->headers) {
        return fault_of(in, HTTP1_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        struct http_header *header = &head->headers[i];
        at = read_header(at, header);
        if (!at) {
            return fault_of(in, HTTP1_BAD_SYNTAX, "malformed head");
        }
        uint32_t bit = UINT32_C(1) << header->field;
        seen->twice |= seen->once & bit;
        if (!(seen->once & bit)) {
            seen->once |= bit;
            head->first[header->field] = (int16_t)(i + 1);
        }
    }
    head->first[FIELD_OTHER] = 0;
    head->header_count = count;
    return HTTP1_OK;
}

static enum http1_fault read_meaning(struct http1_head_bytes *in, struct http_head *head,
                                     const struct seen *seen)
{
    head->is_keep_alive = head->version_minor == 1;
    for (size_t i = 0; has(seen->once, FIELD_CONNECTION) && i < head->header_count; i++) {
        if (head->headers[i].field == FIELD_CONNECTION &&
            !read_connection(head, head->headers[i].value)) {
            break;
        }
    }
    head->has_upgrade = has(seen->once, FIELD_UPGRADE);
    const char *problem = framing_problem(head, seen);
    if (problem) {
        return fault_of(in, HTTP1_BAD_FRAMING, problem);
    }
    if (in->is_response) {
        return HTTP1_OK;
    }
    bool has_host = has(seen->once, FIELD_HOST);
    if (has(seen->twice, FIELD_HOST) || (!has_host && head->version_minor == 1) ||
        (has_host && !is_host_good(http_head_get(head, FIELD_HOST)))) {
        return fault_of(in, HTTP1_BAD_SYNTAX, "Host is missing, repeated or malformed");
    }
    head->expects_continue =
        head->version_minor == 1 &&
        slice_eq_nocase(http_head_get(head, FIELD_EXPECT), SLICE("100-continue"));
    return HTTP1_OK;
}

enum http1_fault http1_head_read(struct http1_head_bytes *in, struct arena *arena,
                                 struct http_head *head)
{
    struct seen seen = {0};
    struct slice line = slice_of(in->bytes, (size_t)(value_end(in->bytes) - in->bytes));
    enum http1_fault fault = line.ptr[line.len] != '\r' ? HTTP1_BAD_SYNTAX
                             : in->is_response          ? read_status_line(head, line)
                                                        : read_request_line(head, line);

    if (fault == HTTP1_BAD_VERSION) {
        return fault_of(in, fault, "HTTP version is not supported");
    }
    if (fault != HTTP1_OK) {
        return fault_of(in, fault,
                        in->is_response ? "malformed status line" : "malformed request line");
    }
    fault = read_headers(in, line.ptr + line.len + 2, arena, head, &seen);
    if (fault == HTTP1_OK) {
        fault = read_meaning(in, head, &seen);
    }
    in->is_ordinary = fault == HTTP1_OK && is_ordinary(head, &seen, in->is_response);
    return fault;
}
