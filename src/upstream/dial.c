/* From a destination to a connection ready for the request: look-up, happy eyeballs (RFC 8305), the
 * proxy's tunnel, the TLS handshake. connect_ns covers all of it. */
#include "core/text.h"
#include "upstream/attempt_state.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEXT_ADDRESS_NS (250 * NS_PER_MS) /* RFC 8305 section 5 */

enum { PROXY_HEAD_MAX_BYTES = 16384, PROXY_INTERIM_MAX = 8 };

static const char resolving[] = "resolving";
static const char connecting[] = "connecting";
static const char tunnelling[] = "asking the proxy";
static const char shaking_hands[] = "TLS handshake";

static bool has_proxy(const struct attempt *a)
{
    return a->dest->proxy_host.len > 0;
}

static void note_errno(struct attempt *a, int error)
{
    char text[128];
    const char *message = strerror_r(error, text, sizeof(text));
    attempt_note(a, slice_str(message));
}

/* ---- TLS ---- */

static enum err find_tls(struct attempt *a, struct tls_client **out_client)
{
    struct upstream *u = a->u;
    if (!u->tls) {
        enum err e = tls_clients_new(&u->tls);
        if (e != OK) {
            return e;
        }
        u->owns_tls = true;
    }
    return tls_clients_find(u->tls, a->dest->ca_file, out_client);
}

static void shake_hands(struct attempt *a)
{
    struct tls_session *tls = a->conn->stream.tls;
    switch (tls_handshake(tls)) {
    case IO_DONE: attempt_connected(a); return;
    case IO_AGAIN: return;
    case IO_EOF:
    case IO_FAILED:
        attempt_note(a, tls_error(tls));
        attempt_fail(a, E_TLS, shaking_hands);
        return;
    }
}

static void start_tls(struct attempt *a)
{
    struct stream *s = &a->conn->stream;
    struct tls_client *client = NULL;
    enum err e = find_tls(a, &client);
    if (e == OK) {
        e = tls_session_new(client, s->watch.fd, a->dest->host, &s->tls);
    }
    a->state = ATTEMPT_HANDSHAKE;
    if (e != OK) {
        attempt_note(a, SLICE("the certificates to trust could not be loaded"));
        attempt_fail(a, e, shaking_hands);
        return;
    }
    shake_hands(a);
}

/* ---- the proxy's tunnel (RFC 9110 section 9.3.6) ---- */

static bool render_connect(struct attempt *a)
{
    const struct upstream_dest *dest = a->dest;
    struct text t = text_growing(a->arena);
    bool is_v6 = slice_find(dest->host, ':') < dest->host.len;
    struct slice open = is_v6 ? SLICE("[") : SLICE_NONE, close = is_v6 ? SLICE("]") : SLICE_NONE;
    for (int i = 0; i < 2; i++) {
        text_add(&t, i == 0 ? SLICE("CONNECT ") : SLICE("Host: "));
        text_add(&t, open);
        text_add(&t, dest->host);
        text_add(&t, close);
        text_add_char(&t, ':');
        text_add_i64(&t, dest->port);
        text_add(&t, i == 0 ? SLICE(" HTTP/1.1\r\n") : SLICE("\r\n"));
    }
    if (dest->proxy_authorization.len) {
        TEXT_ADD(&t, "Proxy-Authorization: ");
        text_add(&t, dest->proxy_authorization);
        TEXT_ADD(&t, "\r\n");
    }
    TEXT_ADD(&t, "\r\n");
    a->dial->connect_head = text_slice(&t);
    return !t.is_full;
}

static void refuse_tunnel(struct attempt *a, enum err e, const char *why)
{
    attempt_note(a, slice_str(why));
    attempt_fail(a, e, tunnelling);
}

/* False: the attempt has failed or goes on with TLS; nothing more to read here. */
static bool on_proxy_head(struct attempt *a, bool is_all_consumed)
{
    int status = a->dial->parser.head.status;
    if (status >= 200 && status < 300 && is_all_consumed) {
        start_tls(a);
        return false;
    }
    if (status >= 200 && status < 300) { /* the server speaks after us: these bytes are nobody's */
        refuse_tunnel(a, E_CONNECT, "the proxy sent bytes after its answer");
        return false;
    }
    if (status >= 200 || status == 101 || ++a->interim_count > PROXY_INTERIM_MAX) {
        char why[64];
        (void)snprintf(why, sizeof(why), "the proxy answered %d", status);
        refuse_tunnel(a, E_CONNECT, why);
        return false;
    }
    return true;
}

/* False as above. */
static bool take_proxy_answer(struct attempt *a, struct slice in)
{
    struct http1_parser *p = &a->dial->parser;
    struct slice body;
    for (;;) {
        switch (http1_next(p, &in, &body)) {
        case HTTP1_MORE: return true;
        case HTTP1_HEAD:
            if (!on_proxy_head(a, in.len == 0)) {
                return false;
            }
            break;
        case HTTP1_BODY: break;
        case HTTP1_END: /* of an interim answer */
            http1_restart(p, a->arena);
            http1_expect_no_body(p);
            break;
        case HTTP1_ERROR:
            refuse_tunnel(a, E_CONNECT, p->fault_text ? p->fault_text : "not HTTP");
            return false;
        }
    }
}

static void read_proxy_answer(struct attempt *a)
{
    struct stream *s = &a->conn->stream;
    while (s->is_readable) {
        size_t len = 0;
        switch (stream_read(s, (struct room){a->u->buffer, READ_BUFFER_BYTES}, &len)) {
        case IO_DONE:
            if (!take_proxy_answer(a, slice_of(a->u->buffer, len))) {
                return;
            }
            break;
        case IO_AGAIN: return;
        case IO_EOF:
        case IO_FAILED: refuse_tunnel(a, E_CONNECT, "the proxy closed the connection"); return;
        }
    }
}

static void go_on_tunnelling(struct attempt *a)
{
    struct dial *d = a->dial;
    struct stream *s = &a->conn->stream;
    while (s->is_writable && d->connect_sent < d->connect_head.len) {
        struct slice left = slice_from(d->connect_head, d->connect_sent);
        struct iovec part;
        size_t len = 0;
        memcpy(&part.iov_base, &left.ptr, sizeof(part.iov_base)); /* the struct has no const */
        part.iov_len = left.len;
        enum io_result r = stream_write(s, &part, 1, &len);
        if (r == IO_FAILED || r == IO_EOF) {
            refuse_tunnel(a, E_CONNECT, "the proxy closed the connection");
            return;
        }
        d->connect_sent += r == IO_DONE ? len : 0;
    }
    read_proxy_answer(a);
}

static void start_tunnel(struct attempt *a)
{
    const struct http1_limits limits = {.head_max_bytes = PROXY_HEAD_MAX_BYTES};
    a->state = ATTEMPT_TUNNEL;
    if (!render_connect(a)) {
        attempt_fail(a, E_NOMEM, tunnelling);
        return;
    }
    http1_init(&a->dial->parser, true, a->arena, &limits);
    http1_expect_no_body(&a->dial->parser);
    go_on_tunnelling(a);
}

/* ---- happy eyeballs ---- */

static void stop_race(struct attempt *a)
{
    struct dial *d = a->dial;
    loop_timer_stop(a->u->loop, &d->next_timer);
    while (d->racer_count) {
        conn_close(d->racers[--d->racer_count]);
    }
}

static void leave_race(struct dial *d, struct conn *conn)
{
    for (size_t i = 0; i < d->racer_count; i++) {
        if (d->racers[i] == conn) {
            d->racers[i] = d->racers[--d->racer_count];
            return;
        }
    }
    assert(false && "a racer is in the race");
}

static enum err open_racer(struct attempt *a, const union dns_address *address)
{
    if (!conn_has_room(a->u)) {
        return E_BUSY;
    }
    struct dial *d = a->dial;
    socklen_t len = address->any.sa_family == AF_INET6 ? sizeof(address->v6) : sizeof(address->v4);
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        d->error = errno;
        return E_CONNECT;
    }
    if (connect(fd, &address->any, len) != 0 && errno != EINPROGRESS) {
        d->error = errno;
        (void)close(fd);
        return E_CONNECT;
    }
    enum err e = conn_open(a->u, a->pool, fd, a, &d->racers[d->racer_count]);
    d->racer_count += e == OK;
    return e;
}

static void try_next(struct attempt *a);

static void on_next_due(struct loop_timer *timer)
{
    struct dial *d = CONTAINER_OF(timer, struct dial, next_timer);
    assert(d->racer_count > 0);
    try_next(d->racers[0]->attempt);
}

/* One more address joins the race; the attempt fails when none is left and nobody races. */
static void try_next(struct attempt *a)
{
    struct dial *d = a->dial;
    enum err e = E_CONNECT;
    while (d->next < d->answer.count) {
        e = open_racer(a, &d->answer.addresses[d->next++]);
        if (e == OK) {
            break;
        }
    }
    if (d->racer_count == 0) {
        if (e == E_CONNECT) {
            note_errno(a, d->error);
        }
        attempt_fail(a, e, connecting);
    } else if (d->next < d->answer.count) {
        loop_timer_set(a->u->loop, &d->next_timer, loop_now_ns(a->u->loop) + NEXT_ADDRESS_NS,
                       on_next_due);
    }
}

static void on_winner(struct attempt *a, struct conn *conn)
{
    leave_race(a->dial, conn);
    stop_race(a);
    a->conn = conn;
    if (!a->dest->is_tls) {
        attempt_connected(a);
    } else if (has_proxy(a)) {
        start_tunnel(a);
    } else {
        start_tls(a);
    }
}

static void on_racer(struct attempt *a, struct conn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (!conn->stream.is_writable) {
        return;
    }
    if (getsockopt(conn->stream.watch.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error == 0) {
        on_winner(a, conn);
        return;
    }
    a->dial->error = error;
    leave_race(a->dial, conn);
    conn_close(conn);
    loop_timer_stop(a->u->loop, &a->dial->next_timer);
    try_next(a);
}

static void on_addresses(void *ctx, enum err e, const struct dns_answer *answer)
{
    struct attempt *a = ctx;
    a->dial->query = NULL;
    if (e != OK) {
        attempt_note(a, has_proxy(a) ? a->dest->proxy_host : a->dest->host);
        attempt_fail(a, e, resolving);
        return;
    }
    a->dial->answer = *answer;
    a->state = ATTEMPT_CONNECT;
    try_next(a);
}

static bool dial_new(struct attempt *a)
{
    struct arena arena;
    arena_init(&arena, a->arena->pool, ARENA_BLOCK_BYTES);
    struct dial *d = ARENA_NEW(&arena, struct dial);
    if (d) {
        d->arena = arena; /* moved: it lies in its own block */
    }
    a->dial = d;
    return d != NULL;
}

void dial_start(struct attempt *a)
{
    const struct upstream_dest *dest = a->dest;
    bool is_proxied = has_proxy(a);
    struct dns_query *query = NULL;
    a->state = ATTEMPT_RESOLVE;
    if (!dial_new(a)) {
        attempt_fail(a, E_NOMEM, connecting);
        return;
    }
    attempt_phase(a, a->timeouts.connect_ns);
    enum err e = dns_lookup(a->u->dns, is_proxied ? dest->proxy_host : dest->host,
                            is_proxied ? dest->proxy_port : dest->port, on_addresses, a, &query);
    if (e != OK) {
        attempt_fail(a, e, resolving);
    } else if (query) { /* else on_addresses was called, and the attempt may be over */
        a->dial->query = query;
    }
}

void dial_on_ready(struct attempt *a, struct conn *conn)
{
    switch (a->state) {
    case ATTEMPT_CONNECT: on_racer(a, conn); break;
    case ATTEMPT_TUNNEL: go_on_tunnelling(a); break;
    case ATTEMPT_HANDSHAKE: shake_hands(a); break;
    case ATTEMPT_RESOLVE:
    case ATTEMPT_SEND:
    case ATTEMPT_HEAD:
    case ATTEMPT_BODY:
    case ATTEMPT_DONE: assert(false && "a connection is being made"); break;
    }
}

void dial_stop(struct attempt *a)
{
    if (a->dial) {
        dns_cancel(TAKE(a->dial->query));
        stop_race(a);
        struct arena arena = TAKE(a->dial)->arena; /* moved out of the memory that it frees */
        arena_deinit(&arena);
    }
}
