/* app/config_inside.h -- what the files of the configuration share; nobody else includes it. */
#ifndef APP_CONFIG_INSIDE_H
#define APP_CONFIG_INSIDE_H

#include "app/config.h"

/* --- scratch: everything read while loading, secrets included; unmapped at the end, so wiped ---
 */
struct scratch {
    char *map;
    size_t used;
};
MUST_USE bool scratch_init(struct scratch *s);
void scratch_deinit(struct scratch *s);
/* Zeroed, aligned to 16; NULL when the region is used up. */
void *scratch_alloc(struct scratch *s, size_t size);
/* With a NUL behind; ptr NULL on no room. */
struct slice scratch_dup(struct scratch *s, struct slice text);
/* A whole file; E_NOT_FOUND, E_IO, E_LIMIT beyond CONFIG_FILE_MAX_BYTES. */
MUST_USE enum err scratch_read_file(struct scratch *s, const char *path, struct slice *out);

/* --- the file as a tree --- */
enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    size_t line, column; /* from 1 */
    struct slice text;   /* scalar, expanded */
    bool is_plain;       /* not quoted: ~ and null mean nothing */
    size_t count;
    struct yaml_node **items; /* list: items; map: values */
    struct yaml_node **keys;  /* map: scalars, distinct */
};

/* --- one variable of .env --- */
struct env_pair {
    struct slice name, value;
    size_t line;
};

struct config_value {
    struct slice text; /* in scratch, environment or static; empty: unset */
    enum config_origin origin;
    struct slice where; /* "gateway.yaml:3:5", ".env:4", or empty */
    int64_t number;     /* after checking */
    struct slice *items;
    size_t item_count; /* LIST */
};

enum { CONFIG_EXPANDED_MAX = 64 };

struct config_build {
    const struct config_sources *src;
    struct health *health;
    struct credentials *credentials;
    struct config_report *report;
    struct gateway_conf *conf; /* being built */
    struct scratch scratch;
    struct env_pair *env_pairs; /* of .env */
    size_t env_pair_count;
    const char *env_path;
    struct yaml_node *root; /* NULL: no file, or not readable */
    /* Variables that the file expands: meant, however near to a setting's name. */
    struct slice expanded[CONFIG_EXPANDED_MAX];
    size_t expanded_count; /* beyond the bound a warning too many is all that happens */
    struct config_value values[CONF_COUNT];
};

/* Adds a line to the report. where may be empty. */
void config_error(struct config_build *b, struct slice where, const char *format, ...) PRINTF(3, 4);
void config_warn(struct config_build *b, struct slice where, const char *format, ...) PRINTF(3, 4);
/* "gateway.yaml:3:5" */
struct slice config_place(struct config_build *b, const struct yaml_node *node);

/* The nearest of n names, or an empty slice when none is near. */
struct slice config_nearest(struct slice name, const struct slice *names, size_t n);

/* --- .env (dotenv.c): fills env_pairs --- */
void dotenv_read(struct config_build *b);
/* A variable from the environment, then .env; ptr NULL: neither has it. */
struct slice config_env(const struct config_build *b, struct slice name);

/* --- the file (yaml_file.c, config_file.c) --- */
void yaml_file_read(struct config_build *b);
/* Value of a key of a map, or NULL. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
bool yaml_is_null(const struct yaml_node *node);
/* Sections that mirror rows; reports unknown sections and keys. */
void config_file_rows(struct config_build *b);

/* --- values (config_types.c) --- */
/* Checks the text and fills number or items; reports. */
void config_check_value(struct config_build *b, enum config_id id);
/* a,b,c or ["a","b"] into slices in scratch. False: not a list. */
MUST_USE bool config_parse_list(struct scratch *s, struct slice text, struct slice **out,
                                size_t *out_count);
MUST_USE bool config_split_listen(struct slice text, struct slice *host, uint16_t *port);
/* "sk-...", "your-...-here", "change-me" and the like. */
bool config_is_placeholder(struct slice secret);

/* --- what a provider speaks (config_dialects.c) --- */
struct config_dialects {
    struct slice provider, where;
    const struct yaml_node *node; /* "dialect:" of the file; NULL: not said */
    struct slice initial;         /* what a provider of that name speaks when nobody says */
    struct slice base_url;
};
/* Fills p->dialects; reports. False: not all of it can be spoken. */
bool config_set_dialects(struct config_build *b, const struct config_dialects *in,
                         struct route_provider *p);

/* --- providers and models (config_providers.c, config_models.c) --- */
void config_build_providers(struct config_build *b);
void config_build_routes(struct config_build *b);
/* --- access tokens (config_credentials.c) --- */
struct config_token {
    struct slice name, where;     /* the provider's */
    const struct yaml_node *node; /* its map, or NULL */
    struct slice ca_file;
    bool is_azure;
    bool is_vertex;                /* a service account's file, unless the map has a token */
    struct slice credentials_file; /* of it; empty: GOOGLE_APPLICATION_CREDENTIALS */
};
/* The project that the service account's file is of; empty: it does not say. */
struct slice config_google_project(struct config_build *b, const struct config_token *t);
/* True: the provider takes access tokens, and *out is a reference to their source. */
MUST_USE bool config_provider_token(struct config_build *b, const struct config_token *t,
                                    struct credential_source **out);

/* A number at a key of the file; false: absent or reported. */
bool config_file_number(struct config_build *b, const struct yaml_node *map, const char *key,
                        enum config_type type, int64_t *out);
bool config_file_text(struct config_build *b, const struct yaml_node *map, const char *key,
                      struct slice *out);
/* Reports keys of the map that are not among names. */
void config_file_known(struct config_build *b, const struct yaml_node *map,
                       const struct slice *names, size_t n, const char *what);
/* "price:" maps of models and of the list prices. */
bool config_file_price(struct config_build *b, const struct yaml_node *map, struct price *out);

#endif
