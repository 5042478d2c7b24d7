/* Batches of usage into the database: rows (usage_rows.c), daily sums, period totals, opens,
 * checkpoints.
 *
 * The row number comes from the id: 43 bits of its milliseconds, then 20 of its random bits. So
 * rows are appended in the order of time without any index, a request is found by its id without
 * one, and "since" is a range of row numbers. Two ids with one number (one in a million of the same
 * millisecond) stand one after the other: the next free number is taken, up to SEQ_PROBES.
 *
 * An id that is there already is found by its number being taken; only then is anything read.
 */
#include "core/check.h"
#include "core/clock.h"
#include "store/usage.h"

#include <assert.h>

int64_t usage_seq(struct id id)
{
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | id.bytes[i];
    }
    uint64_t tail = (uint64_t)id.bytes[13] << 16 | (uint64_t)id.bytes[14] << 8 | id.bytes[15];
    return (int64_t)((ms & ((UINT64_C(1) << 43) - 1)) << 20 | (tail & 0xFFFFF));
}

int64_t usage_seq_since(int64_t unix_ns)
{
    return i64_max(unix_ns / NS_PER_MS, 0) << 20;
}

int64_t usage_bits(const struct usage_record *r)
{
    return (int64_t)r->status | (int64_t)r->dialect << 4 | (int64_t)r->is_stream << 8 |
           (int64_t)r->is_estimated << 9 | (int64_t)r->is_overrun << 10;
}

/* What a batch carries along. */
struct writer {
    struct store_db *db;
    struct usage_groups *groups;
    struct id newest_open; /* of requests_open; zero: it is empty */
    struct arena replaced; /* rows taken back by a late close; the groups point at them */
};

static enum err delete_row(struct store_db *db, enum db_stmt which, int64_t seq)
{
    sqlite3_stmt *stmt = db_prepare(db, which);
    if (!stmt) {
        return E_DB;
    }
    (void)sqlite3_bind_int64(stmt, 1, seq);
    return db_run(db, stmt);
}

/* The row under that number or the next ones may be this id's: then a crashed one gives way, and
 * any other stays. *out_is_done: there is nothing to insert. */
static COLD enum err meet_existing(struct writer *w, const struct usage_record *r,
                                   bool *out_is_done)
{
    int64_t seq = 0;
    struct usage_record *old = ARENA_NEW(&w->replaced, struct usage_record);
    if (!old) {
        return E_NOMEM;
    }
    enum err e = usage_find(w->db, &w->replaced, r->id, old, &seq);
    if (e != OK) {
        *out_is_done = false;
        return e == E_NOT_FOUND ? OK : e;
    }
    if (old->status != RECORD_CRASHED || r->status == RECORD_CRASHED) {
        *out_is_done = true;
        return OK;
    }
    e = delete_row(w->db, DB_ROW_DELETE, seq);
    if (e == OK) {
        usage_groups_add(w->groups, old, 0, -1);
        *out_is_done = false;
    }
    return e;
}

/* When its own number is taken: the row is there, or the next free number is looked for. */
static COLD enum err insert_slow(struct writer *w, const struct usage_record *r)
{
    bool is_done = false;
    struct usage_row row;
    int64_t first = usage_seq(r->id);
    enum err e = usage_row_init(w->db, r, &row);
    e = e == OK ? meet_existing(w, r, &is_done) : e;
    for (row.seq = first; e == OK && !is_done && !row.is_in; row.seq += !row.is_in) {
        if (row.seq - first >= USAGE_SEQ_PROBES) {
            return db_fail_text(w->db, E_CORRUPT, "too many requests with one row number");
        }
        e = usage_rows_insert(w->db, &row, 1);
    }
    if (e == OK && row.is_in) {
        usage_groups_add(w->groups, r, row.kind, 1);
    }
    return e;
}

static enum err delete_open(struct writer *w, const struct usage_record *r)
{
    sqlite3_stmt *stmt = db_prepare(w->db, DB_OPEN_DELETE);
    if (!stmt) {
        return E_DB;
    }
    db_bind_id(stmt, 1, r->id);
    return db_run(w->db, stmt);
}

/* Ids are ordered by time, so those of newer requests are not there. */
static inline bool may_be_open(const struct writer *w, struct id id)
{
    return memcmp(id.bytes, w->newest_open.bytes, ID_BYTES) <= 0;
}

static enum err insert_rows(struct writer *w, const struct store_batch *batch)
{
    size_t n = batch->closed_count;
    struct usage_row *rows = n ? usage_rows_room(w->db, n) : NULL;
    enum err e = n && !rows ? E_NOMEM : OK;
    for (size_t i = 0; e == OK && i < n; i++) {
        rows[i].seq = usage_seq(batch->closed[i].id);
        e = usage_row_init(w->db, &batch->closed[i], &rows[i]);
    }
    e = e == OK && n ? usage_rows_insert(w->db, rows, n) : e;
    for (size_t i = 0; e == OK && i < n; i++) {
        if (rows[i].is_in) {
            usage_groups_add(w->groups, rows[i].record, rows[i].kind, 1);
        }
    }
    for (size_t i = 0; e == OK && i < n; i++) { /* after all others: one may be there twice */
        e = rows[i].is_in ? OK : insert_slow(w, rows[i].record);
    }
    return e;
}

static enum err write_closed(struct writer *w, const struct store_batch *batch)
{
    enum err e = insert_rows(w, batch);
    for (size_t i = 0; e == OK && i < batch->closed_count; i++) {
        if (may_be_open(w, batch->closed[i].id)) {
            e = delete_open(w, &batch->closed[i]);
        }
    }
    return e;
}

/* A request that has its row is not open any more: its open record was only read again. */
static enum err write_open(struct writer *w, const struct usage_record *r)
{
    struct usage_record row;
    int64_t seq = 0;
    enum err e = usage_find(w->db, &w->replaced, r->id, &row, &seq);
    if (e != E_NOT_FOUND) {
        return e;
    }
    sqlite3_stmt *stmt = db_prepare(w->db, DB_OPEN_PUT);
    if (!stmt) {
        return E_DB;
    }
    db_bind_id(stmt, 1, r->id);
    db_bind_id(stmt, 2, r->tenant);
    db_bind_id(stmt, 3, r->key);
    db_bind_time(w->db, stmt, 4, r->admitted_unix_ns);
    (void)sqlite3_bind_int64(stmt, 5, r->reserved_nusd);
    (void)sqlite3_bind_int64(stmt, 6, usage_prompt(&r->usage));
    db_bind_text(stmt, 7, r->provider);
    db_bind_text(stmt, 8, r->model);
    db_bind_text(stmt, 9, r->asked_model);
    (void)sqlite3_bind_int(stmt, 10, r->attempts);
    (void)sqlite3_bind_int64(stmt, 11, usage_bits(r));
    db_bind_text(stmt, 12, r->client_request_id);
    db_bind_text(stmt, 13, r->detail);
    return db_run(w->db, stmt);
}

static enum err write_opens(struct writer *w, const struct store_batch *batch)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < batch->open_count; i++) {
        e = write_open(w, &batch->opens[i]);
    }
    return e;
}

static enum err write_days(struct writer *w)
{
    char day[DB_TIME_TEXT_BYTES];
    sqlite3_stmt *stmt = db_prepare(w->db, DB_DAILY_ADD);
    enum err e = stmt ? OK : E_DB;
    for (size_t i = 0; e == OK && i < w->groups->day_count; i++) {
        const struct usage_day *d = &w->groups->days[i];
        db_time_format(w->db, d->day * NS_PER_DAY, day);
        db_bind_id(stmt, 1, d->first->tenant);
        (void)sqlite3_bind_text(stmt, 2, day, DB_DAY_TEXT_BYTES, SQLITE_STATIC);
        db_bind_id(stmt, 3, d->first->key);
        db_bind_text(stmt, 4, d->first->provider);
        db_bind_text(stmt, 5, d->first->model);
        const int64_t sums[] = {
            d->requests,          d->errors,       d->refused,        d->prompt_tokens,
            d->completion_tokens, d->total_tokens, d->cost_nusd,      d->saved_nusd,
            d->latency_us,        d->cache_read,   d->cache_write_5m, d->cache_write_1h};
        for (size_t k = 0; k < ARRAY_LEN(sums); k++) {
            (void)sqlite3_bind_int64(stmt, 6 + (int)k, sums[k]);
        }
        e = db_run(w->db, stmt);
    }
    return e;
}

static enum err write_periods(struct writer *w)
{
    sqlite3_stmt *stmt = db_prepare(w->db, DB_PERIOD_ADD);
    enum err e = stmt ? OK : E_DB;
    usage_groups_sum_nodes(w->groups);
    for (size_t i = 0; e == OK && i < w->groups->node_count; i++) {
        const struct usage_node *n = &w->groups->nodes[i];
        int64_t at = n->day * NS_PER_DAY;
        if (n->cost_nusd == 0) { /* a crashed row and its correction may cancel out */
            continue;
        }
        db_bind_id(stmt, 1, n->node);
        (void)sqlite3_bind_int64(stmt, 2, budget_period_number(BUDGET_DAY, at));
        (void)sqlite3_bind_int64(stmt, 3, budget_period_number(BUDGET_WEEK, at));
        (void)sqlite3_bind_int64(stmt, 4, budget_period_number(BUDGET_MONTH, at));
        (void)sqlite3_bind_int64(stmt, 5, n->cost_nusd);
        e = db_run(w->db, stmt);
    }
    return e;
}

static enum err write_checkpoint(struct store_db *db, const struct store_checkpoint *c)
{
    sqlite3_stmt *stmt = id_is_zero(c->instance) ? NULL : db_prepare(db, DB_CHECKPOINT_PUT);
    if (!stmt) {
        return id_is_zero(c->instance) ? OK : E_DB;
    }
    db_bind_id(stmt, 1, c->instance);
    (void)sqlite3_bind_int(stmt, 2, c->worker);
    (void)sqlite3_bind_int64(stmt, 3, c->segment);
    (void)sqlite3_bind_int64(stmt, 4, c->slot);
    return db_run(db, stmt);
}

static enum err find_newest_open(struct writer *w)
{
    sqlite3_stmt *stmt = db_prepare(w->db, DB_OPEN_NEWEST);
    int rc = stmt ? sqlite3_step(stmt) : SQLITE_ERROR;
    if (rc == SQLITE_ROW) {
        w->newest_open = db_column_id(stmt, 0);
    }
    (void)sqlite3_reset(stmt);
    return rc == SQLITE_ROW ? OK : db_fail(w->db, rc);
}

static enum err write_batch(struct writer *w, const struct store_batch *batch)
{
    enum err e = find_newest_open(w);
    e = e == OK ? write_closed(w, batch) : e;
    e = e == OK ? write_opens(w, batch) : e;
    e = e == OK ? write_days(w) : e;
    e = e == OK ? write_periods(w) : e;
    e = e == OK ? write_checkpoint(w->db, &batch->checkpoint) : e;
    for (size_t i = 0; e == OK && i < batch->checkpoint_count; i++) {
        e = write_checkpoint(w->db, &batch->checkpoints[i]);
    }
    return e;
}

enum err store_usage_write(struct store_db *db, const struct store_batch *batch)
{
    struct writer w = {.db = db, .groups = &db->groups};
    /* A replaced row adds a second group, so room for both. */
    enum err e = usage_groups_begin(w.groups, batch->closed_count * 2);
    if (e != OK) {
        return e;
    }
    arena_init(&w.replaced, NULL, SIZE_MAX);
    /* The journal keeps records while another process writes: no need to wait for it for long, and
     * segments are prepared by this very thread. */
    (void)sqlite3_busy_timeout(db->sql, DB_BUSY_BATCH_MS);
    e = db_begin(db);
    if (e == OK) {
        e = db_end(db, write_batch(&w, batch));
    }
    if (e != OK) { /* numbers of kinds that were rolled back */
        usage_kinds_forget(&db->kinds);
    }
    (void)sqlite3_busy_timeout(db->sql, DB_BUSY_MS);
    arena_deinit(&w.replaced);
    return e;
}
