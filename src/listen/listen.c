#include "core/secret.h"
#include "listen/http_conn.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOST_MAX_BYTES = 255 };

_Static_assert(sizeof(struct http_conn) <= 320, "an idle connection is this and nothing else");

/* ---- accepting ---- */

static void on_accept_again(struct loop_timer *timer)
{
    struct listener *l = CONTAINER_OF(timer, struct listener, accept_timer);
    if (l->fd >= 0) {
        loop_again(l->loop, &l->watch);
    }
}

/* True: go on accepting. */
static bool accept_failed(struct listener *l)
{
    switch (errno) {
    case EAGAIN: return false;
    case EINTR:
    case ECONNABORTED:
    case EPROTO: return true;
    default: /* EMFILE and its kin: the backlog waits until descriptors come back */
        loop_timer_set(l->loop, &l->accept_timer,
                       loop_now_ns(l->loop) + LISTEN_ACCEPT_PAUSE_MS * NS_PER_MS, on_accept_again);
        return false;
    }
}

static void accept_some(struct listener *l, int most)
{
    for (int i = 0; i < most; i++) {
        if (l->conf.connections_max && l->conn_count >= l->conf.connections_max) {
            l->is_accept_paused = true;
            return;
        }
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (!accept_failed(l)) {
                return;
            }
            continue;
        }
        if (http_conn_open(l, fd) != OK) {
            (void)close(fd);
        }
    }
    loop_again(l->loop, &l->watch); /* there may be more; the others first */
}

static void on_listen_event(struct loop_watch *watch, unsigned events)
{
    (void)events;
    accept_some(CONTAINER_OF(watch, struct listener, watch), LISTEN_ACCEPTS_PER_RUN);
}

/* ---- opening ---- */

static int open_socket(const struct addrinfo *address, bool is_shared)
{
    const int on = 1;
    const int off = 0;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->ai_family == AF_INET6) { /* "::" serves IPv4 too, as elsewhere */
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    }
    bool is_good = !is_shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0;
    if (!is_good || bind(fd, address->ai_addr, address->ai_addrlen) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* SO_REUSEPORT would share a port with a stranger who also set it; a bind without it would not. */
static enum err probe(const struct addrinfo *address)
{
    int fd = open_socket(address, false);
    if (fd < 0) {
        return E_IO;
    }
    (void)close(fd);
    return OK;
}

static enum err find_address(const struct listen_conf *conf, struct addrinfo **out_address)
{
    char host[HOST_MAX_BYTES + 1];
    char port[8];
    struct slice name = conf->host;
    if (name.len > 1 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']') {
        name = slice_of(name.ptr + 1, name.len - 2);
    }
    if (name.len > HOST_MAX_BYTES || slice_find(name, '\0') < name.len) {
        errno = EINVAL;
        return E_IO;
    }
    if (name.len) {
        memcpy(host, name.ptr, name.len);
    }
    host[name.len] = '\0';
    bool is_any = name.len == 0 || slice_eq(name, SLICE("*"));
    (void)snprintf(port, sizeof(port), "%u", (unsigned)conf->port);
    const struct addrinfo hints = {.ai_family = is_any ? AF_INET : AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    if (getaddrinfo(is_any ? NULL : host, port, &hints, out_address) != 0) {
        errno = EADDRNOTAVAIL;
        return E_IO;
    }
    return OK;
}

static enum err open_listening(struct listener *l, bool is_first)
{
    struct addrinfo *address = NULL;
    enum err e = find_address(&l->conf, &address);
    if (e == OK && is_first && l->conf.port) {
        e = probe(address);
    }
    if (e == OK) {
        l->fd = open_socket(address, true);
        e = l->fd >= 0 && listen(l->fd, LISTEN_BACKLOG) == 0 ? OK : E_IO;
    }
    int error = errno;
    if (address) {
        freeaddrinfo(address);
    }
    errno = error;
    return e;
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.v6 = {0}};
    socklen_t len = sizeof(address);
    if (getsockname(fd, &address.any, &len) != 0) {
        return 0;
    }
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

/* ---- freeing ---- */

static void listener_release(struct loop_closing *closing)
{
    struct listener *l = CONTAINER_OF(closing, struct listener, closing);
    assert(l->conn_count == 0);
    list_each_safe(node, &l->free_conns) {
        free(CONTAINER_OF(node, struct http_conn, link));
    }
    while (l->spare_outs) {
        struct conn_bytes *out = l->spare_outs;
        l->spare_outs = out->next;
        free(out);
    }
    while (l->parsers) {
        struct parser_slot *slot = l->parsers;
        l->parsers = slot->next;
        free(slot);
    }
    if (l->buffer) {
        (void)munmap(l->buffer, LISTEN_READ_BYTES);
    }
    free(l);
}

static void stop_accepting(struct listener *l)
{
    loop_timer_stop(l->loop, &l->accept_timer);
    if (l->fd >= 0) {
        loop_watch_remove(l->loop, &l->watch);
        (void)close(l->fd);
        l->fd = -1;
    }
}

/* The last reference is a connection on the closing list: those come before this one. */
void listener_free(struct listener *l)
{
    if (!l) {
        return;
    }
    stop_accepting(l);
    list_each_safe(node, &l->conns) {
        http_conn_gone(CONTAINER_OF(node, struct http_conn, link));
    }
    loop_close_later(l->loop, &l->closing, listener_release);
}

/* ---- the listener ---- */

enum err listener_new(struct loop *loop, struct arena_pool *pool, const struct listen_conf *conf,
                      const struct http_handler *handler, bool is_first, struct listener **out)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (!l) {
        return E_NOMEM;
    }
    *l =
        (struct listener){.loop = loop, .pool = pool, .conf = *conf, .handler = *handler, .fd = -1};
    list_init(&l->conns);
    list_init(&l->free_conns);
    char *buffer =
        mmap(NULL, LISTEN_READ_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    enum err e = buffer == MAP_FAILED ? E_NOMEM : OK;
    if (e == OK) {
        l->buffer = buffer;
        secret_no_dump(buffer, LISTEN_READ_BYTES);
        e = open_listening(l, is_first);
    }
    l->conf.host = SLICE_NONE;
    if (e == OK) {
        e = loop_watch_add(loop, &l->watch, l->fd, on_listen_event);
    }
    if (e != OK) {
        int error = errno;
        if (l->fd >= 0) {
            (void)close(l->fd);
        }
        listener_release(&l->closing);
        errno = error;
        return e;
    }
    l->port = bound_port(l->fd);
    *out = l;
    return OK;
}

enum err listener_adopt(struct listener *l, int fd)
{
    return http_conn_open(l, fd);
}

void listener_drain(struct listener *l)
{
    if (l->is_draining) {
        return;
    }
    l->is_draining = true;
    if (l->fd >= 0) { /* who is in the backlog already would be reset by the close */
        accept_some(l, LISTEN_BACKLOG);
    }
    stop_accepting(l);
    list_each_safe(node, &l->conns) {
        struct http_conn *c = CONTAINER_OF(node, struct http_conn, link);
        if (c->state != CONN_IDLE) {
            continue;
        }
        c->stream.is_readable = true; /* a request may have come that the loop did not tell yet */
        http_conn_run(c);
        if (c->state == CONN_IDLE) {
            http_conn_close(c);
        }
    }
}

uint16_t listener_port(const struct listener *l)
{
    return l->port;
}

size_t listener_busy(const struct listener *l)
{
    return l->busy_count;
}

size_t listener_connections(const struct listener *l)
{
    return l->conn_count;
}
