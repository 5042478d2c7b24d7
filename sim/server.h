/* sim/server.h -- one thread: a listener, an epoll instance, its connections.
 *
 * Sockets are edge-triggered and registered once for both directions, so that a request costs an
 * epoll_wait, a read and a write. A connection that plays an answer does not read: what arrives
 * meanwhile waits in the kernel until the answer is out. A client's FIN while an answer plays means
 * that it has gone (half-closed clients are not served).
 *
 *   conn state   event                    -> state    effect
 *   HANDSHAKE    TLS done                 -> READING
 *   READING      whole request            -> PLAYING  answer from the memo table or built; record
 * opened READING      not HTTP                 -> PLAYING  400, then LINGERING PLAYING      all
 * bytes sent           -> READING  record closed PLAYING      ... and close_after      -> LINGERING
 *   PLAYING      FIN or RST from client   -> freed    record says client_gone
 *   LINGERING    EOF or 2 s               -> freed
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "answer.h"
#include "http.h"
#include "routes.h"
#include "wheel.h"

#include <openssl/ssl.h>

enum {
    MEMO_SLOTS = 256,
    MEMO_BODY_MAX_BYTES = 65536,
    READ_BYTES = 131072,
    TURN_BYTES = 4 << 20, /* an endless answer lets others go on after so much */
};

/* Answers are functions of path and body as long as no script is loaded: the last few are kept. */
struct memo {
    struct buf key; /* method, target and body */
    struct answer *answer;
};

enum conn_state { HANDSHAKE, READING, PLAYING, LINGERING };

struct conn {
    int fd;
    enum conn_state state;
    SSL *ssl;           /* NULL: plain */
    struct timer timer; /* a pause in the answer, or the end of lingering */
    struct buf in;      /* received, not parsed */
    size_t in_need;     /* no use parsing before in.len reaches it */
    bool readable;      /* the kernel may hold more */
    bool eof;
    bool told_100;
    struct answer *answer; /* one reference while PLAYING */
    struct buf head;       /* the answer's head with this request's id */
    size_t pos;            /* of head and body taken together */
    size_t sent;           /* also counts what a loop sends again */
    size_t next_cut;
    enum stale stale; /* of the answer before */
    bool close_after;
    uint64_t id;
    uint64_t seq; /* of the record; 0: none */
};

struct server {
    const struct sim_conf *conf;
    SSL_CTX *tls; /* NULL: plain */
    int epoll;
    int listener;
    int64_t now_ns;
    uint64_t next_id;
    struct wheel wheel;
    struct memo memo[MEMO_SLOTS];
    struct buf scratch; /* de-chunked bodies */
    struct buf key;     /* of the request being looked up */
    struct request request;
    char *input; /* READ_BYTES */
};

/* listener is moved; conf and tls are borrowed. Never returns. */
void server_run(const struct sim_conf *conf, SSL_CTX *tls, int listener, uint64_t first_id);

/* conn.c */
void conn_open(struct server *s, int fd);
void conn_event(struct server *s, struct conn *c, uint32_t events);
void conn_timer(void *ctx, struct timer *t);

/* server.c: a reference that the caller gives back. */
struct answer *server_answer(struct server *s, const struct request *r);
int64_t server_clock_ns(void);

#endif
