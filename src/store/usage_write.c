/* Batches of usage into the database.
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

/* A parameter keeps its value from row to row, and most are the same as in the row before: those
 * are not bound again. Texts stay valid for the batch. */
struct binder {
    sqlite3_stmt *stmt;
    int64_t numbers[USAGE_PARAMETERS + 1];
    struct slice texts[USAGE_PARAMETERS + 1];
    bool is_bound[USAGE_PARAMETERS + 1];
};

static inline void put_number(struct binder *b, int at, int64_t value)
{
    if (!b->is_bound[at] || b->numbers[at] != value) {
        (void)sqlite3_bind_int64(b->stmt, at, value);
        b->numbers[at] = value;
        b->is_bound[at] = true;
    }
}

/* The empty text is "" in the first columns and NULL where the origin has NULL. */
static inline void put_text(struct binder *b, int at, struct slice s, bool is_null_when_empty)
{
    if (b->is_bound[at] && slice_eq(b->texts[at], s)) {
        return;
    }
    if (s.len == 0 && is_null_when_empty) {
        (void)sqlite3_bind_null(b->stmt, at);
    } else {
        (void)sqlite3_bind_text(b->stmt, at, s.len ? s.ptr : "", (int)s.len, SQLITE_STATIC);
    }
    b->texts[at] = s;
    b->is_bound[at] = true;
}

static void put_record(struct binder *b, const struct usage_record *r)
{
    const struct usage *u = &r->usage;
    /* id, tenant and key stand one after the other in the record. */
    _Static_assert(offsetof(struct usage_record, key) == (size_t)2 * ID_BYTES &&
                       offsetof(struct usage_record, id) == 0,
                   "the three ids are one blob");
    (void)sqlite3_bind_blob(b->stmt, 2, r, USAGE_IDS_BYTES, SQLITE_STATIC);
    put_number(b, 3, r->admitted_unix_ns / NS_PER_US);
    put_text(b, 4, r->provider, false);
    put_text(b, 5, r->model, false);
    put_text(b, 6, slice_eq(r->asked_model, r->model) ? SLICE_NONE : r->asked_model, true);
    put_number(b, 7, u->input);
    put_number(b, 8, u->cache_read);
    put_number(b, 9, u->cache_write_5m);
    put_number(b, 10, u->cache_write_1h);
    put_number(b, 11, u->output);
    put_number(b, 12, u->reasoning);
    put_number(b, 13, u->total_reported);
    put_number(b, 14, r->cost_nusd);
    put_number(b, 15, r->reserved_nusd);
    put_number(b, 16, r->saved_nusd);
    put_number(b, 17, r->latency_ns / NS_PER_US);
    if (r->first_token_ns < 0) {
        (void)sqlite3_bind_null(b->stmt, 18);
        b->is_bound[18] = false;
    } else {
        put_number(b, 18, r->first_token_ns / NS_PER_US);
    }
    put_number(b, 19, r->attempts);
    put_number(b, 20, r->http_status);
    put_number(b, 21, usage_bits(r));
    put_number(b, 22, r->count);
    put_text(b, 23, r->reason, true);
    put_text(b, 24, r->client_request_id, true);
    put_text(b, 25, r->error, true);
    put_text(b, 26, r->detail, true);
}

/* What a batch carries along. */
struct writer {
    struct store_db *db;
    struct usage_groups *groups;
    struct binder binder;
    int64_t indexed_newest; /* numbers above are in requests_fresh or nowhere */
    bool has_opens;         /* requests_open is not empty */
    struct arena replaced;  /* rows taken back by a late close; the groups point at them */
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
    e = delete_row(w->db, DB_FRESH_DELETE, seq);
    e = e == OK ? delete_row(w->db, DB_INDEXED_DELETE, seq) : e;
    if (e == OK) {
        usage_groups_add(w->groups, old, -1);
        *out_is_done = false;
    }
    return e;
}

static enum err insert_at(struct writer *w, int64_t seq, bool *out_is_in)
{
    sqlite3_stmt *stmt = w->binder.stmt;
    put_number(&w->binder, 1, seq);
    int rc = sqlite3_step(stmt);
    enum err e = rc == SQLITE_DONE ? OK : db_fail(w->db, rc);
    (void)sqlite3_reset(stmt);
    *out_is_in = e == OK && sqlite3_changes(w->db->sql) == 1;
    return e;
}

/* Rows that moved keep their number, so a fresh row must not take it: both would meet at the move.
 */
static COLD enum err skip_indexed(struct writer *w, int64_t *seq)
{
    sqlite3_stmt *stmt = db_prepare(w->db, DB_INDEXED_HAS);
    int rc = stmt ? SQLITE_ROW : SQLITE_ERROR;
    while (rc == SQLITE_ROW) {
        (void)sqlite3_bind_int64(stmt, 1, *seq);
        rc = sqlite3_step(stmt);
        (void)sqlite3_reset(stmt);
        *seq += rc == SQLITE_ROW ? 1 : 0;
    }
    return rc == SQLITE_DONE ? OK : db_fail(w->db, rc);
}

/* When its own number is taken, or it may have moved: the row is there, or the next free number is
 * looked for. */
static COLD enum err insert_slow(struct writer *w, const struct usage_record *r)
{
    bool is_done = false;
    bool is_in = false;
    int64_t first = usage_seq(r->id);
    enum err e = meet_existing(w, r, &is_done);
    for (int64_t seq = first; e == OK && !is_done && !is_in; seq++) {
        e = skip_indexed(w, &seq);
        if (e == OK && seq - first >= USAGE_SEQ_PROBES) {
            return db_fail_text(w->db, E_CORRUPT, "too many requests with one row number");
        }
        e = e == OK ? insert_at(w, seq, &is_in) : e;
    }
    if (is_in) {
        usage_groups_add(w->groups, r, 1);
    }
    return e;
}

static enum err insert_row(struct writer *w, const struct usage_record *r)
{
    bool is_in = false;
    int64_t seq = usage_seq(r->id);
    put_record(&w->binder, r);
    if (seq <= w->indexed_newest) {
        return insert_slow(w, r);
    }
    enum err e = insert_at(w, seq, &is_in);
    if (is_in) {
        usage_groups_add(w->groups, r, 1);
    }
    return is_in || e != OK ? e : insert_slow(w, r);
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

static enum err write_closed(struct writer *w, const struct store_batch *batch)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < batch->closed_count; i++) {
        e = insert_row(w, &batch->closed[i]);
        if (e == OK && w->has_opens) {
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
            d->requests,     d->errors,    d->refused,    d->prompt_tokens, d->completion_tokens,
            d->total_tokens, d->cost_nusd, d->saved_nusd, d->latency_us};
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

static enum err write_batch(struct writer *w, const struct store_batch *batch)
{
    int64_t has_opens = 0;
    enum err e = db_get_i64(w->db, DB_INDEXED_NEWEST, &w->indexed_newest);
    e = e == OK ? db_get_i64(w->db, DB_OPEN_ANY, &has_opens) : e;
    w->has_opens = has_opens != 0;
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
    w.binder.stmt = db_prepare(db, DB_FRESH_INSERT);
    if (e != OK || !w.binder.stmt) {
        return e != OK ? e : E_DB;
    }
    arena_init(&w.replaced, NULL, SIZE_MAX);
    /* The journal keeps records while another process writes: no need to wait for it for long, and
     * segments are prepared by this very thread. */
    (void)sqlite3_busy_timeout(db->sql, DB_BUSY_BATCH_MS);
    e = db_begin(db);
    if (e == OK) {
        e = db_end(db, write_batch(&w, batch));
    }
    (void)sqlite3_busy_timeout(db->sql, DB_BUSY_MS);
    (void)sqlite3_clear_bindings(w.binder.stmt); /* they point into the batch */
    arena_deinit(&w.replaced);
    return e;
}
