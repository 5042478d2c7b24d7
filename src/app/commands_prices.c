/* The prices in force: the catalogue, with the configured ones in place of its own. */
#include "app/commands_inside.h"
#include "core/check.h"

#include <string.h>

enum { PROVIDER_COLUMN = 16, MODEL_COLUMN = 44, PRICE_COLUMN = 10, COUNT_COLUMN = 10 };

/* The override that route/ would take; the first that fits. */
static const struct price_override *find_override(const struct gateway_conf *conf,
                                                  struct slice provider, struct slice model)
{
    for (size_t i = 0; i < conf->price_count; i++) {
        const struct price_override *o = &conf->prices[i];
        if (slice_eq(o->model, model) &&
            (o->provider.len == 0 || slice_eq(o->provider, provider))) {
            return o;
        }
    }
    return NULL;
}

static bool is_wanted(const struct command *c, struct slice provider, struct slice model)
{
    struct slice part = slice_str(c->cmd->model_part);
    if (c->cmd->provider && !slice_eq(provider, slice_str(c->cmd->provider))) {
        return false;
    }
    return part.len == 0 || slice_search(model, part) < model.len;
}

static void add_usd(struct text *out, const char *name, int64_t nusd)
{
    text_add_json_key(out, name);
    if (nusd < 0) {
        TEXT_ADD(out, "null");
    } else {
        text_add_usd(out, nusd);
    }
}

static void add_count(struct text *out, const char *name, int64_t value)
{
    text_add_json_key(out, name);
    if (value < 0) {
        TEXT_ADD(out, "null");
    } else {
        text_add_i64(out, value);
    }
}

static void add_rates(struct text *out, const struct price_rates *r)
{
    add_usd(out, "input_usd_per_1m_tokens", r->input);
    add_usd(out, "output_usd_per_1m_tokens", r->output);
    add_usd(out, "cache_read_usd_per_1m_tokens", r->cache_read);
    add_usd(out, "cache_write_5m_usd_per_1m_tokens", r->cache_write_5m);
    add_usd(out, "cache_write_1h_usd_per_1m_tokens", r->cache_write_1h);
    add_usd(out, "reasoning_usd_per_1m_tokens", r->reasoning);
}

struct priced {
    struct slice provider, model; /* provider empty: any */
    const struct route_model *facts;
    const struct price *price;
    bool is_configured;
};

static void add_json(struct command *c, const struct priced *p)
{
    struct text out = command_row(c);
    text_add(&out, c->rows++ ? SLICE(",\n{") : SLICE("{"));
    text_add_json_key(&out, "provider");
    if (p->provider.len) {
        text_add_json_string(&out, p->provider);
    } else {
        TEXT_ADD(&out, "null");
    }
    text_add_json_key(&out, "model");
    text_add_json_string(&out, p->model);
    add_rates(&out, &p->price->base);
    add_usd(&out, "usd_per_request", p->price->per_request_nusd);
    text_add_json_key(&out, "tiers");
    TEXT_ADD(&out, "[");
    for (size_t i = 0; i < p->price->tier_count; i++) {
        text_add(&out, i ? SLICE(",{") : SLICE("{"));
        add_count(&out, "above_prompt_tokens", p->price->tiers[i].above_prompt_tokens);
        add_rates(&out, &p->price->tiers[i].rates);
        TEXT_ADD(&out, "}");
    }
    TEXT_ADD(&out, "]");
    add_count(&out, "context_max_tokens", p->facts->context_max_tokens);
    add_count(&out, "output_max_tokens", p->facts->output_max_tokens);
    text_add_json_key(&out, "source");
    text_add(&out, p->is_configured ? SLICE("\"configured\"}") : SLICE("\"catalogue\"}"));
    command_row_end(c, &out);
}

static void print_rates(struct command *c, const struct price_rates *r)
{
    command_usd_cell(c, r->input, PRICE_COLUMN);
    command_usd_cell(c, r->output, PRICE_COLUMN);
    command_usd_cell(c, r->cache_read, PRICE_COLUMN);
}

static void print_line(struct command *c, const struct priced *p)
{
    c->rows++;
    command_cell(c, p->provider.len ? p->provider : SLICE("(any)"), PROVIDER_COLUMN);
    command_cell(c, p->model, MODEL_COLUMN);
    print_rates(c, &p->price->base);
    command_number_cell(c, p->facts->context_max_tokens, COUNT_COLUMN);
    (void)fputs(p->is_configured ? "  configured\n" : "  catalogue\n", c->out);
    if (p->price->per_request_nusd > 0) {
        command_cell(c, SLICE_NONE, PROVIDER_COLUMN);
        command_cell(c, SLICE("  and for each request"), MODEL_COLUMN);
        command_usd_cell(c, p->price->per_request_nusd, PRICE_COLUMN);
        (void)fputc('\n', c->out);
    }
    for (size_t i = 0; i < p->price->tier_count; i++) {
        char label[MODEL_COLUMN + 1];
        int n = snprintf(label, sizeof(label), "  above %lld prompt tokens",
                         (long long)p->price->tiers[i].above_prompt_tokens);
        command_cell(c, SLICE_NONE, PROVIDER_COLUMN);
        command_cell(c, slice_of(label, size_min(n > 0 ? (size_t)n : 0, sizeof(label) - 1)),
                     MODEL_COLUMN);
        print_rates(c, &p->price->tiers[i].rates);
        (void)fputc('\n', c->out);
    }
}

static void show(struct command *c, const struct priced *p)
{
    if (c->cmd->is_json) {
        add_json(c, p);
    } else {
        print_line(c, p);
    }
}

static void show_listed(void *ctx, struct slice provider, struct slice model,
                        const struct route_model *facts)
{
    struct command *c = ctx;
    if (is_wanted(c, provider, model)) {
        const struct price_override *o = find_override(c->conf, provider, model);
        struct priced p = {provider, model, facts, o ? &o->price : &facts->price, o != NULL};
        show(c, &p);
    }
}

/* Configured for a model that the catalogue does not list at that provider; of equal ones the
 * first, which is the one in force. */
static void show_configured(struct command *c)
{
    static const struct route_model unknown = {.context_max_tokens = -1, .output_max_tokens = -1};
    struct route_model facts;
    for (size_t i = 0; i < c->conf->price_count; i++) {
        const struct price_override *o = &c->conf->prices[i];
        bool is_listed =
            o->provider.len && catalogue_find(o->provider, o->model, &facts) && !facts.is_family;
        bool is_first = find_override(c->conf, o->provider, o->model) == o;
        if (!is_listed && is_first && is_wanted(c, o->provider, o->model)) {
            struct priced p = {o->provider, o->model, &unknown, &o->price, true};
            show(c, &p);
        }
    }
}

static void print_title(struct command *c)
{
    (void)fprintf(c->out, "USD per 1M tokens; catalogue of %.*s\n\n", SLICE_ARG(catalogue_date()));
    command_cell(c, SLICE("PROVIDER"), PROVIDER_COLUMN);
    command_cell(c, SLICE("MODEL"), MODEL_COLUMN);
    (void)fprintf(c->out, "%*s%*s%*s%*s  SOURCE\n", PRICE_COLUMN, "INPUT", PRICE_COLUMN, "OUTPUT",
                  PRICE_COLUMN, "CACHED", COUNT_COLUMN, "CONTEXT");
}

int command_prices(struct command *c)
{
    if (c->cmd->is_json) {
        struct text out = command_row(c);
        TEXT_ADD(&out, "{\"catalogue_date\":");
        text_add_json_string(&out, catalogue_date());
        TEXT_ADD(&out, ",\"data\":[");
        command_row_end(c, &out);
    } else {
        print_title(c);
    }
    catalogue_each(show_listed, c);
    show_configured(c);
    if (c->cmd->is_json) {
        (void)fputs("]}\n", c->out);
    } else if (c->rows == 0) {
        return command_fail(c, "no price is known for that provider and model");
    }
    return CLI_EXIT_DONE;
}
