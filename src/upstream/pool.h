/* upstream/pool.h -- the connections of one worker: those at work, and the kept ones by
 * destination.
 *
 *   state     event                       -> state
 *   LEASED    complete answer, keep-alive -> IDLE     pool_give(): newest first on its pool's list
 *   IDLE      next attempt                -> LEASED   pool_take(): the newest, least likely stale
 *   IDLE      any byte, FIN, keep time    -> CLOSED
 *   LEASED    failure, leftover bytes     -> CLOSED   conn_close()
 *
 * A closed connection's memory returns to a free list at the end of the loop's turn, so a warm
 * worker opens connections without the heap. One read buffer serves all connections: what is in it
 * is handed on before the next read, so an idle connection holds no buffer.
 */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

#include "core/list.h"
#include "io/stream.h"
#include "upstream/attempt.h"

enum {
    POOL_BUCKETS = 64,
    POOLS_MAX = 1024,     /* destinations; those without a connection make room */
    CONNS_FREE_MAX = 256, /* closed connections kept for reuse of their memory */
    READ_BUFFER_BYTES = 65536,
};

struct upstream {
    struct loop *loop;       /* borrowed */
    struct dns *dns;         /* borrowed */
    struct tls_clients *tls; /* borrowed, or owned when owns_tls; made at the first TLS call */
    bool owns_tls;
    struct upstream_conf conf;
    struct list buckets[POOL_BUCKETS];
    size_t pool_count;
    struct list idle; /* every kept connection, longest idle first */
    size_t idle_count;
    size_t open_count;            /* leased, connecting and idle ones */
    struct loop_timer keep_timer; /* for the first of idle; the keep time is the same for all */
    struct conn *free;
    size_t free_count;
    struct list attempts; /* running ones */
    char *buffer;         /* READ_BUFFER_BYTES; answers pass through it, so it is not dumped */
    struct loop_closing closing;
};

/* One destination's. */
struct pool {
    struct list link; /* in its bucket */
    struct list idle; /* newest first */
    size_t idle_count;
    size_t conn_count; /* idle and leased: the pool stays while there is one */
    size_t key_len;
    char key[];
};

struct conn {
    struct stream stream;
    struct upstream *u;      /* borrowed */
    struct pool *pool;       /* borrowed */
    struct attempt *attempt; /* who leases it; NULL: idle */
    struct list link;        /* on pool->idle */
    struct list by_age;      /* on u->idle */
    int64_t idle_since_ns;
    struct loop_closing closing;
    struct conn *next_free;
};

/* Finds or makes; NULL on no memory or too many destinations. */
struct pool *pool_find(struct upstream *u, struct slice key);
/* A kept connection, or NULL. The caller sets attempt. */
struct conn *pool_take(struct upstream *u, struct pool *pool);
/* The connection is clean: nothing unread, nothing owed. */
void pool_give(struct conn *conn);

/* May another connection be opened? Closes the longest idle one when that is what it takes. */
bool conn_has_room(struct upstream *u);
/* Takes the connected or connecting socket, closes it on error. */
MUST_USE enum err conn_open(struct upstream *u, struct pool *pool, int fd, struct attempt *attempt,
                            struct conn **out_conn);
/* Closes the socket at once; the memory goes at the end of the turn. NULL is fine. */
void conn_close(struct conn *conn);

#endif
