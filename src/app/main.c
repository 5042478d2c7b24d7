#include "app/cli.h"
#include "app/commands.h"
#include "app/wiring.h"

#include <stdlib.h>
#include <unistd.h>

static int usage_error(const char *why, enum cli_verb verb)
{
    const char *name = cli_verb_name(verb);
    (void)fprintf(stderr, "llm-gateway: %s\nTry `llm-gateway %s%s--help`.\n", why, name,
                  *name ? " " : "");
    return CLI_EXIT_USAGE;
}

/* The configuration that a command works with; NULL: its problems were printed. */
static struct gateway_conf *load(const struct config_sources *sources, struct health *health,
                                 struct credentials *credentials)
{
    struct gateway_conf *conf = NULL;
    struct config_report report;
    config_report_init(&report);
    if (config_load(sources, health, credentials, &conf, &report) != OK) {
        conf = NULL;
    }
    config_report_print(&report, stderr);
    config_report_deinit(&report);
    return conf;
}

static int run_with_conf(const struct cli_command *cmd, const struct config_sources *sources)
{
    struct health *health = NULL;
    struct credentials *credentials = NULL;
    if (health_new(&health) != OK || credentials_new(&credentials) != OK) {
        health_free(health);
        return CLI_EXIT_FAILED;
    }
    struct gateway_conf *conf = load(sources, health, credentials);
    int status = CLI_EXIT_FAILED;
    if (conf) {
        if (cmd->verb == CLI_CHECK) {
            config_print(conf, cmd->is_json, stdout);
            status = CLI_EXIT_DONE;
        } else {
            status = commands_run(cmd, conf, stdout, stderr);
        }
        gateway_conf_free(conf);
    }
    credentials_free(credentials);
    health_free(health);
    return status;
}

int main(int argc, char **argv)
{
    static struct cli_command cmd; /* large; set once, here */
    char why[CLI_WHY_BYTES];
    if (cli_parse(argc, argv, &cmd, why, sizeof(why)) != OK) {
        return usage_error(why, cmd.verb);
    }
    if (cmd.wants_help || cmd.verb == CLI_HELP || cmd.verb == CLI_TENANT || cmd.verb == CLI_KEY) {
        cli_help(stdout, cmd.verb);
        return CLI_EXIT_DONE;
    }
    if (cmd.is_no_migrate && cmd.flag_count < CLI_FLAGS_MAX) {
        cmd.flags[cmd.flag_count++] = "MIGRATE=false";
        cmd.flags[cmd.flag_count] = NULL;
    }
    struct config_sources sources = {.flags = cmd.flags,
                                     .environment = environ,
                                     .env_file = cmd.env_file,
                                     .config_file = cmd.config_file};
    if (cmd.verb == CLI_VERSION) {
        return commands_version(cmd.is_json, stdout);
    }
    if (cmd.verb == CLI_CHECK && cmd.is_docs) {
        config_print_docs(stdout);
        return CLI_EXIT_DONE;
    }
    if (cmd.verb == CLI_SERVE) {
        return app_serve(&sources);
    }
    return run_with_conf(&cmd, &sources);
}
