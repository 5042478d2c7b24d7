/* upstream/attempt_state.h -- the inside of an attempt, shared by attempt.c and dial.c.
 *
 * An attempt lives in the caller's arena and is over when on_end is called or attempt_cancel()
 * returns; nothing of it is touched afterwards. Code that goes on after a callback therefore asks
 * its connection, which lives to the end of the turn, whether the attempt is still the same.
 */
#ifndef UPSTREAM_ATTEMPT_STATE_H
#define UPSTREAM_ATTEMPT_STATE_H

#include "upstream/pool.h"

enum attempt_state {
    ATTEMPT_RESOLVE = 0,
    ATTEMPT_CONNECT,
    ATTEMPT_TUNNEL, /* CONNECT sent to the proxy */
    ATTEMPT_HANDSHAKE,
    ATTEMPT_SEND,
    ATTEMPT_HEAD,
    ATTEMPT_BODY,
    ATTEMPT_DONE
};

/* What only a new connection needs, in memory of its own: streams are long, and it goes when the
 * connection stands. */
struct dial {
    struct arena arena;      /* holds this and nothing else */
    struct dns_query *query; /* NULL: answered */
    struct dns_answer answer;
    size_t next;                            /* address to try next */
    struct conn *racers[DNS_ADDRESSES_MAX]; /* connecting; owned */
    size_t racer_count;
    struct loop_timer next_timer; /* when the next address joins the race */
    int error;                    /* errno of the last connect that failed */
    struct slice connect_head;    /* to the proxy; sent from connect_sent on */
    size_t connect_sent;
    struct http1_parser parser; /* of the proxy's answer */
};

/* First what every read of an answer needs. */
struct attempt {
    struct upstream *u;
    const struct attempt_handler *handler;
    void *ctx;
    const void *warm;       /* of attempt_warm() */
    struct conn *conn;      /* leased; NULL before CONNECT is over */
    int64_t phase_since_ns; /* start of the phase, or its last progress */
    enum attempt_state state;
    bool is_starting; /* inside attempt_start(): no callback may be made */
    bool is_paused;
    bool is_reused;
    bool is_retried;
    bool is_sent;
    bool is_send_broken; /* the write failed; an answer may have come before */
    bool has_answer;     /* a byte of it came */
    bool is_head_method;
    struct http1_parser parser;

    struct list link; /* u->attempts */
    const struct upstream_dest *dest;
    struct attempt_timeouts timeouts;
    struct arena *arena; /* the caller's */
    struct pool *pool;
    struct dial *dial; /* NULL on a kept connection */
    size_t part_at;    /* parts before it are written, and part_offset bytes of it */
    size_t part_offset;
    struct loop_timer phase_timer;
    struct loop_timer total_timer;
    int64_t phase_timeout_ns;
    int interim_count;
    enum err failure; /* to be told when attempt_start() is over */
    const char *failure_action;
    struct slice detail;
    size_t part_count;
    struct slice parts[]; /* of attempt_request: borrowed bytes */
};

/* The connection of a running attempt had an edge. */
void attempt_on_ready(struct conn *conn);
/* Ends with an error: closes everything, calls on_end. The attempt is gone afterwards. */
void attempt_fail(struct attempt *a, enum err e, const char *action);
/* Notes more about a failure (copied into the arena). */
void attempt_note(struct attempt *a, struct slice detail);
/* Begins a phase with its own time-out; 0: none. */
void attempt_phase(struct attempt *a, int64_t timeout_ns);
/* conn is ready for the request. */
void attempt_connected(struct attempt *a);

/* dial.c: opens a connection; ends in attempt_connected() or attempt_fail(). */
void dial_start(struct attempt *a);
/* An edge while connecting: conn is a racer or the connection in TUNNEL or HANDSHAKE. */
void dial_on_ready(struct attempt *a, struct conn *conn);
/* Cancels the look-up and closes the racers. */
void dial_stop(struct attempt *a);

#endif
