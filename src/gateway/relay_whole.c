/* Whole answers on their way to the client: the provider's body as it came or in the client's
 * dialect, stored answers, counts. */
#include "gateway/account.h"
#include "gateway/keep.h"
#include "gateway/relay.h"
#include "gateway/reply.h"

#include <assert.h>

struct slice relay_stream_type(const struct exchange *x)
{
    return x->ask.is_array ? SLICE("application/json; charset=UTF-8")
                           : SLICE("text/event-stream; charset=utf-8");
}

static enum err decode_vectors(struct exchange *x, struct slice body,
                               const struct dialect *provider)
{
    struct embed_response *r = ARENA_NEW(x->arena, struct embed_response);
    enum err e = !r                    ? E_NOMEM
                 : provider->embedding ? provider->embedding->decode_response(x->arena, body, r)
                                       : E_UNSUPPORTED;
    if (e == OK && r->vector_count < x->ask.embedding->input_count &&
        !x->ask.embedding->is_single) {
        e = E_SYNTAX; /* which text has which? */
    }
    x->vectors = e == OK ? r : NULL;
    return e;
}

enum err relay_decode(struct exchange *x, struct slice body, const struct dialect *provider)
{
    if (x->route->op == CHAT_OP_EMBEDDING) {
        return decode_vectors(x, body, provider);
    }
    struct chat_response *r = ARENA_NEW(x->arena, struct chat_response);
    enum err e = r ? provider->decode_response(x->arena, body, r) : E_NOMEM;
    if (e != OK) {
        return e;
    }
    if (!r->has_usage) {
        r->usage = x->outcome.usage;
    }
    if (r->created_unix_s == 0) { /* some providers do not say */
        r->created_unix_s = loop_unix_ns(x->worker->loop) / NS_PER_S;
    }
    r->request = x->ask.neutral;
    r->id = r->id.len ? r->id : slice_of(x->id_text, ID_TEXT_BYTES);
    r->model = r->model.len ? r->model : x->hit ? x->hit->model : x->target->model;
    x->decoded = r;
    return OK;
}

static struct own_extras own_extras_of(const struct exchange *x, bool is_cached)
{
    return (struct own_extras){
        .is_cached = is_cached,
        .cost_nusd = x->cost_nusd,
        .latency_ms = account_took_ns(x) / NS_PER_MS,
        .rate_limit_remaining = x->remaining.requests_limit < 0 ? -1 : x->remaining.requests_left,
        .provider = x->hit ? x->hit->provider : x->target->provider->name,
    };
}

static void reply_body(struct exchange *x, int status, struct slice type, struct slice body)
{
    ROOM char room[REPLY_HEADERS_MAX_BYTES];
    struct text headers = text_in(room, sizeof(room));
    x->state = EXCHANGE_REPLYING;
    if (!x->conn) {
        exchange_end_detached(x);
        return;
    }
    reply_headers(x, type, &headers);
    if (status >= 400 && x->failure.retry_after.len) {
        text_addf(&headers, "retry-after: %.*s\r\n", SLICE_ARG(x->failure.retry_after));
    }
    http_conn_reply(x->conn, status, text_slice(&headers), &body, 1);
}

/* The own dialect's stream of a whole answer: one delta, then the result object. */
static enum err own_events(struct exchange *x, const struct chat_response *r,
                           const struct own_extras *extras, struct slice *out)
{
    struct text t = text_growing(x->arena);
    for (size_t i = 0; r->choice_count && i < r->choices[0].part_count; i++) {
        if (r->choices[0].parts[i].kind == CHAT_TEXT) {
            TEXT_ADD(&t, "data: {\"delta\": ");
            text_add_json_string(&t, r->choices[0].parts[i].text);
            TEXT_ADD(&t, "}\n\n");
        }
    }
    TEXT_ADD(&t, "data: ");
    own_render_result(r, extras, &t);
    TEXT_ADD(&t, "\n\n");
    *out = text_slice(&t);
    return t.is_full ? E_NOMEM : OK;
}

/* A body of the client's dialect, as events, or a list of one, where a stream was asked for. */
static enum err in_asked_form(struct exchange *x, struct slice body, struct slice *out)
{
    *out = body;
    if (x->ask.is_array) {
        struct text t = text_growing(x->arena);
        TEXT_ADD(&t, "[");
        text_add(&t, body);
        TEXT_ADD(&t, "\r\n]");
        *out = text_slice(&t);
        return t.is_full ? E_NOMEM : OK;
    }
    return x->ask.is_stream ? dialect_body_to_events(x->arena, x->client, x->route->op, body,
                                                     x->ask.wants_usage, out)
                            : OK;
}

static enum err encode_vectors(struct exchange *x, struct slice *out)
{
    struct embed_response *r = x->vectors;
    if (!r->has_usage) { /* the provider told none: as it is booked */
        r->usage = x->outcome.usage;
        r->has_usage = x->outcome.has_usage;
    }
    return x->client->embedding->encode_response(x->arena, x->ask.embedding, r, out);
}

/* The neutral answer as the client wants it: a body of its dialect, or the events of one. */
static enum err encode_whole(struct exchange *x, const struct own_extras *extras, struct slice *out)
{
    const struct chat_response *r = x->decoded;
    if (x->vectors) {
        return encode_vectors(x, out);
    }
    if (x->ask.is_stream && x->client == &dialect_own) {
        return own_events(x, r, extras, out);
    }
    enum err e = x->client->encode_response(x->arena, r, extras, out);
    return e ? e : in_asked_form(x, *out, out);
}

static bool is_translated(const struct exchange *x)
{
    return x->decoded || x->vectors;
}

/* The client's body of the provider's whole answer; as events where a stream was asked for. */
static enum err render_whole(struct exchange *x, struct slice body, const struct own_extras *extras,
                             struct slice *out)
{
    return is_translated(x) ? encode_whole(x, extras, out) : in_asked_form(x, body, out);
}

void relay_whole(struct exchange *x)
{
    struct slice body = slice_of(x->answer, x->answer_len);
    struct slice type = x->answer_type.len ? x->answer_type : SLICE("application/json");
    if (x->answer_status >= 400) {
        account(x, RECORD_ERROR, x->answer_status);
        reply_body(x, x->answer_status, type, body);
        return;
    }
    account(x, RECORD_SUCCESS, 200);
    keep_answer(x, body);
    struct own_extras extras = own_extras_of(x, false);
    struct slice out;
    if (render_whole(x, body, &extras, &out) != OK) {
        out = is_translated(x) ? SLICE_NONE : body; /* no room to write it anew */
    } else if (x->ask.is_stream) {
        type = relay_stream_type(x);
    } else if (is_translated(x)) {
        type = SLICE("application/json");
    }
    reply_body(x, 200, type, out);
}

/* The entry's payload in the form and dialect this request wants. */
static enum err convert_entry(struct exchange *x, const struct cache_entry *entry,
                              struct slice *out)
{
    const struct dialect *stored = dialect_of_record((enum record_dialect)entry->dialect);
    struct own_extras extras = own_extras_of(x, true);
    bool is_events = entry->form == CACHE_EVENTS;
    struct slice body = entry->payload;
    enum err e = OK;
    assert(stored);
    if (is_events) { /* for a stream too: usage is shown or hidden as this client asked, below */
        e = dialect_events_to_body(x->arena, stored, x->route->op, entry->payload, &body);
    }
    if (e != OK) {
        return e;
    }
    if (dialect_is_same(x->client, stored)) {
        return in_asked_form(x, body, out);
    }
    struct fault ignored = {0};
    e = x->route->op == CHAT_OP_EMBEDDING ? exchange_decode(x, &ignored) : OK;
    e = e ? e : relay_decode(x, body, stored);
    return e ? e : encode_whole(x, &extras, out);
}

void relay_count(struct exchange *x, struct slice body)
{
    account(x, RECORD_SUCCESS, 200);
    reply_body(x, 200, SLICE("application/json"), body);
}

bool relay_entry(struct exchange *x, struct cache_entry *entry, enum cache_use use)
{
    struct slice out = SLICE_NONE;
    x->hit = entry;
    x->saved_nusd = entry->cost_nusd;
    x->outcome.usage = entry->usage;
    x->outcome.has_usage = true;
    if (convert_entry(x, entry, &out) != OK) {
        cache_entry_unref(entry);
        x->hit = NULL;
        x->saved_nusd = 0;
        x->outcome = (struct outcome){0};
        return false;
    }
    x->cache_use = use;
    x->is_storing = false;
    account(x, RECORD_CACHED, 200);
    reply_body(x, 200, x->ask.is_stream ? relay_stream_type(x) : SLICE("application/json"), out);
    return true;
}
