#include "load.h"

#include "app/config.h"
#include "core/clock.h"

static const char *const design_example =
    "server: {listen: \"127.0.0.1:8001\", workers: 2, max_body: 32MiB, drain: 30s, drain_delay: 5s}\n"
    "providers:\n"
    "  openai:   {dialect: openai, base_url: https://api.openai.com/v1, keys: [\"${OPENAI_API_KEY}\"]}\n"
    "  azure-eu: {dialect: openai, base_url: \"https://eu.example.com/openai\", keys: [k1, k2],\n"
    "             headers: {x-region: eu}, models: [my-deployment]}\n"
    "  local:    {dialect: openai, base_url: \"http://127.0.0.1:11434/v1\",\n"
    "             timeout: {connect: 2s, first_byte: 600s, idle: 300s}}\n"
    "models:\n"
    "  gpt-4o-mini:\n"
    "    targets:\n"
    "      - [{provider: openai, weight: 9}, {provider: azure-eu, model: my-deployment, weight: 1}]\n"
    "      - [{provider: local, model: llama3}]\n"
    "    max_output_tokens: 4096\n"
    "    price: {input: 0.15, output: 0.60, cache_read: 0.075}\n"
    "  \"claude-*\": {targets: [[{provider: local}]]}\n"
    "prices:\n"
    "  - {provider: azure-eu, model: other, input: 1, output: 2, per_request: 0.01,\n"
    "     tiers: [{above_prompt_tokens: 200000, input: 2, output: 4}]}\n"
    "metrics: {max_tenants: 7}\n"
    "journal: {io: write}\n"
    "routing: {provider_fallback_order: [local, openai]}\n";

static void the_file_of_the_design_is_understood(void **state)
{
    (void)state;
    load_write("gateway.yaml", design_example);
    const char *const env[] = {"OPENAI_API_KEY=sk-0123456789", NULL};
    struct load l;
    load_from(&l, &(struct config_sources){.environment = load_pairs(env),
                                           .config_file = "gateway.yaml"});
    assert_string_equal(l.errors, "");
    assert_string_equal(l.warnings, "");
    assert_slice(l.conf->listen.host, "127.0.0.1");
    assert_int_equal(l.conf->listen.port, 8001);
    assert_int_equal(l.conf->workers, 2);
    assert_int_equal(l.conf->drain_delay_ns, 5 * NS_PER_S);
    assert_int_equal(l.conf->metrics_tenants_max, 7);
    assert_false(l.conf->ledger.is_mmap);
    assert_int_equal(l.conf->provider_count, 3);
    const struct route_provider *p = l.conf->providers;
    assert_slice(secret_slice(&p[0].keys[0].secret), "sk-0123456789");
    assert_int_equal(p[1].key_count, 2);
    assert_slice(p[1].extra_headers, "x-region: eu\r\n");
    assert_true(slice_ends(p[1].heads[0].prefix[CHAT_OP_CHAT], SLICE("\r\nx-region: eu\r\n")));
    assert_int_equal(p[1].model_count, 1);
    assert_int_equal(p[2].timeouts.first_byte_ns, 600 * NS_PER_S);
    assert_int_equal(p[2].timeouts.connect_ns, 2 * NS_PER_S);
    assert_int_equal(p[2].timeouts.total_ns, 0);
    assert_true(p[2].is_free);
    assert_int_equal(l.conf->price_count, 4);
    assert_int_equal(l.conf->prices[0].price.base.input, 150000000);
    assert_int_equal(l.conf->prices[0].price.base.cache_write_5m, -1);
    assert_slice(l.conf->prices[1].model, "my-deployment");
    assert_int_equal(l.conf->prices[3].price.tier_count, 1);
    assert_int_equal(l.conf->prices[3].price.per_request_nusd, 10000000);

    struct arena a;
    struct route_plan plan;
    struct slice near;
    arena_init(&a, NULL, 1 << 20);
    assert_int_equal(route_resolve(l.conf->routes, &a, SLICE("gpt-4o-mini"), &plan, &near), OK);
    assert_int_equal(plan.count, 3);
    assert_int_equal(plan.output_cap_tokens, 4096);
    assert_int_equal(plan.targets[0].weight, 9);
    assert_int_equal(plan.targets[2].tier, 1);
    assert_int_equal(plan.targets[0].facts.price.base.output, 600000000);
    arena_deinit(&a);
    load_end(&l);
}

/* What check prints for a file and an environment. */
static void assert_dialects(const char *file, const char *const *env, const char *expected)
{
    struct load l;
    char *printed = NULL;
    size_t len = 0;
    load_write("gateway.yaml", file);
    load_from(&l, &(struct config_sources){.environment = load_pairs(env),
                                           .config_file = "gateway.yaml"});
    assert_string_equal(l.errors, "");
    FILE *to = open_memstream(&printed, &len);
    assert_non_null(to);
    config_print(l.conf, false, to);
    assert_int_equal(fclose(to), 0);
    assert_has(printed, expected);
    free(printed);
    load_end(&l);
}

static void a_provider_speaks_one_dialect_or_a_list_of_them(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    static const char *const key[] = {"OPENAI_API_KEY=sk-0123456789", NULL};
    static const char *const elsewhere[] = {
        "OPENAI_API_KEY=sk-0123456789", "OPENAI_UPSTREAM_URL=https://proxy.example.com/v1", NULL};
    static const char *const both[] = {"LOCAL_BASE_URL=http://127.0.0.1:1/v1",
                                       "LOCAL_DIALECT=responses,openai", NULL};
    assert_dialects("", key, "openai: dialect openai and responses, https://api.openai.com/v1");
    assert_dialects("", elsewhere, "openai: dialect openai, https://proxy.example.com/v1");
    assert_dialects("", both, "local: dialect responses and openai, http://127.0.0.1:1/v1");
    assert_dialects("providers: {local: {dialect: openai}}", both,
                    "local: dialect responses and openai, ");
    assert_dialects("providers: {p: {base_url: \"https://eu.api.openai.com/v1\"}}", none,
                    "p: dialect openai and responses, ");
    assert_dialects("providers: {p: {dialect: openai, base_url: \"https://api.openai.com/v1\"}}",
                    none, "p: dialect openai, ");
    assert_dialects("providers: {p: {dialect: [responses], base_url: \"https://h/v1\"}}", none,
                    "p: dialect responses, ");
    assert_dialects("providers: {p: {dialect: [openai, responses], api_version: latest,\n"
                    "  base_url: \"https://n.openai.azure.com/openai/v1\"}}",
                    none, "p: dialect openai and responses, ");
}

static void each_dialect_of_a_provider_has_heads_of_its_own(void **state)
{
    (void)state;
    struct load l;
    static const char *const key[] = {"OPENAI_API_KEY=sk-0123456789", NULL};
    load_write("gateway.yaml", "");
    load_from(&l, &(struct config_sources){.environment = load_pairs(key)});
    const struct route_provider *p = &l.conf->providers[0];
    size_t chat = route_dialect_index(p, &dialect_openai);
    size_t responses = route_dialect_index(p, &dialect_responses);
    assert_true(
        slice_starts(p->heads[chat].prefix[CHAT_OP_CHAT],
                     SLICE("POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\n")));
    assert_true(slice_starts(p->heads[responses].prefix[CHAT_OP_CHAT],
                             SLICE("POST /v1/responses HTTP/1.1\r\nhost: api.openai.com\r\n")));
    assert_int_equal(p->heads[responses].prefix[CHAT_OP_EMBEDDING].len, 0);
    assert_int_equal(route_dialect_index(p, &dialect_anthropic), p->dialect_count);
    load_end(&l);
}

/* A file and what the error must say, with line and column. */
static const char *const bad_files[][2] = {
    {"servr: {port: 1}", "gateway.yaml:1:1: unknown key servr in the file; did you mean server?"},
    {"server: {prot: 1}", "gateway.yaml:1:10: unknown key prot in server; did you mean port?"},
    {"server:\n  port: 1\n  ttl: 5\n",
     "gateway.yaml:3:3: ttl does not belong in server, but in cache.ttl"},
    {"server:\n  port: x\n", "gateway.yaml:2:9: PORT: x is not accepted"},
    {"server: [1]", "gateway.yaml:1:9: server: a map is expected"},
    {"server: {port: [1]}", "gateway.yaml:1:16: server.port: accepted: a port number"},
    {"server: {listen: 8000}", "server.listen: accepted: host:port"},
    {"server: {port: 1}\nserver: {port: 2}",
     "gateway.yaml:2:1: server is given twice (first in line 1)"},
    {"server: {port: 1, port: 2}", "port is given twice"},
    {"- a\n- b\n", "gateway.yaml:1:1: a map of sections is expected"},
    {"server: {port: 1", "gateway.yaml:2:1: did not find expected"},
    {"server: *nowhere", "gateway.yaml:1:9: the alias has no anchor before it"},
    {"a: &x [*x]", "the alias has no anchor before it"},
    {"--- {}\n--- {}\n", "a second document"},
    {"server: {host: \"${NO_SUCH_VARIABLE}\"}", "gateway.yaml:1:16: NO_SUCH_VARIABLE is not set"},
    {"server: {host: \"${OPEN\"}", "${ without }"},
    {"providers: {p: {dialect: soap, base_url: \"https://h\"}}",
     "gateway.yaml:1:13: provider p: dialect soap is not known; accepted: openai, responses, "},
    {"providers: {p: {dialect: {a: b}, base_url: \"https://h\"}}",
     "gateway.yaml:1:26: dialect: a name or a list of names is expected"},
    {"providers: {p: {dialect: [[openai]], base_url: \"https://h\"}}",
     "dialect: a name or a list of names is expected"},
    {"providers: {p: {dialect: [openai, openai], base_url: \"https://h\"}}",
     "provider p: dialect openai is given twice"},
    {"providers: {p: {dialect: [openai, anthropic], base_url: \"https://h\"}}",
     "provider p: dialect openai and anthropic differ in base_url or credential"},
    {"providers: {p: {dialect: [a, b, c, d, e], base_url: \"https://h\"}}",
     "provider p: dialect at most 4 are accepted"},
    {"providers: {p: {dialect: [openai, responses], api_version: \"2024-10-21\",\n"
     "  base_url: \"https://n.openai.azure.com\"}}",
     "and for responses where base_url ends in /openai/v1"},
    {"providers: {p: {keys: [k]}}", "provider p: base_url is missing"},
    {"providers: {p: {base_url: \"h:1\"}}", "provider p: base_url h:1 is not accepted"},
    {"providers: {p: {base_url: \"https://h\", key: k}}",
     "unknown key key in provider p; did you mean keys?"},
    {"providers: {p: {base_url: \"https://h\", keys: k}}", "keys: a list is expected"},
    {"providers: {p: {base_url: \"https://h\", keys: [\"a b\"]}}", "a key is a text of printable"},
    {"providers: {p: {base_url: \"https://h\", headers: {Host: x}}}",
     "headers: Host cannot be set"},
    {"providers: {p: {base_url: \"https://h\", headers: {a: \"x\\r\\ny: z\"}}}",
     "headers: a cannot be set"},
    {"providers: {p: {base_url: \"https://h\", timeout: {conect: 1s}}}", "did you mean connect?"},
    {"providers: {p: {base_url: \"https://h\", timeout: {connect: soon}}}",
     "connect: accepted: a duration"},
    {"providers: {p: {base_url: \"https://h\", free: maybe}}", "free: accepted: true, false"},
    {"providers: {p: {base_url: \"https://h\", ca_file: /no/such}}",
     "ca_file /no/such cannot be read"},
    {"providers: {\"a/b\": {base_url: \"https://h\"}}", "provider \"a/b\": a name has letters"},
    {"providers: {cached: {base_url: \"https://h\"}}", "is not \"cached\""},
    {"providers: {p: x}", "provider p: a map is expected"},
    {"providers: [p]", "providers: a map of at most"},
    {"providers: {pp: {base_url: \"https://h\"}}\nmodels: {m: {targets: [[{provider: pq}]]}}",
     "gateway.yaml:2:25: no provider is named pq; did you mean pp?"},
    {"models: {m: {}}", "model m: targets: a list of 1 to 8 tiers is expected"},
    {"models: {m: {targets: []}}", "targets: a list of 1 to 8 tiers"},
    {"models: {m: {targets: [[]]}}", "a tier is a list of 1 to 16 targets"},
    {"models: {m: {targets: [[x]]}}", "a target is a map"},
    {"models: {m: {targets: [[{model: x}]]}}", "a target needs provider"},
    {"models: {m: {target: []}}", "unknown key target in model m; did you mean targets?"},
    {"models: x", "models: a map is expected"},
    {"prices: {}", "prices: a list is expected"},
    {"prices: [{provider: p, model: m}]", "a price needs input"},
    {"prices: [{input: 1}]", "a price needs provider and model"},
    {"prices: [{provider: p, model: m, input: -1}]", "input: accepted: an amount of USD"},
};

static void a_bad_file_is_refused_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_files); i++) {
        struct load l;
        load_yaml(&l, bad_files[i][0]);
        if (l.conf) {
            print_error("accepted: %s\n", bad_files[i][0]);
        }
        assert_null(l.conf);
        assert_has(l.errors, bad_files[i][1]);
        load_end(&l);
    }
}

static void an_empty_file_is_fine(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "# nothing\n", "---\n", "server:\n",
                                        "providers: ~\nmodels: null\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct load l;
        load_yaml(&l, texts[i]);
        assert_string_equal(l.errors, "");
        load_end(&l);
    }
}

static void an_absent_file_is_an_error(void **state)
{
    (void)state;
    struct load l;
    load_from(&l, &(struct config_sources){.config_file = "absent.yaml"});
    assert_null(l.conf);
    assert_has(l.errors, "absent.yaml: cannot be read: No such file");
    load_end(&l);
}

static void variables_are_expanded(void **state)
{
    (void)state;
    load_write(".env", "FROM_FILE=env-file\n");
    load_write("gateway.yaml", "server:\n  host: \"${A}.${FROM_FILE}${B:-.example}${C:-}\"\n"
                               "  project_name: \"$${A} $5 ${D:-with } brace\"\n");
    const char *const env[] = {"A=one", "B=", NULL};
    struct load l;
    load_from(&l, &(struct config_sources){.environment = load_pairs(env),
                                           .config_file = "gateway.yaml"});
    (void)unlink(".env");
    assert_string_equal(l.errors, "");
    assert_slice(l.conf->listen.host, "one.env-file.example");
    assert_slice(l.conf->project_name, "${A} $5 with  brace");
    load_end(&l);
}

static void a_variable_that_the_file_expands_is_no_typing_error(void **state)
{
    (void)state;
    load_write("gateway.yaml", "providers:\n  openai: {keys: [\"${OPENAI_API_KEY_2}\"]}\n");
    const char *const env[] = {"OPENAI_API_KEY_2=sk-0123456789", "OPENAI_API_KEY_3=sk-0123456789",
                               NULL};
    struct load l;
    load_from(&l, &(struct config_sources){.environment = load_pairs(env),
                                           .config_file = "gateway.yaml"});
    assert_string_equal(l.errors, "");
    assert_null(strstr(l.warnings, "OPENAI_API_KEY_2"));
    assert_has(l.warnings, "OPENAI_API_KEY_3 is not a setting; did you mean OPENAI_API_KEY?");
    load_end(&l);
}

/* The environment is above the file, but keys listed there are there on purpose. */
static void the_environment_overlays_a_provider_of_the_file(void **state)
{
    (void)state;
    load_write("gateway.yaml",
               "providers:\n  openai: {base_url: \"https://file.example/v1\", keys: [from-file]}\n"
               "  local: {base_url: \"http://file.example\"}\n");
    const char *const env[] = {"OPENAI_API_KEY=sk-0123456789",
                               "OPENAI_UPSTREAM_URL=http://127.0.0.1:1/v1", NULL};
    struct load l;
    load_from(&l, &(struct config_sources){.environment = load_pairs(env),
                                           .config_file = "gateway.yaml"});
    assert_string_equal(l.errors, "");
    assert_int_equal(l.conf->provider_count, 2);
    assert_slice(l.conf->providers[0].dest.authority, "127.0.0.1:1");
    assert_int_equal(l.conf->providers[0].key_count, 1);
    assert_slice(secret_slice(&l.conf->providers[0].keys[0].secret), "from-file");
    assert_slice(l.conf->providers[1].dest.host, "file.example");
    load_end(&l);
}

static void empty_keys_and_anchors_are_handled(void **state)
{
    (void)state;
    struct load l;
    load_yaml(&l,
              "providers:\n"
              "  a: {base_url: \"https://a\", keys: [\"${NONE:-}\"], timeout: &t {connect: 3s}}\n"
              "  b: {base_url: \"https://b\", timeout: *t}\n");
    assert_string_equal(l.errors, "");
    assert_int_equal(l.conf->providers[0].key_count, 0);
    assert_int_equal(l.conf->providers[1].timeouts.connect_ns, 3 * NS_PER_S);
    load_end(&l);
}

/* Each level names the one before nine times: the tree stays small because aliases are shared. */
static void bombs_are_refused_quickly(void **state)
{
    (void)state;
    char text[4096];
    struct text out = text_in(text, sizeof(text) - 1);
    text_addf(&out, "l0: &l0 [x]\n");
    for (int i = 1; i < 20; i++) {
        text_addf(&out, "l%d: &l%d [", i, i);
        for (int k = 0; k < 9; k++) {
            text_addf(&out, "%s*l%d", k ? "," : "", i - 1);
        }
        text_addf(&out, "]\n");
    }
    text_addf(&out, "models: *l19\n");
    assert_false(out.is_full);
    text[out.len] = '\0';
    struct load l;
    load_yaml(&l, text);
    assert_null(l.conf);
    assert_has(l.errors, "unknown key l0");
    load_end(&l);

    memset(text, '[', 2000);
    text[2000] = '\0';
    load_yaml(&l, text);
    assert_null(l.conf);
    assert_has(l.errors, "nested too deeply");
    load_end(&l);
}

static void a_file_past_the_bound_is_refused(void **state)
{
    (void)state;
    size_t size = CONFIG_FILE_MAX_BYTES + 1;
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, '#', size);
    text[size] = '\0';
    struct load l;
    load_yaml(&l, text);
    assert_null(l.conf);
    assert_has(l.errors, "larger than 1 MiB");
    load_end(&l);
    free(text);
}

/* Every prefix of a good file is good or refused, never a crash. */
static void every_cut_of_a_file_is_survived(void **state)
{
    (void)state;
    const char *const env[] = {"OPENAI_API_KEY=sk-0123456789", NULL};
    char *cut = strdup(design_example);
    assert_non_null(cut);
    for (size_t len = strlen(design_example); len > 0; len--) {
        cut[len] = '\0';
        load_write("gateway.yaml", cut);
        struct load l;
        load_from(&l, &(struct config_sources){.environment = load_pairs(env),
                                               .config_file = "gateway.yaml"});
        load_end(&l);
    }
    free(cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_of_the_design_is_understood),
        cmocka_unit_test(a_provider_speaks_one_dialect_or_a_list_of_them),
        cmocka_unit_test(each_dialect_of_a_provider_has_heads_of_its_own),
        cmocka_unit_test(a_bad_file_is_refused_with_its_place),
        cmocka_unit_test(an_empty_file_is_fine),
        cmocka_unit_test(an_absent_file_is_an_error),
        cmocka_unit_test(variables_are_expanded),
        cmocka_unit_test(a_variable_that_the_file_expands_is_no_typing_error),
        cmocka_unit_test(the_environment_overlays_a_provider_of_the_file),
        cmocka_unit_test(empty_keys_and_anchors_are_handled),
        cmocka_unit_test(bombs_are_refused_quickly),
        cmocka_unit_test(a_file_past_the_bound_is_refused),
        cmocka_unit_test(every_cut_of_a_file_is_survived),
    };
    return cmocka_run_group_tests(tests, load_enter, load_leave);
}
