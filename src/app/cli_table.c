/* What verbs and options there are, and the help made from it. */
#include "app/cli_inside.h"

#include <assert.h>

const struct cli_verb_row cli_verbs[CLI_VERB_COUNT] = {
    [CLI_SERVE] = {NULL, "serve", NULL, "run the gateway (the default)",
                   "Serves until SIGTERM or SIGINT, then drains. SIGHUP reads the configuration "
                   "again.\n"},
    [CLI_CHECK] = {NULL, "check", NULL, "check the configuration and print what it comes to",
                   "Prints the effective settings and where each comes from, providers and models; "
                   "secrets are masked.\nExits with 1 and all problems when there are any.\n"},
    [CLI_MIGRATE] = {NULL, "migrate", NULL, "bring the database to this program's version",
                     "`serve` does the same at its start unless --no-migrate is given.\n"},
    [CLI_VERSION] = {NULL, "version", NULL, "print versions of the program and its parts", ""},
    [CLI_TENANT] = {NULL, "tenant", NULL, "create and list tenants", ""},
    [CLI_TENANT_CREATE] = {"tenant", "create", "NAME", "create a tenant with a first key",
                           "The key is shown this once. A running gateway knows it within a "
                           "second. Names need not be unique;\nthe tenant's id is.\n"},
    [CLI_TENANT_LIST] = {"tenant", "list", NULL, "list the tenants", ""},
    [CLI_KEY] = {NULL, "key", NULL, "create, revoke and list keys", ""},
    [CLI_KEY_CREATE] = {"key", "create", "TENANT", "create one more key for a tenant",
                        "TENANT is an id, or a name that only one tenant has. The key is shown "
                        "this once.\n"},
    [CLI_KEY_REVOKE] = {"key", "revoke", "KEY_ID", "revoke a key",
                        "KEY_ID is what `key list` shows, not the key itself. A running gateway "
                        "refuses it within a second.\n"},
    [CLI_KEY_LIST] = {"key", "list", "TENANT", "list a tenant's keys",
                      "TENANT is an id, or a name that only one tenant has.\n"},
    [CLI_USAGE] = {NULL, "usage", "TENANT", "show what a tenant used, by provider",
                   "TENANT is an id, or a name that only one tenant has.\n"},
    [CLI_PRICES] = {NULL, "prices", NULL, "list the prices that requests are billed by",
                    "The built-in catalogue, with the configured prices in place of its own. Tiers "
                    "say from how many prompt\ntokens on other prices hold.\n"},
    [CLI_HELP] = {NULL, "help", NULL, "show this, or the help of a command", ""},
};

#define V(verb) (1u << CLI_##verb)
#define V_DATA                                                                        \
    (V(MIGRATE) | V(TENANT_CREATE) | V(TENANT_LIST) | V(KEY_CREATE) | V(KEY_REVOKE) | \
     V(KEY_LIST) | V(USAGE))
#define V_CONFIG   (V(SERVE) | V(CHECK) | V(PRICES) | V_DATA)
#define V_ALL      ((1u << CLI_VERB_COUNT) - 1)
#define AT(member) offsetof(struct cli_command, member)

const struct cli_option cli_options[] = {
    {"--help", NULL, CLI_OPT_HELP, V_ALL, 0, "show this help; also -h"},
    {"--version", NULL, CLI_OPT_VERSION, V(SERVE) | V(HELP), 0, "print versions"},
    {"--config", "FILE", CLI_OPT_TEXT, V_CONFIG, AT(config_file), "configuration file (YAML)"},
    {"--env-file", "FILE", CLI_OPT_TEXT, V_CONFIG, AT(env_file),
     "variables, instead of .env in the working directory"},
    {"--set", "NAME=VALUE", CLI_OPT_SET, V_CONFIG, 0,
     "a setting by its environment name, before all other sources; may be repeated"},
    {"--no-migrate", NULL, CLI_OPT_FLAG, V(SERVE) | (V_DATA & ~V(MIGRATE)), AT(is_no_migrate),
     "refuse a database of an older version instead of bringing it up to date"},
    {"--docs", NULL, CLI_OPT_FLAG, V(CHECK), AT(is_docs),
     "print the table of all settings for the documentation instead"},
    {"--rate-limit", "N", CLI_OPT_LIMIT, V(TENANT_CREATE), AT(policy.rate_per_min),
     "requests a minute, or none; not given: DEFAULT_RATE_LIMIT"},
    {"--tokens-per-minute", "N", CLI_OPT_LIMIT, V(TENANT_CREATE), AT(policy.tokens_per_min),
     "tokens a minute"},
    {"--max-concurrent", "N", CLI_OPT_LIMIT, V(TENANT_CREATE), AT(policy.concurrent_max),
     "requests at the same time"},
    {"--daily-budget", "USD", CLI_OPT_USD, V(TENANT_CREATE), AT(policy.budget_nusd[BUDGET_DAY]),
     "most that a day may cost (UTC)"},
    {"--weekly-budget", "USD", CLI_OPT_USD, V(TENANT_CREATE), AT(policy.budget_nusd[BUDGET_WEEK]),
     "most that a week may cost (from Monday)"},
    {"--monthly-budget", "USD", CLI_OPT_USD, V(TENANT_CREATE), AT(policy.budget_nusd[BUDGET_MONTH]),
     "most that a calendar month may cost"},
    {"--total-budget", "USD", CLI_OPT_USD, V(TENANT_CREATE), AT(policy.budget_nusd[BUDGET_TOTAL]),
     "most that all requests together may cost"},
    {"--soft-budget", "PERIOD", CLI_OPT_PERIOD, V(TENANT_CREATE), AT(policy.soft_budgets),
     "day, week, month or total: that budget warns and does not refuse; may be repeated"},
    {"--model", "NAME", CLI_OPT_MODEL, V(TENANT_CREATE), 0,
     "a model it may use, or a pattern such as gpt-4o*; may be repeated; not given: all"},
    {"--cache", "on|off", CLI_OPT_ON_OFF, V(TENANT_CREATE), AT(policy.cache_mode),
     "cache whatever can be cached, or nothing"},
    {"--parent", "TENANT", CLI_OPT_TEXT, V(TENANT_CREATE), AT(parent),
     "tenant above it, by id or name; its limits hold as well"},
    {"--name", "NAME", CLI_OPT_TEXT, V(KEY_CREATE), AT(name),
     "name of the key; not given: default"},
    {"--expires", "TIME", CLI_OPT_SPAN, V(KEY_CREATE), AT(expires_in_ns),
     "how long it is valid: 30d, 12h; not given: for ever"},
    {"--days", "N", CLI_OPT_DAYS, V(USAGE), AT(days), "how many days back; not given: 30"},
    {"--provider", "NAME", CLI_OPT_TEXT, V(PRICES), AT(provider), "only this provider"},
    {"--model", "PART", CLI_OPT_TEXT, V(PRICES), AT(model_part),
     "only models with this in their name"},
    {"--json", NULL, CLI_OPT_FLAG, V(CHECK) | V(VERSION) | V(PRICES) | V_DATA, AT(is_json),
     "print JSON for machines"},
};
const size_t cli_option_count = ARRAY_LEN(cli_options);

bool cli_takes_setting(enum cli_verb verb, const struct config_row *row)
{
    bool is_whole = verb == CLI_SERVE || verb == CLI_CHECK;
    bool is_place = row == &config_rows[CONF_DATA_DIR] && ((V_CONFIG >> verb) & 1u);
    return row->type != CONFIG_SECRET && (is_whole || is_place);
}

size_t cli_setting_option(const struct config_row *row, char *out)
{
    size_t len = strlen(row->name);
    assert(len + 3 <= CLI_OPTION_MAX_BYTES);
    memcpy(out, "--", 2);
    for (size_t i = 0; i < len; i++) {
        char c = row->name[i];
        if (c == '_') {
            c = '-';
        } else if (c >= 'A' && c <= 'Z') {
            c = (char)(c + ('a' - 'A'));
        }
        out[2 + i] = c;
    }
    out[len + 2] = '\0';
    return len + 2;
}

const char *cli_verb_name(enum cli_verb verb)
{
    switch (verb) {
    case CLI_TENANT_CREATE: return "tenant create";
    case CLI_TENANT_LIST: return "tenant list";
    case CLI_KEY_CREATE: return "key create";
    case CLI_KEY_REVOKE: return "key revoke";
    case CLI_KEY_LIST: return "key list";
    case CLI_HELP: return "";
    case CLI_SERVE:
    case CLI_CHECK:
    case CLI_MIGRATE:
    case CLI_VERSION:
    case CLI_TENANT:
    case CLI_KEY:
    case CLI_USAGE:
    case CLI_PRICES: return cli_verbs[verb].word;
    case CLI_VERB_COUNT: break;
    }
    assert(false && "no such verb");
    return "";
}

void cli_each_option(enum cli_verb verb, void (*fn)(void *ctx, const char *option), void *ctx)
{
    char name[CLI_OPTION_MAX_BYTES];
    for (size_t i = 0; i < cli_option_count; i++) {
        if (cli_option_fits(&cli_options[i], verb)) {
            fn(ctx, cli_options[i].name);
        }
    }
    for (size_t i = 0; i < CONF_COUNT; i++) {
        if (cli_takes_setting(verb, &config_rows[i])) {
            (void)cli_setting_option(&config_rows[i], name);
            fn(ctx, name);
        }
    }
}

/* --- help --------------------------------------------------------------------------------------
 */

static void print_option(FILE *out, const char *name, const char *value, const char *help)
{
    enum { HELP_COLUMN = 30 };
    int n = fprintf(out, "  %s%s%s", name, value ? " " : "", value ? value : "");
    (void)fprintf(out, n > 0 && n < HELP_COLUMN ? "%*s%s" : "\n%*s%s",
                  n > 0 && n < HELP_COLUMN ? HELP_COLUMN - n : HELP_COLUMN, "", help);
}

static const char *placeholder(enum config_type type)
{
    switch (type) {
    case CONFIG_TEXT:
    case CONFIG_HEADER:
    case CONFIG_PREFIX: return "TEXT";
    case CONFIG_COUNT: return "N";
    case CONFIG_BYTES: return "SIZE";
    case CONFIG_DURATION: return "TIME";
    case CONFIG_BOOL: return "on|off";
    case CONFIG_LIST: return "A,B";
    case CONFIG_URL: return "URL";
    case CONFIG_USD: return "USD";
    case CONFIG_PORT: return "PORT";
    case CONFIG_LISTEN: return "HOST:PORT";
    case CONFIG_WORD: return "WORD";
    case CONFIG_FILE: return "FILE";
    case CONFIG_SECRET: break;
    }
    return "";
}

static void print_setting(FILE *out, const struct config_row *row)
{
    char name[CLI_OPTION_MAX_BYTES];
    (void)cli_setting_option(row, name);
    print_option(out, name, placeholder(row->type), row->help);
    if (row->type == CONFIG_WORD) {
        (void)fprintf(out, " (%s)", row->low);
    }
    (void)fprintf(out, "%s%s%s\n", row->initial[0] ? " [" : "", row->initial,
                  row->initial[0] ? "]" : "");
}

static void print_options(FILE *out, enum cli_verb verb)
{
    (void)fputs("\nOptions:\n", out);
    for (size_t i = 0; i < cli_option_count; i++) {
        const struct cli_option *o = &cli_options[i];
        if (cli_option_fits(o, verb)) {
            print_option(out, o->name, o->value, o->help);
            (void)fputc('\n', out);
        }
    }
    bool has_title = false;
    for (size_t i = 0; i < CONF_COUNT; i++) {
        if (cli_takes_setting(verb, &config_rows[i])) {
            (void)fputs(has_title ? ""
                                  : "\nSettings, also as environment variables "
                                    "(--data-dir is DATA_DIR) [default]:\n",
                        out);
            has_title = true;
            print_setting(out, &config_rows[i]);
        }
    }
}

static void print_commands(FILE *out, const char *group)
{
    (void)fputs("\nCommands:\n", out);
    for (size_t i = 0; i < CLI_VERB_COUNT; i++) {
        const struct cli_verb_row *row = &cli_verbs[i];
        bool is_here =
            group ? row->group && strcmp(row->group, group) == 0 : i != CLI_TENANT && i != CLI_KEY;
        if (is_here) {
            int n =
                fprintf(out, "  %s%s%s%s%s", row->group ? row->group : "", row->group ? " " : "",
                        row->word, row->operand ? " " : "", row->operand ? row->operand : "");
            (void)fprintf(out, "%*s%s\n", n < 24 ? 24 - n : 1, "", row->summary);
        }
    }
    (void)fputs("\n`llm-gateway COMMAND --help` says more.\n", out);
}

void cli_help(FILE *out, enum cli_verb verb)
{
    assert(verb < CLI_VERB_COUNT);
    const struct cli_verb_row *row = &cli_verbs[verb];
    if (verb == CLI_HELP) {
        (void)fputs("llm-gateway: a gateway between applications and LLM providers\n\n"
                    "Usage: llm-gateway [COMMAND] [OPTIONS]\n",
                    out);
        print_commands(out, NULL);
        print_options(out, verb);
        return;
    }
    bool is_group = verb == CLI_TENANT || verb == CLI_KEY;
    (void)fprintf(out, "llm-gateway %s: %s\n\nUsage: llm-gateway %s%s%s%s\n", cli_verb_name(verb),
                  row->summary, verb == CLI_SERVE ? "[serve]" : cli_verb_name(verb),
                  row->operand ? " " : "", row->operand ? row->operand : "",
                  is_group ? " COMMAND [OPTIONS]" : " [OPTIONS]");
    if (row->about[0]) {
        (void)fprintf(out, "\n%s", row->about);
    }
    if (is_group) {
        print_commands(out, row->word);
    }
    print_options(out, verb);
}
