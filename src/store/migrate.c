/* The schema, as a list of forward-only steps. A step that was released is never edited: a change
 * is a new step. This file is mostly a table.
 *
 * Readability: ids are the 36-character text, times are UTC text with microseconds, and the REAL
 * columns in USD are generated from the exact nano-USD integer beside them, so that they can never
 * disagree and cost nothing to insert. */
#include "core/clock.h"
#include "store/db.h"

struct migration {
    int version;
    const char *sql;
};

#define LIMIT_COLUMNS                                                                    \
    "rate_limit INTEGER, tokens_per_min INTEGER, concurrent_max INTEGER, "               \
    "budget_day_nusd INTEGER, budget_week_nusd INTEGER, budget_month_nusd INTEGER, "     \
    "budget_total_nusd INTEGER, "                                                        \
    "monthly_budget REAL GENERATED ALWAYS AS (budget_month_nusd / 1e9) VIRTUAL, "        \
    "soft_budgets INTEGER NOT NULL DEFAULT 0, allowed_models TEXT NOT NULL DEFAULT '', " \
    "cache_mode TEXT NOT NULL DEFAULT '', audit_level TEXT NOT NULL DEFAULT '', "        \
    "is_active INTEGER NOT NULL DEFAULT 1, created_at TEXT NOT NULL, "                   \
    "changed_seq INTEGER NOT NULL"

static const char schema_directory[] =
    "CREATE TABLE directory_version (only INTEGER PRIMARY KEY CHECK (only = 1), "
    "  seq INTEGER NOT NULL);"
    "INSERT INTO directory_version VALUES (1, 0);"
    "CREATE TABLE tenants (id TEXT PRIMARY KEY NOT NULL, parent_id TEXT REFERENCES tenants (id), "
    "  name TEXT NOT NULL, " LIMIT_COLUMNS ") WITHOUT ROWID;"
    "CREATE INDEX idx_tenants_parent ON tenants (parent_id) WHERE parent_id IS NOT NULL;"
    "CREATE INDEX idx_tenants_changed ON tenants (changed_seq);"
    "CREATE TABLE api_keys (id TEXT PRIMARY KEY NOT NULL, "
    "  tenant_id TEXT NOT NULL REFERENCES tenants (id), name TEXT NOT NULL, " LIMIT_COLUMNS ", "
    "  hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), hint TEXT NOT NULL, expires_at TEXT"
    ") WITHOUT ROWID;"
    "CREATE INDEX idx_api_keys_tenant ON api_keys (tenant_id, id);"
    "CREATE INDEX idx_api_keys_changed ON api_keys (changed_seq);"
    "CREATE TABLE audit_log (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, "
    "  actor TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL);"
    "CREATE INDEX idx_audit_subject ON audit_log (subject);";

static const struct migration migrations[] = {
    {1, schema_directory},
};

static const char begin_sql[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY, "
    "  applied_at TEXT NOT NULL);";

int db_schema_known(void)
{
    return migrations[ARRAY_LEN(migrations) - 1].version;
}

enum err db_schema_version(struct store_db *db, int *out_version)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db->sql,
                                "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND "
                                "name = 'schema_migrations'",
                                -1, &stmt, NULL);
    rc = rc == SQLITE_OK ? sqlite3_step(stmt) : rc;
    bool has_table = rc == SQLITE_ROW && sqlite3_column_int(stmt, 0) > 0;
    (void)sqlite3_finalize(stmt);
    stmt = NULL;
    if (rc != SQLITE_ROW) {
        return db_fail(db, rc);
    }
    if (!has_table) {
        *out_version = 0;
        return OK;
    }
    rc = sqlite3_prepare_v2(db->sql, "SELECT coalesce(max(version), 0) FROM schema_migrations", -1,
                            &stmt, NULL);
    rc = rc == SQLITE_OK ? sqlite3_step(stmt) : rc;
    int version = rc == SQLITE_ROW ? sqlite3_column_int(stmt, 0) : 0;
    (void)sqlite3_finalize(stmt);
    if (rc != SQLITE_ROW) {
        return db_fail(db, rc);
    }
    *out_version = version;
    return OK;
}

static enum err run_sql(struct store_db *db, const char *sql)
{
    int rc = sqlite3_exec(db->sql, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? OK : db_fail(db, rc);
}

static enum err apply(struct store_db *db, const struct migration *m)
{
    char note[128];
    char at[DB_TIME_TEXT_BYTES];
    enum err e = run_sql(db, m->sql);
    if (e != OK) {
        return e;
    }
    db_time_format(db, clock_unix_ns(), at);
    (void)snprintf(note, sizeof(note), "INSERT INTO schema_migrations VALUES (%d, '%.*s')",
                   m->version, DB_TIME_TEXT_BYTES, at);
    return run_sql(db, note);
}

static enum err apply_missing(struct store_db *db, int from)
{
    for (size_t i = 0; i < ARRAY_LEN(migrations); i++) {
        enum err e = migrations[i].version > from ? apply(db, &migrations[i]) : OK;
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err refuse_newer(struct store_db *db, int from)
{
    char text[DB_ERROR_MAX_BYTES];
    (void)snprintf(text, sizeof(text),
                   "its schema is version %d, this program knows only up to %d; use a newer "
                   "llm-gateway",
                   from, db_schema_known());
    return db_fail_text(db, E_DB, text);
}

/* The common start finds nothing to do without taking the write lock. Two processes that find
 * something take it in turn, and the second then finds nothing. */
enum err store_db_migrate(struct store_db *db, int *out_from, int *out_to)
{
    int from = 0;
    enum err e = db_schema_version(db, &from);
    if (e == OK && from > db_schema_known()) {
        return refuse_newer(db, from);
    }
    if (e == OK && from < db_schema_known()) {
        e = run_sql(db, begin_sql);
        if (e == OK) {
            e = db_schema_version(db, &from);
            e = e == OK ? apply_missing(db, from) : e;
            e = db_end(db, e);
        }
    }
    if (e == OK) {
        *out_from = from;
        *out_to = db_schema_known();
    }
    return e;
}
