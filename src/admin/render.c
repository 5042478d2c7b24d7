/* Tenants, keys and usage as JSON, and what a new one starts with: the admin API and the command
 * line. Nothing here knows a request. */
#include "admin/render.h"

#include "auth/auth.h"
#include "core/clock.h"

enum { KEY_HINT_BYTES = 12 };

void add_id(struct text *t, const char *name, struct id id)
{
    text_add_json_key(t, name);
    if (id_is_zero(id)) {
        TEXT_ADD(t, "null");
        return;
    }
    char text[ID_TEXT_BYTES];
    id_format(id, text);
    text_add_json_string(t, slice_of(text, sizeof(text)));
}

void add_time(struct text *t, const char *name, int64_t unix_ns)
{
    text_add_json_key(t, name);
    if (unix_ns == 0) {
        TEXT_ADD(t, "null");
        return;
    }
    char time[CLOCK_RFC3339_BYTES + 1];
    size_t len = clock_rfc3339(unix_ns, time);
    text_add_json_string(t, slice_of(time, len));
}

struct store_policy default_policy(const struct gateway_conf *conf)
{
    return (struct store_policy){.rate_per_min = conf->default_rate_limit,
                                 .tokens_per_min = -1,
                                 .concurrent_max = -1,
                                 .budget_nusd = {-1, -1, -1, -1},
                                 .audit_level = SLICE("metadata")};
}

void make_key(struct arena *arena, struct id tenant, struct store_key *out_key, char *out_text)
{
    auth_key_make(out_text);
    *out_key = (struct store_key){
        .id = id_random(),
        .tenant = tenant,
        .hash = auth_key_hash(slice_of(out_text, AUTH_KEY_BYTES)),
        .name = SLICE("default"),
        .hint = arena_printf(arena, "%.*s...", (int)KEY_HINT_BYTES, out_text),
        .policy = {.rate_per_min = -1,
                   .tokens_per_min = -1,
                   .concurrent_max = -1,
                   .budget_nusd = {-1, -1, -1, -1}},
        .is_active = true,
        .created_unix_ns = clock_unix_ns(),
    };
}

const char *const budget_period_names[BUDGET_PERIODS] = {"day", "week", "month", "total"};

static void render_count(struct text *out, const char *name, int64_t value)
{
    text_add_json_key(out, name);
    if (value < 0) {
        TEXT_ADD(out, "null");
    } else {
        text_add_i64(out, value);
    }
}

static void render_usd(struct text *out, const char *name, int64_t nusd)
{
    text_add_json_key(out, name);
    if (nusd < 0) {
        TEXT_ADD(out, "null");
    } else {
        text_add_usd(out, nusd);
    }
}

static void render_word(struct text *out, const char *name, struct slice word)
{
    text_add_json_key(out, name);
    if (word.len) {
        text_add_json_string(out, word);
    } else {
        TEXT_ADD(out, "null");
    }
}

void members_render_policy(struct text *out, const struct store_policy *p)
{
    bool is_first = true;
    render_count(out, "rate_limit", p->rate_per_min);
    render_count(out, "tokens_per_minute", p->tokens_per_min);
    render_count(out, "max_concurrent", p->concurrent_max);
    render_usd(out, "daily_budget", p->budget_nusd[BUDGET_DAY]);
    render_usd(out, "weekly_budget", p->budget_nusd[BUDGET_WEEK]);
    render_usd(out, "monthly_budget", p->budget_nusd[BUDGET_MONTH]);
    render_usd(out, "total_budget", p->budget_nusd[BUDGET_TOTAL]);
    text_add_json_key(out, "soft_budgets");
    TEXT_ADD(out, "[");
    for (size_t i = 0; i < BUDGET_PERIODS; i++) {
        if (p->soft_budgets & (1u << i)) {
            text_addf(out, "%s\"%s\"", is_first ? "" : ",", budget_period_names[i]);
            is_first = false;
        }
    }
    TEXT_ADD(out, "]");
    text_add_json_key(out, "allowed_models");
    text_add(out, p->allowed_models.len ? p->allowed_models : SLICE("null"));
    render_word(out, "cache", p->cache_mode);
    render_word(out, "audit_level", p->audit_level);
}

void render_tenant(struct text *out, const struct store_tenant *t)
{
    TEXT_ADD(out, "{");
    add_id(out, "tenant_id", t->id);
    text_add_json_key(out, "name");
    text_add_json_string(out, t->name);
    add_id(out, "parent_id", t->parent);
    members_render_policy(out, &t->policy);
    text_add_json_key(out, "is_active");
    text_add(out, t->is_active ? SLICE("true") : SLICE("false"));
    add_time(out, "created_at", t->created_unix_ns);
    TEXT_ADD(out, "}");
}

void render_key(struct text *out, const struct store_key *k)
{
    TEXT_ADD(out, "{");
    add_id(out, "key_id", k->id);
    add_id(out, "tenant_id", k->tenant);
    text_add_json_key(out, "name");
    text_add_json_string(out, k->name);
    text_add_json_key(out, "hint");
    text_add_json_string(out, k->hint);
    members_render_policy(out, &k->policy);
    text_add_json_key(out, "is_active");
    text_add(out, k->is_active ? SLICE("true") : SLICE("false"));
    add_time(out, "expires_at", k->expires_unix_ns);
    add_time(out, "created_at", k->created_unix_ns);
    TEXT_ADD(out, "}");
}

int64_t render_cache_read_share(const struct store_usage_row *r)
{
    enum { WHOLE = 10000 };
    if (r->prompt_tokens < WHOLE) {
        return r->prompt_tokens > 0 ? r->cache_read_tokens * WHOLE / r->prompt_tokens : 0;
    }
    bool is_huge = r->cache_read_tokens > INT64_MAX / WHOLE;
    return is_huge ? r->cache_read_tokens / (r->prompt_tokens / WHOLE)
                   : r->cache_read_tokens * WHOLE / r->prompt_tokens;
}

void render_usage_row(struct text *out, const struct store_usage_row *r)
{
    TEXT_ADD(out, "{");
    text_add_json_key(out, "provider");
    text_add_json_string(out, r->provider);
    text_add_json_key(out, "requests");
    text_add_i64(out, r->requests);
    text_add_json_key(out, "tokens");
    text_add_i64(out, r->tokens);
    text_add_json_key(out, "cost");
    text_add_usd(out, r->cost_nusd);
    text_add_json_key(out, "avg_latency_ms");
    text_addf(out, "%lld.%03lld", (long long)(r->latency_avg_us / 1000),
              (long long)(r->latency_avg_us % 1000));
    text_add_json_key(out, "prompt_tokens");
    text_add_i64(out, r->prompt_tokens);
    text_add_json_key(out, "cache_read_tokens");
    text_add_i64(out, r->cache_read_tokens);
    text_add_json_key(out, "cache_write_5m_tokens");
    text_add_i64(out, r->cache_write_5m_tokens);
    text_add_json_key(out, "cache_write_1h_tokens");
    text_add_i64(out, r->cache_write_1h_tokens);
    int64_t share = render_cache_read_share(r);
    text_add_json_key(out, "cache_read_share");
    text_addf(out, "%lld.%04lld", (long long)(share / 10000), (long long)(share % 10000));
    text_add_json_key(out, "saved");
    text_add_usd(out, r->saved_nusd);
    TEXT_ADD(out, "}");
}
