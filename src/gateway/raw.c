#include "gateway/raw.h"

#include "core/check.h"
#include "gateway/bearer.h"
#include "gateway/pin.h"
#include "wire/multipart.h"
#include "wire/spans.h"

#include <assert.h>
#include <stdlib.h>

enum { MODEL_NAME_MAX_BYTES = 512 };

static bool is_verb(const struct exchange *x, enum http_verb verb)
{
    return x->rq->head.verb == verb;
}

static bool is_reading(const struct exchange *x)
{
    return is_verb(x, VERB_GET) || is_verb(x, VERB_HEAD);
}

static enum err refuse(struct fault *f, enum err e, enum fault_kind kind, struct slice message)
{
    *f = (struct fault){.kind = kind, .message = message};
    return e;
}

/* --- begin: path and provider -------------------------------------------------------------------
 */

/* Whether a path means the same to everyone: no empty, "." or ".." segment, plainly or encoded, no
 * encoded separator, nothing encoded twice. */
static bool is_plain_path(struct arena *a, struct slice path)
{
    static const char *const forbidden[] = {"%2f", "%5c", "%25", "%00"};
    for (size_t i = 0; i < path.len; i++) {
        for (size_t k = 0; path.ptr[i] == '%' && k < ARRAY_LEN(forbidden); k++) {
            if (slice_eq_nocase(slice_head(slice_from(path, i), 3), slice_str(forbidden[k]))) {
                return false;
            }
        }
    }
    struct slice left = http_percent_decode(a, path);
    if (!left.ptr || slice_find(left, '\\') < left.len || slice_find(left, '#') < left.len) {
        return false;
    }
    for (size_t i = 0; i < left.len; i++) {
        if ((uint8_t)left.ptr[i] < ' ' || left.ptr[i] == 0x7f) {
            return false;
        }
    }
    while (left.len) {
        left = slice_from(left, 1); /* the slash */
        struct slice segment = slice_head(left, slice_find(left, '/'));
        left = slice_from(left, segment.len);
        struct slice name = slice_head(segment, slice_find(segment, ';'));
        if ((segment.len == 0 && left.len) || slice_eq(name, SLICE(".")) ||
            slice_eq(name, SLICE(".."))) {
            return false;
        }
    }
    return true;
}

/* The query without a credential that was meant for us. */
static struct slice query_without_key(struct arena *a, struct slice query)
{
    struct text out = text_growing(a);
    while (query.len) {
        struct slice pair = slice_head(query, slice_find(query, '&'));
        query = slice_from(query, pair.len + 1);
        if (!slice_eq_nocase(slice_head(pair, slice_find(pair, '=')), SLICE("key"))) {
            text_add(&out, out.len ? SLICE("&") : SLICE_NONE);
            text_add(&out, pair);
        }
    }
    return text_slice(&out);
}

/* A key that may use some models only needs paths of which we know where the model stands. */
static bool is_own_operation(struct arena *a, const struct dialect *d, struct slice path)
{
    for (size_t op = 0; op < CHAT_OPERATIONS; op++) {
        struct slice own = d->path(a, (enum chat_operation)op, SLICE_NONE, false);
        if (own.len && slice_eq(own, path)) {
            return true;
        }
    }
    return false;
}

/* The one of the provider's dialects that has an operation there; else its first. */
static const struct dialect *dialect_with_path(struct arena *a, const struct route_provider *p,
                                               struct slice path)
{
    for (size_t i = 0; i < p->dialect_count; i++) {
        if (is_own_operation(a, p->dialects[i], path)) {
            return p->dialects[i];
        }
    }
    return p->dialects[0];
}

static enum err find_provider(struct exchange *x, struct fault *f)
{
    struct slice near_names;
    enum err e = route_address(x->conf->routes, x->arena, x->raw->provider, SLICE_NONE, &x->plan,
                               &near_names);
    if (e == E_NOT_FOUND) {
        struct slice name = slice_head(x->raw->provider, 100);
        return refuse(
            f, e, FAULT_NOT_FOUND,
            near_names.len
                ? arena_printf(x->arena, "There is no provider `%.*s`. Near: %.*s", SLICE_ARG(name),
                               SLICE_ARG(near_names))
                : arena_printf(x->arena, "There is no provider `%.*s`.", SLICE_ARG(name)));
    }
    if (e != OK) {
        return refuse(f, e, FAULT_OVERLOADED, slice_str(err_text(e)));
    }
    x->client = dialect_with_path(x->arena, x->plan.targets[0].provider, x->raw->path);
    if (x->who.allowed_models.len && !is_reading(x) &&
        !is_own_operation(x->arena, x->client, x->raw->path)) {
        return refuse(
            f, E_NOT_FOUND, FAULT_FORBIDDEN,
            SLICE("This key may use certain models only, and of this path it is not known "
                  "which model it uses."));
    }
    return OK;
}

/* What can be done with a kept answer that costs nothing. */
static bool is_kept_operation(const struct exchange *x, struct slice below)
{
    switch (x->rq->head.verb) {
    case VERB_GET:
    case VERB_HEAD: return below.len == 0 || slice_eq(below, SLICE("/input_items"));
    case VERB_DELETE: return below.len == 0;
    case VERB_POST: return slice_eq(below, SLICE("/cancel"));
    default: return false;
    }
}

/* Only who was given an answer finds it: the provider's key is every tenant's. */
static enum err find_keeper(struct exchange *x, struct fault *f)
{
    struct slice id = slice_head(x->rest, slice_find(x->rest, '/'));
    if (!is_kept_operation(x, slice_from(x->rest, id.len))) {
        return refuse(f, E_NOT_FOUND, FAULT_NOT_FOUND,
                      SLICE("No such operation on a response: it can be got, deleted, "
                            "cancelled, and asked for its input_items."));
    }
    const struct route_provider *keeper = pin_keeper(x, id);
    if (!keeper) {
        return refuse(f, E_NOT_FOUND, FAULT_NOT_FOUND,
                      arena_printf(x->arena, "Response with id '%.*s' not found.",
                                   SLICE_ARG(slice_head(id, 200))));
    }
    x->raw->provider = keeper->name;
    return OK;
}

size_t raw_body_max(const struct exchange *x)
{
    return x->raw && x->route->raw != RAW_KEPT ? x->conf->upload_max_bytes
                                               : x->conf->body_max_bytes;
}

enum err raw_begin(struct exchange *x, struct fault *out_fault)
{
    struct slice path = x->rq->head.path;
    struct raw *raw = x->raw = ARENA_NEW(x->arena, struct raw);
    if (!raw) {
        return refuse(out_fault, E_NOMEM, FAULT_OVERLOADED, slice_str(err_text(E_NOMEM)));
    }
    raw->length = -1;
    if (x->route->raw == RAW_PASS) {
        raw->provider = slice_head(x->rest, slice_find(x->rest, '/'));
        path = slice_from(x->rest, raw->provider.len);
    } else if (slice_starts(path, SLICE("/v1/"))) {
        path = slice_from(path, strlen("/v1"));
    }
    if (!is_plain_path(x->arena, path)) {
        return refuse(out_fault, E_SYNTAX, FAULT_BAD_REQUEST,
                      SLICE("The path holds an empty or dotted segment, or an encoded separator."));
    }
    raw->path = path;
    raw->query = query_without_key(x->arena, x->rq->head.query);
    return x->route->raw == RAW_PASS   ? find_provider(x, out_fault)
           : x->route->raw == RAW_KEPT ? find_keeper(x, out_fault)
                                       : OK;
}

/* --- scan: the model and the bounds -------------------------------------------------------------
 */

enum { R_MODEL, R_MAX, R_MAX_COMPLETION, R_MAX_OUTPUT, R_N, R_MEMBERS };
static const struct span_name members[R_MEMBERS] = {
    [R_MODEL] = {SLICE_INIT("model"), true},
    [R_MAX] = {SLICE_INIT("max_tokens"), false},
    [R_MAX_COMPLETION] = {SLICE_INIT("max_completion_tokens"), false},
    [R_MAX_OUTPUT] = {SLICE_INIT("max_output_tokens"), false},
    [R_N] = {SLICE_INIT("n"), false},
};

static int64_t number_of(const struct span *s, int64_t otherwise)
{
    int64_t value;
    return s->kind == SPAN_NUMBER && slice_to_i64(s->value, &value) && value >= 0 ? value
                                                                                  : otherwise;
}

static struct slice unescaped(struct arena *a, const struct span *s)
{
    if (s->is_string_plain) {
        return span_plain(s);
    }
    char *out = arena_alloc(a, s->value.len);
    return out ? slice_of(out, span_unescape(s->value, out)) : SLICE_NONE;
}

static enum err scan_json(struct exchange *x, struct arena *a, struct fault *f)
{
    struct slice body = x->rq->body;
    bool is_pass = x->route->raw == RAW_PASS;
    struct span m[R_MEMBERS];
    struct span_object o;
    enum err e = spans_scan(body, members, R_MEMBERS, m, &o);
    if (e == E_DUPLICATE || (e != OK && !is_pass)) {
        return refuse(
            f, e, FAULT_BAD_REQUEST,
            arena_printf(a, "The body is not valid: %s at byte %zu", o.fault.what, o.fault.at));
    }
    if (e != OK) { /* bytes of some other form, the provider's business */
        return OK;
    }
    x->raw->is_json = true;
    x->ask.body = body;
    x->ask.output_max_tokens =
        number_of(&m[R_MAX_COMPLETION], number_of(&m[R_MAX_OUTPUT], number_of(&m[R_MAX], -1)));
    x->ask.choices = i64_max(1, number_of(&m[R_N], 1));
    if (!is_pass) { /* what stands below /passthrough/ may name media that bytes do not bound */
        x->ask.prompt_max_tokens = (int64_t)body.len;
    }
    if (m[R_MODEL].kind == SPAN_STRING) {
        x->ask.model = unescaped(a, &m[R_MODEL]);
        x->raw->name_at = (size_t)(m[R_MODEL].value.ptr - body.ptr);
        x->raw->name_len = m[R_MODEL].value.len;
        return x->ask.model.ptr ? OK : E_NOMEM;
    }
    bool is_bad = m[R_MODEL].kind != SPAN_ABSENT && m[R_MODEL].kind != SPAN_NULL && !is_pass;
    return is_bad ? refuse(f, E_SYNTAX, FAULT_BAD_REQUEST, SLICE("'model' is not a string.")) : OK;
}

static enum err scan_form(struct exchange *x, struct arena *a, struct slice type, struct fault *f)
{
    struct multipart *m = arena_alloc(a, sizeof(*m));
    if (!m) {
        return E_NOMEM;
    }
    enum err e = multipart_init(m, type, SLICE("model"), MODEL_NAME_MAX_BYTES);
    e = e ? e : multipart_feed(m, x->rq->body);
    e = e ? e : multipart_end(m);
    if (e != OK) {
        return refuse(f, e, FAULT_BAD_REQUEST,
                      arena_printf(a, "The form is not valid: %s.", m->fault));
    }
    if (m->is_found) {
        x->ask.model = slice_of(x->rq->body.ptr + m->value_at, m->value_len);
        x->raw->name_at = m->value_at;
        x->raw->name_len = m->value_len;
    }
    return OK;
}

enum err raw_scan(struct exchange *x, struct arena *a, struct fault *out_fault)
{
    enum raw_kind kind = x->route->raw;
    struct slice type = http_head_get(&x->rq->head, FIELD_CONTENT_TYPE);
    x->ask = (struct chat_ask){
        .prompt_max_tokens = -1,
        .output_max_tokens = -1,
        .choices = 1,
        /* what is stored, read or deleted, and the end of a batch */
        .is_unbilled =
            raw_is_harmless(x) || is_verb(x, VERB_DELETE) || (kind == RAW_BATCH && x->rest.len),
        .is_uncacheable = true,
    };
    if ((kind != RAW_MODEL && kind != RAW_PASS) || x->rq->body.len == 0) {
        bool is_empty = kind == RAW_MODEL;
        return is_empty
                   ? refuse(out_fault, E_SYNTAX, FAULT_BAD_REQUEST, SLICE("The body is empty."))
                   : OK;
    }
    if (!multipart_is_form(type)) {
        return scan_json(x, a, out_fault);
    }
    return kind == RAW_MODEL ? scan_form(x, a, type, out_fault) : OK;
}

enum err raw_name_model(struct exchange *x, struct arena *a, struct fault *out_fault)
{
    struct slice body = x->rq->body;
    struct span model;
    struct span_object o;
    if (spans_scan(body, &members[R_MODEL], 1, &model, &o) != OK || model.kind != SPAN_ABSENT) {
        return OK; /* the dialect says what is wrong, or there is a name */
    }
    struct slice name = http_percent_decode(a, x->rest);
    struct text t = text_growing(a);
    if (!name.ptr) {
        return refuse(out_fault, E_SYNTAX, FAULT_BAD_REQUEST,
                      SLICE("The deployment's name is not valid."));
    }
    TEXT_ADD(&t, "{\"model\":");
    text_add_json_string(&t, name);
    text_add(&t, o.members ? SLICE(",") : SLICE_NONE);
    text_add(&t, slice_from(body, o.open + 1));
    x->rq->body = text_slice(&t);
    return t.is_full ? E_NOMEM : OK;
}

/* --- resolve ------------------------------------------------------------------------------------
 */

bool raw_is_harmless(const struct exchange *x)
{
    return x->raw && (x->route->raw == RAW_STORE || x->route->raw == RAW_KEPT || is_reading(x));
}

enum err raw_plan(struct exchange *x, struct slice *out_near)
{
    const struct route_table *routes = x->conf->routes;
    struct slice provider = x->raw->provider;
    if (x->route->raw == RAW_MODEL && x->ask.model.len) {
        enum err e = route_resolve(routes, x->arena, x->ask.model, &x->plan, out_near);
        return e ? e : route_narrow(x->arena, x->client, &x->plan);
    }
    if (provider.len == 0) {
        const struct route_provider *first = route_first(routes, x->client);
        if (!first) {
            return E_NOT_FOUND;
        }
        provider = first->name;
    }
    return route_address(routes, x->arena, provider, x->ask.model, &x->plan, out_near);
}

/* --- call ---------------------------------------------------------------------------------------
 */

/* What a client may say to a provider; credentials, cookies and whatever belongs to the connection
 * never. */
static const struct slice passed_headers[] = {
    SLICE_INIT("accept"),        SLICE_INIT("anthropic-beta"),  SLICE_INIT("anthropic-version"),
    SLICE_INIT("content-type"),  SLICE_INIT("idempotency-key"), SLICE_INIT("if-match"),
    SLICE_INIT("if-none-match"), SLICE_INIT("openai-beta"),     SLICE_INIT("range"),
};

static void add_line(struct text *t, struct slice name, struct slice value)
{
    if (value.len) {
        text_add(t, name);
        TEXT_ADD(t, ": ");
        text_add(t, value);
        TEXT_ADD(t, "\r\n");
    }
}

static struct slice request_line(const struct exchange *x)
{
    const struct raw *raw = x->raw;
    struct text t = text_growing(x->arena);
    text_add(&t, x->rq->head.method_text);
    TEXT_ADD(&t, " ");
    text_add(&t, x->target->provider->base_path);
    text_add(&t, raw->path);
    text_add(&t, x->target->provider->base_path.len || raw->path.len ? SLICE_NONE : SLICE("/"));
    struct slice fixed = x->target->provider->fixed_query; /* Azure's api-version */
    bool is_fixed = fixed.len && slice_search(raw->query, SLICE("api-version=")) == raw->query.len;
    text_add(&t, is_fixed ? fixed : SLICE_NONE);
    if (raw->query.len) {
        text_add(&t, is_fixed ? SLICE("&") : SLICE("?"));
        text_add(&t, raw->query);
    }
    TEXT_ADD(&t, " HTTP/1.1\r\n");
    return t.is_full ? SLICE_NONE : text_slice(&t);
}

static struct slice request_lines(const struct exchange *x, size_t body_bytes)
{
    const struct http_head *head = &x->rq->head;
    const struct dialect *d = x->speaks;
    struct text t = text_growing(x->arena);
    for (size_t i = 0; i < ARRAY_LEN(passed_headers); i++) {
        add_line(&t, passed_headers[i], http_head_find(head, passed_headers[i]));
    }
    for (size_t i = 0; i < d->header_count; i++) { /* the dialect's, where the client is silent */
        bool is_said = http_head_find(head, d->headers[i].name).len > 0;
        add_line(&t, d->headers[i].name, is_said ? SLICE_NONE : d->headers[i].value);
    }
    add_line(&t, SLICE("via"), arena_printf(x->arena, "1.1 %s", x->worker->gateway->via));
    if (body_bytes || !(is_reading(x) || is_verb(x, VERB_DELETE))) {
        TEXT_ADD(&t, "content-length: ");
        text_add_i64(&t, (int64_t)body_bytes);
        TEXT_ADD(&t, "\r\n");
    }
    TEXT_ADD(&t, "\r\n");
    return t.is_full ? SLICE_NONE : text_slice(&t);
}

static void add_part(struct body_parts *parts, struct slice part)
{
    if (part.len) {
        parts->parts[parts->count++] = part;
        parts->bytes += part.len;
    }
}

/* As it came, but for the model's name where the target calls it otherwise. */
static enum err render_body(struct exchange *x, struct body_parts *out)
{
    const struct raw *raw = x->raw;
    struct slice body = x->rq->body;
    struct slice name = x->target->model;
    *out = (struct body_parts){0};
    if (raw->name_len == 0 || x->route->raw == RAW_PASS || slice_eq(name, x->ask.model)) {
        add_part(out, body);
        return OK;
    }
    struct text t = text_growing(x->arena);
    if (raw->is_json) {
        text_add_json_string(&t, name);
    } else {
        text_add(&t, name);
    }
    add_part(out, slice_head(body, raw->name_at));
    add_part(out, text_slice(&t));
    add_part(out, slice_from(body, raw->name_at + raw->name_len));
    return t.is_full ? E_NOMEM : OK;
}

static bool is_once(const struct exchange *x)
{
    return x->route->raw != RAW_MODEL && !is_reading(x);
}

enum err raw_add_request(struct exchange *x, struct attempt_request *request)
{
    const struct route_provider *p = x->target->provider;
    struct body_parts body;
    enum err e = render_body(x, &body);
    if (e != OK) {
        return e;
    }
    x->adds_usage = false;
    x->dropped = SLICE_NONE;
    request->is_head_method = is_verb(x, VERB_HEAD);
    request->is_once = is_once(x);
    struct slice line = request_line(x);
    struct slice lines = request_lines(x, body.bytes);
    if (!line.ptr || !lines.ptr) {
        return E_NOMEM;
    }
    request->parts[request->part_count++] = line;
    request->parts[request->part_count++] = p->common_lines;
    if (x->choice.key != SIZE_MAX) {
        request->parts[request->part_count++] = bearer_lines(x);
    }
    request->parts[request->part_count++] = lines;
    for (size_t i = 0; i < body.count; i++) {
        request->parts[request->part_count++] = body.parts[i];
    }
    return OK;
}

bool raw_may_retry(const struct exchange *x, const struct failure *why)
{
    bool was_sent =
        why->status != 0 || (why->error != E_CONNECT && why->error != E_DNS && why->error != E_TLS);
    return !x->raw || !is_once(x) || !was_sent;
}

enum blame raw_blame(const struct exchange *x, enum blame blame)
{
    bool is_theirs = blame == BLAME_US_DEPLOYMENT ||
                     (blame == BLAME_PROVIDER && x->answer_status >= 400 && x->answer_status < 500);
    return x->raw && is_theirs ? BLAME_CLIENT : blame;
}
