#include "unit/listen/world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: gw\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: gw\r\n"

/* ---- the tests ---- */

static void keep_alive_serves_one_after_the_other(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    for (int i = 0; i < 3; i++) {
        send_text(w, GET("/reply"));
        take_reply(w, 200, "hello", false);
        AWAIT(w, listener_busy(w->listener) == 0);
        expect_notes(w, "head /reply;done;");
    }
    send_text(w, POST("/echo") "Content-Length: 5\r\n\r\nhello");
    take_reply(w, 200, "hello", false);
    send_text(w,
              POST("/echo") "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    take_reply(w, 200, "abcde", false);
    send_text(w, POST("/echo") "Content-Length: 0\r\n\r\n");
    take_reply(w, 200, "", false);
    send_text(w, GET("/empty"));
    take_reply(w, 204, "", false);
    expect_notes(w, "head /echo;body 5;done;head /echo;body 5;done;head /echo;body 0;done;"
                    "head /empty;done;");
    assert_int_equal(listener_connections(w->listener), 1);
    /* between requests nothing is held but the connection itself */
    assert_int_equal(w->pool.held_bytes, 0);
    world_free(w);
}

static void every_cut_of_a_conversation_is_answered_alike(void **state)
{
    (void)state;
    struct slice all = SLICE(POST("/echo") "Content-Length: 3\r\n\r\nabc" GET("/reply") POST(
        "/echo") "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    struct world *w = world_new(usual_conf());
    for (size_t cut = 1; cut < all.len; cut++) {
        send_all(w, slice_head(all, cut));
        send_all(w, slice_from(all, cut));
        take_reply(w, 200, "abc", false);
        take_reply(w, 200, "hello", false);
        take_reply(w, 200, "hi", false);
        AWAIT(w, listener_busy(w->listener) == 0);
        expect_notes(w, "head /echo;body 3;done;head /reply;done;head /echo;body 2;done;");
    }
    world_free(w);
}

static void pipelined_requests_wait_for_the_answer_before(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    send_text(w, GET("/later") GET("/reply")
                     POST("/later-echo") "Content-Length: 2\r\n\r\nok" GET("/reply"));
    settle(w);
    expect_notes(w, "head /later;");
    assert_int_equal(w->got_len, 0);
    reply_text(w->conn, 200, "first");
    take_reply(w, 200, "first", false);
    take_reply(w, 200, "hello", false);
    AWAIT(w, has_note(w, "body 2;"));
    expect_notes(w, "done;head /reply;done;head /later-echo;body 2;");
    struct slice body = w->rq->body;
    http_conn_reply(w->conn, 200, SLICE_NONE, &body, 1);
    take_reply(w, 200, "ok", false);
    take_reply(w, 200, "hello", false);
    /* thousands in one write */
    struct arena a;
    arena_init(&a, NULL, 1u << 20);
    struct text many = text_growing(&a);
    for (int i = 0; i < 1000; i++) {
        TEXT_ADD(&many, GET("/reply"));
    }
    send_all(w, text_slice(&many));
    for (int i = 0; i < 1000; i++) {
        take_reply(w, 200, "hello", false);
    }
    arena_deinit(&a);
    world_free(w);
}

static void continue_is_said_only_when_the_body_is_wanted(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    send_text(w, POST("/echo") "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    AWAIT(w, has_got(w, "HTTP/1.1 100 Continue\r\n\r\n"));
    w->got_len = 0;
    send_text(w, "hello");
    take_reply(w, 200, "hello", false);
    /* the body comes at once: no need to ask */
    send_text(w, POST("/echo") "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello");
    take_reply(w, 200, "hello", false);
    /* refused: the final status only, and the connection ends */
    send_text(w, POST("/refuse") "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    AWAIT(w, w->is_eof);
    assert_true(slice_starts(got(w), SLICE("HTTP/1.1 401 ")));
    assert_true(has_got(w, "Connection: close\r\n"));
    assert_false(has_got(w, "100 Continue"));
    world_free(w);

    w = world_new(usual_conf()); /* too large for this route: 413 instead of 100 */
    send_text(w, POST("/limited") "Content-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    AWAIT(w, w->is_eof);
    assert_true(slice_starts(got(w), SLICE("HTTP/1.1 413 ")));
    expect_notes(w, "head /limited;fault 413;gone;");
    world_free(w);
}

static void head_has_the_length_and_no_body(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    send_text(w, "HEAD /reply HTTP/1.1\r\nHost: gw\r\n\r\n");
    AWAIT(w, has_got(w, "\r\n\r\n"));
    assert_true(has_got(w, "Content-Length: 5\r\n"));
    take_reply(w, 200, "", true);
    assert_int_equal(w->got_len, 0);
    send_text(w, "HEAD /stream HTTP/1.1\r\nHost: gw\r\n\r\n" GET("/reply"));
    AWAIT(w, has_got(w, "\r\n\r\n"));
    take_reply(w, 200, "", true);
    take_reply(w, 200, "hello", false);
    world_free(w);
}

static void versions_and_connection_headers_are_heeded(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        bool is_closed;
        const char *header;
    } cases[] = {
        {"GET /reply HTTP/1.0\r\n\r\n", true, "Connection: close\r\n"},
        {"GET /reply HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false,
         "Connection: keep-alive\r\n"},
        {"GET /reply HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true,
         "Connection: close\r\n"},
        {"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true,
         "\r\n\r\ndata: 1\n\ndata: 1\n\n"},
        {"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n", false,
         "\r\n\r\n9\r\ndata: 1\n\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world *w = world_new(usual_conf());
        send_text(w, cases[i].request);
        AWAIT(w, has_got(w, cases[i].header));
        AWAIT(w, has_note(w, "done;"));
        settle(w);
        assert_int_equal(w->is_eof, cases[i].is_closed);
        assert_int_equal(listener_connections(w->listener), cases[i].is_closed ? 0 : 1);
        world_free(w);
    }
}

static void faults_get_their_status_and_a_json_body(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        const char *status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
        {"GET / HTTP/2.0\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
        {"\x16\x03\x01", "HTTP/1.1 400 Bad Request\r\n"},
        {POST("/echo") "Content-Length: 99999999\r\n\r\n", "HTTP/1.1 413 Content Too Large\r\n"},
        {POST("/echo") "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
         "HTTP/1.1 400 Bad Request\r\n"},
        {POST("/echo") "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 Bad Request\r\n"},
        {POST("/echo") "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", "HTTP/1.1 413 "},
        {POST("/limited") "Transfer-Encoding: chunked\r\n\r\nb\r\n", "HTTP/1.1 413 "},
        {POST("/limited") "Content-Length: 11\r\n\r\n", "HTTP/1.1 413 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world *w = world_new(usual_conf());
        send_text(w, cases[i].request);
        AWAIT(w, w->is_eof);
        assert_true(slice_starts(got(w), slice_str(cases[i].status)));
        assert_true(has_got(w, "Content-Type: application/json\r\n"));
        assert_true(has_got(w, "Connection: close\r\n"));
        assert_true(has_got(w, "{\"detail\":\""));
        struct slice length = slice_from(got(w), slice_search(got(w), SLICE("Length: ")) + 8);
        struct slice json = slice_from(got(w), slice_search(got(w), SLICE("\r\n\r\n")) + 4);
        int64_t promised = -1;
        assert_true(slice_to_i64(slice_head(length, slice_find(length, '\r')), &promised));
        assert_int_equal(promised, json.len);
        assert_int_equal(listener_busy(w->listener), 0);
        (void)close(w->fd);
        w->fd = -1;
        AWAIT(w, listener_connections(w->listener) == 0);
        world_free(w);
    }
    struct world *w = world_new(usual_conf());
    send_text(w, "GET /");
    for (int i = 0; i < 20 && w->got_len == 0; i++) {
        struct slice filler = slice_of(w->big, 1000);
        (void)send(w->fd, filler.ptr, filler.len, MSG_NOSIGNAL);
        pump(w);
    }
    AWAIT(w, w->is_eof);
    assert_true(slice_starts(got(w), SLICE("HTTP/1.1 414 URI Too Long\r\n")));
    world_free(w);
}

static void memory_is_bounded_by_what_arrived(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    send_text(w, POST("/later-echo") "Content-Length: 4000000\r\n\r\n0123456789");
    settle(w);
    assert_true(w->pool.held_bytes < 40000); /* not the 4 MB that were promised */
    struct slice block = slice_of(w->big, 100000);
    for (int i = 0; i < 10; i++) {
        send_all(w, block);
    }
    assert_true(w->pool.held_bytes < 2200000);
    send_all(w, slice_of(w->big, 4000000 - 1000010 - 1000000));
    send_all(w, slice_of(w->big, 1000000));
    AWAIT(w, has_note(w, "body 4000000;"));
    assert_true(w->pool.held_bytes < 4100000); /* the room ends at what was promised */
    assert_memory_equal(w->rq->body.ptr, "0123456789", 10);
    assert_memory_equal(w->rq->body.ptr + 10 + 100000, w->big, 100000);
    http_request_drop_body(w->rq);
    assert_true(w->pool.held_bytes < 20000);
    reply_text(w->conn, 200, "ok");
    take_reply(w, 200, "ok", false);
    world_free(w);

    struct listen_conf conf = usual_conf();
    conf.inflight_max_bytes = 100000;
    w = world_new(conf);
    send_text(w, POST("/later-echo") "Content-Length: 200000\r\n\r\n");
    for (int i = 0; i < 200 && !w->is_eof; i++) {
        (void)send(w->fd, w->big, 1000, MSG_NOSIGNAL);
        pump(w);
    }
    AWAIT(w, w->is_eof);
    assert_true(slice_starts(got(w), SLICE("HTTP/1.1 503 ")));
    assert_true(has_note(w, "fault 503;gone;"));
    world_free(w);

    conf.inflight_max_bytes = 1; /* full at head time */
    w = world_new(conf);
    send_text(w, GET("/reply"));
    AWAIT(w, w->is_eof);
    assert_true(slice_starts(got(w), SLICE("HTTP/1.1 503 ")));
    expect_notes(w, "fault 503;");
    world_free(w);

    conf = usual_conf();
    for (size_t bytes = 0; bytes < 12000; bytes += 512) { /* no arena, or a small one */
        conf.request_arena_max_bytes = bytes;
        w = world_new(conf);
        send_text(w, POST("/echo") "Content-Length: 5000\r\nConnection: close\r\n\r\n");
        (void)send(w->fd, w->big, 5000, MSG_NOSIGNAL);
        AWAIT(w, w->is_eof);
        assert_true(slice_starts(got(w), SLICE("HTTP/1.1 503 ")) ||
                    slice_starts(got(w), SLICE("HTTP/1.1 200 ")));
        world_free(w);
    }
}

static void a_whole_reply_waits_for_a_slow_reader(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    for (int i = 0; i < 2; i++) {
        send_text(w, GET("/big"));
        AWAIT(w, w->got_len > BIG_BYTES);
        AWAIT(w, has_note(w, "done;"));
        struct slice all = got(w);
        struct slice body = slice_from(all, slice_search(all, SLICE("\r\n\r\n")) + 4);
        assert_true(slice_eq(body, slice_of(w->big, BIG_BYTES)));
        expect_notes(w, "head /big;done;");
        w->got_len = 0;
    }
    send_text(w, GET("/reply"));
    take_reply(w, 200, "hello", false);
    world_free(w);
}

static void a_stream_tells_when_to_stop_and_go_on(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    send_text(w, GET("/later"));
    AWAIT(w, has_note(w, "head /later;"));
    w->notes.len = 0;
    struct slice event = slice_of(w->big, 1000);
    size_t events = 0;
    http_conn_stream_begin(w->conn, 200, SLICE("X: y\r\n"));
    while (http_conn_stream_write(w->conn, &event, 1)) {
        events++;
        assert_true(events < 1000);
    }
    events++;
    assert_true(http_conn_queued_bytes(w->conn) > 32768);
    assert_true(http_conn_queued_bytes(w->conn) < 65536);
    assert_false(http_conn_stream_write(w->conn, &event, 1));
    events++;
    AWAIT(w, has_note(w, "drained;")); /* pump() reads */
    expect_notes(w, "drained;");
    settle(w);
    assert_int_equal(http_conn_queued_bytes(w->conn), 0);
    /* many parts in one call become chunks of their own, in order */
    struct slice many[200];
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        many[i] = slice_of(w->big + i, 3);
    }
    assert_true(http_conn_stream_write(w->conn, many, ARRAY_LEN(many)));
    assert_true(http_conn_stream_write(w->conn, NULL, 0)); /* must not look like the end */
    http_conn_stream_end(w->conn, many, ARRAY_LEN(many));
    AWAIT(w, has_note(w, "done;"));
    settle(w);

    struct arena arena;
    struct http1_parser p;
    const struct http1_limits limits = {.body_max_bytes = 0};
    struct slice in = got(w);
    struct slice piece;
    size_t len = 0;
    enum http1_event event_kind;
    arena_init(&arena, NULL, 1u << 20);
    char *body = malloc(w->got_len);
    assert_non_null(body);
    http1_init(&p, true, &arena, &limits);
    while ((event_kind = http1_next(&p, &in, &piece)) != HTTP1_END) {
        assert_true(event_kind == HTTP1_HEAD || event_kind == HTTP1_BODY);
        if (event_kind == HTTP1_BODY) {
            memcpy(body + len, piece.ptr, piece.len);
            len += piece.len;
        }
    }
    assert_int_equal(in.len, 0);
    assert_int_equal(len, events * 1000 + 2 * ARRAY_LEN(many) * 3);
    for (size_t i = 0; i < len; i++) {
        size_t at = i < events * 1000
                        ? i % 1000
                        : (i - events * 1000) % (ARRAY_LEN(many) * 3) / 3 + (i - events * 1000) % 3;
        assert_int_equal(body[i], w->big[at]);
    }
    free(body);
    arena_deinit(&arena);
    world_free(w);
}

static void a_head_without_an_event_goes_out_by_itself(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    send_text(w, GET("/later"));
    AWAIT(w, has_note(w, "head /later;"));
    http_conn_stream_begin(w->conn, 200, SLICE("X: y\r\n"));
    AWAIT(w, has_got(w, "X: y\r\n\r\n"));
    assert_true(slice_ends(got(w), SLICE("X: y\r\n\r\n")));
    http_conn_stream_end(w->conn, NULL, 0);
    AWAIT(w, has_got(w, "\r\n\r\n0\r\n\r\n"));
    world_free(w);
}

/* Two streams begun in one turn: neither head is lost. */
static void heads_that_wait_do_not_mix(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    send_text(w, GET("/later"));
    AWAIT(w, has_note(w, "head /later;"));
    struct http_conn *first = w->conn;
    int first_fd = w->fd;
    connect_pair(w);
    send_text(w, GET("/later2"));
    AWAIT(w, has_note(w, "head /later2;"));
    struct slice part = SLICE("x");
    http_conn_stream_begin(first, 200, SLICE("Which: one\r\n"));
    http_conn_stream_begin(w->conn, 200, SLICE("Which: two\r\n"));
    (void)http_conn_stream_write(first, &part, 1);
    http_conn_stream_end(w->conn, &part, 1);
    http_conn_stream_end(first, NULL, 0);
    AWAIT(w, has_got(w, "Which: two\r\n\r\n1\r\nx\r\n0\r\n\r\n"));
    assert_false(has_got(w, "Which: one"));
    (void)close(w->fd);
    w->fd = first_fd;
    w->got_len = 0;
    w->is_eof = w->is_reset = false;
    AWAIT(w, has_got(w, "Which: one\r\n\r\n1\r\nx\r\n0\r\n\r\n"));
    world_free(w);
}

static void a_client_that_leaves_is_told(void **state)
{
    (void)state;
    static const char *const requests[] = {GET("/later"),
                                           POST("/echo") "Content-Length: 9\r\n\r\nab",
                                           GET("/stream-later"), GET("/big")};
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct world *w = world_new(usual_conf());
        (void)send(w->fd, requests[i], strlen(requests[i]), MSG_NOSIGNAL);
        int fd = w->fd;
        w->fd = -1; /* do not read */
        AWAIT(w, has_note(w, "head "));
        if (i == 2) {
            struct slice part = SLICE("data");
            http_conn_stream_begin(w->conn, 200, SLICE_NONE);
            (void)http_conn_stream_write(w->conn, &part, 1);
        }
        (void)close(fd);
        AWAIT(w, has_note(w, "gone;"));
        AWAIT(w, listener_connections(w->listener) == 0);
        assert_int_equal(listener_busy(w->listener), 0);
        assert_false(has_note(w, "done;"));
        world_free(w);
    }
}

/* Before the loop knows. */
static void a_stream_written_after_the_client_left_ends_too(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    send_text(w, GET("/later"));
    AWAIT(w, has_note(w, "head /later;"));
    (void)close(w->fd);
    w->fd = -1;
    struct slice part = SLICE("data");
    http_conn_stream_begin(w->conn, 200, SLICE_NONE);
    (void)http_conn_stream_write(w->conn, &part, 1);
    http_conn_stream_end(w->conn, &part, 1);
    assert_false(has_note(w, "gone;")); /* never from inside the handler's own call */
    AWAIT(w, has_note(w, "gone;"));
    assert_false(has_note(w, "done;"));
    world_free(w);
}

static void a_kept_request_outlives_its_connection(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    w->keeps_gone = true;
    send_text(w, POST("/later-echo") "Content-Length: 4\r\n\r\nbody");
    AWAIT(w, has_note(w, "body 4;"));
    (void)close(w->fd);
    w->fd = -1;
    AWAIT(w, listener_connections(w->listener) == 0);
    assert_non_null(w->kept);
    assert_true(slice_eq(w->kept->body, SLICE("body")));
    assert_true(slice_eq(w->kept->head.path, SLICE("/later-echo")));
    http_request_free(w->kept);
    world_free(w);
}

static void an_abort_cuts_the_reply(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    send_text(w, GET("/abort"));
    AWAIT(w, w->is_eof);
    assert_int_equal(w->got_len, 0);
    expect_notes(w, "head /abort;done;");
    world_free(w);

    w = world_new(usual_conf());
    send_text(w, GET("/later"));
    AWAIT(w, has_note(w, "head /later;"));
    struct slice part = SLICE("data");
    http_conn_stream_begin(w->conn, 200, SLICE_NONE);
    (void)http_conn_stream_write(w->conn, &part, 1);
    http_conn_abort(w->conn);
    AWAIT(w, w->is_eof);
    assert_true(slice_ends(got(w), SLICE("4\r\ndata\r\n")));
    expect_notes(w, "head /later;done;");
    world_free(w);
}

static void time_outs_are_kept(void **state)
{
    (void)state;
    struct listen_conf conf = usual_conf();
    conf.head_timeout_ns = 5 * NS_PER_MS;
    struct world *w = world_new(conf);
    send_text(w, "GET / HTTP/1.1\r\nHost:");
    AWAIT(w, w->is_eof);
    assert_true(slice_starts(got(w), SLICE("HTTP/1.1 408 Request Timeout\r\n")));
    expect_notes(w, "fault 408;");
    world_free(w);

    w = world_new(conf); /* an empty line after a body is no request */
    send_text(w, "\r\n");
    AWAIT(w, w->is_eof);
    assert_int_equal(w->got_len, 0);
    world_free(w);

    conf = usual_conf();
    conf.idle_timeout_ns = 5 * NS_PER_MS;
    w = world_new(conf);
    send_text(w, GET("/reply"));
    take_reply(w, 200, "hello", false);
    AWAIT(w, w->is_eof);
    assert_int_equal(w->got_len, 0);
    expect_notes(w, "head /reply;done;");
    world_free(w);

    conf = usual_conf();
    conf.body_timeout_ns = 5 * NS_PER_MS;
    w = world_new(conf);
    send_text(w, POST("/echo") "Content-Length: 5\r\n\r\nab");
    AWAIT(w, w->is_eof);
    assert_true(slice_starts(got(w), SLICE("HTTP/1.1 408 Request Timeout\r\n")));
    expect_notes(w, "head /echo;fault 408;gone;");
    world_free(w);
}

static void a_reader_that_stops_is_given_up(void **state)
{
    (void)state;
    struct listen_conf conf = usual_conf();
    conf.write_timeout_ns = 5 * NS_PER_MS;
    struct world *w = world_new(conf);
    (void)send(w->fd, GET("/big"), sizeof(GET("/big")) - 1, MSG_NOSIGNAL);
    int fd = w->fd;
    w->fd = -1; /* does not read */
    AWAIT(w, has_note(w, "gone;"));
    assert_int_equal(listener_connections(w->listener), 0);
    (void)close(fd);
    /* and a stream's */
    connect_pair(w);
    send_text(w, GET("/later"));
    AWAIT(w, has_note(w, "head /later;"));
    w->notes.len = 0;
    fd = w->fd;
    w->fd = -1;
    http_conn_stream_begin(w->conn, 200, SLICE_NONE);
    while (http_conn_stream_write(w->conn, w->big_parts, 1)) {
    }
    AWAIT(w, has_note(w, "gone;"));
    (void)close(fd);
    world_free(w);
}

static void a_drain_ends_what_is_idle_and_then_the_rest(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    int idle = w->fd;
    connect_pair(w);
    send_text(w, GET("/later"));
    AWAIT(w, has_note(w, "head /later;"));
    assert_int_equal(listener_connections(w->listener), 2);
    listener_drain(w->listener);
    AWAIT(w, listener_connections(w->listener) == 1);
    assert_int_equal(listener_busy(w->listener), 1);
    char byte;
    assert_int_equal(read(idle, &byte, 1), 0);
    (void)close(idle);
    reply_text(w->conn, 200, "last");
    AWAIT(w, w->is_eof);
    assert_true(has_got(w, "Connection: close\r\n"));
    assert_int_equal(listener_connections(w->listener), 0);
    world_free(w);
}

/* ---- over TCP ---- */

static int connect_tcp(struct world *w)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(listener_port(w->listener)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void use_tcp(struct world *w)
{
    (void)close(w->fd);
    w->fd = -1;
    AWAIT(w, listener_connections(w->listener) == 0);
    w->fd = connect_tcp(w);
    w->got_len = 0;
    w->is_eof = w->is_reset = false;
}

/* The client goes on sending a large body; it must still see the whole answer, and no reset. */
static void a_refusal_survives_a_body_in_flight(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct world *w = world_new(usual_conf());
        use_tcp(w);
        send_text(w, kind == 0   ? POST("/refuse") "Content-Length: 900000\r\n\r\n"
                     : kind == 1 ? POST("/refuse") "Transfer-Encoding: chunked\r\n\r\ndbba0\r\n"
                                 : POST("/echo") "Content-Length: 4200000\r\nX: y\r\n\r\n");
        size_t left = 900000;
        for (int turn = 0; left && turn < PATIENCE_TURNS; turn++) {
            ssize_t n = send(w->fd, w->big, left < 30000 ? left : 30000, MSG_NOSIGNAL);
            assert_true(n > 0 || errno == EAGAIN);
            left -= n > 0 ? (size_t)n : 0;
            pump(w);
        }
        assert_int_equal(left, 0);
        assert_false(w->is_reset);
        AWAIT(w, w->is_eof);
        assert_true(
            slice_starts(got(w), kind == 2 ? SLICE("HTTP/1.1 413 ") : SLICE("HTTP/1.1 401 ")));
        assert_true(kind == 2 || slice_ends(got(w), SLICE("\r\n\r\nwho?")));
        assert_int_equal(listener_busy(w->listener), 0);
        world_free(w);
    }
}

/* A small unread body is read past, and the connection lives on. */
static void a_refusal_keeps_the_connection_when_it_can(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    use_tcp(w);
    send_text(w, POST("/refuse") "Content-Length: 30000\r\n\r\n");
    AWAIT(w, has_got(w, "who?"));
    send_all(w, slice_of(w->big, 30000));
    take_reply(w, 401, "who?", false);
    send_text(
        w, POST("/refuse") "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" GET("/reply"));
    take_reply(w, 401, "who?", false);
    take_reply(w, 200, "hello", false);
    assert_false(w->is_eof);
    world_free(w);
}

static void a_taken_port_is_an_error(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    struct http_handler handler = {.ctx = w};
    struct listen_conf conf = usual_conf();
    struct listener *other = NULL;
    conf.port = listener_port(w->listener);
    assert_int_not_equal(conf.port, 0);
    errno = 0;
    assert_int_equal(listener_new(w->loop, &w->pool, &conf, &handler, true, &other), E_IO);
    assert_int_equal(errno, EADDRINUSE);
    assert_null(other);
    /* another worker of ours may share it */
    assert_int_equal(listener_new(w->loop, &w->pool, &conf, &handler, false, &other), OK);
    assert_int_equal(listener_port(other), conf.port);
    listener_free(other);
    conf.host = SLICE("not an address");
    assert_int_equal(listener_new(w->loop, &w->pool, &conf, &handler, false, &other), E_IO);
    world_free(w);
}

static void accepting_pauses_at_the_maximum_and_goes_on(void **state)
{
    (void)state;
    struct listen_conf conf = usual_conf();
    conf.connections_max = 3;
    struct world *w = world_new(conf);
    use_tcp(w);
    int fds[4];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = connect_tcp(w);
    }
    AWAIT(w, listener_connections(w->listener) == 3);
    settle(w);
    assert_int_equal(listener_connections(w->listener), 3);
    assert_int_equal(send(fds[3], GET("/reply"), sizeof(GET("/reply")) - 1, MSG_NOSIGNAL),
                     sizeof(GET("/reply")) - 1);
    settle(w);
    expect_notes(w, "");
    (void)close(fds[0]);
    (void)close(fds[1]);
    AWAIT(w, has_note(w, "head /reply;"));
    (void)close(fds[2]);
    (void)close(fds[3]);
    world_free(w);
}

static void running_out_of_descriptors_is_survived(void **state)
{
    (void)state;
    struct world *w = world_new(usual_conf());
    use_tcp(w);
    AWAIT(w, listener_connections(w->listener) == 1);
    int waiting = connect_tcp(w);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest = dup(0);
    assert_true(lowest >= 0);
    (void)close(lowest);
    struct rlimit none = {.rlim_cur = (rlim_t)lowest, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    settle(w);
    assert_int_equal(listener_connections(w->listener), 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    AWAIT(w, listener_connections(w->listener) == 2); /* the timer looks again */
    (void)close(waiting);
    world_free(w);
}

/* Random bytes and random cuts, many clients: nothing leaks, nobody is forgotten. */
static void nonsense_ends_in_order(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        GET("/reply"),
        POST("/echo") "Content-Length: 5\r\n\r\nhello",
        POST("/echo") "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
        "0\r\n\r\n",
        POST("/refuse") "Content-Length: 70\r\n\r\nabc",
        GET("/big"),
        GET("/stream"),
        "\r\n",
        "garbage",
        GET("/abort")};
    uint32_t seed = 12345;
    struct world *w = world_new(usual_conf());
    (void)close(w->fd);
    for (int round = 0; round < 400; round++) {
        connect_pair(w);
        w->is_eof = w->is_reset = false;
        w->got_len = w->notes.len = 0;
        for (int i = 0; i < 6; i++) {
            seed = seed * 1664525u + 1013904223u;
            const char *piece = pieces[(seed >> 16) % ARRAY_LEN(pieces)];
            size_t len = strlen(piece);
            if ((seed >> 8) % 5 == 0) {
                len = (seed >> 20) % (len + 1);
            }
            (void)send(w->fd, piece, len, MSG_NOSIGNAL);
            if ((seed >> 12) % 2) {
                loop_turn(w->loop, 0);
            }
        }
        (void)close(w->fd);
        w->fd = -1;
        AWAIT(w, listener_connections(w->listener) == 0);
        assert_int_equal(listener_busy(w->listener), 0);
        assert_int_equal(w->pool.held_bytes, 0);
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_alive_serves_one_after_the_other),
        cmocka_unit_test(every_cut_of_a_conversation_is_answered_alike),
        cmocka_unit_test(pipelined_requests_wait_for_the_answer_before),
        cmocka_unit_test(continue_is_said_only_when_the_body_is_wanted),
        cmocka_unit_test(head_has_the_length_and_no_body),
        cmocka_unit_test(versions_and_connection_headers_are_heeded),
        cmocka_unit_test(faults_get_their_status_and_a_json_body),
        cmocka_unit_test(memory_is_bounded_by_what_arrived),
        cmocka_unit_test(a_whole_reply_waits_for_a_slow_reader),
        cmocka_unit_test(a_stream_tells_when_to_stop_and_go_on),
        cmocka_unit_test(a_head_without_an_event_goes_out_by_itself),
        cmocka_unit_test(heads_that_wait_do_not_mix),
        cmocka_unit_test(a_client_that_leaves_is_told),
        cmocka_unit_test(a_stream_written_after_the_client_left_ends_too),
        cmocka_unit_test(a_kept_request_outlives_its_connection),
        cmocka_unit_test(an_abort_cuts_the_reply),
        cmocka_unit_test(time_outs_are_kept),
        cmocka_unit_test(a_reader_that_stops_is_given_up),
        cmocka_unit_test(a_drain_ends_what_is_idle_and_then_the_rest),
        cmocka_unit_test(a_refusal_survives_a_body_in_flight),
        cmocka_unit_test(a_refusal_keeps_the_connection_when_it_can),
        cmocka_unit_test(a_taken_port_is_an_error),
        cmocka_unit_test(accepting_pauses_at_the_maximum_and_goes_on),
        cmocka_unit_test(running_out_of_descriptors_is_survived),
        cmocka_unit_test(nonsense_ends_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
