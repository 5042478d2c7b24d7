/* What the tests of attempts share: a loop with an upstream, and calls that note what happens. */
#ifndef TESTS_UPSTREAM_CLIENT_H
#define TESTS_UPSTREAM_CLIENT_H

#include "server.h"

#include "support/unit.h"
#include "upstream/attempt.h"

enum { BODY_MAX_BYTES = 1 << 16 };

struct client {
    struct loop *loop;
    struct offload *offload;
    struct dns *dns;
    struct upstream *u;
    struct arena_pool blocks;
    struct arena arena; /* destinations */
};

struct call {
    struct client *client;
    struct arena arena;
    struct attempt *attempt;
    struct attempt_request request;
    int heads;
    int status;
    bool is_over;
    enum err e;
    char action[32];
    char detail[256];
    char body[BODY_MAX_BYTES]; /* its beginning */
    size_t body_bytes;
    int inputs; /* reads that on_input_end told the end of */
    bool was_sent, was_reused;
    bool pauses_at_body; /* once */
    bool cancels_at_head;
    bool cancels_at_body;
};

void client_open(struct client *c);
void client_close(struct client *c);
/* Prepares a POST of body to url; the caller may change the request before call_start(). */
void call_init(struct call *call, struct client *c, const struct upstream_dest *dest,
               const char *body);
void call_start(struct call *call);
/* Turns the loop until on_end. */
void call_wait(struct call *call);
/* The three in one. */
void call_run(struct call *call, struct client *c, const struct upstream_dest *dest,
              const char *body);
struct upstream_dest client_dest(struct client *c, const char *scheme, const char *host,
                                 const struct server *s);
void call_deinit(struct call *call);

#endif
