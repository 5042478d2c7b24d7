#include "wire/http1.h"

#include "core/check.h"
#include "wire/http1_head.h"

#include <assert.h>

#if defined(__SSE2__)
#    include <emmintrin.h>
#endif

/* The head is first collected, one contiguous copy in the arena, while its lines are checked for
 * their ends; complete, it is read line by line. So no slice ever moves, and the result cannot
 * depend on how the bytes were cut. A head that is out of the ordinary goes through llhttp as well,
 * and so do chunked bodies but for ordinary chunks (docs/decisions/010); sized bodies are counted
 * here. */
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
    EXTRA_PER_BODY_BYTE = 16, /* a one-byte chunk needs 5 */
    CHUNK_MAX_DIGITS = 7
};

static enum http1_event fail(struct http1_parser *p, enum http1_fault fault, const char *text)
{
    p->phase = PHASE_FAILED;
    p->fault = fault;
    p->fault_text = text;
    return HTTP1_ERROR;
}

/* ---- llhttp's callbacks ---- */

static struct http1_parser *parser_of(llhttp_t *llhttp)
{
    return CONTAINER_OF(llhttp, struct http1_parser, llhttp);
}

static int on_headers_complete(llhttp_t *llhttp)
{
    parser_of(llhttp)->is_complete = true;
    return HPE_PAUSED;
}

static bool admit_chunk(struct http1_parser *p, uint64_t len)
{
    size_t total;
    if (len > INT64_MAX || !size_add(p->body_bytes, (size_t)len, &total) || total > INT64_MAX) {
        (void)fail(p, HTTP1_BAD_FRAMING, "chunk size overflows");
        return false;
    }
    if (p->limits.body_max_bytes && total > p->limits.body_max_bytes) {
        (void)fail(p, HTTP1_BODY_TOO_LARGE, "body is too large");
        return false;
    }
    return true;
}

static int on_chunk_header(llhttp_t *llhttp)
{
    return admit_chunk(parser_of(llhttp), llhttp->content_length) ? 0 : -1;
}

static int on_chunk_complete(llhttp_t *llhttp)
{
    if (llhttp->flags & F_TRAILING) { /* the last one: the message's end comes in the same call */
        return 0;
    }
    parser_of(llhttp)->is_between_chunks = true;
    return HPE_PAUSED;
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
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_chunk_complete = on_chunk_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- a complete head ---- */

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
        p->is_between_chunks = true;
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

static bool ask_llhttp(struct http1_parser *p)
{
    llhttp_init(&p->llhttp, p->is_response ? HTTP_RESPONSE : HTTP_REQUEST, &llhttp_callbacks);
    llhttp_errno_t code = llhttp_execute(&p->llhttp, p->head_bytes, p->head_len);
    if (code == HPE_PAUSED && p->is_complete) {
        assert(llhttp_get_error_pos(&p->llhttp) == p->head_bytes + p->head_len);
        return true;
    }
    (void)fail(p, is_framing_errno(code) ? HTTP1_BAD_FRAMING : HTTP1_BAD_SYNTAX, "malformed head");
    return false;
}

static enum http1_event parse_head(struct http1_parser *p)
{
    struct http1_head_bytes in = {.bytes = p->head_bytes,
                                  .header_count = p->line_count - 1, /* without the empty one */
                                  .is_response = p->is_response};
    enum http1_fault fault = http1_head_read(&in, p->arena, &p->head);

    if (fault != HTTP1_OK) {
        return fail(p, fault, in.fault_text);
    }
    return in.is_ordinary || ask_llhttp(p) ? enter_body(p) : HTTP1_ERROR;
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
        char *grown = arena_alloc(p->arena, cap + HTTP1_HEAD_SLACK_BYTES);
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
    memset(p->head_bytes + needed, 0, HTTP1_HEAD_SLACK_BYTES);
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

/* The line is all there, is not the first and not the empty one: the usual case. */
static inline bool is_whole_header(const struct http1_parser *p, struct slice rest, size_t end)
{
    return p->line_count > 0 && p->line_bytes == 0 && rest.len - end > 1 && end > 0 &&
           rest.ptr[0] > ' ' && rest.ptr[0] <= '~' && rest.ptr[end] == '\r' &&
           rest.ptr[end + 1] == '\n';
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
        if (is_whole_header(p, rest, end)) {
            if (++p->line_count - 1 > p->limits.headers_max) {
                return scan_fail(p, HTTP1_HEAD_TOO_LARGE, "too many headers");
            }
            at += end + 2;
            continue;
        }
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

/* Framing may outweigh the body only so far; judged before anything else, so that the cut does not
 * matter. */
static bool is_extra_too_long(struct http1_parser *p, size_t more)
{
    p->extra_bytes += more;
    bool is_too_long = p->extra_bytes / EXTRA_PER_BODY_BYTE >
                       EXTRA_FREE_BYTES / EXTRA_PER_BODY_BYTE + p->body_bytes;
    if (is_too_long) {
        (void)fail(p, HTTP1_BAD_FRAMING, "chunk extensions or trailers are too long");
    }
    return is_too_long;
}

/* A chunk that begins in and lies whole in it, its size spelled as usual: its data; ptr NULL: it is
 * not so. */
static inline struct slice ordinary_chunk(struct slice in)
{
    size_t len = 0;
    size_t at = 0;
    int digit;
    while (at < in.len && at < CHUNK_MAX_DIGITS && (digit = hex_value(in.ptr[at])) >= 0) {
        len = len << 4 | (size_t)digit;
        at++;
    }
    if (at == 0 || in.ptr[0] == '0' || in.len - at < 4 || len > in.len - at - 4) {
        return SLICE_NONE;
    }
    const char *data = in.ptr + at + 2;
    bool is_framed =
        data[-2] == '\r' && data[-1] == '\n' && data[len] == '\r' && data[len + 1] == '\n';
    return is_framed ? slice_of(data, len) : SLICE_NONE;
}

/* Such a chunk never reaches llhttp, which stands where a chunk begins. */
static HOT enum http1_event take_chunk(struct http1_parser *p, struct slice data, struct slice *in,
                                       struct slice *out_body)
{
    size_t line_bytes = (size_t)(data.ptr - in->ptr);
    if (is_extra_too_long(p, line_bytes) || !admit_chunk(p, data.len)) {
        return HTTP1_ERROR;
    }
    *in = slice_from(*in, line_bytes + data.len + 2);
    p->extra_bytes += 2; /* the line end behind the data */
    p->body_bytes += data.len;
    *out_body = data;
    return HTTP1_BODY;
}

/* HTTP1_MORE with input left: llhttp stands between two chunks. */
static enum http1_event ask_for_chunk(struct http1_parser *p, struct slice *in,
                                      struct slice *out_body)
{
    p->body = SLICE_NONE;
    p->is_between_chunks = false;
    llhttp_errno_t code = llhttp_execute(&p->llhttp, in->ptr, in->len);
    size_t used = in->len;
    if (code != HPE_OK) {
        const char *at = llhttp_get_error_pos(&p->llhttp);
        used = at ? (size_t)(at - in->ptr) : in->len;
    }
    if (is_extra_too_long(p, used - p->body.len) || p->phase == PHASE_FAILED) {
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
    if (p->is_between_chunks) {
        return HTTP1_MORE;
    }
    p->body_bytes += p->body.len;
    *out_body = p->body;
    return HTTP1_BODY;
}

static HOT enum http1_event next_chunked(struct http1_parser *p, struct slice *in,
                                         struct slice *out_body)
{
    while (in->len) {
        struct slice data = p->is_between_chunks ? ordinary_chunk(*in) : SLICE_NONE;
        enum http1_event event =
            data.ptr ? take_chunk(p, data, in, out_body) : ask_for_chunk(p, in, out_body);
        if (event != HTTP1_MORE) {
            return event;
        }
    }
    return HTTP1_MORE;
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
