/* Access tokens instead of keys: where a provider's come from. */
#include "app/config_inside.h"
#include "core/jwt.h"
#include "wire/spans.h"

#include <unistd.h>

static const struct slice token_keys[] = {SLICE_INIT("file"),      SLICE_INIT("url"),
                                          SLICE_INIT("tenant_id"), SLICE_INIT("client_id"),
                                          SLICE_INIT("scope"),     SLICE_INIT("client_secret")};

/* The file's member, or else the variable. */
static struct slice text_or_env(struct config_build *b, const struct yaml_node *map,
                                const char *key, const char *variable)
{
    struct slice text = SLICE_NONE;
    if (map->kind == YAML_MAP) {
        (void)config_file_text(b, map, key, &text);
    }
    return text.len || !variable ? text : config_env(b, slice_str(variable));
}

static void need(struct config_build *b, const struct config_token *t, struct slice value,
                 const char *key, const char *variable)
{
    if (value.len == 0) {
        config_error(b, t->where, "provider %.*s: token: %s is missing%s%s", SLICE_ARG(t->name),
                     key, variable ? ", and there is no " : "", variable ? variable : "");
    }
}

static bool is_tenant(struct slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && c != '-' && c != '.') {
            return false;
        }
    }
    return id.len > 0;
}

/* Entra ID's endpoint of a tenant; AZURE_AUTHORITY_HOST is another cloud's. */
static struct slice entra_url(struct config_build *b, const struct config_token *t,
                              const struct yaml_node *map)
{
    struct slice tenant = text_or_env(b, map, "tenant_id", "AZURE_TENANT_ID");
    struct slice host = config_env(b, SLICE("AZURE_AUTHORITY_HOST"));
    host = host.len ? host : SLICE("https://login.microsoftonline.com");
    host = slice_ends(host, SLICE("/")) ? slice_head(host, host.len - 1) : host;
    need(b, t, tenant, "tenant_id", "AZURE_TENANT_ID");
    if (tenant.len && !is_tenant(tenant)) {
        config_error(b, t->where,
                     "provider %.*s: token: tenant_id is not accepted; accepted: an id or a domain",
                     SLICE_ARG(t->name));
    }
    return arena_printf(&b->conf->arena, "%.*s/%.*s/oauth2/v2.0/token", SLICE_ARG(host),
                        SLICE_ARG(tenant));
}

static void read_client(struct config_build *b, const struct config_token *t,
                        const struct yaml_node *map, struct credential_conf *out)
{
    struct slice url = text_or_env(b, map, "url", NULL);
    bool is_entra = t->is_azure || url.len == 0;
    const char *id_variable = is_entra ? "AZURE_CLIENT_ID" : NULL;
    const char *secret_variable = is_entra ? "AZURE_CLIENT_SECRET" : NULL;
    out->grant = CREDENTIAL_CLIENT;
    out->url = url.len ? url : entra_url(b, t, map);
    out->client_id = text_or_env(b, map, "client_id", id_variable);
    out->client_secret = text_or_env(b, map, "client_secret", secret_variable);
    out->scope = text_or_env(b, map, "scope", NULL);
    if (out->scope.len == 0 && is_entra) {
        out->scope = SLICE("https://cognitiveservices.azure.com/.default");
    }
    need(b, t, out->client_id, "client_id", id_variable);
    need(b, t, out->client_secret, "client_secret", secret_variable);
}

static void read_token(struct config_build *b, const struct config_token *t,
                       const struct yaml_node *token, struct credential_conf *out)
{
    bool is_word = token->kind == YAML_SCALAR && slice_eq(token->text, SLICE("entra"));
    if (token->kind != YAML_MAP && !is_word) {
        config_error(b, config_place(b, token), "token: a map, or the word entra is expected");
        return;
    }
    if (!is_word) {
        config_file_known(b, token, token_keys, ARRAY_LEN(token_keys), "token");
        (void)config_file_text(b, token, "file", &out->file);
    }
    if (out->file.len == 0) {
        read_client(b, t, token, out);
        return;
    }
    struct slice path = scratch_dup(&b->scratch, out->file);
    if (token->count > 1) {
        config_error(b, config_place(b, token), "token: file stands alone");
    } else if (!path.ptr || access(path.ptr, R_OK) != 0) {
        config_warn(b, config_place(b, token), "token: file %.*s cannot be read yet",
                    SLICE_ARG(out->file));
    }
}

/* --- Google's service accounts --- */

enum { G_TYPE, G_EMAIL, G_KEY, G_KEY_ID, G_URI, G_PROJECT, G_COUNT };
static const struct span_name google_members[G_COUNT] = {
    [G_TYPE] = {SLICE_INIT("type"), false},
    [G_EMAIL] = {SLICE_INIT("client_email"), false},
    [G_KEY] = {SLICE_INIT("private_key"), false},
    [G_KEY_ID] = {SLICE_INIT("private_key_id"), false},
    [G_URI] = {SLICE_INIT("token_uri"), false},
    [G_PROJECT] = {SLICE_INIT("project_id"), false},
};

/* The members' texts, in scratch; why not: a static text. */
static const char *read_account(struct config_build *b, const struct config_token *t,
                                struct slice out[G_COUNT])
{
    struct span at[G_COUNT];
    struct span_object o;
    struct slice name = t->credentials_file.len
                            ? t->credentials_file
                            : config_env(b, SLICE("GOOGLE_APPLICATION_CREDENTIALS"));
    struct slice path = scratch_dup(&b->scratch, name);
    struct slice text;
    memset(out, 0, G_COUNT * sizeof(*out));
    if (name.len == 0) {
        return "is missing, and there is no GOOGLE_APPLICATION_CREDENTIALS";
    }
    if (!path.ptr || scratch_read_file(&b->scratch, path.ptr, &text) != OK) {
        return "cannot be read";
    }
    if (spans_scan(text, google_members, G_COUNT, at, &o) != OK) {
        return "is not a JSON object";
    }
    for (size_t i = 0; i < G_COUNT; i++) {
        if (at[i].kind == SPAN_STRING) {
            char *room = scratch_alloc(&b->scratch, at[i].value.len);
            out[i] = room ? slice_of(room, span_unescape(at[i].value, room)) : SLICE_NONE;
        }
    }
    return NULL;
}

static void read_service(struct config_build *b, const struct config_token *t,
                         struct credential_conf *conf)
{
    struct slice member[G_COUNT];
    const char *why = read_account(b, t, member);
    if (!why && !slice_eq(member[G_TYPE], SLICE("service_account"))) {
        why = "is of another type than service_account";
    } else if (!why && member[G_EMAIL].len == 0) {
        why = "has no client_email";
    } else if (!why && !jwt_is_key(member[G_KEY])) {
        why = "has no private_key of RSA";
    }
    if (why) {
        config_error(b, t->where, "provider %.*s: credentials_file %s", SLICE_ARG(t->name), why);
        return;
    }
    conf->grant = CREDENTIAL_SERVICE;
    conf->issuer = member[G_EMAIL];
    conf->private_key = member[G_KEY];
    conf->key_id = member[G_KEY_ID];
    conf->url = member[G_URI].len ? member[G_URI] : SLICE("https://oauth2.googleapis.com/token");
    conf->audience = conf->url;
    conf->scope = SLICE("https://www.googleapis.com/auth/cloud-platform");
}

struct slice config_google_project(struct config_build *b, const struct config_token *t)
{
    struct slice member[G_COUNT];
    return read_account(b, t, member) ? SLICE_NONE : member[G_PROJECT];
}

bool config_provider_token(struct config_build *b, const struct config_token *t,
                           struct credential_source **out)
{
    const struct yaml_node *token = yaml_get(t->node, "token");
    struct credential_conf conf = {.proxy = b->values[CONF_HTTPS_PROXY].text,
                                   .no_proxy = b->values[CONF_NO_PROXY].text,
                                   .ca_file = t->ca_file};
    size_t errors = b->report->error_count;
    if (yaml_is_null(token) && !t->is_vertex) {
        return false;
    }
    if (yaml_is_null(token)) {
        read_service(b, t, &conf);
    } else {
        read_token(b, t, token, &conf);
    }
    if (b->report->error_count > errors) {
        return false;
    }
    enum err e = credential_source_find(b->credentials, &conf, out);
    if (e != OK) {
        config_error(b, t->where, "provider %.*s: token: %s", SLICE_ARG(t->name),
                     e == E_SYNTAX || e == E_UNSUPPORTED
                         ? "the url is not accepted; accepted: http[s]://host[:port][/path]"
                         : err_text(e));
    }
    return e == OK;
}
