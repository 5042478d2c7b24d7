/* app/cli_inside.h -- the tables of verbs and options, between cli.c and cli_table.c only. */
#ifndef APP_CLI_INSIDE_H
#define APP_CLI_INSIDE_H

#include "app/cli.h"
#include "app/config.h"

struct cli_verb_row {
    const char *group, *word; /* "tenant" "create"; group NULL for a verb of one word */
    const char *operand;      /* "NAME"; NULL: takes none */
    const char *summary;      /* one line */
    const char *about;        /* what else --help says; may be "" */
};

enum cli_option_kind {
    CLI_OPT_HELP,
    CLI_OPT_VERSION,
    CLI_OPT_FLAG,   /* bool, no value */
    CLI_OPT_TEXT,   /* const char * */
    CLI_OPT_LIMIT,  /* int64_t count >= 0, or "none": -1 */
    CLI_OPT_USD,    /* int64_t nano-USD >= 0, or "none": -1 */
    CLI_OPT_DAYS,   /* int64_t from 1 to 3650 */
    CLI_OPT_SPAN,   /* int64_t ns > 0, or "never": 0 */
    CLI_OPT_SET,    /* NAME=VALUE, may be repeated */
    CLI_OPT_MODEL,  /* may be repeated */
    CLI_OPT_PERIOD, /* bit of policy.soft_budgets, may be repeated */
    CLI_OPT_ON_OFF  /* struct slice: "on" or "off" */
};

struct cli_option {
    const char *name;  /* "--json" */
    const char *value; /* "N"; NULL: takes none */
    enum cli_option_kind kind;
    uint32_t verbs; /* bit per cli_verb */
    size_t offset;  /* into struct cli_command */
    const char *help;
};

extern const struct cli_verb_row cli_verbs[CLI_VERB_COUNT];
extern const struct cli_option cli_options[];
extern const size_t cli_option_count;

enum { CLI_OPTION_MAX_BYTES = 64, CLI_DAYS_MAX = 3650 };

static inline bool cli_option_fits(const struct cli_option *o, enum cli_verb verb)
{
    return (o->verbs & (1u << verb)) != 0;
}
/* Is each setting of config.def that is no secret an option of the verb? Where not, --set and
 * --data-dir may still be. */
bool cli_takes_setting(enum cli_verb verb, const struct config_row *row);
/* DATA_DIR -> "--data-dir" with a NUL; returns the length. out holds CLI_OPTION_MAX_BYTES. */
size_t cli_setting_option(const struct config_row *row, char *out);

#endif
