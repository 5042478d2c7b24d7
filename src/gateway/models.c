/* GET /v1/models: what the key may use, in the dialect of who asks. */
#include "gateway/handler.h"
#include "gateway/reply.h"

struct model_list {
    struct exchange *x;
    struct text out;
    struct slice wanted; /* empty: all */
    struct slice first, last;
    size_t count;
};

static void add_openai(struct model_list *l, struct slice model, struct slice owner)
{
    TEXT_ADD(&l->out, "{\"id\":");
    text_add_json_string(&l->out, model);
    TEXT_ADD(&l->out, ",\"object\":\"model\",\"created\":");
    text_add_i64(&l->out, l->x->worker->gateway->started_unix_ns / NS_PER_S);
    TEXT_ADD(&l->out, ",\"owned_by\":");
    text_add_json_string(&l->out, owner);
    TEXT_ADD(&l->out, "}");
}

/* Nobody's launch dates are known here: the process's start stands for them. */
static void add_anthropic(struct model_list *l, struct slice model)
{
    char time[CLOCK_RFC3339_BYTES + 1];
    TEXT_ADD(&l->out, "{\"type\":\"model\",\"id\":");
    text_add_json_string(&l->out, model);
    TEXT_ADD(&l->out, ",\"display_name\":");
    text_add_json_string(&l->out, model);
    TEXT_ADD(&l->out, ",\"created_at\":\"");
    text_add(&l->out, slice_of(time, clock_rfc3339(l->x->worker->gateway->started_unix_ns, time)));
    TEXT_ADD(&l->out, "\"}");
}

static void add_model(void *ctx, struct slice model, struct slice owner)
{
    struct model_list *l = ctx;
    const struct auth_who *who = &l->x->who;
    if ((l->wanted.len && !slice_eq(model, l->wanted)) || slice_find(model, '*') < model.len ||
        (who->allowed_models.len && !auth_model_allowed(who->allowed_models, model)) ||
        (l->wanted.len && l->count)) {
        return;
    }
    if (l->count++) {
        TEXT_ADD(&l->out, ",");
    } else {
        l->first = model;
    }
    l->last = model;
    if (l->x->client == &dialect_anthropic) {
        add_anthropic(l, model);
    } else {
        add_openai(l, model, owner);
    }
}

/* Anthropic's lists are paged; ours is one page. */
static void end_list(struct model_list *l)
{
    if (l->x->client != &dialect_anthropic) {
        TEXT_ADD(&l->out, "]}");
        return;
    }
    TEXT_ADD(&l->out, "],\"has_more\":false,\"first_id\":");
    if (l->count) {
        text_add_json_string(&l->out, l->first);
    } else {
        TEXT_ADD(&l->out, "null");
    }
    TEXT_ADD(&l->out, ",\"last_id\":");
    if (l->count) {
        text_add_json_string(&l->out, l->last);
    } else {
        TEXT_ADD(&l->out, "null");
    }
    TEXT_ADD(&l->out, "}");
}

static bool authenticate(struct exchange *x)
{
    struct slice credential = auth_credential(&x->rq->head, x->conf->api_key_header);
    enum auth_verdict v = auth_check(x->worker->gateway->directory, credential, x->started_unix_ns,
                                     x->arena, &x->who);
    if (v != AUTH_OK) {
        exchange_fail(
            x,
            v == AUTH_MISSING
                ? &(struct fault){.kind = FAULT_AUTH_MISSING, .message = SLICE("API key missing")}
                : &(struct fault){.kind = FAULT_AUTH_INVALID, .message = SLICE("Invalid API key")},
            RECORD_ERROR);
        return false;
    }
    return true;
}

static void refuse(struct exchange *x, enum fault_kind kind, struct slice message)
{
    exchange_fail(x, &(struct fault){.kind = kind, .message = message, .param = SLICE("model")},
                  RECORD_ERROR);
}

void models_reply(struct exchange *x, struct slice id)
{
    struct model_list l = {.x = x, .out = text_growing(x->arena)};
    if (http_head_get(&x->rq->head, FIELD_ANTHROPIC_VERSION).len) {
        x->client = &dialect_anthropic;
    }
    if (!authenticate(x)) {
        return;
    }
    l.wanted = http_percent_decode(x->arena, id);
    if (id.len && !l.wanted.len) {
        refuse(x, FAULT_MODEL_NOT_FOUND, SLICE("The model name is not valid."));
        return;
    }
    if (!id.len) {
        text_add(&l.out, x->client == &dialect_anthropic
                             ? SLICE("{\"data\":[")
                             : SLICE("{\"object\":\"list\",\"data\":["));
    }
    route_models(x->conf->routes, add_model, &l);
    if (!id.len) {
        end_list(&l);
    }
    if (id.len && l.count == 0) {
        refuse(x, FAULT_MODEL_NOT_FOUND,
               arena_printf(x->arena, "The model `%.*s` does not exist or this key may not use it.",
                            SLICE_ARG(slice_head(l.wanted, 200))));
        return;
    }
    if (l.out.is_full) {
        refuse(x, FAULT_OVERLOADED, SLICE("The list is too large."));
        return;
    }
    char room[REPLY_HEADERS_MAX_BYTES];
    struct text headers = text_in(room, sizeof(room));
    struct slice body = text_slice(&l.out);
    x->state = EXCHANGE_REPLYING;
    reply_headers(x, SLICE("application/json"), &headers);
    http_conn_reply(x->conn, 200, text_slice(&headers), &body, 1);
}
