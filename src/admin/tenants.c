#include "admin/members.h"
#include "admin/resources.h"

static const struct member tenant_members[] = {
    {"name", MEMBER_TEXT, offsetof(struct store_tenant, name), true},
    {"parent_id", MEMBER_ID, offsetof(struct store_tenant, parent), false},
    POLICY_MEMBERS(offsetof(struct store_tenant, policy)),
};

/* The same without a required name, and with is_active. */
static const struct member tenant_changes[] = {
    {"name", MEMBER_TEXT, offsetof(struct store_tenant, name), false},
    {"parent_id", MEMBER_ID, offsetof(struct store_tenant, parent), false},
    {"is_active", MEMBER_BOOL, offsetof(struct store_tenant, is_active), false},
    POLICY_MEMBERS(offsetof(struct store_tenant, policy)),
};

/* --- create ------------------------------------------------------------------------------------
 */

static void create_work(struct admin_job *job, struct store_db *db)
{
    struct store_tenant t = {.id = id_random(),
                             .policy = default_policy(job->door->conf),
                             .is_active = true,
                             .created_unix_ns = clock_unix_ns()};
    if (!members_read(job, tenant_members, ARRAY_LEN(tenant_members), &t)) {
        return;
    }
    struct store_key key;
    char key_text[AUTH_KEY_BYTES + 1];
    make_key(&job->arena, t.id, &key, key_text);
    struct store_audit audit = job_audit(job, "tenant.create", job_id_text(job, t.id));
    enum err e = store_tenant_insert(db, &t, &key, &audit);
    if (e != OK) {
        job_fail_err(job, db, e, e == E_NOT_FOUND ? "parent tenant" : "tenant");
    } else {
        struct text *out = &job->out;
        job->status = 201;
        render_tenant(out, &t);
        out->len--; /* the closing brace: the key follows, shown this once */
        add_id(out, "key_id", key.id);
        text_add_json_key(out, "api_key");
        text_add_json_string(out, slice_of(key_text, AUTH_KEY_BYTES));
        TEXT_ADD(out, "}");
    }
    secret_wipe(key_text, sizeof(key_text));
}

void tenants_create(struct door *d)
{
    struct admin_job *job = job_new(d, create_work, true);
    if (job && job_parse_body(job)) {
        job_submit(job);
    }
}

/* --- list, get ---------------------------------------------------------------------------------
 */

static void add_tenant_row(void *ctx, const struct store_tenant *t)
{
    struct job_page *page = ctx;
    if (page->count++) {
        TEXT_ADD(&page->job->out, ",");
    }
    page->last = t->id;
    render_tenant(&page->job->out, t);
}

static void list_work(struct admin_job *job, struct store_db *db)
{
    struct job_page page = {.job = job};
    TEXT_ADD(&job->out, "{\"data\":[");
    enum err e = store_tenant_list(db, job->after, (int)job->number, add_tenant_row, &page);
    if (e != OK) {
        job_fail_err(job, db, e, "tenant");
        return;
    }
    TEXT_ADD(&job->out, "]");
    add_id(&job->out, "next_cursor", page.count == job->number ? page.last : (struct id){0});
    TEXT_ADD(&job->out, "}");
}

void tenants_list(struct door *d)
{
    job_submit_page(d, list_work, (struct id){0});
}

static void get_work(struct admin_job *job, struct store_db *db)
{
    struct store_tenant t;
    enum err e = store_tenant_get(db, &job->arena, job->tenant, &t);
    if (e != OK) {
        job_fail_err(job, db, e, "Tenant");
        return;
    }
    render_tenant(&job->out, &t);
}

void tenants_get(struct door *d, struct id tenant)
{
    struct admin_job *job = job_new(d, get_work, false);
    if (job) {
        job->tenant = tenant;
        job_submit(job);
    }
}

/* --- change ------------------------------------------------------------------------------------
 */

static void patch_work(struct admin_job *job, struct store_db *db)
{
    struct store_tenant t;
    enum err e = store_tenant_get(db, &job->arena, job->tenant, &t);
    if (e == OK) {
        if (!members_read(job, tenant_changes, ARRAY_LEN(tenant_changes), &t)) {
            return;
        }
        struct store_audit audit = job_audit(job, "tenant.update", job_id_text(job, t.id));
        e = store_tenant_update(db, &t, &audit);
    }
    if (e == E_CONFLICT) { /* names may be shared: only its place in the tree can be in conflict */
        job_fail(job, 409, "%s", store_db_error(db));
        return;
    }
    if (e != OK) {
        job_fail_err(job, db, e, "Tenant");
        return;
    }
    render_tenant(&job->out, &t);
}

void tenants_patch(struct door *d, struct id tenant)
{
    struct admin_job *job = job_new(d, patch_work, true);
    if (job) {
        job->tenant = tenant;
        if (job_parse_body(job)) {
            job_submit(job);
        }
    }
}

static void delete_work(struct admin_job *job, struct store_db *db)
{
    struct store_tenant t;
    enum err e = store_tenant_get(db, &job->arena, job->tenant, &t);
    if (e == OK) {
        t.is_active = false;
        struct store_audit audit = job_audit(job, "tenant.deactivate", job_id_text(job, t.id));
        e = store_tenant_update(db, &t, &audit);
    }
    if (e != OK) {
        job_fail_err(job, db, e, "Tenant");
        return;
    }
    render_tenant(&job->out, &t);
}

void tenants_delete(struct door *d, struct id tenant)
{
    struct admin_job *job = job_new(d, delete_work, true);
    if (job) {
        job->tenant = tenant;
        job_submit(job);
    }
}

/* --- usage -------------------------------------------------------------------------------------
 */

static void add_usage_row(void *ctx, const struct store_usage_row *r)
{
    struct job_page *page = ctx;
    if (page->count++) {
        TEXT_ADD(&page->job->out, ",");
    }
    render_usage_row(&page->job->out, r);
}

static void usage_work(struct admin_job *job, struct store_db *db)
{
    struct store_tenant t;
    struct job_page page = {.job = job};
    enum err e = store_tenant_get(db, &job->arena, job->tenant, &t);
    if (e == OK) {
        TEXT_ADD(&job->out, "{");
        add_id(&job->out, "tenant_id", job->tenant);
        text_addf(&job->out, ",\"period_days\":%lld,\"usage_by_provider\":[",
                  (long long)job->number);
        e = store_usage_by_provider(db, job->tenant, clock_unix_ns() - job->number * NS_PER_DAY,
                                    add_usage_row, &page);
    }
    if (e != OK) {
        job_fail_err(job, db, e, "Tenant");
        return;
    }
    TEXT_ADD(&job->out, "]}");
}

void tenants_usage(struct door *d, struct id tenant)
{
    int64_t days = 30;
    if (!door_query_i64(d, "days", 1, 3650, &days)) {
        return;
    }
    struct admin_job *job = job_new(d, usage_work, false);
    if (job) {
        job->tenant = tenant;
        job->number = days;
        job_submit(job);
    }
}
