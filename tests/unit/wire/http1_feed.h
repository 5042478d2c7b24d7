/* http1_feed.h -- feeds bytes to the HTTP/1.1 parser in pieces and writes down what came out; used
 * by the unit test and the fuzz targets. Two ways to cut the same bytes must leave the same notes,
 * and every head is shown to llhttp as a whole.
 */
#ifndef TEST_HTTP1_FEED_H
#define TEST_HTTP1_FEED_H

#include "core/text.h"
#include "wire/http1.h"

struct feed {
    bool is_response, is_bodyless, has_eof;
    size_t arena_bytes;
    struct http1_limits limits;
    /* out */
    enum http1_fault fault;
    size_t messages;
};

static inline void note_head(struct text *notes, const struct http_head *h)
{
    text_addf(notes, "HEAD %.*s|%.*s|%.*s|%.*s|%d|%.*s|1.%d|%lld%s%s%s%s\n",
              SLICE_ARG(h->method_text), SLICE_ARG(h->target), SLICE_ARG(h->path),
              SLICE_ARG(h->query), h->status, SLICE_ARG(h->reason), h->version_minor,
              (long long)h->content_length, h->is_chunked ? " chunked" : "",
              h->is_keep_alive ? " keep" : " close", h->expects_continue ? " continue" : "",
              h->has_upgrade ? " upgrade" : "");
    for (size_t i = 0; i < h->header_count; i++) {
        text_addf(notes, "  %d %.*s=[%.*s]\n", (int)h->headers[i].field,
                  SLICE_ARG(h->headers[i].name), SLICE_ARG(h->headers[i].value));
    }
    for (int f = 1; f < FIELD_COUNT; f++) {
        if (h->first[f]) {
            text_addf(notes, "  first %d at %d\n", f, h->first[f]);
        }
    }
}

/* --- llhttp alone --- */

struct plain {
    llhttp_t llhttp;
    struct slice name, value, target;
    struct text notes;
};

static inline struct slice longer(struct slice s, const char *at, size_t len)
{
    return slice_of(s.len ? s.ptr : at, s.len + len);
}

static inline int plain_name(llhttp_t *llhttp, const char *at, size_t len)
{
    struct plain *plain = (struct plain *)llhttp->data;
    plain->name = longer(plain->name, at, len);
    return 0;
}

static inline int plain_value(llhttp_t *llhttp, const char *at, size_t len)
{
    struct plain *plain = (struct plain *)llhttp->data;
    plain->value = longer(plain->value, at, len);
    return 0;
}

static inline int plain_target(llhttp_t *llhttp, const char *at, size_t len)
{
    struct plain *plain = (struct plain *)llhttp->data;
    plain->target = longer(plain->target, at, len);
    return 0;
}

static inline int plain_header(llhttp_t *llhttp)
{
    struct plain *plain = (struct plain *)llhttp->data;
    text_addf(&plain->notes, "%.*s=[%.*s]\n", SLICE_ARG(plain->name),
              SLICE_ARG(slice_trim(plain->value)));
    plain->name = plain->value = SLICE_NONE;
    return 0;
}

static inline int plain_end(llhttp_t *llhttp)
{
    (void)llhttp;
    return HPE_PAUSED;
}

/* What the head means, where both say something: llhttp heeds Proxy-Connection, too, knows no tab
 * behind a word of Connection, and takes an HTTP/1.0 message that says both close and keep-alive
 * for the latter. */
static inline bool means_the_same(const struct http1_parser *p, const struct plain *plain)
{
    const struct http_head *head = &p->head;
    const llhttp_t *l = &plain->llhttp;
    bool is_closing = l->flags & F_CONNECTION_CLOSE, is_kept = l->flags & F_CONNECTION_KEEP_ALIVE;
    bool is_keep_alive = l->http_minor == 1 ? !is_closing : is_kept;
    bool has_length = l->flags & F_CONTENT_LENGTH;
    bool is_told_apart = http_head_find(head, SLICE("proxy-connection")).ptr ||
                         memchr(p->head_bytes, '\t', p->head_len) || (is_closing && is_kept);
    if (!is_told_apart && head->is_keep_alive != is_keep_alive) {
        return false;
    }
    return head->version_minor == l->http_minor && head->is_chunked == !!(l->flags & F_CHUNKED) &&
           has_length == (head->content_length >= 0) &&
           (!has_length || (uint64_t)head->content_length == l->content_length) &&
           (p->is_response
                ? head->status == l->status_code
                : slice_eq(head->target, plain->target) &&
                      slice_eq(head->method_text,
                               slice_str(llhttp_method_name((llhttp_method_t)l->method))));
}

/* The parser reads most header lines itself: of a whole head it must say what llhttp says of it,
 * and find the same headers. */
static inline void compare_with_llhttp(const struct http1_parser *p)
{
    static const llhttp_settings_t callbacks = {.on_url = plain_target,
                                                .on_header_field = plain_name,
                                                .on_header_value = plain_value,
                                                .on_header_value_complete = plain_header,
                                                .on_headers_complete = plain_end};
    struct arena arena;
    arena_init(&arena, NULL, 64u << 20);
    struct plain plain = {.notes = text_growing(&arena)};
    struct text notes = text_growing(&arena);
    llhttp_init(&plain.llhttp, p->is_response ? HTTP_RESPONSE : HTTP_REQUEST, &callbacks);
    plain.llhttp.data = &plain;
    llhttp_errno_t code = llhttp_execute(&plain.llhttp, p->head_bytes, p->head_len);
    bool is_good = p->fault == HTTP1_OK;
    if ((code == HPE_PAUSED) != is_good) {
        (void)fprintf(stderr, "llhttp says %s of\n%.*s\n", llhttp_errno_name(code),
                      (int)p->head_len, p->head_bytes);
        __builtin_trap();
    }
    for (size_t i = 0; is_good && i < p->head.header_count; i++) {
        const struct http_header *header = &p->head.headers[i];
        text_addf(&notes, "%.*s=[%.*s]\n", SLICE_ARG(header->name), SLICE_ARG(header->value));
    }
    if (is_good && !slice_eq(text_slice(&notes), text_slice(&plain.notes))) {
        (void)fprintf(stderr, "ours:\n%.*s\nllhttp's:\n%.*s\n", SLICE_ARG(text_slice(&notes)),
                      SLICE_ARG(text_slice(&plain.notes)));
        __builtin_trap();
    }
    if (is_good && !means_the_same(p, &plain)) {
        (void)fprintf(stderr, "llhttp takes this for something else:\n%.*s\n", (int)p->head_len,
                      p->head_bytes);
        __builtin_trap();
    }
    arena_deinit(&arena);
}

/* One piece. False when the parser failed. */
static inline bool feed_piece(struct feed *f, struct http1_parser *p, struct slice in,
                              struct text *notes)
{
    for (;;) {
        struct slice body = SLICE_NONE;
        switch (http1_next(p, &in, &body)) {
        case HTTP1_MORE:
            if (in.len) {
                __builtin_trap(); /* MORE means all of it */
            }
            return true;
        case HTTP1_HEAD:
            compare_with_llhttp(p);
            note_head(notes, &p->head);
            break;
        case HTTP1_BODY:
            if (body.len == 0) {
                __builtin_trap(); /* an empty body event would spin its reader */
            }
            text_add(notes, body);
            break;
        case HTTP1_END:
            text_addf(notes, "\nEND\n");
            f->messages++;
            http1_restart(p, p->arena);
            break;
        case HTTP1_ERROR:
            f->fault = p->fault;
            if (slice_eq(slice_str(p->fault_text), SLICE("malformed head"))) {
                compare_with_llhttp(p);
            }
            text_addf(notes, "\nERROR %d %s\n", (int)p->fault, p->fault_text);
            return false;
        }
    }
}

/* Pieces of `step` bytes, the first of `first` bytes. notes grows in its own arena. */
static inline void feed_all(struct feed *f, struct slice in, size_t first, size_t step,
                            struct text *notes)
{
    struct arena arena;
    struct http1_parser p;
    bool is_good = true;

    f->fault = HTTP1_OK;
    f->messages = 0;
    arena_init(&arena, NULL, f->arena_bytes ? f->arena_bytes : 8u << 20);
    http1_init(&p, f->is_response, &arena, &f->limits);
    if (f->is_bodyless) {
        http1_expect_no_body(&p);
    }
    for (size_t at = 0, len = first; is_good && at < in.len; at += len, len = step) {
        /* A copy of its own, so that a sanitizer sees a read past the piece. */
        struct slice piece = slice_head(slice_from(in, at), len ? len : step);
        char *copy = malloc(piece.len ? piece.len : 1);
        if (!copy) {
            break;
        }
        memcpy(copy, piece.ptr, piece.len);
        is_good = feed_piece(f, &p, slice_of(copy, piece.len), notes);
        free(copy);
        len = piece.len;
    }
    if (is_good && f->has_eof) {
        enum http1_event event = http1_eof(&p);
        text_addf(notes, "EOF %d\n", (int)event);
        f->fault = p.fault;
    }
    arena_deinit(&arena);
}

#endif
