/* app/commands_inside.h -- what the files of the commands share; nobody else includes it. */
#ifndef APP_COMMANDS_INSIDE_H
#define APP_COMMANDS_INSIDE_H

#include "app/commands.h"
#include "core/text.h"

/* One run of a command. */
struct command {
    const struct cli_command *cmd;
    const struct gateway_conf *conf;
    FILE *out, *errors;
    struct store_db *db; /* NULL for those that need none */
    struct arena arena;  /* of the run */
    struct arena row;    /* reset after each row of a table */
    int64_t rows;        /* written so far */
    bool is_cut;         /* a row did not fit into its arena */
};

/* "llm-gateway: ..." on errors; returns CLI_EXIT_FAILED. */
int command_fail(struct command *c, const char *format, ...) PRINTF(2, 3);
/* Starts the text of a row; ends it by writing it to out and forgetting it. */
struct text command_row(struct command *c);
void command_row_end(struct command *c, const struct text *row);
/* In a table for people: control characters become '?', then padded to width characters and
 * at least a space, unless width is 0. */
void command_cell(struct command *c, struct slice text, int width);
void command_usd_cell(struct command *c, int64_t nusd, int width);     /* -1: "-"; right-aligned */
void command_number_cell(struct command *c, int64_t value, int width); /* likewise */

int command_prices(struct command *c);

#endif
