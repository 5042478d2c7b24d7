#include "admin/members.h"
#include "admin/resources.h"

/* What a body may say of a key. */
struct key_form {
    struct store_key key;
    struct sha256 hash;
    int64_t overlap_s;
};

static const struct member key_members[] = {
    {"name", MEMBER_TEXT, offsetof(struct key_form, key.name), false},
    {"expires_at", MEMBER_TIME, offsetof(struct key_form, key.expires_unix_ns), false},
    {"sha256", MEMBER_HASH, offsetof(struct key_form, hash), false},
    POLICY_MEMBERS(offsetof(struct key_form, key.policy)),
};

static const struct member key_changes[] = {
    {"name", MEMBER_TEXT, offsetof(struct key_form, key.name), false},
    {"expires_at", MEMBER_TIME, offsetof(struct key_form, key.expires_unix_ns), false},
    {"is_active", MEMBER_BOOL, offsetof(struct key_form, key.is_active), false},
    POLICY_MEMBERS(offsetof(struct key_form, key.policy)),
};

static const struct member rotate_members[] = {
    {"overlap_seconds", MEMBER_COUNT, offsetof(struct key_form, overlap_s), false},
};

static void render_new_key(struct admin_job *job, const struct store_key *k, const char *key_text)
{
    job->status = 201;
    render_key(&job->out, k);
    if (key_text) {
        job->out.len--;
        text_add_json_key(&job->out, "api_key");
        text_add_json_string(&job->out, slice_of(key_text, AUTH_KEY_BYTES));
        TEXT_ADD(&job->out, "}");
    }
}

static void create_work(struct admin_job *job, struct store_db *db)
{
    struct key_form form = {0};
    struct store_tenant tenant;
    char key_text[AUTH_KEY_BYTES + 1];
    enum err e = store_tenant_get(db, &job->arena, job->tenant, &tenant);
    make_key(&job->arena, job->tenant, &form.key, key_text);
    if (e == OK) {
        if (!members_read(job, key_members, ARRAY_LEN(key_members), &form)) {
            return;
        }
        bool is_imported = members_has(job, "sha256");
        if (is_imported) {
            form.key.hash = form.hash;
            form.key.hint = SLICE("(imported)");
        }
        struct store_audit audit = job_audit(job, is_imported ? "key.import" : "key.create",
                                             job_id_text(job, form.key.id));
        e = store_key_insert(db, &form.key, &audit);
        if (e == OK) {
            render_new_key(job, &form.key, is_imported ? NULL : key_text);
        }
    }
    secret_wipe(key_text, sizeof(key_text));
    if (e != OK) {
        job_fail_err(job, db, e, e == E_CONFLICT ? "A key with this hash" : "Tenant");
    }
}

static void submit(struct door *d, admin_work_fn work, struct id tenant, struct id key)
{
    struct admin_job *job = job_new(d, work, true);
    if (job) {
        job->tenant = tenant;
        job->key = key;
        if (job_parse_body(job)) {
            job_submit(job);
        }
    }
}

void keys_create(struct door *d, struct id tenant)
{
    submit(d, create_work, tenant, (struct id){0});
}

/* --- list --------------------------------------------------------------------------------------
 */

static void add_row(void *ctx, const struct store_key *k)
{
    struct job_page *page = ctx;
    if (page->count++) {
        TEXT_ADD(&page->job->out, ",");
    }
    page->last = k->id;
    render_key(&page->job->out, k);
}

static void list_work(struct admin_job *job, struct store_db *db)
{
    struct job_page page = {.job = job};
    struct store_tenant tenant;
    enum err e = store_tenant_get(db, &job->arena, job->tenant, &tenant);
    TEXT_ADD(&job->out, "{\"data\":[");
    if (e == OK) {
        e = store_key_list(db, job->tenant, job->after, (int)job->number, add_row, &page);
    }
    if (e != OK) {
        job_fail_err(job, db, e, "Tenant");
        return;
    }
    TEXT_ADD(&job->out, "]");
    add_id(&job->out, "next_cursor", page.count == job->number ? page.last : (struct id){0});
    TEXT_ADD(&job->out, "}");
}

void keys_list(struct door *d, struct id tenant)
{
    job_submit_page(d, list_work, tenant);
}

/* --- change ------------------------------------------------------------------------------------
 */

/* The key of the path, which must be the tenant's. */
static enum err get_key(struct admin_job *job, struct store_db *db, struct store_key *out)
{
    enum err e = store_key_get(db, &job->arena, job->key, out);
    return e == OK && !id_eq(out->tenant, job->tenant) ? E_NOT_FOUND : e;
}

static void patch_work(struct admin_job *job, struct store_db *db)
{
    struct key_form form = {0};
    enum err e = get_key(job, db, &form.key);
    if (e == OK) {
        if (!members_read(job, key_changes, ARRAY_LEN(key_changes), &form)) {
            return;
        }
        struct store_audit audit = job_audit(job, "key.update", job_id_text(job, form.key.id));
        e = store_key_update(db, &form.key, &audit);
    }
    if (e != OK) {
        job_fail_err(job, db, e, "Key");
        return;
    }
    render_key(&job->out, &form.key);
}

void keys_patch(struct door *d, struct id tenant, struct id key)
{
    submit(d, patch_work, tenant, key);
}

static void delete_work(struct admin_job *job, struct store_db *db)
{
    struct store_key key;
    enum err e = get_key(job, db, &key);
    if (e == OK) {
        key.is_active = false;
        struct store_audit audit = job_audit(job, "key.revoke", job_id_text(job, key.id));
        e = store_key_update(db, &key, &audit);
    }
    if (e != OK) {
        job_fail_err(job, db, e, "Key");
        return;
    }
    render_key(&job->out, &key);
}

void keys_delete(struct door *d, struct id tenant, struct id key)
{
    submit(d, delete_work, tenant, key);
}

/* A new key with the old one's limits; the old one expires after the overlap. */
static void rotate_work(struct admin_job *job, struct store_db *db)
{
    struct key_form form = {0};
    struct store_key fresh;
    char key_text[AUTH_KEY_BYTES + 1];
    if (!members_read(job, rotate_members, ARRAY_LEN(rotate_members), &form)) {
        return;
    }
    enum err e = get_key(job, db, &form.key);
    make_key(&job->arena, job->tenant, &fresh, key_text);
    if (e == OK) {
        fresh.name = form.key.name;
        fresh.policy = form.key.policy;
        struct store_audit audit = job_audit(job, "key.create", job_id_text(job, fresh.id));
        e = store_key_insert(db, &fresh, &audit);
        if (e == OK) {
            int64_t overlap_s = i64_min(i64_max(form.overlap_s, 0), INT64_C(365) * 86400);
            int64_t until_ns = clock_unix_ns() + overlap_s * NS_PER_S;
            int64_t before_ns = form.key.expires_unix_ns;
            form.key.expires_unix_ns = before_ns ? i64_min(before_ns, until_ns) : until_ns;
            form.key.is_active = form.key.is_active && overlap_s > 0; /* a revoked one stays so */
            audit = job_audit(job, "key.rotate", job_id_text(job, form.key.id));
            e = store_key_update(db, &form.key, &audit);
        }
    }
    if (e == OK) {
        render_new_key(job, &fresh, key_text);
    } else {
        job_fail_err(job, db, e, "Key");
    }
    secret_wipe(key_text, sizeof(key_text));
}

void keys_rotate(struct door *d, struct id tenant, struct id key)
{
    submit(d, rotate_work, tenant, key);
}
