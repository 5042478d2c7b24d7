/* Moves rows from requests_fresh to requests_indexed. In C rather than INSERT ... SELECT over the
 * view, whose hex() and strftime() a row cost three times as much. */
#include "core/clock.h"
#include "store/usage.h"

static void move_value(sqlite3_stmt *to, int at, sqlite3_stmt *from, int column)
{
    (void)sqlite3_bind_value(to, at, sqlite3_column_value(from, column));
}

static void move_ids(sqlite3_stmt *to, sqlite3_stmt *from, char *text)
{
    struct id ids[3] = {0};
    const void *blob = sqlite3_column_blob(from, 1);
    if (blob && sqlite3_column_bytes(from, 1) == (int)sizeof(ids)) {
        memcpy(ids, blob, sizeof(ids));
    }
    for (int i = 0; i < 3; i++) {
        char *at = text + (size_t)i * ID_TEXT_BYTES;
        id_format(ids[i], at);
        (void)sqlite3_bind_text(to, 2 + i, at, ID_TEXT_BYTES, SQLITE_STATIC);
    }
}

static void move_tokens(sqlite3_stmt *to, sqlite3_stmt *from)
{
    struct usage u = {
        .input = sqlite3_column_int64(from, 6),
        .cache_read = sqlite3_column_int64(from, 7),
        .cache_write_5m = sqlite3_column_int64(from, 8),
        .cache_write_1h = sqlite3_column_int64(from, 9),
        .output = sqlite3_column_int64(from, 10),
        .reasoning = sqlite3_column_int64(from, 11),
        .total_reported = sqlite3_column_int64(from, 12),
    };
    const int64_t numbers[] = {usage_prompt(&u), usage_completion(&u), usage_total(&u)};
    for (int i = 0; i < 3; i++) {
        (void)sqlite3_bind_int64(to, 8 + i, numbers[i]);
        move_value(to, 11 + i, from, 13 + i); /* cost, reserved, saved */
        move_value(to, 14 + i, from, 7 + i);  /* cache read, writes */
    }
    (void)sqlite3_bind_int64(to, 17, u.reasoning);
}

static void bind_name(sqlite3_stmt *to, int at, const char *name)
{
    (void)sqlite3_bind_text(to, at, name, -1, SQLITE_STATIC);
}

static void move_bits(sqlite3_stmt *to, int64_t bits)
{
    bind_name(to, 20, record_status_name((enum record_status)(bits & 15)));
    bind_name(to, 25, record_dialect_name((enum record_dialect)(bits >> 4 & 15)));
    for (int i = 0; i < 3; i++) { /* is_stream, estimated, overrun */
        (void)sqlite3_bind_int64(to, 26 + i, bits >> (8 + i) & 1);
    }
}

static enum err move_row(struct store_db *db, sqlite3_stmt *to, sqlite3_stmt *from)
{
    char ids[3 * ID_TEXT_BYTES];
    char created[DB_TIME_TEXT_BYTES];
    move_value(to, 1, from, 0);
    move_ids(to, from, ids);
    move_value(to, 5, from, 3);
    move_value(to, 6, from, 4);
    move_value(to, 7, from, sqlite3_column_type(from, 5) == SQLITE_NULL ? 4 : 5);
    move_tokens(to, from);
    move_value(to, 18, from, 16); /* latency, time to first token */
    move_value(to, 19, from, 17);
    move_bits(to, sqlite3_column_int64(from, 20));
    move_value(to, 21, from, 24); /* error */
    db_time_format(db, sqlite3_column_int64(from, 2) * NS_PER_US, created);
    (void)sqlite3_bind_text(to, 22, created, sizeof(created), SQLITE_STATIC);
    move_value(to, 23, from, 18); /* attempts, http_status */
    move_value(to, 24, from, 19);
    move_value(to, 29, from, 21); /* count, reason, client_request_id, detail */
    move_value(to, 30, from, 22);
    move_value(to, 31, from, 23);
    move_value(to, 32, from, 25);
    return db_run(db, to);
}

static enum err move_rows(struct store_db *db, int64_t max_rows, int64_t *out_moved)
{
    sqlite3_stmt *from = db_prepare(db, DB_MOVE_READ);
    sqlite3_stmt *to = db_prepare(db, DB_MOVE_INSERT);
    sqlite3_stmt *del = db_prepare(db, DB_MOVE_DELETE);
    int64_t last = 0;
    int64_t moved = 0;
    if (!from || !to || !del) {
        return E_DB;
    }
    (void)sqlite3_bind_int64(from, 1, max_rows);
    enum err e = OK;
    int rc = SQLITE_ROW;
    while (e == OK && (rc = sqlite3_step(from)) == SQLITE_ROW) {
        last = sqlite3_column_int64(from, 0);
        e = move_row(db, to, from);
        moved += e == OK;
    }
    e = e == OK && rc != SQLITE_DONE ? db_fail(db, rc) : e;
    (void)sqlite3_reset(from);
    (void)sqlite3_clear_bindings(to); /* some pointed to the stack */
    if (e == OK && moved) {
        (void)sqlite3_bind_int64(del, 1, last);
        e = db_run(db, del);
        if (e == OK && sqlite3_changes64(db->sql) != moved) { /* nothing is lost in silence */
            e = db_fail_text(db, E_CORRUPT, "rows to index do not agree");
        }
    }
    *out_moved = moved;
    return e;
}

enum err store_usage_index(struct store_db *db, int64_t max_rows, int64_t *out_moved)
{
    int64_t moved = 0;
    int64_t any = 0;
    *out_moved = 0;
    enum err e = db_get_i64(db, DB_FRESH_ANY, &any);
    if (e != OK || !any) {
        return e;
    }
    e = db_begin(db);
    if (e != OK) {
        return e;
    }
    e = db_end(db, move_rows(db, max_rows, &moved));
    *out_moved = e == OK ? moved : 0;
    return e;
}
