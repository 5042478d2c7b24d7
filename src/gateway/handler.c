#include "gateway/handler.h"

#include "gateway/account.h"
#include "gateway/call.h"
#include "gateway/door.h"
#include "gateway/flight.h"
#include "gateway/pipeline.h"
#include "gateway/relay.h"
#include "gateway/reply.h"
#include "gateway/router.h"

#include <assert.h>
#include <stdarg.h>

enum { STATUS_UPGRADE_REQUIRED = 426 };

/* --- doors -------------------------------------------------------------------------------------
 */

static struct door *door_new(struct worker *w, struct http_conn *c, struct http_request *rq)
{
    struct door *d = ARENA_NEW(&rq->arena, struct door);
    if (d) {
        d->handler = HANDLER_DOOR;
        d->worker = w;
        d->conn = c;
        d->rq = rq;
        d->conf = versions_current(&w->versions);
        versions_acquire(&w->versions, d->conf);
        id_format(id_next(&w->ids, loop_unix_ns(w->loop)), d->id_text);
        rq->exchange = d;
    }
    return d;
}

static void door_end(struct door *d)
{
    versions_release(&d->worker->versions, &d->worker->gateway->conf, d->conf);
}

void door_reply(struct door *d, int status, struct slice content_type, struct slice headers,
                struct slice body)
{
    char room[REPLY_HEADERS_MAX_BYTES];
    struct text t = text_in(room, sizeof(room));
    assert(!d->is_replied);
    d->is_replied = true;
    if (!d->conn) { /* the client left while a job was out */
        struct http_request *rq = d->rq;
        door_end(d);
        http_request_free(rq);
        return;
    }
    TEXT_ADD(&t, "content-type: ");
    text_add(&t, content_type);
    TEXT_ADD(&t, "\r\nx-request-id: ");
    text_add(&t, slice_of(d->id_text, ID_TEXT_BYTES));
    TEXT_ADD(&t, "\r\n");
    text_add(&t, headers);
    reply_cors_headers(d->conf, &d->rq->head, &t);
    http_conn_reply(d->conn, status, text_slice(&t), &body, 1);
}

void door_fail(struct door *d, int status, const char *format, ...)
{
    struct text body = text_growing(&d->rq->arena);
    va_list args;
    va_start(args, format);
    struct slice message = arena_vprintf(&d->rq->arena, format, args);
    va_end(args);
    TEXT_ADD(&body, "{\"detail\":");
    text_add_json_string(&body, message);
    TEXT_ADD(&body, "}");
    door_reply(d, status, SLICE("application/json"), SLICE_NONE, text_slice(&body));
}

/* --- heads -------------------------------------------------------------------------------------
 */

/* Unknown paths answer in the dialect that a client of that path would speak. */
static const struct dialect *dialect_at(const struct gateway_conf *conf, struct slice path)
{
    struct slice rest;
    if (slice_starts(path, conf->api_prefix) || slice_starts(path, SLICE("/health"))) {
        return &dialect_own;
    }
    const struct dialect *d = dialect_of_path(path);
    const struct api_route *route = router_find(path, conf->api_prefix, PORT_TENANT, &rest);
    bool is_gemini = route && route->dialect == &dialect_gemini; /* below /v1/models/, too */
    return d ? d : is_gemini ? &dialect_gemini : &dialect_openai;
}

static bool is_websocket(const struct http_head *head)
{
    struct slice protocols = http_head_get(head, FIELD_UPGRADE);
    while (protocols.len) {
        size_t comma = slice_find(protocols, ',');
        struct slice name = slice_trim(slice_head(protocols, comma));
        if (slice_eq_nocase(slice_head(name, slice_find(name, '/')), SLICE("websocket"))) {
            return true;
        }
        protocols = slice_from(protocols, comma + 1);
    }
    return false;
}

static void refuse_head(struct worker *w, struct http_conn *c, struct http_request *rq,
                        const struct fault *f, const struct api_route *route)
{
    struct door *d = door_new(w, c, rq);
    if (!d) {
        http_conn_abort(c);
        return;
    }
    struct text body = text_growing(&rq->arena);
    struct text headers = text_growing(&rq->arena);
    int status = 0;
    struct fault named = *f;
    named.request_id = slice_of(d->id_text, ID_TEXT_BYTES);
    dialect_at(d->conf, rq->head.path)->render_fault(&named, &status, &body, &headers);
    if (route) {
        TEXT_ADD(&headers, "allow: ");
        router_allow(route, &headers);
        TEXT_ADD(&headers, "\r\n");
    }
    if (status == STATUS_UPGRADE_REQUIRED) { /* RFC 9110 section 15.5.22: what would be spoken */
        TEXT_ADD(&headers, "upgrade: HTTP/1.1\r\nconnection: upgrade\r\n");
    }
    door_reply(d, status, SLICE("application/json"), text_slice(&headers), text_slice(&body));
}

/* Codex asks for a WebSocket first. A 426 makes it POST at once, a 405 only after five tries. */
static void refuse_verb(struct worker *w, struct http_conn *c, struct http_request *rq,
                        const struct api_route *route)
{
    struct fault f = {.kind = FAULT_METHOD, .message = SLICE("Method Not Allowed")};
    if (rq->head.verb == VERB_GET && is_websocket(&rq->head)) {
        f.status = STATUS_UPGRADE_REQUIRED;
        f.code = SLICE("websocket_not_supported");
        f.message = SLICE("WebSockets are not served here: POST the request, and its answer is "
                          "streamed as server-sent events.");
    }
    refuse_head(w, c, rq, &f, route);
}

static bool is_loop(const struct worker *w, const struct http_head *head)
{
    struct slice via = http_head_get(head, FIELD_VIA);
    return via.len && slice_search(via, slice_str(w->gateway->via)) < via.len;
}

static void preflight(struct worker *w, struct http_conn *c, struct http_request *rq)
{
    struct door *d = door_new(w, c, rq);
    if (!d) {
        http_conn_abort(c);
        return;
    }
    struct text allow = text_growing(&rq->arena);
    TEXT_ADD(&allow, "allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
    door_reply(d, 204, SLICE("text/plain"), text_slice(&allow), SLICE_NONE);
}

static void begin_exchange(struct worker *w, struct http_conn *c, struct http_request *rq,
                           const struct api_route *route, struct slice rest)
{
    struct exchange *x = exchange_new(w, c, rq, route);
    if (!x) {
        http_conn_abort(c);
        return;
    }
    x->rest = rest;
    if (route->kind == ROUTE_MODELS) {
        models_reply(x, rest);
        return;
    }
    pipeline_run(x);
}

static void begin_door(struct worker *w, struct http_conn *c, struct http_request *rq,
                       const struct api_route *route, struct slice rest)
{
    struct door *d = door_new(w, c, rq);
    if (!d) {
        http_conn_abort(c);
        return;
    }
    d->route = route;
    d->rest = rest;
    if (w->gateway->doors->on_head(d)) {
        http_conn_read_body(c, DOOR_BODY_MAX_BYTES);
    }
}

static void on_head(void *ctx, struct http_conn *c, struct http_request *rq)
{
    struct worker_port *port = ctx;
    struct worker *w = port->worker;
    const struct gateway_conf *conf = versions_current(&w->versions);
    struct slice rest;

    if (is_loop(w, &rq->head)) {
        refuse_head(w, c, rq,
                    &(struct fault){.kind = FAULT_LOOP,
                                    .message = SLICE(
                                        "This request has passed this gateway before: a provider's "
                                        "base_url points at the gateway itself.")},
                    NULL);
        return;
    }
    if (rq->head.verb == VERB_OPTIONS) {
        preflight(w, c, rq);
        return;
    }
    const struct api_route *route =
        router_find(rq->head.path, conf->api_prefix, port->roles, &rest);
    if (!route) {
        refuse_head(w, c, rq,
                    &(struct fault){.kind = FAULT_NOT_FOUND, .message = SLICE("Not Found")}, NULL);
    } else if (!(route->verbs & (1u << rq->head.verb))) {
        refuse_verb(w, c, rq, route);
    } else if (route->kind == ROUTE_DOOR) {
        begin_door(w, c, rq, route, rest);
    } else {
        begin_exchange(w, c, rq, route, rest);
    }
}

static void on_body(void *ctx, struct http_conn *c, struct http_request *rq)
{
    enum handler_kind *kind = rq->exchange;
    (void)ctx;
    (void)c;
    if (*kind == HANDLER_DOOR) {
        struct door *d = rq->exchange;
        d->worker->gateway->doors->on_body(d);
    } else {
        pipeline_resume(rq->exchange);
    }
}

static void on_drained(void *ctx, struct http_conn *c, struct http_request *rq)
{
    enum handler_kind *kind = rq->exchange;
    (void)ctx;
    (void)c;
    if (*kind == HANDLER_EXCHANGE) {
        relay_drained(rq->exchange);
    }
}

void exchange_gone(struct exchange *x)
{
    x->conn = NULL;
    if (x->is_offloaded) { /* scan_done() ends it */
        http_request_keep(x->rq);
        return;
    }
    if (flight_has_followers(x)) { /* the call goes on for those who follow, be it in a back-off */
        http_request_keep(x->rq);
        x->is_leader_gone = true;
        if (x->is_paused && x->attempt) {
            x->is_paused = false;
            attempt_resume(x->attempt);
        }
        return;
    }
    call_cancel(x);
    account(x, RECORD_CLIENT_GONE, 499);
    exchange_end(x);
}

static void on_gone(void *ctx, struct http_conn *c, struct http_request *rq)
{
    enum handler_kind *kind = rq->exchange;
    (void)ctx;
    (void)c;
    if (*kind == HANDLER_EXCHANGE) {
        exchange_gone(rq->exchange);
        return;
    }
    struct door *d = rq->exchange;
    d->conn = NULL;
    if (d->is_replied || !d->state) {
        door_end(d);
    } else {
        http_request_keep(rq); /* a job is out; door_reply() frees */
    }
}

static void on_done(void *ctx, struct http_conn *c, struct http_request *rq)
{
    enum handler_kind *kind = rq->exchange;
    (void)ctx;
    (void)c;
    if (*kind == HANDLER_EXCHANGE) {
        exchange_end(rq->exchange);
    } else {
        door_end(rq->exchange);
    }
}

/* What listen says itself has a status and a text only. */
static enum fault_kind fault_kind_of(int status)
{
    switch (status) {
    case 413: return FAULT_TOO_LARGE;
    case 503: return FAULT_OVERLOADED;
    default: return status >= 500 ? FAULT_INTERNAL : FAULT_BAD_REQUEST;
    }
}

static void on_fault(void *ctx, int status, const char *text, struct http_request *rq,
                     struct text *out)
{
    struct worker_port *port = ctx;
    const struct gateway_conf *conf = versions_current(&port->worker->versions);
    const struct fault f = {
        .kind = fault_kind_of(status), .status = status, .message = slice_str(text)};
    char room[64];
    struct text headers = text_in(room, sizeof(room)); /* these kinds have none */
    dialect_at(conf, rq ? rq->head.path : SLICE_NONE)->render_fault(&f, &status, out, &headers);
}

struct http_handler gateway_handler(struct worker_port *port)
{
    return (struct http_handler){.ctx = port,
                                 .on_head = on_head,
                                 .on_body = on_body,
                                 .on_drained = on_drained,
                                 .on_gone = on_gone,
                                 .on_done = on_done,
                                 .on_fault = on_fault};
}
