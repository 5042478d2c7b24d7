/* load.h -- loads a configuration from texts, in a directory of the test's own. */
#ifndef TESTS_APP_LOAD_H
#define TESTS_APP_LOAD_H

#include "app/config.h"
#include "support/unit.h"

#include <unistd.h>

enum { LOAD_ENV_MAX = 32 };

struct load {
    struct health *health;
    struct credentials *credentials;
    struct gateway_conf *conf; /* NULL: refused */
    struct config_report report;
    char errors[16384], warnings[16384]; /* NUL-terminated copies */
};

/* The group's working directory; files of a test are made and removed in it. */
static inline int load_enter(void **state)
{
    static char name[] = "/tmp/gw-config-XXXXXX";
    *state = name;
    return mkdtemp(name) && chdir(name) == 0 ? 0 : -1;
}

static inline int load_leave(void **state)
{
    (void)unlink(".env");
    (void)unlink("gateway.yaml");
    (void)unlink("other.env");
    return chdir("/") == 0 ? rmdir(*state) : -1;
}

static inline void load_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static inline void load_from(struct load *l, const struct config_sources *sources)
{
    *l = (struct load){0};
    assert_int_equal(health_new(&l->health), OK);
    assert_int_equal(credentials_new(&l->credentials), OK);
    config_report_init(&l->report);
    enum err e = config_load(sources, l->health, l->credentials, &l->conf, &l->report);
    (void)snprintf(l->errors, sizeof(l->errors), "%.*s", SLICE_ARG(text_slice(&l->report.errors)));
    (void)snprintf(l->warnings, sizeof(l->warnings), "%.*s",
                   SLICE_ARG(text_slice(&l->report.warnings)));
    assert_int_equal(e, l->conf ? OK : E_CONFIG);
    assert_int_equal(l->conf == NULL, l->report.error_count > 0);
    assert_int_equal(l->report.error_count > 0, l->errors[0] != '\0');
}

/* NULL-terminated pairs as an environment; valid until the next call. */
static inline char *const *load_pairs(const char *const *pairs)
{
    static char texts[LOAD_ENV_MAX][256];
    static char *list[LOAD_ENV_MAX + 1];
    size_t n = 0;
    for (; pairs[n]; n++) {
        assert_true(n < LOAD_ENV_MAX);
        (void)snprintf(texts[n], sizeof(texts[n]), "%s", pairs[n]);
        list[n] = texts[n];
    }
    list[n] = NULL;
    return list;
}

/* Environment alone. */
static inline void load_env(struct load *l, const char *const *pairs)
{
    load_from(l, &(struct config_sources){.environment = load_pairs(pairs)});
}

/* A file alone. */
static inline void load_yaml(struct load *l, const char *text)
{
    load_write("gateway.yaml", text);
    load_from(l, &(struct config_sources){.config_file = "gateway.yaml"});
}

static inline void load_end(struct load *l)
{
    gateway_conf_free(l->conf);
    config_report_deinit(&l->report);
    credentials_free(l->credentials);
    health_free(l->health);
}

static inline void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        print_error("missing: %s\nin: %s\n", part, text);
        fail();
    }
}

#define assert_slice(s, lit)                                    \
    do {                                                        \
        struct slice got_slice = (s);                           \
        assert_int_equal(got_slice.len, strlen(lit));           \
        assert_memory_equal(got_slice.ptr, lit, got_slice.len); \
    } while (0)

#endif
