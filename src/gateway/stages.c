/* gateway/stages.c -- the adapters between the exchange and the folders that decide. */
#include "chat/count.h"
#include "gateway/account.h"
#include "gateway/affinity.h"
#include "gateway/ask_offload.h"
#include "gateway/cache_key.h"
#include "gateway/call.h"
#include "gateway/flight.h"
#include "gateway/pin.h"
#include "gateway/raw.h"
#include "gateway/relay.h"
#include "gateway/router.h"

#include <assert.h>

enum {
    RESERVE_RETRY_MS = 20,
    TIGHTEN_MAX_BYTES = 32768, /* counting takes some 10 ns a byte on the worker */
    TIGHTEN_MARGIN_SHARE = 16,
    TIGHTEN_MARGIN_TOKENS = 64
};

static enum stage_result refuse(struct exchange *x, const struct fault *f,
                                enum record_status status)
{
    exchange_fail(x, f, status);
    return STAGE_REPLY;
}

/* --- auth: the head alone --------------------------------------------------------------------- */

bool stage_authenticate(struct exchange *x)
{
    struct slice credential = exchange_credential(x);
    x->action = "checking the key";
    switch (auth_check(x->worker->gateway->directory, credential, x->started_unix_ns, x->arena,
                       &x->who)) {
    case AUTH_OK: return true;
    case AUTH_MISSING:
        (void)refuse(
            x, &(struct fault){.kind = FAULT_AUTH_MISSING, .message = SLICE("API key missing")},
            RECORD_ERROR);
        return false;
    case AUTH_INVALID:
        (void)refuse(
            x, &(struct fault){.kind = FAULT_AUTH_INVALID, .message = SLICE("Invalid API key")},
            RECORD_ERROR);
        return false;
    }
    return false;
}

enum stage_result auth_stage(struct exchange *x)
{
    const struct http_head *head = &x->rq->head;
    if (!stage_authenticate(x)) {
        return STAGE_REPLY;
    }
    x->is_known = true;

    struct slice encoding = http_head_get(head, FIELD_CONTENT_ENCODING);
    if (encoding.len && !slice_eq_nocase(encoding, SLICE("identity"))) {
        return refuse(
            x,
            &(struct fault){.kind = FAULT_MEDIA_TYPE,
                            .message = SLICE("Content-Encoding is not supported; send the body "
                                             "without compression")},
            RECORD_ERROR);
    }
    struct fault f = {0};
    if (x->route->kind == ROUTE_RAW && raw_begin(x, &f) != OK) {
        return refuse(x, &f, RECORD_ERROR);
    }
    if (head->content_length > 0 && (uint64_t)head->content_length > raw_body_max(x)) {
        return refuse(
            x, &(struct fault){.kind = FAULT_TOO_LARGE, .message = SLICE("body is too large")},
            RECORD_ERROR);
    }
    x->action = "reading the body";
    http_conn_read_body(x->conn, raw_body_max(x));
    return STAGE_WAIT;
}

/* --- parse: body -> ask ------------------------------------------------------------------------
 */

/* What Gemini's clients say in the URL: the model, and the form of the answer. */
static enum err read_url(struct exchange *x, struct arena *a, struct fault *out_fault)
{
    enum chat_operation op = x->route->op;
    enum err e = gemini_route(a, x->rest, x->rq->head.query, &op, &x->ask);
    if (e == OK && op == x->route->op) {
        return OK;
    }
    *out_fault = (struct fault){.kind = e == E_NOMEM ? FAULT_OVERLOADED : FAULT_BAD_REQUEST,
                                .message = SLICE("The URL's model is missing or badly escaped."),
                                .param = SLICE("model")};
    return e ? e : E_SYNTAX;
}

enum err stage_scan(struct exchange *x, struct arena *a, struct fault *out_fault)
{
    if (x->raw) {
        return raw_scan(x, a, out_fault);
    }
    enum err e = x->route->dialect == &dialect_gemini ? read_url(x, a, out_fault)
                 : x->rest.len                        ? raw_name_model(x, a, out_fault)
                                                      : OK;
    e = e ? e : x->client->scan(a, x->route->op, x->rq->body, &x->ask, out_fault);
    if (e == OK &&
        !x->client->forward) { /* no provider speaks it: the neutral form is needed anyway */
        e = x->client->decode_request(a, &x->ask, out_fault);
    }
    return e;
}

enum stage_result stage_scanned(struct exchange *x, enum err e, struct fault *f)
{
    if (e == OK && x->ask.is_deferred) { /* what it used would be told later, to nobody */
        e = E_SYNTAX;
        *f = (struct fault){.kind = FAULT_BAD_REQUEST,
                            .message = SLICE("'background' is not supported by this gateway."),
                            .param = SLICE("background")};
    }
    if (e == OK) {
        x->ask.model = exchange_keep(x, x->ask.model); /* outlives the body, which a stream drops */
        return STAGE_NEXT;
    }
    if (f->kind == FAULT_NONE) {
        *f =
            (struct fault){.kind = err_http_status(e) == 503 ? FAULT_OVERLOADED : FAULT_BAD_REQUEST,
                           .message = slice_str(err_text(e))};
    }
    return refuse(x, f, RECORD_ERROR);
}

enum stage_result parse_stage(struct exchange *x)
{
    x->action = "reading the request's members";
    if (x->rq->body.len > ASK_OFFLOAD_BYTES && ask_offload(x)) {
        return STAGE_WAIT;
    }
    struct fault f = {0};
    /* What is found in the body, and forward() needs, goes with it when a stream drops the body. */
    return stage_scanned(x, stage_scan(x, http_request_body_arena(x->rq), &f), &f);
}

/* --- resolve: model -> candidates and dearest price --------------------------------------------
 */

static enum stage_result refuse_model(struct exchange *x, struct slice near_names)
{
    struct slice message =
        near_names.len
            ? arena_printf(
                  x->arena,
                  "The model `%.*s` does not exist or no configured provider serves it. Near: %.*s",
                  SLICE_ARG(slice_head(x->ask.model, 200)), SLICE_ARG(near_names))
            : arena_printf(x->arena,
                           "The model `%.*s` does not exist or no configured provider serves it.",
                           SLICE_ARG(slice_head(x->ask.model, 200)));
    return refuse(
        x,
        &(struct fault){.kind = FAULT_MODEL_NOT_FOUND, .message = message, .param = SLICE("model")},
        RECORD_ERROR);
}

/* A name goes to headers, logs and rows. */
static bool has_control_character(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if ((uint8_t)name.ptr[i] < ' ' || name.ptr[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

enum stage_result resolve_stage(struct exchange *x)
{
    struct slice near_names = SLICE_NONE;
    x->action = "looking up the model";
    if (has_control_character(x->ask.model)) {
        return refuse(
            x,
            &(struct fault){.kind = FAULT_BAD_REQUEST,
                            .message = SLICE("The model's name holds a control character."),
                            .param = SLICE("model")},
            RECORD_ERROR);
    }
    if (x->who.allowed_models.len && !raw_is_harmless(x) &&
        !auth_model_allowed(x->who.allowed_models, x->ask.model)) {
        return refuse(x,
                      &(struct fault){.kind = FAULT_FORBIDDEN,
                                      .message = arena_printf(
                                          x->arena, "This key may not use the model `%.*s`.",
                                          SLICE_ARG(slice_head(x->ask.model, 200))),
                                      .param = SLICE("model")},
                      RECORD_ERROR);
    }
    enum err e =
        x->raw ? raw_plan(x, &near_names)
               : route_resolve(x->conf->routes, x->arena, x->ask.model, &x->plan, &near_names);
    if (e != OK) {
        return refuse_model(x, near_names);
    }
    struct fault f = {0};
    if (x->ask.is_pinned && pin_narrow(x, &f) != OK) {
        return refuse(x, &f, RECORD_ERROR);
    }
    assert(x->plan.count > 0 && x->plan.count <= ROUTE_CANDIDATES_MAX);
    route_bound(&x->plan, &x->ask, &x->bound);
    return STAGE_NEXT;
}

/* --- admit: rates and concurrency --------------------------------------------------------------
 */

static enum stage_result refuse_limit(struct exchange *x, const struct limit_refusal *r)
{
    bool is_budget = r->kind >= LIMIT_BUDGET_DAY;
    struct fault f = {.kind = is_budget ? FAULT_BUDGET : FAULT_RATE_LIMITED,
                      .limit_value = r->limit};
    if (is_budget) {
        char limit[MONEY_TEXT_MAX_BYTES];
        char used[MONEY_TEXT_MAX_BYTES];
        size_t limit_len = money_format(r->limit, limit);
        size_t used_len = money_format(r->used, used);
        f.message =
            arena_printf(x->arena, "Budget exhausted: %s of %.*s USD, %.*s USD used or reserved",
                         limit_kind_name(r->kind), (int)limit_len, limit, (int)used_len, used);
    } else if (r->kind == LIMIT_REQUESTS) {
        f.message = arena_printf(x->arena, "Rate limit exceeded. Limit: %lld requests/minute",
                                 (long long)r->limit);
    } else {
        f.message =
            arena_printf(x->arena, "Rate limit exceeded. Limit: %lld %s", (long long)r->limit,
                         r->kind == LIMIT_TOKENS ? "tokens/minute" : "concurrent requests");
    }
    f.code = SLICE_NONE;
    f.retry_after_ns = r->retry_after_ns;
    f.limit_name = slice_str(limit_kind_name(r->kind));
    return refuse(x, &f, RECORD_REFUSED);
}

enum stage_result admit_stage(struct exchange *x)
{
    struct limit_refusal refusal;
    x->action = "checking rate limits";
    x->has_remaining = true;
    if (!limit_admit(x->worker->gateway->limit, x->who.quota, &x->ticket, &x->remaining,
                     &refusal)) {
        return refuse_limit(x, &refusal);
    }
    x->is_admitted = true;
    x->admitted_unix_ns = x->ticket.admitted_unix_ns;
    return STAGE_NEXT;
}

/* --- cache: is the answer known? ---------------------------------------------------------------
 */

struct cache_control {
    bool no_store, no_cache;
    int64_t max_age_s; /* -1: any */
};

static struct cache_control read_cache_control(struct slice value)
{
    struct cache_control c = {.max_age_s = -1};
    while (value.len) {
        size_t comma = slice_find(value, ',');
        struct slice word = slice_trim(slice_head(value, comma));
        value = slice_from(value, comma + 1);
        if (slice_eq_nocase(word, SLICE("no-store"))) {
            c.no_store = true;
        } else if (slice_eq_nocase(word, SLICE("no-cache"))) {
            c.no_cache = true;
        } else if (word.len > 8 && slice_eq_nocase(slice_head(word, 8), SLICE("max-age="))) {
            int64_t seconds;
            if (slice_to_i64(slice_from(word, 8), &seconds) && seconds >= 0) {
                c.max_age_s = seconds;
            }
        }
    }
    return c;
}

/* Header, then tenant, then what the dialect caches by default (design section 8). */
static bool wants_cache(const struct exchange *x)
{
    struct slice header = http_head_get(&x->rq->head, FIELD_X_LLM_GATEWAY_CACHE);
    if (!x->conf->is_cache_on || x->raw || x->ask.is_uncacheable ||
        x->route->op == CHAT_OP_COUNT_TOKENS || slice_eq_nocase(header, SLICE("off"))) {
        return false;
    }
    if (slice_eq_nocase(header, SLICE("on"))) {
        return true;
    }
    if (x->who.cache_mode.len) {
        return slice_eq(x->who.cache_mode, SLICE("on"));
    }
    return x->client == &dialect_own || x->route->op == CHAT_OP_EMBEDDING ||
           x->ask.is_deterministic;
}

enum stage_result cache_stage(struct exchange *x)
{
    x->action = "looking in the cache";
    if (!wants_cache(x)) {
        return STAGE_NEXT;
    }
    struct cache_control control =
        read_cache_control(http_head_get(&x->rq->head, FIELD_CACHE_CONTROL));
    if (control.no_store || !cache_key_make(x)) {
        return STAGE_NEXT;
    }
    x->cache_use = CACHE_USE_MISS;
    if (!control.no_cache) {
        int64_t max_age_ns = control.max_age_s < 0 || control.max_age_s > INT32_MAX
                                 ? -1
                                 : control.max_age_s * NS_PER_S;
        struct cache_entry *entry =
            cache_find(x->worker->gateway->cache, &x->cache_key, loop_now_ns(x->worker->loop),
                       loop_unix_ns(x->worker->loop), max_age_ns);
        if (entry && relay_entry(x, entry, CACHE_USE_HIT)) {
            return STAGE_REPLY;
        }
        if (flight_join(x)) {
            x->action = "waiting for an identical request in flight";
            return STAGE_WAIT;
        }
    }
    x->is_storing = true;
    return STAGE_NEXT;
}

/* --- reserve: tokens and money, and the journal's open record ----------------------------------
 */

/* A cost that nobody can bound passes only where no hard budget stands. */
static bool has_hard_budget(struct exchange *x)
{
    for (size_t i = 0; i < x->ticket.depth; i++) {
        struct quota_view view;
        limit_view(x->worker->gateway->limit, x->ticket.nodes[i], &view);
        for (int p = 0; p < LIMIT_PERIODS; p++) {
            if (view.spec.budget_nusd[p] >= 0 && !(view.spec.soft_budgets & (1u << p))) {
                return true;
            }
        }
    }
    return false;
}

static enum stage_result refuse_unbounded(struct exchange *x)
{
    limit_cancel(x->worker->gateway->limit, &x->ticket);
    struct slice message =
        x->bound.is_unknown_price
            ? arena_printf(x->arena,
                           "No price is known for the model `%.*s`, so a hard budget cannot "
                           "cover it (unknown_price).",
                           SLICE_ARG(slice_head(x->ask.model, 200)))
            : SLICE("The cost of this request has no upper bound, so a hard budget cannot "
                    "cover it: give max_tokens, and no remote media.");
    return refuse(x,
                  &(struct fault){.kind = FAULT_BUDGET,
                                  .message = message,
                                  .limit_name = SLICE("unknown_price")},
                  RECORD_REFUSED);
}

static void on_reserve_again(struct loop_timer *timer)
{
    pipeline_run(CONTAINER_OF(timer, struct exchange, timer)); /* the same stage once more */
}

/* Only others' open reservations stand in the way: they settle soon. True: the stage runs again. */
static bool waits_for_reservations(struct exchange *x, const struct limit_refusal *refusal)
{
    int64_t now_ns = loop_now_ns(x->worker->loop);
    if (!refusal->is_open_reservations || x->conf->reserve_wait_ns <= 0) {
        return false;
    }
    if (x->reserve_until_ns == 0) {
        x->reserve_until_ns = now_ns + x->conf->reserve_wait_ns;
    }
    if (now_ns >= x->reserve_until_ns) {
        return false;
    }
    loop_timer_set(x->worker->loop, &x->timer, now_ns + RESERVE_RETRY_MS * NS_PER_MS,
                   on_reserve_again);
    return true;
}

/* The most that any target would bill for the prompt, by its own tokenizer and with a margin for
 * templates that are not published; -1: not bounded so. Tools are left to the bytes. */
static int64_t counted_prompt(const struct exchange *x)
{
    int64_t most = 0;
    if (x->ask.neutral->tool_count || x->ask.neutral->format != CHAT_FORMAT_DEFAULT) {
        return -1;
    }
    for (size_t i = 0; i < x->plan.count; i++) {
        struct slice model = x->plan.targets[i].model;
        struct chat_counter counter;
        struct chat_count count;
        chat_counter_init(&counter, chat_family_of_model(model), model);
        chat_count_prompt(&counter, x->ask.neutral, &count);
        if (!counter.is_exact || !count.is_bounded) {
            return -1;
        }
        most = i64_max(most, count.upper);
    }
    return most + most / TIGHTEN_MARGIN_SHARE + TIGHTEN_MARGIN_TOKENS;
}

/* A prompt is at most its bytes in tokens, which is some four times too many for prose. Where that
 * bound is refused the tokens are counted, once. True: the bound is lower now. */
static COLD bool tighten(struct exchange *x)
{
    struct fault ignored = {0};
    bool is_countable = !x->is_tightened && !x->raw && x->route->op == CHAT_OP_CHAT &&
                        token_has_ranks() && x->ask.prompt_max_tokens > 0 &&
                        x->rq->body.len <= TIGHTEN_MAX_BYTES;
    x->is_tightened = true;
    if (!is_countable || exchange_decode(x, &ignored) != OK) {
        return false;
    }
    int64_t counted = counted_prompt(x);
    if (counted < 0 || counted >= x->ask.prompt_max_tokens) {
        return false;
    }
    x->ask.prompt_max_tokens = counted;
    route_bound(&x->plan, &x->ask, &x->bound);
    return true;
}

/* Under the bytes' bound, or, when that is refused, under the counted one. */
static bool reserve(struct exchange *x, struct limit_refusal *refusal)
{
    struct limit *limit = x->worker->gateway->limit;
    return limit_reserve(limit, &x->ticket, x->bound.cost_nusd, x->bound.tokens, refusal) ||
           (tighten(x) &&
            limit_reserve(limit, &x->ticket, x->bound.cost_nusd, x->bound.tokens, refusal));
}

enum stage_result reserve_stage(struct exchange *x)
{
    struct gateway *g = x->worker->gateway;
    struct limit_refusal refusal;
    x->action = "reserving the budget";
    if ((x->bound.is_unknown_price || x->bound.is_unbounded) && has_hard_budget(x)) {
        return refuse_unbounded(x);
    }
    if (!reserve(x, &refusal)) {
        if (waits_for_reservations(x, &refusal)) {
            return STAGE_WAIT;
        }
        limit_cancel(g->limit, &x->ticket);
        return refuse_limit(x, &refusal);
    }
    struct usage_record open = {
        .id = x->id,
        .tenant = x->who.tenant,
        .key = x->who.key,
        .admitted_unix_ns = x->admitted_unix_ns,
        .reserved_nusd = x->bound.cost_nusd,
        .status = RECORD_OPEN,
        .dialect = x->client->record,
        .is_stream = x->ask.is_stream,
        .count = 1,
        .first_token_ns = -1,
        .asked_model = slice_head(x->ask.model, RECORD_TEXT_MAX_BYTES),
        .client_request_id =
            slice_head(http_head_get(&x->rq->head, FIELD_X_REQUEST_ID), RECORD_TEXT_MAX_BYTES),
        .provider = x->plan.targets[0].provider->name,
        .model = x->plan.targets[0].model,
    };
    if (ledger_open_record(x->worker->ledger, &open) != OK) {
        limit_cancel(g->limit, &x->ticket);
        return refuse(
            x,
            &(struct fault){.kind = FAULT_OVERLOADED,
                            .message = SLICE("The usage journal has no room; try again later.")},
            RECORD_ERROR);
    }
    x->is_open_recorded = true;
    if (x->is_storing) {
        flight_lead(x);
    }
    return STAGE_NEXT;
}

/* --- call: pick <-> call ------------------------------------------------------------------------
 */

/* Counted here where the model's provider does not speak the client's dialect. */
static enum stage_result count_tokens(struct exchange *x)
{
    struct fault f = {0};
    struct slice model = x->plan.targets[0].model;
    struct text body = text_growing(x->arena);
    struct chat_counter counter;
    struct chat_count count;
    enum err e = exchange_decode(x, &f);
    if (e != OK) {
        return stage_scanned(x, e, &f);
    }
    chat_counter_init(&counter, chat_family_of_model(model), model);
    chat_count_prompt(&counter, x->ask.neutral, &count);
    x->client->render_count(count.estimate, &body);
    relay_count(x, text_slice(&body));
    return STAGE_REPLY;
}

/* The first target is spoken to in the client's own words. */
static bool is_first_same(const struct exchange *x)
{
    const struct route_target *first = &x->plan.targets[0];
    return dialect_is_same(x->client, route_dialect(first, x->client, x->route->op));
}

/* What cannot be said in the first target's dialect is the client's to hear. */
static enum err decode_for_first(struct exchange *x, struct fault *f)
{
    const struct dialect *spoken = route_dialect(&x->plan.targets[0], x->client, x->route->op);
    bool is_embedding = x->route->op == CHAT_OP_EMBEDDING && spoken->embedding;
    bool is_told = dialect_is_same(x->client, spoken) || x->raw;
    return is_told || (x->route->op != CHAT_OP_CHAT && !is_embedding) ? OK : exchange_decode(x, f);
}

enum stage_result call_stage(struct exchange *x)
{
    struct fault f = {0};
    enum err e = decode_for_first(x, &f);
    if (e != OK) {
        return stage_scanned(x, e, &f);
    }
    if (x->route->op == CHAT_OP_COUNT_TOKENS) {
        if (!is_first_same(x)) {
            return count_tokens(x);
        }
        x->plan.count = 1; /* another provider's number would be of another model */
    }
    affinity_find(x);
    if (!call_next(x)) {
        call_failed(x, HEALTH_UNKNOWN, NULL);
        return STAGE_REPLY;
    }
    return STAGE_WAIT;
}
