/* The commands on a real SQLite file, read back as people, as machines and from the store. */
#include "app/commands.h"
#include "auth/auth.h"
#include "core/clock.h"
#include "unit/store/scratch.h"
#include "wire/json.h"

#include <sqlite3.h>

enum { ARGS_MAX = 24, LINE_MAX_BYTES = 512 };

struct world {
    struct scratch scratch;
    struct gateway_conf conf;
    struct arena arena;
    char line[LINE_MAX_BYTES];
    struct cli_command cmd;
    /* of the last run */
    char *out, *errors;
    size_t out_len, errors_len;
    yyjson_val *json; /* of run_json() */
};

static void world_new(struct world *w)
{
    memset(w, 0, sizeof(*w));
    scratch_new(&w->scratch, "var/gateway.db");
    arena_init(&w->arena, NULL, 16 << 20);
    w->conf.store.path = slice_str(w->scratch.path);
    w->conf.default_rate_limit = 100;
}

static void world_free(struct world *w)
{
    free(w->out);
    free(w->errors);
    arena_deinit(&w->arena);
    scratch_free(&w->scratch);
}

/* Words are split at '|'. */
static int run(struct world *w, const char *words)
{
    static char program[] = "llm-gateway";
    char *argv[ARGS_MAX + 1] = {program};
    int argc = 1;
    char why[CLI_WHY_BYTES];
    (void)snprintf(w->line, sizeof(w->line), "%s", words);
    for (char *at = w->line; at;) {
        char *bar = strchr(at, '|');
        assert_true(argc < ARGS_MAX);
        argv[argc++] = at;
        if (bar) {
            *bar++ = '\0';
        }
        at = bar;
    }
    if (cli_parse(argc, argv, &w->cmd, why, sizeof(why)) != OK) {
        fail_msg("\"%s\": %s", words, why);
    }
    free(w->out);
    free(w->errors);
    FILE *out = open_memstream(&w->out, &w->out_len);
    FILE *errors = open_memstream(&w->errors, &w->errors_len);
    assert_non_null(out);
    assert_non_null(errors);
    int status = commands_run(&w->cmd, &w->conf, out, errors);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(fclose(errors), 0);
    return status;
}

static void good(struct world *w, const char *words)
{
    int status = run(w, words);
    if (status != CLI_EXIT_DONE || w->errors_len) {
        fail_msg("\"%s\": status %d, %s", words, status, w->errors);
    }
}

static yyjson_val *good_json(struct world *w, const char *words)
{
    good(w, words);
    if (json_parse(&w->arena, slice_of(w->out, w->out_len), &w->json, NULL) != OK) {
        fail_msg("\"%s\": not JSON: %s", words, w->out);
    }
    return w->json;
}

static void bad(struct world *w, const char *words, const char *why)
{
    int status = run(w, words);
    if (status != CLI_EXIT_FAILED || !strstr(w->errors, why)) {
        fail_msg("\"%s\": status %d, \"%s\" is not in \"%s\"", words, status, why, w->errors);
    }
}

/* A member's text with a NUL, kept in the world's arena. */
static const char *text_of(struct world *w, yyjson_val *object, const char *name)
{
    struct slice s = json_get_string(object, name);
    if (!s.ptr) {
        fail_msg("no text \"%s\" in %s", name, w->out);
    }
    return arena_dup(&w->arena, s).ptr;
}

static int64_t number_of(yyjson_val *object, const char *name)
{
    int64_t value = -99;
    assert_true(json_i64(json_get(object, name), &value));
    return value;
}

static const char *joined(struct world *w, const char *a, const char *b)
{
    return arena_printf(&w->arena, "%s%s", a, b).ptr;
}

static struct store_db *open_db(struct world *w)
{
    struct store_db *db = NULL;
    struct store_conf conf = w->conf.store;
    assert_int_equal(store_db_open(&conf, &db, NULL, 0), OK);
    return db;
}

struct audit_seen {
    int count;
    struct slice want; /* action */
    int matches;
    bool has_key;
    struct slice key;
};

static void see_audit(void *ctx, int64_t rowid, const struct store_audit *a)
{
    struct audit_seen *s = ctx;
    assert_true(rowid > 0);
    assert_true(slice_eq(a->actor, SLICE("cli")));
    s->count++;
    s->matches += slice_eq(a->action, s->want);
    s->has_key = s->has_key || (s->key.len && slice_search(a->detail, s->key) < a->detail.len);
}

static struct audit_seen audits(struct world *w, const char *action, const char *key)
{
    struct audit_seen seen = {.want = slice_str(action), .key = slice_str(key)};
    struct store_db *db = open_db(w);
    assert_int_equal(store_audit_list(db, INT64_MAX, 1000, see_audit, &seen), OK);
    store_db_close(db);
    return seen;
}

static void a_tenant_is_created_with_a_key_that_works(void **state)
{
    (void)state;
    static struct world w;
    world_new(&w);
    yyjson_val *t = good_json(&w, "tenant|create| Acme \"1\" |--monthly-budget|12.5|--model|gpt-4o|"
                                  "--model|o3*|--soft-budget|month|--json");
    const char *api_key = text_of(&w, t, "api_key");
    const char *key_id = text_of(&w, t, "key_id");
    const char *tenant_id = text_of(&w, t, "tenant_id");
    assert_string_equal(text_of(&w, t, "name"), "Acme \"1\"");
    assert_int_equal(number_of(t, "rate_limit"), 100);
    assert_true(slice_eq(json_number(json_get(t, "monthly_budget")), SLICE("12.5")));
    assert_true(json_is_none(json_get(t, "daily_budget")));
    assert_int_equal(strlen(api_key), AUTH_KEY_BYTES);
    assert_true(auth_key_is_plausible(slice_str(api_key)));
    assert_int_equal(w.out[w.out_len - 1], '\n');
    assert_ptr_equal(strchr(w.out, '\n'), w.out + w.out_len - 1); /* one line */

    struct store_db *db = open_db(&w);
    struct id id;
    struct store_tenant tenant;
    struct store_key key;
    assert_true(id_parse(slice_str(tenant_id), &id));
    assert_int_equal(store_tenant_get(db, &w.arena, id, &tenant), OK);
    assert_true(tenant.is_active && id_is_zero(tenant.parent));
    assert_true(slice_eq(tenant.policy.allowed_models, SLICE("[\"gpt-4o\",\"o3*\"]")));
    assert_true(slice_eq(tenant.policy.audit_level, SLICE("metadata")));
    assert_int_equal(tenant.policy.soft_budgets, 1u << BUDGET_MONTH);
    assert_int_equal(tenant.policy.budget_nusd[BUDGET_MONTH], INT64_C(12500000000));
    assert_true(id_parse(slice_str(key_id), &id));
    assert_int_equal(store_key_get(db, &w.arena, id, &key), OK);
    assert_true(id_eq(key.tenant, tenant.id));
    struct sha256 hash = auth_key_hash(slice_str(api_key));
    assert_memory_equal(key.hash.bytes, hash.bytes, SHA256_BYTES);
    store_db_close(db);

    struct audit_seen seen = audits(&w, "tenant.create", api_key);
    assert_true(seen.count == 1 && seen.matches == 1 && !seen.has_key);
    world_free(&w);
}

static void texts_for_people_show_the_key_once(void **state)
{
    (void)state;
    static struct world w;
    world_new(&w);
    good(&w, "tenant|create|acme|--rate-limit|none|--monthly-budget|0");
    const char *key = strstr(w.out, "API key:    llm-gw-");
    assert_non_null(key);
    assert_true(auth_key_is_plausible(slice_of(key + 12, AUTH_KEY_BYTES)));
    assert_null(strstr(key + 20, "llm-gw-"));
    assert_non_null(strstr(w.out, "Rate limit: none\n"));
    assert_non_null(strstr(w.out, "Budget:     0 USD a month\n"));
    good(&w, "tenant|list");
    assert_non_null(strstr(w.out, "TENANT ID"));
    assert_non_null(strstr(w.out, "acme"));
    assert_null(strstr(w.out, "llm-gw-"));
    good(&w, "key|list|acme");
    assert_non_null(strstr(w.out, "llm-gw-")); /* its first characters */
    assert_non_null(strstr(w.out, "never"));
    assert_non_null(strstr(w.out, "active"));
    world_free(&w);
}

static void names_that_a_terminal_would_obey_are_defused(void **state)
{
    (void)state;
    static struct world w;
    world_new(&w);
    good(&w, "tenant|create|a\x1b[2Jb\xC2\x9B"
             "1mc\xC3\xA4");
    assert_non_null(strstr(w.out, "a?[2Jb?1mc\xC3\xA4"));
    good(&w, "tenant|list");
    assert_null(strchr(w.out, '\x1b'));
    assert_non_null(strstr(w.out, "a?[2Jb?1mc\xC3\xA4"));
    yyjson_val *list = good_json(&w, "tenant|list|--json"); /* machines get it as it is */
    assert_string_equal(text_of(&w, yyjson_arr_get(list, 0), "name"), "a\x1b[2Jb\xC2\x9B"
                                                                      "1mc\xC3\xA4");
    world_free(&w);
}

static void tenants_are_found_by_id_or_by_a_name_of_their_own(void **state)
{
    (void)state;
    static struct world w;
    world_new(&w);
    const char *a = text_of(&w, good_json(&w, "tenant|create|twin|--json"), "tenant_id");
    const char *b = text_of(&w, good_json(&w, "tenant|create|twin|--json"), "tenant_id");
    const char *only = text_of(&w, good_json(&w, "tenant|create|only|--json"), "tenant_id");
    assert_string_not_equal(a, b);
    assert_int_equal(yyjson_arr_size(good_json(&w, "tenant|list|--json")), 3);

    bad(&w, "key|create|twin", "2 tenants are called \"twin\"; give an id:");
    assert_true(strstr(w.errors, a) && strstr(w.errors, b));
    assert_int_equal(w.out_len, 0);
    bad(&w, "usage|nobody", "no tenant has the id or name \"nobody\"");
    bad(&w, "key|list|00000000-0000-4000-8000-000000000001", "no tenant has the id or name");
    bad(&w, "tenant|create|child|--parent|nobody", "no tenant has the id or name \"nobody\"");

    yyjson_val *k = good_json(&w, "key|create|only|--json");
    assert_string_equal(text_of(&w, k, "tenant_id"), only);
    k = good_json(&w, joined(&w, "key|create|--json|", a));
    assert_string_equal(text_of(&w, k, "tenant_id"), a);
    yyjson_val *child = good_json(&w, "tenant|create|child|--parent|only|--json");
    assert_string_equal(text_of(&w, child, "parent_id"), only);
    world_free(&w);
}

static void tenants_nest_eight_deep_and_no_deeper(void **state)
{
    (void)state;
    static struct world w;
    world_new(&w);
    good(&w, "tenant|create|t1");
    for (int i = 2; i <= 8; i++) {
        char words[64];
        (void)snprintf(words, sizeof(words), "tenant|create|t%d|--parent|t%d", i, i - 1);
        good(&w, words);
    }
    bad(&w, "tenant|create|t9|--parent|t8", "at most 8 levels");
    assert_int_equal(w.out_len, 0); /* no key of a tenant that is not there */
    assert_int_equal(audits(&w, "tenant.create", NULL).matches, 8);
    world_free(&w);
}

static void keys_expire_and_are_revoked(void **state)
{
    (void)state;
    static struct world w;
    world_new(&w);
    good(&w, "tenant|create|acme");
    int64_t before = clock_unix_ns();
    yyjson_val *k = good_json(&w, "key|create|acme|--name|ci|--expires|30d|--json");
    const char *id_text = text_of(&w, k, "key_id");
    const char *api_key = text_of(&w, k, "api_key");
    assert_string_equal(text_of(&w, k, "name"), "ci");
    struct store_db *db = open_db(&w);
    struct id id;
    struct store_key key;
    assert_true(id_parse(slice_str(id_text), &id));
    assert_int_equal(store_key_get(db, &w.arena, id, &key), OK);
    assert_true(key.is_active);
    assert_true(key.expires_unix_ns >= before + 30 * NS_PER_DAY - NS_PER_S);
    assert_true(key.expires_unix_ns <= clock_unix_ns() + 30 * NS_PER_DAY);
    assert_false(audits(&w, "key.create", api_key).has_key);

    good(&w, joined(&w, "key|revoke|", id_text));
    assert_non_null(strstr(w.out, "is revoked; a running gateway"));
    assert_int_equal(store_key_get(db, &w.arena, id, &key), OK);
    assert_false(key.is_active);
    good(&w, joined(&w, "key|revoke|", id_text)); /* again changes nothing */
    assert_non_null(strstr(w.out, "it was before"));
    assert_int_equal(audits(&w, "key.revoke", NULL).matches, 1);
    store_db_close(db);

    k = good_json(&w, joined(&w, "key|revoke|--json|", id_text));
    assert_true(yyjson_is_false(json_get(k, "is_active")));
    bad(&w, "key|revoke|00000000-0000-4000-8000-000000000001", "no key has the id 00000000-");
    bad(&w, joined(&w, "key|revoke|", api_key), "that is not a key id");
    assert_null(strstr(w.errors, api_key));

    yyjson_val *list = good_json(&w, "key|list|acme|--json");
    assert_int_equal(yyjson_arr_size(list), 2);
    good(&w, "key|list|acme");
    assert_non_null(strstr(w.out, "revoked"));
    world_free(&w);
}

static void a_key_for_an_inactive_tenant_comes_with_a_warning(void **state)
{
    (void)state;
    static struct world w;
    struct id id;
    struct store_tenant t;
    world_new(&w);
    yyjson_val *made = good_json(&w, "tenant|create|acme|--json");
    assert_true(id_parse(slice_str(text_of(&w, made, "tenant_id")), &id));
    struct store_db *db = open_db(&w);
    assert_int_equal(store_tenant_get(db, &w.arena, id, &t), OK);
    t.is_active = false;
    assert_int_equal(store_tenant_update(db, &t, NULL), OK);
    store_db_close(db);
    assert_int_equal(run(&w, "key|create|acme"), CLI_EXIT_DONE);
    assert_non_null(strstr(w.errors, "the tenant is inactive"));
    assert_non_null(strstr(w.out, "llm-gw-"));
    good(&w, "tenant|list");
    assert_non_null(strstr(w.out, "inactive"));
    world_free(&w);
}

static void usage_is_summed_by_provider(void **state)
{
    (void)state;
    static struct world w;
    struct id tenant;
    world_new(&w);
    yyjson_val *made = good_json(&w, "tenant|create|acme|--json");
    const char *tenant_id = text_of(&w, made, "tenant_id");
    assert_true(id_parse(slice_str(tenant_id), &tenant));
    good(&w, "usage|acme");
    assert_non_null(strstr(w.out, "No requests."));
    yyjson_val *u = good_json(&w, "usage|acme|--json");
    assert_int_equal(yyjson_arr_size(json_get(u, "usage_by_provider")), 0);

    struct id_source ids;
    id_source_init(&ids);
    int64_t now = clock_unix_ns();
    struct usage_record records[2] = {
        {.id = id_next(&ids, now),
         .tenant = tenant,
         .admitted_unix_ns = now,
         .cost_nusd = 1500000,
         .latency_ns = 4 * NS_PER_MS,
         .first_token_ns = -1,
         .count = 1,
         .usage = {.input = 10, .output = 5},
         .status = RECORD_SUCCESS,
         .provider = SLICE("openai"),
         .model = SLICE("gpt-4o")},
        {.id = id_next(&ids, now - 9 * NS_PER_DAY),
         .tenant = tenant,
         .admitted_unix_ns = now - 9 * NS_PER_DAY,
         .cost_nusd = 500000,
         .latency_ns = 2 * NS_PER_MS,
         .first_token_ns = -1,
         .count = 1,
         .usage = {.input = 1, .output = 1},
         .status = RECORD_SUCCESS,
         .provider = SLICE("openai"),
         .model = SLICE("gpt-4o")},
    };
    records[0].key = records[1].key = id_random();
    struct store_batch batch = {
        .closed = records, .closed_count = 2, .checkpoint = {.instance = id_random()}};
    struct store_db *db = open_db(&w);
    assert_int_equal(store_usage_write(db, &batch), OK);
    store_db_close(db);

    u = good_json(&w, "usage|acme|--json");
    assert_string_equal(text_of(&w, u, "tenant_id"), tenant_id);
    assert_int_equal(number_of(u, "period_days"), 30);
    yyjson_val *row = yyjson_arr_get(json_get(u, "usage_by_provider"), 0);
    assert_string_equal(text_of(&w, row, "provider"), "openai");
    assert_int_equal(number_of(row, "requests"), 2);
    assert_int_equal(number_of(row, "tokens"), 17);
    assert_true(slice_eq(json_number(json_get(row, "cost")), SLICE("0.002")));
    u = good_json(&w, "usage|acme|--days|3|--json");
    row = yyjson_arr_get(json_get(u, "usage_by_provider"), 0);
    assert_int_equal(number_of(row, "requests"), 1);
    good(&w, "usage|acme");
    assert_non_null(strstr(w.out, "openai"));
    assert_non_null(strstr(w.out, "0.002"));
    world_free(&w);
}

static void migrate_says_from_where_to_where(void **state)
{
    (void)state;
    static struct world w;
    world_new(&w);
    bad(&w, "tenant|list|--no-migrate", "llm-gateway migrate");
    yyjson_val *m = good_json(&w, "migrate|--json");
    assert_int_equal(number_of(m, "from"), 0);
    int64_t to = number_of(m, "to");
    assert_true(to >= 1);
    m = good_json(&w, "migrate|--json");
    assert_true(number_of(m, "from") == to && number_of(m, "to") == to);
    good(&w, "migrate");
    assert_non_null(strstr(w.out, "already"));
    good(&w, "tenant|list|--no-migrate");
    assert_non_null(strstr(w.out, "There is no tenant yet"));
    world_free(&w);
}

static void a_database_that_cannot_be_opened_says_so(void **state)
{
    (void)state;
    static struct world w;
    world_new(&w);
    w.conf.store.path = SLICE("/proc/no/such/place.db");
    bad(&w, "tenant|create|acme", "/proc/no/such/place.db");
    assert_int_equal(w.out_len, 0);
    world_free(&w);
}

static void prices_list_the_catalogue_and_what_is_configured(void **state)
{
    (void)state;
    static struct world w;
    world_new(&w);
    yyjson_val *p = good_json(&w, "prices|--provider|openai|--model|gpt-4o-mini|--json");
    yyjson_val *data = json_get(p, "data");
    size_t listed = yyjson_arr_size(data);
    assert_true(listed >= 1);
    size_t i;
    size_t n;
    yyjson_val *row;
    yyjson_arr_foreach(data, i, n, row)
    {
        assert_string_equal(text_of(&w, row, "provider"), "openai");
        assert_non_null(strstr(text_of(&w, row, "model"), "gpt-4o-mini"));
        assert_string_equal(text_of(&w, row, "source"), "catalogue");
    }
    assert_true(catalogue_date().len == 10);
    assert_true(slice_eq(json_get_string(p, "catalogue_date"), catalogue_date()));

    struct price_override own[] = {
        {SLICE("openai"), SLICE("gpt-4o-mini"), {.base = {1000000000, 2500000000, -1, -1, -1, -1}}},
        {SLICE("acme"), SLICE("house-model"), {.base = {7000000, 8000000, -1, -1, -1, -1}}},
    };
    w.conf.prices = own;
    w.conf.price_count = 2;
    p = good_json(&w, "prices|--json");
    int configured = 0;
    yyjson_arr_foreach(json_get(p, "data"), i, n, row)
    {
        if (strcmp(text_of(&w, row, "source"), "configured") == 0) {
            configured++;
            bool is_house = strcmp(text_of(&w, row, "model"), "house-model") == 0;
            assert_true(slice_eq(json_number(json_get(row, "output_usd_per_1m_tokens")),
                                 is_house ? SLICE("0.008") : SLICE("2.5")));
        }
    }
    assert_int_equal(configured, 2);
    p = good_json(&w, "prices|--provider|openai|--model|gpt-4o-mini|--json");
    assert_int_equal(yyjson_arr_size(json_get(p, "data")), listed); /* replaced, not added */

    good(&w, "prices|--provider|acme");
    assert_non_null(strstr(w.out, "house-model"));
    assert_non_null(strstr(w.out, "configured"));
    bad(&w, "prices|--provider|nobody", "no price is known");
    p = good_json(&w, "prices|--provider|nobody|--json");
    assert_int_equal(yyjson_arr_size(json_get(p, "data")), 0);
    world_free(&w);
}

static void an_output_that_cannot_be_written_is_a_failure(void **state)
{
    (void)state;
    static struct world w;
    world_new(&w);
    good(&w, "migrate");
    FILE *full = fopen("/dev/full", "w");
    FILE *errors = fopen("/dev/null", "w");
    assert_non_null(full);
    assert_non_null(errors);
    assert_int_equal(commands_run(&w.cmd, &w.conf, full, errors), CLI_EXIT_FAILED);
    (void)fclose(full);
    (void)fclose(errors);
    world_free(&w);
}

static void version_names_the_parts(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    assert_int_equal(commands_version(false, f), CLI_EXIT_DONE);
    assert_int_equal(commands_version(true, f), CLI_EXIT_DONE);
    assert_int_equal(fclose(f), 0);
    char expected[256];
    (void)snprintf(expected, sizeof(expected),
                   "llm-gateway %s (catalogue %.*s, SQLite %s, OpenSSL 3", GW_VERSION,
                   SLICE_ARG(catalogue_date()), sqlite3_libversion());
    assert_memory_equal(text, expected, strlen(expected));
    const char *json = strchr(text, '\n');
    assert_non_null(json);
    struct arena a;
    yyjson_val *root = NULL;
    arena_init(&a, NULL, 1 << 16);
    assert_int_equal(json_parse(&a, slice_str(json + 1), &root, NULL), OK);
    assert_true(slice_eq(json_get_string(root, "version"), SLICE(GW_VERSION)));
    arena_deinit(&a);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenant_is_created_with_a_key_that_works),
        cmocka_unit_test(texts_for_people_show_the_key_once),
        cmocka_unit_test(names_that_a_terminal_would_obey_are_defused),
        cmocka_unit_test(tenants_are_found_by_id_or_by_a_name_of_their_own),
        cmocka_unit_test(tenants_nest_eight_deep_and_no_deeper),
        cmocka_unit_test(keys_expire_and_are_revoked),
        cmocka_unit_test(a_key_for_an_inactive_tenant_comes_with_a_warning),
        cmocka_unit_test(usage_is_summed_by_provider),
        cmocka_unit_test(migrate_says_from_where_to_where),
        cmocka_unit_test(a_database_that_cannot_be_opened_says_so),
        cmocka_unit_test(prices_list_the_catalogue_and_what_is_configured),
        cmocka_unit_test(an_output_that_cannot_be_written_is_a_failure),
        cmocka_unit_test(version_names_the_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
