#include "listen/http_conn.h"

#include "core/check.h"

#include <assert.h>
#include <sys/socket.h>

/* One visit of the loop to a connection: what was read and not yet parsed, and how much was done.
 */
struct run {
    struct http_conn *c;
    struct slice in; /* in the listener's buffer or in c->rest */
    int reads;
    int requests;
};

#define EDGE(state) (1u << CONN_##state)

/* From each state, those that may follow: the table of http_conn.h. */
static const unsigned edges[] = {
    [CONN_IDLE] = EDGE(HEAD) | EDGE(LINGER) | EDGE(CLOSING),
    [CONN_HEAD] = EDGE(HANDLER) | EDGE(LINGER) | EDGE(CLOSING),
    [CONN_HANDLER] = EDGE(BODY) | EDGE(REPLY) | EDGE(CLOSING),
    [CONN_BODY] = EDGE(HANDLER) | EDGE(REPLY) | EDGE(LINGER) | EDGE(CLOSING),
    [CONN_REPLY] = EDGE(IDLE) | EDGE(DISCARD) | EDGE(LINGER) | EDGE(CLOSING),
    [CONN_DISCARD] = EDGE(IDLE) | EDGE(LINGER) | EDGE(CLOSING),
    [CONN_LINGER] = EDGE(CLOSING),
    [CONN_CLOSING] = 0,
};

void http_conn_enter(struct http_conn *c, enum conn_state to)
{
    assert(edges[c->state] & (1u << to));
    c->state = (uint8_t)to;
}

static int64_t now_ns(const struct http_conn *c)
{
    return loop_now_ns(c->listener->loop);
}

/* ---- time-outs ---- */

static void on_timer(struct loop_timer *timer);

/* The timer is only ever moved when it would ring too late, so a busy connection costs none. */
void http_conn_deadline(struct http_conn *c, int64_t deadline_ns)
{
    c->deadline_ns = deadline_ns;
    if (deadline_ns && (c->timer.deadline_ns == 0 || c->timer.deadline_ns > deadline_ns)) {
        loop_timer_set(c->listener->loop, &c->timer, deadline_ns, on_timer);
    }
}

static void set_timeout(struct http_conn *c, int64_t timeout_ns)
{
    http_conn_deadline(c, timeout_ns > 0 ? i64_add_sat(now_ns(c), timeout_ns) : 0);
}

void http_conn_wake(struct http_conn *c)
{
    if (!c->is_running && c->state != CONN_CLOSING) {
        stream_again(&c->stream);
    }
}

/* ---- the end of requests and connections ---- */

static void conn_free(struct loop_closing *closing)
{
    struct http_conn *c = CONTAINER_OF(closing, struct http_conn, closing);
    struct listener *l = c->listener;
    if (l->free_count >= LISTEN_KEEP_CONNS) {
        free(c);
        return;
    }
    list_append(&l->free_conns, &c->link);
    l->free_count++;
}

static void drop_parser(struct http_conn *c)
{
    if (c->parser) {
        parser_give(c->listener, TAKE(c->parser));
    }
}

static void drop_request(struct http_conn *c)
{
    if (c->box) {
        http_request_free(&TAKE(c->box)->rq);
    }
}

void http_conn_close(struct http_conn *c)
{
    struct listener *l = c->listener;
    if (c->state == CONN_CLOSING) {
        return;
    }
    assert(!c->is_busy);
    c->state = CONN_CLOSING; /* from any state */
    if (l->head_owner == c) {
        l->head_owner = NULL;
    }
    loop_timer_stop(l->loop, &c->timer);
    stream_close(&c->stream);
    drop_parser(c);
    drop_request(c);
    free(TAKE(c->rest));
    reply_drop_out(c);
    list_remove(&c->link);
    l->conn_count--;
    if (l->is_accept_paused && l->fd >= 0) {
        l->is_accept_paused = false;
        loop_again(l->loop, &l->watch);
    }
    loop_close_later(l->loop, &c->closing, conn_free);
}

/* Takes the request out of the handler's hands. */
static void end_request(struct http_conn *c,
                        void (*tell)(void *ctx, struct http_conn *, struct http_request *))
{
    struct listener *l = c->listener;
    assert(c->is_busy && c->box);
    c->is_busy = false;
    assert(l->busy_count > 0);
    l->busy_count--;
    tell(l->handler.ctx, c, &c->box->rq);
    if (c->box->rq.is_kept) {
        c->box = NULL;
    }
    drop_request(c);
}

void http_conn_gone(struct http_conn *c)
{
    if (c->is_busy) {
        end_request(c, c->listener->handler.on_gone);
    }
    http_conn_close(c);
}

/* The handler cut the connection off. Without a length or chunks the end would look clean, so it is
 * made a reset. */
static void end_aborted(struct http_conn *c)
{
    if (c->state == CONN_REPLY && !c->is_chunked) {
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(c->stream.watch.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
    if (c->is_busy && c->box->rq.exchange) {
        end_request(c, c->listener->handler.on_done);
    } else if (c->is_busy) {
        c->is_busy = false;
        c->listener->busy_count--;
    }
    http_conn_close(c);
}

/* The client reads our reply in peace: a close on unread bytes would reset it away. */
static bool enter_linger(struct http_conn *c)
{
    http_conn_enter(c, CONN_LINGER);
    drop_parser(c);
    stream_shutdown_write(&c->stream);
    c->discard_bytes = 0;
    set_timeout(c, LISTEN_LINGER_MS * NS_PER_MS);
    return true;
}

void http_conn_refused(struct http_conn *c)
{
    if (c->is_busy) {
        end_request(c, c->listener->handler.on_gone);
    }
    drop_request(c);
    (void)enter_linger(c);
}

static void on_timer(struct loop_timer *timer)
{
    struct http_conn *c = CONTAINER_OF(timer, struct http_conn, timer);
    if (c->deadline_ns == 0) {
        return;
    }
    if (now_ns(c) < c->deadline_ns) {
        loop_timer_set(c->listener->loop, &c->timer, c->deadline_ns, on_timer);
        return;
    }
    switch ((enum conn_state)c->state) {
    case CONN_HEAD:
        if (c->parser->head_len == 0) { /* only the empty lines that some send after a body */
            http_conn_close(c);
            return;
        }
        reply_fault(c, 408, "The request head took too long.");
        break;
    case CONN_BODY: reply_fault(c, 408, "The request body took too long."); break;
    case CONN_DISCARD: (void)enter_linger(c); break;
    case CONN_REPLY: http_conn_gone(c); return;
    case CONN_HANDLER: return; /* has no deadline of ours */
    case CONN_IDLE:
    case CONN_LINGER:
    case CONN_CLOSING: http_conn_close(c); return;
    }
    http_conn_wake(c);
}

/* ---- reading ---- */

/* IO_AGAIN also when this run has read enough; then another run follows. */
static enum io_result receive(struct run *run)
{
    struct stream *s = &run->c->stream;
    size_t len = 0;

    assert(run->in.len == 0);
    if (!s->is_readable && !s->is_hangup) {
        return IO_AGAIN;
    }
    if (run->reads == LISTEN_READS_PER_RUN) {
        stream_again(s);
        return IO_AGAIN;
    }
    run->reads++;
    char *buffer = run->c->listener->buffer;
    enum io_result r = stream_read(s, (struct room){buffer, LISTEN_READ_BYTES}, &len);
    if (r == IO_DONE) {
        run->in = slice_of(buffer, len);
    }
    return r;
}

static bool fault(struct http_conn *c, int status, const char *text)
{
    reply_fault(c, status, text);
    return true;
}

static bool parser_fault(struct http_conn *c)
{
    switch (c->parser->fault) {
    case HTTP1_OK:
    case HTTP1_BAD_SYNTAX:
    case HTTP1_BAD_FRAMING: return fault(c, 400, c->parser->fault_text);
    case HTTP1_BAD_VERSION: return fault(c, 505, c->parser->fault_text);
    case HTTP1_URI_TOO_LONG: return fault(c, 414, c->parser->fault_text);
    case HTTP1_HEAD_TOO_LARGE: return fault(c, 431, c->parser->fault_text);
    case HTTP1_BODY_TOO_LARGE: return fault(c, 413, c->parser->fault_text);
    case HTTP1_NO_MEMORY: return fault(c, 503, c->parser->fault_text);
    }
    return fault(c, 400, "malformed request");
}

static bool step_idle(struct run *run)
{
    struct http_conn *c = run->c;
    struct listener *l = c->listener;

    if (run->in.len == 0) {
        switch (receive(run)) {
        case IO_DONE: break;
        case IO_AGAIN: return false;
        case IO_EOF:
        case IO_FAILED: http_conn_close(c); return false;
        }
    }
    c->box = request_box_new(l);
    c->parser = c->box ? parser_take(l) : NULL;
    if (!c->parser) {
        return fault(c, 503, "The gateway is out of memory.");
    }
    http1_init(c->parser, false, &c->box->rq.arena, &l->conf.limits);
    http_conn_enter(c, CONN_HEAD);
    set_timeout(c, l->conf.head_timeout_ns);
    return true;
}

static bool head_complete(struct run *run)
{
    struct http_conn *c = run->c;
    struct listener *l = c->listener;
    struct http_request *rq = &c->box->rq;
    struct slice none;

    rq->head = c->parser->head;
    rq->started_ns = now_ns(c);
    if (l->conf.inflight_max_bytes && l->pool->held_bytes > l->conf.inflight_max_bytes) {
        return fault(c, 503, "The gateway holds too many bytes of other requests.");
    }
    if (rq->head.content_length <= 0 && !rq->head.is_chunked) {
        enum http1_event event = http1_next(c->parser, &run->in, &none);
        assert(event == HTTP1_END);
        (void)event;
        drop_parser(c);
    }
    c->wants_continue = rq->head.expects_continue && c->parser;
    c->is_busy = true;
    l->busy_count++;
    http_conn_enter(c, CONN_HANDLER);
    http_conn_deadline(c, 0);
    l->handler.on_head(l->handler.ctx, c, rq);
    return true;
}

static bool body_complete(struct http_conn *c)
{
    struct listener *l = c->listener;
    http_conn_enter(c, CONN_HANDLER);
    http_conn_deadline(c, 0);
    l->handler.on_body(l->handler.ctx, c, &c->box->rq);
    return true;
}

static void enter_idle(struct http_conn *c)
{
    http_conn_enter(c, CONN_IDLE);
    set_timeout(c, c->listener->conf.idle_timeout_ns);
}

static bool message_complete(struct http_conn *c)
{
    drop_parser(c);
    if (c->state == CONN_BODY) {
        return body_complete(c);
    }
    assert(c->state == CONN_DISCARD);
    enter_idle(c);
    if (c->listener->is_draining) {
        http_conn_close(c);
    }
    return true;
}

/* The parser has used up what was read. */
static bool read_on(struct run *run)
{
    struct http_conn *c = run->c;
    switch (receive(run)) {
    case IO_DONE: break;
    case IO_AGAIN:
        if (c->state == CONN_BODY && c->wants_continue) {
            reply_continue(c);
        }
        return c->is_broken;
    case IO_EOF:
    case IO_FAILED: http_conn_gone(c); return false;
    }
    c->wants_continue = false; /* the body comes without being asked for */
    if (c->state == CONN_BODY) {
        set_timeout(c, c->listener->conf.body_timeout_ns);
    }
    if (c->state == CONN_DISCARD) {
        c->discard_bytes += (uint32_t)run->in.len;
        if (c->discard_bytes > LISTEN_DISCARD_MAX_BYTES) {
            return enter_linger(c);
        }
    }
    return true;
}

/* HEAD, BODY, DISCARD. */
static bool step_message(struct run *run)
{
    struct http_conn *c = run->c;
    struct slice body;

    if (!c->parser) { /* there was no body to read */
        assert(c->state == CONN_BODY);
        return body_complete(c);
    }
    size_t body_max_bytes = c->parser->limits.body_max_bytes;
    if (c->state == CONN_BODY && body_max_bytes && c->box->rq.head.content_length > 0 &&
        (uint64_t)c->box->rq.head.content_length > body_max_bytes) {
        return fault(c, 413, "body is too large");
    }
    switch (http1_next(c->parser, &run->in, &body)) {
    case HTTP1_MORE: return read_on(run);
    case HTTP1_HEAD: return head_complete(run);
    case HTTP1_BODY:
        if (c->state == CONN_BODY && request_add_body(c->listener, c->box, body) != OK) {
            return fault(c, 503, "The gateway is out of memory.");
        }
        return true;
    case HTTP1_END: return message_complete(c);
    case HTTP1_ERROR: return c->state == CONN_DISCARD ? enter_linger(c) : parser_fault(c);
    }
    return false;
}

/* ---- the reply's end ---- */

static bool finish_reply(struct run *run)
{
    struct http_conn *c = run->c;
    struct listener *l = c->listener;

    http_conn_deadline(c, 0);
    end_request(c, l->handler.on_done);
    c->is_reply_complete = c->is_full = false;
    if (c->parser) {
        if (!c->is_keep_alive) {
            return enter_linger(c);
        }
        http_conn_enter(c, CONN_DISCARD);
        c->discard_bytes = 0;
        set_timeout(c, LISTEN_LINGER_MS * NS_PER_MS);
        return true;
    }
    if (!c->is_keep_alive || l->is_draining) {
        if (run->in.len || c->stream.is_readable) {
            return enter_linger(c); /* closing on unread bytes would reset what we sent */
        }
        http_conn_close(c);
        return false;
    }
    enter_idle(c);
    if (run->in.len && ++run->requests == LISTEN_REQUESTS_PER_RUN) {
        stream_again(&c->stream);
        return false;
    }
    return true;
}

static bool step_reply(struct run *run)
{
    struct http_conn *c = run->c;
    struct listener *l = c->listener;

    if (loop_is_busy(l->loop)) { /* with the others', when all events are delivered */
        stream_again(&c->stream);
        return false;
    }
    if (l->head_owner == c) {
        reply_flush_head(l);
    }
    bool is_flushed = reply_flush(c);
    if (c->is_broken) {
        return true;
    }
    if (is_flushed && c->is_reply_complete) {
        return finish_reply(run);
    }
    if (c->stream.is_hangup) {
        http_conn_gone(c);
        return false;
    }
    if (c->is_full && !c->is_reply_complete && reply_queued_bytes(c) <= l->conf.out_low_bytes) {
        c->is_full = false;
        l->handler.on_drained(l->handler.ctx, c, &c->box->rq);
        return c->is_aborted || c->is_broken || c->is_reply_complete;
    }
    return false;
}

/* Past the bound nothing more is read, so that the client is stopped by its full buffers, but the
 * connection stays till the deadline: a close would reset away a reply that it has not read yet. */
static bool step_linger(struct run *run)
{
    struct http_conn *c = run->c;
    run->in = SLICE_NONE;
    if (c->discard_bytes > LISTEN_LINGER_MAX_BYTES) {
        if (c->stream.is_hangup) {
            http_conn_close(c);
        }
        return false;
    }
    switch (receive(run)) {
    case IO_DONE: c->discard_bytes += (uint32_t)run->in.len; return true;
    case IO_AGAIN: return false;
    case IO_EOF:
    case IO_FAILED: break;
    }
    http_conn_close(c);
    return false;
}

/* ---- the run ---- */

/* True: there may be more to do at once. */
static HOT bool step(struct run *run)
{
    struct http_conn *c = run->c;
    if (c->state == CONN_CLOSING) {
        return false;
    }
    if (c->is_aborted) {
        end_aborted(c);
        return false;
    }
    if (c->is_broken) {
        http_conn_gone(c);
        return false;
    }
    switch ((enum conn_state)c->state) {
    case CONN_IDLE: return step_idle(run);
    case CONN_HEAD:
    case CONN_BODY:
    case CONN_DISCARD: return step_message(run);
    case CONN_HANDLER:
        if (c->stream.is_hangup) { /* a half-close looks the same; nobody waits for the answer */
            http_conn_gone(c);
        }
        return false;
    case CONN_REPLY: return step_reply(run);
    case CONN_LINGER: return step_linger(run);
    case CONN_CLOSING: break;
    }
    return false;
}

/* What was read beyond the present message stays with the connection. */
static void keep_rest(struct run *run)
{
    struct http_conn *c = run->c;
    struct conn_bytes *rest = c->rest;

    if (run->in.len == 0) {
        free(TAKE(c->rest));
        return;
    }
    if (rest && run->in.ptr >= rest->bytes && run->in.ptr < rest->bytes + rest->cap) {
        rest->at = rest->len - run->in.len;
        return;
    }
    struct conn_bytes *kept = malloc(sizeof(*kept) + run->in.len);
    free(rest);
    c->rest = kept;
    if (!kept) {
        http_conn_gone(c);
        return;
    }
    *kept = (struct conn_bytes){.len = run->in.len, .cap = run->in.len};
    memcpy(kept->bytes, run->in.ptr, run->in.len);
}

HOT void http_conn_run(struct http_conn *c)
{
    struct run run = {.c = c};
    assert(!c->is_running);
    if (c->rest) {
        run.in = slice_of(c->rest->bytes + c->rest->at, c->rest->len - c->rest->at);
    }
    c->is_running = true;
    while (step(&run)) {
    }
    c->is_running = false;
    if (c->state != CONN_CLOSING) {
        keep_rest(&run);
    }
}

static void on_ready(struct stream *s)
{
    http_conn_run(CONTAINER_OF(s, struct http_conn, stream));
}

enum err http_conn_open(struct listener *l, int fd)
{
    struct list *node = list_take_first(&l->free_conns);
    struct http_conn *c;
    if (node) {
        c = CONTAINER_OF(node, struct http_conn, link);
        l->free_count--;
    } else {
        c = malloc(sizeof(*c));
        if (!c) {
            return E_NOMEM;
        }
    }
    *c = (struct http_conn){.listener = l, .state = CONN_IDLE};
    enum err e = stream_open(&c->stream, l->loop, fd, NULL, on_ready);
    if (e != OK) {
        free(c);
        return e;
    }
    c->stream.watch.group = LOOP_GROUP_REQUESTS;
    list_append(&l->conns, &c->link);
    l->conn_count++;
    set_timeout(c, l->conf.idle_timeout_ns);
    return OK;
}

/* ---- what the handler calls ---- */

void http_conn_read_body(struct http_conn *c, size_t max_bytes)
{
    assert(c->state == CONN_HANDLER && c->is_busy);
    http_conn_enter(c, CONN_BODY);
    if (c->parser && max_bytes) {
        size_t configured = c->parser->limits.body_max_bytes;
        c->parser->limits.body_max_bytes = configured ? size_min(configured, max_bytes) : max_bytes;
    }
    set_timeout(c, c->listener->conf.body_timeout_ns);
    http_conn_wake(c);
}

void http_conn_abort(struct http_conn *c)
{
    if (c->state != CONN_CLOSING) {
        c->is_aborted = true;
        http_conn_wake(c);
    }
}
