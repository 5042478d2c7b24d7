/* A client with an upstream, a scripted server and two calls: the state of every test of attempts.
 */
#ifndef TESTS_UPSTREAM_FIXTURE_H
#define TESTS_UPSTREAM_FIXTURE_H

#include "client.h"

static const char answer_ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct fixture {
    struct client client;
    struct server server;
    struct upstream_dest dest;
    struct call call, other;
};

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    client_open(&f->client);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    client_close(&f->client);
    server_stop(&f->server);
    call_deinit(&f->call);
    call_deinit(&f->other);
    free(f);
    return 0;
}

static inline void fixture_run(struct fixture *f, struct call *call)
{
    call_run(call, &f->client, &f->dest, "hello");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

#endif
