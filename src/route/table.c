/* Building the table: providers in order, entries, listed models, the catalogue's names. */
#include "core/check.h"
#include "core/hash.h"
#include "route/inside.h"

#include <assert.h>

struct build {
    const struct route_table_conf *conf;
    struct route_table *t;
    struct slice why; /* the entry at fault */
};

static enum err fault(struct build *b, struct slice why)
{
    b->why = why.ptr ? why : SLICE("no memory to say what is wrong with the models");
    return E_CONFIG;
}

/* ---- providers ---- */

struct alias {
    struct slice from, to;
};

/* Names people give to providers, and hosts, that mean a provider of the catalogue. */
static const struct alias names[] = {
    {SLICE_INIT("aws"), SLICE_INIT("bedrock")},
    {SLICE_INIT("fireworks"), SLICE_INIT("fireworks_ai")},
    {SLICE_INIT("google"), SLICE_INIT("gemini")},
    {SLICE_INIT("together"), SLICE_INIT("together_ai")},
    {SLICE_INIT("vertex"), SLICE_INIT("vertex_ai")},
    {SLICE_INIT("x-ai"), SLICE_INIT("xai")},
};
static const struct alias hosts[] = {
    {SLICE_INIT("api.openai.com"), SLICE_INIT("openai")},
    {SLICE_INIT(".openai.azure.com"), SLICE_INIT("azure")},
    {SLICE_INIT("api.anthropic.com"), SLICE_INIT("anthropic")},
    {SLICE_INIT(".amazonaws.com"), SLICE_INIT("bedrock")},
    {SLICE_INIT("generativelanguage.googleapis.com"), SLICE_INIT("gemini")},
    {SLICE_INIT("aiplatform.googleapis.com"), SLICE_INIT("vertex_ai")},
    {SLICE_INIT("api.groq.com"), SLICE_INIT("groq")},
    {SLICE_INIT("api.mistral.ai"), SLICE_INIT("mistral")},
    {SLICE_INIT("api.deepseek.com"), SLICE_INIT("deepseek")},
    {SLICE_INIT("api.x.ai"), SLICE_INIT("xai")},
    {SLICE_INIT("openrouter.ai"), SLICE_INIT("openrouter")},
    {SLICE_INIT("api.together.xyz"), SLICE_INIT("together_ai")},
    {SLICE_INIT("api.fireworks.ai"), SLICE_INIT("fireworks_ai")},
    {SLICE_INIT("api.perplexity.ai"), SLICE_INIT("perplexity")},
    {SLICE_INIT("api.cerebras.ai"), SLICE_INIT("cerebras")},
};

static struct slice catalogue_by_name(struct slice name)
{
    if (catalogue_has_provider(name)) {
        return name;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(names[i].from, name)) {
            return names[i].to;
        }
    }
    return SLICE_NONE;
}

/* By name, by host, or by what stands before a '-' or '_' of the name: "azure-eu" is azure. */
static struct slice catalogue_name(const struct route_provider *p)
{
    struct slice found = catalogue_by_name(p->name);
    if (found.len || p->is_free) {
        return found;
    }
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        if (slice_ends(p->dest.host, hosts[i].from)) {
            return hosts[i].to;
        }
    }
    for (size_t len = p->name.len; len-- > 1;) {
        if (p->name.ptr[len] == '-' || p->name.ptr[len] == '_') {
            found = catalogue_by_name(slice_head(p->name, len));
            if (found.len) {
                return found;
            }
        }
    }
    return SLICE_NONE;
}

static enum err add_seat(struct build *b, const struct route_provider *p)
{
    struct route_table *t = b->t;
    if (p->name.len == 0 || slice_find(p->name, '/') < p->name.len) {
        return fault(b,
                     arena_printf(t->arena, "provider \"%.*s\": a name is not empty and has no '/'",
                                  SLICE_ARG(p->name)));
    }
    if (table_seat(t, p->name)) {
        return fault(
            b, arena_printf(t->arena, "provider \"%.*s\" is given twice", SLICE_ARG(p->name)));
    }
    struct slice any = arena_printf(t->arena, "%.*s/*", SLICE_ARG(p->name));
    struct route_seat *seat = &t->seats[t->seat_count];
    *seat = (struct route_seat){.provider = p, .catalogue = catalogue_name(p)};
    seat->any = any.ptr ? health_node(t->health, any) : NULL;
    t->seat_count++;
    return seat->any ? OK : E_NOMEM;
}

static bool is_in_order(const struct route_table_conf *conf, struct slice name)
{
    for (size_t i = 0; i < conf->fallback_count; i++) {
        if (slice_eq(conf->fallback_order[i], name)) {
            return true;
        }
    }
    return false;
}

static enum err add_fallback(struct build *b, struct route_seat *seat)
{
    if (seat->provider->fallback_model.len == 0 || !is_in_order(b->conf, seat->provider->name)) {
        return OK;
    }
    seat->fallback = (struct route_target){
        .provider = seat->provider, .model = seat->provider->fallback_model, .weight = 1};
    table_facts(b->t, seat, seat->fallback.model, &seat->fallback.facts);
    seat->has_fallback = true;
    return table_name_health(b->t, &seat->fallback);
}

/* Names of the order that are not configured are passed over: the default order names providers
 * that most installations do not have. */
static enum err add_seats(struct build *b)
{
    const struct route_table_conf *conf = b->conf;
    if (conf->provider_count > ROUTE_PROVIDERS_MAX) {
        return fault(b, SLICE("too many providers: 64 at most"));
    }
    enum err e = OK;
    for (size_t k = 0; k < conf->fallback_count; k++) {
        for (size_t i = 0; i < conf->provider_count && e == OK; i++) {
            if (slice_eq(conf->providers[i].name, conf->fallback_order[k]) &&
                !table_seat(b->t, conf->providers[i].name)) {
                e = add_seat(b, &conf->providers[i]);
            }
        }
    }
    for (size_t i = 0; i < conf->provider_count && e == OK; i++) {
        const struct route_seat *seat = table_seat(b->t, conf->providers[i].name);
        if (!seat || seat->provider != &conf->providers[i]) {
            e = add_seat(b, &conf->providers[i]);
        }
    }
    for (size_t i = 0; i < b->t->seat_count && e == OK; i++) {
        e = add_fallback(b, &b->t->seats[i]);
    }
    return e;
}

/* ---- names ---- */

static size_t slot_of(const struct route_table *t, struct slice name)
{
    size_t at = (size_t)siphash(t->key, name) & t->slot_mask;
    assert(t->names && t->slots);
    while (t->slots[at] != 0 && !slice_eq(t->names[t->slots[at] - 1].name, name)) {
        at = (at + 1) & t->slot_mask;
    }
    return at;
}

const struct route_name *table_find(const struct route_table *t, struct slice name)
{
    uint32_t found = t->slots[slot_of(t, name)];
    return found ? &t->names[found - 1] : NULL;
}

/* False: no more names have plans of their own; they are planned when asked for. */
static bool add_name(struct route_table *t, struct slice name, const struct route_plan *plan)
{
    if (t->name_count == t->name_cap) {
        return false;
    }
    size_t at = slot_of(t, name);
    assert(t->names && t->slots[at] == 0 && plan->count > 0);
    t->names[t->name_count] =
        (struct route_name){.name = name, .plan = *plan, .owner = plan->targets[0].provider->name};
    t->slots[at] = (uint32_t)++t->name_count;
    return true;
}

/* Upper bound of the names there can be; the slots are at least twice as many. */
static enum err size_names(struct build *b)
{
    struct route_table *t = b->t;
    size_t listed = b->conf->entry_count;
    size_t priced = 0;
    for (size_t i = 0; i < t->seat_count; i++) {
        const struct route_seat *seat = &t->seats[i];
        listed += seat->provider->model_count;
        if (seat->provider->model_count == 0 && !seat->provider->passes_unknown) {
            priced += catalogue_count(seat->catalogue);
        }
    }
    t->name_cap = size_min(listed, ROUTE_NAMES_MAX) + size_min(priced, ROUTE_CATALOGUE_NAMES_MAX);
    size_t slots = 16;
    while (slots < t->name_cap * 2) {
        slots *= 2;
    }
    t->slot_mask = slots - 1;
    t->names = arena_array(t->arena, t->name_cap + 1, sizeof(*t->names));
    t->slots = arena_array(t->arena, slots, sizeof(*t->slots));
    t->patterns = arena_array(t->arena, b->conf->entry_count + 1, sizeof(*t->patterns));
    return t->names && t->slots && t->patterns ? OK : E_NOMEM;
}

/* ---- entries ---- */

static enum err check_entry(struct build *b, const struct route_entry_conf *entry)
{
    struct arena *a = b->t->arena;
    if (entry->name.len == 0 || entry->name.len > ROUTE_NAME_MAX_BYTES) {
        return fault(b, SLICE("models: a name is empty or longer than 512 bytes"));
    }
    if (entry->tier_count == 0) {
        return fault(b, arena_printf(a, "models.%.*s: no targets", SLICE_ARG(entry->name)));
    }
    if (entry->tier_count > ROUTE_TIERS_MAX) {
        return fault(b, arena_printf(a, "models.%.*s: %zu tiers, %d at most",
                                     SLICE_ARG(entry->name), entry->tier_count, ROUTE_TIERS_MAX));
    }
    size_t count = 0;
    for (size_t i = 0; i < entry->tier_count; i++) {
        if (entry->tier_sizes[i] == 0) {
            return fault(b, arena_printf(a, "models.%.*s: tier %zu is empty",
                                         SLICE_ARG(entry->name), i + 1));
        }
        count += size_min(entry->tier_sizes[i], ROUTE_CANDIDATES_MAX + 1);
    }
    if (count > ROUTE_CANDIDATES_MAX) {
        return fault(b, arena_printf(a, "models.%.*s: more than %d targets", SLICE_ARG(entry->name),
                                     ROUTE_CANDIDATES_MAX));
    }
    return OK;
}

static enum err make_target(struct build *b, const struct route_entry_conf *entry, size_t tier,
                            const struct route_target_conf *conf, struct route_target *out)
{
    const struct route_seat *seat = table_seat(b->t, conf->provider);
    if (!seat) {
        return fault(b, arena_printf(b->t->arena,
                                     "models.%.*s: tier %zu names provider \"%.*s\", which is not "
                                     "configured",
                                     SLICE_ARG(entry->name), tier + 1, SLICE_ARG(conf->provider)));
    }
    if (conf->weight < 1) {
        return fault(b, arena_printf(b->t->arena, "models.%.*s: the weight of \"%.*s\" is below 1",
                                     SLICE_ARG(entry->name), SLICE_ARG(conf->provider)));
    }
    bool is_pattern = slice_find(entry->name, '*') < entry->name.len;
    *out = (struct route_target){.provider = seat->provider,
                                 .model = conf->model.len || is_pattern ? conf->model : entry->name,
                                 .weight = conf->weight,
                                 .tier = (int)tier,
                                 .health = seat->any};
    if (out->model.len == 0) {
        return OK; /* facts and name come with the asked model */
    }
    table_facts(b->t, seat, out->model, &out->facts);
    return table_name_health(b->t, out);
}

static enum err make_entry_plan(struct build *b, const struct route_entry_conf *entry,
                                struct route_plan *out)
{
    size_t count = 0;
    for (size_t i = 0; i < entry->tier_count; i++) {
        count += entry->tier_sizes[i];
    }
    *out = (struct route_plan){.targets = arena_array(b->t->arena, count, sizeof(*out->targets)),
                               .output_cap_tokens =
                                   entry->output_cap_tokens > 0 ? entry->output_cap_tokens : -1};
    if (!out->targets) {
        return E_NOMEM;
    }
    enum err e = OK;
    for (size_t i = 0; i < entry->tier_count; i++) {
        for (size_t k = 0; k < entry->tier_sizes[i] && e == OK; k++) {
            e = make_target(b, entry, i, &entry->tiers[i][k], &out->targets[out->count++]);
        }
    }
    return e;
}

/* Longest first; of two as long as each other the one written first stays first. */
static void add_pattern(struct route_table *t, struct slice glob, const struct route_plan *plan)
{
    bool is_open = false;
    for (size_t i = 0; i < plan->count; i++) {
        is_open |= plan->targets[i].model.len == 0;
    }
    size_t at = t->pattern_count++;
    for (; at > 0 && t->patterns[at - 1].glob.len < glob.len; at--) {
        t->patterns[at] = t->patterns[at - 1];
    }
    t->patterns[at] = (struct route_pattern){.glob = glob, .plan = *plan, .is_open = is_open};
}

static bool has_pattern(const struct route_table *t, struct slice glob)
{
    for (size_t i = 0; i < t->pattern_count; i++) {
        if (slice_eq(t->patterns[i].glob, glob)) {
            return true;
        }
    }
    return false;
}

static enum err add_entries(struct build *b)
{
    for (size_t i = 0; i < b->conf->entry_count; i++) {
        const struct route_entry_conf *entry = &b->conf->entries[i];
        struct route_plan plan;
        enum err e = check_entry(b, entry);
        if (e == OK) {
            e = make_entry_plan(b, entry, &plan);
        }
        if (e != OK) {
            return e;
        }
        if (table_find(b->t, entry->name) || has_pattern(b->t, entry->name)) {
            return fault(
                b, arena_printf(b->t->arena, "models.%.*s is given twice", SLICE_ARG(entry->name)));
        }
        if (slice_find(entry->name, '*') < entry->name.len) {
            add_pattern(b->t, entry->name, &plan);
        } else if (add_name(b->t, entry->name, &plan)) {
            b->t->names[b->t->name_count - 1].is_entry = true;
        } else {
            return fault(b, SLICE("models: too many entries: 8192 at most"));
        }
    }
    return OK;
}

/* ---- what providers list, and what the catalogue prices at them ---- */

static enum err add_known(struct route_table *t, struct slice name)
{
    struct route_plan plan;
    if (table_find(t, name) || t->name_count == t->name_cap || name.len == 0) {
        return OK;
    }
    enum err e = table_plan(t, t->arena, name, true, &plan);
    if (e == OK) {
        (void)add_name(t, name, &plan); /* there is room */
    }
    return e == E_NOT_FOUND ? OK : e;
}

static enum err add_all_known(struct build *b)
{
    struct route_table *t = b->t;
    enum err e = OK;
    for (size_t i = 0; i < t->seat_count; i++) {
        const struct route_provider *p = t->seats[i].provider;
        for (size_t k = 0; k < p->model_count && e == OK; k++) {
            e = add_known(t, p->models[k]);
        }
    }
    for (size_t i = 0; i < t->seat_count; i++) {
        const struct route_seat *seat = &t->seats[i];
        bool counts = seat->provider->model_count == 0 && !seat->provider->passes_unknown;
        size_t count = counts ? catalogue_count(seat->catalogue) : 0;
        for (size_t k = 0; k < count && e == OK; k++) {
            enum route_mode mode;
            struct slice name = catalogue_model(seat->catalogue, k, &mode);
            e = mode == ROUTE_MODE_RESPONSES ? OK : add_known(t, name);
        }
    }
    return e;
}

static enum err build(struct build *b)
{
    enum err e = add_seats(b);
    if (e == OK) {
        e = size_names(b);
    }
    if (e == OK) {
        e = add_entries(b);
    }
    return e == OK ? add_all_known(b) : e;
}

enum err route_table_new(const struct route_table_conf *conf, struct route_table **out,
                         struct slice *out_why)
{
    struct route_table *t = ARENA_NEW(conf->arena, struct route_table);
    struct build b = {.conf = conf, .t = t};
    if (!t) {
        return E_NOMEM;
    }
    t->arena = conf->arena;
    t->health = conf->health;
    t->unknown_price = conf->unknown_price;
    t->overrides = conf->overrides;
    t->override_count = conf->override_count;
    rand_bytes(t->key, sizeof(t->key));
    enum err e = build(&b);
    if (e != OK) {
        *out_why = b.why;
        return e;
    }
    *out = t;
    return OK;
}
