/* Tests of route/table.c, plan.c and route.c: which targets a name gets, in which order. */
#include "unit/route/fixture.h"

enum { MODEL_COUNT = 2 };

struct resolve_case {
    const char *providers;
    const char *fallbacks; /* "openai=gpt-4o-mini,local=llama3" */
    const char *model;
    const char *plan;
};

static void set_fallbacks(struct fixture *f, const char *text)
{
    struct slice rest = slice_str(text);
    while (rest.len) {
        struct slice one = slice_head(rest, slice_find(rest, ','));
        size_t eq = slice_find(one, '=');
        fixture_provider(f, arena_dup(&f->arena, slice_head(one, eq)).ptr)->fallback_model =
            slice_from(one, eq + 1);
        rest = slice_from(rest, one.len + 1);
    }
}

/* Without a models: section: keys in the environment and nothing else. */
static const struct resolve_case environment_cases[] = {
    {"openai", "", "gpt-4o-mini", "0:openai/gpt-4o-mini"},
    {"openai,anthropic", "", "gpt-4o-mini", "0:openai/gpt-4o-mini"},
    {"openai,anthropic", "", "claude-haiku-4-5", "0:anthropic/claude-haiku-4-5"},
    {"openai,anthropic", "anthropic=claude-haiku-4-5", "gpt-4o-mini",
     "0:openai/gpt-4o-mini 1:anthropic/claude-haiku-4-5"},
    {"openai,anthropic", "openai=gpt-4o-mini,anthropic=claude-haiku-4-5", "claude-opus-4-1",
     "0:anthropic/claude-opus-4-1 1:openai/gpt-4o-mini"},
    {"openai,anthropic,local", "openai=gpt-4o-mini,anthropic=claude-haiku-4-5,local=llama3",
     "gpt-4o", "0:openai/gpt-4o 1:anthropic/claude-haiku-4-5 2:local/llama3"},
    {"openai,local", "", "gpt-4o", "0:openai/gpt-4o"},
    {"openai,local", "local=llama3", "gpt-4o", "0:openai/gpt-4o 1:local/llama3"},
    /* another date of a known name is the catalogue's family */
    {"openai", "", "gpt-4o-mini-2024-07-18", "0:openai/gpt-4o-mini-2024-07-18"},
    {"openai", "", "gpt-4o-mini-2031-02-03", "0:openai/gpt-4o-mini-2031-02-03"},
    {"anthropic", "", "claude-haiku-4-5-20991231", "0:anthropic/claude-haiku-4-5-20991231"},
    {"openai", "", "gpt-4o-mini-2031-13-03", "404 "},
    /* local takes what nobody knows */
    {"openai,local", "", "my-own", "0:local/my-own"},
    {"local", "", "gpt-4o-mini", "0:local/gpt-4o-mini"},
    {"local", "", "anything/at-all", "0:local/anything/at-all"},
    {"local", "local=llama3", "my-own", "0:local/my-own 1:local/llama3"},
    {"local", "local=llama3", "llama3", "0:local/llama3"},
    {"openai,local", "openai=gpt-4o-mini", "my-own", "0:local/my-own 1:openai/gpt-4o-mini"},
    /* addressed: that provider and nothing else */
    {"openai,local", "openai=gpt-4o-mini", "local/gpt-4o", "0:local/gpt-4o"},
    {"openai,anthropic", "anthropic=claude-haiku-4-5", "openai/gpt-4o", "0:openai/gpt-4o"},
    {"openai", "", "openai/ft:gpt-4o:acme", "0:openai/ft:gpt-4o:acme"},
    {"openai,local", "local=llama3", "local/llama3", "0:local/llama3"},
    {"openai", "", "openai/", "404 "},
    {"openai", "", "elsewhere/gpt-4o", "404 "},
    {"openai,openrouter", "", "anthropic/claude-opus-4.1",
     "0:openrouter/anthropic/claude-opus-4.1"},
    /* only the fallbacks */
    {"openai", "openai=gpt-4o-mini", "my-own", "0:openai/gpt-4o-mini"},
    {"anthropic,openai", "openai=gpt-4o-mini,anthropic=claude-haiku-4-5", "my-own",
     "0:openai/gpt-4o-mini 1:anthropic/claude-haiku-4-5"},
    /* a provider outside the order serves what it knows, but is no fallback */
    {"gemini,openai", "gemini=gemini-2.5-flash", "gemini-2.5-pro", "0:gemini/gemini-2.5-pro"},
    {"gemini,openai", "gemini=gemini-2.5-flash", "my-own", "404 "},
    {"gemini", "", "models/gemini-2.5-pro", "0:gemini/models/gemini-2.5-pro"},
    /* two know it: one tier each, in order */
    {"azure,openai", "", "gpt-4o", "0:openai/gpt-4o 1:azure/gpt-4o"},
    {"azure-eu", "", "gpt-4o", "0:azure-eu/gpt-4o"},
    /* a chat model is no stand-in for an embedding model */
    {"openai,anthropic", "anthropic=claude-haiku-4-5", "text-embedding-3-small",
     "0:openai/text-embedding-3-small"},
    /* near names */
    {"openai", "", "gpt-4o-minii", "404 gpt-4o-mini"},
    {"openai", "", "GPT-4o-mini", "404 "},
    {"openai", "", "", "404 "},
    {"openai", "", "completely-different-name", "404 "},
};

static void test_a_name_gets_its_targets_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(environment_cases); i++) {
        const struct resolve_case *c = &environment_cases[i];
        struct fixture f;
        fixture_init(&f);
        fixture_providers(&f, c->providers);
        set_fallbacks(&f, c->fallbacks);
        assert_int_equal(fixture_build(&f), OK);
        struct route_plan plan;
        struct slice found = fixture_resolve(&f, c->model, &plan);
        struct slice expected = slice_str(c->plan);
        bool is_near = slice_starts(expected, SLICE("404 ")) && expected.len > 4;
        if (is_near ? !slice_starts(found, expected) : !slice_eq(found, expected)) {
            bool any_near = slice_eq(expected, SLICE("404 ")) && slice_starts(found, expected);
            if (!any_near) {
                fail_msg("%s, %s, %s: %.*s, expected %s", c->providers, c->fallbacks, c->model,
                         SLICE_ARG(found), c->plan);
            }
        }
        fixture_deinit(&f);
    }
}

/* ---- entries ---- */

static const struct route_target_conf first_tier[] = {
    {SLICE_INIT("openai"), SLICE_INIT(""), 9},
    {SLICE_INIT("azure"), SLICE_INIT("my-deployment"), 1}};
static const struct route_target_conf second_tier[] = {
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-haiku-4-5"), 1}};
static const struct route_target_conf claude_tier[] = {
    {SLICE_INIT("anthropic"), SLICE_INIT(""), 1}};
static const struct route_target_conf opus_tier[] = {
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-opus-4-1"), 1}};
static const struct route_target_conf lost_tier[] = {{SLICE_INIT("nowhere"), SLICE_INIT(""), 1}};
static const struct route_target_conf weightless[] = {{SLICE_INIT("openai"), SLICE_INIT(""), 0}};

static const struct route_entry_conf good_entries[] = {
    {SLICE_INIT("gpt-4o-mini"), 2, {2, 1}, {first_tier, second_tier}, 512},
    {SLICE_INIT("claude-*"), 1, {1}, {claude_tier}, -1},
    {SLICE_INIT("claude-opus-*"), 1, {1}, {opus_tier}, 64},
    {SLICE_INIT("*-small"), 1, {1}, {second_tier}, -1},
    {SLICE_INIT("claude-exact"), 1, {1}, {opus_tier}, -1},
};

struct entry_case {
    const char *model;
    const char *plan;
    int64_t cap;
};

static void test_entries_and_patterns_come_first(void **state)
{
    (void)state;
    static const struct entry_case cases[] = {
        {"gpt-4o-mini", "0:openai/gpt-4o-mini 0:azure/my-deployment 1:anthropic/claude-haiku-4-5",
         512},
        {"claude-exact", "0:anthropic/claude-opus-4-1", -1},
        {"claude-anything", "0:anthropic/claude-anything", -1},
        {"claude-haiku-4-5", "0:anthropic/claude-haiku-4-5", -1},
        {"claude-opus-9", "0:anthropic/claude-opus-4-1", 64}, /* the longer pattern */
        {"claude-", "0:anthropic/claude-", -1},
        {"text-embedding-3-small", "0:anthropic/claude-haiku-4-5", -1}, /* before what is listed */
        {"text-embedding-3-large", "0:openai/text-embedding-3-large 1:azure/text-embedding-3-large",
         -1},
        {"openai/gpt-4o-mini", "0:openai/gpt-4o-mini", -1},
        {"another-claude-", "404 ", 0},
    };
    struct fixture f;
    fixture_init(&f);
    fixture_providers(&f, "openai,azure,anthropic");
    f.conf.entries = good_entries;
    f.conf.entry_count = ARRAY_LEN(good_entries);
    assert_int_equal(fixture_build(&f), OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct route_plan plan;
        struct slice found = fixture_resolve(&f, cases[i].model, &plan);
        if (!slice_eq(found, slice_str(cases[i].plan)) || plan.output_cap_tokens != cases[i].cap) {
            fail_msg("%s: %.*s, cap %lld", cases[i].model, SLICE_ARG(found),
                     (long long)plan.output_cap_tokens);
        }
    }
    struct route_plan plan;
    (void)fixture_resolve(&f, "gpt-4o-mini", &plan);
    assert_int_equal(plan.targets[0].weight, 9);
    fixture_deinit(&f);
}

static void test_a_known_name_needs_no_memory(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_providers(&f, "openai");
    assert_int_equal(fixture_build(&f), OK);
    struct arena none;
    arena_init(&none, NULL, 0);
    struct route_plan a;
    struct route_plan b;
    struct slice near;
    assert_int_equal(route_resolve(f.table, &none, SLICE("gpt-4o-mini"), &a, &near), OK);
    assert_int_equal(route_resolve(f.table, &none, SLICE("gpt-4o-mini"), &b, &near), OK);
    assert_ptr_equal(a.targets, b.targets);
    assert_int_equal(route_resolve(f.table, &none, SLICE("openai/gpt-4o-mini"), &b, &near), OK);
    assert_ptr_equal(a.targets, b.targets);
    assert_int_equal(route_resolve(f.table, &none, SLICE("openai/new"), &b, &near), E_NOMEM);
    arena_deinit(&none);
    fixture_deinit(&f);
}

struct fault_case {
    struct route_entry_conf entry;
    const char *why;
};

static void test_a_wrong_entry_is_named(void **state)
{
    (void)state;
    static const struct fault_case cases[] = {
        {{SLICE_INIT("a"), 1, {1}, {lost_tier}, -1},
         "models.a: tier 1 names provider \"nowhere\", which is not configured"},
        {{SLICE_INIT("b"), 0, {0}, {NULL}, -1}, "models.b: no targets"},
        {{SLICE_INIT("c"), 2, {1, 0}, {claude_tier, NULL}, -1}, "models.c: tier 2 is empty"},
        {{SLICE_INIT("d"), 1, {1}, {weightless}, -1},
         "models.d: the weight of \"openai\" is below 1"},
        {{SLICE_INIT("e"), 9, {1}, {claude_tier}, -1}, "models.e: 9 tiers, 8 at most"},
        {{SLICE_INIT("f"), 1, {17}, {claude_tier}, -1}, "models.f: more than 16 targets"},
        {{SLICE_INIT("claude-*"), 1, {1}, {claude_tier}, -1}, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        fixture_init(&f);
        fixture_providers(&f, "openai,anthropic");
        f.conf.entries = &cases[i].entry;
        f.conf.entry_count = 1;
        enum err e = fixture_build(&f);
        assert_int_equal(e, cases[i].why ? E_CONFIG : OK);
        if (cases[i].why && !slice_eq(f.why, slice_str(cases[i].why))) {
            fail_msg("%.*s, expected %s", SLICE_ARG(f.why), cases[i].why);
        }
        fixture_deinit(&f);
    }
}

static void test_a_provider_given_twice_or_with_a_slash_is_refused(void **state)
{
    (void)state;
    static const char *const lists[] = {"openai,openai", "open/ai", "my,my"};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct fixture f;
        fixture_init(&f);
        fixture_providers(&f, lists[i]);
        assert_int_equal(fixture_build(&f), E_CONFIG);
        assert_true(f.why.len > 0);
        fixture_deinit(&f);
    }
}

static void test_no_memory_fails_cleanly_wherever_it_ends(void **state)
{
    (void)state;
    bool is_done = false;
    for (size_t kib = 8; !is_done && kib < 65536; kib += kib / 4) {
        struct fixture f;
        fixture_init(&f);
        fixture_providers(&f, "openai,anthropic");
        set_fallbacks(&f, "anthropic=claude-haiku-4-5");
        f.arena.max_bytes = kib << 10;
        enum err e = fixture_build(&f);
        assert_true(e == OK || e == E_NOMEM);
        is_done = e == OK;
        fixture_deinit(&f);
    }
    assert_true(is_done);
}

/* ---- listed models, prices, /v1/models ---- */

static struct slice listed_models[MODEL_COUNT] = {SLICE_INIT("llama3"), SLICE_INIT("gpt-4o")};

static void test_a_list_of_models_speaks_for_its_provider(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_providers(&f, "openai,local");
    struct route_provider *local = fixture_provider(&f, "local");
    local->models = listed_models;
    local->model_count = MODEL_COUNT;
    local->passes_unknown = false;
    assert_int_equal(fixture_build(&f), OK);
    struct route_plan plan;
    assert_true(slice_eq(fixture_resolve(&f, "llama3", &plan), SLICE("0:local/llama3")));
    assert_true(slice_eq(fixture_resolve(&f, "gpt-4o", &plan),
                         SLICE("0:local/gpt-4o 1:openai/gpt-4o"))); /* who lists goes first */
    assert_true(slice_eq(fixture_resolve(&f, "gpt-4o-mini", &plan), SLICE("0:openai/gpt-4o-mini")));
    assert_true(slice_starts(fixture_resolve(&f, "llama4", &plan), SLICE("404 llama3")));
    fixture_deinit(&f);
}

struct price_case {
    const char *provider, *model;
    enum unknown_price policy;
    enum route_price_source source;
    int64_t input; /* nano-USD per Mtok */
};

static const struct price_override overrides[] = {
    {SLICE_INIT("openai"), SLICE_INIT("gpt-4o"), {.base = {.input = 7, .output = 8}}},
    {SLICE_INIT(""), SLICE_INIT("everywhere"), {.base = {.input = 9, .output = 9}}}};

static void test_a_price_has_a_source(void **state)
{
    (void)state;
    static const struct price_case cases[] = {
        {"openai", "gpt-4o-mini", UNKNOWN_PRICE_DEFAULT, ROUTE_PRICE_CATALOGUE, 150000000},
        {"openai", "gpt-4o", UNKNOWN_PRICE_DEFAULT, ROUTE_PRICE_CONFIGURED, 7},
        {"local", "everywhere", UNKNOWN_PRICE_DEFAULT, ROUTE_PRICE_CONFIGURED, 9},
        {"local", "llama3", UNKNOWN_PRICE_DEFAULT, ROUTE_PRICE_FREE, 0},
        {"openai", "new", UNKNOWN_PRICE_DEFAULT, ROUTE_PRICE_FLAT, 2000000000},
        {"openai", "new", UNKNOWN_PRICE_FLAT, ROUTE_PRICE_FLAT, 2000000000},
        {"openai", "new", UNKNOWN_PRICE_DENY, ROUTE_PRICE_UNKNOWN, 0},
        {"openai", "new", UNKNOWN_PRICE_ZERO, ROUTE_PRICE_ZERO, 0},
        {"acme", "new", UNKNOWN_PRICE_DEFAULT, ROUTE_PRICE_UNKNOWN, 0},
        {"acme", "new", UNKNOWN_PRICE_FLAT, ROUTE_PRICE_UNKNOWN, 0},
        /* the dialect's inventor prices a full name at a provider the catalogue does not know */
        {"acme", "gpt-4o-mini", UNKNOWN_PRICE_DEFAULT, ROUTE_PRICE_CATALOGUE, 150000000},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct price_case *c = &cases[i];
        struct fixture f;
        fixture_init(&f);
        fixture_providers(&f, "openai,local,acme");
        fixture_provider(&f, "openai")->flat_nusd_per_1k_tokens = 2000000;
        f.conf.unknown_price = c->policy;
        f.conf.overrides = overrides;
        f.conf.override_count = ARRAY_LEN(overrides);
        assert_int_equal(fixture_build(&f), OK);
        struct route_plan plan;
        struct slice name = arena_printf(&f.arena, "%s/%s", c->provider, c->model);
        (void)fixture_resolve(&f, name.ptr, &plan);
        const struct route_model *facts = &plan.targets[0].facts;
        if (facts->price_source != c->source || facts->price.base.input != c->input) {
            fail_msg("%.*s: source %u, input %lld", SLICE_ARG(name), (unsigned)facts->price_source,
                     (long long)facts->price.base.input);
        }
        assert_int_equal(facts->is_price_known, c->source == ROUTE_PRICE_CATALOGUE ||
                                                    c->source == ROUTE_PRICE_CONFIGURED ||
                                                    c->source == ROUTE_PRICE_FREE);
        fixture_deinit(&f);
    }
}

static const struct dialect *spoken_to(struct fixture *f, const char *model,
                                       const struct dialect *client)
{
    struct route_plan plan;
    (void)fixture_resolve(f, model, &plan);
    assert_true(plan.count > 0);
    return route_dialect(&plan.targets[0], client, CHAT_OP_CHAT);
}

static void test_a_chat_is_translated_for_models_that_know_responses_alone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_providers(&f, "openai,acme");
    struct route_provider *p = fixture_provider(&f, "openai");
    p->dialects[0] = &dialect_openai;
    p->dialects[1] = &dialect_responses;
    p->dialect_count = 2;
    fixture_provider(&f, "acme")->dialects[0] = &dialect_openai;
    assert_int_equal(fixture_build(&f), OK);
    assert_ptr_equal(spoken_to(&f, "openai/gpt-4o", &dialect_openai), &dialect_openai);
    assert_ptr_equal(spoken_to(&f, "openai/gpt-4o", &dialect_responses), &dialect_responses);
    assert_ptr_equal(spoken_to(&f, "openai/gpt-4o", &dialect_anthropic), &dialect_openai);
    assert_ptr_equal(spoken_to(&f, "openai/gpt-5-codex", &dialect_openai), &dialect_responses);
    assert_ptr_equal(spoken_to(&f, "openai/gpt-5-codex", &dialect_anthropic), &dialect_responses);
    assert_ptr_equal(spoken_to(&f, "acme/gpt-5-codex", &dialect_openai), &dialect_openai);
    fixture_deinit(&f);
}

static void test_a_provider_of_responses_has_openais_prices(void **state)
{
    (void)state;
    struct fixture f;
    struct route_plan plan;
    fixture_init(&f);
    fixture_providers(&f, "acme");
    fixture_provider(&f, "acme")->dialects[0] = &dialect_responses;
    assert_int_equal(fixture_build(&f), OK);
    (void)fixture_resolve(&f, "acme/gpt-4o-mini", &plan);
    assert_int_equal(plan.targets[0].facts.price_source, ROUTE_PRICE_CATALOGUE);
    fixture_deinit(&f);
}

struct seen {
    bool has_entry, has_listed, has_priced, has_pattern;
};

static void see(void *ctx, struct slice model, struct slice owner)
{
    struct seen *s = ctx;
    s->has_entry |= slice_eq(model, SLICE("claude-exact")) && slice_eq(owner, SLICE("anthropic"));
    s->has_listed |= slice_eq(model, SLICE("llama3")) && slice_eq(owner, SLICE("local"));
    s->has_priced |= slice_eq(model, SLICE("gpt-4.1-mini")) && slice_eq(owner, SLICE("openai"));
    s->has_pattern |= slice_find(model, '*') < model.len;
}

static void test_models_are_entries_and_what_providers_have(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_providers(&f, "openai,azure,anthropic,local");
    fixture_provider(&f, "local")->models = listed_models;
    fixture_provider(&f, "local")->model_count = MODEL_COUNT;
    f.conf.entries = good_entries;
    f.conf.entry_count = ARRAY_LEN(good_entries);
    assert_int_equal(fixture_build(&f), OK);
    struct seen seen = {0};
    route_models(f.table, see, &seen);
    assert_true(seen.has_entry && seen.has_listed && seen.has_priced && !seen.has_pattern);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_gets_its_targets_in_order),
        cmocka_unit_test(test_entries_and_patterns_come_first),
        cmocka_unit_test(test_a_known_name_needs_no_memory),
        cmocka_unit_test(test_a_wrong_entry_is_named),
        cmocka_unit_test(test_a_provider_given_twice_or_with_a_slash_is_refused),
        cmocka_unit_test(test_no_memory_fails_cleanly_wherever_it_ends),
        cmocka_unit_test(test_a_list_of_models_speaks_for_its_provider),
        cmocka_unit_test(test_a_price_has_a_source),
        cmocka_unit_test(test_a_chat_is_translated_for_models_that_know_responses_alone),
        cmocka_unit_test(test_a_provider_of_responses_has_openais_prices),
        cmocka_unit_test(test_models_are_entries_and_what_providers_have)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
