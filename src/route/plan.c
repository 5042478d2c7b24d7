/* What a model is at a provider, and who may serve a name that no entry of models says. */
#include "route/inside.h"
#include "route/profile.h"

#include <assert.h>

const struct route_seat *table_seat(const struct route_table *t, struct slice provider)
{
    for (size_t i = 0; i < t->seat_count; i++) {
        if (slice_eq(t->seats[i].provider->name, provider)) {
            return &t->seats[i];
        }
    }
    return NULL;
}

static const struct price_override *find_override(const struct route_table *t,
                                                  struct slice provider, struct slice model)
{
    for (size_t i = 0; i < t->override_count; i++) {
        const struct price_override *o = &t->overrides[i];
        if (slice_eq(o->model, model) &&
            (o->provider.len == 0 || slice_eq(o->provider, provider))) {
            return o;
        }
    }
    return NULL;
}

/* A provider of a name of its own speaks a dialect whose inventor's prices are the best guess for
 * models of the same full name; a provider the catalogue knows is asked alone. */
static bool find_in_catalogue(const struct route_seat *seat, struct slice model,
                              struct route_model *out)
{
    if (seat->catalogue.len) {
        return catalogue_find(seat->catalogue, model, out);
    }
    for (size_t i = 0; i < seat->provider->dialect_count && !seat->provider->is_free; i++) {
        const struct dialect *d = seat->provider->dialects[i];
        const char *inventor = d == &dialect_responses ? dialect_openai.name : d->name;
        if (catalogue_find(slice_str(inventor), model, out)) {
            return true;
        }
    }
    return false;
}

/* Whose models these are: whoever speaks Gemini serves Google's. */
static struct slice maker_of(const struct route_seat *seat)
{
    bool is_gemini = !seat->catalogue.len && seat->provider->dialect_count &&
                     seat->provider->dialects[0] == &dialect_gemini;
    return is_gemini ? slice_str(dialect_gemini.name) : seat->catalogue;
}

static void price_unknown(const struct route_table *t, const struct route_provider *p,
                          struct route_model *out)
{
    bool has_flat = p->flat_nusd_per_1k_tokens >= 0;
    switch (t->unknown_price) {
    case UNKNOWN_PRICE_DEFAULT:
    case UNKNOWN_PRICE_FLAT:
        if (has_flat) {
            out->price = price_flat(p->flat_nusd_per_1k_tokens);
            out->price_source = ROUTE_PRICE_FLAT;
        }
        break;
    case UNKNOWN_PRICE_ZERO:
        out->price = (struct price){.is_free = true};
        out->price_source = ROUTE_PRICE_ZERO;
        break;
    case UNKNOWN_PRICE_DENY: break;
    }
}

void table_facts(const struct route_table *t, const struct route_seat *seat, struct slice model,
                 struct route_model *out)
{
    const struct route_provider *p = seat->provider;
    *out = (struct route_model){.context_max_tokens = -1, .output_max_tokens = -1};
    struct route_model listed;
    if (find_in_catalogue(seat, model, &listed)) {
        *out = listed;
    }
    out->profile = profile_find(maker_of(seat), model);
    const struct price_override *o = find_override(t, p->name, model);
    if (o) {
        out->price = o->price;
        out->price_source = ROUTE_PRICE_CONFIGURED;
        out->is_price_known = true;
    } else if (p->is_free) {
        out->price = (struct price){.is_free = true};
        out->price_source = ROUTE_PRICE_FREE;
        out->is_price_known = true;
    } else if (!out->is_listed) {
        price_unknown(t, p, out);
    }
}

enum err table_name_health(const struct route_table *t, struct route_target *target)
{
    struct slice name = arena_printf(t->arena, "%.*s/%.*s", SLICE_ARG(target->provider->name),
                                     SLICE_ARG(target->model));
    target->health = name.ptr ? health_node(t->health, name) : NULL;
    return target->health ? OK : E_NOMEM;
}

static bool lists(const struct route_provider *p, struct slice name)
{
    for (size_t i = 0; i < p->model_count; i++) {
        if (slice_eq(p->models[i], name)) {
            return true;
        }
    }
    return false;
}

/* The catalogue speaks for a provider only where the configuration does not list its models. */
static bool prices(const struct route_seat *seat, struct slice name)
{
    struct route_model facts;
    return seat->catalogue.len && seat->provider->model_count == 0 &&
           !seat->provider->passes_unknown && catalogue_find(seat->catalogue, name, &facts);
}

struct drawing {
    const struct route_table *t;
    struct slice name;
    bool is_static;
    struct route_target targets[ROUTE_CANDIDATES_MAX];
    size_t count;
};

static bool has_provider(const struct drawing *d, const struct route_provider *p)
{
    for (size_t i = 0; i < d->count; i++) {
        if (d->targets[i].provider == p) {
            return true;
        }
    }
    return false;
}

static enum err draw(struct drawing *d, const struct route_seat *seat)
{
    if (d->count == ROUTE_CANDIDATES_MAX || has_provider(d, seat->provider)) {
        return OK;
    }
    struct route_target *target = &d->targets[d->count];
    *target = (struct route_target){.provider = seat->provider,
                                    .model = d->name,
                                    .weight = 1,
                                    .tier = (int)d->count,
                                    .health = seat->any};
    table_facts(d->t, seat, d->name, &target->facts);
    enum err e = d->is_static ? table_name_health(d->t, target) : OK;
    d->count += e == OK ? 1 : 0;
    return e;
}

static bool is_text_mode(enum route_mode mode)
{
    switch (mode) {
    case ROUTE_MODE_CHAT:
    case ROUTE_MODE_COMPLETION:
    case ROUTE_MODE_RESPONSES: return true;
    case ROUTE_MODE_EMBEDDING:
    case ROUTE_MODE_MODERATION: return false;
    }
    return false;
}

/* A chat model is no stand-in for an embedding model. */
static bool may_stand_in(const struct route_model *asked, const struct route_model *fallback)
{
    return !asked->is_listed || !fallback->is_listed || asked->mode == fallback->mode ||
           (is_text_mode(asked->mode) && is_text_mode(fallback->mode));
}

/* Each provider of the order that is not in the plan yet; one that passed an unknown name on may
 * still serve its fallback model. */
static void draw_fallbacks(struct drawing *d, size_t passed)
{
    const struct route_model *asked = d->count > passed ? &d->targets[0].facts : NULL;
    size_t known = d->count;
    for (size_t i = 0; i < d->t->seat_count && d->count < ROUTE_CANDIDATES_MAX; i++) {
        const struct route_seat *seat = &d->t->seats[i];
        if (!seat->has_fallback || (asked && !may_stand_in(asked, &seat->fallback.facts))) {
            continue;
        }
        bool is_known = false;
        for (size_t k = 0; k < known; k++) {
            is_known |= d->targets[k].provider == seat->provider &&
                        (k >= passed || slice_eq(d->targets[k].model, seat->fallback.model));
        }
        if (!is_known) {
            d->targets[d->count] = seat->fallback;
            d->targets[d->count].tier = (int)d->count;
            d->count++;
        }
    }
}

static enum err draw_known(struct drawing *d)
{
    const struct route_table *t = d->t;
    enum err e = OK;
    for (size_t i = 0; i < t->seat_count && e == OK; i++) {
        if (lists(t->seats[i].provider, d->name)) {
            e = draw(d, &t->seats[i]);
        }
    }
    for (size_t i = 0; i < t->seat_count && e == OK; i++) {
        if (prices(&t->seats[i], d->name)) {
            e = draw(d, &t->seats[i]);
        }
    }
    return e;
}

/* Providers that pass any name, when nobody knows it. Returns how many. */
static enum err draw_passing(struct drawing *d, size_t *out_passed)
{
    enum err e = OK;
    for (size_t i = 0; i < d->t->seat_count && e == OK; i++) {
        if (d->t->seats[i].provider->passes_unknown) {
            e = draw(d, &d->t->seats[i]);
        }
    }
    *out_passed = d->count;
    return e;
}

enum err table_plan(const struct route_table *t, struct arena *a, struct slice name, bool is_static,
                    struct route_plan *out)
{
    struct drawing d;
    d.t = t;
    d.name = name;
    d.is_static = is_static;
    d.count = 0;
    size_t passed = 0;
    enum err e = draw_known(&d);
    if (e == OK && d.count == 0) {
        e = draw_passing(&d, &passed);
    }
    if (e != OK) {
        return e;
    }
    bool is_fallback = d.count == 0;
    draw_fallbacks(&d, passed);
    if (d.count == 0) {
        return E_NOT_FOUND;
    }
    struct route_target *targets = arena_array(a, d.count, sizeof(*targets));
    if (!targets) {
        return E_NOMEM;
    }
    memcpy(targets, d.targets, d.count * sizeof(*targets));
    *out = (struct route_plan){
        .targets = targets, .count = d.count, .output_cap_tokens = -1, .is_fallback = is_fallback};
    return OK;
}
