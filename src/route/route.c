#include "route/route.h"

#include "core/check.h"
#include "route/inside.h"

#include <assert.h>

enum {
    NEAR_MAX = 3,             /* names told */
    NEAR_NAME_MAX_BYTES = 96, /* longer names are compared with nothing */
    NEAR_DISTANCE_MAX = 4
};

/* '*' stands for any bytes; every other byte for itself. Linear in practice: it only ever goes back
 * to the last star. */
static bool glob_matches(struct slice glob, struct slice name)
{
    size_t g = 0;
    size_t n = 0;
    size_t star = SIZE_MAX;
    size_t resume = 0;
    while (n < name.len) {
        if (g < glob.len && glob.ptr[g] == '*') {
            star = g++;
            resume = n;
        } else if (g < glob.len && glob.ptr[g] == name.ptr[n]) {
            g++;
            n++;
        } else if (star != SIZE_MAX) {
            g = star + 1;
            n = ++resume;
        } else {
            return false;
        }
    }
    while (g < glob.len && glob.ptr[g] == '*') {
        g++;
    }
    return g == glob.len;
}

/* Targets without a model of their own take the asked one. */
static enum err open_pattern(const struct route_table *t, struct arena *a,
                             const struct route_pattern *p, struct slice model,
                             struct route_plan *out)
{
    struct route_target *targets = arena_array(a, p->plan.count, sizeof(*targets));
    if (!targets) {
        return E_NOMEM;
    }
    for (size_t i = 0; i < p->plan.count; i++) {
        targets[i] = p->plan.targets[i];
        if (targets[i].model.len == 0) {
            targets[i].model = model;
            table_facts(t, table_seat(t, targets[i].provider->name), model, &targets[i].facts);
        }
    }
    *out = p->plan;
    out->targets = targets;
    return OK;
}

/* "provider/model": that provider and nothing else. A target that the table has already is used as
 * it stands, with its own health. */
static enum err plan_addressed(const struct route_table *t, struct arena *a,
                               const struct route_seat *seat, struct slice model,
                               struct route_plan *out)
{
    *out = (struct route_plan){.count = 1, .output_cap_tokens = -1};
    const struct route_name *known = table_find(t, model);
    for (size_t i = 0; known && i < known->plan.count; i++) {
        if (known->plan.targets[i].provider == seat->provider &&
            slice_eq(known->plan.targets[i].model, model)) {
            out->targets = &known->plan.targets[i];
            return OK;
        }
    }
    if (seat->has_fallback && slice_eq(seat->fallback.model, model)) {
        out->targets = arena_array(a, 1, sizeof(*out->targets));
        if (out->targets) {
            out->targets[0] = seat->fallback;
        }
        return out->targets ? OK : E_NOMEM;
    }
    out->targets = arena_array(a, 1, sizeof(*out->targets));
    if (!out->targets) {
        return E_NOMEM;
    }
    out->targets[0] = (struct route_target){
        .provider = seat->provider, .model = model, .weight = 1, .health = seat->any};
    table_facts(t, seat, model, &out->targets[0].facts);
    return OK;
}

/* ---- near names ---- */

struct near {
    struct slice names[NEAR_MAX];
    size_t distances[NEAR_MAX];
    size_t count;
};

/* Levenshtein's distance, or more than limit; lengths are bounded by the caller. */
static size_t distance(struct slice a, struct slice b, size_t limit)
{
    size_t row[NEAR_NAME_MAX_BYTES + 1];
    for (size_t k = 0; k <= b.len; k++) {
        row[k] = k;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        size_t least = row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            size_t above = row[k];
            size_t best = diagonal + (a.ptr[i - 1] == b.ptr[k - 1] ? 0 : 1);
            best = size_min(best, size_min(above, row[k - 1]) + 1);
            diagonal = above;
            row[k] = best;
            least = size_min(least, best);
        }
        if (least > limit) {
            return limit + 1;
        }
    }
    return row[b.len];
}

static void note_near(struct near *near, struct slice name, size_t found)
{
    size_t at = near->count;
    while (at > 0 && near->distances[at - 1] > found) {
        at--;
    }
    if (at == NEAR_MAX) {
        return;
    }
    size_t moved = size_min(near->count, NEAR_MAX - 1) - at;
    memmove(&near->names[at + 1], &near->names[at], moved * sizeof(near->names[0]));
    memmove(&near->distances[at + 1], &near->distances[at], moved * sizeof(near->distances[0]));
    near->names[at] = name;
    near->distances[at] = found;
    near->count = size_min(near->count + 1, NEAR_MAX);
}

static void try_near(struct near *near, struct slice asked, struct slice name)
{
    size_t limit = size_min(NEAR_DISTANCE_MAX, 1 + asked.len / 4);
    size_t gap = name.len > asked.len ? name.len - asked.len : asked.len - name.len;
    if (gap > limit || name.len > NEAR_NAME_MAX_BYTES || asked.len > NEAR_NAME_MAX_BYTES) {
        return;
    }
    size_t found = distance(asked, name, limit);
    if (found <= limit) {
        note_near(near, name, found);
    }
}

static struct slice join_near(const struct near *near, struct arena *a)
{
    struct slice out = SLICE_NONE;
    for (size_t i = 0; i < near->count; i++) {
        out =
            arena_printf(a, "%.*s%s%.*s", SLICE_ARG(out), i ? ", " : "", SLICE_ARG(near->names[i]));
    }
    return out;
}

COLD static struct slice near_names(const struct route_table *t, struct arena *a,
                                    struct slice model)
{
    struct near near = {.count = 0};
    for (size_t i = 0; i < t->name_count; i++) {
        try_near(&near, model, t->names[i].name);
    }
    return join_near(&near, a);
}

/* ---- resolve ---- */

static enum err resolve_slow(const struct route_table *t, struct arena *a, struct slice model,
                             struct route_plan *out)
{
    for (size_t i = 0; i < t->pattern_count; i++) {
        const struct route_pattern *p = &t->patterns[i];
        if (glob_matches(p->glob, model)) {
            *out = p->plan;
            return p->is_open ? open_pattern(t, a, p, model, out) : OK;
        }
    }
    const struct route_name *known = table_find(t, model);
    if (known) {
        *out = known->plan;
        return OK;
    }
    size_t slash = slice_find(model, '/');
    const struct route_seat *seat = table_seat(t, slice_head(model, slash));
    if (seat && slash + 1 < model.len) {
        return plan_addressed(t, a, seat, slice_from(model, slash + 1), out);
    }
    return table_plan(t, a, model, false, out);
}

enum err route_resolve(const struct route_table *t, struct arena *a, struct slice model,
                       struct route_plan *out, struct slice *out_near)
{
    *out_near = SLICE_NONE;
    const struct route_name *known = table_find(t, model);
    if (known && (t->pattern_count == 0 || known->is_entry)) {
        *out = known->plan;
        return OK;
    }
    enum err e = E_NOT_FOUND;
    struct route_plan plan = {.count = 0};
    if (model.len > 0 && model.len <= ROUTE_NAME_MAX_BYTES) {
        e = resolve_slow(t, a, model, &plan);
    }
    if (e == OK) {
        *out = plan;
        assert(out->count > 0 && out->count <= ROUTE_CANDIDATES_MAX);
    } else if (e == E_NOT_FOUND) {
        *out_near = near_names(t, a, model);
    }
    return e;
}

enum err route_address(const struct route_table *t, struct arena *a, struct slice provider,
                       struct slice model, struct route_plan *out, struct slice *out_near)
{
    const struct route_seat *seat = table_seat(t, provider);
    struct near near = {.count = 0};
    *out_near = SLICE_NONE;
    if (seat) {
        return plan_addressed(t, a, seat, model, out);
    }
    for (size_t i = 0; i < t->seat_count; i++) {
        try_near(&near, provider, t->seats[i].provider->name);
    }
    *out_near = join_near(&near, a);
    return E_NOT_FOUND;
}

bool route_speaks(const struct route_provider *p, const struct dialect *d)
{
    return route_dialect_index(p, d) < p->dialect_count;
}

const struct dialect *route_dialect(const struct route_target *target, const struct dialect *client,
                                    enum chat_operation op)
{
    const struct route_provider *p = target->provider;
    if (target->facts.mode == ROUTE_MODE_RESPONSES && op == CHAT_OP_CHAT &&
        route_speaks(p, &dialect_responses)) {
        return &dialect_responses;
    }
    return dialect_choose(client, op, p->dialects, p->dialect_count);
}

const struct route_provider *route_provider_at(const struct route_table *t, size_t i)
{
    return i < t->seat_count ? t->seats[i].provider : NULL;
}

const struct route_provider *route_first(const struct route_table *t, const struct dialect *d)
{
    for (size_t i = 0; i < t->seat_count; i++) {
        if (route_speaks(t->seats[i].provider, d)) {
            return t->seats[i].provider;
        }
    }
    return NULL;
}

enum err route_narrow(struct arena *a, const struct dialect *d, struct route_plan *plan)
{
    struct route_target *targets = arena_array(a, plan->count, sizeof(*targets));
    size_t count = 0;
    if (!targets) {
        return E_NOMEM;
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (route_speaks(plan->targets[i].provider, d)) {
            targets[count++] = plan->targets[i];
        }
    }
    plan->targets = targets;
    plan->count = count;
    return count ? OK : E_NOT_FOUND;
}

void route_models(const struct route_table *t,
                  void (*fn)(void *ctx, struct slice model, struct slice owner), void *ctx)
{
    for (size_t i = 0; i < t->name_count; i++) {
        fn(ctx, t->names[i].name, t->names[i].owner);
    }
}
