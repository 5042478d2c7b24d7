#include "admin/admin.h"

#include "admin/resources.h"

#include <string.h>

/* --- who may -----------------------------------------------------------------------------------
 */

static bool is_admin_route(const struct api_route *route)
{
    return strcmp(route->path, "{api}/admin/") == 0;
}

static bool is_request_route(const struct api_route *route)
{
    return strcmp(route->path, "{api}/requests/") == 0;
}

/* Constant time; the whole digest is compared. */
static bool check_admin(struct door *d)
{
    struct slice credential = auth_credential(&d->rq->head, d->conf->api_key_header);
    if (!credential.ptr) {
        door_fail(d, 401, "API key missing");
        return false;
    }
    struct sha256 hash = auth_key_hash(credential);
    if (!bytes_eq_const_time(hash.bytes, d->worker->gateway->admin_key_hash.bytes, SHA256_BYTES)) {
        door_fail(d, 401, "Invalid API key");
        return false;
    }
    return true;
}

static bool check_tenant(struct door *d, struct auth_who *who)
{
    struct slice credential = auth_credential(&d->rq->head, d->conf->api_key_header);
    switch (auth_check(d->worker->gateway->directory, credential, clock_unix_ns(), &d->rq->arena,
                       who)) {
    case AUTH_OK: return true;
    case AUTH_MISSING: door_fail(d, 401, "API key missing"); return false;
    case AUTH_INVALID: door_fail(d, 401, "Invalid API key"); return false;
    }
    return false;
}

static bool on_head(struct door *d)
{
    return !is_admin_route(d->route) || check_admin(d);
}

/* --- paths below admin/ ------------------------------------------------------------------------
 */

enum { PATH_PARTS_MAX = 6 };

struct path {
    struct slice parts[PATH_PARTS_MAX];
    size_t count;
    enum http_verb verb;
};

static bool split(struct slice rest, struct path *out)
{
    while (rest.len) {
        size_t slash = slice_find(rest, '/');
        if (out->count == PATH_PARTS_MAX || slash == 0) {
            return false;
        }
        out->parts[out->count++] = slice_head(rest, slash);
        rest = slice_from(rest, slash + 1);
    }
    return true;
}

typedef void (*plain_fn)(struct door *d);

/* One row a resource without ids: what each verb does. */
struct plain_row {
    const char *name;
    enum http_verb verb;
    plain_fn fn;
};

static const struct plain_row plain_rows[] = {
    {"tenants", VERB_GET, tenants_list},  {"tenants", VERB_POST, tenants_create},
    {"audit", VERB_GET, audit_list},      {"explain", VERB_GET, explain_get},
    {"prices", VERB_GET, prices_get},     {"cache", VERB_GET, cache_get},
    {"cache", VERB_DELETE, cache_delete}, {"state", VERB_GET, state_get},
    {"reload", VERB_POST, reload_post},
};

static enum http_verb plain_verb(const struct door *d)
{
    return d->rq->head.verb == VERB_HEAD ? VERB_GET : d->rq->head.verb;
}

/* True: answered. */
static bool dispatch_plain(struct door *d, const struct path *p)
{
    bool is_known = false;
    for (size_t i = 0; i < ARRAY_LEN(plain_rows); i++) {
        if (slice_eq(p->parts[0], slice_str(plain_rows[i].name))) {
            is_known = true;
            if (plain_rows[i].verb == p->verb) {
                plain_rows[i].fn(d);
                return true;
            }
        }
    }
    if (is_known) {
        door_fail(d, 405, "Method Not Allowed");
    }
    return is_known;
}

/* tenants/{id} */
static bool dispatch_tenant(struct door *d, const struct path *p, struct id tenant)
{
    switch (p->verb) {
    case VERB_GET: tenants_get(d, tenant); return true;
    case VERB_PATCH: tenants_patch(d, tenant); return true;
    case VERB_DELETE: tenants_delete(d, tenant); return true;
    case VERB_HEAD:
    case VERB_POST:
    case VERB_PUT:
    case VERB_OPTIONS:
    case VERB_OTHER: break;
    }
    return false;
}

/* tenants/{id}/keys[/{key}[/rotate]] */
static bool dispatch_keys(struct door *d, const struct path *p, struct id tenant)
{
    struct id key;
    if (p->count == 3) {
        if (p->verb == VERB_GET) {
            keys_list(d, tenant);
        } else if (p->verb == VERB_POST) {
            keys_create(d, tenant);
        }
        return p->verb == VERB_GET || p->verb == VERB_POST;
    }
    if (!id_parse(p->parts[3], &key)) {
        door_fail(d, 404, "Key not found");
        return true;
    }
    if (p->count == 5 && slice_eq(p->parts[4], SLICE("rotate")) && p->verb == VERB_POST) {
        keys_rotate(d, tenant, key);
        return true;
    }
    if (p->count == 4 && p->verb == VERB_DELETE) {
        keys_delete(d, tenant, key);
        return true;
    }
    if (p->count == 4 && p->verb == VERB_PATCH) {
        keys_patch(d, tenant, key);
        return true;
    }
    return false;
}

static bool dispatch_below_tenants(struct door *d, const struct path *p)
{
    struct id tenant;
    if (!id_parse(p->parts[1], &tenant)) {
        door_fail(d, 404, "Tenant not found");
        return true;
    }
    if (p->count == 2) {
        return dispatch_tenant(d, p, tenant);
    }
    if (p->count == 3 && slice_eq(p->parts[2], SLICE("usage")) && p->verb == VERB_GET) {
        tenants_usage(d, tenant);
        return true;
    }
    return slice_eq(p->parts[2], SLICE("keys")) && dispatch_keys(d, p, tenant);
}

static void dispatch_admin(struct door *d)
{
    struct path p = {.verb = plain_verb(d)};
    if (!split(d->rest, &p) || p.count == 0) {
        door_fail(d, 404, "Not Found");
        return;
    }
    bool is_answered = false;
    if (p.count == 1) {
        is_answered = dispatch_plain(d, &p);
    } else if (slice_eq(p.parts[0], SLICE("tenants"))) {
        is_answered = dispatch_below_tenants(d, &p);
    } else if (p.count == 2 && slice_eq(p.parts[0], SLICE("requests")) && p.verb == VERB_GET) {
        requests_get(d, p.parts[1], NULL);
        is_answered = true;
    }
    if (!is_answered) {
        door_fail(d, p.count > 1 && slice_eq(p.parts[0], SLICE("tenants")) ? 405 : 404, "%s",
                  p.count > 1 && slice_eq(p.parts[0], SLICE("tenants")) ? "Method Not Allowed"
                                                                        : "Not Found");
    }
}

/* --- the others --------------------------------------------------------------------------------
 */

struct open_row {
    const char *path;
    plain_fn fn;
};

static const struct open_row open_rows[] = {
    {"/", health_get},
    {"/health", health_get},
    {"/health/live", health_get},
    {"/health/ready", ready_get},
    {"/metrics", metrics_get},
    {"{api}/openapi.json", openapi_get},
    {"/docs", docs_get},
};

static void on_body(struct door *d)
{
    if (is_admin_route(d->route)) {
        dispatch_admin(d);
        return;
    }
    if (is_request_route(d->route)) {
        struct auth_who who;
        if (check_tenant(d, &who)) {
            requests_get(d, d->rest, &who);
        }
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(open_rows); i++) {
        if (strcmp(open_rows[i].path, d->route->path) == 0) {
            open_rows[i].fn(d);
            return;
        }
    }
    door_fail(d, 404, "Not Found");
}

const struct door_table admin_doors = {.on_head = on_head, .on_body = on_body};
