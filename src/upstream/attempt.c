#include "upstream/attempt.h"

#include "core/check.h"
#include "upstream/attempt_state.h"

#include <assert.h>
#include <errno.h>

enum {
    INTERIM_MAX = 8,           /* 1xx answers before the real one */
    READS_PER_TURN = 8,        /* so that one fast answer does not starve the others */
    STREAM_READ_BYTES = 16384, /* of an unbounded answer: what a paused one may still be handed */
    DETAIL_MAX_BYTES = 200,
    WARM_PARSER_BYTES = 64, /* what a piece of a body needs of it */
    WARM_CALLER_BYTES = 192 /* of ctx: what its callbacks want first */
};

/* What was being done, for logs and for "Last error". */
static const char *action_of(const struct attempt *a)
{
    switch (a->state) {
    case ATTEMPT_RESOLVE: return "resolving";
    case ATTEMPT_CONNECT: return "connecting";
    case ATTEMPT_TUNNEL: return "asking the proxy";
    case ATTEMPT_HANDSHAKE: return "TLS handshake";
    case ATTEMPT_SEND: return "sending the request";
    case ATTEMPT_HEAD: return "reading the head";
    case ATTEMPT_BODY: return "reading the body";
    case ATTEMPT_DONE: return "done";
    }
    return "";
}

/* ---- the end ---- */

/* Leaves nothing behind that could call the attempt again. A connection still leased is closed. */
static void dismantle(struct attempt *a)
{
    dial_stop(a);
    conn_close(TAKE(a->conn));
    loop_timer_stop(a->u->loop, &a->phase_timer);
    loop_timer_stop(a->u->loop, &a->total_timer);
    list_remove(&a->link);
    a->state = ATTEMPT_DONE;
}

static void tell_failure(struct loop_timer *timer)
{
    struct attempt *a = CONTAINER_OF(timer, struct attempt, phase_timer);
    dismantle(a);
    a->handler->on_end(a->ctx, a->failure, a->failure_action);
}

void attempt_fail(struct attempt *a, enum err e, const char *action)
{
    dismantle(a);
    if (a->is_starting) { /* told by the timer, this turn or the next */
        a->failure = e;
        a->failure_action = action;
        list_append(&a->u->attempts, &a->link);
        loop_timer_set(a->u->loop, &a->phase_timer, loop_now_ns(a->u->loop), tell_failure);
        return;
    }
    a->handler->on_end(a->ctx, e, action);
}

void attempt_note(struct attempt *a, struct slice detail)
{
    a->detail = arena_dup(a->arena, slice_head(detail, DETAIL_MAX_BYTES));
}

/* ---- time ---- */

static void on_phase_due(struct loop_timer *timer)
{
    struct attempt *a = CONTAINER_OF(timer, struct attempt, phase_timer);
    int64_t due_ns = i64_add_sat(a->phase_since_ns, a->phase_timeout_ns);
    if (a->is_paused || a->phase_timeout_ns <= 0) {
        return; /* attempt_resume() or the next phase sets it again */
    }
    if (due_ns > loop_now_ns(a->u->loop)) {
        loop_timer_set(a->u->loop, timer, due_ns, on_phase_due);
        return;
    }
    attempt_fail(a, E_TIMEOUT, action_of(a));
}

static void on_total_due(struct loop_timer *timer)
{
    struct attempt *a = CONTAINER_OF(timer, struct attempt, total_timer);
    attempt_fail(a, E_TIMEOUT, action_of(a));
}

/* A timer that stands earlier is left alone: when it fires it sees that the phase goes on. So
 * progress costs a store, not a move in the wheel. */
HOT void attempt_phase(struct attempt *a, int64_t timeout_ns)
{
    a->phase_since_ns = loop_now_ns(a->u->loop);
    a->phase_timeout_ns = timeout_ns;
    int64_t due_ns = i64_add_sat(a->phase_since_ns, timeout_ns);
    if (timeout_ns > 0 &&
        (a->phase_timer.deadline_ns == 0 || a->phase_timer.deadline_ns > due_ns)) {
        loop_timer_set(a->u->loop, &a->phase_timer, due_ns, on_phase_due);
    }
}

/* ---- a dead connection ---- */

/* A kept connection that the server had already given up: nobody has seen an answer byte. */
static bool can_retry(const struct attempt *a)
{
    return a->is_reused && !a->has_answer && !a->is_retried;
}

static void retry_on_new_connection(struct attempt *a)
{
    conn_close(TAKE(a->conn));
    a->is_retried = true;
    a->is_reused = a->is_sent = a->is_send_broken = false;
    a->part_at = a->part_offset = 0;
    dial_start(a);
}

static void note_stream_failure(struct attempt *a)
{
    const struct stream *s = &a->conn->stream;
    char text[128];
    if (s->tls && tls_error(s->tls).len) {
        attempt_note(a, tls_error(s->tls));
    } else if (s->error) {
        attempt_note(a, slice_str(strerror_r(s->error, text, sizeof(text))));
    }
}

static void on_read_failed(struct attempt *a)
{
    if (can_retry(a)) {
        retry_on_new_connection(a);
        return;
    }
    note_stream_failure(a);
    attempt_fail(a, E_IO, action_of(a));
}

/* ---- sending ---- */

static void advance(struct attempt *a, size_t len)
{
    while (a->part_at < a->part_count) {
        size_t left = a->parts[a->part_at].len - a->part_offset;
        if (len < left) {
            a->part_offset += len;
            return;
        }
        len -= left;
        a->part_at++;
        a->part_offset = 0;
    }
    assert(len == 0);
}

static int gather(const struct attempt *a, struct iovec *out_parts)
{
    int n = 0;
    size_t offset = a->part_offset;
    for (size_t i = a->part_at; i < a->part_count; i++, offset = 0) {
        struct slice left = slice_from(a->parts[i], offset);
        if (left.len) {
            memcpy(&out_parts[n].iov_base, &left.ptr, sizeof(left.ptr)); /* no const in there */
            out_parts[n++].iov_len = left.len;
        }
    }
    return n;
}

/* Writes what is unsent; what does not fit waits for the next edge. After a failed write the answer
 * is read nevertheless: a server that refuses a large body may have said why. */
static HOT void send_parts(struct attempt *a)
{
    struct stream *s = &a->conn->stream;
    while (s->is_writable && !a->is_sent && !a->is_send_broken) {
        ROOM struct iovec parts[ATTEMPT_PARTS_MAX];
        size_t len = 0;
        int n = gather(a, parts);
        enum io_result r = n ? stream_write(s, parts, n, &len) : IO_DONE;
        if (r == IO_FAILED || r == IO_EOF) {
            a->is_send_broken = true;
            s->is_readable = true;
            stream_again(s);
            return;
        }
        if (r == IO_DONE) {
            advance(a, len);
            a->phase_since_ns = loop_now_ns(a->u->loop);
        }
        a->is_sent = a->part_at == a->part_count;
    }
    if (a->is_sent && a->state == ATTEMPT_SEND) {
        a->state = ATTEMPT_HEAD;
        attempt_phase(a, a->timeouts.first_byte_ns);
    }
}

void attempt_connected(struct attempt *a)
{
    dial_stop(a);
    a->state = ATTEMPT_SEND;
    attempt_phase(a, a->timeouts.first_byte_ns); /* renewed by each piece that goes out */
    bool waits = loop_is_busy(a->u->loop);       /* for the turn's other writes */
    if (!waits) {
        send_parts(a);
    }
    if (waits || a->conn->stream.is_readable) {
        stream_again(&a->conn->stream); /* an edge of the handshake may have been the answer's */
    }
}

/* ---- the answer ---- */

/* Is there really nothing more? A drained plain socket is known without a system call. */
static bool is_clean(struct conn *conn)
{
    struct stream *s = &conn->stream;
    size_t len;
    if (s->is_hangup) {
        return false;
    }
    return !s->is_readable ||
           stream_read(s, (struct room){conn->u->buffer, READ_BUFFER_BYTES}, &len) == IO_AGAIN;
}

static void finish(struct attempt *a, bool can_keep)
{
    struct conn *conn = TAKE(a->conn);
    const char *action = action_of(a);
    if (can_keep && a->is_sent && a->parser.head.is_keep_alive && is_clean(conn)) {
        pool_give(conn);
    } else {
        conn_close(conn);
    }
    dismantle(a);
    a->handler->on_end(a->ctx, OK, action);
}

static COLD void on_parse_error(struct attempt *a)
{
    enum err e = E_SYNTAX;
    switch (a->parser.fault) {
    case HTTP1_URI_TOO_LONG:
    case HTTP1_HEAD_TOO_LARGE:
    case HTTP1_BODY_TOO_LARGE: e = E_LIMIT; break;
    case HTTP1_NO_MEMORY: e = E_NOMEM; break;
    case HTTP1_OK:
    case HTTP1_BAD_SYNTAX:
    case HTTP1_BAD_FRAMING:
    case HTTP1_BAD_VERSION: break;
    }
    attempt_note(a, slice_str(a->parser.fault_text));
    attempt_fail(a, e, action_of(a));
}

/* False: the attempt is over. */
static bool on_head(struct attempt *a, const struct conn *conn)
{
    int status = a->parser.head.status;
    if (status >= 100 && status < 200) {
        if (status == 101 || ++a->interim_count > INTERIM_MAX) {
            attempt_note(a, status == 101 ? SLICE("the server switched protocols unasked")
                                          : SLICE("too many interim answers"));
            attempt_fail(a, E_SYNTAX, action_of(a));
            return false;
        }
        return true;
    }
    a->state = ATTEMPT_BODY;
    attempt_phase(a, a->timeouts.between_chunks_ns);
    a->handler->on_head(a->ctx, &a->parser.head);
    return conn->attempt == a;
}

/* False: the attempt is over. */
static bool on_message_end(struct attempt *a, bool is_all_consumed)
{
    if (a->state == ATTEMPT_BODY) {
        finish(a, is_all_consumed);
        return false;
    }
    http1_restart(&a->parser, a->arena); /* after an interim answer */
    if (a->is_head_method) {
        http1_expect_no_body(&a->parser);
    }
    return true;
}

/* False: the attempt is over, do not touch it. */
static HOT bool feed(struct attempt *a, const struct conn *conn, struct slice in)
{
    struct slice body;
    for (;;) {
        switch (http1_next(&a->parser, &in, &body)) {
        case HTTP1_MORE: return true;
        case HTTP1_HEAD:
            if (!on_head(a, conn)) {
                return false;
            }
            break;
        case HTTP1_BODY:
            a->handler->on_body(a->ctx, body);
            if (conn->attempt != a) {
                return false;
            }
            break;
        case HTTP1_END:
            if (!on_message_end(a, in.len == 0)) {
                return false;
            }
            break;
        case HTTP1_ERROR: on_parse_error(a); return false;
        }
    }
}

static void on_eof(struct attempt *a)
{
    if (can_retry(a)) {
        retry_on_new_connection(a);
    } else if (a->state == ATTEMPT_BODY && http1_eof(&a->parser) == HTTP1_END) {
        finish(a, false);
    } else {
        attempt_fail(a, E_EOF, action_of(a));
    }
}

/* What will be wanted when the kernel has copied. */
static inline void fetch_ahead(const struct attempt *a)
{
    prefetch(&a->parser, WARM_PARSER_BYTES);
    prefetch(a->ctx, WARM_CALLER_BYTES);
    if (a->warm) {
        prefetch(a->warm, ATTEMPT_WARM_BYTES);
    }
}

static HOT void read_answer(struct attempt *a, struct conn *conn)
{
    struct stream *s = &conn->stream;
    struct room room = {a->u->buffer,
                        a->parser.limits.body_max_bytes ? READ_BUFFER_BYTES : STREAM_READ_BYTES};
    for (int i = 0; s->is_readable && !a->is_paused; i++) {
        size_t len = 0;
        if (i == READS_PER_TURN) {
            stream_again(s);
            return;
        }
        fetch_ahead(a);
        switch (stream_read(s, room, &len)) {
        case IO_DONE:
            a->has_answer = true;
            if (a->state == ATTEMPT_BODY) { /* the head's time does not grow with its bytes */
                a->phase_since_ns = loop_now_ns(a->u->loop);
            }
            if (!feed(a, conn, slice_of(room.ptr, len))) {
                return;
            }
            a->handler->on_input_end(a->ctx);
            if (conn->attempt != a) {
                return;
            }
            break;
        case IO_AGAIN: return;
        case IO_EOF: on_eof(a); return;
        case IO_FAILED: on_read_failed(a); return;
        }
    }
}

HOT void attempt_on_ready(struct conn *conn)
{
    struct attempt *a = conn->attempt;
    if (a->state < ATTEMPT_SEND) {
        dial_on_ready(a, conn);
        return;
    }
    if (!a->is_sent) {
        send_parts(a);
    }
    read_answer(a, conn);
}

/* ---- the caller's side ---- */

static struct attempt *make(struct upstream *u, const struct attempt_request *request)
{
    size_t parts_bytes = request->part_count * sizeof(request->parts[0]);
    struct attempt *a = arena_alloc(request->arena, sizeof(*a) + parts_bytes);
    if (!a) {
        return NULL;
    }
    *a = (struct attempt){.u = u,
                          .dest = request->dest,
                          .timeouts = request->timeouts,
                          .arena = request->arena,
                          .is_head_method = request->is_head_method,
                          .part_count = request->part_count};
    memcpy(a->parts, request->parts, parts_bytes);
    http1_init(&a->parser, true, request->arena, &request->limits);
    if (request->is_head_method) {
        http1_expect_no_body(&a->parser);
    }
    return a;
}

HOT enum err attempt_start(struct upstream *u, const struct attempt_request *request,
                           const struct attempt_handler *handler, void *ctx, struct attempt **out)
{
    assert(request->part_count > 0 && request->part_count <= ATTEMPT_PARTS_MAX);
    struct pool *pool = pool_find(u, request->dest->pool_key);
    struct attempt *a = pool ? make(u, request) : NULL;
    if (!a) {
        return E_NOMEM;
    }
    a->handler = handler;
    a->ctx = ctx;
    a->pool = pool;
    struct conn *conn = request->is_once ? NULL : pool_take(u, pool);
    if (!conn && !conn_has_room(u)) {
        return E_BUSY;
    }
    list_append(&u->attempts, &a->link);
    if (request->timeouts.total_ns > 0) {
        loop_timer_set(u->loop, &a->total_timer,
                       i64_add_sat(loop_now_ns(u->loop), request->timeouts.total_ns), on_total_due);
    }
    a->is_starting = true;
    if (conn) {
        conn->attempt = a;
        a->conn = conn;
        a->is_reused = true;
        attempt_connected(a);
    } else {
        dial_start(a);
    }
    a->is_starting = false;
    *out = a;
    return OK;
}

void attempt_warm(struct attempt *a, const void *area)
{
    a->warm = area;
}

void attempt_pause(struct attempt *a)
{
    a->is_paused = true;
}

void attempt_resume(struct attempt *a)
{
    if (!a->is_paused) {
        return;
    }
    a->is_paused = false;
    if (a->state == ATTEMPT_DONE) {
        return;
    }
    attempt_phase(a, a->phase_timeout_ns);
    if (a->conn) {
        stream_again(&a->conn->stream);
    }
}

void attempt_cancel(struct attempt *a)
{
    dismantle(a);
}

bool attempt_was_sent(const struct attempt *a)
{
    return a->is_sent;
}

bool attempt_was_reused(const struct attempt *a)
{
    return a->is_reused;
}

struct slice attempt_detail(const struct attempt *a)
{
    return a->detail;
}
