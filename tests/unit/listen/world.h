/* world.h -- a listener on a loop, a client on a socket pair, and a handler that does what the path
 * says and notes what it was told. */
#ifndef TEST_LISTEN_WORLD_H
#define TEST_LISTEN_WORLD_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "listen/http_conn.h"

enum { BIG_BYTES = 3 << 20, BIG_PARTS = 150, PATIENCE_TURNS = 3000, NOTES_BYTES = 65536 };

struct world {
    struct loop *loop;
    struct arena_pool pool;
    struct listener *listener;
    struct listen_conf conf;
    int fd;                  /* the client's end; -1: none */
    struct http_conn *conn;  /* of the last on_head */
    struct http_request *rq; /* of the last on_head */
    struct http_request *kept;
    bool keeps_gone;
    int exchange; /* what rq->exchange points to */
    char note_room[NOTES_BYTES];
    struct text notes;
    char *got; /* what the client received and did not take yet */
    size_t got_len, got_cap;
    bool is_eof, is_reset;
    char *big;
    struct slice big_parts[BIG_PARTS];
};

struct listen_conf usual_conf(void);
struct world *world_new(struct listen_conf conf);
/* Every request's memory must have come back. */
void world_free(struct world *w);
/* Another client; w->fd becomes its end. */
void connect_pair(struct world *w);

/* One turn, then what has come. */
void pump(struct world *w);
void settle(struct world *w);
void send_all(struct world *w, struct slice bytes);
void send_text(struct world *w, const char *text);
struct slice got(const struct world *w);
bool has_got(const struct world *w, const char *text);
bool has_note(const struct world *w, const char *text);
/* Exactly these since the last time. */
void expect_notes(struct world *w, const char *text);
/* One whole reply is taken off the front of what came. */
void take_reply(struct world *w, int status, const char *body, bool is_head);
void reply_text(struct http_conn *c, int status, const char *text);

#define AWAIT(w, condition)                                                 \
    do {                                                                    \
        for (int turn = 0; !(condition) && turn < PATIENCE_TURNS; turn++) { \
            pump(w);                                                        \
        }                                                                   \
        assert_true(condition);                                             \
    } while (0)

#endif
