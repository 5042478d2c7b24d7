#include "wire/http1.h"

#include "core/check.h"

#include <assert.h>

#if defined(__SSE2__)
#    include <emmintrin.h>
#endif

/* The head is first collected, one contiguous copy in the arena, while its lines are checked for
 * their ends; complete, it goes through llhttp in one call. So no slice ever moves, and the result
 * cannot depend on how the bytes were cut. Sized bodies are counted here; chunked ones go through
 * llhttp. */
enum phase {
    PHASE_HEAD = 0,
    PHASE_SIZED,
    PHASE_CHUNKED,
    PHASE_UNTIL_CLOSE, /* responses only */
    PHASE_EMPTY,       /* no body, or its last byte is out: END comes next */
    PHASE_DONE,
    PHASE_FAILED
};

enum {
    HEAD_FIRST_BYTES = 1024, /* of a head that came in pieces */
    SKIPPED_LINES_MAX = 4,   /* RFC 9112 section 2.2 asks for at least one */
    EXTRA_FREE_BYTES = 16384,
    EXTRA_PER_BODY_BYTE = 16 /* a one-byte chunk needs 5 */
};

static enum http1_event fail(struct http1_parser *p, enum http1_fault fault, const char *text)
{
    p->phase = PHASE_FAILED;
    p->fault = fault;
    p->fault_text = text;
    return HTTP1_ERROR;
}

/* ---- llhttp's callbacks: they only note spans ---- */

static struct http1_parser *parser_of(llhttp_t *llhttp)
{
    return CONTAINER_OF(llhttp, struct http1_parser, llhttp);
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t len)
{
    struct http1_parser *p = parser_of(llhttp);
    if (p->phase == PHASE_HEAD) {
        p->name = slice_of(p->name.len ? p->name.ptr : at, p->name.len + len);
    }
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t len)
{
    struct http1_parser *p = parser_of(llhttp);
    if (p->phase == PHASE_HEAD) {
        p->value = slice_of(p->value.len ? p->value.ptr : at, p->value.len + len);
    }
    return 0;
}

/* Lower-case text of each field; FIELD_OTHER has none. */
static const char *const field_texts[] = {
    "",
#define FIELD(id, text) (text),
#include "wire/fields.def"
#undef FIELD
};

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

/* Of token characters (RFC 9110 section 5.6.2), which llhttp has checked, only letters and '_'
 * change with bit 5. */
static inline bool same_token(const char *name, const char *lower, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((name[i] | 0x20) != lower[i]) {
            return false;
        }
    }
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

static int on_header_value_complete(llhttp_t *llhttp)
{
    struct http1_parser *p = parser_of(llhttp);
    struct http_head *head = &p->head;

    if (p->phase != PHASE_HEAD) {
        return 0; /* trailers are read past */
    }
    if (head->header_count >= p->headers_cap) {
        return -1; /* cannot be: one line, one header */
    }
    struct http_header *header = &head->headers[head->header_count++];
    *header = (struct http_header){
        .name = p->name,
        .value = slice_trim(p->value.ptr ? p->value : slice_of(p->name.ptr + p->name.len, 0)),
        .field = field_of(p->name)};
    if (header->field != FIELD_OTHER && head->first[header->field] == 0) {
        head->first[header->field] = (int16_t)head->header_count;
    }
    p->name = p->value = SLICE_NONE;
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    parser_of(llhttp)->is_complete = true;
    return HPE_PAUSED;
}

static int on_chunk_header(llhttp_t *llhttp)
{
    struct http1_parser *p = parser_of(llhttp);
    size_t total;
    if (llhttp->content_length > INT64_MAX ||
        !size_add(p->body_bytes, (size_t)llhttp->content_length, &total) || total > INT64_MAX) {
        (void)fail(p, HTTP1_BAD_FRAMING, "chunk size overflows");
        return -1;
    }
    if (p->limits.body_max_bytes && total > p->limits.body_max_bytes) {
        (void)fail(p, HTTP1_BODY_TOO_LARGE, "body is too large");
        return -1;
    }
    return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t len)
{
    if (len == 0) {
        return 0;
    }
    parser_of(llhttp)->body = slice_of(at, len);
    return HPE_PAUSED;
}

static int on_message_complete(llhttp_t *llhttp)
{
    parser_of(llhttp)->is_complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t llhttp_callbacks = {
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- the first line ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.0" or "HTTP/1.1" in eight bytes. */
static enum http1_fault read_version(struct http1_parser *p, const char *at)
{
    if (memcmp(at, "HTTP/", 5) != 0 || !is_digit(at[5]) || at[6] != '.' || !is_digit(at[7])) {
        return HTTP1_BAD_SYNTAX;
    }
    if (at[5] != '1' || at[7] > '1') {
        return HTTP1_BAD_VERSION;
    }
    p->head.version_minor = at[7] - '0';
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

static enum http1_fault read_request_line(struct http1_parser *p, struct slice line)
{
    struct http_head *head = &p->head;
    size_t space = slice_find(line, ' ');

    if (line.len < space + 1 + 1 + 1 + 8 || line.ptr[line.len - 9] != ' ' || space == 0) {
        return HTTP1_BAD_SYNTAX;
    }
    enum http1_fault fault = read_version(p, line.ptr + line.len - 8);
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

static enum http1_fault read_status_line(struct http1_parser *p, struct slice line)
{
    struct http_head *head = &p->head;

    if (line.len < 12) {
        return HTTP1_BAD_SYNTAX;
    }
    enum http1_fault fault = read_version(p, line.ptr);
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
    for (size_t i = 0; i < head->reason.len; i++) {
        unsigned char c = (unsigned char)head->reason.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return HTTP1_BAD_SYNTAX;
        }
    }
    return HTTP1_OK;
}

/* ---- what the headers mean together ---- */

static bool is_host_good(struct slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (slice_find(SLICE("/?#@,\\\"<>"), host.ptr[i]) < 9) {
            return false;
        }
    }
    return host.len > 0 && is_visible_ascii(host);
}

static void read_connection(struct http_head *head, struct slice value)
{
    while (value.len) {
        struct slice token = slice_head(value, slice_find(value, ','));
        value = slice_from(value, token.len + 1);
        token = slice_trim(token);
        if (slice_eq_nocase(token, SLICE("close"))) {
            head->is_keep_alive = false;
            return;
        }
        if (slice_eq_nocase(token, SLICE("keep-alive"))) {
            head->is_keep_alive = true;
        }
    }
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

static const char *framing_problem(struct http_head *head, const int *seen)
{
    struct slice encoding = http_head_get(head, FIELD_TRANSFER_ENCODING);

    head->content_length = -1;
    if (seen[FIELD_TRANSFER_ENCODING]) {
        if (seen[FIELD_CONTENT_LENGTH]) {
            return "Content-Length with Transfer-Encoding";
        }
        if (seen[FIELD_TRANSFER_ENCODING] > 1 || !slice_eq_nocase(encoding, SLICE("chunked"))) {
            return "Transfer-Encoding is not chunked";
        }
        if (head->version_minor == 0) {
            return "Transfer-Encoding in HTTP/1.0";
        }
        head->is_chunked = true;
    }
    if (seen[FIELD_CONTENT_LENGTH] > 1) {
        return "Content-Length is repeated";
    }
    if (seen[FIELD_CONTENT_LENGTH] &&
        !read_length(http_head_get(head, FIELD_CONTENT_LENGTH), &head->content_length)) {
        return "Content-Length is not a number";
    }
    return NULL;
}

static enum http1_event finish_head(struct http1_parser *p)
{
    struct http_head *head = &p->head;
    int seen[FIELD_COUNT] = {0};

    head->is_keep_alive = head->version_minor == 1;
    for (size_t i = 0; i < head->header_count; i++) {
        seen[head->headers[i].field]++;
    }
    for (size_t i = 0; seen[FIELD_CONNECTION] && i < head->header_count; i++) {
        if (head->headers[i].field == FIELD_CONNECTION) {
            read_connection(head, head->headers[i].value);
        }
    }
    head->has_upgrade = seen[FIELD_UPGRADE] > 0;
    const char *problem = framing_problem(head, seen);
    if (problem) {
        return fail(p, HTTP1_BAD_FRAMING, problem);
    }
    if (!p->is_response) {
        if (seen[FIELD_HOST] > 1 || (seen[FIELD_HOST] == 0 && head->version_minor == 1) ||
            (seen[FIELD_HOST] == 1 && !is_host_good(http_head_get(head, FIELD_HOST)))) {
            return fail(p, HTTP1_BAD_SYNTAX, "Host is missing, repeated or malformed");
        }
        head->expects_continue =
            head->version_minor == 1 &&
            slice_eq_nocase(http_head_get(head, FIELD_EXPECT), SLICE("100-continue"));
    }
    return HTTP1_HEAD;
}

/* Chooses how the body will be read; the end of the head is the last thing that can fail. */
static enum http1_event enter_body(struct http1_parser *p)
{
    const struct http_head *head = &p->head;
    bool is_bodyless =
        p->is_bodyless ||
        (p->is_response && (head->status < 200 || head->status == 204 || head->status == 304));
    if (is_bodyless) {
        p->phase = PHASE_EMPTY;
    } else if (head->is_chunked) {
        p->phase = PHASE_CHUNKED;
        p->is_complete = false;
        llhttp_resume(&p->llhttp);
    } else if (head->content_length > 0) {
        if (p->limits.body_max_bytes && (uint64_t)head->content_length > p->limits.body_max_bytes) {
            return fail(p, HTTP1_BODY_TOO_LARGE, "body is too large");
        }
        p->phase = PHASE_SIZED;
        p->body_left = head->content_length;
    } else {
        bool is_until_close = p->is_response && head->content_length < 0;
        p->phase = is_until_close ? PHASE_UNTIL_CLOSE : PHASE_EMPTY;
    }
    return HTTP1_HEAD;
}

static bool is_framing_errno(llhttp_errno_t code)
{
    return code == HPE_UNEXPECTED_CONTENT_LENGTH || code == HPE_INVALID_CONTENT_LENGTH ||
           code == HPE_INVALID_TRANSFER_ENCODING || code == HPE_INVALID_CHUNK_SIZE;
}

static enum http1_event parse_head(struct http1_parser *p)
{
    struct slice all = slice_of(p->head_bytes, p->head_len);
    struct slice line = slice_head(all, slice_find(all, '\r'));
    enum http1_fault fault =
        p->is_response ? read_status_line(p, line) : read_request_line(p, line);

    if (fault == HTTP1_BAD_VERSION) {
        return fail(p, fault, "HTTP version is not supported");
    }
    if (fault != HTTP1_OK) {
        return fail(p, fault, p->is_response ? "malformed status line" : "malformed request line");
    }
    p->headers_cap = p->line_count - 1; /* line_count has the first line, not the empty one */
    p->head.headers = arena_alloc(p->arena, p->headers_cap * sizeof(struct http_header));
    if (!p->head.headers) {
        return fail(p, HTTP1_NO_MEMORY, "out of memory");
    }
    llhttp_errno_t code = llhttp_execute(&p->llhttp, p->head_bytes, p->head_len);
    if (code != HPE_PAUSED || !p->is_complete) {
        return fail(p, is_framing_errno(code) ? HTTP1_BAD_FRAMING : HTTP1_BAD_SYNTAX,
                    "malformed head");
    }
    assert(llhttp_get_error_pos(&p->llhttp) == p->head_bytes + p->head_len);
    assert(p->head.header_count == p->headers_cap);
    enum http1_event event = finish_head(p);
    return event == HTTP1_HEAD ? enter_body(p) : event;
}

/* ---- collecting the head ---- */

static bool keep_head_bytes(struct http1_parser *p, struct slice bytes, bool is_whole)
{
    size_t needed;
    if (!size_add(p->head_len, bytes.len, &needed)) {
        return false;
    }
    if (needed > p->head_cap) {
        size_t cap = is_whole && p->head_cap == 0 ? needed : HEAD_FIRST_BYTES;
        while (cap < needed) {
            cap *= 2;
        }
        char *grown = arena_alloc(p->arena, cap);
        if (!grown) {
            return false;
        }
        if (p->head_len) {
            memcpy(grown, p->head_bytes, p->head_len);
        }
        p->head_bytes = grown;
        p->head_cap = cap;
    }
    if (bytes.len) {
        memcpy(p->head_bytes + p->head_len, bytes.ptr, bytes.len);
    }
    p->head_len = needed;
    return true;
}

enum scan { SCAN_MORE, SCAN_SKIP, SCAN_COMPLETE, SCAN_FAILED };

static enum scan scan_fail(struct http1_parser *p, enum http1_fault fault, const char *text)
{
    (void)fail(p, fault, text);
    return SCAN_FAILED;
}

/* The CR of a line was followed by byte. */
static enum scan end_line(struct http1_parser *p, char byte)
{
    p->has_cr = false;
    if (byte != '\n') {
        return scan_fail(p, HTTP1_BAD_SYNTAX, "bare CR in the head");
    }
    if (p->line_bytes == 0) {
        if (p->line_count > 0) {
            return SCAN_COMPLETE;
        }
        if (p->is_response || ++p->skipped_lines > SKIPPED_LINES_MAX) {
            return scan_fail(p, HTTP1_BAD_SYNTAX, "empty line before the head");
        }
        return SCAN_SKIP;
    }
    p->line_bytes = 0;
    p->line_count++;
    if (p->line_count - 1 > p->limits.headers_max) {
        return scan_fail(p, HTTP1_HEAD_TOO_LARGE, "too many headers");
    }
    return SCAN_MORE;
}

/* Where the first CR or LF stands, or s.len. */
static inline size_t line_end(struct slice s)
{
    size_t i = 0;
#if defined(__SSE2__)
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');
    for (; s.len - i >= 16; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(s.ptr + i));
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(x, cr), _mm_cmpeq_epi8(x, lf));
        unsigned mask = (unsigned)_mm_movemask_epi8(stop);
        if (mask) {
            return i + (unsigned)__builtin_ctz(mask);
        }
    }
#endif
    while (i < s.len && s.ptr[i] != '\r' && s.ptr[i] != '\n') {
        i++;
    }
    return i;
}

/* Bytes of a line up to its CR, through an LF that stands before it, or to the end of the input. */
static enum scan in_line(struct http1_parser *p, struct slice bytes)
{
    if (bytes.len == 0) {
        return SCAN_MORE;
    }
    if (p->line_bytes == 0) {
        unsigned char first = (unsigned char)bytes.ptr[0];
        if (first == ' ' || first == '\t') {
            return scan_fail(p, HTTP1_BAD_SYNTAX, "folded line in the head");
        }
        if (first < 0x20 || first > 0x7e) { /* a TLS hello, say: do not wait for its line end */
            return scan_fail(p, HTTP1_BAD_SYNTAX, "not HTTP");
        }
    }
    size_t room = HTTP1_TARGET_MAX_BYTES - size_min(p->line_bytes, HTTP1_TARGET_MAX_BYTES);
    bool is_too_long = p->line_count == 0 && bytes.len > room;
    if (!is_too_long && bytes.ptr[bytes.len - 1] == '\n') {
        return scan_fail(p, HTTP1_BAD_SYNTAX, "bare LF in the head");
    }
    if (is_too_long) {
        return scan_fail(p, p->is_response ? HTTP1_HEAD_TOO_LARGE : HTTP1_URI_TOO_LONG,
                         "first line is too long");
    }
    p->line_bytes += bytes.len;
    return SCAN_MORE;
}

/* Reads on to the end of the head or of the input; *out_len is how far. */
static enum scan scan_head(struct http1_parser *p, struct slice in, size_t *out_len)
{
    size_t at = 0;
    while (at < in.len) {
        if (p->has_cr) {
            enum scan result = end_line(p, in.ptr[at++]);
            if (result != SCAN_MORE) {
                *out_len = at;
                return result;
            }
            continue;
        }
        struct slice rest = slice_from(in, at);
        size_t end = line_end(rest);
        struct slice bytes = slice_head(rest, end + (end < rest.len && rest.ptr[end] == '\n'));
        if (in_line(p, bytes) == SCAN_FAILED) {
            return SCAN_FAILED;
        }
        at += bytes.len;
        if (at < in.len) {
            p->has_cr = true;
            at++;
        }
    }
    *out_len = at;
    return SCAN_MORE;
}

static enum http1_event next_head(struct http1_parser *p, struct slice *in)
{
    /* What exceeds the limit is not even looked at, so that the fault does not depend on the cut.
     */
    size_t room = p->limits.head_max_bytes - p->head_len;
    while (in->len) {
        size_t len = 0;
        enum scan result = scan_head(p, slice_head(*in, room), &len);
        if (result == SCAN_FAILED) {
            return HTTP1_ERROR;
        }
        struct slice bytes = slice_head(*in, len);
        *in = slice_from(*in, len);
        if (result == SCAN_SKIP) {
            p->head_len = 0; /* perhaps the CR of the empty line was kept */
            room = p->limits.head_max_bytes;
            continue;
        }
        if (!keep_head_bytes(p, bytes, result == SCAN_COMPLETE)) {
            return fail(p, HTTP1_NO_MEMORY, "out of memory");
        }
        if (result == SCAN_COMPLETE) {
            return parse_head(p);
        }
        room -= len;
        if (room == 0) {
            bool is_target = p->line_count == 0 && !p->is_response;
            return fail(p, is_target ? HTTP1_URI_TOO_LONG : HTTP1_HEAD_TOO_LARGE,
                        "head is too large");
        }
    }
    return HTTP1_MORE;
}

/* ---- bodies ---- */

static enum http1_event next_sized(struct http1_parser *p, struct slice *in, struct slice *out_body)
{
    if (in->len == 0) {
        return HTTP1_MORE;
    }
    size_t len = (uint64_t)p->body_left < in->len ? (size_t)p->body_left : in->len;
    *out_body = slice_head(*in, len);
    *in = slice_from(*in, len);
    p->body_bytes += len;
    p->body_left -= (int64_t)len;
    if (p->body_left == 0) {
        p->phase = PHASE_EMPTY;
    }
    return HTTP1_BODY;
}

static enum http1_event next_until_close(struct http1_parser *p, struct slice *in,
                                         struct slice *out_body)
{
    size_t left = p->limits.body_max_bytes ? p->limits.body_max_bytes - p->body_bytes : SIZE_MAX;
    if (in->len == 0) {
        return HTTP1_MORE;
    }
    if (left == 0) {
        return fail(p, HTTP1_BODY_TOO_LARGE, "body is too large");
    }
    *out_body = slice_head(*in, left);
    *in = slice_from(*in, out_body->len);
    p->body_bytes += out_body->len;
    return HTTP1_BODY;
}

static enum http1_event next_chunked(struct http1_parser *p, struct slice *in,
                                     struct slice *out_body)
{
    if (in->len == 0) {
        return HTTP1_MORE;
    }
    p->body = SLICE_NONE;
    llhttp_errno_t code = llhttp_execute(&p->llhttp, in->ptr, in->len);
    size_t used = in->len;
    if (code != HPE_OK) {
        const char *at = llhttp_get_error_pos(&p->llhttp);
        used = at ? (size_t)(at - in->ptr) : in->len;
    }
    /* Framing may outweigh the body only so far; judged first, so that the cut does not matter. */
    p->extra_bytes += used - p->body.len;
    if (p->extra_bytes / EXTRA_PER_BODY_BYTE >
        EXTRA_FREE_BYTES / EXTRA_PER_BODY_BYTE + p->body_bytes) {
        return fail(p, HTTP1_BAD_FRAMING, "chunk extensions or trailers are too long");
    }
    if (p->phase == PHASE_FAILED) { /* on_chunk_header said so */
        return HTTP1_ERROR;
    }
    if (code != HPE_OK && code != HPE_PAUSED) {
        return fail(p, HTTP1_BAD_FRAMING, "malformed chunk");
    }
    *in = slice_from(*in, used);
    if (code == HPE_OK) {
        return HTTP1_MORE;
    }
    if (p->is_complete) {
        p->phase = PHASE_DONE;
        return HTTP1_END;
    }
    llhttp_resume(&p->llhttp);
    p->body_bytes += p->body.len;
    *out_body = p->body;
    return HTTP1_BODY;
}

/* ---- the parser ---- */

void http1_init(struct http1_parser *p, bool is_response, struct arena *arena,
                const struct http1_limits *limits)
{
    p->limits = *limits;
    p->is_response = is_response;
    if (p->limits.head_max_bytes == 0) {
        p->limits.head_max_bytes = HTTP1_HEAD_MAX_BYTES;
    }
    if (p->limits.headers_max == 0) {
        p->limits.headers_max = HTTP1_HEADERS_MAX;
    }
    if (p->limits.headers_max > INT16_MAX) {
        p->limits.headers_max = INT16_MAX; /* http_head.first counts in int16_t */
    }
    http1_restart(p, arena);
}

void http1_restart(struct http1_parser *p, struct arena *arena)
{
    struct http1_limits limits = p->limits;
    bool is_response = p->is_response;

    *p = (struct http1_parser){.limits = limits, .is_response = is_response, .arena = arena};
    p->head.content_length = -1;
    llhttp_init(&p->llhttp, is_response ? HTTP_RESPONSE : HTTP_REQUEST, &llhttp_callbacks);
}

void http1_expect_no_body(struct http1_parser *p)
{
    p->is_bodyless = true;
}

enum http1_event http1_next(struct http1_parser *p, struct slice *inout_in, struct slice *out_body)
{
    switch ((enum phase)p->phase) {
    case PHASE_HEAD: return next_head(p, inout_in);
    case PHASE_SIZED: return next_sized(p, inout_in, out_body);
    case PHASE_CHUNKED: return next_chunked(p, inout_in, out_body);
    case PHASE_UNTIL_CLOSE: return next_until_close(p, inout_in, out_body);
    case PHASE_EMPTY: p->phase = PHASE_DONE; return HTTP1_END;
    case PHASE_DONE: return HTTP1_MORE;
    case PHASE_FAILED: return HTTP1_ERROR;
    }
    return HTTP1_ERROR;
}

enum http1_event http1_eof(struct http1_parser *p)
{
    if (p->phase == PHASE_UNTIL_CLOSE || p->phase == PHASE_EMPTY) {
        p->phase = PHASE_DONE;
        return HTTP1_END;
    }
    if (p->phase == PHASE_FAILED) {
        return HTTP1_ERROR;
    }
    return fail(p, HTTP1_BAD_FRAMING, "closed before the end of the message");
}
