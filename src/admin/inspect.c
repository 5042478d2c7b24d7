/* admin/inspect.c -- looking without changing: one request's record, the audit log, explain,
 * prices, live state. */
#include "admin/resources.h"
#include "gateway/affinity.h"

/* --- GET requests/{id} -------------------------------------------------------------------------
 */

static void add_usd(struct text *out, const char *name, int64_t nusd)
{
    text_add_json_key(out, name);
    text_add_usd(out, nusd);
}

static void add_i64(struct text *out, const char *name, int64_t value)
{
    text_add_json_key(out, name);
    text_add_i64(out, value);
}

static void add_str(struct text *out, const char *name, struct slice value)
{
    text_add_json_key(out, name);
    if (value.len) {
        text_add_json_string(out, value);
    } else {
        TEXT_ADD(out, "null");
    }
}

static void add_bool(struct text *out, const char *name, bool value)
{
    text_add_json_key(out, name);
    text_add(out, value ? SLICE("true") : SLICE("false"));
}

static void render_record(struct text *out, const struct usage_record *r)
{
    TEXT_ADD(out, "{");
    add_id(out, "id", r->id);
    add_id(out, "tenant_id", r->tenant);
    add_id(out, "key_id", r->key);
    add_time(out, "created_at", r->admitted_unix_ns);
    add_str(out, "status", slice_str(record_status_name(r->status)));
    add_i64(out, "http_status", r->http_status);
    add_str(out, "provider", r->provider);
    add_str(out, "model", r->model);
    add_str(out, "asked_model", r->asked_model);
    add_str(out, "dialect", slice_str(record_dialect_name(r->dialect)));
    add_bool(out, "stream", r->is_stream);
    add_i64(out, "prompt_tokens", usage_prompt(&r->usage));
    add_i64(out, "completion_tokens", usage_completion(&r->usage));
    add_i64(out, "total_tokens", usage_total(&r->usage));
    add_i64(out, "cache_read_tokens", r->usage.cache_read);
    add_i64(out, "cache_write_5m_tokens", r->usage.cache_write_5m);
    add_i64(out, "cache_write_1h_tokens", r->usage.cache_write_1h);
    add_i64(out, "reasoning_tokens", r->usage.reasoning);
    add_usd(out, "cost", r->cost_nusd);
    add_usd(out, "reserved", r->reserved_nusd);
    add_usd(out, "saved", r->saved_nusd);
    add_bool(out, "estimated", r->is_estimated);
    add_bool(out, "overrun", r->is_overrun);
    add_i64(out, "latency_ms", r->latency_ns / NS_PER_MS);
    text_add_json_key(out, "time_to_first_token_ms");
    if (r->first_token_ns < 0) {
        TEXT_ADD(out, "null");
    } else {
        text_add_i64(out, r->first_token_ns / NS_PER_MS);
    }
    add_i64(out, "attempts", r->attempts);
    add_i64(out, "count", r->count);
    add_str(out, "reason", r->reason);
    add_str(out, "error", r->error);
    add_str(out, "client_request_id", r->client_request_id);
    text_add_json_key(out, "detail");
    text_add(out, r->detail.len ? r->detail : SLICE("null"));
    TEXT_ADD(out, "}");
}

static void request_work(struct admin_job *job, struct store_db *db)
{
    struct usage_record r;
    enum err e = store_request_get(db, &job->arena, job->key, &r);
    if (e == OK && !id_is_zero(job->tenant) && !id_eq(r.tenant, job->tenant)) {
        e = E_NOT_FOUND; /* another tenant's: as if it were not there */
    }
    if (e != OK) {
        job_fail_err(job, db, e, "Request");
        return;
    }
    render_record(&job->out, &r);
}

void requests_get(struct door *d, struct slice id_text, const struct auth_who *who)
{
    struct id id;
    if (!id_parse(id_text, &id)) {
        door_fail(d, 404, "Request not found");
        return;
    }
    struct admin_job *job = job_new(d, request_work, false);
    if (job) {
        job->key = id;
        job->tenant = who ? who->tenant : (struct id){0};
        job_submit(job);
    }
}

/* --- GET audit ---------------------------------------------------------------------------------
 */

struct audit_page {
    struct admin_job *job;
    int64_t count, last;
};

static void add_audit_row(void *ctx, int64_t rowid, const struct store_audit *a)
{
    struct audit_page *page = ctx;
    struct text *out = &page->job->out;
    if (page->count++) {
        TEXT_ADD(out, ",");
    }
    page->last = rowid;
    TEXT_ADD(out, "{");
    add_i64(out, "id", rowid);
    add_time(out, "at", a->at_unix_ns);
    add_str(out, "actor", a->actor);
    add_str(out, "action", a->action);
    add_str(out, "subject", a->subject);
    text_add_json_key(out, "detail");
    text_add(out, a->detail.len ? a->detail : SLICE("null"));
    TEXT_ADD(out, "}");
}

static void audit_work(struct admin_job *job, struct store_db *db)
{
    enum { AUDIT_PAGE = 100 };
    struct audit_page page = {.job = job};
    TEXT_ADD(&job->out, "{\"data\":[");
    enum err e = store_audit_list(db, job->number, AUDIT_PAGE, add_audit_row, &page);
    if (e != OK) {
        job_fail_err(job, db, e, "Audit log");
        return;
    }
    TEXT_ADD(&job->out, "],\"next_cursor\":");
    if (page.count == AUDIT_PAGE) {
        text_add_i64(&job->out, page.last);
    } else {
        TEXT_ADD(&job->out, "null");
    }
    TEXT_ADD(&job->out, "}");
}

void audit_list(struct door *d)
{
    int64_t before = INT64_MAX;
    if (!door_query_i64(d, "before", 1, INT64_MAX, &before)) {
        return;
    }
    struct admin_job *job = job_new(d, audit_work, false);
    if (job) {
        job->number = before;
        job_submit(job);
    }
}

/* --- GET explain -------------------------------------------------------------------------------
 */

static void explain_node(struct text *out, struct limit *limit, struct quota_node *n, struct id id)
{
    static const char *const periods[LIMIT_PERIODS] = {"daily_budget", "weekly_budget",
                                                       "monthly_budget", "total_budget"};
    struct quota_view v;
    limit_view(limit, n, &v);
    TEXT_ADD(out, "{");
    add_id(out, "id", id);
    add_str(out, "kind", v.spec.is_key ? SLICE("key") : SLICE("tenant"));
    text_add_json_key(out, "rate_limit");
    text_addf(out, "{\"limit\":%lld,\"used\":%lld}", (long long)v.spec.rate_per_min,
              (long long)v.requests_used);
    text_add_json_key(out, "tokens_per_minute");
    text_addf(out, "{\"limit\":%lld,\"used\":%lld}", (long long)v.spec.tokens_per_min,
              (long long)v.tokens_used);
    text_add_json_key(out, "concurrent");
    text_addf(out, "{\"limit\":%lld,\"used\":%lld}", (long long)v.spec.concurrent_max,
              (long long)v.concurrent);
    for (int p = 0; p < LIMIT_PERIODS; p++) {
        text_add_json_key(out, periods[p]);
        TEXT_ADD(out, "{\"limit\":");
        if (v.spec.budget_nusd[p] < 0) {
            TEXT_ADD(out, "null");
        } else {
            text_add_usd(out, v.spec.budget_nusd[p]);
        }
        add_usd(out, "spent", v.spent_nusd[p]);
        add_usd(out, "reserved", v.reserved_nusd[p]);
        add_bool(out, "soft", (v.spec.soft_budgets & (1u << p)) != 0);
        TEXT_ADD(out, "}");
    }
    TEXT_ADD(out, "}");
}

static void explain_targets(struct text *out, const struct route_plan *plan)
{
    static const char *const breaker[] = {"closed", "open", "half_open", "ramp"};
    text_add_json_key(out, "targets");
    TEXT_ADD(out, "[");
    for (size_t i = 0; i < plan->count; i++) {
        const struct route_target *t = &plan->targets[i];
        struct health_view h = health_view(t->health, clock_mono_ns());
        text_add(out, i ? SLICE(",{") : SLICE("{"));
        add_str(out, "provider", t->provider->name);
        add_str(out, "model", t->model);
        add_i64(out, "tier", t->tier);
        add_i64(out, "weight", t->weight);
        add_str(out, "breaker", slice_str(breaker[h.state]));
        add_i64(out, "in_flight", h.in_flight);
        add_bool(out, "price_known", t->facts.is_price_known);
        add_usd(out, "input_usd_per_1m_tokens", i64_max(t->facts.price.base.input, 0));
        add_usd(out, "output_usd_per_1m_tokens", i64_max(t->facts.price.base.output, 0));
        TEXT_ADD(out, "}");
    }
    TEXT_ADD(out, "]");
}

/* Where a conversation goes, if there is a choice: the first key of the file is 1. */
static void explain_choice(struct admin_job *job, const struct route_plan *plan, struct id tenant)
{
    struct text *out = &job->out;
    struct route_choice home;
    bool is_free = route_is_free(plan);
    add_str(out, "choice", is_free ? SLICE("affinity") : SLICE("none"));
    if (!is_free || !job->more.len) {
        return;
    }
    text_add_json_key(out, "affinity");
    if (!route_home(plan, affinity_of(tenant, AFFINITY_HEADER, job->more), clock_mono_ns(),
                    &home)) {
        TEXT_ADD(out, "null");
        return;
    }
    TEXT_ADD(out, "{");
    add_str(out, "value", job->more);
    add_str(out, "provider", plan->targets[home.target].provider->name);
    add_str(out, "model", plan->targets[home.target].model);
    if (home.key != SIZE_MAX) {
        add_i64(out, "key", (int64_t)home.key + 1);
    }
    TEXT_ADD(out, "}");
}

/* Which limit has least left, so would refuse first. */
static void explain_next(struct text *out, const struct quota_view *v, struct id id, int64_t *least)
{
    int64_t left = v->spec.rate_per_min < 0 ? INT64_MAX : v->spec.rate_per_min - v->requests_used;
    if (left < *least) {
        *least = left;
        *out = text_in(out->ptr, out->cap);
        text_addf(out, "{\"limit\":\"requests_per_minute\",\"left\":%lld", (long long)left);
        add_id(out, "id", id);
        TEXT_ADD(out, "}");
    }
}

static void explain_limits(struct text *out, struct limit *limit, struct quota_node *n,
                           struct id key)
{
    char room[256];
    struct text next = text_in(room, sizeof(room));
    int64_t least = INT64_MAX;
    text_add_json_key(out, "limits");
    TEXT_ADD(out, "[");
    for (bool is_first = true; n; n = limit_node_parent(n), is_first = false) {
        struct quota_view v;
        struct id id = is_first ? key : limit_node_id(n);
        limit_view(limit, n, &v);
        if (!is_first) {
            TEXT_ADD(out, ",");
        }
        explain_node(out, limit, n, id);
        explain_next(&next, &v, id, &least);
    }
    TEXT_ADD(out, "]");
    text_add_json_key(out, "next_to_refuse");
    text_add(out, next.len ? text_slice(&next) : SLICE("null"));
}

static void explain_route(struct admin_job *job, struct id tenant)
{
    struct text *out = &job->out;
    struct route_plan plan;
    struct slice near_names = SLICE_NONE;
    add_str(out, "model", job->text);
    if (route_resolve(job->door->conf->routes, &job->arena, job->text, &plan, &near_names) != OK) {
        add_str(out, "route", SLICE("not found"));
        add_str(out, "near", near_names);
        return;
    }
    add_str(out, "route", plan.is_fallback ? SLICE("fallback") : SLICE("direct"));
    explain_targets(out, &plan);
    explain_choice(job, &plan, tenant);
    struct chat_ask ask = {.output_max_tokens = 1000, .choices = 1, .prompt_max_tokens = 1000};
    struct route_bound bound;
    route_bound(&plan, &ask, &bound);
    add_usd(out, "reserve_for_1000_in_1000_out", bound.cost_nusd);
    add_bool(out, "price_unknown", bound.is_unknown_price);
}

static void explain_work(struct admin_job *job, struct store_db *db)
{
    struct store_key key;
    struct store_tenant tenant;
    struct limit *limit = job->admin->gateway->limit;
    enum err e = store_key_get(db, &job->arena, job->key, &key);
    if (e == OK) {
        e = store_tenant_get(db, &job->arena, key.tenant, &tenant);
    }
    if (e != OK) {
        job_fail_err(job, db, e, "Key");
        return;
    }
    struct slice allowed =
        key.policy.allowed_models.len ? key.policy.allowed_models : tenant.policy.allowed_models;
    struct text *out = &job->out;
    TEXT_ADD(out, "{");
    add_id(out, "key_id", key.id);
    add_id(out, "tenant_id", key.tenant);
    add_str(out, "tenant_name", tenant.name);
    add_bool(out, "key_active", key.is_active && tenant.is_active);
    add_time(out, "key_expires_at", key.expires_unix_ns);
    explain_limits(out, limit, limit_node_find(limit, key.id), key.id);
    if (job->text.len) {
        add_bool(out, "model_allowed", !allowed.len || auth_model_allowed(allowed, job->text));
        explain_route(job, key.tenant);
    }
    struct slice mode =
        key.policy.cache_mode.len ? key.policy.cache_mode : tenant.policy.cache_mode;
    add_str(out, "cache",
            !job->door->conf->is_cache_on ? SLICE("off: ENABLE_PROMPT_CACHE is false")
            : slice_eq(mode, SLICE("on")) ? SLICE("on for every request")
            : slice_eq(mode, SLICE("off"))
                ? SLICE("off for this key")
                : SLICE("own dialect and embeddings; others with temperature 0 or a seed, or by "
                        "x-llm-gateway-cache: on"));
    TEXT_ADD(out, "}");
}

void explain_get(struct door *d)
{
    struct arena *a = &d->rq->arena;
    struct slice key_text = http_query_get(a, d->rq->head.query, SLICE("key"));
    struct slice model = http_query_get(a, d->rq->head.query, SLICE("model"));
    struct slice affinity = http_query_get(a, d->rq->head.query, SLICE("affinity"));
    struct id key;
    struct auth_who who;
    if (!key_text.len) {
        door_fail(d, 422, "key: give a key id or a key");
        return;
    }
    if (!id_parse(key_text, &key)) {
        if (auth_check(d->worker->gateway->directory, key_text, clock_unix_ns(), a, &who) !=
            AUTH_OK) {
            door_fail(d, 404, "Key not found, inactive or expired");
            return;
        }
        key = who.key;
    }
    struct admin_job *job = job_new(d, explain_work, false);
    if (job) {
        job->key = key;
        job->text = arena_dup(&job->arena, model);
        job->more = arena_dup(&job->arena, affinity);
        job_submit(job);
    }
}

/* --- GET prices --------------------------------------------------------------------------------
 */

struct price_page {
    struct text out;
    struct slice provider, model;
    int64_t count;
};

static void add_price(void *ctx, struct slice provider, struct slice model,
                      const struct route_model *facts)
{
    struct price_page *page = ctx;
    struct text *out = &page->out;
    if ((page->provider.len && !slice_eq(provider, page->provider)) ||
        (page->model.len && slice_search(model, page->model) == model.len)) {
        return;
    }
    text_add(out, page->count++ ? SLICE(",{") : SLICE("{"));
    add_str(out, "provider", provider);
    add_str(out, "model", model);
    add_usd(out, "input_usd_per_1m_tokens", i64_max(facts->price.base.input, 0));
    add_usd(out, "output_usd_per_1m_tokens", i64_max(facts->price.base.output, 0));
    if (facts->price.base.cache_read >= 0) {
        add_usd(out, "cache_read_usd_per_1m_tokens", facts->price.base.cache_read);
    }
    add_i64(out, "context_max_tokens", facts->context_max_tokens);
    add_i64(out, "output_max_tokens", facts->output_max_tokens);
    TEXT_ADD(out, "}");
}

void prices_get(struct door *d)
{
    struct arena *a = &d->rq->arena;
    struct price_page page = {.out = text_growing(a),
                              .provider = http_query_get(a, d->rq->head.query, SLICE("provider")),
                              .model = http_query_get(a, d->rq->head.query, SLICE("model"))};
    TEXT_ADD(&page.out, "{\"catalogue_date\":");
    text_add_json_string(&page.out, catalogue_date());
    TEXT_ADD(&page.out, ",\"data\":[");
    catalogue_each(add_price, &page);
    TEXT_ADD(&page.out, "]}");
    if (page.out.is_full) {
        door_fail(d, 503, "the list is too large; filter by provider or model");
        return;
    }
    door_reply(d, 200, SLICE("application/json"), SLICE_NONE, text_slice(&page.out));
}
