/* tests/unit/store/version2.h -- the schema that version 2 of the database had, as its file says
 * it. */
#ifndef TESTS_STORE_VERSION2_H
#define TESTS_STORE_VERSION2_H

static const char *const version2[] = {
    "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, applied_at TEXT NOT "
    "NULL)",
    "CREATE TABLE directory_version (only INTEGER PRIMARY KEY CHECK (only = 1), seq "
    "INTEGER NOT NULL)",
    "CREATE TABLE tenants (id TEXT PRIMARY KEY NOT NULL, parent_id TEXT REFERENCES "
    "tenants (id), name TEXT NOT NULL, rate_limit INTEGER, tokens_per_min INTEGER, "
    "concurrent_max INTEGER, budget_day_nusd INTEGER, budget_week_nusd INTEGER, "
    "budget_month_nusd INTEGER, budget_total_nusd INTEGER, monthly_budget REAL GENERATED "
    "ALWAYS AS (budget_month_nusd / 1e9) VIRTUAL, soft_budgets INTEGER NOT NULL DEFAULT "
    "0, allowed_models TEXT NOT NULL DEFAULT '', cache_mode TEXT NOT NULL DEFAULT '', "
    "audit_level TEXT NOT NULL DEFAULT '', is_active INTEGER NOT NULL DEFAULT 1, "
    "created_at TEXT NOT NULL, changed_seq INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX idx_tenants_parent ON tenants (parent_id) WHERE parent_id IS NOT NULL",
    "CREATE INDEX idx_tenants_changed ON tenants (changed_seq)",
    "CREATE TABLE api_keys (id TEXT PRIMARY KEY NOT NULL, tenant_id TEXT NOT NULL "
    "REFERENCES tenants (id), name TEXT NOT NULL, rate_limit INTEGER, tokens_per_min "
    "INTEGER, concurrent_max INTEGER, budget_day_nusd INTEGER, budget_week_nusd INTEGER, "
    "budget_month_nusd INTEGER, budget_total_nusd INTEGER, monthly_budget REAL GENERATED "
    "ALWAYS AS (budget_month_nusd / 1e9) VIRTUAL, soft_budgets INTEGER NOT NULL DEFAULT "
    "0, allowed_models TEXT NOT NULL DEFAULT '', cache_mode TEXT NOT NULL DEFAULT '', "
    "audit_level TEXT NOT NULL DEFAULT '', is_active INTEGER NOT NULL DEFAULT 1, "
    "created_at TEXT NOT NULL, changed_seq INTEGER NOT NULL, hash BLOB NOT NULL UNIQUE "
    "CHECK (length(hash) = 32), hint TEXT NOT NULL, expires_at TEXT) WITHOUT ROWID",
    "CREATE INDEX idx_api_keys_tenant ON api_keys (tenant_id, id)",
    "CREATE INDEX idx_api_keys_changed ON api_keys (changed_seq)",
    "CREATE TABLE audit_log (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, "
    "actor TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT "
    "NULL)",
    "CREATE INDEX idx_audit_subject ON audit_log (subject)",
    "CREATE TABLE requests_fresh (seq INTEGER PRIMARY KEY, ids BLOB NOT NULL, created_us "
    "INTEGER NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, asked_model TEXT, "
    "input INTEGER, cache_read INTEGER, cache_write_5m INTEGER, cache_write_1h INTEGER, "
    "output INTEGER, reasoning INTEGER, total_reported INTEGER, cost_nusd INTEGER, "
    "reserved_nusd INTEGER, saved_nusd INTEGER, latency_us INTEGER, ttft_us INTEGER, "
    "attempts INTEGER, http_status INTEGER, bits INTEGER, count INTEGER, reason TEXT, "
    "client_request_id TEXT, error TEXT, detail TEXT)",
    "CREATE TABLE requests_indexed (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, tenant_id "
    "TEXT NOT NULL, key_id TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, "
    "asked_model TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER "
    "NOT NULL, total_tokens INTEGER NOT NULL, cost_nusd INTEGER NOT NULL, reserved_nusd "
    "INTEGER NOT NULL, saved_nusd INTEGER NOT NULL, cache_read_tokens INTEGER NOT NULL, "
    "cache_write_5m_tokens INTEGER NOT NULL, cache_write_1h_tokens INTEGER NOT NULL, "
    "reasoning_tokens INTEGER NOT NULL, latency_us INTEGER NOT NULL, ttft_us INTEGER, "
    "status TEXT NOT NULL, error_message TEXT, created_at TEXT NOT NULL, attempts INTEGER "
    "NOT NULL, http_status INTEGER NOT NULL, dialect TEXT NOT NULL, is_stream INTEGER NOT "
    "NULL, estimated INTEGER NOT NULL, overrun INTEGER NOT NULL, count INTEGER NOT NULL, "
    "reason TEXT, client_request_id TEXT, detail TEXT)",
    "CREATE INDEX idx_tenant_created ON requests_indexed (tenant_id, created_at)",
    "CREATE INDEX idx_provider_status ON requests_indexed (provider, status)",
    "CREATE VIEW requests_fresh_rows AS SELECT seq, lower(substr(hex(ids), 0 + 1, 8) || "
    "'-' || substr(hex(ids), 0 + 9, 4) || '-' || substr(hex(ids), 0 + 13, 4) || '-' || "
    "substr(hex(ids), 0 + 17, 4) || '-' || substr(hex(ids), 0 + 21, 12)) AS id, "
    "lower(substr(hex(ids), 32 + 1, 8) || '-' || substr(hex(ids), 32 + 9, 4) || '-' || "
    "substr(hex(ids), 32 + 13, 4) || '-' || substr(hex(ids), 32 + 17, 4) || '-' || "
    "substr(hex(ids), 32 + 21, 12)) AS tenant_id, lower(substr(hex(ids), 64 + 1, 8) || "
    "'-' || substr(hex(ids), 64 + 9, 4) || '-' || substr(hex(ids), 64 + 13, 4) || '-' || "
    "substr(hex(ids), 64 + 17, 4) || '-' || substr(hex(ids), 64 + 21, 12)) AS key_id, "
    "provider, model, coalesce(asked_model, model) AS asked_model, input + cache_read + "
    "cache_write_5m + cache_write_1h AS prompt_tokens, output + reasoning AS "
    "completion_tokens, max(input + cache_read + cache_write_5m + cache_write_1h + output "
    "+ reasoning, total_reported) AS total_tokens, cost_nusd, reserved_nusd, saved_nusd, "
    "cache_read AS cache_read_tokens, cache_write_5m AS cache_write_5m_tokens, "
    "cache_write_1h AS cache_write_1h_tokens, reasoning AS reasoning_tokens, latency_us, "
    "ttft_us, CASE bits & 15 WHEN 1 THEN 'success' WHEN 2 THEN 'cached' WHEN 3 THEN "
    "'error' WHEN 4 THEN 'refused' WHEN 5 THEN 'client_gone' WHEN 6 THEN 'upstream_cut' "
    "WHEN 7 THEN 'crashed' ELSE 'open' END AS status, error AS error_message, "
    "strftime('%Y-%m-%d %H:%M:%S', created_us / 1000000, 'unixepoch') || printf('.%06d', "
    "created_us % 1000000) AS created_at, attempts, http_status, CASE (bits >> 4) & 15 "
    "WHEN 0 THEN 'own' WHEN 1 THEN 'openai' WHEN 2 THEN 'anthropic' ELSE 'gemini' END AS "
    "dialect, (bits >> 8) & 1 AS is_stream, (bits >> 9) & 1 AS estimated, (bits >> 10) & "
    "1 AS overrun, count, reason, client_request_id, detail FROM requests_fresh",
    "CREATE VIEW requests_rows AS SELECT seq, id, tenant_id, key_id, provider, model, "
    "asked_model, prompt_tokens, completion_tokens, total_tokens, cost_nusd, "
    "reserved_nusd, saved_nusd, cache_read_tokens, cache_write_5m_tokens, "
    "cache_write_1h_tokens, reasoning_tokens, latency_us, ttft_us, status, error_message, "
    "created_at, attempts, http_status, dialect, is_stream, estimated, overrun, count, "
    "reason, client_request_id, detail FROM requests_indexed UNION ALL SELECT seq, id, "
    "tenant_id, key_id, provider, model, asked_model, prompt_tokens, completion_tokens, "
    "total_tokens, cost_nusd, reserved_nusd, saved_nusd, cache_read_tokens, "
    "cache_write_5m_tokens, cache_write_1h_tokens, reasoning_tokens, latency_us, ttft_us, "
    "status, error_message, created_at, attempts, http_status, dialect, is_stream, "
    "estimated, overrun, count, reason, client_request_id, detail FROM "
    "requests_fresh_rows",
    "CREATE VIEW requests AS SELECT id, tenant_id, provider, model, prompt_tokens, "
    "completion_tokens, total_tokens, cost_nusd / 1e9 AS cost, latency_us / 1000 AS "
    "latency_ms, status, error_message, status = 'cached' AS cache_hit, created_at, "
    "key_id, cost_nusd, reserved_nusd, saved_nusd, cache_read_tokens, "
    "cache_write_5m_tokens, cache_write_1h_tokens, reasoning_tokens, ttft_us / 1000 AS "
    "ttft_ms, attempts, http_status, dialect, asked_model, is_stream, estimated, overrun, "
    "count, reason, client_request_id, detail, seq FROM requests_rows",
    "CREATE TABLE usage_daily (tenant_id TEXT NOT NULL, day TEXT NOT NULL, key_id TEXT "
    "NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, requests INTEGER NOT NULL, "
    "errors INTEGER NOT NULL, refused INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, "
    "completion_tokens INTEGER NOT NULL, total_tokens INTEGER NOT NULL, cost_nusd INTEGER "
    "NOT NULL, cost REAL GENERATED ALWAYS AS (cost_nusd / 1e9) VIRTUAL, saved_nusd "
    "INTEGER NOT NULL, latency_us INTEGER NOT NULL, PRIMARY KEY (tenant_id, day, key_id, "
    "provider, model)) WITHOUT ROWID",
    "CREATE VIEW usage_logs AS SELECT row_number() OVER (ORDER BY day, tenant_id) AS id, "
    "tenant_id, day AS date, sum(requests) AS total_requests, sum(tokens) AS "
    "total_tokens, sum(cost_nusd) / 1e9 AS total_cost, json_group_object(provider, "
    "json_object('requests', requests, 'tokens', tokens, 'cost', cost_nusd / 1e9)) AS "
    "provider_breakdown FROM (SELECT tenant_id, day, provider, sum(requests) AS requests, "
    "sum(total_tokens) AS tokens, sum(cost_nusd) AS cost_nusd FROM usage_daily WHERE "
    "requests > 0 GROUP BY tenant_id, day, provider) GROUP BY tenant_id, day",
    "CREATE TABLE period_totals (node_id TEXT PRIMARY KEY NOT NULL, day_number INTEGER "
    "NOT NULL, day_nusd INTEGER NOT NULL, week_number INTEGER NOT NULL, week_nusd INTEGER "
    "NOT NULL, month_number INTEGER NOT NULL, month_nusd INTEGER NOT NULL, total_nusd "
    "INTEGER NOT NULL, total REAL GENERATED ALWAYS AS (total_nusd / 1e9) VIRTUAL) WITHOUT "
    "ROWID",
    "CREATE TABLE requests_open (id TEXT PRIMARY KEY NOT NULL, tenant_id TEXT NOT NULL, "
    "key_id TEXT NOT NULL, created_at TEXT NOT NULL, reserved_nusd INTEGER NOT NULL, "
    "prompt_tokens INTEGER NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, "
    "asked_model TEXT NOT NULL, attempts INTEGER NOT NULL, bits INTEGER NOT NULL, "
    "client_request_id TEXT, detail TEXT) WITHOUT ROWID",
    "CREATE TABLE checkpoints (instance TEXT NOT NULL, worker INTEGER NOT NULL, segment "
    "INTEGER NOT NULL, slot INTEGER NOT NULL, PRIMARY KEY (instance, worker)) WITHOUT "
    "ROWID",
    "INSERT INTO directory_version VALUES (1, 0)",
    "INSERT INTO schema_migrations VALUES (1, 'then'), (2, 'then')",
};

#endif
