/* http1_feed.h -- feeds bytes to the HTTP/1.1 parser in pieces and writes down what came out; used
 * by the unit test and the fuzz targets. Two ways to cut the same bytes must leave the same notes.
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
        case HTTP1_HEAD: note_head(notes, &p->head); break;
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
