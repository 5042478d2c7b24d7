/* Tests of io/stream.c over TCP on the loopback: what edges leave behind. */
#include "io/stream.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

struct fixture {
    struct loop *loop;
    struct stream stream;
    int peer_fd; /* blocking */
    int calls;
};

static void count_ready(struct stream *s)
{
    CONTAINER_OF(s, struct fixture, stream)->calls++;
}

static void tcp_pair(int *out_a, int *out_b)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    *out_a = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(*out_a, (struct sockaddr *)&address, len), 0);
    *out_b = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(*out_b >= 0);
    (void)close(listener);
}

static int setup(void **state)
{
    static struct fixture f;
    int fd;
    f = (struct fixture){0};
    tcp_pair(&f.peer_fd, &fd);
    assert_int_equal(loop_new(&f.loop), OK);
    assert_int_equal(stream_open(&f.stream, f.loop, fd, NULL, count_ready), OK);
    loop_turn(f.loop, 1000);
    assert_true(f.stream.is_writable);
    assert_false(f.stream.is_readable);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    stream_close(&f->stream);
    stream_close(&f->stream); /* twice is fine */
    loop_free(f->loop);
    if (f->peer_fd >= 0) {
        (void)close(f->peer_fd);
    }
    return 0;
}

static void wait_readable(struct fixture *f)
{
    while (!f->stream.is_readable) {
        loop_turn(f->loop, -1);
    }
}

static void a_short_read_means_drained(void **state)
{
    struct fixture *f = *state;
    char room[8];
    size_t len = 0;
    assert_int_equal(send(f->peer_fd, "12345678abc", 11, 0), 11);
    wait_readable(f);
    assert_int_equal(stream_read(&f->stream, (struct room){room, 8}, &len), IO_DONE);
    assert_int_equal(len, 8);
    assert_true(f->stream.is_readable);
    assert_int_equal(stream_read(&f->stream, (struct room){room, 8}, &len), IO_DONE);
    assert_int_equal(len, 3);
    assert_false(f->stream.is_readable);
    assert_int_equal(stream_read(&f->stream, (struct room){room, 8}, &len), IO_AGAIN);
}

static void a_fin_that_came_with_the_last_data_is_seen(void **state)
{
    struct fixture *f = *state;
    char room[64];
    size_t len = 0;
    assert_int_equal(send(f->peer_fd, "last", 4, 0), 4);
    assert_int_equal(shutdown(f->peer_fd, SHUT_WR), 0);
    while (!f->stream.is_hangup) {
        loop_turn(f->loop, -1);
    }
    assert_int_equal(stream_read(&f->stream, (struct room){room, sizeof(room)}, &len), IO_DONE);
    assert_int_equal(len, 4);
    assert_true(f->stream.is_readable); /* the short read did not hide the end */
    assert_int_equal(stream_read(&f->stream, (struct room){room, sizeof(room)}, &len), IO_EOF);
    assert_false(f->stream.is_readable);
}

static void a_reset_is_a_failure_with_its_errno(void **state)
{
    struct fixture *f = *state;
    char room[64];
    size_t len = 0;
    const struct linger hard = {.l_onoff = 1};
    assert_int_equal(setsockopt(f->peer_fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    (void)close(f->peer_fd);
    f->peer_fd = -1;
    wait_readable(f);
    assert_true(f->stream.is_hangup);
    assert_int_equal(stream_read(&f->stream, (struct room){room, sizeof(room)}, &len), IO_FAILED);
    assert_int_equal(f->stream.error, ECONNRESET);
    /* Without MSG_NOSIGNAL this would end the process. */
    struct iovec part = {room, 1};
    assert_int_equal(stream_write(&f->stream, &part, 1, &len), IO_FAILED);
}

/* Fills the socket, drains it at the peer and goes on until all is over; the bytes must be equal.
 */
static void a_partial_write_clears_writable_until_the_peer_reads(void **state)
{
    struct fixture *f = *state;
    enum { TOTAL = 8 << 20, HEAD = 100 };
    char *out = malloc(TOTAL);
    char *in = malloc(TOTAL);
    size_t sent = 0, received = 0;
    bool was_blocked = false;
    assert_true(out && in);
    for (size_t i = 0; i < TOTAL; i++) {
        out[i] = (char)(i * 31 + i / 257);
    }
    while (sent < TOTAL) {
        size_t len = 0;
        struct iovec parts[2] = {
            {out + sent, sent < HEAD ? HEAD - sent : 0},
            {out + (sent < HEAD ? HEAD : sent), TOTAL - (sent < HEAD ? HEAD : sent)}};
        enum io_result r = stream_write(&f->stream, parts, 2, &len);
        assert_true(r == IO_DONE || r == IO_AGAIN);
        sent += r == IO_DONE ? len : 0;
        if (sent < TOTAL) {
            assert_true(r == IO_DONE || !f->stream.is_writable);
            was_blocked |= !f->stream.is_writable;
        }
        while (!f->stream.is_writable && received < sent) {
            ssize_t n = recv(f->peer_fd, in + received, TOTAL - received, 0);
            assert_true(n > 0);
            received += (size_t)n;
            loop_turn(f->loop, 0);
        }
    }
    while (received < TOTAL) {
        ssize_t n = recv(f->peer_fd, in + received, TOTAL - received, 0);
        assert_true(n > 0);
        received += (size_t)n;
    }
    assert_true(was_blocked);
    assert_memory_equal(in, out, TOTAL);
    free(in);
    free(out);
}

static void again_calls_without_an_edge(void **state)
{
    struct fixture *f = *state;
    int calls = f->calls;
    stream_again(&f->stream);
    loop_turn(f->loop, -1);
    assert_int_equal(f->calls, calls + 1);
}

static void nagle_is_off_and_half_close_reaches_the_peer(void **state)
{
    struct fixture *f = *state;
    int on = 0;
    socklen_t len = sizeof(on);
    char c;
    assert_int_equal(getsockopt(f->stream.watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_int_equal(on, 1);
    stream_shutdown_write(&f->stream);
    assert_int_equal(recv(f->peer_fd, &c, 1, 0), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_short_read_means_drained),
        CASE(a_fin_that_came_with_the_last_data_is_seen),
        CASE(a_reset_is_a_failure_with_its_errno),
        CASE(a_partial_write_clears_writable_until_the_peer_reads),
        CASE(again_calls_without_an_edge),
        CASE(nagle_is_off_and_half_close_reaches_the_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
