/* listen/http_conn.h -- one connection of the server; private to listen/.
 *
 * Everything that reads, finishes or closes happens in http_conn_run(), called from the loop only;
 * what the handler calls (http_conn_reply() and so on) writes at once, but leaves endings to the
 * run that is on the stack or, when there is none, asks the loop for one. So on_done, on_gone and
 * on_body are never called from inside a call of the handler's.
 *
 *   state    event                         -> state
 *   IDLE     bytes                         -> HEAD
 *   HEAD     head complete                 -> HANDLER
 *   HANDLER  http_conn_read_body()         -> BODY
 *   BODY     message complete              -> HANDLER
 *   HANDLER  reply or stream begun         -> REPLY    (BODY too: a reply does not wait for it)
 *   REPLY    last byte with the kernel     -> IDLE, or DISCARD (body unread), LINGER or CLOSING
 *   DISCARD  rest of the body read         -> IDLE
 *   DISCARD  64 KiB or 2 s                 -> LINGER
 *   HEAD     fault                         -> LINGER   (BODY and IDLE too)
 *   LINGER   EOF or 2 s                    -> CLOSING  after 1 MiB nothing more is read
 *   (any)    socket failed, peer gone      -> CLOSING
 */
#ifndef LISTEN_HTTP_CONN_H
#define LISTEN_HTTP_CONN_H

#include "listen/listen.h"

enum {
    LISTEN_READ_BYTES = 65536,        /* the listener's one read buffer */
    LISTEN_HEAD_ROOM_BYTES = 8192,    /* a stream's head that waits for the first event */
    LISTEN_IOV_PARTS = 64,            /* body parts of one write */
    LISTEN_OUT_FIRST_BYTES = 1024,    /* an event or two, till the end of a busy turn */
    LISTEN_KEEP_OUTS = 64,            /* blocks of that size, for the next such turn */
    LISTEN_OUT_MAX_BYTES = 64 << 20,  /* a handler that ignores back-pressure loses its client */
    LISTEN_DISCARD_MAX_BYTES = 65536, /* of an unread body, to keep the connection */
    LISTEN_LINGER_MAX_BYTES = 1 << 20,
    LISTEN_LINGER_MS = 2000,
    LISTEN_READS_PER_RUN = 8,     /* then the others get their turn */
    LISTEN_REQUESTS_PER_RUN = 64, /* pipelined ones */
    LISTEN_ACCEPTS_PER_RUN = 64,
    LISTEN_KEEP_CONNS = 1024, /* on the free list */
    LISTEN_KEEP_PARSERS = 256,
    LISTEN_ACCEPT_PAUSE_MS = 100, /* out of file descriptors */
    LISTEN_BACKLOG = 4096
};

enum conn_state {
    CONN_IDLE = 0,
    CONN_HEAD,
    CONN_HANDLER,
    CONN_BODY,
    CONN_REPLY,
    CONN_DISCARD,
    CONN_LINGER,
    CONN_CLOSING
};

/* 0..at done | at..len in use | len..cap free. Attached only while it holds bytes. */
struct conn_bytes {
    size_t at, len, cap;
    struct conn_bytes *next; /* listener.spare_outs */
    char bytes[];
};

/* Lies in its own arena's first block. */
struct request_box {
    struct http_request rq; /* the first member */
    struct slice *parts;    /* of a whole reply, not yet with the kernel; in the arena */
    size_t part_count;
    char *body_room; /* rq.body's, in rq.body_arena */
    size_t body_cap;
};

/* On the listener's free list when no head or body is being read. */
struct parser_slot {
    struct http1_parser parser; /* the first member */
    struct parser_slot *next;
};

struct http_conn {
    struct stream stream;
    struct loop_timer timer;
    int64_t deadline_ns; /* what counts; the timer may be set earlier and is then set again */
    struct list link;    /* listener.conns or the free list */
    struct loop_closing closing;
    struct listener *listener;   /* borrowed */
    struct request_box *box;     /* owned; NULL between requests */
    struct http1_parser *parser; /* owned; NULL when the message was read to its end */
    struct conn_bytes *rest;     /* owned: read, but not yet parsed */
    struct conn_bytes *out;      /* owned: a streamed reply's bytes that the kernel did not take */
    uint32_t discard_bytes;
    uint8_t state; /* enum conn_state */
    bool is_running : 1;
    bool is_broken : 1;  /* a write failed; the run says on_gone */
    bool is_aborted : 1; /* by the handler */
    bool is_busy : 1;    /* between on_head and on_done or on_gone */
    bool is_keep_alive : 1;
    bool is_bodyless : 1; /* reply to HEAD, 204, 304 */
    bool is_chunked : 1;
    bool is_reply_complete : 1; /* the handler has said all */
    bool is_full : 1;           /* the handler waits for on_drained */
    bool wants_continue : 1;    /* 100 Continue is due before waiting for the body */
};

struct listener {
    struct loop *loop;       /* borrowed */
    struct arena_pool *pool; /* borrowed */
    struct listen_conf conf; /* host is not kept */
    struct http_handler handler;
    struct loop_watch watch;
    struct loop_timer accept_timer;
    struct loop_closing closing;
    int fd; /* owned; -1 when closed */
    uint16_t port;
    bool is_draining;
    bool is_accept_paused; /* at connections_max */
    char *buffer;          /* LISTEN_READ_BYTES, mapped */
    struct list conns;     /* open ones */
    struct list free_conns;
    size_t conn_count, free_count, busy_count;
    struct parser_slot *parsers;
    size_t parser_count;
    struct conn_bytes *spare_outs;
    size_t spare_out_count;
    int64_t date_unix_s;
    char date[CLOCK_HTTP_DATE_BYTES + 1];
    struct http_conn *head_owner; /* whose stream head stands in head_room; NULL: none */
    size_t head_len;
    char head_room[LISTEN_HEAD_ROOM_BYTES];
};

/* request.c */
struct http1_parser *parser_take(struct listener *l);
void parser_give(struct listener *l, struct http1_parser *parser);
/* With request and parser ready for the first byte; NULL on no memory. */
struct request_box *request_box_new(struct listener *l);
/* E_NOMEM when the arena, the heap or inflight_max_bytes says no. */
MUST_USE enum err request_add_body(struct listener *l, struct request_box *box, struct slice body);

/* http_conn.c */
MUST_USE enum err http_conn_open(struct listener *l, int fd);
void http_conn_run(struct http_conn *c);
void http_conn_close(struct http_conn *c);
void http_conn_enter(struct http_conn *c, enum conn_state to);
/* 0: none. */
void http_conn_deadline(struct http_conn *c, int64_t deadline_ns);
/* A run soon, when none is on the stack. */
void http_conn_wake(struct http_conn *c);
/* on_gone when the handler has the request; then closes. */
void http_conn_gone(struct http_conn *c);

/* An error reply was sent: on_gone when the handler had the request; then lingers. */
void http_conn_refused(struct http_conn *c);

/* reply.c */
/* An error reply of our own; what the kernel does not take at once is dropped. */
void reply_fault(struct http_conn *c, int status, const char *text);
void reply_continue(struct http_conn *c);
/* True when nothing is left to write. */
bool reply_flush(struct http_conn *c);
void reply_drop_out(struct http_conn *c);
/* A stream's head that waits for its first event goes out. */
void reply_flush_head(struct listener *l);
/* Of a streamed reply. */
size_t reply_queued_bytes(const struct http_conn *c);

#endif
