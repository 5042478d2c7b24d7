/* sim/answer.h -- an answer as bytes to play: what a connection sends, and where it pauses or
 * breaks.
 *
 *   content (chat.c, routes.c, fixture.c): status, headers, pieces of body
 *     -> frame.c: lengths or chunks, pauses, faults
 *       -> answer: head and body bytes with cuts, shared by every connection that plays it
 *
 * An answer belongs to one thread; refs counts the memo table and the connections that play it.
 */
#ifndef SIM_ANSWER_H
#define SIM_ANSWER_H

#include "behaviour.h"
#include "buf.h"

/* What the server wants to say, before any framing. Pieces are the events of a stream; a document
 * is one piece. ends[i] is the offset in bytes where piece i ends. */
struct content {
    int64_t status;
    const char *type; /* content type, static or owned by the behaviour */
    bool is_stream;
    bool told_retry;       /* the body says when to come again, no header does */
    bool is_array;         /* a stream that is one JSON array in pieces */
    const char *id_header; /* the line of the request's id before the id; NULL: x-request-id */
    struct buf headers;    /* whole lines */
    struct buf bytes;
    size_t *ends;
    size_t piece_n;
    size_t piece_cap;
};

enum cut_kind { CUT_WAIT, CUT_FLUSH, CUT_STALL, CUT_FIN, CUT_RST, CUT_LOOP };

/* At offset at of head and body taken together. */
struct cut {
    size_t at;
    enum cut_kind kind;
    int64_t arg; /* WAIT: nanoseconds; LOOP: offset to go on from */
};

enum stale { STALE_NO, STALE_NOW, STALE_NEXT_FIN, STALE_NEXT_RST };

struct answer {
    size_t refs;
    struct buf head;
    size_t id_at; /* where 16 digits of the request id stand in head; SIZE_MAX: nowhere */
    struct buf body;
    struct cut *cuts;
    size_t cut_n;
    size_t cut_cap;
    bool close_after;
    enum stale stale;
};

void content_deinit(struct content *c);
void content_end_piece(struct content *c); /* the bytes since the last piece are one */
void content_document(struct content *c, const char *type); /* all bytes are one piece */

struct answer *answer_new(void);
void answer_ref(struct answer *a);
void answer_unref(struct answer *a);
void answer_cut(struct answer *a, struct cut cut); /* kept in order of at, stable */

/* Frames content as behaviour says. Both stay the caller's. */
struct answer *frame(const struct content *given, const struct behaviour *b);

#endif
