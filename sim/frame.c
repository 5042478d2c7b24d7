/* sim/frame.c -- content to bytes on the wire: lengths or chunks, pauses, breaks, and the faults.
 *
 * malformed=<kind>; of the content:
 *   json            the first piece is cut in half
 *   nul             a NUL in the middle of every piece
 *   html            an HTML page
 *   empty           no body at all
 * of the body's framing:
 *   chunk_size      the second (a document's only) chunk has no size
 *   chunk_huge      it has a size of 16 digits
 *   chunk_end       chunks without their CR LF
 *   length_short    fewer bytes than announced, then FIN
 *   length_long     more bytes than announced
 *   endless         the body never ends
 * of the head:
 *   length_twice    two content-lengths that differ
 *   length_chunked  both framings
 *   length_nan      content-length: ten
 *   status_line     HTTP/1.1 abc
 *   head_garbage    no HTTP at all
 *   head_huge       a header of 1 MiB
 *   head_many       10,000 headers
 *   head_lf         lines end in LF only
 *   head_nul        a NUL in a header
 *   obs_fold        a folded header
 *   head_endless    the head never ends
 */
#define _GNU_SOURCE
#include "answer.h"

#include <stdlib.h>
#include <string.h>

enum framing { FRAME_LENGTH, FRAME_CHUNKED, FRAME_CLOSE };

enum { LOOP_BYTES = 65536 };

static bool fault(const struct behaviour *b, const char *kind)
{
    return behaviour_is(b->malformed, kind);
}

static const char *reason(int64_t status)
{
    static const struct {
        int64_t status;
        const char *text;
    } table[] = {{100, "Continue"},          {102, "Processing"},
                 {103, "Early Hints"},       {200, "OK"},
                 {201, "Created"},           {204, "No Content"},
                 {301, "Moved Permanently"}, {307, "Temporary Redirect"},
                 {400, "Bad Request"},       {401, "Unauthorized"},
                 {402, "Payment Required"},  {403, "Forbidden"},
                 {404, "Not Found"},         {405, "Method Not Allowed"},
                 {408, "Request Timeout"},   {409, "Conflict"},
                 {413, "Content Too Large"}, {422, "Unprocessable Content"},
                 {429, "Too Many Requests"}, {500, "Internal Server Error"},
                 {502, "Bad Gateway"},       {503, "Service Unavailable"},
                 {504, "Gateway Timeout"},   {529, "Overloaded"}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].status == status) {
            return table[i].text;
        }
    }
    return "Status";
}

static void cut_at(struct answer *a, size_t at, enum cut_kind kind, int64_t arg)
{
    answer_cut(a, (struct cut){at, kind, arg});
}

/* One piece of the body with its framing; cuts are still counted from the body's first byte. */
static void add_piece(struct answer *a, const struct behaviour *b, enum framing how,
                      struct str piece, size_t index, bool spoil)
{
    if (index > 0 && b->rate_ns > 0) {
        cut_at(a, a->body.len, CUT_WAIT, b->rate_ns);
    } else if (index > 0 && b->flush) {
        cut_at(a, a->body.len, CUT_FLUSH, 0);
    }
    if (how != FRAME_CHUNKED) {
        buf_put(&a->body, piece);
        return;
    }
    if (piece.len == 0) {
        return; /* an empty chunk would end the body */
    }
    if (spoil && fault(b, "chunk_size")) {
        buf_str(&a->body, "oops\r\n");
    } else if (spoil && fault(b, "chunk_huge")) {
        buf_str(&a->body, "fffffffffffffff0\r\n");
    } else {
        buf_printf(&a->body, "%zx%s\r\n", piece.len, b->chunk_ext ? ";name=\"a;b\"" : "");
    }
    buf_put(&a->body, piece);
    buf_str(&a->body, fault(b, "chunk_end") ? "??" : "\r\n");
}

static size_t position_in_body(const struct behaviour *b, const struct position *p,
                               const size_t *ends, size_t n)
{
    (void)b;
    if (p->unit == 'c') {
        size_t i = (size_t)p->n;
        return i == 0 ? 0 : n == 0 ? 0 : ends[(i < n ? i : n) - 1];
    }
    return (size_t)p->n;
}

static void add_break(struct answer *a, const struct behaviour *b, const struct position *p,
                      enum cut_kind kind, const size_t *wire_ends, size_t n)
{
    if (p->unit == 0) {
        return;
    }
    size_t at = p->unit == 'h' ? (size_t)p->n : a->head.len + position_in_body(b, p, wire_ends, n);
    size_t all = a->head.len + a->body.len;
    enum cut_kind real = kind == CUT_STALL && b->stall_ns > 0 ? CUT_WAIT : kind;
    cut_at(a, at < all ? at : all, real, b->stall_ns);
}

struct wire_ends {
    size_t *at;
    size_t n;
};

static void add_end(struct wire_ends *w, size_t at)
{
    w->at[w->n++] = at;
}

static void build_body(struct answer *a, const struct content *c, const struct behaviour *b,
                       enum framing how, struct wire_ends *ends)
{
    size_t from = 0;
    if (b->chunk > 0) {
        for (size_t i = 0; from < c->bytes.len; i++) {
            size_t n = c->bytes.len - from;
            n = n < (size_t)b->chunk ? n : (size_t)b->chunk;
            add_piece(a, b, how, (struct str){c->bytes.ptr + from, n}, i, i == 1);
            add_end(ends, a->body.len);
            from += n;
        }
    } else {
        for (size_t i = 0; i < c->piece_n; i++) {
            const char *ptr = c->bytes.ptr != NULL ? c->bytes.ptr + from : "";
            add_piece(a, b, how, (struct str){ptr, c->ends[i] - from}, i,
                      i == (c->is_stream ? 1 : 0));
            add_end(ends, a->body.len);
            from = c->ends[i];
        }
    }
    if (fault(b, "endless")) {
        size_t at = a->body.len;
        struct buf filler = {0};
        buf_repeat(&filler, ' ', LOOP_BYTES);
        add_piece(a, b, how, buf_view(&filler), 0, false);
        buf_free(&filler);
        cut_at(a, a->body.len, CUT_LOOP, (int64_t)at);
    } else if (how == FRAME_CHUNKED) {
        buf_str(&a->body, b->trailer ? "0\r\nx-sim-trailer: yes\r\n\r\n" : "0\r\n\r\n");
    }
}

static void add_length(struct answer *a, const struct behaviour *b, enum framing how)
{
    size_t n = a->body.len;
    if (fault(b, "length_nan")) {
        buf_str(&a->head, "content-length: ten\r\n");
    } else if (how == FRAME_LENGTH) {
        n = fault(b, "length_short") ? n + 64 : fault(b, "length_long") ? n / 2 : n;
        buf_printf(&a->head, "content-length: %zu\r\n", n);
        if (fault(b, "length_twice")) {
            buf_printf(&a->head, "content-length: %zu\r\n", n + 1);
        }
    } else if (how == FRAME_CHUNKED) {
        buf_str(&a->head, "transfer-encoding: chunked\r\n");
    }
    if (fault(b, "length_chunked")) {
        buf_str(&a->head,
                how == FRAME_LENGTH ? "transfer-encoding: chunked\r\n" : "content-length: 10\r\n");
    }
}

static void add_head_faults(struct answer *a, const struct behaviour *b)
{
    if (fault(b, "head_huge")) {
        buf_str(&a->head, "x-huge: ");
        buf_repeat(&a->head, 'h', 1 << 20);
        buf_str(&a->head, "\r\n");
    } else if (fault(b, "head_many")) {
        for (int i = 0; i < 10000; i++) {
            buf_printf(&a->head, "x-many-%d: %d\r\n", i, i);
        }
    } else if (fault(b, "head_nul")) {
        buf_add(&a->head, "x-nul: a\0b\r\n", 12);
    } else if (fault(b, "obs_fold")) {
        buf_str(&a->head, "x-folded: one\r\n  two\r\n");
    } else if (fault(b, "head_endless")) {
        size_t at = a->head.len;
        while (a->head.len - at < LOOP_BYTES) {
            buf_str(&a->head, "x-endless: and one more\r\n");
        }
        a->body.len = 0;
        a->cut_n = 0;
        cut_at(a, a->head.len, CUT_LOOP, (int64_t)at);
    }
}

static void strip_cr(struct buf *head)
{
    size_t to = 0;
    for (size_t i = 0; i < head->len; i++) {
        if (head->ptr[i] != '\r') {
            head->ptr[to++] = head->ptr[i];
        }
    }
    head->len = to;
}

/* A recorded answer keeps the id that it came with. */
static void add_request_id(struct answer *a, const struct content *c)
{
    const char *line = c->id_header != NULL ? c->id_header : "x-request-id: req_";
    size_t name = strcspn(line, ":") + 1;
    struct str have = buf_view(&c->headers);
    if (memmem(have.ptr, have.len, line, name) == NULL) {
        buf_str(&a->head, line);
        a->id_at = a->head.len;
        buf_str(&a->head, "0000000000000000\r\n");
    }
}

static void build_head(struct answer *a, const struct content *c, const struct behaviour *b,
                       enum framing how)
{
    for (int64_t i = 0; b->interim > 0 && (i < b->interims || i == 0); i++) {
        buf_printf(&a->head, "HTTP/1.1 %d %s\r\nlink: </style.css>; rel=preload\r\n\r\n",
                   (int)b->interim, reason(b->interim));
    }
    if (fault(b, "status_line")) {
        buf_str(&a->head, "HTTP/1.1 abc\r\n");
    } else {
        buf_printf(&a->head, "HTTP/1.%d %d %s\r\n", b->http10 ? 0 : 1, (int)c->status,
                   reason(c->status));
    }
    if (c->type != NULL) {
        buf_printf(&a->head, "content-type: %s\r\n", c->type);
    }
    add_length(a, b, how);
    buf_put(&a->head, buf_view(&c->headers));
    if (b->retry_after != NULL && !c->told_retry) {
        buf_printf(&a->head, "retry-after: %s\r\n", b->retry_after);
    }
    if (b->retry_after_ms != NULL) {
        buf_printf(&a->head, "retry-after-ms: %s\r\n", b->retry_after_ms);
    }
    add_request_id(a, c);
    buf_put(&a->head, buf_view(&b->headers));
    if (b->close) {
        buf_str(&a->head, "connection: close\r\n");
    }
    add_head_faults(a, b);
    if (!fault(b, "head_endless")) {
        buf_str(&a->head, "\r\n");
    }
    if (fault(b, "head_garbage")) {
        static const char garbage[] = "\x16\x03\x01\x00\xff garbage\0\xfe\r\n\r\n";
        a->head.len = 0;
        a->id_at = SIZE_MAX;
        buf_add(&a->head, garbage, sizeof(garbage) - 1);
    } else if (fault(b, "head_lf")) {
        strip_cr(&a->head);
        a->id_at = SIZE_MAX;
    }
}

static void spoil_content(struct content *c, const struct behaviour *b)
{
    if (fault(b, "json")) {
        size_t first = c->piece_n > 0 ? c->ends[0] : 0;
        size_t keep = first / 2;
        if (c->is_stream) { /* the first event breaks off inside its JSON; its empty line stays */
            memmove(c->bytes.ptr + keep, c->bytes.ptr + first - 2, c->bytes.len - first + 2);
            for (size_t i = 0; i < c->piece_n; i++) {
                c->ends[i] -= first - keep - 2;
            }
            c->bytes.len -= first - keep - 2;
        } else {
            c->bytes.len = keep;
            c->ends[0] = keep;
        }
    } else if (fault(b, "nul")) {
        for (size_t i = 0; i < c->piece_n; i++) {
            size_t from = i > 0 ? c->ends[i - 1] : 0;
            c->bytes.ptr[from + (c->ends[i] - from) / 2] = '\0';
        }
    } else if (fault(b, "html") || fault(b, "empty")) {
        c->bytes.len = 0;
        if (fault(b, "html")) {
            buf_str(&c->bytes, "<html><body><h1>502 Bad Gateway</h1></body></html>\n");
        }
        content_document(c, "text/html");
    }
}

static void set_ending(struct answer *a, const struct behaviour *b, enum framing how)
{
    a->close_after = b->close || how == FRAME_CLOSE || b->http10 || fault(b, "length_short");
    if (b->stale) {
        a->stale = STALE_NOW;
    } else if (b->stale_next != NULL) {
        a->stale = behaviour_is(b->stale_next, "rst") ? STALE_NEXT_RST : STALE_NEXT_FIN;
    }
}

static void copy_content(struct content *to, const struct content *from)
{
    *to = (struct content){.status = from->status,
                           .type = from->type,
                           .is_stream = from->is_stream,
                           .id_header = from->id_header,
                           .told_retry = from->told_retry};
    buf_put(&to->headers, buf_view(&from->headers));
    size_t at = 0;
    for (size_t i = 0; i < from->piece_n; i++) {
        if (from->ends[i] > at) {
            buf_add(&to->bytes, from->bytes.ptr + at, from->ends[i] - at);
        }
        content_end_piece(to);
        at = from->ends[i];
    }
}

static enum framing choose(const struct content *c, const struct behaviour *b)
{
    if (b->http10 || b->until_close) {
        return FRAME_CLOSE;
    }
    if (fault(b, "length_short") || fault(b, "length_long") || fault(b, "length_twice")) {
        return FRAME_LENGTH;
    }
    bool chunk_fault = fault(b, "chunk_size") || fault(b, "chunk_huge") || fault(b, "chunk_end");
    bool chunked = c->is_stream || b->chunk > 0 || b->trailer || chunk_fault || fault(b, "endless");
    return chunked ? FRAME_CHUNKED : FRAME_LENGTH;
}

struct answer *frame(const struct content *given, const struct behaviour *b)
{
    struct content c;
    copy_content(&c, given);
    spoil_content(&c, b);
    enum framing how = choose(&c, b);
    struct answer *a = answer_new();
    size_t cap = b->chunk > 0 ? c.bytes.len / (size_t)b->chunk + 1 : c.piece_n + 1;
    struct wire_ends ends = {xmalloc(cap * sizeof(size_t)), 0};
    build_body(a, &c, b, how, &ends);
    build_head(a, &c, b, how);
    for (size_t i = 0; i < a->cut_n && !fault(b, "head_endless"); i++) {
        a->cuts[i].at += a->head.len;
        a->cuts[i].arg += a->cuts[i].kind == CUT_LOOP ? (int64_t)a->head.len : 0;
    }
    if (b->delay_ns > 0) {
        cut_at(a, 0, CUT_WAIT, b->delay_ns);
    }
    if (b->body_delay_ns > 0) {
        cut_at(a, a->head.len, CUT_WAIT, b->body_delay_ns);
    }
    add_break(a, b, &b->stall_at, CUT_STALL, ends.at, ends.n);
    add_break(a, b, &b->reset_at, CUT_RST, ends.at, ends.n);
    add_break(a, b, &b->close_at, CUT_FIN, ends.at, ends.n);
    set_ending(a, b, how);
    content_deinit(&c);
    free(ends.at);
    return a;
}
