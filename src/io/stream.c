#include "io/stream.h"

#include "io/tls.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

static HOT void on_event(struct loop_watch *watch, unsigned events)
{
    struct stream *s = CONTAINER_OF(watch, struct stream, watch);
    if (events & LOOP_READ) {
        s->is_readable = true;
    }
    if (events & LOOP_WRITE) {
        s->is_writable = true;
    }
    if (events & LOOP_HANGUP) {
        s->is_hangup = true;
    }
    if (s->tls) {
        tls_note_edge(s->tls, s->is_hangup);
        if (!tls_is_established(s->tls)) { /* the handshake reads to write and writes to read */
            s->is_readable = s->is_writable = true;
        }
    }
    s->on_ready(s);
}

enum err stream_open(struct stream *s, struct loop *loop, int fd, struct tls_session *tls,
                     stream_ready_fn on_ready)
{
    assert(fd >= 0 && on_ready);
    *s = (struct stream){.loop = loop, .on_ready = on_ready};
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* not TCP: no such delay */
    enum err e = loop_watch_add(loop, &s->watch, fd, on_event);
    if (e == OK) {
        s->tls = tls;
    }
    return e;
}

void stream_close(struct stream *s)
{
    if (!stream_is_open(s)) {
        return;
    }
    loop_watch_remove(s->loop, &s->watch);
    tls_session_free(TAKE(s->tls));
    (void)close(s->watch.fd);
    s->watch.fd = -1;
    s->is_readable = s->is_writable = false;
}

bool stream_is_open(const struct stream *s)
{
    return s->watch.is_registered;
}

static enum io_result failed(struct stream *s, int error)
{
    s->error = error;
    s->is_hangup = true;
    s->is_readable = s->is_writable = false;
    return IO_FAILED;
}

static enum io_result ended(struct stream *s)
{
    s->is_hangup = true;
    s->is_readable = false;
    return IO_EOF;
}

static enum io_result tls_stream_read(struct stream *s, struct room room, size_t *out_len)
{
    enum io_result r = tls_read(s->tls, room, out_len);
    switch (r) {
    case IO_DONE: return IO_DONE; /* the next record may be in OpenSSL: read until AGAIN */
    case IO_AGAIN: s->is_readable = false; return IO_AGAIN;
    case IO_EOF: return ended(s);
    case IO_FAILED: return failed(s, ECONNABORTED);
    }
    return r;
}

HOT enum io_result stream_read(struct stream *s, struct room room, size_t *out_len)
{
    assert(stream_is_open(s) && room.cap > 0);
    if (s->tls) {
        return tls_stream_read(s, room, out_len);
    }
    ssize_t n;
    do {
        n = recv(s->watch.fd, room.ptr, room.cap, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        *out_len = (size_t)n;
        if ((size_t)n < room.cap && !s->is_hangup) {
            s->is_readable = false; /* drained; what comes later is a new edge */
        }
        return IO_DONE;
    }
    if (n == 0) {
        return ended(s);
    }
    if (errno == EAGAIN) {
        s->is_readable = false;
        return IO_AGAIN;
    }
    return failed(s, errno);
}

static enum io_result tls_stream_write(struct stream *s, const struct iovec *parts, int n,
                                       size_t *out_len)
{
    enum io_result r = tls_write(s->tls, parts, n, out_len);
    switch (r) {
    case IO_DONE: return IO_DONE;
    case IO_AGAIN: s->is_writable = false; return IO_AGAIN;
    case IO_EOF:
    case IO_FAILED: return failed(s, ECONNABORTED);
    }
    return r;
}

enum { JOINED_MAX_BYTES = 4096 };

static size_t total_of(const struct iovec *parts, int n)
{
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        total += parts[i].iov_len; /* areas in memory: cannot overflow */
    }
    return total;
}

static ssize_t send_parts(int fd, const struct iovec *parts, int n)
{
    struct msghdr message = {.msg_iovlen = (size_t)n};
    const void *unwritten = parts; /* sendmsg only reads the parts; its struct has no const */
    memcpy(&message.msg_iov, &unwritten, sizeof(unwritten));
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* Small parts side by side: the kernel spends more on a part than copying it costs. */
static ssize_t send_joined(int fd, const struct iovec *parts, int n)
{
    ROOM char joined[JOINED_MAX_BYTES];
    size_t len = parts[0].iov_len;
    memcpy(joined, parts[0].iov_base, len);
    for (int i = 1; i < n; i++) {
        memcpy(joined + len, parts[i].iov_base, parts[i].iov_len);
        len += parts[i].iov_len;
    }
    return send(fd, joined, len, MSG_NOSIGNAL);
}

static ssize_t send_some(int fd, const struct iovec *parts, int n, size_t total)
{
    if (n == 1) {
        return send(fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL);
    }
    return total <= JOINED_MAX_BYTES ? send_joined(fd, parts, n) : send_parts(fd, parts, n);
}

HOT enum io_result stream_write(struct stream *s, const struct iovec *parts, int n, size_t *out_len)
{
    assert(stream_is_open(s) && n > 0);
    if (s->tls) {
        return tls_stream_write(s, parts, n, out_len);
    }
    size_t total = total_of(parts, n);
    ssize_t sent;
    do {
        sent = send_some(s->watch.fd, parts, n, total);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        *out_len = (size_t)sent;
        if ((size_t)sent < total) {
            s->is_writable = false;
        }
        return IO_DONE;
    }
    if (errno == EAGAIN) {
        s->is_writable = false;
        return IO_AGAIN;
    }
    return failed(s, errno);
}

void stream_shutdown_write(struct stream *s)
{
    if (stream_is_open(s)) {
        (void)shutdown(s->watch.fd, SHUT_WR); /* a dead peer is found by the next read */
    }
}

void stream_again(struct stream *s)
{
    loop_again(s->loop, &s->watch);
}
