#include "unit/listen/world.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static struct slice part_of(const char *text)
{
    return slice_str(text);
}

void reply_text(struct http_conn *c, int status, const char *text)
{
    struct slice part = part_of(text);
    http_conn_reply(c, status, SLICE("Content-Type: text/plain\r\n"), &part, 1);
}

static void on_head(void *ctx, struct http_conn *c, struct http_request *rq)
{
    struct world *w = ctx;
    struct slice path = rq->head.path;
    text_addf(&w->notes, "head %.*s;", SLICE_ARG(path));
    assert_null(rq->exchange);
    rq->exchange = &w->exchange;
    w->conn = c;
    w->rq = rq;
    if (slice_eq(path, SLICE("/reply"))) {
        reply_text(c, 200, "hello");
    } else if (slice_eq(path, SLICE("/empty"))) {
        http_conn_reply(c, 204, SLICE_NONE, NULL, 0);
    } else if (slice_eq(path, SLICE("/refuse"))) {
        reply_text(c, 401, "who?");
    } else if (slice_eq(path, SLICE("/echo")) || slice_eq(path, SLICE("/later-echo"))) {
        http_conn_read_body(c, 0);
    } else if (slice_eq(path, SLICE("/limited"))) {
        http_conn_read_body(c, 10);
    } else if (slice_eq(path, SLICE("/big"))) {
        http_conn_reply(c, 200, SLICE_NONE, w->big_parts, BIG_PARTS);
    } else if (slice_eq(path, SLICE("/abort"))) {
        http_conn_abort(c);
    } else if (slice_eq(path, SLICE("/stream"))) {
        struct slice parts[] = {part_of("data: "), part_of("1\n\n")};
        http_conn_stream_begin(c, 200, SLICE("Content-Type: text/event-stream\r\n"));
        (void)http_conn_stream_write(c, parts, 2);
        http_conn_stream_end(c, parts, 2);
    }
}

static void on_body(void *ctx, struct http_conn *c, struct http_request *rq)
{
    struct world *w = ctx;
    text_addf(&w->notes, "body %zu;", rq->body.len);
    if (!slice_eq(rq->head.path, SLICE("/later-echo"))) {
        http_conn_reply(c, 200, SLICE("X-Echo: yes\r\n"), &rq->body, 1);
    }
}

static void on_drained(void *ctx, struct http_conn *c, struct http_request *rq)
{
    struct world *w = ctx;
    (void)rq;
    text_addf(&w->notes, "drained;");
    assert_true(http_conn_queued_bytes(c) <= w->conf.out_low_bytes);
}

static void on_gone(void *ctx, struct http_conn *c, struct http_request *rq)
{
    struct world *w = ctx;
    (void)c;
    text_addf(&w->notes, "gone;");
    if (w->keeps_gone) {
        http_request_keep(rq);
        w->kept = rq;
    }
}

static void on_done(void *ctx, struct http_conn *c, struct http_request *rq)
{
    struct world *w = ctx;
    (void)c;
    assert_ptr_equal(rq->exchange, &w->exchange);
    text_addf(&w->notes, "done;");
}

static void on_fault(void *ctx, int status, const char *text, struct http_request *rq,
                     struct text *out)
{
    struct world *w = ctx;
    (void)rq;
    text_addf(&w->notes, "fault %d;", status);
    TEXT_ADD(out, "{\"detail\":");
    text_add_json_string(out, slice_str(text));
    TEXT_ADD(out, "}");
}

struct listen_conf usual_conf(void)
{
    return (struct listen_conf){
        .host = SLICE("127.0.0.1"),
        .limits = {.head_max_bytes = 65536, .headers_max = 100, .body_max_bytes = 4 << 20},
        .request_arena_max_bytes = 8 << 20,
        .inflight_max_bytes = 64 << 20,
        .connections_max = 1000,
        .head_timeout_ns = 60 * NS_PER_S,
        .body_timeout_ns = 60 * NS_PER_S,
        .idle_timeout_ns = 60 * NS_PER_S,
        .write_timeout_ns = 60 * NS_PER_S,
        .out_high_bytes = 32768,
        .out_low_bytes = 8192,
    };
}

void connect_pair(struct world *w)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    const int small = 16384; /* so that replies block soon */
    (void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    assert_int_equal(listener_adopt(w->listener, fds[1]), OK);
    w->fd = fds[0];
}

struct world *world_new(struct listen_conf conf)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->conf = conf;
    w->fd = -1;
    w->notes = text_in(w->note_room, sizeof(w->note_room));
    w->big = malloc(BIG_BYTES);
    assert_non_null(w->big);
    for (size_t i = 0; i < BIG_BYTES; i++) {
        w->big[i] = (char)('a' + i % 23);
    }
    for (size_t i = 0; i < BIG_PARTS; i++) {
        size_t from = BIG_BYTES / BIG_PARTS * i;
        size_t to = i + 1 == BIG_PARTS ? BIG_BYTES : BIG_BYTES / BIG_PARTS * (i + 1);
        w->big_parts[i] = slice_of(w->big + from, to - from);
    }
    arena_pool_init(&w->pool);
    assert_int_equal(loop_new(&w->loop), OK);
    struct http_handler handler = {.ctx = w,
                                   .on_head = on_head,
                                   .on_body = on_body,
                                   .on_drained = on_drained,
                                   .on_gone = on_gone,
                                   .on_done = on_done,
                                   .on_fault = on_fault};
    assert_int_equal(listener_new(w->loop, &w->pool, &w->conf, &handler, true, &w->listener), OK);
    connect_pair(w);
    return w;
}

void world_free(struct world *w)
{
    if (w->fd >= 0) {
        (void)close(w->fd);
    }
    listener_free(w->listener);
    loop_turn(w->loop, 0);
    loop_free(w->loop);
    assert_int_equal(w->pool.held_bytes, 0); /* every request's memory came back */
    arena_pool_deinit(&w->pool);
    free(w->big);
    free(w->got);
    free(w);
}

/* One turn, then what has come. */
void pump(struct world *w)
{
    loop_turn(w->loop, 1);
    while (w->fd >= 0 && !w->is_eof && !w->is_reset) {
        if (w->got_cap - w->got_len < 65536) {
            w->got_cap = w->got_cap * 2 + 65536;
            w->got = realloc(w->got, w->got_cap);
            assert_non_null(w->got);
        }
        ssize_t n = read(w->fd, w->got + w->got_len, w->got_cap - w->got_len);
        if (n > 0) {
            w->got_len += (size_t)n;
            continue;
        }
        w->is_eof = n == 0;
        w->is_reset = n < 0 && errno != EAGAIN;
        break;
    }
}

struct slice got(const struct world *w)
{
    return slice_of(w->got, w->got_len);
}

bool has_got(const struct world *w, const char *text)
{
    return slice_search(got(w), slice_str(text)) < w->got_len;
}

bool has_note(const struct world *w, const char *text)
{
    return slice_search(text_slice(&w->notes), slice_str(text)) < w->notes.len;
}

void expect_notes(struct world *w, const char *text)
{
    if (!slice_eq(text_slice(&w->notes), slice_str(text))) {
        print_error("notes: %.*s\nnot:   %s\n", SLICE_ARG(text_slice(&w->notes)), text);
    }
    assert_true(slice_eq(text_slice(&w->notes), slice_str(text)));
    w->notes.len = 0;
}

void settle(struct world *w)
{
    for (int i = 0; i < 5; i++) {
        pump(w);
    }
}

void send_all(struct world *w, struct slice bytes)
{
    for (int turn = 0; bytes.len && turn < PATIENCE_TURNS; turn++) {
        ssize_t n = send(w->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n > 0) {
            bytes = slice_from(bytes, (size_t)n);
        } else {
            assert_int_equal(errno, EAGAIN);
        }
        pump(w);
    }
    assert_int_equal(bytes.len, 0);
}

void send_text(struct world *w, const char *text)
{
    send_all(w, slice_str(text));
}

/* One whole reply with Content-Length or chunks is taken off the front; body is de-chunked in place
 * by the parser under test's sibling: the response grammar. */
void take_reply(struct world *w, int status, const char *body, bool is_head)
{
    struct arena arena;
    struct http1_parser p;
    const struct http1_limits limits = {.body_max_bytes = 0};
    char room[4096];
    size_t room_len = 0;
    bool is_complete = false;

    for (int turn = 0; !is_complete && turn < PATIENCE_TURNS; turn++) {
        struct slice in = got(w);
        struct slice piece;
        enum http1_event event = HTTP1_MORE;
        arena_init(&arena, NULL, 1u << 20);
        http1_init(&p, true, &arena, &limits);
        if (is_head) {
            http1_expect_no_body(&p);
        }
        room_len = 0;
        while (!is_complete && (event = http1_next(&p, &in, &piece)) != HTTP1_MORE) {
            assert_int_not_equal(event, HTTP1_ERROR);
            if (event == HTTP1_BODY) {
                assert_true(room_len + piece.len <= sizeof(room));
                memcpy(room + room_len, piece.ptr, piece.len);
                room_len += piece.len;
            }
            is_complete = event == HTTP1_END;
        }
        if (is_complete) {
            assert_int_equal(p.head.status, status);
            assert_non_null(http_head_find(&p.head, SLICE("date")).ptr);
            memmove(w->got, in.ptr ? in.ptr : w->got, in.len);
            w->got_len = in.len;
        }
        arena_deinit(&arena);
        if (!is_complete) {
            pump(w);
        }
    }
    assert_true(is_complete);
    assert_true(slice_eq(slice_of(room, room_len), slice_str(body)));
}
