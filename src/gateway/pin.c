#include "gateway/pin.h"

static enum err refuse(struct exchange *x, struct fault *out, const char *code,
                       struct slice message)
{
    *out = (struct fault){.kind = FAULT_BAD_REQUEST,
                          .message = message,
                          .param = x->ask.pinned_by,
                          .code = slice_str(code)};
    return E_NOT_FOUND;
}

/* Leaves targets that speak the client's dialect; provider: and of that name, when is_known. */
static enum err keep(struct exchange *x, bool is_known, uint64_t provider)
{
    struct route_plan *plan = &x->plan;
    struct route_target *targets = arena_array(x->arena, plan->count, sizeof(*targets));
    size_t count = 0;
    if (!targets) {
        return E_NOMEM;
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct route_target *t = &plan->targets[i];
        if (dialect_is_same(x->client, route_dialect(t, x->client, x->route->op)) &&
            (!is_known || pins_provider(t->provider->name) == provider)) {
            targets[count++] = *t;
        }
    }
    plan->targets = targets;
    plan->count = count;
    return OK;
}

/* An answer that was made here, for this tenant: it is known who keeps it. In OpenAI's words, which
 * its clients understand: they send the whole conversation again. */
static enum err follow_answer(struct exchange *x, struct fault *out)
{
    static const char code[] = "previous_response_not_found";
    struct slice id = slice_head(x->ask.pinned_id, 200);
    uint64_t provider;
    if (!pins_find(x->worker->gateway->pins, x->who.tenant, x->ask.pinned_id, &provider)) {
        return refuse(
            x, out, code,
            arena_printf(x->arena, "Previous response with id '%.*s' not found.", SLICE_ARG(id)));
    }
    enum err e = keep(x, true, provider);
    if (e == OK && x->plan.count == 0) {
        return refuse(x, out, code,
                      arena_printf(x->arena,
                                   "The response '%.*s' is kept by a provider that does not serve "
                                   "the model `%.*s`.",
                                   SLICE_ARG(id), SLICE_ARG(slice_head(x->ask.model, 200))));
    }
    return e;
}

/* What was made elsewhere (conversations, prompts, files): nobody but its provider knows it, so
 * only one may be in question. */
static enum err follow_only_one(struct exchange *x, struct fault *out)
{
    enum err e = keep(x, false, 0);
    bool is_one = e == OK && x->plan.count > 0;
    for (size_t i = 1; is_one && i < x->plan.count; i++) {
        is_one = x->plan.targets[i].provider == x->plan.targets[0].provider;
    }
    if (e != OK || is_one) {
        return e;
    }
    return refuse(
        x, out, "",
        arena_printf(x->arena, "'%.*s' names what one provider keeps, and %s `%.*s` %s.",
                     SLICE_ARG(x->ask.pinned_by),
                     x->plan.count ? "several serve the model" : "none that serves the model",
                     SLICE_ARG(slice_head(x->ask.model, 200)),
                     x->plan.count ? "in this dialect; ask for `provider/model`"
                                   : "speaks this dialect"));
}

enum err pin_narrow(struct exchange *x, struct fault *out_fault)
{
    bool is_answer = slice_eq(x->ask.pinned_by, SLICE("previous_response_id"));
    enum err e = is_answer ? follow_answer(x, out_fault) : follow_only_one(x, out_fault);
    if (e == E_NOMEM) {
        *out_fault = (struct fault){.kind = FAULT_OVERLOADED, .message = slice_str(err_text(e))};
    }
    return e;
}

const struct route_provider *pin_keeper(const struct exchange *x, struct slice answer)
{
    uint64_t kept_by;
    const struct route_provider *p = NULL;
    if (!pins_find(x->worker->gateway->pins, x->who.tenant, answer, &kept_by)) {
        return NULL;
    }
    for (size_t i = 0; (p = route_provider_at(x->conf->routes, i)) != NULL; i++) {
        if (pins_provider(p->name) == kept_by) {
            break;
        }
    }
    return p && route_speaks(p, &dialect_responses) ? p : NULL;
}

void pin_answer(struct exchange *x)
{
    if (x->ask.is_kept && x->outcome.kept_id.len && dialect_is_same(x->client, x->speaks)) {
        pins_put(x->worker->gateway->pins, x->who.tenant, x->outcome.kept_id,
                 x->target->provider->name, loop_unix_ns(x->worker->loop));
    }
}
