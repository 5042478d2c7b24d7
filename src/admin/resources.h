/* admin/resources.h -- what the admin API can do; each takes over the door and leads to one answer.
 */
#ifndef ADMIN_RESOURCES_H
#define ADMIN_RESOURCES_H

#include "admin/job.h"

void tenants_create(struct door *d);
void tenants_list(struct door *d);
void tenants_get(struct door *d, struct id tenant);
void tenants_patch(struct door *d, struct id tenant);
void tenants_delete(struct door *d, struct id tenant);
void tenants_usage(struct door *d, struct id tenant);

void keys_create(struct door *d, struct id tenant);
void keys_list(struct door *d, struct id tenant);
void keys_patch(struct door *d, struct id tenant, struct id key);
void keys_delete(struct door *d, struct id tenant, struct id key);
void keys_rotate(struct door *d, struct id tenant, struct id key);

/* who NULL: admin, any tenant's */
void requests_get(struct door *d, struct slice id_text, const struct auth_who *who);
void audit_list(struct door *d);
void explain_get(struct door *d);
void prices_get(struct door *d);
void cache_get(struct door *d);
void cache_delete(struct door *d);
void state_get(struct door *d);
void reload_post(struct door *d);

void health_get(struct door *d);
void ready_get(struct door *d);
void metrics_get(struct door *d);
void openapi_get(struct door *d);
void docs_get(struct door *d);

/* admin/openapi.json and docs.html, embedded by the build. */
extern const char admin_openapi[];
extern const size_t admin_openapi_len;
extern const char admin_docs[];
extern const size_t admin_docs_len;

#endif
