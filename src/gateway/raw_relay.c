/* gateway/raw_relay.c -- the answer to a request of gateway/raw.h, while it passes. */
#include "gateway/account.h"
#include "gateway/call.h"
#include "gateway/raw.h"
#include "gateway/reply.h"

#include <assert.h>

/* What a provider may say to a client; Content-Type and Content-Length go beside it. */
static const struct slice passed_headers[] = {
    SLICE_INIT("accept-ranges"),       SLICE_INIT("cache-control"),
    SLICE_INIT("content-disposition"), SLICE_INIT("content-encoding"),
    SLICE_INIT("content-range"),       SLICE_INIT("etag"),
    SLICE_INIT("last-modified"),       SLICE_INIT("openai-processing-ms"),
    SLICE_INIT("openai-version"),
};

bool raw_is_answering(const struct exchange *x)
{
    return x->raw && x->raw->is_begun;
}

/* --- metering -----------------------------------------------------------------------------------
 */

static enum err ignore_bytes(void *ctx, struct slice bytes, unsigned flags)
{
    struct exchange *x = ctx;
    (void)bytes;
    if ((flags & STREAM_CONTENT) && x->first_byte_ns == 0) {
        x->first_byte_ns = loop_now_ns(x->worker->loop);
    }
    return OK;
}

/* The events are read beside their way to the client: what cannot be read passes all the same. */
static void watch_events(struct exchange *x)
{
    struct stream_options o = {
        .provider = x->speaks,
        .client = x->speaks,
        .op = CHAT_OP_CHAT,
        .now_unix_s = loop_unix_ns(x->worker->loop) / NS_PER_S,
        .event_max_bytes = x->conf->event_max_bytes,
        .on_bytes = ignore_bytes,
        .ctx = x,
    };
    if (dialect_stream_new(x->arena, &o, &x->outcome, &x->raw->watch) != OK) {
        x->raw->watch = NULL;
    }
}

static struct slice usage_member(const struct exchange *x)
{
    return x->speaks->usage_member.len ? x->speaks->usage_member : SLICE("usage");
}

static void begin_metering(struct exchange *x)
{
    struct slice type = x->answer_type;
    x->outcome = (struct outcome){0};
    if (slice_eq_nocase(slice_head(type, 17), SLICE("text/event-stream"))) {
        watch_events(x);
    } else if (slice_eq_nocase(slice_head(type, 16), SLICE("application/json"))) {
        x->raw->usage = ARENA_NEW(x->arena, struct json_tap);
        if (x->raw->usage) {
            json_tap_init(x->raw->usage, usage_member(x));
        }
    }
}

static void meter(struct exchange *x, struct slice data)
{
    struct raw *raw = x->raw;
    if (raw->usage) {
        json_tap_feed(raw->usage, data);
    }
    if (raw->watch && dialect_stream_feed(raw->watch, data) != OK) {
        raw->watch = NULL;
    }
}

/* The dialect reads its own usage object, in the smallest answer that holds it. */
static void read_usage(struct exchange *x)
{
    struct slice usage = json_tap_value(x->raw->usage);
    struct text body = text_growing(x->arena);
    struct outcome out = {0};
    if (!usage.len) {
        return;
    }
    TEXT_ADD(&body, "{");
    text_add_json_string(&body, usage_member(x));
    TEXT_ADD(&body, ":");
    text_add(&body, usage);
    TEXT_ADD(&body, "}");
    if (!body.is_full &&
        x->speaks->observe(x->arena, CHAT_OP_CHAT, text_slice(&body), &out) == OK) {
        x->outcome.usage = out.usage;
        x->outcome.has_usage = out.has_usage;
    }
}

bool raw_settle(struct exchange *x)
{
    const struct raw *raw = x->raw;
    if (!x->target || !raw->is_begun) {
        return false;
    }
    if (x->ask.is_unbilled) { /* though a batch that is looked at tells what it used */
        x->outcome.usage = (struct usage){0};
        return false;
    }
    if (raw->usage && !x->outcome.has_usage) {
        read_usage(x);
    }
    if (!x->outcome.has_usage && raw->is_json && x->ask.model.len) {
        account_estimate(x);
    } else if (!x->outcome.has_usage) { /* of bytes we know nothing to count */
        x->outcome.usage = (struct usage){0};
        x->is_estimated = x->ask.model.len > 0;
    }
    return true;
}

/* --- the answer ---------------------------------------------------------------------------------
 */

void raw_on_head(struct exchange *x, const struct http_head *head)
{
    struct raw *raw = x->raw;
    struct text headers = text_growing(x->arena);
    begin_metering(x);
    x->state = EXCHANGE_STREAMING;
    x->action = "relaying the answer";
    reply_headers(x, x->answer_type, &headers);
    for (size_t i = 0; i < ARRAY_LEN(passed_headers); i++) {
        struct slice value = http_head_find(head, passed_headers[i]);
        if (value.len) {
            text_addf(&headers, "%.*s: %.*s\r\n", SLICE_ARG(passed_headers[i]), SLICE_ARG(value));
        }
    }
    if (attempt_was_sent(x->attempt)) {
        http_request_drop_body(x->rq);
    }
    raw->is_begun = true;
    raw->length = head->content_length;
    http_conn_stream_begin_sized(x->conn, head->status, text_slice(&headers), raw->length);
}

void raw_on_body(struct exchange *x, struct slice data)
{
    struct raw *raw = x->raw;
    raw->arrived = i64_add_sat(raw->arrived, (int64_t)data.len);
    if (x->first_byte_ns == 0 && !raw->watch) {
        x->first_byte_ns = loop_now_ns(x->worker->loop);
    }
    meter(x, data);
    if (raw->arrived == raw->length) { /* a client that has the whole answer has its row */
        account(x, RECORD_SUCCESS, x->answer_status);
    }
    if (!http_conn_stream_write(x->conn, &data, 1) && x->attempt && !x->is_paused) {
        x->is_paused = true;
        attempt_pause(x->attempt);
    }
}

void raw_cut(struct exchange *x)
{
    x->state = EXCHANGE_REPLYING;
    if (x->conn) {
        http_conn_abort(x->conn);
    } else {
        exchange_end_detached(x);
    }
}

void raw_on_end(struct exchange *x, enum err e, const char *action)
{
    assert(x->conn && x->state == EXCHANGE_STREAMING);
    if (e == OK) {
        call_health_end(x, HEALTH_OK, 0);
        account(x, RECORD_SUCCESS, x->answer_status);
        x->state = EXCHANGE_REPLYING;
        http_conn_stream_end(x->conn, NULL, 0);
        return;
    }
    call_health_end(x, HEALTH_FAILED, 0);
    x->error_text =
        arena_printf(x->arena, "the provider's answer was cut while %s: %s", action, err_text(e));
    account(x, RECORD_UPSTREAM_CUT, x->answer_status);
    raw_cut(x);
}
