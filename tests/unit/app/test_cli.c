/* Good and bad command lines, and that every option is in its verb's help. */
#include "admin/render.h"
#include "app/cli.h"
#include "app/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

/* cmocka needs those above and does not include them itself. */
#include "cmocka.h"

enum { ARGS_MAX = 32, LINE_MAX_BYTES = 512 };

struct line {
    char text[LINE_MAX_BYTES];
    char *argv[ARGS_MAX + 1];
    int argc;
    struct cli_command cmd;
    char why[CLI_WHY_BYTES];
};

/* Words are split at '|', so that values may have spaces. */
static enum err parse(struct line *l, const char *words)
{
    size_t len = strlen(words);
    assert_true(len < sizeof(l->text));
    memcpy(l->text, words, len + 1);
    static char program[] = "llm-gateway";
    l->argc = 1;
    l->argv[0] = program;
    for (char *at = len ? l->text : NULL; at;) {
        char *bar = strchr(at, '|');
        assert_true(l->argc < ARGS_MAX);
        l->argv[l->argc++] = at;
        if (bar) {
            *bar++ = '\0';
        }
        at = bar;
    }
    l->argv[l->argc] = NULL;
    return cli_parse(l->argc, l->argv, &l->cmd, l->why, sizeof(l->why));
}

static const struct cli_command *good(struct line *l, const char *words)
{
    enum err e = parse(l, words);
    if (e != OK) {
        fail_msg("\"%s\": %s", words, l->why);
    }
    assert_string_equal(l->why, "");
    return &l->cmd;
}

struct verb_case {
    const char *words;
    enum cli_verb verb;
    bool wants_help;
};

static void words_name_the_verb(void **state)
{
    static const struct verb_case cases[] = {
        {"", CLI_SERVE, false},
        {"serve", CLI_SERVE, false},
        {"--port|9000", CLI_SERVE, false},
        {"--config|tenant|serve", CLI_SERVE, false},
        {"check", CLI_CHECK, false},
        {"migrate", CLI_MIGRATE, false},
        {"version", CLI_VERSION, false},
        {"--version", CLI_VERSION, false},
        {"serve|--version", CLI_VERSION, false},
        {"tenant|create|acme", CLI_TENANT_CREATE, false},
        {"tenant|--json|list", CLI_TENANT_LIST, false},
        {"--data-dir|/d|tenant|list", CLI_TENANT_LIST, false},
        {"key|create|acme", CLI_KEY_CREATE, false},
        {"key|revoke|x", CLI_KEY_REVOKE, false},
        {"key|list|acme", CLI_KEY_LIST, false},
        {"usage|acme", CLI_USAGE, false},
        {"prices", CLI_PRICES, false},
        {"--help", CLI_HELP, true},
        {"-h", CLI_HELP, true},
        {"help", CLI_HELP, true},
        {"serve|-h", CLI_SERVE, true},
        {"help|serve", CLI_SERVE, true},
        {"tenant|--help", CLI_TENANT, true},
        {"help|tenant", CLI_TENANT, true},
        {"help|tenant|create", CLI_TENANT_CREATE, true},
        {"tenant|create|--help", CLI_TENANT_CREATE, true}, /* the name is not asked for */
        {"key|-h", CLI_KEY, true},
        {"usage|--help|--nonsense", CLI_USAGE, true},
    };
    (void)state;
    static struct line l;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct cli_command *cmd = good(&l, cases[i].words);
        if (cmd->verb != cases[i].verb || cmd->wants_help != cases[i].wants_help) {
            fail_msg("\"%s\": %d %d", cases[i].words, (int)cmd->verb, cmd->wants_help);
        }
    }
}

struct bad_case {
    const char *words;
    const char *why;
    enum cli_verb verb;
};

static const struct bad_case bad_lines[] = {
    {"srve", "unknown command \"srve\"; did you mean \"serve\"?", CLI_HELP},
    {"frobnicate", "unknown command \"frobnicate\"", CLI_HELP},
    {"tenants|list", "unknown command \"tenants\"; did you mean \"tenant\"?", CLI_HELP},
    {"tenant", "\"tenant\" needs a command: create or list", CLI_TENANT},
    {"key", "\"key\" needs a command: create, revoke or list", CLI_KEY},
    {"tenant|craete", "unknown command \"craete\" of \"tenant\"; did you mean \"create\"?",
     CLI_TENANT},
    {"key|revok|x", "unknown command \"revok\" of \"key\"; did you mean \"revoke\"?", CLI_KEY},
    {"help|tenat", "unknown command \"tenat\"; did you mean \"tenant\"?", CLI_HELP},
    {"tenant|create", "\"tenant create\" needs a NAME", CLI_TENANT_CREATE},
    {"usage", "\"usage\" needs a TENANT", CLI_USAGE},
    {"key|revoke", "\"key revoke\" needs a KEY_ID", CLI_KEY_REVOKE},
    {"tenant|create|a|b", "unexpected argument \"b\"", CLI_TENANT_CREATE},
    {"serve|now", "unexpected argument \"now\"", CLI_SERVE},
    {"version|1", "unexpected argument \"1\"", CLI_VERSION},
    {"tenant|create|  ", "NAME: \"  \" is not accepted; it takes 1 to 200 bytes, not only spaces",
     CLI_TENANT_CREATE},
    {"tenant|list|--josn", "unknown option --josn; did you mean --json?", CLI_TENANT_LIST},
    {"--prot|80", "unknown option --prot; did you mean --port?", CLI_SERVE},
    {"--prot|80|tenant|list", "unknown option --prot; did you mean --port?", CLI_SERVE},
    {"serve|--prot=80", "unknown option --prot; did you mean --port?", CLI_SERVE},
    {"serve|--flux-capacitor", "unknown option --flux-capacitor", CLI_SERVE},
    {"serve|-p", "unknown option -p", CLI_SERVE},
    {"tenant|list|--days|3", "--days is not an option of \"tenant list\"", CLI_TENANT_LIST},
    {"usage|a|--port|3", "--port is not an option of \"usage\"", CLI_USAGE},
    {"serve|--openai-api-key=sk-x", "unknown option --openai-api-key", CLI_SERVE},
    {"usage|a|--days", "--days needs a value: N", CLI_USAGE},
    {"usage|a|--days|--json", "--days needs a value: N", CLI_USAGE},
    {"serve|--port", "--port needs a value", CLI_SERVE},
    {"usage|a|--json=yes", "--json takes no value", CLI_USAGE},
    {"usage|a|--days|1|--days|2", "--days is given twice", CLI_USAGE},
    {"usage|a|--days|0", "--days: \"0\" is not accepted; it takes a whole number from 1 to 3650",
     CLI_USAGE},
    {"usage|a|--days|3651",
     "--days: \"3651\" is not accepted; it takes a whole number from 1 to 3650", CLI_USAGE},
    {"usage|a|--days|7d", "--days: \"7d\" is not accepted; it takes a whole number from 1 to 3650",
     CLI_USAGE},
    {"tenant|create|a|--rate-limit|-1",
     "--rate-limit: \"-1\" is not accepted; it takes a whole number from 0, or none",
     CLI_TENANT_CREATE},
    {"tenant|create|a|--rate-limit|99999999999999999999",
     "--rate-limit: \"99999999999999999999\" is not accepted; it takes a whole number from 0, "
     "or none",
     CLI_TENANT_CREATE},
    {"tenant|create|a|--monthly-budget|-0.5",
     "--monthly-budget: \"-0.5\" is not accepted; it takes an amount of USD from 0 with at "
     "most 9 decimals, or none",
     CLI_TENANT_CREATE},
    {"tenant|create|a|--monthly-budget|$5",
     "--monthly-budget: \"$5\" is not accepted; it takes an amount of USD from 0 with at most "
     "9 decimals, or none",
     CLI_TENANT_CREATE},
    {"tenant|create|a|--soft-budget|year",
     "--soft-budget: \"year\" is not accepted; it takes day, week, month or total",
     CLI_TENANT_CREATE},
    {"tenant|create|a|--cache|maybe", "--cache: \"maybe\" is not accepted; it takes on or off",
     CLI_TENANT_CREATE},
    {"tenant|create|a|--model=", "--model: \"\" is not accepted; it takes a name of 1 to 200 bytes",
     CLI_TENANT_CREATE},
    {"tenant|create|a|--parent=", "--parent: the value is empty", CLI_TENANT_CREATE},
    {"key|create|a|--expires|never",
     "--expires: \"never\" is not accepted; it takes a time such as 30d, 12h or 45m, up to "
     "3650d",
     CLI_KEY_CREATE},
    {"key|create|a|--expires|0",
     "--expires: \"0\" is not accepted; it takes a time such as 30d, 12h or 45m, up to 3650d",
     CLI_KEY_CREATE},
    {"key|create|a|--expires|4000d",
     "--expires: \"4000d\" is not accepted; it takes a time such as 30d, 12h or 45m, up to "
     "3650d",
     CLI_KEY_CREATE},
    {"serve|--set|PORT", "--set: \"PORT\" is not accepted; it takes NAME=VALUE", CLI_SERVE},
    {"serve|--set|=1", "--set: \"=1\" is not accepted; it takes NAME=VALUE", CLI_SERVE},
    {"serve|--set|PROT=1", "--set: there is no setting \"PROT\"; did you mean PORT?", CLI_SERVE},
    {"serve|--set|OPENAI_API_KEY=sk-1",
     "--set: OPENAI_API_KEY is a secret, and others can read a command line; use the "
     "environment or .env",
     CLI_SERVE},
};

static void bad_lines_say_what_is_wrong(void **state)
{
    (void)state;
    static struct line l;
    for (size_t i = 0; i < ARRAY_LEN(bad_lines); i++) {
        enum err e = parse(&l, bad_lines[i].words);
        if (e != E_SYNTAX || strcmp(l.why, bad_lines[i].why) != 0 ||
            l.cmd.verb != bad_lines[i].verb) {
            fail_msg("\"%s\": %s, \"%s\", verb %d", bad_lines[i].words, err_name(e), l.why,
                     (int)l.cmd.verb);
        }
    }
}

static void a_short_room_cuts_the_reason(void **state)
{
    (void)state;
    static struct line l;
    char why[8];
    char *argv[] = {(char[]){"llm-gateway"}, (char[]){"nonsense"}, NULL};
    assert_int_equal(cli_parse(2, argv, &l.cmd, why, sizeof(why)), E_SYNTAX);
    assert_string_equal(why, "unknown");
}

static void options_reach_their_fields(void **state)
{
    (void)state;
    static struct line l;
    const struct cli_command *c = good(
        &l, "tenant|create|--rate-limit=0|Acme Corp|--tokens-per-minute|9000|--max-concurrent|4|"
            "--daily-budget|1|--monthly-budget=12.5|--soft-budget|day|--model|gpt-4o|--model=o3*");
    assert_string_equal(c->operand, "Acme Corp");
    assert_true(c->has_rate_limit && c->policy.rate_per_min == 0);
    assert_int_equal(c->policy.tokens_per_min, 9000);
    assert_int_equal(c->policy.concurrent_max, 4);
    assert_int_equal(c->policy.budget_nusd[BUDGET_DAY], 1000000000);
    assert_int_equal(c->policy.budget_nusd[BUDGET_WEEK], -1);
    assert_int_equal(c->policy.budget_nusd[BUDGET_MONTH], INT64_C(12500000000));
    assert_int_equal(c->policy.budget_nusd[BUDGET_TOTAL], -1);
    assert_int_equal(c->policy.soft_budgets, 1);
    assert_int_equal(c->model_count, 2);
    assert_string_equal(c->models[0], "gpt-4o");
    assert_string_equal(c->models[1], "o3*");
    assert_false(c->is_json || c->is_no_migrate);

    c = good(&l, "tenant|create|a|--rate-limit|none|--total-budget|none|--cache|off|--parent|b|"
                 "--json|--no-migrate|--config|c.yaml|--env-file|e");
    assert_true(c->has_rate_limit && c->policy.rate_per_min == -1);
    assert_int_equal(c->policy.budget_nusd[BUDGET_TOTAL], -1);
    assert_true(slice_eq(c->policy.cache_mode, SLICE("off")));
    assert_string_equal(c->parent, "b");
    assert_true(c->is_json && c->is_no_migrate);
    assert_string_equal(c->config_file, "c.yaml");
    assert_string_equal(c->env_file, "e");

    c = good(&l, "tenant|create|a");
    assert_true(!c->has_rate_limit && c->policy.rate_per_min == -1 && c->model_count == 0);

    c = good(&l, "key|create|a|--name|ci|--expires|1d12h");
    assert_string_equal(c->name, "ci");
    assert_true(c->expires_in_ns == INT64_C(129600000000000));
    assert_int_equal(good(&l, "usage|a")->days, 30);
    assert_int_equal(good(&l, "usage|--days|7|a")->days, 7);
    c = good(&l, "prices|--provider|openai|--model|mini");
    assert_string_equal(c->provider, "openai");
    assert_string_equal(c->model_part, "mini");
    assert_true(c->model_count == 0);
    assert_true(good(&l, "check|--docs")->is_docs);
    assert_string_equal(good(&l, "tenant|create|--|--json")->operand, "--json");
    assert_string_equal(good(&l, "usage|-")->operand, "-");
}

static void settings_become_flags(void **state)
{
    (void)state;
    static struct line l;
    const struct cli_command *c =
        good(&l, "serve|--port|9000|--host=::|--set|WORKERS=2|--set|CORS_ALLOW_ORIGINS=a=b,c|"
                 "--port=9001|--data-dir|/d|--set|HOST=");
    assert_int_equal(c->flag_count, 5);
    assert_string_equal(c->flags[0], "PORT=9001"); /* the later one */
    assert_string_equal(c->flags[1], "HOST=");
    assert_string_equal(c->flags[2], "WORKERS=2");
    assert_string_equal(c->flags[3], "CORS_ALLOW_ORIGINS=a=b,c");
    assert_string_equal(c->flags[4], "DATA_DIR=/d");
    assert_null(c->flags[5]);
    c = good(&l, "usage|a|--data-dir=/e|--set|DEFAULT_RATE_LIMIT=7");
    assert_string_equal(c->flags[0], "DATA_DIR=/e");
    assert_string_equal(c->flags[1], "DEFAULT_RATE_LIMIT=7");
}

static void a_command_line_that_is_too_long_is_refused(void **state)
{
    (void)state;
    static struct line l;
    static char big[CLI_ROOM_BYTES];
    memset(big, 'x', sizeof(big) - 1);
    char *argv[] = {(char[]){"llm-gateway"}, (char[]){"--data-dir"}, big, NULL};
    assert_int_equal(cli_parse(3, argv, &l.cmd, l.why, sizeof(l.why)), E_SYNTAX);
    assert_non_null(strstr(l.why, "too long"));
    char *many[2 * (CLI_MODELS_MAX + 1) + 5];
    int n = 0;
    many[n++] = argv[0];
    many[n++] = (char[]){"tenant"};
    many[n++] = (char[]){"create"};
    many[n++] = (char[]){"a"};
    static char option[] = "--model";
    static char value[] = "m";
    for (int i = 0; i <= CLI_MODELS_MAX; i++) {
        many[n++] = option;
        many[n++] = value;
    }
    many[n] = NULL;
    assert_int_equal(cli_parse(n - 2, many, &l.cmd, l.why, sizeof(l.why)), OK);
    assert_int_equal(cli_parse(n, many, &l.cmd, l.why, sizeof(l.why)), E_SYNTAX);
    assert_string_equal(l.why, "--model: at most 64 models can be named");
}

struct names {
    const char *help;
    enum cli_verb verb;
    int count;
};

/* As a word of its own at the start of a line. */
static void in_help(void *ctx, const char *option)
{
    struct names *names = ctx;
    char line[128];
    (void)snprintf(line, sizeof(line), "\n  %s", option);
    const char *at = strstr(names->help, line);
    while (at && at[strlen(line)] != ' ' && at[strlen(line)] != '\n') {
        at = strstr(at + 1, line);
    }
    if (!at) {
        fail_msg("help of \"%s\" does not name %s", cli_verb_name(names->verb), option);
    }
    names->count++;
}

static void every_help_names_every_option(void **state)
{
    (void)state;
    for (int i = 0; i < CLI_VERB_COUNT; i++) {
        char *help = NULL;
        size_t len = 0;
        FILE *f = open_memstream(&help, &len);
        assert_non_null(f);
        cli_help(f, (enum cli_verb)i);
        assert_int_equal(fclose(f), 0);
        struct names names = {.help = help, .verb = (enum cli_verb)i};
        cli_each_option((enum cli_verb)i, in_help, &names);
        assert_true(names.count >= 1);
        assert_non_null(strstr(help, "Usage: llm-gateway"));
        assert_non_null(strstr(help, cli_verb_name((enum cli_verb)i)));
        if (i == CLI_HELP) {
            assert_non_null(strstr(help, "\n  tenant create NAME"));
            assert_non_null(strstr(help, "\n  key revoke KEY_ID"));
            assert_non_null(strstr(help, "\n  prices"));
        }
        assert_null(strstr(help, "--openai-api-key"));
        free(help);
    }
}

/* Each option that a verb lists is taken by it: no row of the table is dead. */
struct taker {
    enum cli_verb verb;
    int taken;
};

static void is_taken(void *ctx, const char *option)
{
    struct taker *t = ctx;
    static struct line l;
    char words[256];
    const char *verb = cli_verb_name(t->verb);
    (void)snprintf(words, sizeof(words), "%s%s%s=", verb, verb[0] ? " " : "", option);
    for (char *at = words; *at; at++) {
        if (*at == ' ') {
            *at = '|';
        }
    }
    enum err e = parse(&l, words);
    if (e != OK && strstr(l.why, "unknown option")) {
        fail_msg("%s: %s", words, l.why);
    }
    t->taken++;
}

static void every_option_is_known_to_its_verb(void **state)
{
    (void)state;
    for (int i = 0; i < CLI_VERB_COUNT; i++) {
        if (i == CLI_HELP || i == CLI_TENANT || i == CLI_KEY) {
            continue;
        }
        struct taker t = {.verb = (enum cli_verb)i};
        cli_each_option(t.verb, is_taken, &t);
        assert_true(t.taken >= 2);
    }
    struct taker t = {.verb = CLI_SERVE};
    cli_each_option(t.verb, is_taken, &t);
    assert_true(t.taken > 60); /* the settings among them */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_name_the_verb),
        cmocka_unit_test(bad_lines_say_what_is_wrong),
        cmocka_unit_test(a_short_room_cuts_the_reason),
        cmocka_unit_test(options_reach_their_fields),
        cmocka_unit_test(settings_become_flags),
        cmocka_unit_test(a_command_line_that_is_too_long_is_refused),
        cmocka_unit_test(every_help_names_every_option),
        cmocka_unit_test(every_option_is_known_to_its_verb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
