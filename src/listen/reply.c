/* The write side: a reply goes out in one write where the kernel takes it. What it leaves of a
 * whole reply is remembered (its parts are borrowed until on_done), of a streamed one copied.
 *
 * In a busy turn nothing is written before the turn's other events are delivered: the writes then
 * go out one after the other, so the kernel's code stays in the caches and the peers are woken
 * once. 64 connections: 30 -> 22 us a request (2 x EPYC, loopback, 2026-11-27). */
#include "core/check.h"
#include "listen/http_conn.h"

#include <assert.h>

enum { PREFIX_BYTES = 256, CHUNK_SIZE_BYTES = 16 };

struct slice http_status_reason(int status)
{
    switch (status) {
    case 100: return SLICE("Continue");
    case 200: return SLICE("OK");
    case 201: return SLICE("Created");
    case 202: return SLICE("Accepted");
    case 204: return SLICE("No Content");
    case 206: return SLICE("Partial Content");
    case 301: return SLICE("Moved Permanently");
    case 302: return SLICE("Found");
    case 304: return SLICE("Not Modified");
    case 307: return SLICE("Temporary Redirect");
    case 308: return SLICE("Permanent Redirect");
    case 400: return SLICE("Bad Request");
    case 401: return SLICE("Unauthorized");
    case 402: return SLICE("Payment Required");
    case 403: return SLICE("Forbidden");
    case 404: return SLICE("Not Found");
    case 405: return SLICE("Method Not Allowed");
    case 406: return SLICE("Not Acceptable");
    case 408: return SLICE("Request Timeout");
    case 409: return SLICE("Conflict");
    case 410: return SLICE("Gone");
    case 411: return SLICE("Length Required");
    case 412: return SLICE("Precondition Failed");
    case 413: return SLICE("Content Too Large");
    case 414: return SLICE("URI Too Long");
    case 415: return SLICE("Unsupported Media Type");
    case 417: return SLICE("Expectation Failed");
    case 422: return SLICE("Unprocessable Content");
    case 424: return SLICE("Failed Dependency");
    case 426: return SLICE("Upgrade Required");
    case 429: return SLICE("Too Many Requests");
    case 431: return SLICE("Request Header Fields Too Large");
    case 499: return SLICE("Client Closed Request");
    case 500: return SLICE("Internal Server Error");
    case 501: return SLICE("Not Implemented");
    case 502: return SLICE("Bad Gateway");
    case 503: return SLICE("Service Unavailable");
    case 504: return SLICE("Gateway Timeout");
    case 505: return SLICE("HTTP Version Not Supported");
    case 508: return SLICE("Loop Detected");
    case 529: return SLICE("Overloaded");
    default: return SLICE("Status"); /* an upstream's own; clients read the number */
    }
}

static void broken(struct http_conn *c)
{
    c->is_broken = true;
    http_conn_wake(c);
}

/* ---- heads ---- */

static struct slice date_text(struct listener *l)
{
    int64_t unix_s = loop_unix_ns(l->loop) / NS_PER_S;
    if (unix_s != l->date_unix_s) {
        l->date_unix_s = unix_s;
        (void)clock_http_date(unix_s * NS_PER_S, l->date);
    }
    return slice_of(l->date, CLOCK_HTTP_DATE_BYTES);
}

static void add_prefix(struct listener *l, int status, struct text *out)
{
    TEXT_ADD(out, "HTTP/1.1 ");
    text_add_i64(out, status);
    text_add_char(out, ' ');
    text_add(out, http_status_reason(status));
    TEXT_ADD(out, "\r\nDate: ");
    text_add(out, date_text(l));
    TEXT_ADD(out, "\r\n");
}

static void add_connection(const struct http_conn *c, struct text *out)
{
    if (!c->is_keep_alive) {
        TEXT_ADD(out, "Connection: close\r\n");
    } else if (c->box->rq.head.version_minor == 0) {
        TEXT_ADD(out, "Connection: keep-alive\r\n");
    }
}

/* Whether the connection can outlive this reply. A client that waits for 100 Continue may send its
 * body or not: nobody could tell it from the next request. */
static bool can_keep_alive(const struct http_conn *c)
{
    const struct http_head *head = &c->box->rq.head;
    bool is_worth_reading =
        !c->parser || (!c->wants_continue && head->content_length <= LISTEN_DISCARD_MAX_BYTES);
    return head->is_keep_alive && !c->listener->is_draining && is_worth_reading;
}

static void begin_reply(struct http_conn *c, int status)
{
    assert(c->is_busy && (c->state == CONN_HANDLER || c->state == CONN_BODY));
    c->is_keep_alive = can_keep_alive(c);
    c->is_bodyless = c->box->rq.head.verb == VERB_HEAD || status == 204 || status == 304;
    c->is_chunked = false;
    http_conn_enter(c, CONN_REPLY);
    http_conn_deadline(c, 0);
}

/* ---- parts ---- */

static size_t parts_total(const struct slice *parts, size_t n)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        total += parts[i].len; /* areas in memory: cannot overflow */
    }
    return total;
}

/* sendmsg only reads; its struct has no const. */
static struct iovec iovec_of(struct slice s)
{
    struct iovec iov = {.iov_len = s.len};
    memcpy(&iov.iov_base, &s.ptr, sizeof(iov.iov_base));
    return iov;
}

static int add_parts(struct iovec *iov, int n, const struct slice *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len) {
            iov[n++] = iovec_of(parts[i]);
        }
    }
    return n;
}

/* Drops the first skip bytes; returns how many parts are left, moved to the front. */
static size_t skip_parts(struct slice *parts, size_t n, size_t skip)
{
    size_t first = 0;
    while (first < n && skip >= parts[first].len) {
        skip -= parts[first++].len;
    }
    if (first < n) {
        parts[first] = slice_from(parts[first], skip);
        memmove(parts, parts + first, (n - first) * sizeof(*parts));
    }
    return n - first;
}

/* Bytes taken; 0 also when the connection broke. */
static size_t write_parts(struct http_conn *c, const struct iovec *iov, int n)
{
    size_t sent = 0;
    switch (stream_write(&c->stream, iov, n, &sent)) {
    case IO_DONE: return sent;
    case IO_AGAIN: return 0;
    case IO_EOF:
    case IO_FAILED: broken(c); return 0;
    }
    return 0;
}

static void arm_write_timeout(struct http_conn *c)
{
    int64_t timeout_ns = c->listener->conf.write_timeout_ns;
    http_conn_deadline(c, timeout_ns > 0 ? i64_add_sat(loop_now_ns(c->listener->loop), timeout_ns)
                                         : 0);
}

/* ---- whole replies ---- */

/* Keeps what was not sent: head is copied, the body's parts are borrowed. False: no memory. */
static bool keep_parts(struct http_conn *c, const struct slice *head, size_t head_count,
                       const struct slice *body, size_t n, size_t sent)
{
    struct request_box *box = c->box;
    size_t head_len = parts_total(head, head_count);
    struct slice *parts = arena_array(&box->rq.arena, n + 1, sizeof(*parts));
    char *copy = sent < head_len ? arena_alloc(&box->rq.arena, head_len) : NULL;

    if (!parts || (sent < head_len && !copy)) {
        return false;
    }
    for (size_t i = 0, at = 0; copy && i < head_count; at += head[i++].len) {
        if (head[i].ptr) {
            memcpy(copy + at, head[i].ptr, head[i].len);
        }
    }
    parts[0] = copy ? slice_of(copy, head_len) : SLICE_NONE;
    if (n) {
        memcpy(parts + 1, body, n * sizeof(*parts));
    }
    box->parts = parts;
    box->part_count = skip_parts(parts, n + 1, copy ? sent : sent - head_len);
    return true;
}

/* At once; what the kernel does not take is kept. */
static void write_reply(struct http_conn *c, const struct slice *head, size_t head_count,
                        const struct slice *body, size_t n)
{
    ROOM struct iovec iov[3 + LISTEN_IOV_PARTS];
    int count = add_parts(iov, 0, head, head_count);
    count = add_parts(iov, count, body, size_min(n, LISTEN_IOV_PARTS));
    size_t sent = write_parts(c, iov, count);
    if (!c->is_broken && sent < parts_total(head, head_count) + parts_total(body, n) &&
        !keep_parts(c, head, head_count, body, n, sent)) {
        broken(c);
    }
}

HOT void http_conn_reply(struct http_conn *c, int status, struct slice headers,
                         const struct slice *body, size_t n)
{
    ROOM char prefix[PREFIX_BYTES];
    struct text t = text_in(prefix, sizeof(prefix));
    size_t body_len = parts_total(body, n);

    begin_reply(c, status);
    add_prefix(c->listener, status, &t);
    if (status != 204) {
        TEXT_ADD(&t, "Content-Length: ");
        text_add_i64(&t, (int64_t)body_len);
        TEXT_ADD(&t, "\r\n");
    }
    add_connection(c, &t);
    assert(!t.is_full);
    c->is_reply_complete = true;
    if (c->is_bodyless) {
        n = 0;
    }
    const struct slice head[] = {text_slice(&t), headers, SLICE("\r\n")};
    bool waits =
        loop_is_busy(c->listener->loop) && keep_parts(c, head, ARRAY_LEN(head), body, n, 0);
    if (!waits) {
        write_reply(c, head, ARRAY_LEN(head), body, n);
    }
    http_conn_wake(c);
}

static bool flush_parts(struct http_conn *c)
{
    struct request_box *box = c->box;
    while (box->part_count) {
        if (!c->stream.is_writable) {
            return false;
        }
        ROOM struct iovec iov[LISTEN_IOV_PARTS];
        int count = add_parts(iov, 0, box->parts, size_min(box->part_count, LISTEN_IOV_PARTS));
        size_t sent = count ? write_parts(c, iov, count) : 0;
        if (c->is_broken) {
            return false;
        }
        box->part_count = skip_parts(box->parts, box->part_count, sent);
        if (sent) {
            arm_write_timeout(c);
        }
    }
    return true;
}

/* ---- the queue of a streamed reply ---- */

size_t reply_queued_bytes(const struct http_conn *c)
{
    return c->out ? c->out->len - c->out->at : 0;
}

static struct conn_bytes *take_out(struct listener *l, size_t cap)
{
    struct conn_bytes *out = l->spare_outs;
    if (cap > LISTEN_OUT_FIRST_BYTES || !out) {
        return malloc(sizeof(*out) + cap);
    }
    l->spare_outs = out->next;
    l->spare_out_count--;
    return out;
}

void reply_drop_out(struct http_conn *c)
{
    struct listener *l = c->listener;
    struct conn_bytes *out = TAKE(c->out);
    if (!out || out->cap > LISTEN_OUT_FIRST_BYTES || l->spare_out_count == LISTEN_KEEP_OUTS) {
        free(out);
        return;
    }
    out->next = l->spare_outs;
    l->spare_outs = out;
    l->spare_out_count++;
}

static struct conn_bytes *grow_out(struct http_conn *c, size_t more)
{
    size_t used = reply_queued_bytes(c);
    size_t cap = LISTEN_OUT_FIRST_BYTES;

    if (more > LISTEN_OUT_MAX_BYTES - used) {
        return NULL;
    }
    while (cap < used + more) {
        cap *= 2;
    }
    struct conn_bytes *grown = take_out(c->listener, cap);
    if (!grown) {
        return NULL;
    }
    *grown = (struct conn_bytes){.len = used, .cap = cap};
    if (c->out) {
        memcpy(grown->bytes, c->out->bytes + c->out->at, used);
    }
    reply_drop_out(c);
    c->out = grown;
    return grown;
}

/* Copies all but the first skip bytes. */
static void queue_parts(struct http_conn *c, const struct iovec *iov, int n, size_t skip,
                        size_t total)
{
    struct conn_bytes *out = c->out;
    size_t more = total - skip;
    if (!out || more > out->cap - out->len) {
        out = grow_out(c, more);
        if (!out) {
            broken(c);
            return;
        }
    }
    for (int i = 0; i < n; i++) {
        size_t cut = size_min(skip, iov[i].iov_len);
        skip -= cut;
        if (iov[i].iov_len > cut) {
            memcpy(out->bytes + out->len, (const char *)iov[i].iov_base + cut,
                   iov[i].iov_len - cut);
            out->len += iov[i].iov_len - cut;
        }
    }
    assert(out->len <= out->cap);
}

static HOT void send_stream(struct http_conn *c, const struct iovec *iov, int n)
{
    size_t total = 0;
    size_t sent = 0;
    for (int i = 0; i < n; i++) {
        total += iov[i].iov_len;
    }
    if (c->is_broken || total == 0) {
        return;
    }
    bool waits = loop_is_busy(c->listener->loop);
    if (!c->out && !waits) {
        sent = write_parts(c, iov, n);
    }
    if (!c->is_broken && sent < total) {
        queue_parts(c, iov, n, sent, total);
        if (waits) {
            http_conn_wake(c);
        } else if (c->deadline_ns == 0) {
            arm_write_timeout(c);
        }
    }
}

static bool flush_out(struct http_conn *c)
{
    struct conn_bytes *out = c->out;
    while (out) {
        struct iovec iov = iovec_of(slice_of(out->bytes + out->at, out->len - out->at));
        size_t sent = c->stream.is_writable ? write_parts(c, &iov, 1) : 0;
        out->at += sent;
        if (c->is_broken) {
            return false;
        }
        if (out->at == out->len) {
            reply_drop_out(c);
            http_conn_deadline(c, 0);
            return true;
        }
        if (sent) {
            arm_write_timeout(c);
        }
        if (!c->stream.is_writable) {
            return false;
        }
    }
    return true;
}

bool reply_flush(struct http_conn *c)
{
    bool is_flushed = flush_parts(c) && flush_out(c);
    if (is_flushed) {
        http_conn_deadline(c, 0);
    } else if (c->deadline_ns == 0) {
        arm_write_timeout(c);
    }
    return is_flushed;
}

void reply_flush_head(struct listener *l)
{
    struct http_conn *c = TAKE(l->head_owner);
    if (c) {
        struct iovec iov = iovec_of(slice_of(l->head_room, l->head_len));
        send_stream(c, &iov, 1);
    }
}

/* ---- streamed replies ---- */

/* length < 0: unknown. */
static void stream_begin(struct http_conn *c, int status, struct slice headers, int64_t length)
{
    struct listener *l = c->listener;
    ROOM char prefix[PREFIX_BYTES];
    struct text t = text_in(prefix, sizeof(prefix));

    begin_reply(c, status);
    bool can_have_body = status != 204 && status != 304;
    c->is_chunked = c->box->rq.head.version_minor == 1 && can_have_body && length < 0;
    if (!c->is_chunked && !c->is_bodyless && length < 0) {
        c->is_keep_alive = false; /* the end of the connection is the end of the reply */
    }
    add_prefix(l, status, &t);
    if (c->is_chunked) {
        TEXT_ADD(&t, "Transfer-Encoding: chunked\r\n");
    } else if (length >= 0 && can_have_body) {
        TEXT_ADD(&t, "Content-Length: ");
        text_add_i64(&t, length);
        TEXT_ADD(&t, "\r\n");
    }
    add_connection(c, &t);
    assert(!t.is_full);
    if (t.len + headers.len + 2 > LISTEN_HEAD_ROOM_BYTES) {
        ROOM struct iovec iov[3];
        const struct slice head[] = {text_slice(&t), headers, SLICE("\r\n")};
        send_stream(c, iov, add_parts(iov, 0, head, ARRAY_LEN(head)));
        return;
    }
    reply_flush_head(l); /* another's, if its first event did not come yet */
    struct text room = text_in(l->head_room, sizeof(l->head_room));
    text_add(&room, text_slice(&t));
    text_add(&room, headers);
    TEXT_ADD(&room, "\r\n");
    l->head_len = room.len;
    l->head_owner = c;
    http_conn_wake(c); /* the head goes out this turn even when no event follows */
}

void http_conn_stream_begin(struct http_conn *c, int status, struct slice headers)
{
    stream_begin(c, status, headers, -1);
}

void http_conn_stream_begin_sized(struct http_conn *c, int status, struct slice headers,
                                  int64_t length)
{
    stream_begin(c, status, headers, length);
}

static struct slice chunk_size_line(char *room, size_t size)
{
    char *at = room + CHUNK_SIZE_BYTES + 2;
    char *end = at;
    *--at = '\n';
    *--at = '\r';
    do {
        *--at = "0123456789abcdef"[size & 15];
        size >>= 4;
    } while (size);
    return slice_of(at, (size_t)(end - at));
}

/* At most LISTEN_IOV_PARTS parts, as one chunk, in one write with a head that waits. */
static HOT void send_chunk(struct http_conn *c, const struct slice *parts, size_t n, bool is_last)
{
    struct listener *l = c->listener;
    ROOM struct iovec iov[LISTEN_IOV_PARTS + 3];
    char size_room[CHUNK_SIZE_BYTES + 2];
    size_t total = c->is_bodyless ? 0 : parts_total(parts, n);
    int count = 0;

    if (l->head_owner == c) {
        iov[count++] = iovec_of(slice_of(l->head_room, l->head_len));
        l->head_owner = NULL;
    }
    bool is_framed = c->is_chunked && !c->is_bodyless;
    if (total) {
        if (is_framed) {
            iov[count++] = iovec_of(chunk_size_line(size_room, total));
        }
        count = add_parts(iov, count, parts, n);
    }
    if (is_framed && (total || is_last)) {
        struct slice tail = !is_last ? SLICE("\r\n")
                            : total  ? SLICE("\r\n0\r\n\r\n")
                                     : SLICE("0\r\n\r\n");
        iov[count++] = iovec_of(tail);
    }
    if (count) {
        send_stream(c, iov, count);
    }
}

HOT bool http_conn_stream_write(struct http_conn *c, const struct slice *parts, size_t n)
{
    assert(c->state == CONN_REPLY && !c->is_reply_complete);
    while (n > LISTEN_IOV_PARTS) {
        send_chunk(c, parts, LISTEN_IOV_PARTS, false);
        parts += LISTEN_IOV_PARTS;
        n -= LISTEN_IOV_PARTS;
    }
    send_chunk(c, parts, n, false);
    if (reply_queued_bytes(c) > c->listener->conf.out_high_bytes) {
        c->is_full = true;
    }
    return !c->is_full;
}

void http_conn_stream_end(struct http_conn *c, const struct slice *parts, size_t n)
{
    assert(c->state == CONN_REPLY && !c->is_reply_complete);
    while (n > LISTEN_IOV_PARTS) {
        send_chunk(c, parts, LISTEN_IOV_PARTS, false);
        parts += LISTEN_IOV_PARTS;
        n -= LISTEN_IOV_PARTS;
    }
    send_chunk(c, parts, n, true);
    c->is_reply_complete = true;
    http_conn_wake(c);
}

size_t http_conn_queued_bytes(const struct http_conn *c)
{
    size_t queued = reply_queued_bytes(c);
    return queued + (c->box ? parts_total(c->box->parts, c->box->part_count) : 0);
}

/* ---- what listen says itself ---- */

void reply_continue(struct http_conn *c)
{
    struct iovec iov = iovec_of(SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    c->wants_continue = false;
    if (write_parts(c, &iov, 1) != iov.iov_len) {
        c->is_broken = true; /* 25 bytes that do not fit: this client does not read */
    }
}

void reply_fault(struct http_conn *c, int status, const char *text)
{
    struct listener *l = c->listener;
    struct http_request *rq = c->box ? &c->box->rq : NULL;
    char head_room[PREFIX_BYTES + 64];
    char body_room[1024];
    struct text head = text_in(head_room, sizeof(head_room));
    struct text body = text_in(body_room, sizeof(body_room));

    l->handler.on_fault(l->handler.ctx, status, text, rq, &body);
    add_prefix(l, status, &head);
    TEXT_ADD(&head, "Content-Type: application/json\r\nContent-Length: ");
    text_add_i64(&head, (int64_t)body.len);
    TEXT_ADD(&head, "\r\nConnection: close\r\n\r\n");
    assert(!head.is_full);
    const struct slice parts[] = {text_slice(&head), text_slice(&body)};
    ROOM struct iovec iov[2];
    (void)write_parts(c, iov, add_parts(iov, 0, parts, ARRAY_LEN(parts)));
    http_conn_refused(c);
}
