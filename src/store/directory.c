/* Tenants, keys and their audit trail. Each change takes the next sequence number, writes its rows
 * and its audit row in one transaction; a reader asks for everything after the number it knows. */
#include "store/db.h"

#include <assert.h>

enum { TENANT_DEPTH_MAX = 8 };

static void bind_policy(sqlite3_stmt *stmt, const struct store_policy *p)
{
    db_bind_absent(stmt, 4, p->rate_per_min);
    db_bind_absent(stmt, 5, p->tokens_per_min);
    db_bind_absent(stmt, 6, p->concurrent_max);
    for (int i = 0; i < BUDGET_PERIODS; i++) {
        db_bind_absent(stmt, 7 + i, p->budget_nusd[i]);
    }
    (void)sqlite3_bind_int(stmt, 11, p->soft_budgets);
    db_bind_text(stmt, 12, p->allowed_models);
    db_bind_text(stmt, 13, p->cache_mode);
    db_bind_text(stmt, 14, p->audit_level);
}

static void read_policy(sqlite3_stmt *stmt, struct store_policy *p)
{
    p->rate_per_min = db_column_absent(stmt, 3);
    p->tokens_per_min = db_column_absent(stmt, 4);
    p->concurrent_max = db_column_absent(stmt, 5);
    for (int i = 0; i < BUDGET_PERIODS; i++) {
        p->budget_nusd[i] = db_column_absent(stmt, 6 + i);
    }
    p->soft_budgets = (uint8_t)sqlite3_column_int(stmt, 10);
    p->allowed_models = db_column_text(stmt, 11);
    p->cache_mode = db_column_text(stmt, 12);
    p->audit_level = db_column_text(stmt, 13);
}

static struct store_tenant read_tenant(sqlite3_stmt *stmt)
{
    struct store_tenant t = {
        .id = db_column_id(stmt, 0),
        .parent = db_column_id(stmt, 1),
        .name = db_column_text(stmt, 2),
        .is_active = sqlite3_column_int(stmt, 14) != 0,
        .created_unix_ns = db_column_time(stmt, 15),
        .changed_seq = sqlite3_column_int64(stmt, 16),
    };
    read_policy(stmt, &t.policy);
    return t;
}

static struct store_key read_key(sqlite3_stmt *stmt)
{
    struct store_key k = {
        .id = db_column_id(stmt, 0),
        .tenant = db_column_id(stmt, 1),
        .name = db_column_text(stmt, 2),
        .is_active = sqlite3_column_int(stmt, 14) != 0,
        .created_unix_ns = db_column_time(stmt, 15),
        .changed_seq = sqlite3_column_int64(stmt, 16),
        .hint = db_column_text(stmt, 18),
        .expires_unix_ns = db_column_time(stmt, 19),
    };
    read_policy(stmt, &k.policy);
    if (sqlite3_column_bytes(stmt, 17) == SHA256_BYTES) { /* the table's CHECK says so */
        memcpy(k.hash.bytes, sqlite3_column_blob(stmt, 17), SHA256_BYTES);
    }
    return k;
}

static enum err next_seq(struct store_db *db, int64_t *out_seq)
{
    return db_get_i64(db, DB_SEQ_NEXT, out_seq);
}

static enum err insert_audit(struct store_db *db, const struct store_audit *audit)
{
    sqlite3_stmt *stmt = audit ? db_prepare(db, DB_AUDIT_INSERT) : NULL;
    if (!stmt) {
        return audit ? E_DB : OK;
    }
    db_bind_time(db, stmt, 1, audit->at_unix_ns);
    db_bind_text(stmt, 2, audit->actor);
    db_bind_text(stmt, 3, audit->action);
    db_bind_text(stmt, 4, audit->subject);
    db_bind_text(stmt, 5, audit->detail);
    return db_run(db, stmt);
}

/* Levels from a root down to the tenant; its own chain must not come back to skip. */
static enum err depth_of(struct store_db *db, struct id id, struct id skip, int *out_depth)
{
    int depth = 0;
    while (!id_is_zero(id)) {
        if (!id_is_zero(skip) && id_eq(id, skip)) {
            return db_fail_text(db, E_CONFLICT, "a tenant cannot be below itself");
        }
        sqlite3_stmt *stmt = db_prepare(db, DB_TENANT_PARENT);
        if (!stmt) {
            return E_DB;
        }
        db_bind_id(stmt, 1, id);
        int rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW) {
            id = db_column_id(stmt, 0);
        }
        (void)sqlite3_reset(stmt);
        if (rc != SQLITE_ROW) {
            return rc == SQLITE_DONE ? db_fail_text(db, E_NOT_FOUND, "no such parent tenant")
                                     : db_fail(db, rc);
        }
        if (++depth > TENANT_DEPTH_MAX) {
            break;
        }
    }
    *out_depth = depth;
    return OK;
}

/* Levels of the subtree that begins with the tenant; 1 for one without children or not there yet.
 */
static enum err height_of(struct store_db *db, struct id id, int *out_height)
{
    sqlite3_stmt *stmt = db_prepare(db, DB_TENANT_HEIGHT);
    if (!stmt) {
        return E_DB;
    }
    db_bind_id(stmt, 1, id);
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        *out_height = sqlite3_column_int(stmt, 0);
    }
    (void)sqlite3_reset(stmt);
    return rc == SQLITE_ROW ? OK : db_fail(db, rc);
}

static enum err check_place(struct store_db *db, const struct store_tenant *t)
{
    int above = 0;
    int below = 1;
    enum err e = depth_of(db, t->parent, t->id, &above);
    if (e == OK) {
        e = height_of(db, t->id, &below);
    }
    if (e == OK && above + below > TENANT_DEPTH_MAX) {
        e = db_fail_text(db, E_LIMIT, "tenants nest at most 8 levels deep");
    }
    return e;
}

static enum err put_tenant(struct store_db *db, enum db_stmt which, const struct store_tenant *t,
                           int64_t seq)
{
    sqlite3_stmt *stmt = db_prepare(db, which);
    if (!stmt) {
        return E_DB;
    }
    db_bind_id(stmt, 1, t->id);
    db_bind_id(stmt, 2, t->parent);
    db_bind_text(stmt, 3, t->name);
    bind_policy(stmt, &t->policy);
    (void)sqlite3_bind_int(stmt, 15, t->is_active);
    if (which == DB_TENANT_INSERT) { /* an update keeps the time of creation */
        db_bind_time(db, stmt, 16, t->created_unix_ns);
    }
    (void)sqlite3_bind_int64(stmt, 17, seq);
    return db_run(db, stmt);
}

static enum err put_key(struct store_db *db, enum db_stmt which, const struct store_key *k,
                        int64_t seq)
{
    sqlite3_stmt *stmt = db_prepare(db, which);
    if (!stmt) {
        return E_DB;
    }
    db_bind_id(stmt, 1, k->id);
    db_bind_text(stmt, 3, k->name);
    bind_policy(stmt, &k->policy);
    (void)sqlite3_bind_int(stmt, 15, k->is_active);
    (void)sqlite3_bind_int64(stmt, 17, seq);
    if (which == DB_KEY_INSERT) { /* an update keeps owner, secret and time of creation */
        db_bind_id(stmt, 2, k->tenant);
        db_bind_time(db, stmt, 16, k->created_unix_ns);
        (void)sqlite3_bind_blob(stmt, 18, k->hash.bytes, SHA256_BYTES, SQLITE_TRANSIENT);
        db_bind_text(stmt, 19, k->hint);
    }
    if (k->expires_unix_ns) {
        db_bind_time(db, stmt, 20, k->expires_unix_ns);
    } else {
        (void)sqlite3_bind_null(stmt, 20);
    }
    return db_run(db, stmt);
}

static enum err had_row(struct store_db *db, const char *text)
{
    return sqlite3_changes(db->sql) ? OK : db_fail_text(db, E_NOT_FOUND, text);
}

enum err store_tenant_insert(struct store_db *db, const struct store_tenant *t,
                             const struct store_key *first_key, const struct store_audit *audit)
{
    int64_t seq = 0;
    assert(!id_is_zero(t->id));
    enum err e = db_begin(db);
    if (e != OK) {
        return e;
    }
    e = check_place(db, t);
    e = e == OK ? next_seq(db, &seq) : e;
    e = e == OK ? put_tenant(db, DB_TENANT_INSERT, t, seq) : e;
    if (e == OK && first_key) {
        e = put_key(db, DB_KEY_INSERT, first_key, seq);
    }
    e = e == OK ? insert_audit(db, audit) : e;
    db->seen_seq = -1;
    return db_end(db, e);
}

enum err store_tenant_update(struct store_db *db, const struct store_tenant *t,
                             const struct store_audit *audit)
{
    int64_t seq = 0;
    enum err e = db_begin(db);
    if (e != OK) {
        return e;
    }
    e = check_place(db, t);
    e = e == OK ? next_seq(db, &seq) : e;
    e = e == OK ? put_tenant(db, DB_TENANT_UPDATE, t, seq) : e;
    e = e == OK ? had_row(db, "no such tenant") : e;
    e = e == OK ? insert_audit(db, audit) : e;
    db->seen_seq = -1;
    return db_end(db, e);
}

/* A clearer answer than the foreign key's. */
static enum err check_owner(struct store_db *db, struct id tenant)
{
    int depth = 0;
    enum err e = depth_of(db, tenant, (struct id){0}, &depth);
    return e == OK && depth == 0 ? db_fail_text(db, E_NOT_FOUND, "no such tenant") : e;
}

enum err store_key_insert(struct store_db *db, const struct store_key *k,
                          const struct store_audit *audit)
{
    int64_t seq = 0;
    assert(!id_is_zero(k->id));
    enum err e = db_begin(db);
    if (e != OK) {
        return e;
    }
    e = check_owner(db, k->tenant);
    e = e == OK ? next_seq(db, &seq) : e;
    e = e == OK ? put_key(db, DB_KEY_INSERT, k, seq) : e;
    e = e == OK ? insert_audit(db, audit) : e;
    db->seen_seq = -1;
    return db_end(db, e);
}

enum err store_key_update(struct store_db *db, const struct store_key *k,
                          const struct store_audit *audit)
{
    int64_t seq = 0;
    enum err e = db_begin(db);
    if (e != OK) {
        return e;
    }
    e = next_seq(db, &seq);
    e = e == OK ? put_key(db, DB_KEY_UPDATE, k, seq) : e;
    e = e == OK ? had_row(db, "no such key") : e;
    e = e == OK ? insert_audit(db, audit) : e;
    db->seen_seq = -1;
    return db_end(db, e);
}

/* --- reading --- */

static bool dup_into(struct arena *a, struct slice *s)
{
    struct slice copy = arena_dup(a, *s);
    *s = copy;
    return copy.ptr != NULL;
}

static bool dup_policy(struct arena *a, struct store_policy *p)
{
    return dup_into(a, &p->allowed_models) && dup_into(a, &p->cache_mode) &&
           dup_into(a, &p->audit_level);
}

enum err store_tenant_get(struct store_db *db, struct arena *a, struct id id,
                          struct store_tenant *out)
{
    sqlite3_stmt *stmt = db_prepare(db, DB_TENANT_GET);
    if (!stmt) {
        return E_DB;
    }
    db_bind_id(stmt, 1, id);
    enum err e = db_first(db, stmt);
    if (e == OK) {
        struct store_tenant t = read_tenant(stmt);
        if (dup_into(a, &t.name) && dup_policy(a, &t.policy)) {
            *out = t;
        } else {
            e = E_NOMEM;
        }
    }
    (void)sqlite3_reset(stmt);
    return e;
}

enum err store_key_get(struct store_db *db, struct arena *a, struct id id, struct store_key *out)
{
    sqlite3_stmt *stmt = db_prepare(db, DB_KEY_GET);
    if (!stmt) {
        return E_DB;
    }
    db_bind_id(stmt, 1, id);
    enum err e = db_first(db, stmt);
    if (e == OK) {
        struct store_key k = read_key(stmt);
        if (dup_into(a, &k.name) && dup_into(a, &k.hint) && dup_policy(a, &k.policy)) {
            *out = k;
        } else {
            e = E_NOMEM;
        }
    }
    (void)sqlite3_reset(stmt);
    return e;
}

static enum err each_tenant(struct store_db *db, sqlite3_stmt *stmt,
                            void (*row)(void *ctx, const struct store_tenant *t), void *ctx)
{
    enum err e = OK;
    while (db_next(db, stmt, &e)) {
        struct store_tenant t = read_tenant(stmt);
        row(ctx, &t);
    }
    return e;
}

static enum err each_key(struct store_db *db, sqlite3_stmt *stmt,
                         void (*row)(void *ctx, const struct store_key *k), void *ctx)
{
    enum err e = OK;
    while (db_next(db, stmt, &e)) {
        struct store_key k = read_key(stmt);
        row(ctx, &k);
    }
    return e;
}

/* Cursors compare as text, and every id is greater than the empty one. */
static void bind_cursor(sqlite3_stmt *stmt, int at, struct id after)
{
    if (id_is_zero(after)) {
        db_bind_text(stmt, at, SLICE_NONE);
    } else {
        db_bind_id(stmt, at, after);
    }
}

static int bounded(int limit)
{
    return limit < 1 ? 1 : limit > STORE_PAGE_MAX ? STORE_PAGE_MAX : limit;
}

enum err store_tenant_list(struct store_db *db, struct id after, int limit,
                           void (*row)(void *ctx, const struct store_tenant *t), void *ctx)
{
    sqlite3_stmt *stmt = db_prepare(db, DB_TENANT_LIST);
    if (!stmt) {
        return E_DB;
    }
    bind_cursor(stmt, 1, after);
    (void)sqlite3_bind_int(stmt, 2, bounded(limit));
    return each_tenant(db, stmt, row, ctx);
}

enum err store_key_list(struct store_db *db, struct id tenant, struct id after, int limit,
                        void (*row)(void *ctx, const struct store_key *k), void *ctx)
{
    bool is_all = id_is_zero(tenant);
    sqlite3_stmt *stmt = db_prepare(db, is_all ? DB_KEY_LIST_ALL : DB_KEY_LIST);
    if (!stmt) {
        return E_DB;
    }
    if (!is_all) {
        db_bind_id(stmt, 1, tenant);
    }
    bind_cursor(stmt, 2, after);
    (void)sqlite3_bind_int(stmt, 3, bounded(limit));
    return each_key(db, stmt, row, ctx);
}

static enum err read_changes(struct store_db *db, int64_t seq,
                             void (*tenant)(void *ctx, const struct store_tenant *t),
                             void (*key)(void *ctx, const struct store_key *k), void *ctx)
{
    sqlite3_stmt *tenants = db_prepare(db, DB_TENANT_SINCE);
    sqlite3_stmt *keys = db_prepare(db, DB_KEY_SINCE);
    if (!tenants || !keys) {
        return E_DB;
    }
    (void)sqlite3_bind_int64(tenants, 1, seq);
    (void)sqlite3_bind_int64(keys, 1, seq);
    enum err e = each_tenant(db, tenants, tenant, ctx);
    return e == OK ? each_key(db, keys, key, ctx) : e;
}

/* data_version moves with other connections' commits, seen_seq is forgotten at our own changes:
 * when neither happened since the last reading, nothing can be new. The number is read in the same
 * read transaction as the rows, so a change is never between them. */
enum err store_directory_since(struct store_db *db, int64_t seq,
                               void (*tenant)(void *ctx, const struct store_tenant *t),
                               void (*key)(void *ctx, const struct store_key *k), void *ctx,
                               int64_t *out_seq)
{
    int64_t data_version = 0;
    int64_t newest = 0;
    enum err e = db_get_i64(db, DB_DATA_VERSION, &data_version);
    if (e == OK && db->seen_seq == seq && db->seen_data_version == data_version) {
        *out_seq = seq;
        return OK;
    }
    e = e == OK ? db_exec(db, DB_BEGIN_READ) : e;
    if (e != OK) {
        return e;
    }
    e = db_get_i64(db, DB_SEQ_GET, &newest);
    if (e == OK && newest != seq) {
        e = read_changes(db, seq, tenant, key, ctx);
    }
    e = db_end(db, e);
    if (e == OK) {
        db->seen_data_version = data_version;
        db->seen_seq = newest;
        *out_seq = newest;
    }
    return e;
}

enum err store_audit_list(struct store_db *db, int64_t before_rowid, int limit,
                          void (*row)(void *ctx, int64_t rowid, const struct store_audit *a),
                          void *ctx)
{
    sqlite3_stmt *stmt = db_prepare(db, DB_AUDIT_LIST);
    if (!stmt) {
        return E_DB;
    }
    (void)sqlite3_bind_int64(stmt, 1, before_rowid > 0 ? before_rowid : INT64_MAX);
    (void)sqlite3_bind_int(stmt, 2, bounded(limit));
    enum err e = OK;
    while (db_next(db, stmt, &e)) {
        struct store_audit a = {
            .at_unix_ns = db_column_time(stmt, 1),
            .actor = db_column_text(stmt, 2),
            .action = db_column_text(stmt, 3),
            .subject = db_column_text(stmt, 4),
            .detail = db_column_text(stmt, 5),
        };
        row(ctx, sqlite3_column_int64(stmt, 0), &a);
    }
    return e;
}
