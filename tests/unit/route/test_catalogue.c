/* Tests of route/catalogue.c and profile.c: facts as the embedded tables hold them. */
#include "core/money.h"
#include "route/profile.h"
#include "route/route.h"
#include "support/unit.h"

#define USD_PER_MTOK(milli) ((int64_t)(milli)*1000000)

struct fact_case {
    const char *provider, *model;
    int64_t input, output; /* nano-USD per Mtok; -1: not found */
    bool is_family;
};

static const struct fact_case facts[] = {
    {"openai", "gpt-4o-mini", USD_PER_MTOK(150), USD_PER_MTOK(600), false},
    {"openai", "gpt-4o-mini-2024-07-18", USD_PER_MTOK(150), USD_PER_MTOK(600), false},
    {"openai", "gpt-4o-mini-2031-02-03", USD_PER_MTOK(150), USD_PER_MTOK(600), true},
    {"openai", "gpt-4o-mini-latest", USD_PER_MTOK(150), USD_PER_MTOK(600), true},
    {"openai", "gpt-4o-mini-0718", USD_PER_MTOK(150), USD_PER_MTOK(600), true},
    {"anthropic", "claude-haiku-4-5@20251001", USD_PER_MTOK(1000), USD_PER_MTOK(5000), true},
    /* no undated name is listed: the dearest dated one */
    {"anthropic", "claude-4-opus", USD_PER_MTOK(15000), USD_PER_MTOK(75000), true},
    {"gemini", "models/gemini-2.5-pro", USD_PER_MTOK(1250), USD_PER_MTOK(10000), false},
    {"groq", "llama-3.1-8b-instant", USD_PER_MTOK(50), USD_PER_MTOK(80), false},
    {"openai", "text-embedding-3-small", USD_PER_MTOK(20), 0, false},
    {"openai", "omni-moderation-latest", 0, 0, false},
    /* a prefix is no family, and a made-up date is none either */
    {"openai", "gpt-4o-mini-turbo", -1, -1, false},
    {"openai", "gpt-4o-mini-2031-13-03", -1, -1, false},
    {"openai", "gpt-4o-mini-2031", -1, -1, false},
    {"openai", "gpt-4o-mini-20311301", -1, -1, false},
    {"openai", "gpt", -1, -1, false},
    {"openai", "", -1, -1, false},
    {"openai", "-2031-02-03", -1, -1, false},
    {"anthropic", "gpt-4o-mini", -1, -1, false},
    {"nobody", "gpt-4o-mini", -1, -1, false},
    {"", "", -1, -1, false},
};

static void test_facts_by_provider_and_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        const struct fact_case *c = &facts[i];
        struct route_model m = {.price.base = {.input = -1, .output = -1}};
        bool is_found = catalogue_find(slice_str(c->provider), slice_str(c->model), &m);
        if (is_found != (c->input >= 0) || m.price.base.input != c->input ||
            m.price.base.output != c->output || m.is_family != c->is_family) {
            fail_msg("%s/%s: %d, %lld, %lld, %d", c->provider, c->model, is_found,
                     (long long)m.price.base.input, (long long)m.price.base.output, m.is_family);
        }
    }
}

static void test_tiers_limits_and_prices_a_request(void **state)
{
    (void)state;
    struct route_model m;
    assert_true(catalogue_find(SLICE("gemini"), SLICE("gemini-2.5-pro"), &m));
    assert_int_equal(m.price.tier_count, 1);
    assert_int_equal(m.price.tiers[0].above_prompt_tokens, 200000);
    assert_int_equal(m.price.tiers[0].rates.output, USD_PER_MTOK(15000));
    assert_true(catalogue_find(SLICE("openai"), SLICE("gpt-4o-mini"), &m));
    assert_int_equal(m.price.base.cache_read, USD_PER_MTOK(75));
    assert_int_equal(m.context_max_tokens, 128000);
    assert_int_equal(m.output_max_tokens, 16384);
    assert_true(catalogue_find(SLICE("perplexity"), SLICE("pplx-7b-online"), &m));
    assert_int_equal(m.price.per_request_nusd, 5000000);
    assert_true(catalogue_find(SLICE("openai"), SLICE("text-embedding-3-small"), &m));
    assert_int_equal(m.mode, ROUTE_MODE_EMBEDDING);
    assert_true(catalogue_find(SLICE("openai"), SLICE("o3"), &m));
    assert_true(m.is_reasoning);
}

struct walk {
    size_t count;
    struct slice provider, model;
};

/* Sorted, complete and sane: every row can be found again by its own name. */
static void check_row(void *ctx, struct slice provider, struct slice model,
                      const struct route_model *m)
{
    struct walk *w = ctx;
    struct route_model again;
    assert_true(catalogue_find(provider, model, &again));
    assert_false(again.is_family);
    assert_memory_equal(&again.price.base, &m->price.base, sizeof(again.price.base));
    assert_true(m->price.base.input >= 0 || m->price.base.output >= 0);
    int64_t above = 0;
    for (size_t i = 0; i < m->price.tier_count; i++) {
        assert_true(m->price.tiers[i].above_prompt_tokens > above);
        above = m->price.tiers[i].above_prompt_tokens;
    }
    if (m->mode == ROUTE_MODE_CHAT && !slice_eq(provider, SLICE("ollama")) &&
        !slice_ends(model, SLICE(":free"))) {
        struct usage one = {.input = 1000000, .output = 1000000};
        assert_true(price_cost(&m->price, &one) > 0);
        assert_true(price_cost(&m->price, &one) < 3000 * MONEY_USD_NUSD);
    }
    w->count++;
}

static void test_every_row_is_found_again(void **state)
{
    (void)state;
    struct walk w = {0};
    catalogue_each(check_row, &w);
    assert_true(w.count > 2000);
    struct slice date = catalogue_date();
    assert_int_equal(date.len, 10);
    assert_true(slice_starts(date, SLICE("20")));
}

struct profile_case {
    const char *provider, *model;
    bool takes_new_limit, refuses_sampling, refuses_stop, refuses_stream_options;
};

static void test_profiles(void **state)
{
    (void)state;
    static const struct profile_case cases[] = {
        {"openai", "o1", true, true, true, false},
        {"openai", "o3-mini", true, true, true, false},
        {"openai", "o4-mini-2025-04-16", true, true, true, false},
        {"openai", "ft:o4-mini-2025-04-16:acme::x", true, true, true, false},
        {"openai", "gpt-5", true, true, true, false},
        {"openai", "gpt-5.1-codex", true, true, true, false},
        {"openai", "gpt-5-chat-latest", true, false, false, false},
        {"openai", "gpt-5.2-chat-latest", true, false, false, false},
        {"openai", "gpt-4o-mini", false, false, false, false},
        {"azure", "gpt-5-mini", true, true, true, false},
        {"azure", "my-deployment", false, false, false, false},
        {"openrouter", "openai/o3", false, false, false, false},
        {"", "o3", false, false, false, false},
        {"", "llama3", false, false, false, false},
        {"xai", "grok-4", false, false, true, false},
        {"mistral", "mistral-large-latest", false, false, false, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct profile_case *c = &cases[i];
        struct dialect_profile p = profile_find(slice_str(c->provider), slice_str(c->model));
        if (p.takes_max_completion_tokens != c->takes_new_limit ||
            p.refuses_sampling != c->refuses_sampling || p.refuses_stop != c->refuses_stop ||
            p.refuses_stream_options != c->refuses_stream_options) {
            fail_msg("%s/%s", c->provider, c->model);
        }
    }
}

/* A letter for each flag that is set. */
static void spell_gemini(const struct dialect_profile *p, char *out)
{
    const struct {
        bool is_set;
        char letter;
    } flags[] = {
        {p->takes_json_schema, 'J'},    {p->takes_thinking_budget, 'B'},
        {p->takes_thinking_level, 'L'}, {p->takes_level_medium, 'm'},
        {p->takes_level_minimal, 'n'},  {p->wants_call_signatures, 'S'},
        {p->refuses_thinking_off, 'o'}, {p->refuses_tools_with_format, 't'},
        {p->refuses_penalties, 'p'},
    };
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        *out = flags[i].letter;
        out += flags[i].is_set;
    }
    *out = '\0';
}

static void test_gemini_by_generation(void **state)
{
    (void)state;
    static const struct {
        const char *provider, *model, *flags;
    } cases[] = {
        {"gemini", "gemini-3-pro-preview", "JLSp"},
        {"gemini", "gemini-3.1-pro", "JLmS"},
        {"gemini", "models/gemini-3-flash", "JLmnS"},
        {"vertex_ai", "gemini-3.5-flash-lite", "JLmnS"},
        {"gemini", "gemini-flash-latest", "JLmnS"},
        {"gemini", "gemini-pro-latest", "JLmS"},
        {"gemini", "gemini-2.5-pro", "JBot"},
        {"gemini", "gemini-2.5-flash", "JBt"},
        {"gemini", "gemini-2.5-flash-preview-09-2025", "JBtp"},
        {"gemini", "gemini-2.0-flash", "t"},
        {"gemini", "gemini-1.5-pro", "t"},
        {"gemini", "gemini-pro", "t"},
        {"gemini", "gemma-3-27b-it", "t"},
        {"gemini", "tunedModels/mine", ""},
        {"openai", "gemini-3-pro", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char flags[16];
        struct dialect_profile p =
            profile_find(slice_str(cases[i].provider), slice_str(cases[i].model));
        spell_gemini(&p, flags);
        assert_string_equal(flags, cases[i].flags);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_facts_by_provider_and_name),
                                       cmocka_unit_test(test_tiers_limits_and_prices_a_request),
                                       cmocka_unit_test(test_every_row_is_found_again),
                                       cmocka_unit_test(test_profiles),
                                       cmocka_unit_test(test_gemini_by_generation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
