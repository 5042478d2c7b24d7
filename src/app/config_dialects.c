/* What a provider speaks: one dialect or a short list of them. */
#include "app/config_inside.h"

struct names {
    struct slice at[ROUTE_DIALECTS_MAX];
    size_t count;
    bool is_full;  /* more were given */
    char what[96]; /* whose: "provider p: dialect" or the variable's name */
    struct slice where;
};

static void add_name(struct names *n, struct slice name)
{
    if (n->count < ROUTE_DIALECTS_MAX) {
        n->at[n->count++] = name;
    } else {
        n->is_full = true;
    }
}

/* One name, or a list of names. */
static void read_file(struct config_build *b, const struct yaml_node *node, struct names *out)
{
    bool is_good = node->kind != YAML_MAP;
    if (node->kind == YAML_SCALAR) {
        add_name(out, node->text);
    }
    for (size_t i = 0; node->kind == YAML_LIST && i < node->count; i++) {
        is_good = is_good && node->items[i]->kind == YAML_SCALAR;
        add_name(out, node->items[i]->text);
    }
    if (!is_good) {
        config_error(b, config_place(b, node), "dialect: a name or a list of names is expected");
    }
}

/* api.openai.com, and its names by region. */
static bool is_openais_host(struct slice url)
{
    struct slice host = slice_from(url, slice_search(url, SLICE("://")) + strlen("://"));
    host = slice_head(host, slice_find(host, '/'));
    host = slice_head(host, slice_find(host, ':'));
    return slice_eq_nocase(host, SLICE("api.openai.com")) ||
           slice_ends(host, SLICE(".api.openai.com"));
}

/* LOCAL_DIALECT, where it is set, outranks the file. */
static void read_names(struct config_build *b, const struct config_dialects *in, struct names *out)
{
    const struct config_value *local = &b->values[CONF_LOCAL_DIALECT];
    bool is_in_file = !yaml_is_null(in->node);
    (void)snprintf(out->what, sizeof(out->what), "provider %.*s: dialect", SLICE_ARG(in->provider));
    out->where = in->where;
    if (slice_eq(in->provider, SLICE("local")) &&
        (!is_in_file || local->origin > CONFIG_FROM_FILE)) {
        (void)snprintf(out->what, sizeof(out->what), "LOCAL_DIALECT:");
        out->where = local->where;
        for (size_t i = 0; i < local->item_count; i++) {
            add_name(out, local->items[i]);
        }
    } else if (is_in_file) {
        read_file(b, in->node, out);
    }
    if (out->count == 0) {
        add_name(out, in->initial);
        if (slice_eq(in->initial, SLICE("openai")) && is_openais_host(in->base_url)) {
            add_name(out, SLICE("responses"));
        }
    }
}

/* The dialects of one provider have one base URL and one kind of credential. */
static bool go_together(const struct dialect *one, const struct dialect *other)
{
    return one->render_auth == other->render_auth && one->sign == other->sign &&
           one->path_has_model == other->path_has_model && one->needs_region == other->needs_region;
}

static void add_dialect(struct config_build *b, const struct names *names, struct slice name,
                        struct route_provider *p)
{
    const struct dialect *dialect = dialect_find(name);
    if (!dialect) {
        config_error(b, names->where,
                     "%s %.*s is not known; accepted: openai, responses, anthropic, gemini, "
                     "bedrock, ollama",
                     names->what, SLICE_ARG(name));
    } else if (route_dialect_index(p, dialect) < p->dialect_count) {
        config_error(b, names->where, "%s %s is given twice", names->what, dialect->name);
    } else if (p->dialect_count && !go_together(p->dialects[0], dialect)) {
        config_error(b, names->where,
                     "%s %s and %s differ in base_url or credential; accepted: a provider for each",
                     names->what, p->dialects[0]->name, dialect->name);
    } else {
        p->dialects[p->dialect_count++] = dialect;
    }
}

bool config_set_dialects(struct config_build *b, const struct config_dialects *in,
                         struct route_provider *p)
{
    struct names names = {.count = 0};
    read_names(b, in, &names);
    if (names.is_full) {
        config_error(b, names.where, "%s at most %d are accepted", names.what, ROUTE_DIALECTS_MAX);
    }
    for (size_t i = 0; i < names.count; i++) {
        add_dialect(b, &names, names.at[i], p);
    }
    return p->dialect_count > 0 && p->dialect_count == names.count;
}
