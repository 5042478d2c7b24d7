/* app/config.h -- from flags, environment, .env, file and defaults to one immutable struct
 * gateway_conf.
 *
 * Settings are rows of app/config.def. A row takes its value from the first source that has it:
 * command line, environment, .env, configuration file, default; an empty value is no value.
 * Providers and models come from the environment (OPENAI_API_KEY, LOCAL_BASE_URL) and the file.
 * Loading reports every problem it finds, not only the first. Secrets are never shown: they appear
 * as "sk-...last" or "set (51 characters)".
 */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H

#include "core/text.h"
#include "gateway/conf.h"
#include "upstream/credential.h"
#include "upstream/health.h"

enum { CONFIG_FILE_MAX_BYTES = 1 << 20, CONFIG_REPORT_MAX_LINES = 200 };

enum config_id {
#define CONF(name, type, initial, low, high, reload, path, help) CONF_##name,
#include "app/config.def"
#undef CONF
    CONF_COUNT
};

enum config_type {
    CONFIG_TEXT,
    CONFIG_COUNT,
    CONFIG_BYTES,    /* 32MiB, 64k, 1000 */
    CONFIG_DURATION, /* 30s, 250ms, 1m30s; a bare number is seconds */
    CONFIG_BOOL,     /* true false 1 0 yes no on off */
    CONFIG_LIST,     /* a,b or ["a","b"] */
    CONFIG_URL,      /* http:// or https:// */
    CONFIG_USD,
    CONFIG_PORT,   /* 8000, or tcp://10.0.0.1:8000 as Kubernetes sets it */
    CONFIG_LISTEN, /* host:port */
    CONFIG_PREFIX, /* /api/v1 */
    CONFIG_HEADER, /* a header name */
    CONFIG_WORD,   /* one of the row's words */
    CONFIG_FILE,   /* a readable file */
    CONFIG_SECRET
};

struct config_row {
    const char *name;
    enum config_type type;
    const char *initial, *low, *high;
    bool is_reloadable;
    const char *path; /* "section.key", or "" when the file cannot say it */
    const char *help;
};
extern const struct config_row config_rows[CONF_COUNT];

enum config_origin {
    CONFIG_FROM_DEFAULT = 0,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENV_FILE,
    CONFIG_FROM_ENV,
    CONFIG_FROM_FLAG
};

/* All borrowed for the call. */
struct config_sources {
    const char *const *flags; /* NULL-terminated "NAME=value"; may be NULL */
    char *const *environment; /* NULL-terminated; may be NULL */
    const char *env_file;     /* --env-file; NULL: .env in the working directory, if there is one */
    const char *config_file;  /* --config; NULL: none */
    const struct gateway_conf *previous; /* reload: what runs now; NULL at start */
};

/* What is wrong, one problem a line without line feed at the end of the last. */
struct config_report {
    struct arena arena;
    struct text errors, warnings;
    size_t error_count, warning_count;
};
void config_report_init(struct config_report *report);
void config_report_deinit(struct config_report *report);
/* "llm-gateway: error: ..." and "llm-gateway: warning: ..." lines. */
void config_report_print(const struct config_report *report, FILE *to);

/* On OK *out is moved to the caller (gateway_conf_free); warnings may have been reported. E_CONFIG:
 * report says why. health gets a node for every key and target, credentials a source for
 * every provider that takes access tokens; both must outlive *out. */
MUST_USE enum err config_load(const struct config_sources *src, struct health *health,
                              struct credentials *credentials, struct gateway_conf **out,
                              struct config_report *report);

/* What a row came to, for check, admin and reload; kept in gateway_conf.settings. */
struct config_setting {
    struct slice shown; /* as given, secrets masked */
    struct slice given; /* as given; empty for secrets */
    enum config_origin origin;
};
const char *config_origin_name(enum config_origin origin);

/* The effective configuration: settings with their origin, providers and models. */
void config_print(const struct gateway_conf *conf, bool is_json, FILE *to);

/* The table of docs/config.md, made from the rows. */
void config_print_docs(FILE *to);

/* --- values; also used by the command line --- */

/* Text of a value -> number (COUNT, BYTES in bytes, DURATION in ns, BOOL 0 or 1, USD in nano-USD,
 * PORT). False: out_accepted says what is accepted. */
MUST_USE bool config_parse_number(enum config_type type, struct slice text, int64_t *out);
/* What a type accepts, for people: "a number of bytes such as 64KiB". */
const char *config_type_text(enum config_type type);
/* Changed, added, left out or swapped characters from a to b, at most limit + 1. */
size_t config_distance(struct slice a, struct slice b, size_t limit);
/* "sk-...1234", or "set (51 characters)". */
void config_mask(struct slice secret, struct text *out);

/* CPUs that this process may use: affinity, then the cgroup's quota, rounded up; at least 1. */
size_t config_cpus(void);

#endif
