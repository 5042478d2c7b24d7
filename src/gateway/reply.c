#include "gateway/reply.h"

#include "core/check.h"

static void line(struct text *out, struct slice name, struct slice value)
{
    size_t need = name.len + value.len + 4;
    char *at = value.len ? text_reserve(out, need) : NULL;
    if (!at) {
        return;
    }
    memcpy(at, name.ptr, name.len);
    at += name.len;
    *at++ = ':';
    *at++ = ' ';
    memcpy(at, value.ptr, value.len);
    at += value.len;
    *at++ = '\r';
    *at = '\n';
}

/* A value that a client chose: whatever is not printable ASCII could end the line, so it becomes
 * '?'. */
static void line_printable(struct text *out, struct slice name, struct slice value)
{
    size_t before = out->len;
    line(out, name, value);
    for (size_t i = before; i + 2 < out->len; i++) { /* but for the CR LF of our own */
        if (out->ptr[i] < ' ' || out->ptr[i] > '~') {
            out->ptr[i] = '?';
        }
    }
}

/* A line that did not fit is left out whole: half of one would swallow the next. */
static void end_line(struct text *out, size_t begin)
{
    TEXT_ADD(out, "\r\n");
    if (out->is_full) {
        out->len = begin;
    }
}

static void line_i64(struct text *out, struct slice name, int64_t value)
{
    size_t begin = out->len;
    text_add(out, name);
    TEXT_ADD(out, ": ");
    text_add_i64(out, value);
    end_line(out, begin);
}

void reply_go_duration(int64_t ns, struct text *out)
{
    int64_t ms = (i64_max(ns, 0) + NS_PER_MS - 1) / NS_PER_MS;
    if (ms < 1000) {
        text_add_i64(out, ms);
        TEXT_ADD(out, "ms");
        return;
    }
    int64_t s = (ms + 999) / 1000;
    if (s >= 3600) {
        text_add_i64(out, s / 3600);
        TEXT_ADD(out, "h");
    }
    if (s >= 60) {
        text_add_i64(out, s / 60 % 60);
        TEXT_ADD(out, "m");
    }
    text_add_i64(out, s % 60);
    TEXT_ADD(out, "s");
}

static void line_duration(struct text *out, struct slice name, int64_t ns)
{
    size_t begin = out->len;
    text_add(out, name);
    TEXT_ADD(out, ": ");
    reply_go_duration(ns, out);
    end_line(out, begin);
}

static void line_time(struct text *out, struct slice name, int64_t unix_ns)
{
    char time[CLOCK_RFC3339_BYTES + 1];
    line(out, name, slice_of(time, clock_rfc3339(unix_ns, time)));
}

/* Anthropic's names, and times at which the limit is whole again. */
static void anthropic_rate_headers(const struct limit_remaining *r, int64_t now_unix_ns,
                                   struct text *out)
{
    if (r->requests_limit >= 0) {
        line_i64(out, SLICE("anthropic-ratelimit-requests-limit"), r->requests_limit);
        line_i64(out, SLICE("anthropic-ratelimit-requests-remaining"), r->requests_left);
        line_time(out, SLICE("anthropic-ratelimit-requests-reset"),
                  i64_add_sat(now_unix_ns, r->requests_reset_ns));
    }
    if (r->tokens_limit >= 0) {
        line_i64(out, SLICE("anthropic-ratelimit-tokens-limit"), r->tokens_limit);
        line_i64(out, SLICE("anthropic-ratelimit-tokens-remaining"), r->tokens_left);
        line_time(out, SLICE("anthropic-ratelimit-tokens-reset"),
                  i64_add_sat(now_unix_ns, r->tokens_reset_ns));
    }
}

void reply_rate_headers(const struct limit_remaining *r, struct text *out)
{
    if (r->requests_limit >= 0) {
        line_i64(out, SLICE("x-ratelimit-limit-requests"), r->requests_limit);
        line_i64(out, SLICE("x-ratelimit-remaining-requests"), r->requests_left);
        line_duration(out, SLICE("x-ratelimit-reset-requests"), r->requests_reset_ns);
    }
    if (r->tokens_limit >= 0) {
        line_i64(out, SLICE("x-ratelimit-limit-tokens"), r->tokens_limit);
        line_i64(out, SLICE("x-ratelimit-remaining-tokens"), r->tokens_left);
        line_duration(out, SLICE("x-ratelimit-reset-tokens"), r->tokens_reset_ns);
    }
}

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
    line(out, SLICE("access-control-allow-origin"), origin);
    TEXT_ADD(out,
             "vary: origin\r\n"
             "access-control-expose-headers: x-request-id, x-llm-gateway-provider, "
             "x-llm-gateway-model, x-llm-gateway-cache, x-llm-gateway-cost-usd, retry-after\r\n");
    if (head->verb == VERB_OPTIONS) {
        TEXT_ADD(out, "access-control-allow-methods: GET, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
                      "access-control-max-age: 600\r\n");
        line(out, SLICE("access-control-allow-headers"),
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
        line(out, SLICE("x-llm-gateway-provider"), SLICE("cached"));
        line_printable(out, SLICE("x-llm-gateway-model"), x->hit->model);
    } else if (x->target) {
        line(out, SLICE("x-llm-gateway-provider"), x->target->provider->name);
        line_printable(out, SLICE("x-llm-gateway-model"), x->target->model);
    }
}

void reply_headers(struct exchange *x, struct slice content_type, struct text *out)
{
    int64_t now_ns = clock_mono_ns();
    int64_t waited_ns = x->upstream_ns + (x->attempt ? now_ns - x->attempt_started_ns : 0);

    line(out, SLICE("content-type"), content_type);
    line(out, SLICE("x-request-id"), slice_of(x->id_text, ID_TEXT_BYTES));
    if (x->client == &dialect_anthropic) {
        line(out, SLICE("request-id"), slice_of(x->id_text, ID_TEXT_BYTES));
    }
    target_headers(x, out);
    line(out, SLICE("x-llm-gateway-cache"), cache_word(x));
    line_i64(out, SLICE("x-llm-gateway-attempts"), x->attempts);
    if (x->state != EXCHANGE_STREAMING && x->is_accounted) {
        size_t begin = out->len;
        TEXT_ADD(out, "x-llm-gateway-cost-usd: ");
        text_add_usd(out, x->cost_nusd);
        end_line(out, begin);
    }
    line_i64(out, SLICE("x-llm-gateway-overhead-us"),
             i64_max(0, now_ns - x->started_ns - waited_ns) / NS_PER_US);
    line(out, SLICE("x-llm-gateway-upstream-request-id"), x->upstream_request_id);
    line_printable(out, SLICE("x-llm-gateway-dropped"), x->body.dropped);
    if (x->has_remaining && x->client == &dialect_anthropic) {
        anthropic_rate_headers(&x->remaining, loop_unix_ns(x->worker->loop), out);
    } else if (x->has_remaining) {
        reply_rate_headers(&x->remaining, out);
    }
    reply_cors_headers(x->conf, &x->rq->head, out);
}
