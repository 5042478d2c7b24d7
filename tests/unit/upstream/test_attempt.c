/* Tests of upstream/attempt.c and pool.c against a scripted server, in the clear. */
#include "fixture.h"

#include <netinet/in.h>
#include <unistd.h>

/* Calls of the heap by the thread under test, counted by the linker's --wrap. */
static _Thread_local bool is_counting;
static _Thread_local int heap_calls;
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_malloc(size_t size)
{
    heap_calls += is_counting;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    heap_calls += is_counting;
    return __real_calloc(n, size);
}

/* text: the answer, when the script wants one. */
static void begin(struct fixture *f, serve_fn serve, const char *text)
{
    server_start(&f->server, serve, text);
    f->dest = client_dest(&f->client, "http", "127.0.0.1", &f->server);
}

/* ---- scripts ---- */

/* Every request gets the text, on as many connections as come. */
static void serve_text(struct peer *p)
{
    while (peer_read_request(p)) {
        peer_send_text(p);
    }
}

static void serve_text_and_close(struct peer *p)
{
    if (peer_read_request(p)) {
        peer_send_text(p);
    }
}

static void serve_text_and_hold(struct peer *p)
{
    (void)peer_read_request(p);
    peer_send_text(p);
    peer_wait_close(p);
}

static void serve_echo(struct peer *p)
{
    while (peer_read_request(p)) {
        char head[64];
        (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                       p->len);
        peer_send(p, head);
        peer_send_bytes(p, p->request, p->len);
    }
}

/* ---- the good cases ---- */

static void the_parts_arrive_in_order_and_the_answer_comes_back(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_echo, NULL);
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, OK);
    assert_int_equal(f->call.heads, 1);
    assert_int_equal(f->call.status, 200);
    assert_true(f->call.was_sent);
    assert_false(f->call.was_reused);
    struct slice body = {f->call.body, f->call.body_bytes};
    assert_true(
        slice_starts(body, SLICE("POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:")));
    assert_true(slice_ends(body, SLICE("\r\nContent-Length: 5\r\n\r\nhello")));
}

static void a_kept_connection_serves_the_next_call_without_the_heap(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text, answer_ok);
    is_counting = true;
    fixture_run(f, &f->call);
    assert_true(heap_calls > 0); /* the count works: a first call needs a pool and a connection */
    is_counting = false;
    assert_int_equal(upstream_idle_count(f->client.u), 1);
    call_init(&f->other, &f->client, &f->dest, "hello");
    heap_calls = 0;
    is_counting = true;
    call_start(&f->other);
    call_wait(&f->other);
    is_counting = false;
#ifndef ARENA_EMULATE
    assert_int_equal(heap_calls, 0);
#endif
    assert_int_equal(f->other.e, OK);
    assert_true(f->other.was_reused);
    assert_int_equal(server_accepted(&f->server), 1);
}

static void two_calls_at_once_use_two_connections_and_the_newest_is_reused(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text, answer_ok);
    call_init(&f->call, &f->client, &f->dest, "a");
    call_init(&f->other, &f->client, &f->dest, "b");
    call_start(&f->call);
    call_start(&f->other);
    call_wait(&f->call);
    call_wait(&f->other);
    assert_int_equal(server_accepted(&f->server), 2);
    assert_int_equal(upstream_idle_count(f->client.u), 2);
    fixture_run(f, &f->call);
    assert_true(f->call.was_reused);
    assert_int_equal(server_accepted(&f->server), 2);
}

static void answers_of_every_framing_are_read(void **state)
{
    static const struct {
        const char *text, *body;
        bool is_head_method, is_kept;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
         "abcde", false, true},
        {"HTTP/1.1 204 No Content\r\n\r\n", "", false, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", true, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", "ok", false, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", false, false},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
         "ok", false, true},
        {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "", true,
         true},
        {"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", "busy", false, true},
    };
    struct fixture *f = *state;
    begin(f, serve_text, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        server_set_text(&f->server, cases[i].text);
        call_init(&f->call, &f->client, &f->dest, "");
        f->call.request.is_head_method = cases[i].is_head_method;
        call_start(&f->call);
        call_wait(&f->call);
        assert_int_equal(f->call.e, OK);
        assert_int_equal(f->call.heads, 1);
        assert_true(slice_eq(slice_of(f->call.body, f->call.body_bytes), slice_str(cases[i].body)));
        assert_int_equal(upstream_idle_count(f->client.u), cases[i].is_kept);
    }
}

static void a_body_that_ends_with_the_connection_is_whole_and_not_kept(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text_and_close, "HTTP/1.1 200 OK\r\n\r\nuntil the end");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, OK);
    assert_int_equal(f->call.body_bytes, 13);
    assert_int_equal(upstream_idle_count(f->client.u), 0);
}

static void both_address_families_are_tried(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text, answer_ok);
    f->dest = client_dest(&f->client, "http", "localhost", &f->server); /* listens on IPv4 only */
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, OK);
}

/* ---- connections that must not be reused ---- */

static void a_connection_with_leftover_bytes_is_closed(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text_and_hold,
          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, OK);
    assert_int_equal(upstream_idle_count(f->client.u), 0);
    server_wait_closed(&f->server, 1);
}

static void serve_late_bytes(struct peer *p)
{
    (void)peer_read_request(p);
    peer_send(p, answer_ok);
    server_wait_marks(p->server, 1); /* the client has its answer and keeps the connection */
    peer_send(p, "HTTP/1.1 200 OK\r\n\r\n");
    peer_wait_close(p);
}

static void an_idle_connection_that_gets_bytes_is_closed(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_late_bytes, NULL);
    fixture_run(f, &f->call);
    assert_int_equal(upstream_idle_count(f->client.u), 1);
    server_mark(&f->server);
    while (upstream_idle_count(f->client.u)) {
        loop_turn(f->client.loop, -1);
    }
    server_wait_closed(&f->server, 1);
}

static void serve_early_answer(struct peer *p)
{
    (void)peer_read_head(p);
    peer_send(p, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    server_wait_marks(p->server, 1); /* reads no more before the client has its answer */
}

static void an_answer_before_the_request_was_sent_is_heard_and_the_connection_closed(void **state)
{
    struct fixture *f = *state;
    enum { LARGE = 16 << 20 };
    char *large = malloc(LARGE);
    memset(large, 'x', LARGE);
    begin(f, serve_early_answer, NULL);
    call_init(&f->call, &f->client, &f->dest, "");
    f->call.request.parts[1] = arena_printf(&f->client.arena, "Content-Length: %d\r\n\r\n", LARGE);
    f->call.request.parts[3] = slice_of(large, LARGE);
    call_start(&f->call);
    call_wait(&f->call);
    assert_int_equal(f->call.e, OK);
    assert_int_equal(f->call.status, 413);
    assert_false(f->call.was_sent);
    assert_int_equal(upstream_idle_count(f->client.u), 0);
    server_mark(&f->server);
    free(large);
}

static void idle_connections_are_bounded_and_time_out(void **state)
{
    struct fixture *f = *state;
    const struct upstream_conf conf = {
        .keep_per_dest = 1, .keep_ns = 20 * NS_PER_MS, .connections_max = 8};
    upstream_set_conf(f->client.u, &conf);
    begin(f, serve_text, answer_ok);
    call_init(&f->call, &f->client, &f->dest, "a");
    call_init(&f->other, &f->client, &f->dest, "b");
    call_start(&f->call);
    call_start(&f->other);
    call_wait(&f->call);
    call_wait(&f->other);
    assert_true(upstream_idle_count(f->client.u) <= 1);
    while (upstream_idle_count(f->client.u)) {
        loop_turn(f->client.loop, -1);
    }
    server_wait_closed(&f->server, 2);
}

static void serve_text_when_marked(struct peer *p)
{
    server_wait_marks(p->server, 1);
    serve_text(p);
}

static void connections_are_bounded(void **state)
{
    struct fixture *f = *state;
    const struct upstream_conf conf = {
        .keep_per_dest = 4, .keep_ns = NS_PER_MIN, .connections_max = 1};
    struct attempt *none = NULL;
    upstream_set_conf(f->client.u, &conf);
    begin(f, serve_text_when_marked, answer_ok);
    call_init(&f->call, &f->client, &f->dest, "a");
    call_start(&f->call);
    call_init(&f->other, &f->client, &f->dest, "b");
    while (server_accepted(&f->server) == 0) { /* its connection counts from the first turn on */
        loop_turn(f->client.loop, 0);
    }
    static const struct attempt_handler unused;
    assert_int_equal(attempt_start(f->client.u, &f->other.request, &unused, NULL, &none), E_BUSY);
    assert_null(none);
    server_mark(&f->server);
    call_wait(&f->call);
    /* An idle connection elsewhere makes room. */
    f->dest.pool_key = SLICE("another destination");
    fixture_run(f, &f->other);
    assert_int_equal(f->other.e, OK);
    assert_false(f->other.was_reused);
    assert_int_equal(server_accepted(&f->server), 2);
}

/* ---- stale connections ---- */

static void serve_first_then_close(struct peer *p)
{
    if (p->number == 0) {
        (void)peer_read_request(p);
        peer_send(p, answer_ok);
        server_wait_marks(p->server, 1);
        return; /* the client keeps it, and does not see the FIN before it sends again */
    }
    serve_text(p);
}

static void a_stale_connection_is_replaced_unseen(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_first_then_close, answer_ok);
    fixture_run(f, &f->call);
    assert_int_equal(upstream_idle_count(f->client.u), 1);
    server_mark(&f->server);
    server_wait_closed(&f->server, 1);
    fixture_run(f, &f->other);
    assert_int_equal(f->other.e, OK);
    assert_int_equal(f->other.heads, 1);
    assert_false(f->other.was_reused);
    assert_int_equal(server_accepted(&f->server), 2);
}

static void serve_one_answer_a_connection(struct peer *p)
{
    (void)peer_read_request(p);
    peer_send(p, answer_ok);
    (void)peer_read_request(p);
    if (p->number > 0) {
        peer_send(p, answer_ok);
        return;
    }
    peer_reset(p);
}

static void a_kept_connection_reset_after_the_request_is_replaced_unseen(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_one_answer_a_connection, NULL);
    fixture_run(f, &f->call);
    assert_int_equal(upstream_idle_count(f->client.u), 1);
    fixture_run(f, &f->other);
    assert_int_equal(f->other.e, OK);
    assert_false(f->other.was_reused);
    assert_int_equal(server_accepted(&f->server), 2);
}

static void serve_answer_then_nothing(struct peer *p)
{
    if (p->number == 0) {
        (void)peer_read_request(p);
        peer_send(p, answer_ok);
    }
    (void)peer_read_request(p); /* then closes without an answer, on the second connection too */
}

static void the_unseen_retry_happens_once(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_answer_then_nothing, NULL);
    fixture_run(f, &f->call);
    fixture_run(f, &f->other);
    assert_int_equal(f->other.e, E_EOF);
    assert_string_equal(f->other.action, "reading the head");
    assert_int_equal(server_accepted(&f->server), 2);
}

static void serve_half_answer_on_reuse(struct peer *p)
{
    (void)peer_read_request(p);
    peer_send(p, answer_ok);
    (void)peer_read_request(p);
    peer_send(p, "HTTP/1.1 200");
}

static void an_answer_that_has_begun_is_not_retried(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_half_answer_on_reuse, NULL);
    fixture_run(f, &f->call);
    fixture_run(f, &f->other);
    assert_int_equal(f->other.e, E_EOF);
    assert_true(f->other.was_reused);
    assert_int_equal(server_accepted(&f->server), 1);
}

/* ---- failures ---- */

static void a_cut_body_is_an_end_too_early(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text_and_close, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcde");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_EOF);
    assert_string_equal(f->call.action, "reading the body");
    assert_int_equal(f->call.heads, 1);
    assert_int_equal(f->call.body_bytes, 5);
}

static void a_cut_chunked_body_is_an_end_too_early(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text_and_close,
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_EOF);
    assert_int_equal(f->call.body_bytes, 5);
}

static void serve_and_reset(struct peer *p)
{
    (void)peer_read_request(p);
    peer_reset(p);
}

static void a_reset_before_the_answer_is_an_error_with_its_reason(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_and_reset, NULL);
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_IO);
    assert_string_equal(f->call.action, "reading the head");
    assert_string_equal(f->call.detail, "Connection reset by peer");
    assert_int_equal(f->call.heads, 0);
}

static void garbage_is_refused(void **state)
{
    static const char *const cases[] = {
        "SSH-2.0-server\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
    };
    struct fixture *f = *state;
    begin(f, serve_text_and_hold, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        server_set_text(&f->server, cases[i]);
        fixture_run(f, &f->call);
        if (f->call.e != E_SYNTAX) {
            fail_msg("%s gave %s", cases[i], err_name(f->call.e));
        }
        assert_int_equal(upstream_idle_count(f->client.u), 0);
    }
}

static void interim_answers_are_bounded(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text_and_hold,
          "HTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\n"
          "HTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\n"
          "HTTP/1.1 102 P\r\n\r\n");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_SYNTAX);
    assert_int_equal(f->call.heads, 0);
}

static void too_large_an_answer_is_refused(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text_and_hold, "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nok");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_LIMIT);
}

static void nobody_listening_is_a_connect_error(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text, answer_ok);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* bound, never listening: nobody else takes it */
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    f->dest.port = ntohs(address.sin_port);
    f->dest.pool_key = SLICE("nobody");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_CONNECT);
    assert_string_equal(f->call.action, "connecting");
    assert_string_equal(f->call.detail, "Connection refused");
    (void)close(fd);
}

static void an_unknown_host_is_a_dns_error(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text, answer_ok);
    f->dest.host = SLICE("no such name");
    f->dest.pool_key = SLICE("none");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_DNS);
    assert_string_equal(f->call.action, "resolving");
    assert_string_equal(f->call.detail, "no such name");
    f->dest.host = SLICE_NONE; /* refused inside the start, told outside */
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_DNS);
}

/* ---- time ---- */

static void time_out(struct fixture *f, const struct attempt_timeouts *timeouts,
                     const char *expected_action)
{
    call_init(&f->call, &f->client, &f->dest, "hello");
    f->call.request.timeouts = *timeouts;
    call_start(&f->call);
    call_wait(&f->call);
    assert_int_equal(f->call.e, E_TIMEOUT);
    assert_string_equal(f->call.action, expected_action);
    server_wait_closed(&f->server, 1);
}

static void a_silent_server_meets_the_first_byte_timeout(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text_and_hold, "HTTP/1.1 200 OK\r\nX: half a head does not count");
    time_out(f, &(struct attempt_timeouts){.first_byte_ns = 15 * NS_PER_MS}, "reading the head");
}

static void a_stalled_body_meets_the_timeout_between_chunks(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text_and_hold, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    time_out(f,
             &(struct attempt_timeouts){.first_byte_ns = 60 * NS_PER_S,
                                        .between_chunks_ns = 15 * NS_PER_MS},
             "reading the body");
    assert_int_equal(f->call.body_bytes, 3);
}

static void the_total_timeout_covers_everything(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text_and_hold, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    time_out(f, &(struct attempt_timeouts){.total_ns = 200 * NS_PER_MS, .connect_ns = NS_PER_S},
             "reading the body");
}

static void serve_nothing(struct peer *p)
{
    server_wait_marks(p->server, 1);
}

static void a_server_that_takes_no_body_meets_the_timeout_while_sending(void **state)
{
    struct fixture *f = *state;
    enum { LARGE = 16 << 20 };
    char *large = calloc(1, LARGE);
    begin(f, serve_nothing, NULL);
    call_init(&f->call, &f->client, &f->dest, "");
    f->call.request.parts[3] = slice_of(large, LARGE);
    f->call.request.timeouts.first_byte_ns = 15 * NS_PER_MS;
    call_start(&f->call);
    call_wait(&f->call);
    assert_int_equal(f->call.e, E_TIMEOUT);
    assert_string_equal(f->call.action, "sending the request");
    assert_false(f->call.was_sent);
    server_mark(&f->server);
    free(large);
}

/* A timer of the test's own. */
struct alarm {
    struct loop_timer timer;
    bool is_due;
};

static void on_alarm(struct loop_timer *timer)
{
    CONTAINER_OF(timer, struct alarm, timer)->is_due = true;
}

static void turn_until_alarm(struct fixture *f, int64_t after_ns)
{
    struct alarm alarm = {0};
    loop_timer_set(f->client.loop, &alarm.timer, loop_now_ns(f->client.loop) + after_ns, on_alarm);
    while (!alarm.is_due) {
        loop_turn(f->client.loop, -1);
    }
}

enum { LARGE_ANSWER = 8 << 20 };

static void serve_large(struct peer *p)
{
    char *large = malloc(LARGE_ANSWER);
    char head[64];
    memset(large, 'y', LARGE_ANSWER);
    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
                   LARGE_ANSWER);
    while (peer_read_request(p)) {
        peer_send(p, head);
        peer_send_bytes(p, large, LARGE_ANSWER);
    }
    free(large);
}

static void a_paused_answer_waits_without_timing_out(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_large, NULL);
    call_init(&f->call, &f->client, &f->dest, "hello");
    f->call.request.limits.body_max_bytes = 0; /* a stream */
    f->call.request.timeouts.between_chunks_ns = 500 * NS_PER_MS;
    f->call.pauses_at_body = true;
    call_start(&f->call);
    while (f->call.body_bytes == 0) {
        loop_turn(f->client.loop, -1);
    }
    assert_true(f->call.body_bytes <= 16384);
    size_t at_pause = f->call.body_bytes;
    turn_until_alarm(f, 700 * NS_PER_MS);
    assert_false(f->call.is_over);
    assert_int_equal(f->call.body_bytes, at_pause);
    attempt_resume(f->call.attempt);
    attempt_resume(f->call.attempt);
    call_wait(&f->call);
    assert_int_equal(f->call.e, OK);
    assert_int_equal(f->call.body_bytes, LARGE_ANSWER);
    assert_int_equal(upstream_idle_count(f->client.u), 1);
}

static void a_resumed_answer_that_stalls_times_out(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text_and_hold, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    call_init(&f->call, &f->client, &f->dest, "hello");
    f->call.request.timeouts.between_chunks_ns = 10 * NS_PER_MS;
    f->call.pauses_at_body = true;
    call_start(&f->call);
    while (f->call.body_bytes == 0) {
        loop_turn(f->client.loop, -1);
    }
    turn_until_alarm(f, 30 * NS_PER_MS);
    assert_false(f->call.is_over);
    attempt_resume(f->call.attempt);
    call_wait(&f->call);
    assert_int_equal(f->call.e, E_TIMEOUT);
}

/* ---- cancelling ---- */

static void cancelling_in_a_callback_closes_the_connection(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text_and_hold, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    call_init(&f->call, &f->client, &f->dest, "hello");
    f->call.cancels_at_head = true;
    call_start(&f->call);
    call_wait(&f->call);
    server_wait_closed(&f->server, 1);
    assert_int_equal(f->call.body_bytes, 0);
    call_init(&f->call, &f->client, &f->dest, "hello");
    f->call.cancels_at_body = true;
    call_start(&f->call);
    call_wait(&f->call);
    server_wait_closed(&f->server, 2);
    assert_int_equal(f->call.body_bytes, 3);
}

static void an_attempt_can_be_cancelled_at_any_turn(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text, answer_ok);
    f->dest = client_dest(&f->client, "http", "localhost", &f->server);
    for (int turns = 0;; turns++) { /* the first rounds end in the look-up and in the connect */
        const struct upstream_conf conf = {.connections_max = 8}; /* keeps nothing */
        upstream_set_conf(f->client.u, &conf);
        call_init(&f->call, &f->client, &f->dest, "hello");
        f->call.request.timeouts =
            (struct attempt_timeouts){NS_PER_S * 9, NS_PER_S * 9, NS_PER_S * 9, NS_PER_S * 9};
        call_start(&f->call);
        for (int i = 0; i < turns && !f->call.is_over; i++) {
            loop_turn(f->client.loop, -1);
        }
        if (f->call.is_over) {
            assert_true(turns > 1);
            break;
        }
        attempt_cancel(f->call.attempt);
        arena_reset(&f->call.arena);
        loop_turn(f->client.loop, 0);
    }
    assert_int_equal(f->call.e, OK);
}

static void freeing_the_upstream_cancels_what_runs(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_text_and_hold, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    call_init(&f->call, &f->client, &f->dest, "hello");
    call_start(&f->call);
    while (f->call.body_bytes == 0) {
        loop_turn(f->client.loop, -1);
    }
    upstream_free(f->client.u);
    f->client.u = NULL;
    assert_false(f->call.is_over);
    server_wait_closed(&f->server, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_parts_arrive_in_order_and_the_answer_comes_back),
        CASE(a_kept_connection_serves_the_next_call_without_the_heap),
        CASE(two_calls_at_once_use_two_connections_and_the_newest_is_reused),
        CASE(answers_of_every_framing_are_read),
        CASE(a_body_that_ends_with_the_connection_is_whole_and_not_kept),
        CASE(both_address_families_are_tried),
        CASE(a_connection_with_leftover_bytes_is_closed),
        CASE(an_idle_connection_that_gets_bytes_is_closed),
        CASE(an_answer_before_the_request_was_sent_is_heard_and_the_connection_closed),
        CASE(idle_connections_are_bounded_and_time_out),
        CASE(connections_are_bounded),
        CASE(a_stale_connection_is_replaced_unseen),
        CASE(a_kept_connection_reset_after_the_request_is_replaced_unseen),
        CASE(the_unseen_retry_happens_once),
        CASE(an_answer_that_has_begun_is_not_retried),
        CASE(a_cut_body_is_an_end_too_early),
        CASE(a_cut_chunked_body_is_an_end_too_early),
        CASE(a_reset_before_the_answer_is_an_error_with_its_reason),
        CASE(garbage_is_refused),
        CASE(interim_answers_are_bounded),
        CASE(too_large_an_answer_is_refused),
        CASE(nobody_listening_is_a_connect_error),
        CASE(an_unknown_host_is_a_dns_error),
        CASE(a_silent_server_meets_the_first_byte_timeout),
        CASE(a_stalled_body_meets_the_timeout_between_chunks),
        CASE(the_total_timeout_covers_everything),
        CASE(a_server_that_takes_no_body_meets_the_timeout_while_sending),
        CASE(a_paused_answer_waits_without_timing_out),
        CASE(a_resumed_answer_that_stalls_times_out),
        CASE(cancelling_in_a_callback_closes_the_connection),
        CASE(an_attempt_can_be_cancelled_at_any_turn),
        CASE(freeing_the_upstream_cancels_what_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
