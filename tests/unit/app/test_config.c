#include "load.h"

#include "app/config.h"
#include "core/clock.h"

static void the_defaults_are_those_of_the_design(void **state)
{
    (void)state;
    struct load l;
    load_env(&l, (const char *const[]){NULL});
    assert_non_null(l.conf);
    assert_slice(l.conf->listen.host, "0.0.0.0");
    assert_int_equal(l.conf->listen.port, 8000);
    assert_slice(l.conf->api_prefix, "/api/v1");
    assert_slice(l.conf->project_name, "LLM Gateway");
    assert_slice(l.conf->api_key_header, "X-API-Key");
    assert_int_equal(l.conf->default_rate_limit, 100);
    assert_int_equal(l.conf->cache_ttl_ns, 3600 * NS_PER_S);
    assert_true(l.conf->is_cache_on);
    assert_true(l.conf->has_metrics);
    assert_int_equal(l.conf->log_level, LOG_INFO);
    assert_int_equal(l.conf->cors_origin_count, 0);
    assert_int_equal(l.conf->listen.limits.head_max_bytes, 65536);
    assert_int_equal(l.conf->body_max_bytes, 32 << 20);
    assert_int_equal(l.conf->upload_max_bytes, 100 << 20);
    assert_int_equal(l.conf->listen.limits.body_max_bytes, 100 << 20);
    assert_int_equal(l.conf->listen.head_timeout_ns, 10 * NS_PER_S);
    assert_int_equal(l.conf->listen.idle_timeout_ns, 75 * NS_PER_S);
    assert_int_equal(l.conf->keepalive_ns, 15 * NS_PER_S);
    assert_int_equal(l.conf->metrics_tenants_max, 1000);
    assert_slice(l.conf->data_dir, "./var");
    assert_slice(l.conf->store.path, "./var/llm-gateway.db");
    assert_true(l.conf->store.is_migrating);
    assert_int_equal(l.conf->ledger.segment_bytes, 8 << 20);
    assert_int_equal(l.conf->workers, config_cpus());
    assert_int_equal(l.conf->provider_count, 0);
    assert_int_equal(l.conf->admin_host.len, 0);
    assert_int_equal(l.report.warning_count, 0);
    load_end(&l);
}

/* Command line, environment, .env, file, default: each outranks what follows it. */
static void sources_have_an_order(void **state)
{
    (void)state;
    load_write("gateway.yaml",
               "server: {port: 1001, max_headers: 11, workers: 2, head_timeout: 1s}");
    load_write(".env", "PORT=1002\nMAX_HEADERS=12\nWORKERS=3\n");
    const char *const env[] = {"PORT=1003", "MAX_HEADERS=13", "WORKERS=", NULL};
    const char *flags[] = {"PORT=1004", NULL};
    struct load l;
    load_from(&l, &(struct config_sources){.flags = flags,
                                           .environment = load_pairs(env),
                                           .config_file = "gateway.yaml"});
    (void)unlink(".env");
    assert_non_null(l.conf);
    assert_int_equal(l.conf->listen.port, 1004);
    assert_int_equal(l.conf->listen.limits.headers_max, 13);
    assert_int_equal(l.conf->workers, 3); /* empty in the environment: unset there */
    assert_int_equal(l.conf->listen.head_timeout_ns, NS_PER_S);
    assert_int_equal(l.conf->settings[CONF_PORT].origin, CONFIG_FROM_FLAG);
    assert_int_equal(l.conf->settings[CONF_MAX_HEADERS].origin, CONFIG_FROM_ENV);
    assert_int_equal(l.conf->settings[CONF_WORKERS].origin, CONFIG_FROM_ENV_FILE);
    assert_int_equal(l.conf->settings[CONF_HEAD_TIMEOUT].origin, CONFIG_FROM_FILE);
    assert_int_equal(l.conf->settings[CONF_HOST].origin, CONFIG_FROM_DEFAULT);
    load_end(&l);
}

struct number_row {
    enum config_type type;
    const char *text;
    int64_t value; /* -1: refused */
};
static const struct number_row number_rows[] = {
    {CONFIG_COUNT, "0", 0},
    {CONFIG_COUNT, "007", 7},
    {CONFIG_COUNT, "9223372036854775807", INT64_MAX},
    {CONFIG_COUNT, "9223372036854775808", -1},
    {CONFIG_COUNT, "-1", -1},
    {CONFIG_COUNT, "", -1},
    {CONFIG_COUNT, "1 ", -1},
    {CONFIG_COUNT, "1k", -1},
    {CONFIG_COUNT, "1.5", -1},
    {CONFIG_BYTES, "1000", 1000},
    {CONFIG_BYTES, "64k", 65536},
    {CONFIG_BYTES, "64KiB", 65536},
    {CONFIG_BYTES, "1KB", 1000},
    {CONFIG_BYTES, "32MiB", 32 << 20},
    {CONFIG_BYTES, "1 GiB", 1 << 30},
    {CONFIG_BYTES, "2t", INT64_C(2) << 40},
    {CONFIG_BYTES, "99999999999t", -1},
    {CONFIG_BYTES, "k", -1},
    {CONFIG_BYTES, "1q", -1},
    {CONFIG_BYTES, "-1k", -1},
    {CONFIG_DURATION, "30", 30 * NS_PER_S},
    {CONFIG_DURATION, "0", 0},
    {CONFIG_DURATION, "250ms", 250 * NS_PER_MS},
    {CONFIG_DURATION, "30s", 30 * NS_PER_S},
    {CONFIG_DURATION, "5m", 300 * NS_PER_S},
    {CONFIG_DURATION, "1h30m", 5400 * NS_PER_S},
    {CONFIG_DURATION, "2d", 2 * NS_PER_DAY},
    {CONFIG_DURATION, "1h30", -1},
    {CONFIG_DURATION, "1x", -1},
    {CONFIG_DURATION, "s", -1},
    {CONFIG_DURATION, "-5s", -1},
    {CONFIG_DURATION, "1.5s", -1},
    {CONFIG_DURATION, "9999999999999d", -1},
    {CONFIG_BOOL, "true", 1},
    {CONFIG_BOOL, "TRUE", 1},
    {CONFIG_BOOL, "1", 1},
    {CONFIG_BOOL, "yes", 1},
    {CONFIG_BOOL, "on", 1},
    {CONFIG_BOOL, "false", 0},
    {CONFIG_BOOL, "0", 0},
    {CONFIG_BOOL, "no", 0},
    {CONFIG_BOOL, "Off", 0},
    {CONFIG_BOOL, "2", -1},
    {CONFIG_BOOL, "y", -1},
    {CONFIG_PORT, "8000", 8000},
    {CONFIG_PORT, "65535", 65535},
    {CONFIG_PORT, "65536", -1},
    {CONFIG_PORT, "tcp://10.96.0.1:6379", 6379},
    {CONFIG_PORT, "tcp://[fd00::1]:6379", 6379},
    {CONFIG_PORT, "tcp://10.96.0.1", -1},
    {CONFIG_PORT, "udp://10.96.0.1:53", -1},
    {CONFIG_PORT, "http", -1},
    {CONFIG_USD, "0.002", 2000000},
    {CONFIG_USD, "1e-3", 1000000},
    {CONFIG_USD, "12", 12 * INT64_C(1000000000)},
    {CONFIG_USD, "-1", -1},
    {CONFIG_USD, "0.0000000001", -1},
    {CONFIG_USD, "$1", -1},
};

static void numbers_are_read_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(number_rows); i++) {
        const struct number_row *row = &number_rows[i];
        int64_t value = -1;
        bool is_good = config_parse_number(row->type, slice_str(row->text), &value);
        if (is_good != (row->value >= 0) || (is_good && value != row->value)) {
            print_error("%d \"%s\": %d %lld\n", (int)row->type, row->text, is_good,
                        (long long)value);
            fail();
        }
    }
}

/* Pair of the environment and what the error must say; every text names variable and what is
 * accepted. */
static const char *const bad_values[][2] = {
    {"PORT=eighty", "PORT: eighty is not accepted; accepted: a port number"},
    {"PORT=70000", "PORT: 70000 is not accepted"},
    {"WORKERS=0", "WORKERS: 0 is out of range; accepted: a whole number, from 1 to 256"},
    {"WORKERS=-1", "WORKERS: -1 is not accepted"},
    {"DEFAULT_RATE_LIMIT=0", "DEFAULT_RATE_LIMIT: 0 is out of range"},
    {"CACHE_TTL=soon", "CACHE_TTL: soon is not accepted; accepted: a duration"},
    {"ENABLE_METRICS=maybe", "ENABLE_METRICS: maybe is not accepted; accepted: true, false"},
    {"ENABLE_RESPONSE_CACHE=maybe", "ENABLE_PROMPT_CACHE: maybe is not accepted"},
    {"LOG_LEVEL=loud", "LOG_LEVEL: loud is not accepted; accepted: debug|info|warning|error"},
    {"MAX_BODY=huge", "MAX_BODY: huge is not accepted; accepted: a number of bytes"},
    {"API_V1_STR=api", "API_V1_STR: api is not accepted; accepted: a path"},
    {"API_V1_STR=/api/", "API_V1_STR: /api/ is not accepted"},
    {"API_KEY_HEADER=X API", "API_KEY_HEADER: X API is not accepted"},
    {"OPENAI_COST_PER_1K_TOKENS=cheap", "OPENAI_COST_PER_1K_TOKENS: cheap is not accepted"},
    {"LOCAL_BASE_URL=localhost:11434", "LOCAL_BASE_URL: localhost:11434 is not accepted"},
    {"LOCAL_BASE_URL=http://", "provider local: base_url http:// is not accepted"},
    {"LOCAL_BASE_URL=http://h:99999/v1", "base_url http://h:99999/v1 is not accepted"},
    {"METRICS_LISTEN=9000", "METRICS_LISTEN: 9000 is not accepted; accepted: host:port"},
    {"ADMIN_LISTEN=fd00::1:9000", "ADMIN_LISTEN: fd00::1:9000 is not accepted"},
    {"CORS_ALLOW_ORIGINS=[1]", "CORS_ALLOW_ORIGINS: [1] is not accepted; accepted: a list"},
    {"UPSTREAM_CA_FILE=/no/such/file", "UPSTREAM_CA_FILE: /no/such/file is not accepted"},
    {"UNKNOWN_PRICE=free", "UNKNOWN_PRICE: free is not accepted; accepted: default|deny|zero|flat"},
    {"JOURNAL_SEGMENT=65537", "JOURNAL_SEGMENT: accepted: a multiple of 4 KiB"},
    {"ADMIN_API_KEY=change-me-in-production", "ADMIN_API_KEY is a placeholder"},
    {"ADMIN_API_KEY=two words", "ADMIN_API_KEY: (secret) is not accepted"},
    {"POSTGRES_HOST=localhost", "POSTGRES_HOST is set, but this build has no PostgreSQL store"},
    {"DATABASE_URL=postgresql://u:p@h/d", "DATABASE_URL is set, but this build has no PostgreSQL"},
    {"REDIS_HOST=localhost", "REDIS_HOST is set, but this build has no Redis store"},
    {"REDIS_URL=redis://h", "REDIS_URL is set, but this build has no Redis store"},
    {"REDIS_DB=x", "REDIS_DB: x is not accepted"},
    {"POSTGRES_PORT=x", "POSTGRES_PORT: x is not accepted"},
};

static void a_bad_value_stops_the_start_and_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_values); i++) {
        struct load l;
        char pair[256];
        (void)snprintf(pair, sizeof(pair), "%s", bad_values[i][0]);
        load_env(&l, (const char *const[]){pair, NULL});
        if (l.conf) {
            print_error("accepted: %s\n", pair);
        }
        assert_null(l.conf);
        assert_int_equal(l.report.error_count, 1);
        assert_has(l.errors, bad_values[i][1]);
        load_end(&l);
    }
}

static void all_problems_are_reported_at_once(void **state)
{
    (void)state;
    struct load l;
    load_env(&l, (const char *const[]){"PORT=x", "CACHE_TTL=y", "LOG_LEVEL=z", "REDIS_HOST=h",
                                       "LOCAL_BASE_URL=ftp://x", NULL});
    assert_null(l.conf);
    assert_has(l.errors, "PORT: x");
    assert_has(l.errors, "CACHE_TTL: y");
    assert_has(l.errors, "LOG_LEVEL: z");
    assert_has(l.errors, "REDIS_HOST is set");
    assert_has(l.errors, "LOCAL_BASE_URL: ftp://x");
    load_end(&l);
}

static void kubernetes_ports_and_other_names_are_understood(void **state)
{
    (void)state;
    struct load l;
    load_env(&l, (const char *const[]){"PORT=tcp://10.0.0.7:8123", "REDIS_PORT=tcp://10.0.0.8:6379",
                                       "ENABLE_RESPONSE_CACHE=off", "LOG_LEVEL=WARNING",
                                       "CORS_ALLOW_ORIGINS=[\"https://a\", \"https://b\"]",
                                       "METRICS_LISTEN=:9090", "ADMIN_LISTEN=[::1]:9091",
                                       "CACHE_TTL=2h", NULL});
    assert_non_null(l.conf);
    assert_int_equal(l.conf->listen.port, 8123);
    assert_false(l.conf->is_cache_on);
    assert_int_equal(l.conf->log_level, LOG_WARNING);
    assert_int_equal(l.conf->cors_origin_count, 2);
    assert_slice(l.conf->cors_origins[1], "https://b");
    assert_slice(l.conf->metrics_host, "0.0.0.0");
    assert_int_equal(l.conf->metrics_port, 9090);
    assert_slice(l.conf->admin_host, "::1");
    assert_int_equal(l.conf->admin_port, 9091);
    assert_int_equal(l.conf->cache_ttl_ns, 7200 * NS_PER_S);
    load_end(&l);
}

static void the_rows_own_name_outranks_its_other_name(void **state)
{
    (void)state;
    struct load l;
    load_env(
        &l, (const char *const[]){"ENABLE_PROMPT_CACHE=true", "ENABLE_RESPONSE_CACHE=false", NULL});
    assert_true(l.conf->is_cache_on);
    load_end(&l);
    load_env(
        &l, (const char *const[]){"ENABLE_RESPONSE_CACHE=false", "ENABLE_PROMPT_CACHE=true", NULL});
    assert_true(l.conf->is_cache_on);
    load_end(&l);
}

static void near_misses_are_warned_of_and_strangers_left_alone(void **state)
{
    (void)state;
    struct load l;
    load_env(&l, (const char *const[]){"OPENAI_API_KEYS=x", "DEFAULT_RATE_LIMTI=5", "PATH=/bin",
                                       "HOST_=x", "HTTP_PROXY=http://p", "LANG=C",
                                       "REDIS_PORT_6379_TCP=tcp://1:2", "LOGNAME=root", "PWD=/",
                                       "SHLVL=1", "OLDPWD=/", NULL});
    assert_non_null(l.conf);
    assert_int_equal(l.report.warning_count, 2);
    assert_has(l.warnings, "OPENAI_API_KEYS is not a setting; did you mean OPENAI_API_KEY?");
    assert_has(l.warnings, "did you mean DEFAULT_RATE_LIMIT?");
    load_end(&l);
}

/* --- providers of the environment --- */

#define KEY "sk-proj-abcdefghijklmnopqrstuvwxyz0123"

static void the_environment_makes_openai_and_local(void **state)
{
    (void)state;
    struct load l;
    load_env(&l, (const char *const[]){"OPENAI_API_KEY=" KEY,
                                       "LOCAL_BASE_URL=http://127.0.0.1:11434/v1/",
                                       "LOCAL_FALLBACK_MODEL=llama3", NULL});
    assert_non_null(l.conf);
    assert_int_equal(l.conf->provider_count, 2);
    const struct route_provider *openai = &l.conf->providers[0];
    const struct route_provider *local = &l.conf->providers[1];
    assert_slice(openai->name, "openai");
    assert_true(openai->dest.is_tls);
    assert_slice(openai->dest.host, "api.openai.com");
    assert_int_equal(openai->key_count, 1);
    assert_slice(openai->keys[0].auth_headers, "authorization: Bearer " KEY "\r\n");
    assert_non_null(openai->keys[0].health);
    assert_int_equal(openai->flat_nusd_per_1k_tokens, 2000000);
    assert_false(openai->is_free);
    assert_slice(openai->heads[0].prefix[CHAT_OP_CHAT],
                 "POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\nuser-agent: "
                 "llm-gateway/" GW_VERSION "\r\naccept-encoding: identity\r\n"
                 "content-type: application/json\r\n");
    assert_true(slice_starts(openai->heads[0].prefix[CHAT_OP_EMBEDDING],
                             SLICE("POST /v1/embeddings HTTP/1.1\r\n")));
    assert_slice(local->name, "local");
    assert_true(local->is_free);
    assert_true(local->passes_unknown);
    assert_int_equal(local->key_count, 0);
    assert_int_equal(local->flat_nusd_per_1k_tokens, -1);
    assert_slice(local->base_path, "/v1");
    assert_slice(local->dest.authority, "127.0.0.1:11434");
    assert_slice(local->fallback_model, "llama3");
    assert_non_null(l.conf->routes);
    load_end(&l);
}

static void collect_model(void *ctx, struct slice model, struct slice owner)
{
    struct text *names = ctx;
    text_addf(names, "%.*s@%.*s ", SLICE_ARG(model), SLICE_ARG(owner));
}

static void local_models_are_shown_and_restrict_nothing(void **state)
{
    (void)state;
    struct load l;
    load_env(&l, (const char *const[]){"LOCAL_BASE_URL=http://127.0.0.1:11434/v1",
                                       "LOCAL_MODELS=llama3,qwen2.5", NULL});
    assert_non_null(l.conf);
    char room[256];
    struct text names = text_in(room, sizeof(room));
    route_models(l.conf->routes, collect_model, &names);
    assert_slice(text_slice(&names), "llama3@local qwen2.5@local ");
    assert_true(l.conf->providers[0].passes_unknown);
    struct route_plan plan;
    struct slice near;
    assert_int_equal(
        route_resolve(l.conf->routes, &l.conf->arena, SLICE("not-listed"), &plan, &near), OK);
    assert_int_equal(plan.count, 1);
    assert_slice(plan.targets[0].model, "not-listed");
    load_end(&l);
}

static void local_speaks_what_its_setting_says(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"LOCAL_DIALECT=openai,soap", "LOCAL_DIALECT: soap is not known; accepted: openai, resp"},
        {"LOCAL_DIALECT=openai,anthropic",
         "LOCAL_DIALECT: openai and anthropic differ in base_url"},
    };
    struct load l;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        load_env(&l, (const char *const[]){"LOCAL_BASE_URL=http://h/v1", bad[i][0], NULL});
        assert_null(l.conf);
        assert_has(l.errors, bad[i][1]);
        load_end(&l);
    }
    load_env(&l, (const char *const[]){"LOCAL_BASE_URL=http://h/v1", "LOCAL_DIALECT=", NULL});
    assert_int_equal(l.conf->providers[0].dialect_count, 1);
    assert_ptr_equal(l.conf->providers[0].dialects[0], &dialect_openai);
    load_end(&l);
}

static void retention_is_off_or_long_enough_for_a_start(void **state)
{
    (void)state;
    struct load l;
    load_env(&l, (const char *const[]){"RETENTION=90d", NULL});
    assert_non_null(l.conf);
    assert_int_equal(l.conf->retention_ns, 90 * NS_PER_DAY);
    load_end(&l);
    load_env(&l, (const char *const[]){NULL});
    assert_int_equal(l.conf->retention_ns, 0);
    load_end(&l);
    load_env(&l, (const char *const[]){"RETENTION=59m", NULL});
    assert_null(l.conf);
    assert_has(l.errors, "RETENTION: accepted: 0 for ever, or at least 1h");
    load_end(&l);
}

static void a_key_of_gemini_makes_its_provider(void **state)
{
    (void)state;
    struct load l;
    load_env(&l, (const char *const[]){"GEMINI_API_KEY=AIza0123",
                                       "GEMINI_FALLBACK_MODEL=gemini-2.5-flash", NULL});
    assert_non_null(l.conf);
    assert_int_equal(l.conf->provider_count, 1);
    const struct route_provider *p = &l.conf->providers[0];
    assert_int_equal(p->dialect_count, 1);
    assert_ptr_equal(p->dialects[0], &dialect_gemini);
    assert_true(slice_eq(p->dest.authority, SLICE("generativelanguage.googleapis.com")));
    assert_true(slice_eq(p->base_path, SLICE("/v1beta")));
    assert_true(slice_eq(p->fallback_model, SLICE("gemini-2.5-flash")));
    assert_true(p->path_has_model);
    assert_true(slice_eq(p->keys[0].auth_headers, SLICE("x-goog-api-key: AIza0123\r\n")));
    assert_true(p->heads[0].prefix[CHAT_OP_EMBEDDING].len > 0);
    assert_int_equal(p->heads[0].prefix[CHAT_OP_COMPLETION].len, 0);
    load_end(&l);
    load_env(&l, (const char *const[]){"GEMINI_API_KEY=AIza0123",
                                       "GEMINI_UPSTREAM_URL=http://127.0.0.1:1/x/v1", NULL});
    assert_non_null(l.conf);
    assert_true(slice_eq(l.conf->providers[0].base_path, SLICE("/x/v1")));
    load_end(&l);
    load_env(&l, (const char *const[]){"GEMINI_API_KEY=your-gemini-api-key", NULL});
    assert_non_null(l.conf);
    assert_int_equal(l.conf->provider_count, 0);
    assert_has(l.warnings, "GEMINI_API_KEY is a placeholder; the provider gemini is left out");
    load_end(&l);
}

static void placeholders_are_not_used(void **state)
{
    (void)state;
    struct load l;
    load_env(&l, (const char *const[]){"SECRET_KEY=your-secret-key-here", "OPENAI_API_KEY=sk-...",
                                       NULL});
    assert_non_null(l.conf);
    assert_int_equal(l.conf->provider_count, 0);
    assert_int_equal(l.conf->secret_key.len, 0);
    assert_has(l.warnings, "SECRET_KEY is a placeholder");
    assert_has(l.warnings, "OPENAI_API_KEY is a placeholder");
    load_end(&l);
}

static void proxies_of_both_cases_and_their_exceptions_hold(void **state)
{
    (void)state;
    struct load l;
    load_env(&l, (const char *const[]){"https_proxy=http://u:p@proxy:3128", "OPENAI_API_KEY=" KEY,
                                       NULL});
    assert_slice(l.conf->providers[0].dest.proxy_host, "proxy");
    assert_int_equal(l.conf->providers[0].dest.proxy_port, 3128);
    load_end(&l);
    load_env(&l, (const char *const[]){"HTTPS_PROXY=proxy:3128", "no_proxy=.openai.com",
                                       "OPENAI_API_KEY=" KEY, NULL});
    assert_int_equal(l.conf->providers[0].dest.proxy_host.len, 0);
    load_end(&l);
    load_env(&l, (const char *const[]){"HTTPS_PROXY=https://proxy", "OPENAI_API_KEY=" KEY, NULL});
    assert_null(l.conf);
    assert_has(l.errors, "HTTPS_PROXY: TLS to the proxy itself is not supported");
    load_end(&l);
}

/* --- secrets --- */

static char *printed(const struct gateway_conf *conf, bool is_json)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    config_print(conf, is_json, f);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void secrets_are_never_shown(void **state)
{
    (void)state;
    struct load l;
    load_env(&l, (const char *const[]){
                     "OPENAI_API_KEY=" KEY, "ADMIN_API_KEY=0123456789abcdef0123456789abcdef",
                     "SECRET_KEY=fedcba98765432100123", "https_proxy=http://u:pass9@h:1", NULL});
    assert_non_null(l.conf);
    assert_slice(secret_slice(&l.conf->admin_key), "0123456789abcdef0123456789abcdef");
    for (int is_json = 0; is_json < 2; is_json++) {
        char *text = printed(l.conf, is_json);
        assert_null(strstr(text, "abcdef0123"));
        assert_null(strstr(text, "fedcba"));
        assert_null(strstr(text, "pass9"));
        assert_null(strstr(text, "sk-proj"));
        assert_has(text, "sk-...0123");
        assert_has(text, "set (32 characters)");
        assert_has(text, "environment");
        free(text);
    }
    load_end(&l);
}

/* --- .env --- */

static void dotenv_lines_are_read(void **state)
{
    (void)state;
    load_write("other.env", "\xEF\xBB\xBF# comment\r\n"
                            "export PROJECT_NAME = \"My \\\"Gate\\\"\" # c\r\n"
                            "HOST='127.0.0.1'\n"
                            "\n"
                            "DATA_DIR=/x #y\n"
                            "API_KEY_HEADER=X-#Key\n"
                            "REDIS_PASSWORD=\n"
                            "PORT=1\nPORT=2");
    struct load l;
    load_from(&l, &(struct config_sources){.env_file = "other.env"});
    assert_string_equal(l.errors, "");
    assert_slice(l.conf->project_name, "My \"Gate\"");
    assert_slice(l.conf->listen.host, "127.0.0.1");
    assert_slice(l.conf->data_dir, "/x");
    assert_slice(l.conf->api_key_header, "X-#Key");
    assert_int_equal(l.conf->listen.port, 2);
    load_end(&l);
}

static void dotenv_faults_name_their_line(void **state)
{
    (void)state;
    load_write("other.env", "PORT=1\nnonsense\nHOST=\"open\n2X=1\nWORKERS=many\n");
    struct load l;
    load_from(&l, &(struct config_sources){.env_file = "other.env"});
    assert_null(l.conf);
    assert_has(l.errors, "other.env:2: not a NAME=value line");
    assert_has(l.errors, "other.env:3: HOST: the quote is not closed");
    assert_has(l.errors, "other.env:4: not a NAME=value line");
    assert_has(l.errors, "other.env:5: WORKERS: many");
    load_end(&l);
    load_from(&l, &(struct config_sources){.env_file = "absent.env"});
    assert_null(l.conf);
    assert_has(l.errors, "absent.env: cannot be read");
    load_end(&l);
}

/* --- reload --- */

static void a_reload_keeps_what_needs_a_restart(void **state)
{
    (void)state;
    struct load first;
    struct load again;
    load_env(&first, (const char *const[]){"PORT=8000", "DEFAULT_RATE_LIMIT=5", "WORKERS=1",
                                           "ADMIN_API_KEY=0123456789abcdef", NULL});
    assert_non_null(first.conf);
    const char *const env[] = {"PORT=9000", "DEFAULT_RATE_LIMIT=6",
                               "ADMIN_API_KEY=fedcba9876543210", NULL};
    load_from(&again,
              &(struct config_sources){.environment = load_pairs(env), .previous = first.conf});
    assert_non_null(again.conf);
    assert_int_equal(again.conf->listen.port, 8000);
    assert_int_equal(again.conf->workers, 1);
    assert_int_equal(again.conf->default_rate_limit, 6);
    assert_slice(secret_slice(&again.conf->admin_key), "0123456789abcdef");
    assert_int_equal(again.report.warning_count, 3);
    assert_has(again.warnings, "PORT needs a restart to change; it stays 8000");
    assert_has(again.warnings, "WORKERS needs a restart to change; it stays 1");
    assert_has(again.warnings, "ADMIN_API_KEY needs a restart");
    load_end(&again);
    load_end(&first);
}

/* --- the rows themselves --- */

static void every_row_is_sound(void **state)
{
    (void)state;
    for (size_t id = 0; id < CONF_COUNT; id++) {
        const struct config_row *row = &config_rows[id];
        assert_true(row->help[0] && row->help[0] != ' ');
        for (size_t other = 0; other < id; other++) {
            assert_string_not_equal(row->name, config_rows[other].name);
            assert_true(!row->path[0] || strcmp(row->path, config_rows[other].path) != 0);
        }
        if (row->path[0]) {
            assert_non_null(strchr(row->path, '.'));
        }
    }
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    config_print_docs(f);
    assert_int_equal(fclose(f), 0);
    assert_has(text, "| `DEFAULT_RATE_LIMIT` | `--default-rate-limit` |");
    assert_null(strstr(text, "--openai-api-key"));
    free(text);
}

static void distances_count_edits_and_swaps(void **state)
{
    (void)state;
    assert_int_equal(config_distance(SLICE("abc"), SLICE("abc"), 3), 0);
    assert_int_equal(config_distance(SLICE("abc"), SLICE("acb"), 3), 1);
    assert_int_equal(config_distance(SLICE("abc"), SLICE("ab"), 3), 1);
    assert_int_equal(config_distance(SLICE("abc"), SLICE("xabc"), 3), 1);
    assert_int_equal(config_distance(SLICE("abc"), SLICE("xyz"), 3), 3);
    assert_int_equal(config_distance(SLICE(""), SLICE("abcdef"), 3), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_of_the_design),
        cmocka_unit_test(sources_have_an_order),
        cmocka_unit_test(numbers_are_read_as_the_table_says),
        cmocka_unit_test(a_bad_value_stops_the_start_and_is_named),
        cmocka_unit_test(all_problems_are_reported_at_once),
        cmocka_unit_test(kubernetes_ports_and_other_names_are_understood),
        cmocka_unit_test(the_rows_own_name_outranks_its_other_name),
        cmocka_unit_test(near_misses_are_warned_of_and_strangers_left_alone),
        cmocka_unit_test(the_environment_makes_openai_and_local),
        cmocka_unit_test(local_models_are_shown_and_restrict_nothing),
        cmocka_unit_test(local_speaks_what_its_setting_says),
        cmocka_unit_test(retention_is_off_or_long_enough_for_a_start),
        cmocka_unit_test(a_key_of_gemini_makes_its_provider),
        cmocka_unit_test(placeholders_are_not_used),
        cmocka_unit_test(proxies_of_both_cases_and_their_exceptions_hold),
        cmocka_unit_test(secrets_are_never_shown),
        cmocka_unit_test(dotenv_lines_are_read),
        cmocka_unit_test(dotenv_faults_name_their_line),
        cmocka_unit_test(a_reload_keeps_what_needs_a_restart),
        cmocka_unit_test(every_row_is_sound),
        cmocka_unit_test(distances_count_edits_and_swaps),
    };
    return cmocka_run_group_tests(tests, load_enter, load_leave);
}
