#include "gateway/exchange.h"

#include "gateway/account.h"
#include "gateway/flight.h"
#include "gateway/raw.h"
#include "gateway/reply.h"
#include "gateway/router.h"

#include <assert.h>

struct exchange *exchange_new(struct worker *w, struct http_conn *c, struct http_request *rq,
                              const struct api_route *route)
{
    struct exchange *x = ARENA_NEW(&rq->arena, struct exchange);
    if (!x) {
        return NULL;
    }
    x->handler = HANDLER_EXCHANGE;
    x->worker = w;
    x->conn = c;
    x->rq = rq;
    x->arena = &rq->arena;
    x->route = route;
    x->client = route->dialect;
    x->action = "reading the request";
    x->started_ns = rq->started_ns;
    x->started_unix_ns = loop_unix_ns(w->loop);
    x->id = id_next(&w->ids, x->started_unix_ns);
    id_format(x->id, x->id_text);
    x->conf = versions_current(&w->versions);
    versions_acquire(&w->versions, x->conf);
    list_init(&x->follow);
    list_init(&x->link);
    list_append(&w->live, &x->link);
    w->live_count++;
    rq->exchange = x;
    return x;
}

void exchange_end(struct exchange *x)
{
    struct worker *w = x->worker;
    assert(x->state != EXCHANGE_ENDED);
    assert(!x->attempt && (x->is_accounted || !x->is_known));
    account_log(x);
    loop_timer_stop(w->loop, &x->timer);
    loop_timer_stop(w->loop, &x->token_timer);
    if (x->flight) {
        flight_leave(x);
    }
    cache_entry_unref(x->hit);
    x->hit = NULL;
    credential_unref(TAKE(x->bearer));
    arena_deinit(&x->answer_arena);
    x->state = EXCHANGE_ENDED;
    list_remove(&x->link);
    w->live_count--;
    versions_release(&w->versions, &w->gateway->conf, x->conf);
}

void exchange_end_detached(struct exchange *x)
{
    struct http_request *rq = x->rq;
    assert(!x->conn && !x->attempt);
    exchange_end(x);
    http_request_free(rq);
}

struct slice exchange_keep(struct exchange *x, struct slice s)
{
    return s.len ? arena_dup(x->arena, s) : SLICE_NONE;
}

struct slice exchange_credential(const struct exchange *x)
{
    struct slice given = auth_credential(&x->rq->head, x->conf->api_key_header);
    bool may_be_in_query = !given.len && x->route->dialect == &dialect_gemini;
    return may_be_in_query ? http_query_get(x->arena, x->rq->head.query, SLICE("key")) : given;
}

enum err exchange_decode(struct exchange *x, struct fault *out_fault)
{
    if (x->route->op != CHAT_OP_EMBEDDING) {
        return x->ask.neutral ? OK : x->client->decode_request(x->arena, &x->ask, out_fault);
    }
    if (x->ask.embedding) {
        return OK;
    }
    return x->client->embedding ? x->client->embedding->decode_request(x->arena, &x->ask, out_fault)
                                : E_UNSUPPORTED;
}

/* The head is out already: only an event can tell the client, unless the provider's has. */
static void fail_stream(struct exchange *x, const struct fault *f)
{
    if (x->raw) {
        raw_cut(x);
        return;
    }
    char room[2048];
    struct text event = text_in(room, sizeof(room));
    if (!x->is_error_sent) {
        struct fault named = *f;
        named.request_id = slice_of(x->id_text, ID_TEXT_BYTES);
        if (x->stream) {
            dialect_stream_fault(x->stream, &named, &event);
        } else { /* of a stream that this one follows */
            x->client->render_stream_fault(&named, &event);
        }
    }
    struct slice part = text_slice(&event);
    x->state = EXCHANGE_REPLYING;
    if (x->conn && event.is_full) {
        http_conn_abort(x->conn); /* without its event the end would look like a clean one */
    } else if (x->conn) {
        http_conn_stream_end(x->conn, &part, part.len == 0 ? 0 : 1);
    } else {
        exchange_end_detached(x);
    }
}

/* Which limit refused, and when the next request would pass. */
static void refusal_headers(const struct fault *f, struct text *headers)
{
    if (f->retry_after_ns > 0) {
        text_addf(headers, "retry-after: %lld\r\nretry-after-ms: %lld\r\n",
                  (long long)((f->retry_after_ns + NS_PER_S - 1) / NS_PER_S),
                  (long long)((f->retry_after_ns + NS_PER_MS - 1) / NS_PER_MS));
    }
    if (f->limit_name.len) {
        text_addf(headers, "x-llm-gateway-limit: %.*s\r\n", SLICE_ARG(f->limit_name));
    }
}

static void fail_reply(struct exchange *x, const struct fault *f, enum record_status status)
{
    char room[REPLY_HEADERS_MAX_BYTES];
    struct text headers = text_in(room, sizeof(room));
    struct text body = text_growing(x->arena);
    int http_status = 0;
    struct text fault_headers = text_growing(x->arena);
    struct fault named = *f;
    named.request_id = slice_of(x->id_text, ID_TEXT_BYTES);
    x->client->render_fault(&named, &http_status, &body, &fault_headers);
    account(x, status, http_status);
    x->state = EXCHANGE_REPLYING;
    if (!x->conn) {
        exchange_end_detached(x);
        return;
    }
    reply_headers(x, SLICE("application/json"), &headers);
    refusal_headers(f, &headers);
    text_add(&headers, text_slice(&fault_headers));
    struct slice part = text_slice(&body);
    http_conn_reply(x->conn, http_status, text_slice(&headers), &part, 1);
}

void exchange_fail(struct exchange *x, const struct fault *f, enum record_status status)
{
    loop_timer_stop(x->worker->loop, &x->timer);
    if (!x->error_text.len) {
        x->error_text = exchange_keep(x, f->message);
    }
    x->refused_by = f->limit_name;
    x->is_rate_limited = f->kind == FAULT_RATE_LIMITED;
    if (x->flight && !x->is_follower) {
        flight_failed(x, f);
    }
    if (x->state == EXCHANGE_STREAMING) {
        account(x, status, x->answer_status);
        fail_stream(x, f);
    } else {
        assert(x->state == EXCHANGE_STAGES);
        fail_reply(x, f, status);
    }
}
