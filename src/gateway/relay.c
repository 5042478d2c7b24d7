#include "gateway/relay.h"

#include "gateway/account.h"
#include "gateway/call.h"
#include "gateway/flight.h"
#include "gateway/keep.h"
#include "gateway/raw.h"
#include "gateway/reply.h"

#include <assert.h>

enum {
    ANSWER_FIRST_BYTES = 2048,
    ANSWER_TRUSTED_BYTES = 64 * 1024,
    PROVIDER_ERROR_MAX_BYTES = 64 * 1024,
    HELD_MAX_BYTES = 16 * 1024, /* events before the first content are few and small */
    WARM_BYTES = 192,           /* what an event needs of its client's connection */
};

/* --- answer bytes ------------------------------------------------------------------------------
 */

/* Room for more bytes in x->answer: by doubling in the arena. */
/* A large answer has memory of its own, so that a room outgrown is given back at once: what is held
 * stays within twice what was received. */
static char *answer_room(struct exchange *x, size_t cap, struct arena *out_large)
{
    *out_large = (struct arena){0};
    if (cap <= ANSWER_TRUSTED_BYTES) {
        return arena_alloc(x->arena, cap);
    }
    arena_init(out_large, NULL, SIZE_MAX); /* bounded by response_max_bytes */
    return arena_alloc(out_large, cap);
}

static MUST_USE bool answer_append(struct exchange *x, struct slice data)
{
    size_t need;
    if (!size_add(x->answer_len, data.len, &need)) {
        return false;
    }
    if (need > x->answer_cap) {
        struct arena large;
        size_t cap =
            x->answer_cap ? x->answer_cap : size_min(x->answer_promised, ANSWER_TRUSTED_BYTES);
        cap = cap ? cap : ANSWER_FIRST_BYTES;
        while (cap < need) {
            cap *= 2;
        }
        char *bigger = answer_room(x, cap, &large);
        if (!bigger) {
            return false;
        }
        if (x->answer_len) {
            memcpy(bigger, x->answer, x->answer_len);
        }
        arena_deinit(&x->answer_arena);
        x->answer_arena = large;
        x->answer = bigger;
        x->answer_cap = cap;
    }
    if (data.len) {
        memcpy(x->answer + x->answer_len, data.ptr, data.len);
    }
    x->answer_len = need;
    return true;
}

/* --- the end of a stream -----------------------------------------------------------------------
 */

static void begin_stream_reply(struct exchange *x);

static void finish_stream(struct exchange *x)
{
    struct slice tail = slice_of(x->tail, x->tail_len);
    if (x->state == EXCHANGE_STAGES) { /* the terminal event is the first that the client gets */
        begin_stream_reply(x);
    }
    loop_timer_stop(x->worker->loop, &x->timer);
    keep_stream(x);
    x->state = EXCHANGE_REPLYING;
    if (x->conn) {
        http_conn_stream_end(x->conn, &tail, tail.len ? 1 : 0);
    } else {
        exchange_end_detached(x);
    }
}

/* The terminal event did not come with the end of the upstream message: the client does not wait
 * for that. */
static void on_tail_due(struct loop_timer *timer)
{
    struct exchange *x = CONTAINER_OF(timer, struct exchange, timer);
    assert(x->is_terminal_seen);
    if (x->attempt) {
        struct attempt *a = x->attempt;
        x->attempt = NULL;
        attempt_cancel(a);
        call_health_end(x, HEALTH_OK, 0);
    }
    finish_stream(x);
}

static COLD void cut_stream(struct exchange *x, struct slice why)
{
    if (x->error_text.len == 0) {
        x->error_text = x->outcome.error.len ? x->outcome.error : why;
    }
    if (!x->conn) {
        if (x->flight && !x->is_follower) {
            flight_failed(x, &(struct fault){.kind = FAULT_UPSTREAM, .message = why});
        }
        account(x, RECORD_UPSTREAM_CUT, x->answer_status);
        x->state = EXCHANGE_REPLYING;
        exchange_end_detached(x);
        return;
    }
    exchange_fail(x, &(struct fault){.kind = FAULT_UPSTREAM, .message = why}, RECORD_UPSTREAM_CUT);
}

/* --- stream bytes ------------------------------------------------------------------------------
 */

/* Frees what only a retry would need. */
static void drop_request_body(struct exchange *x)
{
    if (x->attempt && attempt_was_sent(x->attempt)) {
        http_request_drop_body(x->rq);
    }
}

static void on_keepalive(struct loop_timer *timer);

static void arm_keepalive(struct exchange *x, int64_t from_ns)
{
    if (x->conf->keepalive_ns > 0 && !x->ask.is_array) { /* JSON has no comments */
        loop_timer_set(x->worker->loop, &x->timer, from_ns + x->conf->keepalive_ns, on_keepalive);
    }
}

static void begin_stream_reply(struct exchange *x)
{
    ROOM char room[REPLY_HEADERS_MAX_BYTES];
    struct text headers = text_in(room, sizeof(room));
    x->state = EXCHANGE_STREAMING;
    x->action = "relaying the stream";
    reply_headers(x, x->answer_type.len ? x->answer_type : relay_stream_type(x), &headers);
    TEXT_ADD(&headers, "cache-control: no-cache\r\nx-accel-buffering: no\r\n");
    if (x->conn) {
        http_conn_stream_begin(x->conn, 200, text_slice(&headers));
    }
    x->last_event_ns = loop_now_ns(x->worker->loop);
    arm_keepalive(x, x->last_event_ns);
}

static void store_gathered(struct exchange *x, const struct slice *parts, size_t n)
{
    for (size_t i = 0; i < n && x->is_storing; i++) {
        if (x->answer_len + parts[i].len > x->conf->cache_entry_max_bytes ||
            !answer_append(x, parts[i])) {
            x->is_storing = false;
        }
    }
}

static void send_gathered(struct exchange *x, const struct slice *parts, size_t n)
{
    store_gathered(x, parts, n);
    if (x->flight) {
        flight_events(x, parts, n);
    }
    if (x->conn && !http_conn_stream_write(x->conn, parts, n) && x->attempt && !x->is_paused) {
        x->is_paused = true;
        attempt_pause(x->attempt);
    }
}

/* What the guard has kept goes first. */
static void send_held(struct exchange *x)
{
    struct slice held = slice_of(x->held, x->held_len);
    x->held_len = x->held_cap = 0;
    if (held.len) {
        send_gathered(x, &held, 1); /* what the kernel does not take is copied */
    }
}

static void on_keepalive(struct loop_timer *timer)
{
    struct exchange *x = CONTAINER_OF(timer, struct exchange, timer);
    int64_t now_ns = loop_now_ns(x->worker->loop);
    if (now_ns - x->last_event_ns >= x->conf->keepalive_ns) {
        if (x->state == EXCHANGE_STAGES) { /* a word commits the status */
            begin_stream_reply(x);
            send_held(x);
            drop_request_body(x);
        }
        struct slice word =
            x->client->keepalive.len ? x->client->keepalive : SLICE(": keep-alive\n\n");
        x->last_event_ns = now_ns;
        if (x->conn && !x->is_paused) {
            (void)http_conn_stream_write(x->conn, &word, 1);
        }
    }
    arm_keepalive(x, x->last_event_ns);
}

/* A stream is guarded till its first content: nothing of it has gone out, so another target may
 * still answer. */
static bool is_guarded(const struct exchange *x)
{
    return x->conf->guards_streams && x->state == EXCHANGE_STAGES && x->first_byte_ns == 0;
}

/* Something went out, or content came in this very read and is about to: what has begun is not
 * repeated elsewhere, however the provider's bytes were cut. */
static bool has_begun(const struct exchange *x)
{
    return x->state == EXCHANGE_STREAMING || x->first_byte_ns != 0;
}

static bool grow_held(struct exchange *x, size_t need)
{
    size_t cap = x->held_cap ? size_min(HELD_MAX_BYTES, need * 2) : need;
    bool is_room = cap <= arena_left(x->arena);
    char *bigger = arena_alloc(is_room ? x->arena : &x->rq->body_arena, cap);
    if (!bigger) {
        return false;
    }
    if (x->held_len) {
        memcpy(bigger, x->held, x->held_len);
    }
    x->held = bigger;
    x->held_cap = cap;
    return true;
}

/* Keeps what was gathered; false: there is no room, and it goes out unguarded. */
static bool hold(struct exchange *x, const struct slice *parts, size_t n)
{
    size_t more = 0;
    for (size_t i = 0; i < n; i++) {
        more += parts[i].len;
    }
    if (more > HELD_MAX_BYTES - x->held_len) {
        return false;
    }
    if (x->held_len + more > x->held_cap && !grow_held(x, x->held_len + more)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(x->held + x->held_len, parts[i].ptr, parts[i].len);
        x->held_len += parts[i].len;
    }
    return true;
}

static void drop_gathered(struct worker *w)
{
    w->gather_count = 0;
    w->copy_len = 0;
}

/* Sends what one read of the provider's answer brought, in one write. */
static void flush_gather(struct exchange *x)
{
    struct worker *w = x->worker;
    size_t n = w->gather_count;
    drop_gathered(w);
    if (n == 0) {
        return;
    }
    if (x->state == EXCHANGE_STAGES) {
        begin_stream_reply(x);
        send_held(x);
        drop_request_body(x);
    }
    send_gathered(x, w->gather, n);
}

/* At the end of a read. */
static void flush_unguarded(struct exchange *x)
{
    struct worker *w = x->worker;
    if (is_guarded(x) && hold(x, w->gather, w->gather_count)) {
        drop_gathered(w);
        return;
    }
    flush_gather(x);
}

/* Bytes inside the read buffer are sent from there; others are copied, because the decoder may use
 * them again. */
static HOT void gather(struct exchange *x, struct slice bytes, struct slice in)
{
    struct worker *w = x->worker;
    bool is_in_place = bytes.ptr >= in.ptr && bytes.ptr + bytes.len <= in.ptr + in.len;
    if (w->gather_count == WORKER_GATHER_MAX ||
        (!is_in_place && bytes.len > WORKER_COPY_BYTES - w->copy_len)) {
        flush_unguarded(x); /* before the copy: a flush empties the area */
    }
    if (!is_in_place) {
        if (bytes.len > WORKER_COPY_BYTES) { /* larger than the area: sent alone, at once */
            w->gather[w->gather_count++] = bytes;
            flush_unguarded(x);
            return;
        }
        memcpy(w->copy + w->copy_len, bytes.ptr, bytes.len);
        bytes.ptr = w->copy + w->copy_len;
        w->copy_len += bytes.len;
    }
    struct slice *last = w->gather_count ? &w->gather[w->gather_count - 1] : NULL;
    if (last && last->ptr + last->len == bytes.ptr) {
        last->len += bytes.len;
        return;
    }
    w->gather[w->gather_count++] = bytes;
}

/* Keeps the terminal event until the attempt has ended, usually later in this turn: one write less.
 */
static enum err hold_tail(struct exchange *x, struct slice bytes)
{
    x->tail = bytes.len ? arena_alloc(x->arena, bytes.len) : NULL;
    if (bytes.len && !x->tail) {
        return E_NOMEM;
    }
    if (bytes.len) {
        memcpy(x->tail, bytes.ptr, bytes.len);
    }
    x->tail_len = bytes.len;
    x->is_terminal_seen = true;
    return OK;
}

static HOT enum err on_stream_bytes(void *ctx, struct slice bytes, unsigned flags)
{
    struct exchange *x = ctx;
    bool is_first = x->worker->gather_count == 0 && x->held_len == 0;
    if ((flags & STREAM_ERROR) && (is_guarded(x) || (x->state == EXCHANGE_STAGES && is_first))) {
        return E_CANCELLED; /* an error before anything else: the next target may do better */
    }
    if ((flags & STREAM_CONTENT) && x->first_byte_ns == 0) {
        x->first_byte_ns = loop_now_ns(x->worker->loop);
        loop_timer_stop(x->worker->loop, &x->token_timer);
    }
    if (flags & STREAM_TERMINAL) {
        return hold_tail(x, bytes);
    }
    x->is_error_sent |= (flags & STREAM_ERROR) != 0;
    if (bytes.len) {
        gather(x, bytes, x->worker->feeding);
    }
    return OK;
}

/* The own dialect's last event carries the cost, so accounting happens as it is rendered. */
static void render_last(void *ctx, struct text *out)
{
    struct exchange *x = ctx;
    struct streamed s;
    account(x, RECORD_SUCCESS, 200);
    keep_gather(x, &s);
    struct own_extras extras = {
        .cost_nusd = x->cost_nusd,
        .latency_ms = (loop_now_ns(x->worker->loop) - x->started_ns) / NS_PER_MS,
        .rate_limit_remaining = x->remaining.requests_limit < 0 ? -1 : x->remaining.requests_left,
        .provider = x->target->provider->name,
    };
    own_render_result(&s.response, &extras, out);
}

static enum err open_stream(struct exchange *x)
{
    struct stream_options o = {
        .provider = x->speaks,
        .client = x->client,
        .op = x->route->op,
        .hides_usage = x->adds_usage,
        .is_array = x->ask.is_array,
        .request = x->ask.neutral,
        .gathers = x->is_storing && !dialect_is_same(x->client, x->speaks),
        .now_unix_s = loop_unix_ns(x->worker->loop) / NS_PER_S,
        .id = slice_of(x->id_text, ID_TEXT_BYTES),
        .model = x->target->model,
        .event_max_bytes = x->conf->event_max_bytes,
        .on_bytes = on_stream_bytes,
        .ctx = x,
        .render_last = render_last,
    };
    if (x->client != x->speaks || x->ask.is_array) {
        x->answer_type = relay_stream_type(x);
    }
    enum err e = dialect_stream_new(x->arena, &o, &x->outcome, &x->stream);
    attempt_warm(x->attempt, x->stream);
    return e;
}

/* --- the attempt's callbacks -------------------------------------------------------------------
 */

/* The current attempt is given up from inside a callback. */
static void give_up(struct exchange *x, struct failure why)
{
    struct attempt *a = x->attempt;
    x->was_sent = attempt_was_sent(a);
    x->attempt = NULL;
    loop_timer_stop(x->worker->loop, &x->timer);
    loop_timer_stop(x->worker->loop, &x->token_timer);
    attempt_cancel(a);
    if (x->state == EXCHANGE_STREAMING) {
        call_health_end(x, HEALTH_FAILED, 0);
        x->failure = why;
        cut_stream(x, why.message);
        return;
    }
    account_abandoned(x);
    call_failed(x, HEALTH_FAILED, &why);
}

/* A head came, but no content: events without any do not count as an answer. */
static void on_first_token_due(struct loop_timer *timer)
{
    struct exchange *x = CONTAINER_OF(timer, struct exchange, token_timer);
    if (x->attempt && is_guarded(x)) {
        give_up(x, (struct failure){.is_set = true,
                                    .error = E_TIMEOUT,
                                    .message = SLICE("the provider's stream has no content yet")});
    }
}

/* The time for the first byte of an answer is also the time for its first content. */
static void arm_first_token(struct exchange *x)
{
    int64_t timeout_ns = x->target->provider->timeouts.first_byte_ns;
    if (x->conf->guards_streams && timeout_ns > 0) {
        loop_timer_set(x->worker->loop, &x->token_timer,
                       i64_add_sat(x->attempt_started_ns, timeout_ns), on_first_token_due);
    }
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct exchange *x = ctx;
    struct slice type = http_head_get(head, FIELD_CONTENT_TYPE);
    x->action = "reading the answer";
    x->answer_status = head->status;
    x->answer_type = type;
    x->upstream_request_id = http_head_get(head, FIELD_X_REQUEST_ID);
    if (!x->upstream_request_id.len) {
        x->upstream_request_id = http_head_find(head, SLICE("request-id")); /* Anthropic's */
    }
    x->answer_promised = head->content_length > 0 ? (size_t)head->content_length : 0;
    if (head->status >= 400) {
        x->failure.retry_after = http_head_get(head, FIELD_RETRY_AFTER);
        return;
    }
    x->failure.retry_after = SLICE_NONE;
    if (x->raw) {
        raw_on_head(x, head);
        return;
    }
    x->is_answer_stream = x->ask.is_stream && dialect_is_stream_type(x->speaks, type);
    if (x->is_answer_stream) {
        if (open_stream(x) != OK) {
            x->is_answer_stream = false; /* read as a whole answer: no comment may precede it */
            return;
        }
        arm_keepalive(x, loop_now_ns(x->worker->loop));
        x->last_event_ns = loop_now_ns(x->worker->loop);
        arm_first_token(x);
    }
}

static HOT void on_stream_data(struct exchange *x, struct slice data)
{
    struct worker *w = x->worker;
    prefetch(x->conn, WARM_BYTES);
    x->last_event_ns = loop_now_ns(w->loop);
    w->feeding = data;
    enum err e = dialect_stream_feed(x->stream, data);
    if (e != OK && !x->is_terminal_seen) { /* what follows the terminal event does not matter */
        bool is_quoted = e == E_CANCELLED && x->outcome.error.len > 0;
        call_hide_key(x, x->outcome.error);
        if (x->state == EXCHANGE_STREAMING) {
            flush_gather(x); /* whole events that came before */
        }
        drop_gathered(w); /* else nothing was sent: the next target begins anew */
        give_up(x,
                (struct failure){.is_set = true,
                                 .error = e == E_CANCELLED ? E_IO : e,
                                 .message = is_quoted ? x->outcome.error : slice_str(err_text(e)),
                                 .is_quoted = is_quoted});
        return;
    }
    if (x->is_terminal_seen) {
        account(x, x->outcome.is_error ? RECORD_ERROR : RECORD_SUCCESS, 200);
        if (x->attempt) { /* on_end usually follows in this turn; if not, the tail goes out soon */
            loop_timer_set(w->loop, &x->timer, loop_now_ns(w->loop) + 1, on_tail_due);
        }
    }
}

static void stream_ended(struct exchange *x, enum err e, const char *action)
{
    loop_timer_stop(x->worker->loop, &x->timer);
    loop_timer_stop(x->worker->loop, &x->token_timer);
    if (x->is_terminal_seen) {
        flush_gather(x);
        call_health_end(x, HEALTH_OK, 0);
        finish_stream(x);
        return;
    }
    if (e == OK) {
        x->worker->feeding = SLICE_NONE;
        e = dialect_stream_end(x->stream);
    }
    if (e == OK || has_begun(x)) {
        flush_gather(x);
    }
    drop_gathered(x->worker);
    if (e == OK) {
        call_health_end(x, HEALTH_OK, 0);
        account(x, RECORD_SUCCESS, 200);
        finish_stream(x);
        return;
    }
    struct slice why =
        arena_printf(x->arena, "the provider's stream was cut while %s: %s", action, err_text(e));
    if (x->state == EXCHANGE_STREAMING) {
        call_health_end(x, HEALTH_FAILED, 0);
        cut_stream(x, why);
        return;
    }
    account_abandoned(x);
    call_failed(x, HEALTH_FAILED, &(struct failure){.is_set = true, .error = e, .message = why});
}

/* A server that serves any name does not know the one that the client chose: nobody's key or
 * deployment is to blame, and the target is well. */
static bool is_clients_name(const struct exchange *x, const struct upstream_fault *uf)
{
    static const struct slice word = SLICE_INIT("model");
    bool names_model = slice_search(uf->message, word) < uf->message.len ||
                       slice_search(uf->code, word) < uf->code.len;
    return uf->blame == BLAME_US_DEPLOYMENT && names_model && x->target->provider->passes_unknown &&
           slice_ends(x->ask.model, x->target->model);
}

/* When to try again, in seconds as the header has it; some providers say it in the body alone. */
static struct slice retry_after_of(const struct exchange *x, const struct upstream_fault *uf)
{
    int64_t seconds = uf->retry_after_ns / NS_PER_S + (uf->retry_after_ns % NS_PER_S != 0);
    return x->failure.retry_after.len || seconds <= 0
               ? x->failure.retry_after
               : arena_printf(x->arena, "%lld", (long long)seconds);
}

/* A complete answer with an error status: whose fault, and is there another target? */
static void error_answer(struct exchange *x)
{
    struct upstream_fault uf = {0};
    struct slice body = slice_of(x->answer, x->answer_len);
    call_hide_key(x, body);
    x->speaks->read_fault(x->arena, x->answer_status, body, &uf);
    uf.blame = raw_blame(x, uf.blame);
    bool is_name = is_clients_name(x, &uf);
    struct failure why = {
        .is_set = true,
        .status = x->answer_status,
        .is_ours = uf.blame == BLAME_US_KEY || uf.blame == BLAME_US_QUOTA ||
                   (uf.blame == BLAME_US_DEPLOYMENT && !is_name),
        .body = body,
        .content_type = x->answer_type,
        .retry_after = retry_after_of(x, &uf),
        .message = uf.message,
        .is_quoted = true,
    };
    if (uf.blame == BLAME_CLIENT) {
        call_health_end(x, HEALTH_OK, 0);
        x->failure = why;
        x->error_text = uf.message;
        if (dialect_is_same(x->client, x->speaks)) {
            if (x->flight && !x->is_follower) {
                flight_failed(x, &(struct fault){.kind = FAULT_BAD_REQUEST,
                                                 .status = why.status,
                                                 .message = uf.message});
            }
            relay_whole(x);
            return;
        }
        exchange_fail(
            x,
            &(struct fault){.kind = FAULT_BAD_REQUEST, .status = why.status, .message = uf.message},
            RECORD_ERROR);
        return;
    }
    enum health_outcome outcome = is_name                     ? HEALTH_OK
                                  : why.is_ours               ? HEALTH_REFUSED
                                  : uf.blame == BLAME_LIMITED ? HEALTH_LIMITED
                                                              : HEALTH_FAILED;
    x->answer = NULL;
    x->answer_cap = 0;
    call_failed(x, outcome, &why);
}

static void whole_ended(struct exchange *x, enum err e, const char *action)
{
    if (e != OK) {
        struct slice why =
            arena_printf(x->arena, "%s while %s%s%.*s", err_text(e), action,
                         x->answer_detail.len ? ": " : "", SLICE_ARG(x->answer_detail));
        if (e != E_CONNECT && e != E_DNS && e != E_TLS) {
            account_abandoned(x);
        }
        call_failed(x, HEALTH_FAILED,
                    &(struct failure){.is_set = true, .error = e, .message = why});
        return;
    }
    if (x->answer_status >= 400) {
        error_answer(x);
        return;
    }
    struct slice body = slice_of(x->answer, x->answer_len);
    x->outcome.wants_detail = x->is_storing;
    e = x->speaks->observe(x->arena, x->route->op, body, &x->outcome);
    x->decoded = NULL;
    x->vectors = NULL;
    if (e == OK && !x->outcome.is_error && !dialect_is_same(x->client, x->speaks)) {
        e = relay_decode(x, body, x->speaks);
    }
    bool is_bad = e != OK || x->outcome.is_error || x->outcome.is_empty || x->answer_status != 200;
    if (is_bad) {
        struct slice why =
            x->outcome.error.len ? x->outcome.error : SLICE("the provider's answer is not usable");
        bool is_quoted = x->outcome.error.len > 0;
        call_hide_key(x, x->outcome.error);
        x->answer = NULL;
        x->answer_cap = 0;
        x->was_sent = x->was_sent && x->outcome.has_usage; /* what it reported is what it costs */
        account_abandoned(x);
        call_failed(x, HEALTH_FAILED,
                    &(struct failure){
                        .is_set = true, .error = E_SYNTAX, .message = why, .is_quoted = is_quoted});
        return;
    }
    call_health_end(x, HEALTH_OK, 0);
    relay_whole(x);
}

/* The rest of a long error page is not needed, and it may have no end. */
static void cut_error_page(struct exchange *x)
{
    struct attempt *a = x->attempt;
    x->was_sent = attempt_was_sent(a);
    x->attempt = NULL;
    attempt_cancel(a);
    whole_ended(x, OK, x->action);
}

static void on_body(void *ctx, struct slice data)
{
    struct exchange *x = ctx;
    if (x->raw && x->answer_status < 400) {
        raw_on_body(x, data);
        return;
    }
    if (x->is_answer_stream) {
        on_stream_data(x, data);
        return;
    }
    bool is_page = x->answer_status >= 400;
    size_t max = is_page ? PROVIDER_ERROR_MAX_BYTES : x->conf->response_max_bytes;
    bool is_too_large = data.len > max - x->answer_len;
    if (is_page && is_too_large) {
        data = slice_head(data, max - x->answer_len);
    }
    if ((is_too_large && !is_page) || !answer_append(x, data)) {
        give_up(x,
                (struct failure){.is_set = true,
                                 .error = E_LIMIT,
                                 .message = SLICE("the provider's answer is larger than allowed")});
    } else if (is_too_large) {
        cut_error_page(x);
    }
}

static HOT void on_input_end(void *ctx)
{
    flush_unguarded(ctx);
}

static void on_end(void *ctx, enum err e, const char *action)
{
    struct exchange *x = ctx;
    x->was_sent = attempt_was_sent(x->attempt);
    struct slice detail = attempt_detail(x->attempt);
    x->attempt = NULL;
    x->is_paused = false;
    x->answer_detail = detail;
    if (raw_is_answering(x)) {
        raw_on_end(x, e, action);
    } else if (x->is_answer_stream) {
        stream_ended(x, e, action);
    } else {
        whole_ended(x, e, action);
    }
}

const struct attempt_handler relay_handler = {
    .on_head = on_head, .on_body = on_body, .on_input_end = on_input_end, .on_end = on_end};

void relay_drained(struct exchange *x)
{
    if (x->is_follower) {
        flight_drained(x);
    } else if (x->is_paused && x->attempt) {
        x->is_paused = false;
        attempt_resume(x->attempt);
    }
}
