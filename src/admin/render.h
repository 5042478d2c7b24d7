/* admin/render.h -- tenants, keys and usage as JSON, and what a new one starts with. Shared with
 * the command line: needs no request and no job. */
#ifndef ADMIN_RENDER_H
#define ADMIN_RENDER_H

#include "core/text.h"
#include "gateway/conf.h"

void add_id(struct text *t, const char *name, struct id id);      /* null for zero */
void add_time(struct text *t, const char *name, int64_t unix_ns); /* null for 0 */

extern const char *const budget_period_names[BUDGET_PERIODS]; /* "day" ... */

/* A tenant with every limit absent but the default rate. */
struct store_policy default_policy(const struct gateway_conf *conf);
/* Makes a key for the tenant: fills *out_key (texts in the arena) and the key's text
 * (AUTH_KEY_BYTES + 1), which is shown once and then wiped by the caller. */
void make_key(struct arena *arena, struct id tenant, struct store_key *out_key, char *out_text);

/* The policy's members, each after a comma. */
void members_render_policy(struct text *out, const struct store_policy *p);
/* Whole objects. */
void render_tenant(struct text *out, const struct store_tenant *t);
void render_key(struct text *out, const struct store_key *k);
void render_usage_row(struct text *out, const struct store_usage_row *r);

/* Of the prompt, read from the provider's prompt cache; in ten thousandths. */
int64_t render_cache_read_share(const struct store_usage_row *r);

#endif
