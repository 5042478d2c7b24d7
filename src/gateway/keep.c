#include "gateway/keep.h"

#include "gateway/flight.h"

static void keep(struct exchange *x, enum cache_form form, const struct dialect *spoken,
                 struct slice payload)
{
    struct cache_entry *entry = NULL;
    struct gateway *g = x->worker->gateway;
    bool is_whole = x->outcome.finish != CHAT_FINISH_LENGTH &&
                    x->outcome.finish != CHAT_FINISH_FILTER && !x->outcome.is_error;
    if (x->is_storing && is_whole && payload.len <= x->conf->cache_entry_max_bytes) {
        struct cache_entry template = {
            .form = form,
            .dialect = (int)spoken->record,
            .payload = payload,
            .provider = x->target->provider->name,
            .model = x->target->model,
            .usage = x->outcome.usage,
            .cost_nusd = x->cost_nusd,
            .stored_unix_ns = loop_unix_ns(x->worker->loop),
            .expires_ns = loop_now_ns(x->worker->loop) + x->conf->cache_ttl_ns,
        };
        if (cache_put(g->cache, &x->cache_key, &template) == OK && x->flight) {
            entry = cache_find(g->cache, &x->cache_key, loop_now_ns(x->worker->loop),
                               loop_unix_ns(x->worker->loop), -1);
        }
    }
    if (x->flight) {
        flight_done(x, entry);
        cache_entry_unref(entry);
    }
}

void keep_answer(struct exchange *x, struct slice body)
{
    keep(x, CACHE_BODY, x->speaks, body);
}

void keep_gather(const struct exchange *x, struct streamed *out)
{
    *out = (struct streamed){
        .part = {.kind = CHAT_TEXT, .text = dialect_stream_text(x->stream)},
        .choice = {.parts = &out->part, .part_count = 1, .finish = x->outcome.finish},
        .response = {.model = x->outcome.model.len ? x->outcome.model : x->target->model,
                     .choices = &out->choice,
                     .choice_count = 1,
                     .usage = x->outcome.usage,
                     .has_usage = true},
    };
}

/* The events as the client had them, with the usage that was hidden from it and the terminal event:
 * hits are rendered anew from these, for any form. */
static struct slice stored_events(struct exchange *x)
{
    const struct chat_response told = {.usage = x->outcome.usage, .has_usage = true};
    struct text t = text_growing(x->arena);
    struct slice usage = SLICE_NONE;
    text_add(&t, slice_of(x->answer, x->answer_len));
    if (x->adds_usage && x->outcome.has_usage) {
        if (x->client->encode_response(x->arena, &told, NULL, &usage) != OK) {
            x->is_storing = false;
        }
        TEXT_ADD(&t, "data: ");
        text_add(&t, usage);
        TEXT_ADD(&t, "\n\n");
    }
    text_add(&t, slice_of(x->tail, x->tail_len));
    if (t.is_full) {
        x->is_storing = false;
    }
    return text_slice(&t);
}

/* Entries are in the provider's dialect: what was translated for this client is kept as a whole
 * answer of that dialect, or, where nobody can be answered in it (Bedrock), of the client's. */
void keep_stream(struct exchange *x)
{
    const struct dialect *spoken = x->speaks;
    struct slice payload = SLICE_NONE;
    if (!x->is_storing || dialect_is_same(x->client, spoken)) {
        payload = x->is_storing ? stored_events(x) : SLICE_NONE;
        keep(x, CACHE_EVENTS, spoken, payload);
        return;
    }
    if (!spoken->encode_response) {
        spoken = x->client->decode_response ? x->client : &dialect_openai;
    }
    const struct chat_response *answer = dialect_stream_answer(x->stream);
    if (!answer || spoken->encode_response(x->arena, answer, NULL, &payload) != OK) {
        x->is_storing = false;
    }
    keep(x, CACHE_BODY, spoken, payload);
}
