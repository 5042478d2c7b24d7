/* store/db.h -- inside of store/: one SQLite connection, its cached statements, small helpers.
 *
 * A connection belongs to one thread at a time. Statements are prepared on first use and kept until
 * the connection closes; every helper that steps one resets it again, so that no read transaction
 * is left open.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "store/store.h"
#include "store/usage_group.h"
#include "store/usage_kind.h"

#include <sqlite3.h>

enum {
    DB_ERROR_MAX_BYTES = 256,
    DB_TIME_TEXT_BYTES = 26,
    DB_DAY_TEXT_BYTES = 10,
    DB_BUSY_MS = 2000,
    DB_BUSY_BATCH_MS = 100
};

enum db_stmt {
#define STMT(name, sql) DB_##name,
#include "store/statements.def"
#undef STMT
    DB_STMT_COUNT
};

struct usage_row;

/* What the virtual table of usage_rows.c shows while a statement reads it. */
struct usage_feed {
    struct usage_row *rows; /* room for cap of them; owned */
    size_t cap, count;
    bool is_plain; /* those rows only, or the others only */
    int64_t in_count;
};

struct store_db {
    sqlite3 *sql;
    sqlite3_stmt *stmts[DB_STMT_COUNT];
    char error[DB_ERROR_MAX_BYTES];
    bool is_failing;           /* the last transaction failed for a reason that is the database's */
    int opened_version;        /* of the schema, before migrations */
    int64_t deadline_ns;       /* monotonic; a query running later is interrupted. 0: none */
    int64_t seen_data_version; /* of other connections' changes, at the last directory reading */
    int64_t seen_seq;          /* the directory's sequence number at that time; -1: unknown */
    struct usage_groups groups; /* scratch of store_usage_write */
    struct usage_kinds kinds;
    struct usage_feed feed;
    int64_t time_text_second; /* the second that time_text holds */
    char time_text[DB_TIME_TEXT_BYTES];
};

/* Keeps the message and says which of our errors it is; never OK. */
enum err db_fail(struct store_db *db, int rc);
MUST_USE enum err db_fail_text(struct store_db *db, enum err e, const char *text);
/* NULL when it cannot be prepared (db_fail has the text). */
sqlite3_stmt *db_prepare(struct store_db *db, enum db_stmt which);
/* Steps a statement that gives no rows, and resets it. */
MUST_USE enum err db_run(struct store_db *db, sqlite3_stmt *stmt);
/* Steps to the only row, and leaves the reset to the caller; E_NOT_FOUND: there is none. */
MUST_USE enum err db_first(struct store_db *db, sqlite3_stmt *stmt);
/* Steps to the next row. False: it was the last, or *out_e says what failed; the statement is
 * reset.
 */
MUST_USE bool db_next(struct store_db *db, sqlite3_stmt *stmt, enum err *out_e);
MUST_USE enum err db_exec(struct store_db *db, enum db_stmt which);
/* One integer of a statement without parameters; E_NOT_FOUND without a row. */
MUST_USE enum err db_get_i64(struct store_db *db, enum db_stmt which, int64_t *out);
MUST_USE enum err db_begin(struct store_db *db);
/* Commits when e is OK, otherwise rolls back; returns the first error. */
MUST_USE enum err db_end(struct store_db *db, enum err e);

/* Binds copy when is_copied; otherwise the bytes must stay until the step. */
void db_bind_text(sqlite3_stmt *stmt, int at, struct slice s);
void db_bind_id(sqlite3_stmt *stmt, int at, struct id id);      /* zero: NULL */
void db_bind_absent(sqlite3_stmt *stmt, int at, int64_t value); /* -1: NULL */
void db_bind_time(struct store_db *db, sqlite3_stmt *stmt, int at, int64_t unix_ns);
struct slice db_column_text(sqlite3_stmt *stmt, int at); /* borrowed until the next step */
struct id db_column_id(sqlite3_stmt *stmt, int at);      /* NULL or malformed: zero */
int64_t db_column_absent(sqlite3_stmt *stmt, int at);    /* NULL: -1 */
int64_t db_column_time(sqlite3_stmt *stmt, int at);

/* "2026-11-23 15:24:46.123456" in UTC; out holds DB_TIME_TEXT_BYTES, no NUL. */
void db_time_format(struct store_db *db, int64_t unix_ns, char *out);
/* 0 when it is not of that form. */
int64_t db_time_parse(struct slice text);

/* store_db_open, or a read-only connection to a database that exists and is current. */
MUST_USE enum err db_open_mode(const struct store_conf *conf, bool is_read_only,
                               struct store_db **out, char *why, size_t why_cap);

/* Reads the schema's version; 0 for an empty database. */
MUST_USE enum err db_schema_version(struct store_db *db, int *out_version);
int db_schema_known(void);

#endif
