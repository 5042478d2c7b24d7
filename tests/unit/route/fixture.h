/* unit/route/fixture.h -- providers and tables for the tests of route/. */
#ifndef UNIT_ROUTE_FIXTURE_H
#define UNIT_ROUTE_FIXTURE_H

#include "core/clock.h"
#include "route/route.h"
#include "support/unit.h"

enum { FIXTURE_PROVIDERS = 6, FIXTURE_NOW_S = 5000 };

static const struct dialect fixture_openai = {.name = "openai"};
static const struct dialect fixture_anthropic = {.name = "anthropic"};

struct fixture {
    struct arena arena;
    struct health *health;
    struct route_provider providers[FIXTURE_PROVIDERS];
    size_t provider_count;
    struct slice order[FIXTURE_PROVIDERS];
    struct route_table_conf conf;
    struct route_table *table;
    struct slice why;
};

static inline void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.why = SLICE_NONE};
    arena_init(&f->arena, NULL, (size_t)64 << 20);
    assert_int_equal(health_new(&f->health), OK);
}

static inline void fixture_deinit(struct fixture *f)
{
    arena_deinit(&f->arena);
    health_free(f->health);
}

static inline struct route_provider *fixture_add(struct fixture *f, const char *name)
{
    assert_true(f->provider_count < FIXTURE_PROVIDERS);
    struct route_provider *p = &f->providers[f->provider_count];
    *p = (struct route_provider){
        .name = slice_str(name),
        .dialects = {strcmp(name, "anthropic") == 0 ? &fixture_anthropic : &fixture_openai},
        .dialect_count = 1,
        .flat_nusd_per_1k_tokens = -1,
        .index = f->provider_count};
    if (strcmp(name, "local") == 0) {
        p->is_free = true;
        p->passes_unknown = true;
    }
    f->provider_count++;
    return p;
}

/* names: "openai,anthropic"; the order is openai, anthropic, local. */
static inline void fixture_providers(struct fixture *f, const char *names)
{
    struct slice rest = slice_str(names);
    while (rest.len) {
        size_t comma = slice_find(rest, ',');
        (void)fixture_add(f, arena_dup(&f->arena, slice_head(rest, comma)).ptr);
        rest = slice_from(rest, comma + 1);
    }
    f->order[0] = SLICE("openai");
    f->order[1] = SLICE("anthropic");
    f->order[2] = SLICE("local");
    f->conf.fallback_count = 3;
}

static inline struct route_provider *fixture_provider(struct fixture *f, const char *name)
{
    for (size_t i = 0; i < f->provider_count; i++) {
        if (slice_eq(f->providers[i].name, slice_str(name))) {
            return &f->providers[i];
        }
    }
    fail_msg("no provider %s", name);
    return &f->providers[0]; /* not reached */
}

static inline enum err fixture_build(struct fixture *f)
{
    f->conf.arena = &f->arena;
    f->conf.providers = f->providers;
    f->conf.provider_count = f->provider_count;
    f->conf.fallback_order = f->order;
    f->conf.health = f->health;
    return route_table_new(&f->conf, &f->table, &f->why);
}

/* "0:openai/gpt-4o 1:local/llama", or "404 near names". */
static inline struct slice fixture_resolve(struct fixture *f, const char *model,
                                           struct route_plan *out)
{
    struct slice near = SLICE_NONE;
    *out = (struct route_plan){0};
    enum err e = route_resolve(f->table, &f->arena, slice_str(model), out, &near);
    if (e == E_NOT_FOUND) {
        return arena_printf(&f->arena, "404 %.*s", SLICE_ARG(near));
    }
    assert_int_equal(e, OK);
    struct slice text = SLICE_NONE;
    for (size_t i = 0; i < out->count; i++) {
        const struct route_target *t = &out->targets[i];
        assert_non_null(t->health);
        assert_true(t->weight > 0);
        text = arena_printf(&f->arena, "%.*s%s%d:%.*s/%.*s", SLICE_ARG(text), i ? " " : "", t->tier,
                            SLICE_ARG(t->provider->name), SLICE_ARG(t->model));
    }
    return text;
}

#endif
