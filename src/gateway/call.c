#include "gateway/call.h"

#include "gateway/account.h"
#include "gateway/bearer.h"
#include "gateway/flight.h"
#include "gateway/raw.h"
#include "gateway/relay.h"

#include <assert.h>

enum {
    CALL_BACKOFF_FIRST_MS = 100, /* doubled each round, with half of it random */
    CALL_FIXED_PARTS = 6,        /* head in three, credential, its signature, rest */
};

/* What the dialect's own client may say in a header, or the provider's default. */
static struct slice header_value(const struct exchange *x, const struct dialect_header *h)
{
    struct slice given =
        dialect_is_same(x->client, x->speaks) ? http_head_find(&x->rq->head, h->name) : SLICE_NONE;
    return given.len ? given : h->value;
}

/* Head lines of this request: the dialect's, hop marker, length, end of head. */
static struct slice render_head_rest(struct exchange *x, const struct body_parts *body)
{
    enum { HEAD_REST_BYTES = 160 };
    const struct dialect *d = x->speaks;
    size_t size = HEAD_REST_BYTES;
    for (size_t i = 0; i < d->header_count; i++) {
        size += d->headers[i].name.len + header_value(x, &d->headers[i]).len + 4;
    }
    char *room = arena_alloc(x->arena, size);
    if (!room) {
        return SLICE_NONE;
    }
    struct text t = text_in(room, size);
    for (size_t i = 0; i < d->header_count; i++) {
        struct slice value = header_value(x, &d->headers[i]);
        if (value.len) {
            text_add(&t, d->headers[i].name);
            TEXT_ADD(&t, ": ");
            text_add(&t, value);
            TEXT_ADD(&t, "\r\n");
        }
    }
    TEXT_ADD(&t, "via: 1.1 ");
    text_add(&t, slice_str(x->worker->gateway->via));
    TEXT_ADD(&t, "\r\ncontent-length: ");
    text_add_i64(&t, (int64_t)body->bytes);
    TEXT_ADD(&t, "\r\n\r\n");
    assert(!t.is_full);
    return text_slice(&t);
}

/* The body in the provider's dialect: edited in place, or through the neutral form. */
static enum err render_body(struct exchange *x, struct body_parts *out)
{
    const struct route_target *t = x->target;
    struct encode_options o = {
        .model = t->model,
        .profile = &t->facts.profile,
        .op = x->route->op,
        .output_model_tokens = t->facts.output_max_tokens,
        .output_cap_tokens = x->ask.output_max_tokens < 0 ? x->plan.output_cap_tokens : -1,
        .is_stream = x->ask.is_stream,
        .wants_usage = x->ask.is_stream && !t->facts.profile.refuses_stream_options &&
                       !t->provider->refuses_stream_options,
        .is_vertex = t->provider->is_vertex,
        .context_tokens = t->provider->context_tokens,
    };
    *out = (struct body_parts){0};
    if (dialect_is_same(x->client, x->speaks)) {
        return x->client->forward(x->arena, &x->ask, &o, out);
    }
    struct fault f = {0};
    enum err e = exchange_decode(x, &f);
    if (e != OK) {
        return e;
    }
    if (x->route->op == CHAT_OP_EMBEDDING) {
        const struct dialect_embedding *embedding = x->speaks->embedding;
        return embedding ? embedding->encode_request(x->arena, x->ask.embedding, &o, out)
                         : E_UNSUPPORTED;
    }
    return x->speaks->encode_request(x->arena, x->ask.neutral, &o, out);
}

/* "POST /path" of this request, where it says the model; the query is the provider's own. */
static struct slice render_path(struct exchange *x, const struct body_parts *body)
{
    const struct route_target *target = x->target;
    const struct route_provider *p = target->provider;
    struct text t = text_growing(x->arena);
    struct slice path = body->path;
    if (!path.len) {
        path = (p->is_vertex ? x->speaks->vertex->path : x->speaks->path)(
            x->arena, x->route->op, target->model, x->ask.is_stream);
    }
    text_add(&t, p->base_path);
    if (p->model_begins_path) {
        text_add_char(&t, '/');
        text_add_uri(&t, target->model, false);
    }
    text_add(&t, path);
    return path.len && !t.is_full ? text_slice(&t) : SLICE_NONE;
}

/* A credential that is made over the request. */
static enum err sign_request(struct exchange *x, const struct body_parts *body, struct slice path,
                             struct slice *out_lines)
{
    const struct route_provider *p = x->target->provider;
    struct text t = text_growing(x->arena);
    const struct dialect_signing in = {
        .method = SLICE("POST"),
        .path = path,
        .query = slice_from(p->fixed_query, 1),
        .host = p->dest.authority,
        .body = body->parts,
        .body_count = body->count,
        .key = secret_slice(&p->keys[x->choice.key].secret),
        .region = p->region,
        .now_unix_ns = clock_unix_ns(),
    };
    enum err e = x->speaks->sign(x->arena, &in, &t);
    *out_lines = text_slice(&t);
    return e;
}

/* With the query that the dialect's own client may send and nothing depends on. */
static void add_prefix(const struct exchange *x, struct attempt_request *request)
{
    const struct route_provider *p = x->target->provider;
    const struct route_heads *heads = &p->heads[route_dialect_index(p, x->speaks)];
    struct slice head = heads->prefix[x->route->op];
    struct slice query = x->speaks->query;
    if (query.len == 0 || p->is_vertex || !dialect_is_same(x->client, x->speaks) ||
        !slice_eq(x->rq->head.query, slice_from(query, 1))) {
        request->parts[request->part_count++] = head;
        return;
    }
    request->parts[request->part_count++] = slice_head(head, heads->line_bytes[x->route->op]);
    request->parts[request->part_count++] = query;
    request->parts[request->part_count++] = slice_from(head, heads->line_bytes[x->route->op]);
}

/* Head lines up to the credential, and the credential. */
static enum err add_head(struct exchange *x, const struct body_parts *body,
                         struct attempt_request *request)
{
    const struct route_provider *p = x->target->provider;
    struct slice path = SLICE_NONE, signature = SLICE_NONE;
    assert(!x->speaks->sign || p->path_has_model); /* what is signed is made here */
    if (p->path_has_model) {
        path = render_path(x, body);
        if (!path.ptr) {
            return E_NOMEM;
        }
        struct slice line =
            arena_printf(x->arena, "POST %.*s%.*s", SLICE_ARG(path), SLICE_ARG(p->fixed_query));
        request->parts[request->part_count++] = line;
        if (!line.ptr) {
            return E_NOMEM;
        }
    }
    add_prefix(x, request);
    if (x->choice.key == SIZE_MAX) {
        return OK;
    }
    struct slice lines = bearer_lines(x);
    if (lines.len) {
        request->parts[request->part_count++] = lines;
    }
    enum err e = x->speaks->sign ? sign_request(x, body, path, &signature) : OK;
    if (signature.len) {
        request->parts[request->part_count++] = signature;
    }
    return e;
}

static enum err add_request(struct exchange *x, struct attempt_request *request)
{
    const struct route_provider *p = x->target->provider;
    if (p->heads[route_dialect_index(p, x->speaks)].prefix[x->route->op].len == 0) {
        return E_UNSUPPORTED; /* the provider has no such operation */
    }
    struct body_parts body;
    enum err e = render_body(x, &body);
    if (e != OK) {
        return e;
    }
    x->adds_usage = body.adds_usage;
    x->dropped = body.dropped;
    _Static_assert((int)FORWARD_PARTS_MAX + CALL_FIXED_PARTS <= (int)ATTEMPT_PARTS_MAX,
                   "parts fit");
    struct slice rest = render_head_rest(x, &body);
    if (!rest.ptr) {
        return E_NOMEM;
    }
    e = add_head(x, &body, request);
    if (e != OK) {
        return e;
    }
    request->parts[request->part_count++] = rest;
    for (size_t i = 0; i < body.count; i++) {
        request->parts[request->part_count++] = body.parts[i];
    }
    return OK;
}

static enum err send_request(struct exchange *x)
{
    const struct route_provider *p = x->target->provider;
    struct attempt_request request = {
        .dest = &p->dest,
        .timeouts = p->timeouts,
        .limits = {.head_max_bytes = x->conf->listen.limits.head_max_bytes,
                   .headers_max = x->conf->listen.limits.headers_max},
        .arena = x->arena,
    };
    enum err e = bearer_take(x);
    if (e == OK) {
        e = x->raw ? raw_add_request(x, &request) : add_request(x, &request);
    }
    return e == OK ? attempt_start(x->worker->upstream, &request, &relay_handler, x, &x->attempt)
                   : e;
}

static void begin_attempt(struct exchange *x)
{
    x->target = &x->plan.targets[x->choice.target];
    x->speaks = x->raw ? x->client : route_dialect(x->target, x->client, x->route->op);
    x->key_health =
        x->choice.key == SIZE_MAX ? NULL : x->target->provider->keys[x->choice.key].health;
    x->attempts++;
    x->attempt_started_ns = loop_now_ns(x->worker->loop);
    x->answer_status = 0;
    x->answer_len = 0;
    x->is_answer_stream = false;
    x->stream = NULL;
    x->first_byte_ns = 0;
    x->held_len = 0;
    x->is_terminal_seen = false;
    x->is_error_sent = false;
    x->outcome = (struct outcome){0};
    health_begin(x->target->health);
    if (x->key_health) {
        health_begin(x->key_health);
    }
    metric_add(&metric_provider(x->worker->metrics, x->target->provider->name)->active, 1);
    x->action = "waiting for the provider";
}

static COLD void hide(struct slice text, struct slice word)
{
    for (size_t at; word.len && (at = slice_search(text, word)) < text.len;) {
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): the caller's own bytes, const by type only */
        memset((char *)(uintptr_t)text.ptr + at, '*', word.len);
        text = slice_from(text, at + word.len);
    }
}

COLD void call_hide_key(const struct exchange *x, struct slice text)
{
    enum { PART_LEAST_BYTES = 8 }; /* a shorter part would hide ordinary words */
    if (x->choice.key == SIZE_MAX) {
        return;
    }
    struct slice key = secret_slice(&x->target->provider->keys[x->choice.key].secret);
    hide(text, key);
    hide(text, x->bearer ? x->bearer->token : SLICE_NONE);
    /* What is signed goes out in parts: AWS tells back the canonical request, session and all. */
    while (x->speaks->sign && key.len) {
        struct slice part = slice_head(key, slice_find(key, ':'));
        if (part.len >= PART_LEAST_BYTES) {
            hide(text, part);
        }
        key = slice_from(key, part.len + 1);
    }
}

void call_health_end(struct exchange *x, enum health_outcome outcome, int64_t retry_after_ns)
{
    int64_t now_ns = loop_now_ns(x->worker->loop);
    int64_t first_ns = x->first_byte_ns ? x->first_byte_ns - x->attempt_started_ns : -1;
    x->upstream_ns += clock_mono_ns() - x->attempt_started_ns;
    /* A refused key says nothing about the target, and a limited one only when there is no key to
     * blame. */
    bool is_keys = x->key_health && (outcome == HEALTH_REFUSED || outcome == HEALTH_LIMITED);
    if (x->key_health) {
        health_end(x->key_health, is_keys || outcome == HEALTH_OK ? outcome : HEALTH_UNKNOWN,
                   now_ns, first_ns, retry_after_ns);
    }
    health_end(x->target->health, is_keys ? HEALTH_UNKNOWN : outcome, now_ns, first_ns,
               retry_after_ns);
    struct metric_provider *p = metric_provider(x->worker->metrics, x->target->provider->name);
    metric_add(&p->attempts[outcome], 1);
    metric_add(&p->active, -1);
}

/* One try at what was picked. False: nothing was sent. */
static bool call_picked(struct exchange *x)
{
    begin_attempt(x);
    enum err e = send_request(x);
    if (e == OK) {
        if (x->attempts == 1) {
            retry_budget_earn(&x->worker->gateway->retries);
        }
        return true;
    }
    call_health_end(x, HEALTH_UNKNOWN, 0); /* nothing was tried: a breaker would only be late */
    x->failure = (struct failure){.is_set = true, .error = e, .message = slice_str(err_text(e))};
    return false;
}

static void on_bearer_due(struct loop_timer *timer);

bool call_next(struct exchange *x)
{
    while (x->attempts < x->conf->attempts_max &&
           route_pick(&x->plan, &x->tried, x->affinity, loop_now_ns(x->worker->loop),
                      worker_random(x->worker), &x->choice)) {
        if (bearer_waits(x, on_bearer_due) || call_picked(x)) {
            return true;
        }
    }
    return false;
}

/* What was picked, once more or at last. */
static bool call_again(struct exchange *x)
{
    return x->attempts < x->conf->attempts_max &&
           (bearer_waits(x, on_bearer_due) || call_picked(x));
}

static void note_failure(struct exchange *x)
{
    if (!x->notes) {
        x->notes = arena_array(x->arena, EXCHANGE_ATTEMPTS_LOGGED, sizeof(*x->notes));
    }
    if (x->notes && x->attempts >= 1 && x->attempts <= EXCHANGE_ATTEMPTS_LOGGED && x->target) {
        x->notes[x->attempts - 1] = (struct attempt_note){
            .provider = x->target->provider->name,
            .model = x->target->model,
            .status = x->failure.status,
            .error = x->failure.error,
            .took_ms =
                (int32_t)((loop_now_ns(x->worker->loop) - x->attempt_started_ns) / NS_PER_MS),
        };
    }
}

static void fault_of_error(const struct exchange *x, struct fault *f)
{
    switch (x->failure.error) {
    case E_TIMEOUT: f->kind = FAULT_UPSTREAM_TIMEOUT; break;
    case E_CREDENTIAL:
        f->kind = x->client == &dialect_own ? FAULT_UPSTREAM : FAULT_OVERLOADED; /* both are 503 */
        break;
    case E_NOMEM:
    case E_BUSY: f->kind = FAULT_OVERLOADED; break;
    case E_UNSUPPORTED: f->kind = FAULT_BAD_REQUEST; break;
    default: f->kind = FAULT_UPSTREAM; break; /* every other way to fail on the way there */
    }
}

/* The provider's status in the words of a client that speaks another dialect. The origin knows one
 * answer to all of them; 529 is Anthropic's alone. */
static void fault_of_status(const struct exchange *x, struct fault *f)
{
    enum { STATUS_OVERLOADED = 529 };
    int status = x->failure.status;
    if (x->client == &dialect_own || (status != 429 && status < 500)) {
        return;
    }
    f->status = status == STATUS_OVERLOADED ? 0 : status;
    if (status == 429) {
        f->kind = FAULT_RATE_LIMITED;
    } else if (status == 503 || status == STATUS_OVERLOADED) {
        f->kind = FAULT_OVERLOADED;
    } else if (status == 504) {
        f->kind = FAULT_UPSTREAM_TIMEOUT;
    }
}

/* The provider's own words, where the client speaks its dialect: status, body and Retry-After. */
static void reply_provider_error(struct exchange *x)
{
    x->answer_status = x->failure.status;
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): it lies in our arena, const by type only */
    x->answer = (char *)(uintptr_t)x->failure.body.ptr;
    x->answer_len = x->failure.body.len;
    x->answer_type = x->failure.content_type;
    relay_whole(x);
}

/* Retry-After in seconds; a date, which no provider sends, counts as absent. */
static int64_t retry_after_ns(const struct failure *why)
{
    enum { RETRY_AFTER_MAX_S = 24 * 3600 };
    int64_t seconds;
    bool is_given = slice_to_i64(slice_trim(why->retry_after), &seconds) && seconds > 0;
    return is_given ? i64_min(seconds, RETRY_AFTER_MAX_S) * NS_PER_S : 0;
}

static void exhausted(struct exchange *x)
{
    struct failure *why = &x->failure;
    x->action = "giving up";
    if (!why->is_set) {
        *why = (struct failure){
            .is_set = true, .error = E_BUSY, .message = SLICE("no provider is available now")};
    }
    x->error_text = why->message;
    if (why->error == OK && !why->is_ours && why->status >= 400 &&
        dialect_is_same(x->client, x->speaks)) {
        if (x->flight && !x->is_follower) {
            flight_failed(x, &(struct fault){.kind = FAULT_UPSTREAM, .message = why->message});
        }
        reply_provider_error(x);
        return;
    }
    struct fault f = {.kind = FAULT_UPSTREAM,
                      .message = why->message,
                      .retry_after_ns = why->is_ours ? 0 : retry_after_ns(why)};
    if (why->error != OK) {
        fault_of_error(x, &f);
    } else if (why->is_ours) {
        f.message =
            x->client == &dialect_own
                ? why->message
                : SLICE("The provider refused the gateway's credentials, quota or deployment.");
    } else {
        fault_of_status(x, &f);
    }
    exchange_fail(x, &f, RECORD_ERROR);
}

static void on_backoff_over(struct loop_timer *timer)
{
    struct exchange *x = CONTAINER_OF(timer, struct exchange, timer);
    if (!call_next(x)) {
        exhausted(x);
    }
}

/* A look whether the access token has come. */
static void on_bearer_due(struct loop_timer *timer)
{
    struct exchange *x = CONTAINER_OF(timer, struct exchange, timer);
    if (!call_again(x) && !call_next(x)) {
        exhausted(x);
    }
}

/* Another round over the same targets helps only where the last failure was passing. */
static bool is_worth_another_round(const struct exchange *x)
{
    const struct failure *why = &x->failure;
    if (x->attempts >= x->conf->attempts_max || why->is_ours || why->retry_after.len) {
        return false;
    }
    if (why->error != OK) {
        return why->error == E_CONNECT || why->error == E_EOF || why->error == E_IO;
    }
    return why->status == 500 || why->status == 502 || why->status == 503 || why->status == 529;
}

static void schedule_round(struct exchange *x)
{
    int64_t full_ms = (int64_t)CALL_BACKOFF_FIRST_MS << (x->rounds < 6 ? x->rounds : 6);
    int64_t wait_ms =
        full_ms / 2 + (int64_t)(worker_random(x->worker) % (uint64_t)(full_ms / 2 + 1));
    x->rounds++;
    x->tried = (struct route_tried){0};
    x->action = "waiting before another try";
    x->upstream_ns += wait_ms * NS_PER_MS; /* not our overhead */
    loop_timer_set(x->worker->loop, &x->timer, loop_now_ns(x->worker->loop) + wait_ms * NS_PER_MS,
                   on_backoff_over);
}

void call_failed(struct exchange *x, enum health_outcome outcome, const struct failure *why)
{
    struct gateway *g = x->worker->gateway;
    assert(!x->attempt);
    bool is_renewing = why && bearer_renews(x, why) && raw_may_retry(x, why);
    if (why) {
        call_health_end(x, is_renewing ? HEALTH_UNKNOWN : outcome, retry_after_ns(why));
        x->failure = *why;
        note_failure(x);
    }
    if (is_renewing && call_again(x)) { /* the same target, with another token */
        return;
    }
    if (why && raw_may_retry(x, why) &&
        call_next(
            x)) { /* another target: not limited by the retry budget, the breakers see to that */
        return;
    }
    if (why && raw_may_retry(x, why) && is_worth_another_round(x) &&
        retry_budget_spend(&g->retries)) {
        schedule_round(x);
        return;
    }
    exhausted(x);
}

void call_cancel(struct exchange *x)
{
    if (x->attempt) {
        struct attempt *a = x->attempt;
        x->was_sent = attempt_was_sent(a);
        x->attempt = NULL;
        attempt_cancel(a);
        call_health_end(x, HEALTH_UNKNOWN, 0);
        if (x->state == EXCHANGE_STAGES) {
            account_abandoned(x);
        }
    }
}
