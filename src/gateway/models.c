/* GET of models: what the key may use, in the dialect of who asks. */
#include "gateway/handler.h"
#include "gateway/pipeline.h"
#include "gateway/reply.h"

struct model_list {
    struct exchange *x;
    const struct dialect_front *front;
    struct text out;
    struct slice wanted; /* empty: all */
    struct slice first, last;
    size_t count;
};

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
    l->front->render_model(
        &(struct dialect_model){.name = model,
                                .owner = owner,
                                .created_unix_ns = l->x->worker->gateway->started_unix_ns},
        &l->out);
}

static void refuse(struct exchange *x, enum fault_kind kind, struct slice message)
{
    exchange_fail(x, &(struct fault){.kind = kind, .message = message, .param = SLICE("model")},
                  RECORD_ERROR);
}

static void reply(struct exchange *x, struct slice body)
{
    char room[REPLY_HEADERS_MAX_BYTES];
    struct text headers = text_in(room, sizeof(room));
    x->state = EXCHANGE_REPLYING;
    reply_headers(x, SLICE("application/json"), &headers);
    http_conn_reply(x->conn, 200, text_slice(&headers), &body, 1);
}

void models_reply(struct exchange *x, struct slice id)
{
    x->client = dialect_of_head(&x->rq->head, x->client);
    struct model_list l = {.x = x, .front = x->client->front, .out = text_growing(x->arena)};
    if (!stage_authenticate(x)) {
        return;
    }
    l.wanted = http_percent_decode(x->arena, id);
    if (id.len && !l.wanted.len) {
        refuse(x, FAULT_MODEL_NOT_FOUND, SLICE("The model name is not valid."));
        return;
    }
    text_add(&l.out, id.len ? SLICE_NONE : l.front->models_open);
    route_models(x->conf->routes, add_model, &l);
    if (!id.len) {
        l.front->close_models(l.first, l.last, &l.out);
    } else if (l.count == 0) {
        refuse(x, FAULT_MODEL_NOT_FOUND,
               arena_printf(x->arena, "The model `%.*s` does not exist or this key may not use it.",
                            SLICE_ARG(slice_head(l.wanted, 200))));
        return;
    }
    if (l.out.is_full) {
        refuse(x, FAULT_OVERLOADED, SLICE("The list is too large."));
        return;
    }
    reply(x, text_slice(&l.out));
}
