#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LINGER_NS = 2000000000, RECORD_BYTES = 16384 };

enum io { IO_OK, IO_WAIT, IO_END };

static void conn_free(struct server *s, struct conn *c, bool reset)
{
    if (c->seq != 0) {
        control_finish(s->conf->control, c->seq, c->sent, true, server_clock_ns());
    }
    if (s->conf->control != NULL) {
        control_conn(s->conf->control, -1);
    }
    if (reset) {
        struct linger now = {1, 0};
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    wheel_disarm(&s->wheel, &c->timer);
    answer_unref(c->answer);
    SSL_free(c->ssl);
    (void)close(c->fd);
    buf_free(&c->in);
    buf_free(&c->head);
    free(c);
}

/* The end of the record without the client being gone. */
static void finish_record(struct server *s, struct conn *c)
{
    if (c->seq != 0) {
        control_finish(s->conf->control, c->seq, c->sent, false, server_clock_ns());
        c->seq = 0;
    }
}

static enum io io_of_ssl(struct conn *c, int ret)
{
    int why = SSL_get_error(c->ssl, ret);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? IO_WAIT : IO_END;
}

static enum io receive(struct conn *c, char *to, size_t room, size_t *out_n)
{
    *out_n = 0;
    if (c->ssl != NULL) {
        int n = SSL_read(c->ssl, to, (int)room);
        *out_n = n > 0 ? (size_t)n : 0;
        return n > 0 ? IO_OK : io_of_ssl(c, n);
    }
    ssize_t n = recv(c->fd, to, room, 0);
    if (n > 0) {
        *out_n = (size_t)n;
        return IO_OK;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? IO_WAIT : IO_END;
}

/* Sends head and body from pos to end. */
static enum io transmit(struct conn *c, size_t end, size_t *out_n)
{
    const struct answer *a = c->answer;
    struct iovec v[2];
    int n = 0;
    size_t pos = c->pos;
    *out_n = 0;
    if (pos < c->head.len) {
        size_t to = end < c->head.len ? end : c->head.len;
        v[n++] = (struct iovec){c->head.ptr + pos, to - pos};
        pos = to;
    }
    if (pos < end) {
        v[n++] = (struct iovec){a->body.ptr + (pos - c->head.len), end - pos};
    }
    if (c->ssl != NULL) {
        static _Thread_local char record[RECORD_BYTES];
        if (n == 2 &&
            v[0].iov_len + v[1].iov_len <= RECORD_BYTES) { /* one record, as others send it */
            memcpy(record, v[0].iov_base, v[0].iov_len);
            memcpy(record + v[0].iov_len, v[1].iov_base, v[1].iov_len);
            v[0] = (struct iovec){record, v[0].iov_len + v[1].iov_len};
        }
        int sent = SSL_write(c->ssl, v[0].iov_base, (int)v[0].iov_len);
        *out_n = sent > 0 ? (size_t)sent : 0;
        return sent > 0 ? IO_OK : io_of_ssl(c, sent);
    }
    struct msghdr m = {.msg_iov = v, .msg_iovlen = (size_t)n};
    ssize_t sent = sendmsg(c->fd, &m, MSG_NOSIGNAL);
    if (sent >= 0) {
        *out_n = (size_t)sent;
        return IO_OK;
    }
    return errno == EAGAIN || errno == EINTR ? IO_WAIT : IO_END;
}

static void play_end(struct server *s, struct conn *c)
{
    finish_record(s, c);
    c->close_after = c->close_after || c->answer->close_after;
    c->stale = c->answer->stale;
    answer_unref(c->answer);
    c->answer = NULL;
}

static void pause_for(struct server *s, struct conn *c, int64_t ns)
{
    wheel_arm(&s->wheel, &c->timer, server_clock_ns() + ns);
}

enum played { PLAY_WAITS, PLAY_DONE, PLAY_GONE };

/* What stands at pos: false when the answer goes on at once. */
static bool heed_cut(struct server *s, struct conn *c, enum played *out)
{
    const struct cut *cut = &c->answer->cuts[c->next_cut];
    *out = PLAY_WAITS;
    switch (cut->kind) {
    case CUT_FLUSH: c->next_cut++; return false;
    case CUT_LOOP: c->pos = (size_t)cut->arg; return false;
    case CUT_WAIT:
        c->next_cut++;
        pause_for(s, c, cut->arg);
        return true;
    case CUT_STALL: return true;
    case CUT_FIN:
        finish_record(s, c);
        conn_free(s, c, false);
        *out = PLAY_GONE;
        return true;
    case CUT_RST:
        finish_record(s, c);
        conn_free(s, c, true);
        *out = PLAY_GONE;
        return true;
    }
    return false;
}

static enum played play(struct server *s, struct conn *c)
{
    const struct answer *a = c->answer;
    size_t all = c->head.len + a->body.len;
    size_t turn = 0;
    for (;;) {
        bool has_cut = c->next_cut < a->cut_n;
        size_t end = has_cut && a->cuts[c->next_cut].at < all ? a->cuts[c->next_cut].at : all;
        if (c->pos < end) {
            size_t n = 0;
            enum io io = transmit(c, end, &n);
            if (io == IO_END) {
                conn_free(s, c, false);
                return PLAY_GONE;
            }
            if (io == IO_WAIT) {
                return PLAY_WAITS;
            }
            c->pos += n;
            c->sent += n;
            turn += n;
            if (turn > TURN_BYTES) {
                pause_for(s, c, 0);
                return PLAY_WAITS;
            }
            continue;
        }
        enum played out = PLAY_DONE;
        if (!has_cut) {
            return PLAY_DONE;
        }
        if (heed_cut(s, c, &out)) {
            return out;
        }
    }
}

static void start(struct conn *c, struct answer *a)
{
    static const char digits[] = "0123456789abcdef";
    static _Thread_local uint64_t counter;
    c->answer = a;
    c->state = PLAYING;
    c->pos = 0;
    c->sent = 0;
    c->next_cut = 0;
    c->head.len = 0;
    buf_put(&c->head, buf_view(&a->head));
    if (a->id_at != SIZE_MAX) {
        uint64_t id = (c->id << 32) ^ ++counter;
        for (size_t i = 0; i < 16; i++) {
            c->head.ptr[a->id_at + i] = digits[(id >> (60 - 4 * i)) & 15];
        }
    }
}

/* Reads and drops until the client has closed, so that it gets the answer and not a reset. */
static void linger(struct server *s, struct conn *c)
{
    if (c->state != LINGERING) {
        c->state = LINGERING;
        if (c->ssl != NULL) {
            (void)SSL_shutdown(c->ssl);
        }
        (void)shutdown(c->fd, SHUT_WR);
        wheel_arm(&s->wheel, &c->timer, server_clock_ns() + LINGER_NS);
    }
    char waste[4096];
    for (;;) {
        ssize_t n = recv(c->fd, waste, sizeof(waste), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            conn_free(s, c, false);
            return;
        }
        if (n < 0) {
            return;
        }
    }
}

/* False: the connection is gone. */
static bool refuse_stale(struct server *s, struct conn *c)
{
    if (c->stale == STALE_NEXT_FIN || c->stale == STALE_NEXT_RST) {
        conn_free(s, c, c->stale == STALE_NEXT_RST);
        return false;
    }
    return true;
}

static void tell_100(struct conn *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (c->told_100) {
        return;
    }
    c->told_100 = true;
    if (c->ssl != NULL) {
        (void)SSL_write(c->ssl, text, sizeof(text) - 1);
    } else {
        (void)send(c->fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
    }
}

static void take_request(struct server *s, struct conn *c, const struct request *r)
{
    struct control *ctl = s->conf->control;
    c->seq =
        ctl != NULL && !route_is_control(r) ? control_record(ctl, r, c->id, server_clock_ns()) : 0;
    c->close_after = !r->keep_alive;
    c->told_100 = false;
    start(c, server_answer(s, r));
}

/* One request out of in. DONE: an answer was started; MORE: bytes are missing. */
static enum parse next_request(struct server *s, struct conn *c, struct str in, size_t *out_used)
{
    const char *why = NULL;
    enum parse p = http_parse(in, &s->scratch, &s->request, &why);
    *out_used = 0;
    if (p == PARSE_BAD) {
        c->close_after = true;
        start(c, route_bad_request(why));
        *out_used = in.len;
        return PARSE_DONE;
    }
    if (p == PARSE_DONE) {
        *out_used = s->request.used;
        take_request(s, c, &s->request);
        return PARSE_DONE;
    }
    c->in_need = s->request.need;
    if (s->request.head_ready) {
        struct answer *early = route_early(s->conf, &s->request);
        if (early != NULL) {
            start(c, early);
            *out_used = in.len;
            return PARSE_DONE;
        }
        if (s->request.expects_100) {
            tell_100(c);
        }
    }
    return PARSE_MORE;
}

/* Tries the buffered bytes first, then what the kernel has. READING afterwards means: wait for
 * more. False: the connection is gone. */
static bool fill_and_parse(struct server *s, struct conn *c)
{
    size_t used = 0;
    while (c->state == READING) {
        if (c->in.len > 0 && c->in.len >= c->in_need) {
            c->in_need = 0;
            if (next_request(s, c, buf_view(&c->in), &used) == PARSE_DONE) {
                buf_drop(&c->in, used);
                return true;
            }
        }
        if (!c->readable) {
            return true;
        }
        size_t n = 0;
        enum io io = receive(c, s->input, READ_BYTES, &n);
        if (io == IO_END) {
            conn_free(s, c, false);
            return false;
        }
        c->readable = io == IO_OK && (c->ssl != NULL || n == READ_BYTES || c->eof);
        if (n == 0) {
            continue;
        }
        if (!refuse_stale(s, c)) {
            return false;
        }
        bool whole =
            c->in.len == 0 && next_request(s, c, (struct str){s->input, n}, &used) == PARSE_DONE;
        size_t done = whole ? used : 0;
        buf_add(&c->in, s->input + done, n - done);
    }
    return true;
}

static void run(struct server *s, struct conn *c)
{
    for (;;) {
        if (c->state == READING && !fill_and_parse(s, c)) {
            return;
        }
        if (c->state != PLAYING) {
            return;
        }
        enum played p = play(s, c);
        if (p != PLAY_DONE) {
            return;
        }
        play_end(s, c);
        if (c->stale == STALE_NOW) {
            conn_free(s, c, false);
            return;
        }
        if (c->close_after) {
            linger(s, c);
            return;
        }
        c->state = READING;
    }
}

/* False: the connection is gone. */
static bool shake(struct server *s, struct conn *c)
{
    int n = SSL_accept(c->ssl);
    if (n == 1) {
        c->state = READING;
        c->readable = true; /* TLS may hold a request already */
    } else if (io_of_ssl(c, n) == IO_END) {
        conn_free(s, c, false);
        return false;
    }
    return true;
}

void conn_event(struct server *s, struct conn *c, uint32_t events)
{
    c->readable = c->readable || (events & (EPOLLIN | EPOLLRDHUP)) != 0;
    c->eof = c->eof || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (c->state == LINGERING) {
        linger(s, c);
        return;
    }
    if (c->state == PLAYING && c->eof) {
        conn_free(s, c, false);
        return;
    }
    if (c->state == HANDSHAKE && !shake(s, c)) {
        return;
    }
    if (c->state == PLAYING && c->timer.next != NULL) {
        return; /* it pauses: writability means nothing */
    }
    run(s, c);
}

void conn_timer(void *ctx, struct timer *t)
{
    struct server *s = ctx;
    struct conn *c = (struct conn *)(void *)((char *)t - offsetof(struct conn, timer));
    if (c->state == LINGERING) {
        conn_free(s, c, false);
    } else {
        run(s, c);
    }
}

void conn_open(struct server *s, int fd)
{
    int on = 1;
    struct conn *c = xzalloc(sizeof(*c));
    c->fd = fd;
    c->id = s->next_id++;
    c->state = READING;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (s->tls != NULL) {
        c->ssl = SSL_new(s->tls);
        c->state = HANDSHAKE;
        (void)SSL_set_fd(c->ssl, fd);
        SSL_set_accept_state(c->ssl);
    }
    if (s->conf->control != NULL) {
        control_conn(s->conf->control, 1);
    }
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
        conn_free(s, c, false);
    }
}
