/* Providers: from the file, then those that the environment alone makes. */
#include "app/config_inside.h"
#include "core/hash.h"
#include "core/sigv4.h"

#include <assert.h>
#include <unistd.h>

/* A provider as its sources describe it, before it is rendered. */
struct provider_draft {
    struct slice name, where;
    const struct yaml_node *node; /* NULL: from the environment alone */
    struct slice base_url, ca_file, fallback_model;
    struct slice region, api_version;
    struct slice project, location, credentials_file;
    struct slice keys[ROUTE_KEYS_MAX];
    size_t key_count;
    struct slice headers; /* lines */
};

/* What the environment says of a provider of that name. */
struct provider_env {
    struct slice name, dialect;
    enum config_id url, fallback;
    enum config_id key;  /* CONF_COUNT: none */
    enum config_id cost; /* CONF_COUNT: none */
};
static const struct provider_env provider_envs[] = {
    {SLICE_INIT("openai"), SLICE_INIT("openai"), CONF_OPENAI_UPSTREAM_URL,
     CONF_OPENAI_FALLBACK_MODEL, CONF_OPENAI_API_KEY, CONF_OPENAI_COST_PER_1K_TOKENS},
    {SLICE_INIT("anthropic"), SLICE_INIT("anthropic"), CONF_ANTHROPIC_UPSTREAM_URL,
     CONF_ANTHROPIC_FALLBACK_MODEL, CONF_ANTHROPIC_API_KEY, CONF_ANTHROPIC_COST_PER_1K_TOKENS},
    {SLICE_INIT("gemini"), SLICE_INIT("gemini"), CONF_GEMINI_UPSTREAM_URL,
     CONF_GEMINI_FALLBACK_MODEL, CONF_GEMINI_API_KEY, CONF_COUNT},
    {SLICE_INIT("local"), SLICE_INIT("openai"), CONF_LOCAL_BASE_URL, CONF_LOCAL_FALLBACK_MODEL,
     CONF_COUNT, CONF_COUNT},
};

static const struct slice provider_keys[] = {
    SLICE_INIT("dialect"),        SLICE_INIT("base_url"),       SLICE_INIT("keys"),
    SLICE_INIT("timeout"),        SLICE_INIT("models"),         SLICE_INIT("headers"),
    SLICE_INIT("fallback_model"), SLICE_INIT("ca_file"),        SLICE_INIT("free"),
    SLICE_INIT("passes_unknown"), SLICE_INIT("stream_options"), SLICE_INIT("cost_per_1k_tokens"),
    SLICE_INIT("region"),         SLICE_INIT("api_version"),    SLICE_INIT("token"),
    SLICE_INIT("project"),        SLICE_INIT("location"),       SLICE_INIT("credentials_file"),
    SLICE_INIT("num_ctx")};
static const struct slice timeout_keys[] = {SLICE_INIT("connect"), SLICE_INIT("first_byte"),
                                            SLICE_INIT("idle"), SLICE_INIT("total")};
static const struct slice own_headers[] = {
    SLICE_INIT("host"),       SLICE_INIT("content-length"), SLICE_INIT("transfer-encoding"),
    SLICE_INIT("connection"), SLICE_INIT("content-type"),   SLICE_INIT("accept-encoding"),
    SLICE_INIT("user-agent"), SLICE_INIT("upgrade"),        SLICE_INIT("expect"),
    SLICE_INIT("te"),         SLICE_INIT("trailer"),        SLICE_INIT("keep-alive"),
    SLICE_INIT("via")};

static const struct provider_env *env_of(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(provider_envs); i++) {
        if (slice_eq(provider_envs[i].name, name)) {
            return &provider_envs[i];
        }
    }
    return NULL;
}

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return name.len > 0 && name.len <= 64 && !slice_eq(name, SLICE("cached"));
}

/* --- reading --- */

static void read_keys(struct config_build *b, struct provider_draft *d)
{
    const struct yaml_node *keys = yaml_get(d->node, "keys");
    if (yaml_is_null(keys)) {
        return;
    }
    if (keys->kind != YAML_LIST) {
        config_error(b, config_place(b, keys), "keys: a list is expected");
        return;
    }
    for (size_t i = 0; i < keys->count; i++) {
        const struct yaml_node *key = keys->items[i];
        bool is_good = key->kind == YAML_SCALAR && key->text.len < SECRET_MAX_BYTES / 2;
        for (size_t k = 0; is_good && k < key->text.len; k++) {
            is_good = key->text.ptr[k] > ' ' && key->text.ptr[k] < 0x7f;
        }
        if (!is_good) {
            config_error(b, config_place(b, key), "a key is a text of printable characters");
        } else if (key->text.len && d->key_count == ROUTE_KEYS_MAX) {
            config_error(b, config_place(b, key), "more than %d keys", ROUTE_KEYS_MAX);
            return;
        } else if (key->text.len) {
            d->keys[d->key_count++] = key->text;
        }
    }
}

static bool is_header_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && c != '-' && c != '_') {
            return false;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(own_headers); i++) {
        if (slice_eq_nocase(name, own_headers[i])) {
            return false;
        }
    }
    return name.len > 0;
}

static bool is_header_value(const struct yaml_node *node)
{
    bool is_good = node->kind == YAML_SCALAR;
    for (size_t i = 0; is_good && i < node->text.len; i++) {
        is_good = (uint8_t)node->text.ptr[i] >= ' ' && node->text.ptr[i] != 0x7f;
    }
    return is_good;
}

static void read_headers(struct config_build *b, struct provider_draft *d)
{
    enum { HEADERS_MAX_BYTES = 16384 };
    const struct yaml_node *headers = yaml_get(d->node, "headers");
    char *room = NULL;
    if (yaml_is_null(headers)) {
        return;
    }
    if (headers->kind == YAML_MAP) {
        room = scratch_alloc(&b->scratch, HEADERS_MAX_BYTES);
    }
    struct text out = text_in(room, room ? HEADERS_MAX_BYTES : 0);
    for (size_t i = 0; i < headers->count && room; i++) {
        struct slice name = headers->keys[i]->text;
        if (!is_header_name(name) || !is_header_value(headers->items[i])) {
            config_error(b, config_place(b, headers->keys[i]),
                         "headers: %.*s cannot be set here, or its value has control characters",
                         SLICE_ARG(name));
            continue;
        }
        text_addf(&out, "%.*s: %.*s\r\n", SLICE_ARG(name), SLICE_ARG(headers->items[i]->text));
    }
    if (!room || out.is_full) {
        config_error(b, config_place(b, headers), "headers: a map of at most 16 KiB is expected");
    }
    d->headers = text_slice(&out);
}

/* The environment outranks the file, but for keys, which the file lists on purpose. */
static void overlay_env(struct config_build *b, struct provider_draft *d)
{
    const struct provider_env *env = env_of(d->name);
    if (!env) {
        return;
    }
    const struct config_value *url = &b->values[env->url];
    const struct config_value *fallback = &b->values[env->fallback];
    if (url->text.len && (d->base_url.len == 0 || url->origin > CONFIG_FROM_FILE)) {
        d->base_url = url->text;
        d->where = url->where.len ? url->where : d->where;
    }
    if (fallback->text.len) {
        d->fallback_model = fallback->text;
    }
    if (env->key != CONF_COUNT && d->key_count == 0 && b->values[env->key].text.len) {
        d->keys[d->key_count++] = b->values[env->key].text;
    }
}

static void read_draft(struct config_build *b, struct provider_draft *d)
{
    char what[96];
    (void)snprintf(what, sizeof(what), "provider %.*s", SLICE_ARG(d->name));
    if (d->node) {
        config_file_known(b, d->node, provider_keys, ARRAY_LEN(provider_keys), what);
        (void)config_file_text(b, d->node, "base_url", &d->base_url);
        (void)config_file_text(b, d->node, "ca_file", &d->ca_file);
        (void)config_file_text(b, d->node, "fallback_model", &d->fallback_model);
        (void)config_file_text(b, d->node, "region", &d->region);
        (void)config_file_text(b, d->node, "api_version", &d->api_version);
        (void)config_file_text(b, d->node, "project", &d->project);
        (void)config_file_text(b, d->node, "location", &d->location);
        (void)config_file_text(b, d->node, "credentials_file", &d->credentials_file);
        read_keys(b, d);
        read_headers(b, d);
    }
    if (d->ca_file.len == 0) {
        d->ca_file = b->values[CONF_UPSTREAM_CA_FILE].text;
    } else {
        struct slice path = scratch_dup(&b->scratch, d->ca_file);
        if (!path.ptr || access(path.ptr, R_OK) != 0) {
            config_error(b, d->where, "%s: ca_file %.*s cannot be read", what,
                         SLICE_ARG(d->ca_file));
        }
    }
    overlay_env(b, d);
}

/* --- rendering --- */

static struct slice keep(struct config_build *b, struct slice text)
{
    struct slice copy = arena_dup(&b->conf->arena, text);
    if (!copy.ptr) {
        config_error(b, SLICE_NONE, "out of memory");
    }
    return copy;
}

/* What nobody says follows from the provider's name and place. */
static bool set_dialects(struct config_build *b, const struct provider_draft *d,
                         struct route_provider *p)
{
    const struct provider_env *env = env_of(d->name);
    const struct config_dialects words = {
        .provider = d->name,
        .where = d->where,
        .node = yaml_get(d->node, "dialect"),
        .initial = env ? env->dialect : SLICE("openai"),
        .base_url = d->base_url,
    };
    return config_set_dialects(b, &words, p);
}

/* --- clouds --- */

/* Bedrock: the region is part of every signature, and of the host where no base_url is given. */
static void set_region(struct config_build *b, struct provider_draft *d, struct route_provider *p)
{
    bool is_good = d->region.len > 0 && d->region.len <= 32;
    for (size_t i = 0; i < d->region.len; i++) {
        char c = d->region.ptr[i];
        is_good = is_good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
    }
    if (!p->dialects[0]->needs_region) {
        if (d->region.len) {
            config_error(b, d->where, "provider %.*s: region is for the dialect bedrock",
                         SLICE_ARG(d->name));
        }
        return;
    }
    if (!is_good) {
        config_error(b, d->where,
                     "provider %.*s: region is missing or not accepted; accepted: a name such as "
                     "us-east-1",
                     SLICE_ARG(d->name));
        return;
    }
    p->region = keep(b, d->region);
    if (d->base_url.len == 0) {
        d->base_url = arena_printf(&b->conf->arena, "https://bedrock-runtime.%.*s.amazonaws.com",
                                   SLICE_ARG(d->region));
    }
}

/* "AKID:SECRET", "AKID:SECRET:SESSION" or one word, as the dialect that signs takes them. */
static COLD bool is_signing_key(struct slice key)
{
    size_t id = slice_find(key, ':');
    struct slice rest = slice_from(key, id + 1);
    size_t secret = slice_find(rest, ':');
    bool is_word = id == key.len;
    return is_word ||
           (id > 0 && secret > 0 && secret <= SIGV4_SECRET_MAX_BYTES && secret + 1 != rest.len);
}

static void check_signing_keys(struct config_build *b, const struct provider_draft *d)
{
    if (d->key_count == 0) {
        config_error(b, d->where, "provider %.*s: keys are missing", SLICE_ARG(d->name));
    }
    for (size_t i = 0; i < d->key_count; i++) {
        if (!is_signing_key(d->keys[i])) {
            config_error(b, d->where,
                         "provider %.*s: key %zu is not accepted; accepted: ID:SECRET, "
                         "ID:SECRET:SESSION, or an API key of Bedrock's",
                         SLICE_ARG(d->name), i + 1);
        }
    }
}

/* "2024-10-21", "2025-04-01-preview", "preview", "latest". */
static bool is_api_version(struct slice version)
{
    static const char form[] = "dddd-dd-dd";
    size_t len = sizeof(form) - 1;
    if (slice_eq(version, SLICE("preview")) || slice_eq(version, SLICE("latest"))) {
        return true;
    }
    for (size_t i = 0; i < len && i < version.len; i++) {
        bool is_digit = version.ptr[i] >= '0' && version.ptr[i] <= '9';
        if (form[i] == 'd' ? !is_digit : version.ptr[i] != '-') {
            return false;
        }
    }
    return version.len == len ||
           (version.len > len && slice_eq(slice_from(version, len), SLICE("-preview")));
}

/* Responses stands beside the deployments, not below one. */
static bool is_azures(const struct route_provider *p)
{
    bool is_good = true;
    for (size_t i = 0; i < p->dialect_count; i++) {
        is_good = is_good &&
                  (p->dialects[i] == &dialect_openai || (p->dialects[i] == &dialect_responses &&
                                                         slice_ends(p->base_path, SLICE("/v1"))));
    }
    return is_good;
}

/* Azure OpenAI: the path names the deployment, which is the target's model; a base_url that ends in
 * /v1 is Azure's newer form, whose body names it. The key has a header of its own. */
static void set_azure(struct config_build *b, const struct provider_draft *d,
                      struct route_provider *p)
{
    if (d->api_version.len == 0) {
        return;
    }
    if (!is_azures(p) || !is_api_version(d->api_version)) {
        config_error(b, d->where,
                     "provider %.*s: api_version is for the dialect openai at Azure, and for "
                     "responses where base_url ends in /openai/v1; accepted: "
                     "YYYY-MM-DD, YYYY-MM-DD-preview, preview, latest",
                     SLICE_ARG(d->name));
        return;
    }
    p->path_has_model = true;
    p->has_api_key_header = true;
    p->model_begins_path = !slice_ends(p->base_path, SLICE("/v1"));
    p->fixed_query = arena_printf(&b->conf->arena, "?api-version=%.*s", SLICE_ARG(d->api_version));
    if (p->model_begins_path && !slice_ends(p->base_path, SLICE("/deployments"))) {
        bool has_openai = slice_ends(p->base_path, SLICE("/openai"));
        p->base_path = arena_printf(&b->conf->arena, "%.*s%s/deployments", SLICE_ARG(p->base_path),
                                    has_openai ? "" : "/openai");
    }
    if (p->model_begins_path && d->api_version.ptr[0] < 'a' &&
        memcmp(d->api_version.ptr, "2024-09", 7) < 0) {
        p->refuses_stream_options = true; /* known since 2024-09-01-preview, 400 before */
    }
    if (!p->fixed_query.ptr || !p->base_path.ptr) {
        config_error(b, SLICE_NONE, "out of memory");
    }
}

/* Gemini: a base_url that is the host alone means the version that has everything. */
static void set_gemini(struct route_provider *p)
{
    if (p->dialects[0] == &dialect_gemini && p->base_path.len == 0) {
        p->base_path = SLICE("/v1beta");
    }
}

static struct config_token token_of(const struct provider_draft *d, const struct route_provider *p)
{
    return (struct config_token){.name = d->name,
                                 .where = d->where,
                                 .node = d->node,
                                 .ca_file = d->ca_file,
                                 .is_azure = p->has_api_key_header,
                                 .is_vertex = p->is_vertex,
                                 .credentials_file = d->credentials_file};
}

/* A segment of a path that needs no escapes. */
static bool is_segment(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == ':' ||
                       (c == '.' && i > 0);
        if (!is_good) {
            return false;
        }
    }
    return s.len > 0 && s.len <= 128;
}

/* Vertex AI: where a location is given. */
static void check_vertex(struct config_build *b, const struct provider_draft *d,
                         const struct route_provider *p)
{
    if (d->location.len == 0) {
        if (d->project.len || d->credentials_file.len) {
            config_error(b, d->where, "provider %.*s: %s is for Vertex AI, and location is missing",
                         SLICE_ARG(d->name), d->project.len ? "project" : "credentials_file");
        }
    } else if (!p->is_vertex) {
        config_error(b, d->where,
                     "provider %.*s: location is for Vertex AI; accepted: one dialect, gemini or "
                     "anthropic",
                     SLICE_ARG(d->name));
    } else if (!is_segment(d->location)) {
        config_error(b, d->where,
                     "provider %.*s: location is not accepted; accepted: a name such as "
                     "us-east5, or global",
                     SLICE_ARG(d->name));
    }
}

/* Its host, where no base_url says another. */
static void set_vertex_host(struct config_build *b, struct provider_draft *d,
                            struct route_provider *p)
{
    bool is_global = slice_eq(d->location, SLICE("global"));
    p->is_vertex = d->location.len > 0 && p->dialect_count == 1 && p->dialects[0]->vertex;
    check_vertex(b, d, p);
    if (p->is_vertex && d->base_url.len == 0) {
        d->base_url =
            arena_printf(&b->conf->arena, "https://%.*s%saiplatform.googleapis.com",
                         SLICE_ARG(is_global ? SLICE_NONE : d->location), is_global ? "" : "-");
    }
}

/* The path down to the publisher. */
static void set_vertex(struct config_build *b, const struct provider_draft *d,
                       struct route_provider *p)
{
    if (!p->is_vertex) {
        return;
    }
    struct config_token token = token_of(d, p);
    struct slice project = d->project.len ? d->project : config_google_project(b, &token);
    if (!is_segment(project)) {
        config_error(b, d->where,
                     "provider %.*s: project is missing or not accepted; accepted: a project's id "
                     "(that of credentials_file, where it is not given)",
                     SLICE_ARG(d->name));
    }
    p->path_has_model = true;
    p->base_path =
        arena_printf(&b->conf->arena, "%.*s/projects/%.*s/locations/%.*s/publishers/%s",
                     SLICE_ARG(p->base_path.len ? p->base_path : SLICE("/v1")), SLICE_ARG(project),
                     SLICE_ARG(d->location), p->dialects[0]->vertex->publisher);
    if (!p->base_path.ptr) {
        config_error(b, SLICE_NONE, "out of memory");
    }
}

/* Ollama's own API stands beside /v1; the context's length is a part of each request. */
static void set_ollama(struct config_build *b, const struct provider_draft *d,
                       struct route_provider *p)
{
    bool is_ollama = p->dialects[0] == &dialect_ollama;
    bool has_context = config_file_number(b, d->node, "num_ctx", CONFIG_COUNT, &p->context_tokens);
    if (has_context && (!is_ollama || p->context_tokens < 1 || p->context_tokens > INT32_MAX)) {
        config_error(
            b, d->where,
            "provider %.*s: num_ctx is for the dialect ollama; accepted: 1 and more tokens",
            SLICE_ARG(d->name));
    }
    if (is_ollama && slice_ends(p->base_path, SLICE("/v1"))) {
        config_error(b, d->where,
                     "provider %.*s: base_url ends in /v1, where Ollama speaks other dialects; "
                     "accepted: without it, or dialect openai",
                     SLICE_ARG(d->name));
    }
}

static void set_dest(struct config_build *b, const struct provider_draft *d,
                     struct route_provider *p)
{
    if (d->base_url.len == 0) {
        config_error(b, d->where, "provider %.*s: base_url is missing", SLICE_ARG(d->name));
        return;
    }
    enum err e =
        upstream_dest_parse(&b->conf->arena, d->base_url, b->values[CONF_HTTPS_PROXY].text,
                            b->values[CONF_NO_PROXY].text, d->ca_file, &p->dest, &p->base_path);
    if (e == OK) {
        return;
    }
    struct upstream_dest ignored;
    struct slice path;
    bool is_proxy = upstream_dest_parse(&b->conf->arena, d->base_url, SLICE_NONE, SLICE_NONE,
                                        d->ca_file, &ignored, &path) == OK;
    if (is_proxy) {
        config_error(b, b->values[CONF_HTTPS_PROXY].where,
                     "HTTPS_PROXY: %s; accepted: http://[user:password@]host:port",
                     e == E_UNSUPPORTED ? "TLS to the proxy itself is not supported"
                                        : "is not accepted");
    } else {
        config_error(b, d->where, "provider %.*s: base_url %.*s is not accepted; accepted: %s",
                     SLICE_ARG(d->name), SLICE_ARG(d->base_url), config_type_text(CONFIG_URL));
    }
}

/* Rendered once into locked memory; the node is named by a digest, so that it outlives reloads. */
static void set_key(struct config_build *b, struct route_provider *p, struct slice text)
{
    struct route_key *key = &p->keys[p->key_count];
    char room[SECRET_MAX_BYTES];
    struct text lines = text_in(room, sizeof(room));
    struct sha256 digest = sha256_of(text);
    char name[128];
    int len = snprintf(name, sizeof(name), "%.*s key %02x%02x%02x%02x", SLICE_ARG(p->name),
                       digest.bytes[0], digest.bytes[1], digest.bytes[2], digest.bytes[3]);
    if (p->has_api_key_header) { /* Azure's, whatever the dialect's is */
        text_addf(&lines, "api-key: %.*s\r\n", SLICE_ARG(text));
    } else {
        p->dialects[0]->render_auth(text, &lines);
    }
    key->health = health_node(b->health, slice_of(name, (size_t)len));
    p->key_count++; /* freed with the configuration from here on */
    if (lines.is_full || !key->health || secret_set(&key->secret, text) != OK ||
        secret_set(&key->auth_secret, text_slice(&lines)) != OK) {
        config_error(b, SLICE_NONE, "out of memory");
    } else {
        key->auth_headers = secret_slice(&key->auth_secret);
    }
    secret_wipe(room, sizeof(room));
}

/* Access tokens instead of keys: one node of health for all of them. */
static void set_token(struct config_build *b, const struct provider_draft *d,
                      struct route_provider *p)
{
    const struct config_token token = token_of(d, p);
    struct route_key *key = &p->keys[0];
    char name[128];
    if (!config_provider_token(b, &token, &key->credential)) {
        return;
    }
    int len = snprintf(name, sizeof(name), "%.*s token", SLICE_ARG(p->name));
    key->health = health_node(b->health, slice_of(name, (size_t)len));
    p->key_count = 1; /* freed with the configuration from here on */
    if (!key->health) {
        config_error(b, SLICE_NONE, "out of memory");
    }
    if (d->key_count || p->dialects[0]->sign) {
        config_error(b, d->where, "provider %.*s: token: %s", SLICE_ARG(d->name),
                     d->key_count ? "there are keys, too" : "the dialect signs with its keys");
    }
}

/* Operations that the dialect does not have get no head. */
static void set_heads(struct config_build *b, struct route_provider *p, const struct dialect *d,
                      struct route_heads *out)
{
    struct arena *a = &b->conf->arena;
    for (size_t op = 0; op < CHAT_OPERATIONS; op++) {
        struct slice path = (p->is_vertex ? d->vertex->path : d->path)(a, (enum chat_operation)op,
                                                                       SLICE("model"), false);
        if (path.len == 0) {
            continue;
        }
        struct slice line = SLICE(""); /* the request's own, where it says the model */
        if (!p->path_has_model) {
            line = arena_printf(a, "POST %.*s%.*s", SLICE_ARG(p->base_path), SLICE_ARG(path));
        }
        struct slice head = arena_printf(
            a,
            "%.*s HTTP/1.1\r\nhost: %.*s\r\nuser-agent: llm-gateway/%s\r\n"
            "accept-encoding: identity\r\ncontent-type: application/json\r\n%.*s",
            SLICE_ARG(line), SLICE_ARG(p->dest.authority), GW_VERSION, SLICE_ARG(p->extra_headers));
        if (!head.ptr) {
            config_error(b, SLICE_NONE, "out of memory");
        }
        out->prefix[op] = head;
        out->line_bytes[op] = line.len;
    }
}

/* Lines that are the same for every request, without credential, length and what the dialect's
 * client may give. */
static void set_lines(struct config_build *b, struct route_provider *p)
{
    p->common_lines =
        arena_printf(&b->conf->arena,
                     "host: %.*s\r\nuser-agent: llm-gateway/%s\r\n"
                     "accept-encoding: identity\r\n%.*s",
                     SLICE_ARG(p->dest.authority), GW_VERSION, SLICE_ARG(p->extra_headers));
    if (!p->common_lines.ptr) {
        config_error(b, SLICE_NONE, "out of memory");
    }
    for (size_t i = 0; i < p->dialect_count; i++) {
        set_heads(b, p, p->dialects[i], &p->heads[i]);
    }
}

static void set_timeouts(struct config_build *b, const struct provider_draft *d,
                         struct route_provider *p)
{
    p->timeouts = (struct attempt_timeouts){
        .connect_ns = b->values[CONF_UPSTREAM_CONNECT_TIMEOUT].number,
        .first_byte_ns = b->values[CONF_UPSTREAM_FIRST_BYTE_TIMEOUT].number,
        .between_chunks_ns = b->values[CONF_UPSTREAM_IDLE_TIMEOUT].number,
        .total_ns = b->values[CONF_UPSTREAM_TOTAL_TIMEOUT].number,
    };
    const struct yaml_node *map = yaml_get(d->node, "timeout");
    if (yaml_is_null(map)) {
        return;
    }
    if (map->kind != YAML_MAP) {
        config_error(b, config_place(b, map), "timeout: a map of durations is expected");
        return;
    }
    config_file_known(b, map, timeout_keys, ARRAY_LEN(timeout_keys), "timeout");
    struct attempt_timeouts *t = &p->timeouts;
    (void)config_file_number(b, map, "connect", CONFIG_DURATION, &t->connect_ns);
    (void)config_file_number(b, map, "first_byte", CONFIG_DURATION, &t->first_byte_ns);
    (void)config_file_number(b, map, "idle", CONFIG_DURATION, &t->between_chunks_ns);
    (void)config_file_number(b, map, "total", CONFIG_DURATION, &t->total_ns);
}

/* LOCAL_MODELS, which outranks the file's list. */
static bool set_models_of_env(struct config_build *b, const struct provider_draft *d,
                              struct route_provider *p)
{
    const struct config_value *list = &b->values[CONF_LOCAL_MODELS];
    if (!slice_eq(d->name, SLICE("local")) || list->item_count == 0) {
        return false;
    }
    p->models = arena_array(&b->conf->arena, list->item_count, sizeof(*p->models));
    for (size_t i = 0; i < list->item_count && p->models; i++) {
        if (list->items[i].len) {
            p->models[p->model_count++] = keep(b, list->items[i]);
        }
    }
    return true;
}

static void set_models(struct config_build *b, const struct provider_draft *d,
                       struct route_provider *p)
{
    const struct yaml_node *list = yaml_get(d->node, "models");
    if (set_models_of_env(b, d, p) || yaml_is_null(list)) {
        return;
    }
    if (list->kind != YAML_LIST) {
        config_error(b, config_place(b, list), "models: a list of names is expected");
        return;
    }
    p->models = arena_array(&b->conf->arena, list->count + 1, sizeof(*p->models));
    for (size_t i = 0; i < list->count && p->models; i++) {
        const struct yaml_node *name = list->items[i];
        if (name->kind != YAML_SCALAR || name->text.len == 0) {
            config_error(b, config_place(b, name), "models: a name is expected");
        } else {
            p->models[p->model_count++] = keep(b, name->text);
        }
    }
}

static void set_policy(struct config_build *b, const struct provider_draft *d,
                       struct route_provider *p)
{
    const struct provider_env *env = env_of(d->name);
    bool is_local = slice_eq(d->name, SLICE("local"));
    int64_t flag;
    p->is_free = is_local;
    p->passes_unknown = is_local;
    if (config_file_number(b, d->node, "free", CONFIG_BOOL, &flag)) {
        p->is_free = flag;
    }
    if (config_file_number(b, d->node, "passes_unknown", CONFIG_BOOL, &flag)) {
        p->passes_unknown = flag;
    }
    if (config_file_number(b, d->node, "stream_options", CONFIG_BOOL, &flag)) {
        p->refuses_stream_options = !flag;
    }
    p->flat_nusd_per_1k_tokens = env && env->cost != CONF_COUNT ? b->values[env->cost].number : -1;
    if (slice_eq(d->name, SLICE("anthropic"))) {
        p->flat_nusd_per_1k_tokens = b->values[CONF_ANTHROPIC_COST_PER_1K_TOKENS].number;
    }
    (void)config_file_number(b, d->node, "cost_per_1k_tokens", CONFIG_USD,
                             &p->flat_nusd_per_1k_tokens);
}

static void add_provider(struct config_build *b, struct provider_draft *d)
{
    struct gateway_conf *conf = b->conf;
    struct route_provider *p = &conf->providers[conf->provider_count];
    if (!is_name(d->name)) {
        config_error(b, d->where,
                     "provider \"%.*s\": a name has letters, digits, '-', '_' and '.', and is "
                     "not \"cached\"",
                     SLICE_ARG(d->name));
        return;
    }
    read_draft(b, d);
    p->name = keep(b, d->name);
    p->index = conf->provider_count;
    p->fallback_model = keep(b, d->fallback_model);
    p->extra_headers = keep(b, d->headers);
    set_timeouts(b, d, p);
    set_models(b, d, p);
    set_policy(b, d, p);
    conf->provider_count++;
    if (!set_dialects(b, d, p)) {
        return;
    }
    set_region(b, d, p);
    set_vertex_host(b, d, p);
    set_dest(b, d, p);
    p->path_has_model = p->dialects[0]->path_has_model;
    set_azure(b, d, p);
    set_vertex(b, d, p);
    set_gemini(p);
    set_ollama(b, d, p);
    set_token(b, d, p);
    if (p->dialects[0]->sign) {
        check_signing_keys(b, d);
    }
    for (size_t i = p->key_count; i < d->key_count; i++) {
        set_key(b, p, d->keys[i]);
    }
    set_lines(b, p);
    if (d->key_count == 0 && env_of(d->name) && slice_eq(d->name, SLICE("openai"))) {
        config_warn(b, d->where, "provider openai has no key: requests go out without one");
    }
}

static bool is_in_file(const struct yaml_node *map, struct slice name)
{
    for (size_t i = 0; map && i < map->count; i++) {
        if (slice_eq(map->keys[i]->text, name)) {
            return true;
        }
    }
    return false;
}

static void add_from_file(struct config_build *b, const struct yaml_node *map)
{
    for (size_t i = 0; map && i < map->count; i++) {
        struct provider_draft d = {.name = map->keys[i]->text,
                                   .node = map->items[i],
                                   .where = config_place(b, map->keys[i])};
        if (d.node->kind != YAML_MAP) {
            config_error(b, d.where, "provider %.*s: a map is expected", SLICE_ARG(d.name));
        } else {
            add_provider(b, &d);
        }
    }
}

void config_build_providers(struct config_build *b)
{
    const struct yaml_node *map = b->root ? yaml_get(b->root, "providers") : NULL;
    if (!map || yaml_is_null(map)) {
        map = NULL;
    } else if (map->kind != YAML_MAP || map->count > ROUTE_PROVIDERS_MAX - 2) {
        config_error(b, config_place(b, map), "providers: a map of at most %d is expected",
                     ROUTE_PROVIDERS_MAX - 2);
        return;
    }
    size_t max = (map ? map->count : 0) + ARRAY_LEN(provider_envs);
    b->conf->providers = arena_array(&b->conf->arena, max, sizeof(*b->conf->providers));
    if (!b->conf->providers) {
        config_error(b, SLICE_NONE, "out of memory");
        return;
    }
    add_from_file(b, map);
    for (size_t i = 0; i < ARRAY_LEN(provider_envs); i++) {
        const struct provider_env *env = &provider_envs[i];
        enum config_id asks = env->key != CONF_COUNT ? env->key : env->url;
        if (b->values[asks].text.len && !is_in_file(map, env->name)) {
            struct provider_draft d = {.name = env->name, .where = b->values[asks].where};
            add_provider(b, &d);
        }
    }
    assert(b->conf->provider_count <= max);
}
