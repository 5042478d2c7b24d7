/* Rows into requests_data by one statement a batch: INSERT ... SELECT from a virtual table over the
 * array, where a statement a row would pay more for binding, starting and ending than for the row.
 *
 * Which rows were left out because their number was taken is seen when the statement asks for the
 * next one: the number last inserted is the row's, or it is not. */
#include "core/clock.h"
#include "store/usage.h"

#include <assert.h>

struct batch_cursor {
    sqlite3_vtab_cursor base;
    struct store_db *db;
    size_t at;
};

struct batch_table {
    sqlite3_vtab base;
    struct store_db *db;
};

/* In the order of requests_data's columns; the first ones are all that a plain row has. */
enum {
    COLUMN_SEQ,
    COLUMN_ID,
    COLUMN_KIND,
    COLUMN_CREATED,
    COLUMN_INPUT,
    COLUMN_OUTPUT,
    COLUMN_COST,
    COLUMN_RESERVED,
    COLUMN_LATENCY,
    COLUMN_TTFT,
    COLUMN_CACHE_READ,
    COLUMN_CACHE_WRITE_5M,
    COLUMN_CACHE_WRITE_1H,
    COLUMN_REASONING,
    COLUMN_TOTAL,
    COLUMN_SAVED,
    COLUMN_COUNT,
    COLUMN_ASKED,
    COLUMN_REASON,
    COLUMN_CLIENT_ID,
    COLUMN_ERROR,
    COLUMN_DETAIL
};

static int on_connect(sqlite3 *sql, void *ctx, int argc, const char *const *argv,
                      sqlite3_vtab **out, char **out_error)
{
    (void)argc;
    (void)argv;
    (void)out_error;
    struct batch_table *t = calloc(1, sizeof(*t));
    if (!t) {
        return SQLITE_NOMEM;
    }
    t->db = ctx;
    *out = &t->base;
    int rc = sqlite3_declare_vtab(
        sql,
        "CREATE TABLE usage_batch (seq INTEGER, id, kind, created_us, input, output, cost_nusd, "
        "reserved_nusd, latency_us, ttft_us, cache_read, cache_write_5m, cache_write_1h, "
        "reasoning, total_reported, saved_nusd, count, asked_model, reason, "
        "client_request_id, error, detail)");
    if (rc != SQLITE_OK) {
        free(t);
    }
    return rc;
}

static int on_disconnect(sqlite3_vtab *table)
{
    free(CONTAINER_OF(table, struct batch_table, base));
    return SQLITE_OK;
}

static int on_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    info->estimatedCost = 1000;
    return SQLITE_OK;
}

static int on_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out)
{
    struct batch_cursor *c = calloc(1, sizeof(*c));
    if (!c) {
        return SQLITE_NOMEM;
    }
    c->db = CONTAINER_OF(table, struct batch_table, base)->db;
    *out = &c->base;
    return SQLITE_OK;
}

static int on_close(sqlite3_vtab_cursor *cursor)
{
    free(CONTAINER_OF(cursor, struct batch_cursor, base));
    return SQLITE_OK;
}

static inline void skip_others(struct batch_cursor *c)
{
    const struct usage_feed *f = &c->db->feed;
    while (c->at < f->count && f->rows[c->at].is_plain != f->is_plain) {
        c->at++;
    }
}

static int on_filter(sqlite3_vtab_cursor *cursor, int index, const char *text, int argc,
                     sqlite3_value **argv)
{
    (void)index;
    (void)text;
    (void)argc;
    (void)argv;
    struct batch_cursor *c = CONTAINER_OF(cursor, struct batch_cursor, base);
    c->at = 0;
    skip_others(c);
    return SQLITE_OK;
}

static int on_next(sqlite3_vtab_cursor *cursor)
{
    struct batch_cursor *c = CONTAINER_OF(cursor, struct batch_cursor, base);
    struct usage_feed *f = &c->db->feed;
    struct usage_row *row = &f->rows[c->at++];
    row->is_in = sqlite3_last_insert_rowid(c->db->sql) == row->seq;
    f->in_count += row->is_in;
    sqlite3_set_last_insert_rowid(c->db->sql, -1); /* the next may have the same number */
    skip_others(c);
    return SQLITE_OK;
}

static int on_eof(sqlite3_vtab_cursor *cursor)
{
    const struct batch_cursor *c = CONTAINER_OF(cursor, struct batch_cursor, base);
    return c->at >= c->db->feed.count;
}

static int on_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
    *out = (sqlite3_int64)CONTAINER_OF(cursor, struct batch_cursor, base)->at;
    return SQLITE_OK;
}

/* Texts and numbers that are absent are NULL: so they are in a plain row. */
static inline void put_text(sqlite3_context *out, struct slice s)
{
    if (s.len) {
        sqlite3_result_text(out, s.ptr, (int)s.len, SQLITE_STATIC);
    }
}

static inline void put_rare(sqlite3_context *out, int64_t value)
{
    if (value) {
        sqlite3_result_int64(out, value);
    }
}

static bool is_asked_other(const struct usage_record *r)
{
    return r->asked_model.len && !slice_eq(r->asked_model, r->model);
}

static void put_rare_column(sqlite3_context *out, const struct usage_record *r, int column)
{
    const struct usage *u = &r->usage;
    switch (column) {
    case COLUMN_CACHE_READ: put_rare(out, u->cache_read); break;
    case COLUMN_CACHE_WRITE_5M: put_rare(out, u->cache_write_5m); break;
    case COLUMN_CACHE_WRITE_1H: put_rare(out, u->cache_write_1h); break;
    case COLUMN_REASONING: put_rare(out, u->reasoning); break;
    case COLUMN_TOTAL: put_rare(out, u->total_reported); break;
    case COLUMN_SAVED: put_rare(out, r->saved_nusd); break;
    case COLUMN_COUNT: sqlite3_result_int64(out, r->count); break;
    case COLUMN_ASKED: put_text(out, is_asked_other(r) ? r->asked_model : SLICE_NONE); break;
    case COLUMN_REASON: put_text(out, r->reason); break;
    case COLUMN_CLIENT_ID: put_text(out, r->client_request_id); break;
    case COLUMN_ERROR: put_text(out, r->error); break;
    case COLUMN_DETAIL: put_text(out, r->detail); break;
    default: assert(column == COLUMN_DETAIL); /* SQLite asks for no column we did not declare */
    }
}

static int on_column(sqlite3_vtab_cursor *cursor, sqlite3_context *out, int column)
{
    const struct batch_cursor *c = CONTAINER_OF(cursor, struct batch_cursor, base);
    const struct usage_row *row = &c->db->feed.rows[c->at];
    const struct usage_record *r = row->record;
    switch (column) {
    case COLUMN_SEQ: sqlite3_result_int64(out, row->seq); break;
    case COLUMN_ID: sqlite3_result_blob(out, r->id.bytes, ID_BYTES, SQLITE_STATIC); break;
    case COLUMN_KIND: sqlite3_result_int64(out, row->kind); break;
    case COLUMN_CREATED: sqlite3_result_int64(out, r->admitted_unix_ns / NS_PER_US); break;
    case COLUMN_INPUT: sqlite3_result_int64(out, r->usage.input); break;
    case COLUMN_OUTPUT: sqlite3_result_int64(out, r->usage.output); break;
    case COLUMN_COST: sqlite3_result_int64(out, r->cost_nusd); break;
    case COLUMN_RESERVED: sqlite3_result_int64(out, r->reserved_nusd); break;
    case COLUMN_LATENCY: sqlite3_result_int64(out, r->latency_ns / NS_PER_US); break;
    case COLUMN_TTFT:
        if (r->first_token_ns >= 0) {
            sqlite3_result_int64(out, r->first_token_ns / NS_PER_US);
        }
        break;
    default: put_rare_column(out, r, column);
    }
    return SQLITE_OK;
}

static const sqlite3_module batch_module = {
    .xConnect = on_connect, /* no xCreate: the table is there without being created */
    .xBestIndex = on_best_index,
    .xDisconnect = on_disconnect,
    .xOpen = on_open,
    .xClose = on_close,
    .xFilter = on_filter,
    .xNext = on_next,
    .xEof = on_eof,
    .xColumn = on_column,
    .xRowid = on_rowid,
};

enum err usage_rows_register(struct store_db *db)
{
    int rc = sqlite3_create_module(db->sql, "usage_batch", &batch_module, db);
    return rc == SQLITE_OK ? OK : db_fail(db, rc);
}

static bool is_plain(const struct usage_record *r)
{
    const struct usage *u = &r->usage;
    int64_t rare = u->cache_read | u->cache_write_5m | u->cache_write_1h | u->reasoning |
                   u->total_reported | r->saved_nusd | (r->count ^ 1);
    size_t texts = r->reason.len | r->client_request_id.len | r->error.len | r->detail.len;
    return !rare && !texts && !is_asked_other(r);
}

enum err usage_row_init(struct store_db *db, const struct usage_record *r, struct usage_row *out)
{
    out->record = r;
    out->is_plain = is_plain(r);
    out->is_in = false;
    return usage_kind_no(db, r, &out->kind);
}

struct usage_row *usage_rows_room(struct store_db *db, size_t n)
{
    if (n > db->feed.cap) {
        free(db->feed.rows);
        db->feed.rows = calloc(n, sizeof(*db->feed.rows));
        db->feed.cap = db->feed.rows ? n : 0;
    }
    return db->feed.rows;
}

static int by_seq(const void *a, const void *b)
{
    const struct usage_row *x = a;
    const struct usage_row *y = b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Requests end nearly in the order in which they began, so each row goes back a few places only;
 * when that is not so it is qsort's business. */
static void sort_rows(struct usage_row *rows, size_t n)
{
    enum { STEPS_A_ROW = 32 };
    size_t steps = n * STEPS_A_ROW;
    for (size_t i = 1; i < n; i++) {
        struct usage_row row = rows[i];
        size_t at = i;
        for (; at && rows[at - 1].seq > row.seq; at--) {
            rows[at] = rows[at - 1];
        }
        rows[at] = row;
        if (i - at >= steps) {
            qsort(rows, n, sizeof(*rows), by_seq);
            return;
        }
        steps -= i - at;
    }
}

static enum err insert_some(struct store_db *db, enum db_stmt which, bool is_plain)
{
    sqlite3_stmt *stmt = db_prepare(db, which);
    if (!stmt) {
        return E_DB;
    }
    db->feed.is_plain = is_plain;
    db->feed.in_count = 0;
    sqlite3_set_last_insert_rowid(db->sql, -1);
    enum err e = db_run(db, stmt);
    if (e == OK && sqlite3_changes64(db->sql) != db->feed.in_count) {
        e = db_fail_text(db, E_CORRUPT, "rows inserted do not agree"); /* none is lost in silence */
    }
    return e;
}

enum err usage_rows_insert(struct store_db *db, struct usage_row *rows, size_t n)
{
    struct usage_feed kept = db->feed; /* its room may hold other rows than these */
    size_t plain = 0;
    sort_rows(rows, n);
    for (size_t i = 0; i < n; i++) {
        plain += rows[i].is_plain;
        rows[i].is_in = false;
    }
    db->feed.rows = rows;
    db->feed.count = n;
    enum err e = plain ? insert_some(db, DB_ROWS_PLAIN, true) : OK;
    e = e == OK && plain < n ? insert_some(db, DB_ROWS_FULL, false) : e;
    db->feed = kept;
    return e;
}
