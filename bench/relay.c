/* bench/relay.c -- the floor: an epoll relay that parses nothing.
 *
 * One thread. Each client connection has one upstream connection, kept as long as the client's;
 * bytes read on one side are written to the other. Everything a real proxy does comes on top of
 * this.
 *
 *   relay LISTEN_PORT UPSTREAM_PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, CHUNK_BYTES = 65536, BACKLOG = 4096 };

/* One socket of a pair. unsent is what the other side's bytes did not fit into this socket. */
struct side {
    int fd;
    struct side *other;
    char *unsent;
    size_t unsent_len;
    size_t unsent_at;
    bool readable;
    bool dead;
};

struct relay {
    int epoll;
    int listener;
    uint16_t upstream;
    struct side *closing[EVENTS * 2]; /* freed after the turn: an event may still name them */
    size_t closing_n;
    char chunk[CHUNK_BYTES];
};

static int open_socket(void)
{
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static void watch(struct relay *r, struct side *s)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};
    (void)epoll_ctl(r->epoll, EPOLL_CTL_ADD, s->fd, &ev);
}

static struct side *side_new(int fd)
{
    struct side *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        abort();
    }
    s->fd = fd;
    return s;
}

static void drop_pair(struct relay *r, struct side *s)
{
    if (!s->dead) {
        s->dead = true;
        s->other->dead = true;
        (void)close(s->fd);
        (void)close(s->other->fd);
        r->closing[r->closing_n++] = s;
    }
}

/* What does not fit is kept until the socket is writable; meanwhile the other side is not read. */
static bool forward(struct side *to, const char *data, size_t len)
{
    ssize_t n = send(to->fd, data, len, MSG_NOSIGNAL);
    size_t sent = n > 0 ? (size_t)n : 0;
    if (n < 0 && errno != EAGAIN && errno != ENOTCONN) {
        return false;
    }
    if (sent < len) {
        to->unsent = malloc(len - sent);
        if (to->unsent == NULL) {
            return false;
        }
        memcpy(to->unsent, data + sent, len - sent);
        to->unsent_len = len - sent;
        to->unsent_at = 0;
    }
    return true;
}

static bool flush(struct side *s)
{
    if (s->unsent == NULL) {
        return true;
    }
    ssize_t n = send(s->fd, s->unsent + s->unsent_at, s->unsent_len - s->unsent_at, MSG_NOSIGNAL);
    if (n < 0) {
        return errno == EAGAIN || errno == ENOTCONN;
    }
    s->unsent_at += (size_t)n;
    if (s->unsent_at == s->unsent_len) {
        free(s->unsent);
        s->unsent = NULL;
    }
    return true;
}

/* Reads until a short read, so that no read is spent on finding the socket empty. */
static bool pump(struct relay *r, struct side *from)
{
    while (from->readable && from->other->unsent == NULL) {
        ssize_t n = recv(from->fd, r->chunk, CHUNK_BYTES, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            return false;
        }
        from->readable = n == CHUNK_BYTES;
        if (n > 0 && !forward(from->other, r->chunk, (size_t)n)) {
            return false;
        }
    }
    return true;
}

static void accept_all(struct relay *r)
{
    for (;;) {
        int fd = accept4(r->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        struct side *client = side_new(fd);
        struct side *upstream = side_new(open_socket());
        struct sockaddr_in to = loopback(r->upstream);
        (void)connect(upstream->fd, (const struct sockaddr *)(const void *)&to, sizeof(to));
        client->other = upstream;
        upstream->other = client;
        watch(r, client);
        watch(r, upstream);
    }
}

static void handle(struct relay *r, struct side *s, uint32_t events)
{
    if (s->dead) {
        return;
    }
    bool end = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    s->readable = s->readable || (events & EPOLLIN) != 0;
    bool ok = ((events & EPOLLOUT) == 0 || flush(s)) && pump(r, s);
    if (ok && s->unsent == NULL && s->other->readable) {
        ok = pump(r, s->other); /* it had stopped for this socket */
    }
    if (!ok || end) {
        drop_pair(r, s);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fputs("usage: relay LISTEN_PORT UPSTREAM_PORT\n", stderr);
        return 2;
    }
    static struct relay relay;
    struct relay *r = &relay;
    int on = 1;
    struct sockaddr_in at = loopback((uint16_t)strtoul(argv[1], NULL, 10));
    r->upstream = (uint16_t)strtoul(argv[2], NULL, 10);
    r->listener = open_socket();
    (void)setsockopt(r->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(r->listener, (const struct sockaddr *)(const void *)&at, sizeof(at)) != 0 ||
        listen(r->listener, BACKLOG) != 0) {
        perror("relay");
        return 1;
    }
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    (void)epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->listener, &ev);
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(r->epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL) {
                accept_all(r);
            } else {
                handle(r, events[i].data.ptr, events[i].events);
            }
        }
        while (r->closing_n > 0) {
            struct side *s = r->closing[--r->closing_n];
            free(s->other->unsent);
            free(s->other);
            free(s->unsent);
            free(s);
        }
    }
}
