/* listen/listen.h -- the HTTP/1.1 server: accepts, reads heads and bodies, writes replies; knows no
 * LLM.
 *
 * One listener a worker (SO_REUSEPORT). A connection between requests is a small struct without
 * buffers; a request in progress owns a struct http_request with an arena, released when its
 * reply's last byte is with the kernel. Pipelined heads wait unread until then: one exchange a
 * connection.
 *
 * The handler answers every on_head with exactly one of http_conn_read_body() or a reply, and every
 * body with a reply, now or later. After on_gone the handler must not touch the connection; after
 * on_done the request's memory is gone when the call returns. Exactly one of on_gone and on_done
 * ends each on_head. Neither they nor on_body are called from inside a call of the handler's: they
 * come when it has returned to the loop, later in the same turn.
 *
 *   state      event                       -> state     effect
 *   IDLE       first byte                  -> HEAD      request and arena attached; head timer
 *   HEAD       head complete               -> HANDLER   on_head
 *   HANDLER    http_conn_read_body()       -> BODY      100 Continue if expected
 *   BODY       last byte                   -> HANDLER   on_body
 *   HANDLER    reply / stream_begin        -> REPLY     written at once; rest queued
 *   REPLY      last byte with the kernel   -> IDLE      on_done; keep-alive
 *   REPLY      ... with an unread body     -> LINGER    reads up to 64 KiB to keep; else 1 MiB, 2 s
 * before close (any)      client closed, reset        -> CLOSING   on_gone if a request was in the
 * handler's hands HEAD, BODY fault or time-out           -> LINGER    400 408 413 414 431 505 with
 * a JSON body, then close
 */
#ifndef LISTEN_LISTEN_H
#define LISTEN_LISTEN_H

#include "core/arena.h"
#include "core/text.h"
#include "io/loop.h"
#include "io/stream.h"
#include "wire/http1.h"

struct listener;
struct http_conn;

struct listen_conf {
    struct slice host;
    uint16_t port;
    struct http1_limits limits;     /* head 64 KiB, body 32 MiB */
    size_t request_arena_max_bytes; /* head + exchange */
    size_t body_arena_max_bytes;    /* body; 0: as the request's */
    size_t inflight_max_bytes;      /* this worker's share; 503 beyond */
    size_t connections_max;         /* per worker; accepting pauses beyond */
    int64_t head_timeout_ns;        /* first byte to head complete: 408 */
    int64_t body_timeout_ns;        /* between two body reads: 408 */
    int64_t idle_timeout_ns;        /* keep-alive, silent close */
    int64_t write_timeout_ns;       /* no progress of a blocked reply: close */
    size_t out_high_bytes,
        out_low_bytes; /* back-pressure marks of streamed replies: 32 KiB / 8 KiB */
};

struct http_request {
    struct arena arena; /* head, body, exchange */
    struct http_head head;
    struct slice body;       /* whole, after on_body; in body_arena, or in arena when it is small */
    struct arena body_arena; /* http_request_drop_body() frees it early (live streams) */
    int64_t started_ns;      /* head complete */
    struct arena extra_arena; /* the handler's, freed with the request; zeroed: none */
    bool is_kept;             /* http_request_keep() was called in on_gone */
    void *exchange;           /* the handler's; NULL at on_head */
};

struct http_handler {
    void *ctx;
    void (*on_head)(void *ctx, struct http_conn *c, struct http_request *rq);
    void (*on_body)(void *ctx, struct http_conn *c, struct http_request *rq);
    /* A streamed reply that reported a full queue fell below the low mark. */
    void (*on_drained)(void *ctx, struct http_conn *c, struct http_request *rq);
    void (*on_gone)(void *ctx, struct http_conn *c, struct http_request *rq);
    void (*on_done)(void *ctx, struct http_conn *c, struct http_request *rq);
    /* Body of an error reply that listen makes itself, e.g. 431: writes a JSON body into out.
     * extra_headers may be "". */
    void (*on_fault)(void *ctx, int status, const char *text, struct http_request *rq,
                     struct text *out);
};

/* E_IO with errno kept: EADDRINUSE is found even though SO_REUSEPORT would share (a probe binds
 * without it first when is_first; later workers bind the same address with SO_REUSEPORT). conf is
 * copied. */
MUST_USE enum err listener_new(struct loop *loop, struct arena_pool *pool,
                               const struct listen_conf *conf, const struct http_handler *handler,
                               bool is_first, struct listener **out);
/* A connected socket pair end as a connection (tests). */
MUST_USE enum err listener_adopt(struct listener *l, int fd);
uint16_t listener_port(const struct listener *l); /* the bound one, when conf.port was 0 */
/* Stops accepting, closes idle connections, marks the others to close after their reply. */
void listener_drain(struct listener *l);
/* Requests in the handler's hands or replying. */
size_t listener_busy(const struct listener *l);
size_t listener_connections(const struct listener *l);
/* Closes everything: on_gone for running requests. */
void listener_free(struct listener *l);

/* max_bytes 0: the configured maximum. */
void http_conn_read_body(struct http_conn *c, size_t max_bytes);

/* headers: complete lines, each ending in CRLF, without Content-Length, Transfer-Encoding,
 * Connection, Date (added here); borrowed for the call. body parts are borrowed until on_done or
 * on_gone. The whole reply goes out in one write where it can. */
void http_conn_reply(struct http_conn *c, int status, struct slice headers,
                     const struct slice *body, size_t n);

/* Streamed reply: chunked for 1.1, until close for 1.0. Head and first data go out in one write. */
void http_conn_stream_begin(struct http_conn *c, int status, struct slice headers);
/* The same for a reply of known length (what a HEAD request is told, too). Who cannot send all of
 * it calls http_conn_abort(). */
void http_conn_stream_begin_sized(struct http_conn *c, int status, struct slice headers,
                                  int64_t length);
/* One chunk of all parts, written at once, the rest copied to the queue. False: the queue is above
 * the high mark, wait for on_drained. Never call after end. */
bool http_conn_stream_write(struct http_conn *c, const struct slice *parts, size_t n);
/* The same with the end of the reply in the same write. */
void http_conn_stream_end(struct http_conn *c, const struct slice *parts, size_t n);
/* Closes without the final chunk: the client sees a cut. on_done follows, but not for a request
 * whose exchange is NULL: of that the handler has nothing to end. */
void http_conn_abort(struct http_conn *c);

size_t http_conn_queued_bytes(const struct http_conn *c);
/* Where the body lies: what is found in it may lie there, too, and go with it. */
struct arena *http_request_body_arena(struct http_request *rq);
/* Frees the request body's memory while the reply runs, if it has memory of its own. */
void http_request_drop_body(struct http_request *rq);
/* In on_gone: the request's memory stays until http_request_free() instead of ending with the call.
 */
void http_request_keep(struct http_request *rq);
void http_request_free(struct http_request *rq);
struct slice http_status_reason(int status);

#endif
