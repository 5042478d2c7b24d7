/* The effective configuration for people and programs, and the table of the docs. */
#include "app/config.h"

enum { PRINT_MAX_BYTES = 8 << 20 };

static void show_key(const struct route_key *key, struct text *out)
{
    if (key->credential) {
        TEXT_ADD(out, "(access token)");
    } else {
        config_mask(secret_slice(&key->secret), out);
    }
}

static void print_provider(const struct route_provider *p, FILE *to)
{
    (void)fprintf(to, "  %.*s: dialect", SLICE_ARG(p->name));
    for (size_t i = 0; i < p->dialect_count; i++) {
        (void)fprintf(to, "%s%s", i ? " and " : " ", p->dialects[i]->name);
    }
    (void)fprintf(to, ", %s://%.*s%.*s", p->dest.is_tls ? "https" : "http",
                  SLICE_ARG(p->dest.authority), SLICE_ARG(p->base_path));
    for (size_t i = 0; i < p->key_count; i++) {
        char room[64];
        struct text shown = text_in(room, sizeof(room));
        show_key(&p->keys[i], &shown);
        (void)fprintf(to, "%s%.*s", i ? ", " : ", key ", SLICE_ARG(text_slice(&shown)));
    }
    if (p->dest.proxy_host.len) {
        (void)fprintf(to, ", by proxy %.*s:%u", SLICE_ARG(p->dest.proxy_host),
                      (unsigned)p->dest.proxy_port);
    }
    if (p->fallback_model.len) {
        (void)fprintf(to, ", fallback %.*s", SLICE_ARG(p->fallback_model));
    }
    (void)fprintf(to, "%s%s\n", p->is_free ? ", free" : "",
                  p->passes_unknown ? ", serves any name" : "");
}

static void print_text(const struct gateway_conf *conf, FILE *to)
{
    (void)fprintf(to, "settings:\n");
    for (size_t id = 0; id < CONF_COUNT; id++) {
        const struct config_setting *s = &conf->settings[id];
        if (s->shown.len) {
            (void)fprintf(to, "  %-30s %.*s  (%s)\n", config_rows[id].name, SLICE_ARG(s->shown),
                          config_origin_name(s->origin));
        } else {
            (void)fprintf(to, "  %-30s -\n", config_rows[id].name);
        }
    }
    (void)fprintf(
        to, "workers: %zu\nproviders:%s\n", conf->workers,
        conf->provider_count
            ? ""
            : " none; set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY or LOCAL_BASE_URL");
    for (size_t i = 0; i < conf->provider_count; i++) {
        print_provider(&conf->providers[i], to);
    }
}

static void add_member(struct text *out, const char *name, struct slice value)
{
    text_add_json_key(out, name);
    text_add_json_string(out, value);
}

static void add_provider(struct text *out, const struct route_provider *p)
{
    text_add_json_key(out, "name");
    text_add_json_string(out, p->name);
    text_add_json_key(out, "dialects");
    for (size_t i = 0; i < p->dialect_count; i++) {
        text_add_char(out, i ? ',' : '[');
        text_add_json_string(out, slice_str(p->dialects[i]->name));
    }
    text_add_char(out, ']');
    add_member(out, "host", p->dest.authority);
    add_member(out, "base_path", p->base_path);
    text_add_json_key(out, "tls");
    text_add(out, p->dest.is_tls ? SLICE("true") : SLICE("false"));
    text_add_json_key(out, "keys");
    text_add_char(out, '[');
    for (size_t i = 0; i < p->key_count; i++) {
        char room[64];
        struct text shown = text_in(room, sizeof(room));
        show_key(&p->keys[i], &shown);
        text_add(out, i ? SLICE(",") : SLICE_NONE);
        text_add_json_string(out, text_slice(&shown));
    }
    text_add_char(out, ']');
}

static void print_json(const struct gateway_conf *conf, FILE *to)
{
    struct arena a;
    arena_init(&a, NULL, PRINT_MAX_BYTES);
    struct text out = text_growing(&a);
    TEXT_ADD(&out, "{\"settings\":{");
    for (size_t id = 0; id < CONF_COUNT; id++) {
        const struct config_setting *s = &conf->settings[id];
        text_add_json_key(&out, config_rows[id].name);
        TEXT_ADD(&out, "{");
        text_add_json_key(&out, "value");
        if (s->shown.len) {
            text_add_json_string(&out, s->shown);
        } else {
            TEXT_ADD(&out, "null");
        }
        add_member(&out, "origin", slice_str(config_origin_name(s->origin)));
        TEXT_ADD(&out, "}");
    }
    TEXT_ADD(&out, "},\"workers\":");
    text_add_i64(&out, (int64_t)conf->workers);
    TEXT_ADD(&out, ",\"providers\":[");
    for (size_t i = 0; i < conf->provider_count; i++) {
        text_add(&out, i ? SLICE(",{") : SLICE("{"));
        add_provider(&out, &conf->providers[i]);
        TEXT_ADD(&out, "}");
    }
    TEXT_ADD(&out, "]}\n");
    (void)fwrite(out.ptr, 1, out.len, to);
    arena_deinit(&a);
}

void config_print(const struct gateway_conf *conf, bool is_json, FILE *to)
{
    if (is_json) {
        print_json(conf, to);
    } else {
        print_text(conf, to);
    }
}

/* `text` and the bar behind it, or an empty cell. */
static void print_code(const char *text, FILE *to)
{
    const char *quote = text[0] ? "`" : "";
    (void)fprintf(to, " %s%s%s |", quote, text, quote);
}

static void print_option(const struct config_row *row, FILE *to)
{
    char option[64] = "";
    if (row->type != CONFIG_SECRET) { /* secrets would be seen in the list of processes */
        size_t n = (size_t)snprintf(option, sizeof(option), "--%s", row->name);
        for (size_t i = 2; i < n && i < sizeof(option); i++) {
            bool is_upper = option[i] >= 'A' && option[i] <= 'Z';
            option[i] = (char)(option[i] == '_' ? '-' : option[i] + (is_upper ? 'a' - 'A' : 0));
        }
    }
    print_code(option, to);
}

static void print_accepted(const struct config_row *row, FILE *to)
{
    if (row->type != CONFIG_WORD) {
        (void)fprintf(to, " %s", config_type_text(row->type));
    }
    for (struct slice left = slice_str(row->type == CONFIG_WORD ? row->low : ""); left.len;) {
        struct slice word = slice_head(left, slice_find(left, '|'));
        left = slice_from(left, word.len + 1);
        (void)fprintf(to, " %.*s%s", SLICE_ARG(word), left.len ? "," : "");
    }
    if (row->high[0]) {
        (void)fprintf(to, ", %s to %s", row->low, row->high);
    }
}

void config_print_docs(FILE *to)
{
    (void)fprintf(to,
                  "# Settings\n\nMade from `src/app/config.def` by `llm-gateway check --docs`; "
                  "do not edit.\n\n"
                  "| variable | option | in the file | default | accepted | on reload | what |\n"
                  "|---|---|---|---|---|---|---|\n");
    for (size_t id = 0; id < CONF_COUNT; id++) {
        const struct config_row *row = &config_rows[id];
        (void)fprintf(to, "|");
        print_code(row->name, to);
        print_option(row, to);
        print_code(row->path, to);
        print_code(row->initial, to);
        print_accepted(row, to);
        (void)fprintf(to, " | %s | %s |\n", row->is_reloadable ? "yes" : "restart", row->help);
    }
}
