/* app/cli.h -- the command line as a value.
 *
 * Parsing is pure: it prints nothing, opens nothing, and points into argv. Which verb takes which
 * option is one table in cli.c, from which parsing, --help and the tests are made. Every setting of
 * app/config.def that is no secret is an option too (DATA_DIR is --data-dir); so is --set
 * NAME=VALUE. They become "NAME=value" texts for struct config_sources, which checks the values.
 */
#ifndef APP_CLI_H
#define APP_CLI_H

#include "store/store.h"

#include <stdio.h>

enum { CLI_FLAGS_MAX = 128, CLI_ROOM_BYTES = 16384, CLI_MODELS_MAX = 64, CLI_WHY_BYTES = 512 };

/* Exit statuses of the program. */
enum { CLI_EXIT_DONE = 0, CLI_EXIT_FAILED = 1, CLI_EXIT_USAGE = 2 };

enum cli_verb {
    CLI_SERVE = 0,
    CLI_CHECK,
    CLI_MIGRATE,
    CLI_VERSION,
    CLI_TENANT, /* "tenant" alone: only its --help exists */
    CLI_TENANT_CREATE,
    CLI_TENANT_LIST,
    CLI_KEY, /* likewise */
    CLI_KEY_CREATE,
    CLI_KEY_REVOKE,
    CLI_KEY_LIST,
    CLI_USAGE,
    CLI_PRICES,
    CLI_HELP, /* help of the whole program */
    CLI_VERB_COUNT
};

/* Points into itself and argv: not copied, and argv must outlive it. */
struct cli_command {
    enum cli_verb verb;
    bool wants_help; /* print cli_help(verb) and do nothing else; only verb is valid then */
    bool is_json;
    bool is_docs; /* check: print the table of settings instead */
    bool is_no_migrate;

    /* For struct config_sources. */
    const char *config_file;              /* --config, or NULL */
    const char *env_file;                 /* --env-file, or NULL */
    const char *flags[CLI_FLAGS_MAX + 1]; /* "NAME=value", NULL-terminated; a later one wins */
    size_t flag_count;

    const char *operand;        /* NAME, TENANT or KEY_ID; NULL where the verb has none */
    const char *name;           /* key create */
    const char *parent;         /* tenant create: id or name; NULL: a root */
    struct store_policy policy; /* tenant create: what was given; absent numbers are -1 */
    bool has_rate_limit;        /* otherwise DEFAULT_RATE_LIMIT applies */
    const char *models[CLI_MODELS_MAX];
    size_t model_count;
    int64_t expires_in_ns;  /* key create; 0: never */
    int64_t days;           /* usage */
    const char *provider;   /* prices: the whole name, or NULL */
    const char *model_part; /* prices: part of the name, or NULL */

    char room[CLI_ROOM_BYTES]; /* texts of flags; 0..room_used written */
    size_t room_used;
};

/* E_SYNTAX: why holds one complete sentence without a line feed, with the nearest name for an
 * unknown option or command; out->verb says whose help would fit. */
MUST_USE enum err cli_parse(int argc, char **argv, struct cli_command *out, char *why,
                            size_t why_cap) NONNULL;
void cli_help(FILE *out, enum cli_verb verb) NONNULL;
/* "tenant create"; "" for CLI_HELP. */
const char *cli_verb_name(enum cli_verb verb);
/* Calls back for each option the verb accepts, as typed ("--json"), for tests and documents. */
void cli_each_option(enum cli_verb verb, void (*fn)(void *ctx, const char *option), void *ctx);

#endif
