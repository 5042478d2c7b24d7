#include "app/config.h"

#include "app/config_inside.h"
#include "core/check.h"

#include <assert.h>
#include <stdarg.h>

enum {
    REPORT_MAX_BYTES = 1 << 20,
    CONF_MAX_BYTES = 64 << 20,
    REQUEST_EXTRA_BYTES = 1 << 20, /* of a request's arena, for everything but its bytes */
    WORKER_INFLIGHT_MIN_BYTES = 8 << 20,
    ADMIN_KEY_USUAL_BYTES = 16,
    ENV_NAME_MIN_BYTES = 6
};

static const int64_t RETENTION_MIN_NS = 3600 * NS_PER_S;

/* --- report --- */

void config_report_init(struct config_report *report)
{
    *report = (struct config_report){0};
    arena_init(&report->arena, NULL, REPORT_MAX_BYTES);
    report->errors = text_growing(&report->arena);
    report->warnings = text_growing(&report->arena);
}

void config_report_deinit(struct config_report *report)
{
    arena_deinit(&report->arena);
}

static void print_lines(const struct text *lines, const char *kind, FILE *to)
{
    for (struct slice left = text_slice(lines); left.len;) {
        struct slice line = slice_head(left, slice_find(left, '\n'));
        left = slice_from(left, line.len + 1);
        (void)fprintf(to, "llm-gateway: %s: %.*s\n", kind, SLICE_ARG(line));
    }
}

void config_report_print(const struct config_report *report, FILE *to)
{
    print_lines(&report->errors, "error", to);
    print_lines(&report->warnings, "warning", to);
}

static void report_line(struct text *lines, size_t *count, struct slice where, struct slice message)
{
    if (++*count > CONFIG_REPORT_MAX_LINES) {
        return; /* counted, not shown */
    }
    size_t before = lines->len;
    if (lines->len) {
        text_add_char(lines, '\n');
    }
    if (where.len) {
        text_add(lines, where);
        TEXT_ADD(lines, ": ");
    }
    for (size_t i = 0; i < message.len; i++) { /* what others wrote stays on its line */
        bool is_control = (uint8_t)message.ptr[i] < ' ';
        text_add(lines, is_control ? SLICE("?") : slice_of(message.ptr + i, 1));
    }
    if (lines->is_full) {
        lines->len = before;
    }
}

PRINTF(2, 0)
static struct slice format_message(struct config_build *b, const char *format, va_list args)
{
    char text[2048];
    int len = vsnprintf(text, sizeof(text), format, args);
    return scratch_dup(&b->scratch,
                       slice_of(text, size_min(len > 0 ? (size_t)len : 0, sizeof(text) - 1)));
}

void config_error(struct config_build *b, struct slice where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice message = format_message(b, format, args);
    va_end(args);
    report_line(&b->report->errors, &b->report->error_count, where, message);
}

void config_warn(struct config_build *b, struct slice where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice message = format_message(b, format, args);
    va_end(args);
    report_line(&b->report->warnings, &b->report->warning_count, where, message);
}

/* --- flags, environment and .env to values --- */

struct alias {
    struct slice name;
    enum config_id id;
};
static const struct alias aliases[] = {
    {SLICE_INIT("ENABLE_RESPONSE_CACHE"), CONF_ENABLE_PROMPT_CACHE},
    {SLICE_INIT("https_proxy"), CONF_HTTPS_PROXY},
    {SLICE_INIT("no_proxy"), CONF_NO_PROXY},
};

const char *config_origin_name(enum config_origin origin)
{
    switch (origin) {
    case CONFIG_FROM_DEFAULT: return "default";
    case CONFIG_FROM_FILE: return "file";
    case CONFIG_FROM_ENV_FILE: return ".env";
    case CONFIG_FROM_ENV: return "environment";
    case CONFIG_FROM_FLAG: return "command line";
    }
    return "";
}

/* The row's own name or one of its others. */
static bool is_named(enum config_id id, struct slice name)
{
    bool is_alias = false;
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
        is_alias |= aliases[i].id == id && slice_eq(aliases[i].name, name);
    }
    return is_alias || slice_eq(slice_str(config_rows[id].name), name);
}

static void set_value(struct config_build *b, struct slice name, struct slice text,
                      enum config_origin origin, struct slice where)
{
    for (size_t id = 0; id < CONF_COUNT && text.len; id++) {
        struct config_value *v = &b->values[id];
        if (!is_named((enum config_id)id, name)) {
            continue;
        }
        if (v->origin == origin && v->text.len && !slice_eq(v->text, text) &&
            !slice_eq(slice_str(config_rows[id].name), name)) {
            continue; /* the row's own name outranks its other name */
        }
        if (origin >= v->origin) {
            v->text = text;
            v->origin = origin;
            v->where = where;
        }
    }
}

static void read_environment(struct config_build *b)
{
    for (size_t i = 0; i < b->env_pair_count; i++) {
        const struct env_pair *pair = &b->env_pairs[i];
        char where[512];
        int len = snprintf(where, sizeof(where), "%s:%zu", b->env_path, pair->line);
        struct slice place = slice_of(where, size_min((size_t)len, sizeof(where) - 1));
        set_value(b, pair->name, pair->value, CONFIG_FROM_ENV_FILE,
                  scratch_dup(&b->scratch, place));
    }
    for (char *const *e = b->src->environment; e && *e; e++) {
        struct slice pair = slice_str(*e);
        size_t end = slice_find(pair, '=');
        set_value(b, slice_head(pair, end), slice_from(pair, end + 1), CONFIG_FROM_ENV, SLICE_NONE);
    }
    for (const char *const *f = b->src->flags; f && *f; f++) {
        struct slice pair = slice_str(*f);
        size_t end = slice_find(pair, '=');
        set_value(b, slice_head(pair, end), slice_from(pair, end + 1), CONFIG_FROM_FLAG,
                  SLICE_NONE);
    }
}

/* --- near misses --- */

static bool is_known_name(struct slice name)
{
    static const struct slice others[] = {SLICE_INIT("HTTP_PROXY"),   SLICE_INIT("http_proxy"),
                                          SLICE_INIT("ALL_PROXY"),    SLICE_INIT("all_proxy"),
                                          SLICE_INIT("GEMINI_MODEL"), SLICE_INIT("LOGLEVEL")};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (slice_eq(others[i], name)) {
            return true;
        }
    }
    for (size_t id = 0; id < CONF_COUNT; id++) {
        if (is_named((enum config_id)id, name)) {
            return true;
        }
    }
    return false;
}

/* The nearest row for a name that may be a typing error; CONF_COUNT: none. The part before the
 * first underscore must be (nearly) the same, so that other programs' variables are left alone. */
static enum config_id near_row(struct slice name)
{
    enum config_id best = CONF_COUNT;
    size_t best_distance = 3;
    for (size_t id = 0; id < CONF_COUNT; id++) {
        struct slice row = slice_str(config_rows[id].name);
        struct slice family = slice_head(row, slice_find(row, '_'));
        struct slice own = slice_head(name, slice_find(name, '_'));
        if (family.len == row.len || config_distance(own, family, 2) > (family.len > 4 ? 2 : 0)) {
            continue;
        }
        size_t distance = config_distance(name, row, 2);
        if (distance < best_distance) {
            best_distance = distance;
            best = (enum config_id)id;
        }
    }
    return best;
}

static bool is_expanded(const struct config_build *b, struct slice name)
{
    for (size_t i = 0; i < b->expanded_count; i++) {
        if (slice_eq(b->expanded[i], name)) {
            return true;
        }
    }
    return false;
}

static void warn_if_near(struct config_build *b, struct slice name, struct slice where)
{
    if (name.len < ENV_NAME_MIN_BYTES || is_known_name(name) || is_expanded(b, name)) {
        return;
    }
    enum config_id near = near_row(name);
    if (near != CONF_COUNT) {
        config_warn(b, where, "%.*s is not a setting; did you mean %s?", SLICE_ARG(name),
                    config_rows[near].name);
    }
}

static void warn_near_misses(struct config_build *b)
{
    for (char *const *e = b->src->environment; e && *e; e++) {
        struct slice pair = slice_str(*e);
        warn_if_near(b, slice_head(pair, slice_find(pair, '=')), SLICE("environment"));
    }
    for (size_t i = 0; i < b->env_pair_count; i++) {
        warn_if_near(b, b->env_pairs[i].name, slice_str(b->env_path));
    }
}

/* --- rules over single rows --- */

/* A value copied from an example: treated as not given, and said. */
static void drop_placeholder(struct config_build *b, enum config_id id, const char *means)
{
    struct config_value *v = &b->values[id];
    if (v->text.len && config_is_placeholder(v->text)) {
        config_warn(b, v->where, "%s is a placeholder; %s", config_rows[id].name, means);
        v->text = SLICE_NONE;
        v->origin = CONFIG_FROM_DEFAULT;
    }
}

static void check_secrets(struct config_build *b)
{
    struct config_value *admin = &b->values[CONF_ADMIN_API_KEY];
    if (admin->text.len && config_is_placeholder(admin->text)) {
        config_error(b, admin->where,
                     "ADMIN_API_KEY is a placeholder; accepted: a key of your own, for example the "
                     "output of `openssl rand -hex 32`, or nothing to have one made");
    } else if (admin->text.len && admin->text.len < ADMIN_KEY_USUAL_BYTES) {
        config_warn(b, admin->where, "ADMIN_API_KEY has only %zu characters; use %d or more",
                    admin->text.len, ADMIN_KEY_USUAL_BYTES);
    }
    drop_placeholder(b, CONF_SECRET_KEY, "nothing of this version needs it, so it is not used");
    drop_placeholder(b, CONF_OPENAI_API_KEY, "the provider openai is left out");
    drop_placeholder(b, CONF_ANTHROPIC_API_KEY, "the provider anthropic is left out");
    drop_placeholder(b, CONF_GEMINI_API_KEY, "the provider gemini is left out");
}

/* Never ignored in silence: whoever sets these expects a shared database. */
static void refuse_store(struct config_build *b, enum config_id id, const char *store,
                         const char *instead)
{
    const struct config_value *v = &b->values[id];
    if (v->text.len) {
        config_error(
            b, v->where,
            "%s is set, but this build has no %s store yet; accepted: nothing. Unset it to "
            "use %s",
            config_rows[id].name, store, instead);
    }
}

static void check_rows(struct config_build *b)
{
    check_secrets(b);
    refuse_store(b, CONF_POSTGRES_HOST, "PostgreSQL", "SQLite in DATA_DIR");
    refuse_store(b, CONF_DATABASE_URL, "PostgreSQL", "SQLite in DATA_DIR");
    refuse_store(b, CONF_REDIS_HOST, "Redis", "memory");
    refuse_store(b, CONF_REDIS_URL, "Redis", "memory");
    if (b->values[CONF_JOURNAL_SEGMENT].number % 4096) {
        config_error(b, b->values[CONF_JOURNAL_SEGMENT].where,
                     "JOURNAL_SEGMENT: accepted: a multiple of 4 KiB");
    }
    int64_t retention_ns = b->values[CONF_RETENTION].number;
    if (retention_ns && retention_ns < RETENTION_MIN_NS) { /* a start reads the last minute's */
        config_error(b, b->values[CONF_RETENTION].where,
                     "RETENTION: accepted: 0 for ever, or at least 1h");
    }
}

static void keep_fixed_row(struct config_build *b, enum config_id id)
{
    const struct config_row *row = &config_rows[id];
    struct config_value *v = &b->values[id];
    const struct config_setting *old = &b->src->previous->settings[id];
    if (row->is_reloadable || row->type == CONFIG_SECRET || slice_eq(old->given, v->text)) {
        return;
    }
    config_warn(b, v->where, "%s needs a restart to change; it stays %.*s", row->name,
                SLICE_ARG(old->given.len ? old->given : SLICE("unset")));
    v->text = old->given;
    v->origin = old->origin;
    v->where = SLICE_NONE;
}

static void resolve_values(struct config_build *b)
{
    dotenv_read(b);
    read_environment(b);
    yaml_file_read(b);
    config_file_rows(b);
    for (size_t id = 0; id < CONF_COUNT; id++) {
        struct config_value *v = &b->values[id];
        if (v->text.len == 0) {
            v->text = slice_str(config_rows[id].initial);
            v->origin = CONFIG_FROM_DEFAULT;
        }
        if (b->src->previous) {
            keep_fixed_row(b, (enum config_id)id);
        }
        config_check_value(b, (enum config_id)id);
    }
    check_rows(b);
    warn_near_misses(b);
}

/* --- values to struct gateway_conf --- */

static struct slice keep_text(struct config_build *b, struct slice text)
{
    struct slice copy = arena_dup(&b->conf->arena, text);
    if (!copy.ptr) {
        config_error(b, SLICE_NONE, "out of memory");
    }
    return copy;
}

static struct slice text_of(struct config_build *b, enum config_id id)
{
    return keep_text(b, b->values[id].text);
}

static int64_t number_of(const struct config_build *b, enum config_id id)
{
    return b->values[id].number;
}

static size_t size_of(const struct config_build *b, enum config_id id)
{
    return (size_t)b->values[id].number;
}

static void set_listen(struct config_build *b)
{
    struct gateway_conf *conf = b->conf;
    size_t share = size_of(b, CONF_MAX_INFLIGHT_BYTES) / conf->workers;
    size_t largest = size_of(b, CONF_MAX_BODY) > size_of(b, CONF_MAX_RESPONSE)
                         ? size_of(b, CONF_MAX_BODY)
                         : size_of(b, CONF_MAX_RESPONSE);
    size_t upload = size_of(b, CONF_UPLOAD_MAX);
    conf->body_max_bytes = size_of(b, CONF_MAX_BODY);
    conf->upload_max_bytes = upload > conf->body_max_bytes ? upload : conf->body_max_bytes;
    conf->listen = (struct listen_conf){
        .host = text_of(b, CONF_HOST),
        .port = (uint16_t)number_of(b, CONF_PORT),
        .limits = {.head_max_bytes = size_of(b, CONF_MAX_HEAD),
                   .headers_max = size_of(b, CONF_MAX_HEADERS),
                   .body_max_bytes = conf->upload_max_bytes}, /* each route says its own */
        /* Buffers grow by doubling: what is held is at most four times what is kept. */
        .request_arena_max_bytes = 4 * (largest + size_of(b, CONF_MAX_HEAD)) + REQUEST_EXTRA_BYTES,
        .body_arena_max_bytes = 4 * conf->upload_max_bytes + REQUEST_EXTRA_BYTES,
        .inflight_max_bytes = share > WORKER_INFLIGHT_MIN_BYTES ? share : WORKER_INFLIGHT_MIN_BYTES,
        .connections_max = size_of(b, CONF_MAX_CONNECTIONS),
        .head_timeout_ns = number_of(b, CONF_HEAD_TIMEOUT),
        .body_timeout_ns = number_of(b, CONF_BODY_TIMEOUT),
        .idle_timeout_ns = number_of(b, CONF_IDLE_TIMEOUT),
        .write_timeout_ns = number_of(b, CONF_WRITE_TIMEOUT),
        .out_high_bytes = size_of(b, CONF_STREAM_BUFFER),
        .out_low_bytes = size_of(b, CONF_STREAM_BUFFER) / 4,
    };
    struct slice host;
    if (config_split_listen(b->values[CONF_ADMIN_LISTEN].text, &host, &conf->admin_port)) {
        conf->admin_host = keep_text(b, host);
    }
    if (config_split_listen(b->values[CONF_METRICS_LISTEN].text, &host, &conf->metrics_port)) {
        conf->metrics_host = keep_text(b, host);
    }
}

static void set_workers(struct config_build *b)
{
    if (b->values[CONF_WORKERS].text.len) {
        b->conf->workers = size_of(b, CONF_WORKERS);
    } else {
        b->conf->workers = b->src->previous ? b->src->previous->workers : config_cpus();
    }
    assert(b->conf->workers > 0);
}

static void set_server(struct config_build *b)
{
    struct gateway_conf *conf = b->conf;
    const struct config_value *origins = &b->values[CONF_CORS_ALLOW_ORIGINS];
    conf->drain_ns = number_of(b, CONF_DRAIN);
    conf->drain_delay_ns = number_of(b, CONF_DRAIN_DELAY);
    conf->api_prefix = text_of(b, CONF_API_V1_STR);
    conf->project_name = text_of(b, CONF_PROJECT_NAME);
    conf->api_key_header = text_of(b, CONF_API_KEY_HEADER);
    conf->has_metrics = number_of(b, CONF_ENABLE_METRICS) != 0;
    conf->metrics_tenants_max = size_of(b, CONF_METRICS_MAX_TENANTS);
    conf->has_request_log = number_of(b, CONF_LOG_REQUESTS) != 0;
    conf->cors_origins = arena_array(&conf->arena, origins->item_count + 1, sizeof(struct slice));
    for (size_t i = 0; i < origins->item_count && conf->cors_origins; i++) {
        conf->cors_origins[conf->cors_origin_count++] = keep_text(b, origins->items[i]);
    }
    struct slice level = b->values[CONF_LOG_LEVEL].text;
    conf->log_level = slice_eq(level, SLICE("debug"))     ? LOG_DEBUG
                      : slice_eq(level, SLICE("warning")) ? LOG_WARNING
                      : slice_eq(level, SLICE("error"))   ? LOG_ERROR
                                                          : LOG_INFO;
}

static void set_data(struct config_build *b)
{
    struct gateway_conf *conf = b->conf;
    conf->data_dir = text_of(b, CONF_DATA_DIR);
    conf->store = (struct store_conf){
        .path = arena_printf(&conf->arena, "%.*s/llm-gateway.db", SLICE_ARG(conf->data_dir)),
        .is_migrating = number_of(b, CONF_MIGRATE) != 0,
        .query_timeout_ns = number_of(b, CONF_DB_QUERY_TIMEOUT)};
    conf->pins = (struct pins_conf){
        .path = arena_printf(&conf->arena, "%.*s/responses.pins", SLICE_ARG(conf->data_dir)),
        .entries = size_of(b, CONF_RESPONSES_REMEMBERED),
        .is_mmap = slice_eq(b->values[CONF_JOURNAL_IO].text, SLICE("mmap"))};
    conf->ledger = (struct ledger_conf){
        .data_dir = conf->data_dir,
        .workers = conf->workers,
        .segment_bytes = size_of(b, CONF_JOURNAL_SEGMENT),
        .segments_max = size_of(b, CONF_JOURNAL_SEGMENTS_MAX),
        .drain_interval_ns = number_of(b, CONF_JOURNAL_DRAIN_INTERVAL),
        .sync_interval_ns = number_of(b, CONF_JOURNAL_SYNC_INTERVAL),
        .sync = slice_eq(b->values[CONF_JOURNAL_SYNC].text, SLICE("strict")) ? LEDGER_SYNC_STRICT
                                                                             : LEDGER_SYNC_INTERVAL,
        .is_mmap = slice_eq(b->values[CONF_JOURNAL_IO].text, SLICE("mmap")),
        .crash_bill = slice_eq(b->values[CONF_JOURNAL_CRASH_BILL].text, SLICE("zero"))
                          ? LEDGER_CRASH_ZERO
                          : LEDGER_CRASH_RESERVED};
}

static void set_traffic(struct config_build *b)
{
    struct gateway_conf *conf = b->conf;
    conf->default_rate_limit = number_of(b, CONF_DEFAULT_RATE_LIMIT);
    conf->is_cache_on = number_of(b, CONF_ENABLE_PROMPT_CACHE) != 0;
    conf->cache_ttl_ns = number_of(b, CONF_CACHE_TTL);
    conf->cache_max_bytes = size_of(b, CONF_CACHE_MAX_BYTES);
    conf->cache_entry_max_bytes = size_of(b, CONF_CACHE_ENTRY_MAX_BYTES);
    conf->reserve_wait_ns = number_of(b, CONF_RESERVE_WAIT);
    conf->retention_ns = number_of(b, CONF_RETENTION);
    conf->attempts_max = (int)number_of(b, CONF_MAX_ATTEMPTS);
    conf->response_max_bytes = size_of(b, CONF_MAX_RESPONSE);
    conf->event_max_bytes = size_of(b, CONF_MAX_EVENT);
    conf->guards_streams = number_of(b, CONF_GUARD_STREAMS) != 0;
    conf->keepalive_ns = number_of(b, CONF_KEEPALIVE);
    conf->dns_ttl_ns = number_of(b, CONF_DNS_TTL);
    conf->upstream =
        (struct upstream_conf){.keep_per_dest = size_of(b, CONF_UPSTREAM_KEEP),
                               .keep_ns = number_of(b, CONF_UPSTREAM_KEEP_TIME),
                               .connections_max = size_of(b, CONF_UPSTREAM_MAX_CONNECTIONS)};
}

/* Secrets that a reload cannot change stay as they are. */
static void set_secret(struct config_build *b, enum config_id id, struct secret *out,
                       const struct secret *old)
{
    struct slice text = b->values[id].text;
    if (old && !slice_eq(text, secret_slice(old))) {
        config_warn(b, b->values[id].where, "%s needs a restart to change; it stays as it was",
                    config_rows[id].name);
        text = secret_slice(old);
    }
    if (text.len && secret_set(out, text) != OK) {
        config_error(b, SLICE_NONE, "out of memory");
    }
}

static void set_settings(struct config_build *b)
{
    struct config_setting *settings =
        arena_array(&b->conf->arena, CONF_COUNT, sizeof(struct config_setting));
    for (size_t id = 0; id < CONF_COUNT && settings; id++) {
        const struct config_value *v = &b->values[id];
        settings[id].origin = v->origin;
        if (config_rows[id].type != CONFIG_SECRET) {
            settings[id].given = settings[id].shown = keep_text(b, v->text);
        } else if (v->text.len) {
            char room[64];
            struct text shown = text_in(room, sizeof(room));
            config_mask(v->text, &shown);
            settings[id].shown = keep_text(b, text_slice(&shown));
        }
    }
    b->conf->settings = settings;
    if (!settings) {
        config_error(b, SLICE_NONE, "out of memory");
    }
}

static void assemble(struct config_build *b)
{
    const struct gateway_conf *old = b->src->previous;
    set_workers(b);
    set_listen(b);
    set_server(b);
    set_data(b);
    set_traffic(b);
    set_secret(b, CONF_ADMIN_API_KEY, &b->conf->admin_key, old ? &old->admin_key : NULL);
    set_secret(b, CONF_SECRET_KEY, &b->conf->secret_key, old ? &old->secret_key : NULL);
    set_settings(b);
}

enum err config_load(const struct config_sources *src, struct health *health,
                     struct credentials *credentials, struct gateway_conf **out,
                     struct config_report *report)
{
    struct config_build b = {
        .src = src, .health = health, .credentials = credentials, .report = report};
    b.conf = calloc(1, sizeof(*b.conf));
    if (!b.conf || !scratch_init(&b.scratch)) {
        free(b.conf);
        TEXT_ADD(&report->errors, "out of memory");
        report->error_count++;
        return E_NOMEM;
    }
    arena_init(&b.conf->arena, NULL, CONF_MAX_BYTES);
    resolve_values(&b);
    config_build_providers(&b);
    config_build_routes(&b); /* also after errors: its own are reported with them */
    if (report->error_count == 0) {
        assemble(&b);
    }
    scratch_deinit(&b.scratch);
    if (report->error_count) {
        gateway_conf_free(b.conf);
        return E_CONFIG;
    }
    *out = b.conf;
    return OK;
}
