/* app/commands.h -- the verbs that work on the data and end: tenant, key, usage, prices, migrate,
 * version.
 *
 * They open the store themselves and change it in one transaction with its audit row (actor
 * "cli"); a running gateway notices within a second. Texts are for people; with --json one JSON
 * document is all that stands on out. A new key is written to out once and wiped from memory; out
 * is flushed, so that the key is not lost behind an error.
 */
#ifndef APP_COMMANDS_H
#define APP_COMMANDS_H

#include "app/cli.h"
#include "gateway/conf.h"

/* Any of those verbs but CLI_VERSION; conf is the effective configuration. Returns the exit status;
 * complaints go to errors. */
int commands_run(const struct cli_command *cmd, const struct gateway_conf *conf, FILE *out,
                 FILE *errors) NONNULL;
/* "llm-gateway 0.1.0 (catalogue 2026-09-30, SQLite x, OpenSSL y)", or the same as JSON. */
int commands_version(bool is_json, FILE *out) NONNULL;

#endif
