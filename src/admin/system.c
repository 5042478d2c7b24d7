/* admin/system.c -- the process itself: health, metrics, live state, cache, reload, documents. */
#include "admin/resources.h"

#ifndef GW_VERSION
#    define GW_VERSION "0"
#endif

/* --- health ------------------------------------------------------------------------------------
 */

void health_get(struct door *d)
{
    door_reply(d, 200, SLICE("application/json"), SLICE_NONE,
               SLICE("{\"status\":\"healthy\",\"service\":\"llm-gateway\"}"));
}

/* Reasons, comma-separated JSON strings; *out_is_refusing when requests get 503. */
static void reasons(struct gateway *g, struct text *out, bool *out_is_refusing)
{
    struct ledger_status s = ledger_status(g->ledger);
    const char *separator = "";
    *out_is_refusing = false;
    if (s.is_failed) {
        text_addf(out, "%s\"the usage journal has failed\"", separator);
        separator = ",";
        *out_is_refusing = true;
    } else if (s.is_behind && s.free_segments == 0) {
        text_addf(out, "%s\"the usage journal is full\"", separator);
        separator = ",";
        *out_is_refusing = true;
    }
    if (s.is_behind || store_is_failing(g->store)) {
        text_addf(out, "%s\"the database does not take records: %lld wait in the journal\"",
                  separator, (long long)s.pending_records);
    }
}

void ready_get(struct door *d)
{
    struct gateway *g = d->worker->gateway;
    struct text out = text_growing(&d->rq->arena);
    struct text why = text_growing(&d->rq->arena);
    bool is_refusing;
    bool is_draining = atomic_load(&g->is_unready);
    reasons(g, &why, &is_refusing);
    TEXT_ADD(&out, "{\"status\":");
    text_add(&out, is_draining   ? SLICE("\"draining\"")
                   : is_refusing ? SLICE("\"refusing\"")
                   : why.len     ? SLICE("\"degraded\"")
                                 : SLICE("\"ready\""));
    TEXT_ADD(&out, ",\"reasons\":[");
    text_add(&out, text_slice(&why));
    TEXT_ADD(&out, "]}");
    door_reply(d, is_draining || is_refusing ? 503 : 200, SLICE("application/json"), SLICE_NONE,
               text_slice(&out));
}

/* --- metrics -----------------------------------------------------------------------------------
 */

struct breaker_page {
    struct metric_page *page;
};

static void add_breaker(void *ctx, struct slice name, const struct health_view *view)
{
    struct breaker_page *b = ctx;
    metric_page_i64(b->page, METRIC_BREAKER_STATE, &name, (int64_t)view->state);
}

static void add_ledger(struct gateway *g, struct metric_page *page, enum metric_family family)
{
    struct ledger_status s = ledger_status(g->ledger);
    if (family == METRIC_JOURNAL_LAG) {
        metric_page_nano(page, family, NULL, s.lag_ns);
    } else if (family == METRIC_JOURNAL_PENDING) {
        metric_page_i64(page, family, NULL, s.pending_records);
    } else if (family == METRIC_JOURNAL_SEGMENTS) {
        metric_page_i64(page, family, NULL, s.free_segments);
    } else {
        metric_page_i64(page, family, NULL, s.is_failed);
    }
}

static void add_cache(struct gateway *g, struct metric_page *page, enum metric_family family)
{
    struct cache_stats s = cache_stats(g->cache);
    metric_page_i64(page, family, NULL,
                    family == METRIC_CACHE_ENTRIES ? s.entries
                    : family == METRIC_CACHE_BYTES ? s.bytes
                                                   : s.evictions);
}

static void add_credentials(const struct gateway_conf *conf, struct metric_page *page)
{
    for (size_t i = 0; i < conf->provider_count; i++) {
        const struct route_provider *p = &conf->providers[i];
        int64_t done, failed;
        if (p->key_count == 0 || !p->keys[0].credential) {
            continue;
        }
        credential_counts(p->keys[0].credential, &done, &failed);
        const struct slice ok[] = {p->name, SLICE("ok")}, bad[] = {p->name, SLICE("failed")};
        metric_page_i64(page, METRIC_CREDENTIAL_FETCHES, ok, done);
        metric_page_i64(page, METRIC_CREDENTIAL_FETCHES, bad, failed);
    }
}

static void extra_metrics(void *ctx, struct metric_page *page, enum metric_family family)
{
    struct door *d = ctx;
    struct gateway *g = d->worker->gateway;
    static const struct slice version = SLICE_INIT(GW_VERSION);
    static const struct slice log_lines = SLICE_INIT("log_lines");
    struct breaker_page breakers = {.page = page};
    switch ((int)family) { /* of all families only those that others own come here */
    case METRIC_BREAKER_STATE:
        health_each(g->health, add_breaker, &breakers, clock_mono_ns());
        break;
    case METRIC_CREDENTIAL_FETCHES: add_credentials(d->conf, page); break;
    case METRIC_JOURNAL_LAG:
    case METRIC_JOURNAL_PENDING:
    case METRIC_JOURNAL_SEGMENTS:
    case METRIC_JOURNAL_FAILED: add_ledger(g, page, family); break;
    case METRIC_STORE_FAILED:
        metric_page_i64(page, family, NULL, store_is_failing(g->store));
        break;
    case METRIC_CACHE_ENTRIES:
    case METRIC_CACHE_BYTES:
    case METRIC_CACHE_EVICTIONS: add_cache(g, page, family); break;
    case METRIC_READY: metric_page_i64(page, family, NULL, !atomic_load(&g->is_unready)); break;
    case METRIC_CONFIG_VERSION:
        metric_page_i64(page, family, NULL, (int64_t)d->conf->version);
        break;
    case METRIC_BUILD_INFO: metric_page_i64(page, family, &version, 1); break;
    case METRIC_DROPPED: metric_page_i64(page, family, &log_lines, log_dropped(g->log)); break;
    default: break;
    }
}

void metrics_get(struct door *d)
{
    if (!d->conf->has_metrics) {
        door_fail(d, 404, "metrics are off (ENABLE_METRICS)");
        return;
    }
    struct text out = text_growing(&d->rq->arena);
    metric_render(d->worker->gateway->metrics, &out, extra_metrics, d);
    if (out.is_full) {
        door_fail(d, 503, "the page is too large: lower metrics.max_tenants");
        return;
    }
    door_reply(d, 200, SLICE("text/plain; version=0.0.4; charset=utf-8"), SLICE_NONE,
               text_slice(&out));
}

/* --- state -------------------------------------------------------------------------------------
 */

struct target_page {
    struct text *out;
    int64_t count;
};

static void add_target(void *ctx, struct slice name, const struct health_view *view)
{
    static const char *const states[] = {"closed", "open", "half_open", "ramp"};
    struct target_page *page = ctx;
    text_add(page->out, page->count++ ? SLICE(",{\"name\":") : SLICE("{\"name\":"));
    text_add_json_string(page->out, name);
    text_addf(page->out, ",\"breaker\":\"%s\",\"in_flight\":%lld,\"first_byte_ms\":%lld}",
              states[view->state], (long long)view->in_flight,
              (long long)(view->first_byte_ewma_ns / NS_PER_MS));
}

void state_get(struct door *d)
{
    struct gateway *g = d->worker->gateway;
    struct text out = text_growing(&d->rq->arena);
    struct ledger_status s = ledger_status(g->ledger);
    struct target_page page = {.out = &out};
    TEXT_ADD(&out, "{\"version\":\"" GW_VERSION "\"");
    add_time(&out, "started_at", g->started_unix_ns);
    text_addf(&out, ",\"workers\":%zu,\"keys\":%zu,\"config_version\":%llu", g->worker_count,
              directory_key_count(g->directory), (unsigned long long)d->conf->version);
    text_addf(
        &out,
        ",\"journal\":{\"pending_records\":%lld,\"free_segments\":%lld,\"behind\":%s,\"failed\":%s}",
        (long long)s.pending_records, (long long)s.free_segments, s.is_behind ? "true" : "false",
        s.is_failed ? "true" : "false");
    TEXT_ADD(&out, ",\"targets\":[");
    health_each(g->health, add_target, &page, clock_mono_ns());
    TEXT_ADD(&out, "]}");
    door_reply(d, 200, SLICE("application/json"), SLICE_NONE, text_slice(&out));
}

/* --- cache -------------------------------------------------------------------------------------
 */

void cache_get(struct door *d)
{
    struct cache_stats s = cache_stats(d->worker->gateway->cache);
    struct slice body = arena_printf(
        &d->rq->arena,
        "{\"entries\":%lld,\"bytes\":%lld,\"hits\":%lld,\"misses\":%lld,\"evictions\":%lld}",
        (long long)s.entries, (long long)s.bytes, (long long)s.hits, (long long)s.misses,
        (long long)s.evictions);
    door_reply(d, 200, SLICE("application/json"), SLICE_NONE, body);
}

void cache_delete(struct door *d)
{
    size_t n = cache_clear(d->worker->gateway->cache);
    log_event(d->worker->gateway->log, LOG_INFO, "cache cleared by admin: %zu entries", n);
    door_reply(d, 200, SLICE("application/json"), SLICE_NONE,
               arena_printf(&d->rq->arena, "{\"cleared\":%zu}", n));
}

/* --- reload ------------------------------------------------------------------------------------
 */

static void reload_work(struct admin_job *job, struct store_db *db)
{
    (void)db;
    char room[4096];
    struct text why = text_in(room, sizeof(room));
    struct admin *admin = job->admin;
    bool is_done = admin->on_reload && admin->on_reload(admin->reload_ctx, &why);
    if (!is_done) {
        job_fail(job, 409, "The old configuration stays: %.*s", SLICE_ARG(text_slice(&why)));
        return;
    }
    TEXT_ADD(&job->out, "{\"reloaded\":true,\"warnings\":");
    text_add_json_string(&job->out, text_slice(&why));
    TEXT_ADD(&job->out, "}");
}

void reload_post(struct door *d)
{
    struct admin_job *job = job_new(d, reload_work, true);
    if (job) {
        job_submit(job);
    }
}

/* --- documents ---------------------------------------------------------------------------------
 */

void openapi_get(struct door *d)
{
    door_reply(d, 200, SLICE("application/json"), SLICE_NONE,
               slice_of(admin_openapi, admin_openapi_len));
}

void docs_get(struct door *d)
{
    door_reply(d, 200, SLICE("text/html; charset=utf-8"),
               SLICE("content-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\n"),
               slice_of(admin_docs, admin_docs_len));
}
