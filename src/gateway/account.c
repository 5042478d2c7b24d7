#include "gateway/account.h"

#include "gateway/affinity.h"
#include "gateway/pin.h"
#include "gateway/raw.h"

#include <assert.h>

enum {
    ESTIMATE_BYTES_PER_TOKEN = 4, /* English prose; counted properly once a tokenizer is there */
    DETAIL_ROOM_BYTES = RECORD_DETAIL_MAX_BYTES,
};

static int64_t tokens_of_bytes(int64_t bytes)
{
    return (bytes + ESTIMATE_BYTES_PER_TOKEN - 1) / ESTIMATE_BYTES_PER_TOKEN;
}

static int64_t estimated_prompt(const struct exchange *x)
{
    int64_t bytes =
        x->ask.prompt_max_tokens >= 0 ? x->ask.prompt_max_tokens : (int64_t)x->ask.body.len;
    return i64_max(1, tokens_of_bytes(bytes));
}

/* No more than was asked for and reserved: tokens may be long, and a guess must not overspend. */
static int64_t estimated_output(const struct exchange *x)
{
    int64_t output =
        i64_max(tokens_of_bytes(x->outcome.output_bytes), x->outcome.output_events > 0);
    int64_t most;
    bool is_bounded = x->bound.output_max_tokens >= 0 &&
                      i64_mul(x->bound.output_max_tokens, i64_max(x->ask.choices, 1), &most);
    return is_bounded ? i64_min(output, most) : output;
}

/* Of the prompt only where the provider has not told that already. */
void account_estimate(struct exchange *x)
{
    struct usage usage = {.input = estimated_prompt(x)};
    if (x->outcome.has_prompt_usage) {
        usage = x->outcome.usage;
        usage.total_reported = 0;
    }
    usage.output = estimated_output(x);
    usage.is_known = false;
    x->outcome.usage = usage;
    x->is_estimated = true;
}

void account_abandoned(struct exchange *x)
{
    if (x->target && x->was_sent && !x->ask.is_unbilled) {
        bool is_told = x->outcome.has_usage || x->outcome.has_prompt_usage;
        struct usage used =
            is_told ? x->outcome.usage : (struct usage){.input = estimated_prompt(x)};
        x->abandoned_nusd =
            i64_add_sat(x->abandoned_nusd, price_cost(&x->target->facts.price, &used));
        x->abandoned_tokens = i64_add_sat(x->abandoned_tokens, usage_total(&used));
        x->is_estimated |= !x->outcome.has_usage;
        x->was_sent = false;
    }
    x->outcome = (struct outcome){0}; /* no answer of it is billed beside */
}

/* What the provider was asked for, and whether we know what it used. A stream that has begun has
 * used its input, whatever came of it. */
static void settle_usage(struct exchange *x, enum record_status status)
{
    bool has_begun = x->outcome.has_usage || x->outcome.output_events > 0 ||
                     x->outcome.is_complete || x->state == EXCHANGE_STREAMING;
    bool has_answer =
        x->target && x->answer_status == 200 && !x->hit && !x->is_follower && has_begun;
    if (status == RECORD_CACHED || status == RECORD_REFUSED) {
        x->cost_nusd = 0;
        return;
    }
    if (x->route->op == CHAT_OP_COUNT_TOKENS) { /* nobody bills it */
        x->outcome.usage = (struct usage){0};
        x->outcome.has_usage = true;
        return;
    }
    if (x->raw) {
        has_answer = raw_settle(x);
    } else if (has_answer && !x->outcome.has_usage) {
        account_estimate(x);
    }
    if (!has_answer) {
        x->outcome.usage = (struct usage){.input = x->abandoned_tokens};
    }
    const struct usage *used = &x->outcome.usage;
    int64_t cost = has_answer ? price_cost(&x->target->facts.price, used) : 0;
    x->saved_nusd = has_answer ? price_prompt_cache_saved(&x->target->facts.price, used) : 0;
    x->cost_nusd = i64_add_sat(cost, x->abandoned_nusd);
}

/* --- record ------------------------------------------------------------------------------------
 */

/* {"attempts":[{"provider":"openai","model":"...","status":503,"error":"...","ms":12}, ...]} */
static void render_detail(const struct exchange *x, struct text *out)
{
    if (!x->notes) {
        return;
    }
    TEXT_ADD(out, "{\"attempts\":[");
    for (int i = 0; i < x->attempts && i < EXCHANGE_ATTEMPTS_LOGGED; i++) {
        const struct attempt_note *n = &x->notes[i];
        if (!n->provider.len) {
            continue;
        }
        text_add(out, slice_of(i ? ",{" : "{", i ? 2 : 1));
        text_add_json_key(out, "provider");
        text_add_json_string(out, n->provider);
        text_add_json_key(out, "model");
        text_add_json_string(out, n->model);
        text_add_json_key(out, "status");
        text_add_i64(out, n->status);
        if (n->error != OK) {
            text_add_json_key(out, "error");
            text_add_json_string(out, slice_str(err_text(n->error)));
        }
        text_add_json_key(out, "ms");
        text_add_i64(out, n->took_ms);
        TEXT_ADD(out, "}");
    }
    TEXT_ADD(out, "]}");
}

static void fill_record(const struct exchange *x, struct usage_record *r)
{
    bool has_target = x->target && !x->hit && !x->is_follower;
    *r = (struct usage_record){
        .id = x->id,
        .tenant = x->who.tenant,
        .key = x->who.key,
        .admitted_unix_ns = x->is_admitted ? x->admitted_unix_ns : x->started_unix_ns,
        .reserved_nusd = x->is_open_recorded ? x->bound.cost_nusd : 0,
        .cost_nusd = x->cost_nusd,
        .saved_nusd = x->saved_nusd,
        .latency_ns = account_took_ns(x),
        .first_token_ns = x->first_byte_ns ? x->first_byte_ns - x->started_ns : -1,
        .usage = x->outcome.usage,
        .http_status = x->http_status,
        .attempts = x->attempts,
        .count = 1,
        .status = x->status,
        .dialect = x->client->record,
        .is_stream = x->ask.is_stream,
        .is_estimated = x->is_estimated,
        .is_overrun = x->is_overrun,
        .provider = x->status == RECORD_CACHED ? SLICE("cached")
                    : has_target               ? x->target->provider->name
                                               : SLICE_NONE,
        .model = x->hit      ? x->hit->model
                 : x->target ? x->target->model
                             : SLICE_NONE,
        .asked_model = slice_head(x->ask.model, RECORD_TEXT_MAX_BYTES),
        .reason = x->refused_by,
        .client_request_id =
            slice_head(http_head_get(&x->rq->head, FIELD_X_REQUEST_ID), RECORD_TEXT_MAX_BYTES),
        .error = slice_head(x->error_text, RECORD_ERROR_MAX_BYTES),
    };
}

static void write_record(struct exchange *x)
{
    ROOM struct usage_record r;
    ROOM char room[DETAIL_ROOM_BYTES];
    struct text detail = text_in(room, sizeof(room));
    struct ledger_worker *w = x->worker->ledger;
    if (!w) { /* the journal has been closed */
        metric_add(&metric_totals(x->worker->metrics)->dropped[METRIC_DROPPED_RECORDS], 1);
        return;
    }
    fill_record(x, &r);
    render_detail(x, &detail);
    r.detail = detail.is_full ? SLICE_NONE : text_slice(&detail);
    enum err e = OK;
    if (x->is_open_recorded) {
        e = ledger_close_record(w, &r);
    } else if (x->status == RECORD_REFUSED) {
        ledger_refusal(w, &r);
    } else {
        e = ledger_single_record(w, &r);
    }
    if (e != OK) {
        metric_add(&metric_totals(x->worker->metrics)->dropped[METRIC_DROPPED_RECORDS], 1);
    }
}

/* --- metrics and log ---------------------------------------------------------------------------
 */

static void count_unknown(struct exchange *x)
{
    struct metric_totals *totals = metric_totals(x->worker->metrics);
    bool is_missing = exchange_credential(x).ptr == NULL;
    metric_add(&totals->auth[is_missing ? METRIC_AUTH_MISSING : METRIC_AUTH_INVALID], 1);
}

static void count_provider(struct exchange *x)
{
    struct metric_provider *p = metric_provider(x->worker->metrics, x->target->provider->name);
    int64_t total_ns = account_took_ns(x);
    metric_observe_duration(p, total_ns);
    metric_observe_overhead(p, i64_max(0, total_ns - x->upstream_ns));
    if (x->first_byte_ns) {
        metric_observe_first_token(p, x->first_byte_ns - x->started_ns);
    }
}

static enum metric_price price_source(const struct route_target *t)
{
    switch (t->facts.price_source) {
    case ROUTE_PRICE_CATALOGUE:
    case ROUTE_PRICE_CONFIGURED: return METRIC_PRICE_KNOWN;
    case ROUTE_PRICE_FLAT: return METRIC_PRICE_FLAT;
    case ROUTE_PRICE_FREE:
    case ROUTE_PRICE_ZERO: return METRIC_PRICE_ZERO;
    case ROUTE_PRICE_UNKNOWN: return METRIC_PRICE_UNKNOWN;
    }
    return METRIC_PRICE_UNKNOWN;
}

static void count(struct exchange *x)
{
    bool is_answered = x->target && !x->hit && !x->is_follower && x->status != RECORD_CACHED;
    struct slice provider = x->status == RECORD_CACHED ? SLICE("cached")
                            : is_answered              ? x->target->provider->name
                                                       : SLICE("none");
    struct metric_cell *cell = metric_cell(x->worker->metrics, &x->who.tenant, provider);
    const struct usage *u = &x->outcome.usage;
    metric_add(&cell->requests[x->status], 1);
    if (x->status == RECORD_CACHED) {
        metric_add(&cell->cache_hits, 1);
        return;
    }
    if (x->status == RECORD_REFUSED) {
        metric_add(&cell->rate_limited, x->is_rate_limited);
        return;
    }
    metric_add(&cell->cost_nusd, x->cost_nusd);
    metric_add(&cell->tokens[METRIC_TOKEN_PROMPT], usage_prompt(u));
    metric_add(&cell->tokens[METRIC_TOKEN_COMPLETION], usage_completion(u));
    metric_add(&cell->tokens[METRIC_TOKEN_CACHE_READ], u->cache_read);
    metric_add(&cell->tokens[METRIC_TOKEN_CACHE_WRITE], u->cache_write_5m + u->cache_write_1h);
    metric_add(&cell->tokens[METRIC_TOKEN_CACHE_WRITE_1H], u->cache_write_1h);
    metric_add(&cell->tokens[METRIC_TOKEN_REASONING], u->reasoning);
    if (is_answered) {
        struct metric_totals *totals = metric_totals(x->worker->metrics);
        metric_add(&totals->prices[price_source(x->target)], 1);
        metric_add(&totals->overruns, x->is_overrun);
        count_provider(x);
    }
}

/* What the provider's prompt cache gave and took, where it had a part. */
static void log_prompt_cache(struct log_ring *log, const struct exchange *x)
{
    const struct usage *u = &x->outcome.usage;
    int64_t written = u->cache_write_5m + u->cache_write_1h;
    if ((u->cache_read || written) && x->status != RECORD_CACHED) {
        LOG_I64(log, "cache_read_tokens", u->cache_read);
        LOG_I64(log, "cache_write_tokens", written);
        LOG_USD(log, "saved", x->saved_nusd);
    }
}

void account_log(struct exchange *x)
{
    struct log_ring *log = x->worker->log;
    enum log_level level = x->http_status >= 500 ? LOG_WARNING : LOG_INFO;
    if (!x->is_accounted || !x->conf->has_request_log || !log_begin(log, level, "request")) {
        return;
    }
    LOG_STR(log, "request_id", slice_of(x->id_text, ID_TEXT_BYTES));
    if (x->is_known) {
        char tenant[ID_TEXT_BYTES];
        id_format(x->who.tenant, tenant);
        LOG_STR(log, "tenant_id", slice_of(tenant, sizeof(tenant)));
    }
    LOG_STR(log, "path", slice_str(x->route->path));
    LOG_I64(log, "http_status", x->http_status);
    LOG_STR(log, "status", slice_str(record_status_name(x->status)));
    if (x->ask.model.len) {
        LOG_STR(log, "model", slice_head(x->ask.model, RECORD_TEXT_MAX_BYTES));
    }
    if (x->target) {
        LOG_STR(log, "provider",
                x->status == RECORD_CACHED ? SLICE("cached") : x->target->provider->name);
        LOG_I64(log, "attempts", x->attempts);
        if (x->affinity_source != AFFINITY_NONE) {
            LOG_STR(log, "affinity", affinity_source_name(x->affinity_source));
        }
        LOG_I64(log, "tokens", usage_total(&x->outcome.usage));
        LOG_USD(log, "cost", x->cost_nusd);
        log_prompt_cache(log, x);
    }
    LOG_I64(log, "latency_us", account_took_ns(x) / NS_PER_US);
    if (x->http_status >= 400 || x->status >= RECORD_ERROR) {
        LOG_STR(log, "action", slice_str(x->action));
        LOG_STR(log, "error",
                x->failure.is_quoted ? SLICE("the provider's words are in the request's record")
                                     : slice_head(x->error_text, RECORD_ERROR_MAX_BYTES));
        if (x->failure.status) {
            LOG_I64(log, "provider_status", x->failure.status);
        }
    }
    log_end(log);
}

void account(struct exchange *x, enum record_status status, int http_status)
{
    if (x->is_accounted) {
        return;
    }
    x->is_accounted = true;
    x->ended_ns = clock_mono_ns();
    x->status = x->is_leader_gone && status == RECORD_SUCCESS ? RECORD_CLIENT_GONE : status;
    x->http_status = http_status;
    if (!x->is_known) {
        if (http_status == 401) { /* not a client that left, or a model that is not listed */
            count_unknown(x);
        }
        return;
    }
    settle_usage(x, status);
    x->is_overrun = limit_settle(x->worker->gateway->limit, &x->ticket, x->cost_nusd,
                                 usage_total(&x->outcome.usage));
    pin_answer(x);
    write_record(x);
    count(x);
}
