/* Models and prices of the file, and the route table over all providers. */
#include "app/config_inside.h"

static const struct slice model_keys[] = {SLICE_INIT("targets"), SLICE_INIT("max_output_tokens"),
                                          SLICE_INIT("price")};
static const struct slice target_keys[] = {SLICE_INIT("provider"), SLICE_INIT("model"),
                                           SLICE_INIT("weight")};

struct models {
    struct config_build *b;
    struct route_entry_conf *entries;
    size_t entry_count;
    struct price_override *prices;
    size_t price_count, price_cap;
};

static struct slice keep(struct config_build *b, struct slice text)
{
    return arena_dup(&b->conf->arena, text);
}

static bool is_provider(const struct config_build *b, struct slice name)
{
    for (size_t i = 0; i < b->conf->provider_count; i++) {
        if (slice_eq(b->conf->providers[i].name, name)) {
            return true;
        }
    }
    return false;
}

static void check_provider(struct config_build *b, const struct yaml_node *at, struct slice name)
{
    if (is_provider(b, name)) {
        return;
    }
    struct slice names[ROUTE_PROVIDERS_MAX];
    for (size_t i = 0; i < b->conf->provider_count; i++) {
        names[i] = b->conf->providers[i].name;
    }
    struct slice near = config_nearest(name, names, b->conf->provider_count);
    config_error(b, config_place(b, at), "no provider is named %.*s%s%.*s%s", SLICE_ARG(name),
                 near.len ? "; did you mean " : "", SLICE_ARG(near), near.len ? "?" : "");
}

static bool read_target(struct config_build *b, const struct yaml_node *map,
                        struct route_target_conf *out)
{
    int64_t weight = 1;
    *out = (struct route_target_conf){0};
    if (map->kind != YAML_MAP) {
        config_error(b, config_place(b, map), "a target is a map such as {provider: openai}");
        return false;
    }
    config_file_known(b, map, target_keys, ARRAY_LEN(target_keys), "a target");
    if (!config_file_text(b, map, "provider", &out->provider)) {
        config_error(b, config_place(b, map), "a target needs provider");
        return false;
    }
    check_provider(b, map, out->provider);
    (void)config_file_text(b, map, "model", &out->model);
    if (config_file_number(b, map, "weight", CONFIG_COUNT, &weight) &&
        (weight < 1 || weight > 1000000)) {
        config_error(b, config_place(b, map), "weight: accepted: 1 to 1000000");
        weight = 1;
    }
    out->weight = (int)weight;
    out->provider = keep(b, out->provider);
    out->model = keep(b, out->model);
    return out->provider.ptr && out->model.ptr;
}

/* A tier is a list of targets, or one target. */
static void read_tier(struct config_build *b, const struct yaml_node *node,
                      struct route_entry_conf *entry)
{
    const struct yaml_node *const *items = (const struct yaml_node *const *)node->items;
    size_t count = node->count;
    if (node->kind == YAML_MAP) {
        items = &node;
        count = 1;
    }
    if (node->kind == YAML_SCALAR || count == 0 || count > ROUTE_CANDIDATES_MAX) {
        config_error(b, config_place(b, node), "a tier is a list of 1 to %d targets",
                     ROUTE_CANDIDATES_MAX);
        return;
    }
    struct route_target_conf *targets =
        arena_array(&b->conf->arena, count, sizeof(struct route_target_conf));
    size_t n = 0;
    for (size_t i = 0; i < count && targets; i++) {
        n += read_target(b, items[i], &targets[n]);
    }
    if (n) {
        entry->tiers[entry->tier_count] = targets;
        entry->tier_sizes[entry->tier_count++] = n;
    }
}

static void add_price(struct models *m, const struct yaml_node *at, struct slice provider,
                      struct slice model, const struct price *price)
{
    struct config_build *b = m->b;
    if (m->price_count == m->price_cap) {
        config_error(b, config_place(b, at), "too many prices");
        return;
    }
    struct price_override *p = &m->prices[m->price_count++];
    p->provider = keep(b, provider);
    p->model = keep(b, model);
    p->price = *price;
}

/* A model's price holds for each of its targets. */
static void read_model_price(struct models *m, const struct yaml_node *node,
                             const struct route_entry_conf *entry)
{
    struct price price;
    if (yaml_is_null(node) || !config_file_price(m->b, node, &price)) {
        return;
    }
    for (size_t t = 0; t < entry->tier_count; t++) {
        for (size_t i = 0; i < entry->tier_sizes[t]; i++) {
            const struct route_target_conf *target = &entry->tiers[t][i];
            struct slice model = target->model.len ? target->model : entry->name;
            if (slice_find(model, '*') < model.len) {
                config_error(m->b, config_place(m->b, node),
                             "the price of a pattern needs a model in each target; or use prices");
                return;
            }
            add_price(m, node, target->provider, model, &price);
        }
    }
}

static void read_model(struct models *m, const struct yaml_node *name, const struct yaml_node *map)
{
    struct config_build *b = m->b;
    struct route_entry_conf *entry = &m->entries[m->entry_count];
    *entry = (struct route_entry_conf){.name = keep(b, name->text), .output_cap_tokens = -1};
    char what[128];
    (void)snprintf(what, sizeof(what), "model %.*s", SLICE_ARG(slice_head(name->text, 100)));
    if (map->kind != YAML_MAP || name->text.len == 0) {
        config_error(b, config_place(b, name), "%s: a name and a map with targets is expected",
                     what);
        return;
    }
    config_file_known(b, map, model_keys, ARRAY_LEN(model_keys), what);
    const struct yaml_node *targets = yaml_get(map, "targets");
    if (!targets || targets->kind != YAML_LIST || targets->count == 0 ||
        targets->count > ROUTE_TIERS_MAX) {
        config_error(b, config_place(b, targets ? targets : name),
                     "%s: targets: a list of 1 to %d tiers is expected", what, ROUTE_TIERS_MAX);
        return;
    }
    for (size_t i = 0; i < targets->count; i++) {
        read_tier(b, targets->items[i], entry);
    }
    if (config_file_number(b, map, "max_output_tokens", CONFIG_COUNT, &entry->output_cap_tokens) &&
        entry->output_cap_tokens < 1) {
        config_error(b, config_place(b, map), "%s: max_output_tokens: at least 1", what);
    }
    read_model_price(m, yaml_get(map, "price"), entry);
    m->entry_count += entry->tier_count > 0;
}

static void read_prices(struct models *m, const struct yaml_node *list)
{
    struct config_build *b = m->b;
    for (size_t i = 0; i < list->count; i++) {
        const struct yaml_node *map = list->items[i];
        struct slice provider;
        struct slice model;
        struct price price;
        if (!config_file_price(b, map, &price)) {
            continue;
        }
        if (!config_file_text(b, map, "provider", &provider) ||
            !config_file_text(b, map, "model", &model)) {
            config_error(b, config_place(b, map), "a price needs provider and model");
            continue;
        }
        check_provider(b, map, provider);
        add_price(m, map, provider, model, &price);
    }
}

static const struct yaml_node *section(struct config_build *b, const char *name,
                                       enum yaml_kind kind)
{
    const struct yaml_node *node = b->root ? yaml_get(b->root, name) : NULL;
    if (!node || yaml_is_null(node)) {
        return NULL;
    }
    if (node->kind != kind) {
        config_error(b, config_place(b, node), "%s: a %s is expected", name,
                     kind == YAML_MAP ? "map" : "list");
        return NULL;
    }
    return node;
}

/* Names of the order that the user wrote, but that are no provider, are probably mistakes. */
static void read_order(struct config_build *b, struct route_table_conf *conf)
{
    const struct config_value *order = &b->values[CONF_PROVIDER_FALLBACK_ORDER];
    conf->fallback_order =
        arena_array(&b->conf->arena, order->item_count + 1, sizeof(struct slice));
    for (size_t i = 0; i < order->item_count && conf->fallback_order; i++) {
        struct slice name = order->items[i];
        if (is_provider(b, name)) {
            conf->fallback_order[conf->fallback_count++] = keep(b, name);
        } else if (order->origin != CONFIG_FROM_DEFAULT && b->conf->provider_count) {
            config_warn(b, order->where, "PROVIDER_FALLBACK_ORDER: %.*s is not configured",
                        SLICE_ARG(name));
        }
    }
}

static enum unknown_price unknown_price(struct slice word)
{
    return slice_eq(word, SLICE("deny"))   ? UNKNOWN_PRICE_DENY
           : slice_eq(word, SLICE("zero")) ? UNKNOWN_PRICE_ZERO
           : slice_eq(word, SLICE("flat")) ? UNKNOWN_PRICE_FLAT
                                           : UNKNOWN_PRICE_DEFAULT;
}

static bool models_init(struct models *m, const struct yaml_node *models,
                        const struct yaml_node *prices)
{
    struct arena *a = &m->b->conf->arena;
    size_t count = models ? models->count : 0;
    m->price_cap = count * 4 + (prices ? prices->count : 0) + 64;
    m->entries = arena_array(a, count + 1, sizeof(*m->entries));
    m->prices = arena_array(a, m->price_cap, sizeof(*m->prices));
    return m->entries && m->prices;
}

void config_build_routes(struct config_build *b)
{
    const struct yaml_node *models = section(b, "models", YAML_MAP);
    const struct yaml_node *prices = section(b, "prices", YAML_LIST);
    struct models m = {.b = b};
    if (!models_init(&m, models, prices)) {
        config_error(b, SLICE_NONE, "out of memory");
        return;
    }
    for (size_t i = 0; models && i < models->count; i++) {
        read_model(&m, models->keys[i], models->items[i]);
    }
    if (prices) {
        read_prices(&m, prices);
    }
    struct gateway_conf *conf = b->conf;
    struct route_table_conf table = {
        .arena = &conf->arena,
        .providers = conf->providers,
        .provider_count = conf->provider_count,
        .entries = m.entries,
        .entry_count = m.entry_count,
        .unknown_price = unknown_price(b->values[CONF_UNKNOWN_PRICE].text),
        .health = b->health,
        .overrides = m.prices,
        .override_count = m.price_count,
    };
    read_order(b, &table);
    conf->prices = m.prices;
    conf->price_count = m.price_count;
    struct slice why = SLICE_NONE;
    if (b->report->error_count == 0 && route_table_new(&table, &conf->routes, &why) != OK) {
        config_error(b, SLICE_NONE, "models: %.*s",
                     SLICE_ARG(why.len ? why : SLICE("out of memory")));
    }
}
