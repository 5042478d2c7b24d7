#include "gateway/reply.h"

#include "core/check.h"
#include "gateway/account.h"
#include "wire/http_lines.h"

static bool is_origin_allowed(const struct gateway_conf *conf, struct slice origin)
{
    for (size_t i = 0; i < conf->cors_origin_count; i++) {
        if (slice_eq(conf->cors_origins[i], SLICE("*")) ||
            slice_eq(conf->cors_origins[i], origin)) {
            return true;
        }
    }
    return false;
}

void reply_cors_headers(const struct gateway_conf *conf, const struct http_head *head,
                        struct text *out)
{
    if (conf->cors_origin_count == 0) {
        return;
    }
    struct slice origin = http_head_get(head, FIELD_ORIGIN);
    if (origin.len == 0 || !is_origin_allowed(conf, origin)) {
        return;
    }
    http_line(out, SLICE("access-control-allow-origin"), origin);
    TEXT_ADD(out,
             "vary: origin\r\n"
             "access-control-expose-headers: x-request-id, x-llm-gateway-provider, "
             "x-llm-gateway-model, x-llm-gateway-cache, x-llm-gateway-cost-usd, retry-after\r\n");
    if (head->verb == VERB_OPTIONS) {
        TEXT_ADD(out, "access-control-allow-methods: GET, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
                      "access-control-max-age: 600\r\n");
        http_line(out, SLICE("access-control-allow-headers"),
                  http_head_get(head, FIELD_ACCESS_CONTROL_REQUEST_HEADERS));
    }
}

static struct slice cache_word(const struct exchange *x)
{
    switch (x->cache_use) {
    case CACHE_USE_BYPASS: return SLICE("bypass");
    case CACHE_USE_MISS: return SLICE("miss");
    case CACHE_USE_HIT: return SLICE("hit");
    case CACHE_USE_COALESCED: return SLICE("coalesced");
    }
    return SLICE("bypass");
}

static void target_headers(const struct exchange *x, struct text *out)
{
    if (x->hit) {
        http_line(out, SLICE("x-llm-gateway-provider"), SLICE("cached"));
        http_line_printable(out, SLICE("x-llm-gateway-model"), x->hit->model);
    } else if (x->target) {
        http_line(out, SLICE("x-llm-gateway-provider"), x->target->provider->name);
        http_line_printable(out, SLICE("x-llm-gateway-model"), x->target->model);
    }
}

static void rate_headers(const struct exchange *x, struct text *out)
{
    const struct limit_remaining *r = &x->remaining;
    const struct dialect_rates rates = {.requests_limit = r->requests_limit,
                                        .requests_left = r->requests_left,
                                        .requests_reset_ns = r->requests_reset_ns,
                                        .tokens_limit = r->tokens_limit,
                                        .tokens_left = r->tokens_left,
                                        .tokens_reset_ns = r->tokens_reset_ns,
                                        .now_unix_ns = loop_unix_ns(x->worker->loop)};
    x->client->front->render_rates(&rates, out);
}

void reply_headers(struct exchange *x, struct slice content_type, struct text *out)
{
    int64_t now_ns = x->started_ns + account_took_ns(x);
    int64_t waited_ns = x->upstream_ns + (x->attempt ? now_ns - x->attempt_started_ns : 0);

    http_line(out, SLICE("content-type"), content_type);
    http_line(out, SLICE("x-request-id"), slice_of(x->id_text, ID_TEXT_BYTES));
    if (x->client->front->request_id_header.len) {
        http_line(out, x->client->front->request_id_header, slice_of(x->id_text, ID_TEXT_BYTES));
    }
    target_headers(x, out);
    http_line(out, SLICE("x-llm-gateway-cache"), cache_word(x));
    http_line_i64(out, SLICE("x-llm-gateway-attempts"), x->attempts);
    if (x->state != EXCHANGE_STREAMING && x->is_accounted) {
        char cost[MONEY_TEXT_MAX_BYTES];
        http_line(out, SLICE("x-llm-gateway-cost-usd"),
                  slice_of(cost, money_format(x->cost_nusd, cost)));
    }
    http_line_i64(out, SLICE("x-llm-gateway-overhead-us"),
                  i64_max(0, now_ns - x->started_ns - waited_ns) / NS_PER_US);
    http_line(out, SLICE("x-llm-gateway-upstream-request-id"), x->upstream_request_id);
    http_line_printable(out, SLICE("x-llm-gateway-dropped"), x->dropped);
    if (x->has_remaining) {
        rate_headers(x, out);
    }
    reply_cors_headers(x->conf, &x->rq->head, out);
}
