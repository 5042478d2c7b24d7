/* The schema, as a list of forward-only steps. A step that was released is never edited: a change
 * is a new step. This file is mostly a table.
 *
 * Readability: ids are the 36-character text, times are UTC text with microseconds, and the REAL
 * columns in USD are generated from the exact nano-USD integer beside them, so that they can never
 * disagree and cost nothing to insert. */
#include "core/clock.h"
#include "store/usage.h"

enum { PIECES_MAX = 4 };

struct migration {
    int version;
    const char *sql[PIECES_MAX];           /* C promises no longer string than 4095 bytes */
    enum err (*then)(struct store_db *db); /* what SQL cannot say; NULL: nothing */
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

/* Version 2, until version 3 takes its place. Rows arrive in requests_fresh, which is made for
 * cheap inserts: binary ids, no index but the row number, which the id gives (usage_write.c). When
 * there is time they move to requests_indexed, with the origin's columns and indexes. People and
 * queries see the view requests over both. */
#define ID_TEXT(at)                                                                             \
    "lower(substr(hex(ids), " #at " + 1, 8) || '-' || substr(hex(ids), " #at " + 9, 4) || '-' " \
    "|| substr(hex(ids), " #at " + 13, 4) || '-' || substr(hex(ids), " #at " + 17, 4) || '-' "  \
    "|| substr(hex(ids), " #at " + 21, 12))"

#define FRESH_AS_ROW                                                                                    \
    "seq, " ID_TEXT(0) " AS id, " ID_TEXT(32) " AS tenant_id, " ID_TEXT(                                \
        64) " AS key_id, "                                                                              \
            "provider, model, coalesce(asked_model, model) AS asked_model, "                            \
            "input + cache_read + cache_write_5m + cache_write_1h AS prompt_tokens, "                   \
            "output + reasoning AS completion_tokens, "                                                 \
            "max(input + cache_read + cache_write_5m + cache_write_1h + output + reasoning, "           \
            "  total_reported) AS total_tokens, "                                                       \
            "cost_nusd, reserved_nusd, saved_nusd, cache_read AS cache_read_tokens, "                   \
            "cache_write_5m AS cache_write_5m_tokens, cache_write_1h AS cache_write_1h_tokens, "        \
            "reasoning AS reasoning_tokens, latency_us, ttft_us, "                                      \
            "CASE bits & 15 WHEN 1 THEN 'success' WHEN 2 THEN 'cached' WHEN 3 THEN 'error' "            \
            "  WHEN 4 THEN 'refused' WHEN 5 THEN 'client_gone' WHEN 6 THEN 'upstream_cut' "             \
            "  WHEN 7 THEN 'crashed' ELSE 'open' END AS status, "                                       \
            "error AS error_message, "                                                                  \
            "strftime('%Y-%m-%d %H:%M:%S', created_us / 1000000, 'unixepoch') "                         \
            "  || printf('.%06d', created_us % 1000000) AS created_at, "                                \
            "attempts, http_status, "                                                                   \
            "CASE (bits >> 4) & 15 WHEN 0 THEN 'own' WHEN 1 THEN 'openai' WHEN 2 THEN 'anthropic' "     \
            "  ELSE 'gemini' END AS dialect, "                                                          \
            "(bits >> 8) & 1 AS is_stream, (bits >> 9) & 1 AS estimated, (bits >> 10) & 1 AS overrun, " \
            "count, reason, client_request_id, detail"

#define ROW_NAMES                                                                                \
    "seq, id, tenant_id, key_id, provider, model, asked_model, prompt_tokens, "                  \
    "completion_tokens, total_tokens, cost_nusd, reserved_nusd, saved_nusd, cache_read_tokens, " \
    "cache_write_5m_tokens, cache_write_1h_tokens, reasoning_tokens, latency_us, ttft_us, "      \
    "status, error_message, created_at, attempts, http_status, dialect, is_stream, estimated, "  \
    "overrun, count, reason, client_request_id, detail"

/* The origin's columns first. */
#define VIEW_REQUESTS                                                                               \
    "CREATE VIEW requests AS SELECT id, tenant_id, provider, model, prompt_tokens, "                \
    "  completion_tokens, total_tokens, cost_nusd / 1e9 AS cost, latency_us / 1000 AS latency_ms, " \
    "  status, error_message, status = 'cached' AS cache_hit, created_at, key_id, cost_nusd, "      \
    "  reserved_nusd, saved_nusd, cache_read_tokens, cache_write_5m_tokens, "                       \
    "  cache_write_1h_tokens, reasoning_tokens, ttft_us / 1000 AS ttft_ms, attempts, "              \
    "  http_status, dialect, asked_model, is_stream, estimated, overrun, count, reason, "           \
    "  client_request_id, detail, seq FROM requests_rows;"

#define DATA_ID_PART(at, n) "substr(hex(d.id), " #at ", " #n ")"
#define DATA_ID                                                                              \
    "lower(" DATA_ID_PART(1, 8) " || '-' || " DATA_ID_PART(9, 4) " || '-' || " DATA_ID_PART( \
        13, 4) " || '-' || " DATA_ID_PART(17, 4) " || '-' || " DATA_ID_PART(21, 12) ")"
#define DATA_PROMPT                                                       \
    "(d.input + ifnull(d.cache_read, 0) + ifnull(d.cache_write_5m, 0) + " \
    "ifnull(d.cache_write_1h, 0))"
#define DATA_COMPLETION "(d.output + ifnull(d.reasoning, 0))"

static const char schema_rows[] =
    "CREATE TABLE requests_fresh (seq INTEGER PRIMARY KEY, ids BLOB NOT NULL, "
    "  created_us INTEGER NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, "
    "  asked_model TEXT, input INTEGER, cache_read INTEGER, cache_write_5m INTEGER, "
    "  cache_write_1h INTEGER, output INTEGER, reasoning INTEGER, total_reported INTEGER, "
    "  cost_nusd INTEGER, reserved_nusd INTEGER, saved_nusd INTEGER, latency_us INTEGER, "
    "  ttft_us INTEGER, attempts INTEGER, http_status INTEGER, bits INTEGER, count INTEGER, "
    "  reason TEXT, client_request_id TEXT, error TEXT, detail TEXT);"
    "CREATE TABLE requests_indexed (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, "
    "  tenant_id TEXT NOT NULL, key_id TEXT NOT NULL, provider TEXT NOT NULL, "
    "  model TEXT NOT NULL, asked_model TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, "
    "  completion_tokens INTEGER NOT NULL, total_tokens INTEGER NOT NULL, "
    "  cost_nusd INTEGER NOT NULL, reserved_nusd INTEGER NOT NULL, saved_nusd INTEGER NOT NULL, "
    "  cache_read_tokens INTEGER NOT NULL, cache_write_5m_tokens INTEGER NOT NULL, "
    "  cache_write_1h_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, "
    "  latency_us INTEGER NOT NULL, ttft_us INTEGER, status TEXT NOT NULL, error_message TEXT, "
    "  created_at TEXT NOT NULL, attempts INTEGER NOT NULL, http_status INTEGER NOT NULL, "
    "  dialect TEXT NOT NULL, is_stream INTEGER NOT NULL, estimated INTEGER NOT NULL, "
    "  overrun INTEGER NOT NULL, count INTEGER NOT NULL, reason TEXT, client_request_id TEXT, "
    "  detail TEXT);"
    "CREATE INDEX idx_tenant_created ON requests_indexed (tenant_id, created_at);"
    "CREATE INDEX idx_provider_status ON requests_indexed (provider, status);";

static const char schema_views[] =
    "CREATE VIEW requests_fresh_rows AS SELECT " FRESH_AS_ROW " FROM requests_fresh;"
    "CREATE VIEW requests_rows AS SELECT " ROW_NAMES " FROM requests_indexed "
    "  UNION ALL SELECT " ROW_NAMES " FROM requests_fresh_rows;" VIEW_REQUESTS;

static const char schema_sums[] =
    "CREATE TABLE usage_daily (tenant_id TEXT NOT NULL, day TEXT NOT NULL, key_id TEXT NOT NULL, "
    "  provider TEXT NOT NULL, model TEXT NOT NULL, requests INTEGER NOT NULL, "
    "  errors INTEGER NOT NULL, refused INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, "
    "  completion_tokens INTEGER NOT NULL, total_tokens INTEGER NOT NULL, "
    "  cost_nusd INTEGER NOT NULL, cost REAL GENERATED ALWAYS AS (cost_nusd / 1e9) VIRTUAL, "
    "  saved_nusd INTEGER NOT NULL, latency_us INTEGER NOT NULL, "
    "  PRIMARY KEY (tenant_id, day, key_id, provider, model)) WITHOUT ROWID;"
    "CREATE VIEW usage_logs AS SELECT row_number() OVER (ORDER BY day, tenant_id) AS id, "
    "  tenant_id, day AS date, sum(requests) AS total_requests, sum(tokens) AS total_tokens, "
    "  sum(cost_nusd) / 1e9 AS total_cost, json_group_object(provider, json_object('requests', "
    "  requests, 'tokens', tokens, 'cost', cost_nusd / 1e9)) AS provider_breakdown "
    "  FROM (SELECT tenant_id, day, provider, sum(requests) AS requests, "
    "    sum(total_tokens) AS tokens, sum(cost_nusd) AS cost_nusd FROM usage_daily "
    "    WHERE requests > 0 GROUP BY tenant_id, day, provider) GROUP BY tenant_id, day;"

    /* One row a tenant and one a key, holding the newest period of each kind: history is in
     * usage_daily. */
    "CREATE TABLE period_totals (node_id TEXT PRIMARY KEY NOT NULL, day_number INTEGER NOT NULL, "
    "  day_nusd INTEGER NOT NULL, week_number INTEGER NOT NULL, week_nusd INTEGER NOT NULL, "
    "  month_number INTEGER NOT NULL, month_nusd INTEGER NOT NULL, total_nusd INTEGER NOT NULL, "
    "  total REAL GENERATED ALWAYS AS (total_nusd / 1e9) VIRTUAL) WITHOUT ROWID;"
    "CREATE TABLE requests_open (id TEXT PRIMARY KEY NOT NULL, tenant_id TEXT NOT NULL, "
    "  key_id TEXT NOT NULL, created_at TEXT NOT NULL, reserved_nusd INTEGER NOT NULL, "
    "  prompt_tokens INTEGER NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, "
    "  asked_model TEXT NOT NULL, attempts INTEGER NOT NULL, bits INTEGER NOT NULL, "
    "  client_request_id TEXT, detail TEXT) WITHOUT ROWID;"
    "CREATE TABLE checkpoints (instance TEXT NOT NULL, worker INTEGER NOT NULL, "
    "  segment INTEGER NOT NULL, slot INTEGER NOT NULL, PRIMARY KEY (instance, worker)) "
    "  WITHOUT ROWID;";

/* A row is written once (docs/decisions/002): requests_data has what differs from request to
 * request and requests_kinds what most requests of a key share, so that a row and its one index
 * entry are short. A row's number begins with its milliseconds, so (kind, seq), which is what
 * idx_requests_kind holds, is (kind, time). Most columns have no type: nothing is converted row by
 * row. */
static const char schema_data[] =
    "CREATE TABLE requests_kinds (no INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, "
    "  key_id TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, bits INTEGER NOT NULL, "
    "  attempts INTEGER NOT NULL, http_status INTEGER NOT NULL, "
    "  status TEXT GENERATED ALWAYS AS (CASE bits & 15 WHEN 1 THEN 'success' "
    "    WHEN 2 THEN 'cached' WHEN 3 THEN 'error' WHEN 4 THEN 'refused' WHEN 5 THEN 'client_gone' "
    "    WHEN 6 THEN 'upstream_cut' WHEN 7 THEN 'crashed' ELSE 'open' END) VIRTUAL, "
    "  dialect TEXT GENERATED ALWAYS AS (CASE (bits >> 4) & 15 WHEN 0 THEN 'own' "
    "    WHEN 1 THEN 'openai' WHEN 2 THEN 'anthropic' ELSE 'gemini' END) VIRTUAL, "
    "  is_stream INTEGER GENERATED ALWAYS AS ((bits >> 8) & 1) VIRTUAL, "
    "  estimated INTEGER GENERATED ALWAYS AS ((bits >> 9) & 1) VIRTUAL, "
    "  overrun INTEGER GENERATED ALWAYS AS ((bits >> 10) & 1) VIRTUAL, "
    "  UNIQUE (tenant_id, key_id, provider, model, bits, attempts, http_status));"
    "CREATE INDEX idx_provider_status_kind ON requests_kinds (provider, status);"
    "CREATE TABLE requests_data (seq INTEGER PRIMARY KEY, id BLOB, kind INTEGER, created_us, "
    "  input, output, cost_nusd, reserved_nusd, latency_us, ttft_us, cache_read, cache_write_5m, "
    "  cache_write_1h, reasoning, total_reported, saved_nusd, count, asked_model, reason, "
    "  client_request_id, error, detail);"
    "CREATE INDEX idx_requests_kind ON requests_data (kind);";

/* The rows as they are read, and the origin's view of them. */
#define DATA_VIEWS                                                                                \
    "CREATE VIEW requests_rows AS SELECT d.seq AS seq, " DATA_ID                                  \
    " AS id, k.tenant_id AS tenant_id, "                                                          \
    "  k.key_id AS key_id, k.provider AS provider, k.model AS model, "                            \
    "  coalesce(d.asked_model, k.model) AS asked_model, " DATA_PROMPT " AS prompt_tokens, "       \
    "  " DATA_COMPLETION " AS completion_tokens, "                                                \
    "  max(" DATA_PROMPT " + " DATA_COMPLETION ", ifnull(d.total_reported, 0)) AS total_tokens, " \
    "  d.cost_nusd AS cost_nusd, d.reserved_nusd AS reserved_nusd, "                              \
    "  ifnull(d.saved_nusd, 0) AS saved_nusd, ifnull(d.cache_read, 0) AS cache_read_tokens, "     \
    "  ifnull(d.cache_write_5m, 0) AS cache_write_5m_tokens, "                                    \
    "  ifnull(d.cache_write_1h, 0) AS cache_write_1h_tokens, "                                    \
    "  ifnull(d.reasoning, 0) AS reasoning_tokens, d.latency_us AS latency_us, "                  \
    "  d.ttft_us AS ttft_us, k.status AS status, d.error AS error_message, "                      \
    "  strftime('%Y-%m-%d %H:%M:%S', d.created_us / 1000000, 'unixepoch') "                       \
    "    || printf('.%06d', d.created_us % 1000000) AS created_at, k.attempts AS attempts, "      \
    "  k.http_status AS http_status, k.dialect AS dialect, k.is_stream AS is_stream, "            \
    "  k.estimated AS estimated, k.overrun AS overrun, ifnull(d.count, 1) AS count, "             \
    "  d.reason AS reason, d.client_request_id AS client_request_id, d.detail AS detail "         \
    "FROM requests_data d JOIN requests_kinds k ON k.no = d.kind;" VIEW_REQUESTS

static const char schema_data_views[] =
    "DROP VIEW requests; DROP VIEW requests_rows; DROP VIEW requests_fresh_rows;"
    "DROP TABLE requests_fresh; DROP TABLE requests_indexed;" DATA_VIEWS;

#define NAME_DIALECTS(more)                                                                   \
    "DROP VIEW requests; DROP VIEW requests_rows;"                                            \
    "ALTER TABLE requests_kinds DROP COLUMN dialect;"                                         \
    "ALTER TABLE requests_kinds ADD COLUMN dialect TEXT GENERATED ALWAYS AS ("                \
    "  CASE (bits >> 4) & 15 WHEN 0 THEN 'own' WHEN 1 THEN 'openai' WHEN 2 THEN 'anthropic' " \
    "  WHEN 3 THEN 'gemini' WHEN 4 THEN 'responses' WHEN 5 THEN 'bedrock' " more              \
    "  ELSE 'unknown' END) VIRTUAL;" DATA_VIEWS

/* Clients of Responses were told apart from Gemini's by nobody: the names stopped there. */
static const char schema_dialects[] = NAME_DIALECTS("");

/* Whoever is below /passthrough/ to Ollama speaks its dialect. */
static const char schema_ollama[] = NAME_DIALECTS("WHEN 6 THEN 'ollama' ");

/* What the prompt caches of providers read and wrote, a day; of the days before, from the rows that
 * are still there. */
static const char schema_prompt_cache[] =
    "ALTER TABLE usage_daily ADD COLUMN cache_read_tokens INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE usage_daily ADD COLUMN cache_write_5m_tokens INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE usage_daily ADD COLUMN cache_write_1h_tokens INTEGER NOT NULL DEFAULT 0;"
    "UPDATE usage_daily SET cache_read_tokens = s.reads, cache_write_5m_tokens = s.writes_5m, "
    "  cache_write_1h_tokens = s.writes_1h FROM (SELECT k.tenant_id, k.key_id, k.provider, k.model, "
    "    strftime('%Y-%m-%d', d.created_us / 1000000, 'unixepoch') AS day, "
    "    sum(ifnull(d.cache_read, 0)) AS reads, sum(ifnull(d.cache_write_5m, 0)) AS writes_5m, "
    "    sum(ifnull(d.cache_write_1h, 0)) AS writes_1h "
    "    FROM requests_data d JOIN requests_kinds k ON k.no = d.kind WHERE k.status <> 'cached' "
    "    AND (d.cache_read > 0 OR d.cache_write_5m > 0 OR d.cache_write_1h > 0) "
    "    GROUP BY 1, 2, 3, 4, 5) AS s WHERE usage_daily.tenant_id = s.tenant_id "
    "  AND usage_daily.day = s.day AND usage_daily.key_id = s.key_id "
    "  AND usage_daily.provider = s.provider AND usage_daily.model = s.model;";

static const struct migration migrations[] = {
    {1, {schema_directory}, NULL},        {2, {schema_rows, schema_views, schema_sums}, NULL},
    {3, {schema_data}, usage_carry_over}, {4, {schema_data_views}, NULL},
    {5, {schema_dialects}, NULL},         {6, {schema_prompt_cache}, NULL},
    {7, {schema_ollama}, NULL},
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
    enum err e = OK;
    for (size_t i = 0; e == OK && i < PIECES_MAX && m->sql[i]; i++) {
        e = run_sql(db, m->sql[i]);
    }
    e = e == OK && m->then ? m->then(db) : e;
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
            if (e != OK) { /* numbers of kinds that were rolled back */
                usage_kinds_forget(&db->kinds);
            }
        }
    }
    if (e == OK) {
        *out_from = from;
        *out_to = db_schema_known();
    }
    return e;
}
