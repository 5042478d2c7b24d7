/* The file's sections that mirror rows, and helpers to read maps strictly. */
#include "app/config_inside.h"
#include "core/money.h"

enum { KEYS_MAX = CONF_COUNT + 8, JSON_TEXT_MAX_BYTES = 65536 };

static const struct slice own_sections[] = {SLICE_INIT("providers"), SLICE_INIT("models"),
                                            SLICE_INIT("prices")};

static struct slice section_of(const struct config_row *row)
{
    struct slice path = slice_str(row->path);
    return slice_head(path, slice_find(path, '.'));
}

static struct slice key_of(const struct config_row *row)
{
    struct slice path = slice_str(row->path);
    return slice_from(path, slice_find(path, '.') + 1);
}

/* Names without repetition into out; returns how many. */
static size_t section_names(struct slice *out)
{
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(own_sections); i++) {
        out[n++] = own_sections[i];
    }
    for (size_t id = 0; id < CONF_COUNT; id++) {
        struct slice name = section_of(&config_rows[id]);
        size_t i = 0;
        while (i < n && !slice_eq(out[i], name)) {
            i++;
        }
        if (i == n && name.len) {
            out[n++] = name;
        }
    }
    return n;
}

static size_t section_keys(struct slice section, struct slice *out)
{
    size_t n = 0;
    for (size_t id = 0; id < CONF_COUNT; id++) {
        if (config_rows[id].path[0] && slice_eq(section_of(&config_rows[id]), section)) {
            out[n++] = key_of(&config_rows[id]);
        }
    }
    if (slice_eq(section, SLICE("server"))) {
        out[n++] = SLICE("listen");
    }
    return n;
}

static bool has_name(const struct slice *names, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_eq(names[i], name)) {
            return true;
        }
    }
    return false;
}

static void unknown_key(struct config_build *b, const struct yaml_node *key,
                        const struct slice *names, size_t n, const char *what)
{
    struct slice near = config_nearest(key->text, names, n);
    if (near.len) {
        config_error(b, config_place(b, key), "unknown key %.*s in %s; did you mean %.*s?",
                     SLICE_ARG(key->text), what, SLICE_ARG(near));
        return;
    }
    for (size_t id = 0; id < CONF_COUNT; id++) { /* a known key in a wrong section */
        if (config_rows[id].path[0] && slice_eq(key_of(&config_rows[id]), key->text)) {
            config_error(b, config_place(b, key), "%.*s does not belong in %s, but in %s",
                         SLICE_ARG(key->text), what, config_rows[id].path);
            return;
        }
    }
    config_error(b, config_place(b, key), "unknown key %.*s in %s", SLICE_ARG(key->text), what);
}

void config_file_known(struct config_build *b, const struct yaml_node *map,
                       const struct slice *names, size_t n, const char *what)
{
    for (size_t i = 0; i < map->count; i++) {
        if (!has_name(names, n, map->keys[i]->text)) {
            unknown_key(b, map->keys[i], names, n, what);
        }
    }
}

/* A list of scalars as the JSON text that list values have. */
static struct slice list_text(struct config_build *b, const struct yaml_node *list)
{
    char *room = scratch_alloc(&b->scratch, JSON_TEXT_MAX_BYTES);
    struct text out = text_in(room, room ? JSON_TEXT_MAX_BYTES : 0);
    text_add_char(&out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i]->kind != YAML_SCALAR) {
            config_error(b, config_place(b, list->items[i]), "a text is expected");
            return SLICE_NONE;
        }
        if (i) {
            text_add_char(&out, ',');
        }
        text_add_json_string(&out, list->items[i]->text);
    }
    text_add_char(&out, ']');
    if (out.is_full) {
        config_error(b, config_place(b, list), "the list is too long");
        return SLICE_NONE;
    }
    return text_slice(&out);
}

static void set_row(struct config_build *b, enum config_id id, struct slice text,
                    const struct yaml_node *node)
{
    struct config_value *v = &b->values[id];
    if (v->origin < CONFIG_FROM_FILE && text.len) {
        v->text = text;
        v->origin = CONFIG_FROM_FILE;
        v->where = config_place(b, node);
    }
}

static void read_row(struct config_build *b, enum config_id id, const struct yaml_node *node)
{
    if (yaml_is_null(node)) {
        return;
    }
    if (node->kind == YAML_SCALAR) {
        set_row(b, id, node->text, node);
    } else if (node->kind == YAML_LIST && config_rows[id].type == CONFIG_LIST) {
        set_row(b, id, list_text(b, node), node);
    } else {
        config_error(b, config_place(b, node), "%s: accepted: %s", config_rows[id].path,
                     config_type_text(config_rows[id].type));
    }
}

/* server.listen: "host:port" stands for host and port. */
static void read_listen(struct config_build *b, const struct yaml_node *node)
{
    struct slice host;
    uint16_t port;
    if (node->kind != YAML_SCALAR || !config_split_listen(node->text, &host, &port)) {
        config_error(b, config_place(b, node), "server.listen: accepted: host:port");
        return;
    }
    char digits[8];
    int len = snprintf(digits, sizeof(digits), "%u", (unsigned)port);
    set_row(b, CONF_HOST, host, node);
    set_row(b, CONF_PORT, scratch_dup(&b->scratch, slice_of(digits, (size_t)len)), node);
}

static void read_section(struct config_build *b, struct slice section, const struct yaml_node *map)
{
    struct slice names[KEYS_MAX];
    size_t n = section_keys(section, names);
    char what[64];
    (void)snprintf(what, sizeof(what), "%.*s", SLICE_ARG(section));
    config_file_known(b, map, names, n, what);
    for (size_t id = 0; id < CONF_COUNT; id++) {
        if (config_rows[id].path[0] && slice_eq(section_of(&config_rows[id]), section)) {
            struct slice key = key_of(&config_rows[id]);
            const struct yaml_node *node = yaml_get(map, key.ptr);
            if (node) {
                read_row(b, (enum config_id)id, node);
            }
        }
    }
    const struct yaml_node *listen = yaml_get(map, "listen");
    if (listen && slice_eq(section, SLICE("server"))) {
        read_listen(b, listen);
    }
}

void config_file_rows(struct config_build *b)
{
    if (!b->root) {
        return;
    }
    struct slice sections[KEYS_MAX];
    size_t n = section_names(sections);
    config_file_known(b, b->root, sections, n, "the file");
    for (size_t i = 0; i < b->root->count; i++) {
        struct slice name = b->root->keys[i]->text;
        const struct yaml_node *section = b->root->items[i];
        bool is_own = has_name(own_sections, ARRAY_LEN(own_sections), name);
        if (is_own || !has_name(sections, n, name) || yaml_is_null(section)) {
            continue;
        }
        if (section->kind != YAML_MAP) {
            config_error(b, config_place(b, section), "%.*s: a map is expected", SLICE_ARG(name));
        } else {
            read_section(b, name, section);
        }
    }
}

/* --- strict members --- */

bool config_file_number(struct config_build *b, const struct yaml_node *map, const char *key,
                        enum config_type type, int64_t *out)
{
    const struct yaml_node *node = yaml_get(map, key);
    if (yaml_is_null(node)) {
        return false;
    }
    if (node->kind != YAML_SCALAR || !config_parse_number(type, node->text, out)) {
        config_error(b, config_place(b, node), "%s: accepted: %s", key, config_type_text(type));
        return false;
    }
    return true;
}

bool config_file_text(struct config_build *b, const struct yaml_node *map, const char *key,
                      struct slice *out)
{
    const struct yaml_node *node = yaml_get(map, key);
    if (yaml_is_null(node)) {
        return false;
    }
    if (node->kind != YAML_SCALAR) {
        config_error(b, config_place(b, node), "%s: a text is expected", key);
        return false;
    }
    *out = node->text;
    return node->text.len > 0;
}

static bool read_rates(struct config_build *b, const struct yaml_node *map,
                       struct price_rates *rates)
{
    *rates = (struct price_rates){-1, -1, -1, -1, -1, -1};
    (void)config_file_number(b, map, "cache_read", CONFIG_USD, &rates->cache_read);
    (void)config_file_number(b, map, "cache_write", CONFIG_USD, &rates->cache_write_5m);
    (void)config_file_number(b, map, "cache_write_1h", CONFIG_USD, &rates->cache_write_1h);
    (void)config_file_number(b, map, "reasoning", CONFIG_USD, &rates->reasoning);
    bool has_input = config_file_number(b, map, "input", CONFIG_USD, &rates->input);
    bool has_output = config_file_number(b, map, "output", CONFIG_USD, &rates->output);
    if (!has_input) {
        config_error(b, config_place(b, map), "a price needs input (USD per 1M tokens)");
    }
    if (!has_output) {
        rates->output = 0; /* embeddings have none */
    }
    return has_input;
}

static const struct slice price_keys[] = {SLICE_INIT("input"),          SLICE_INIT("output"),
                                          SLICE_INIT("cache_read"),     SLICE_INIT("cache_write"),
                                          SLICE_INIT("cache_write_1h"), SLICE_INIT("reasoning"),
                                          SLICE_INIT("per_request"),    SLICE_INIT("tiers"),
                                          SLICE_INIT("provider"),       SLICE_INIT("model")};
static const struct slice tier_keys[] = {
    SLICE_INIT("input"),          SLICE_INIT("output"),    SLICE_INIT("cache_read"),
    SLICE_INIT("cache_write"),    SLICE_INIT("reasoning"), SLICE_INIT("above_prompt_tokens"),
    SLICE_INIT("cache_write_1h"),
};

static void read_tiers(struct config_build *b, const struct yaml_node *list, struct price *out)
{
    if (list->kind != YAML_LIST || list->count > PRICE_TIERS_MAX) {
        config_error(b, config_place(b, list), "tiers: a list of at most %d", PRICE_TIERS_MAX);
        return;
    }
    int64_t last = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct yaml_node *map = list->items[i];
        struct price_tier tier = {0};
        if (map->kind != YAML_MAP) {
            config_error(b, config_place(b, map), "a tier is a map");
            continue;
        }
        config_file_known(b, map, tier_keys, ARRAY_LEN(tier_keys), "a price tier");
        bool has_bound = config_file_number(b, map, "above_prompt_tokens", CONFIG_COUNT,
                                            &tier.above_prompt_tokens);
        if (!has_bound || tier.above_prompt_tokens <= last) {
            config_error(b, config_place(b, map),
                         "a tier needs above_prompt_tokens, larger than the one before");
        }
        if (read_rates(b, map, &tier.rates)) {
            last = tier.above_prompt_tokens;
            out->tiers[out->tier_count++] = tier;
        }
    }
}

bool config_file_price(struct config_build *b, const struct yaml_node *map, struct price *out)
{
    *out = (struct price){0};
    if (map->kind != YAML_MAP) {
        config_error(b, config_place(b, map),
                     "a price is a map such as {input: 0.15, output: 0.60}, USD per 1M tokens");
        return false;
    }
    config_file_known(b, map, price_keys, ARRAY_LEN(price_keys), "a price");
    (void)config_file_number(b, map, "per_request", CONFIG_USD, &out->per_request_nusd);
    const struct yaml_node *tiers = yaml_get(map, "tiers");
    if (tiers) {
        read_tiers(b, tiers, out);
    }
    return read_rates(b, map, &out->base);
}
