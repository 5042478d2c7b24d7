/* Usage read back: one request, sums, what a start needs; and deleting what is old. */
#include "core/check.h"
#include "core/clock.h"
#include "store/usage.h"

static enum record_status status_of(struct slice name)
{
    for (int i = RECORD_SUCCESS; i < RECORD_STATUS_COUNT; i++) {
        if (slice_eq(name, slice_str(record_status_name((enum record_status)i)))) {
            return (enum record_status)i;
        }
    }
    return RECORD_OPEN;
}

static enum record_dialect dialect_of(struct slice name)
{
    for (int i = RECORD_DIALECT_OWN; i < RECORD_DIALECT_COUNT; i++) {
        if (slice_eq(name, slice_str(record_dialect_name((enum record_dialect)i)))) {
            return (enum record_dialect)i;
        }
    }
    return RECORD_DIALECT_GEMINI;
}

static struct usage read_tokens(sqlite3_stmt *stmt)
{
    int64_t prompt = sqlite3_column_int64(stmt, 7);
    int64_t completion = sqlite3_column_int64(stmt, 8);
    int64_t total = sqlite3_column_int64(stmt, 9);
    struct usage u = {
        .cache_read = sqlite3_column_int64(stmt, 13),
        .cache_write_5m = sqlite3_column_int64(stmt, 14),
        .cache_write_1h = sqlite3_column_int64(stmt, 15),
        .reasoning = sqlite3_column_int64(stmt, 16),
        .total_reported = total > prompt + completion ? total : 0,
    };
    u.input = prompt - u.cache_read - u.cache_write_5m - u.cache_write_1h;
    u.output = completion - u.reasoning;
    return u;
}

/* Columns as ROW_COLUMNS lists them; texts are borrowed until the next step. */
static struct usage_record read_row(sqlite3_stmt *stmt)
{
    int64_t ttft_us = db_column_absent(stmt, 18);
    struct usage_record r = {
        .id = db_column_id(stmt, 1),
        .tenant = db_column_id(stmt, 2),
        .key = db_column_id(stmt, 3),
        .provider = db_column_text(stmt, 4),
        .model = db_column_text(stmt, 5),
        .asked_model = db_column_text(stmt, 6),
        .usage = read_tokens(stmt),
        .cost_nusd = sqlite3_column_int64(stmt, 10),
        .reserved_nusd = sqlite3_column_int64(stmt, 11),
        .saved_nusd = sqlite3_column_int64(stmt, 12),
        .latency_ns = sqlite3_column_int64(stmt, 17) * NS_PER_US,
        .first_token_ns = ttft_us < 0 ? -1 : ttft_us * NS_PER_US,
        .status = status_of(db_column_text(stmt, 19)),
        .error = db_column_text(stmt, 20),
        .admitted_unix_ns = db_column_time(stmt, 21),
        .attempts = sqlite3_column_int(stmt, 22),
        .http_status = sqlite3_column_int(stmt, 23),
        .dialect = dialect_of(db_column_text(stmt, 24)),
        .is_stream = sqlite3_column_int(stmt, 25) != 0,
        .is_estimated = sqlite3_column_int(stmt, 26) != 0,
        .is_overrun = sqlite3_column_int(stmt, 27) != 0,
        .count = sqlite3_column_int64(stmt, 28),
        .reason = db_column_text(stmt, 29),
        .client_request_id = db_column_text(stmt, 30),
        .detail = db_column_text(stmt, 31),
    };
    r.usage.is_known = !r.is_estimated;
    return r;
}

static bool dup_texts(struct arena *a, struct usage_record *r)
{
    struct slice *texts[] = {&r->provider,          &r->model, &r->asked_model, &r->reason,
                             &r->client_request_id, &r->error, &r->detail};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        *texts[i] = arena_dup(a, *texts[i]);
        if (!texts[i]->ptr) {
            return false;
        }
    }
    return true;
}

enum err usage_find(struct store_db *db, struct arena *a, struct id id, struct usage_record *out,
                    int64_t *out_seq)
{
    sqlite3_stmt *stmt = db_prepare(db, DB_ROW_FIND);
    if (!stmt) {
        return E_DB;
    }
    (void)sqlite3_bind_int64(stmt, 1, usage_seq(id));
    (void)sqlite3_bind_int64(stmt, 2, usage_seq(id) + USAGE_SEQ_PROBES);
    db_bind_id(stmt, 3, id);
    enum err e = db_first(db, stmt);
    if (e == OK) {
        struct usage_record r = read_row(stmt);
        *out_seq = sqlite3_column_int64(stmt, 0);
        if (dup_texts(a, &r)) {
            *out = r;
        } else {
            e = E_NOMEM;
        }
    }
    (void)sqlite3_reset(stmt);
    return e;
}

enum err store_request_get(struct store_db *db, struct arena *a, struct id id,
                           struct usage_record *out)
{
    int64_t seq = 0;
    return usage_find(db, a, id, out, &seq);
}

/* An id is made just before the admission's time is taken; a second is plenty between the two. */
enum err store_recent_admissions(struct store_db *db, int64_t since_unix_ns,
                                 void (*row)(void *ctx, const struct usage_record *r), void *ctx)
{
    sqlite3_stmt *stmt = db_prepare(db, DB_ROWS_SINCE);
    if (!stmt) {
        return E_DB;
    }
    (void)sqlite3_bind_int64(stmt, 1, usage_seq_since(since_unix_ns - NS_PER_S));
    db_bind_time(db, stmt, 2, since_unix_ns);
    enum err e = OK;
    while (db_next(db, stmt, &e)) {
        struct usage_record r = read_row(stmt);
        if (r.status != RECORD_REFUSED) { /* a refusal takes nothing */
            row(ctx, &r);
        }
    }
    return e;
}

enum err store_period_totals(struct store_db *db, int64_t now_unix_ns,
                             void (*row)(void *ctx, struct id node, enum budget_period period,
                                         int64_t period_number, int64_t cost_nusd),
                             void *ctx)
{
    static const enum budget_period kinds[] = {BUDGET_DAY, BUDGET_WEEK, BUDGET_MONTH};
    sqlite3_stmt *stmt = db_prepare(db, DB_PERIOD_LIST);
    if (!stmt) {
        return E_DB;
    }
    enum err e = OK;
    while (db_next(db, stmt, &e)) {
        struct id node = db_column_id(stmt, 0);
        for (int i = 0; i < (int)ARRAY_LEN(kinds); i++) {
            int64_t number = sqlite3_column_int64(stmt, 1 + 2 * i);
            if (number == budget_period_number(kinds[i], now_unix_ns)) {
                row(ctx, node, kinds[i], number, sqlite3_column_int64(stmt, 2 + 2 * i));
            }
        }
        row(ctx, node, BUDGET_TOTAL, 0, sqlite3_column_int64(stmt, 7));
    }
    return e;
}

enum err store_usage_by_provider(struct store_db *db, struct id tenant, int64_t since_unix_ns,
                                 void (*row)(void *ctx, const struct store_usage_row *r), void *ctx)
{
    char day[DB_TIME_TEXT_BYTES];
    sqlite3_stmt *stmt = db_prepare(db, DB_BY_PROVIDER);
    if (!stmt) {
        return E_DB;
    }
    db_time_format(db, since_unix_ns, day);
    db_bind_id(stmt, 1, tenant);
    (void)sqlite3_bind_text(stmt, 2, day, DB_DAY_TEXT_BYTES, SQLITE_TRANSIENT);
    enum err e = OK;
    while (db_next(db, stmt, &e)) {
        struct store_usage_row r = {
            .provider = db_column_text(stmt, 0),
            .requests = sqlite3_column_int64(stmt, 1),
            .tokens = sqlite3_column_int64(stmt, 2),
            .cost_nusd = sqlite3_column_int64(stmt, 3),
            .latency_avg_us = sqlite3_column_int64(stmt, 4),
            .prompt_tokens = sqlite3_column_int64(stmt, 5),
            .cache_read_tokens = sqlite3_column_int64(stmt, 6),
            .cache_write_5m_tokens = sqlite3_column_int64(stmt, 7),
            .cache_write_1h_tokens = sqlite3_column_int64(stmt, 8),
            .saved_nusd = sqlite3_column_int64(stmt, 9),
        };
        row(ctx, &r);
    }
    return e;
}

enum err store_open_list(struct store_db *db, void (*row)(void *ctx, const struct usage_record *r),
                         void *ctx)
{
    sqlite3_stmt *stmt = db_prepare(db, DB_OPEN_LIST);
    if (!stmt) {
        return E_DB;
    }
    enum err e = OK;
    while (db_next(db, stmt, &e)) {
        int64_t bits = sqlite3_column_int64(stmt, 10);
        struct usage_record r = {
            .id = db_column_id(stmt, 0),
            .tenant = db_column_id(stmt, 1),
            .key = db_column_id(stmt, 2),
            .admitted_unix_ns = db_column_time(stmt, 3),
            .reserved_nusd = sqlite3_column_int64(stmt, 4),
            .usage = {.input = sqlite3_column_int64(stmt, 5)},
            .provider = db_column_text(stmt, 6),
            .model = db_column_text(stmt, 7),
            .asked_model = db_column_text(stmt, 8),
            .attempts = sqlite3_column_int(stmt, 9),
            .dialect = (enum record_dialect)((bits >> 4) & 15),
            .is_stream = (bits >> 8 & 1) != 0,
            .client_request_id = db_column_text(stmt, 11),
            .detail = db_column_text(stmt, 12),
            .first_token_ns = -1,
            .count = 1,
            .status = RECORD_OPEN,
        };
        row(ctx, &r);
    }
    return e;
}

enum err store_checkpoint_get(struct store_db *db, struct id instance, int32_t worker,
                              struct store_checkpoint *out)
{
    sqlite3_stmt *stmt = db_prepare(db, DB_CHECKPOINT_GET);
    if (!stmt) {
        return E_DB;
    }
    db_bind_id(stmt, 1, instance);
    (void)sqlite3_bind_int(stmt, 2, worker);
    enum err e = db_first(db, stmt);
    if (e == OK) {
        *out = (struct store_checkpoint){instance, worker, sqlite3_column_int64(stmt, 0),
                                         sqlite3_column_int64(stmt, 1)};
    }
    (void)sqlite3_reset(stmt);
    return e;
}

enum err store_checkpoints_forget(struct store_db *db, struct id instance)
{
    sqlite3_stmt *stmt = db_prepare(db, DB_CHECKPOINT_FORGET);
    if (!stmt) {
        return E_DB;
    }
    db_bind_id(stmt, 1, instance);
    return db_run(db, stmt);
}

enum err store_retain(struct store_db *db, int64_t before_unix_ns, int64_t max_rows,
                      int64_t *out_deleted)
{
    sqlite3_stmt *stmt = db_prepare(db, DB_RETAIN);
    if (!stmt) {
        return E_DB;
    }
    (void)sqlite3_bind_int64(stmt, 1, usage_seq_since(before_unix_ns));
    (void)sqlite3_bind_int64(stmt, 2, max_rows);
    enum err e = db_run(db, stmt);
    *out_deleted = e == OK ? sqlite3_changes64(db->sql) : 0;
    return e;
}

/* --- migration 3 --- */

enum { CARRY_ROWS = 1024 };

static enum err carry_rows(struct store_db *db, struct usage_row *rows, size_t n)
{
    enum err e = usage_rows_insert(db, rows, n);
    for (size_t i = 0; e == OK && i < n; i++) {
        if (!rows[i].is_in) {
            e = db_fail_text(db, E_CORRUPT, "two old rows have one number");
        }
    }
    return e;
}

/* The view requests_rows shows the old tables when this runs, and the new one when it was made
 * anew; its columns are the same. */
static enum err carry_all(struct store_db *db, sqlite3_stmt *stmt, struct arena *a,
                          struct usage_row *rows)
{
    enum err e = OK;
    int rc = SQLITE_ROW;
    while (e == OK && rc == SQLITE_ROW) {
        size_t n = 0;
        arena_reset(a);
        while (e == OK && n < CARRY_ROWS && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
            struct usage_record *r = ARENA_NEW(a, struct usage_record);
            if (!r) {
                return E_NOMEM;
            }
            *r = read_row(stmt);
            rows[n].seq = sqlite3_column_int64(stmt, 0);
            e = dup_texts(a, r) ? usage_row_init(db, r, &rows[n]) : E_NOMEM;
            n++;
        }
        e = e == OK && rc != SQLITE_ROW && rc != SQLITE_DONE ? db_fail(db, rc) : e;
        e = e == OK ? carry_rows(db, rows, n) : e;
    }
    return e;
}

enum err usage_carry_over(struct store_db *db)
{
    sqlite3_stmt *stmt = db_prepare(db, DB_ROWS_ALL);
    struct usage_row *rows = calloc(CARRY_ROWS, sizeof(*rows));
    struct arena a;
    if (!stmt || !rows) {
        free(rows);
        return stmt ? E_NOMEM : E_DB;
    }
    arena_init(&a, NULL, SIZE_MAX);
    enum err e = carry_all(db, stmt, &a, rows);
    arena_deinit(&a);
    free(rows);
    (void)sqlite3_finalize(stmt); /* the tables that it reads go next */
    db->stmts[DB_ROWS_ALL] = NULL;
    return e;
}
