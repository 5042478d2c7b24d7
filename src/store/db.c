#include "store/db.h"

#include "core/clock.h"
#include "store/usage.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const statements[] = {
#define STMT(name, sql) sql,
#include "store/statements.def"
#undef STMT
};

enum {
    PATH_MAX_BYTES = 1024,
    PROGRESS_STEPS =
        4000, /* virtual machine steps between two looks at the deadline: about 50 us */
    DIR_MODE = 0700,
    FILE_MODE = 0600
};

/* auto_vacuum stays off: retention frees pages that the next rows use again. The checkpoint is rare
 * because each one writes every touched page a second time. */
static const char open_pragmas[] = "PRAGMA page_size = 8192;"
                                   "PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = NORMAL;"
                                   "PRAGMA foreign_keys = ON;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA cache_size = -8192;"
                                   "PRAGMA journal_size_limit = 67108864;"
                                   "PRAGMA wal_autocheckpoint = 4096;";
static const char read_pragmas[] = "PRAGMA query_only = ON;"
                                   "PRAGMA cache_size = -2048;"
                                   "PRAGMA temp_store = MEMORY;";

static enum err err_of(int rc)
{
    switch (rc & 0xFF) {
    case SQLITE_CONSTRAINT: return E_CONFLICT;
    case SQLITE_INTERRUPT: return E_TIMEOUT;
    case SQLITE_NOMEM: return E_NOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return E_CORRUPT;
    default: return E_DB; /* foreign codes: BUSY, FULL, IOERR and what later versions add */
    }
}

enum err db_fail_text(struct store_db *db, enum err e, const char *text)
{
    (void)snprintf(db->error, sizeof(db->error), "%s", text);
    return e;
}

enum err db_fail(struct store_db *db, int rc)
{
    enum err e = err_of(rc);
    db->is_failing = db->is_failing || (e != E_CONFLICT && e != E_TIMEOUT);
    return db_fail_text(db, e, sqlite3_errmsg(db->sql));
}

sqlite3_stmt *db_prepare(struct store_db *db, enum db_stmt which)
{
    if (!db->stmts[which]) {
        int rc = sqlite3_prepare_v3(db->sql, statements[which], -1, SQLITE_PREPARE_PERSISTENT,
                                    &db->stmts[which], NULL);
        if (rc != SQLITE_OK) {
            (void)db_fail(db, rc);
            return NULL;
        }
    }
    return db->stmts[which];
}

enum err db_run(struct store_db *db, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    enum err e = rc == SQLITE_DONE || rc == SQLITE_ROW ? OK : db_fail(db, rc);
    (void)sqlite3_reset(stmt);
    return e;
}

enum err db_first(struct store_db *db, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    return rc == SQLITE_ROW ? OK : rc == SQLITE_DONE ? E_NOT_FOUND : db_fail(db, rc);
}

bool db_next(struct store_db *db, sqlite3_stmt *stmt, enum err *out_e)
{
    enum err e = db_first(db, stmt);
    if (e == OK) {
        return true;
    }
    *out_e = e == E_NOT_FOUND ? OK : e;
    (void)sqlite3_reset(stmt);
    return false;
}

enum err db_exec(struct store_db *db, enum db_stmt which)
{
    sqlite3_stmt *stmt = db_prepare(db, which);
    return stmt ? db_run(db, stmt) : E_DB;
}

enum err db_get_i64(struct store_db *db, enum db_stmt which, int64_t *out)
{
    sqlite3_stmt *stmt = db_prepare(db, which);
    if (!stmt) {
        return E_DB;
    }
    enum err e = db_first(db, stmt);
    if (e == OK) {
        *out = sqlite3_column_int64(stmt, 0);
    }
    (void)sqlite3_reset(stmt);
    return e;
}

enum err db_begin(struct store_db *db)
{
    return db_exec(db, DB_BEGIN);
}

enum err db_end(struct store_db *db, enum err e)
{
    if (e == OK) {
        e = db_exec(db, DB_COMMIT);
        if (e == OK) {
            db->is_failing = false;
            return OK;
        }
    }
    if (!sqlite3_get_autocommit(db->sql)) { /* SQLite rolls back by itself on some errors */
        char first[DB_ERROR_MAX_BYTES];
        memcpy(first, db->error, sizeof(first));
        (void)sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
        memcpy(db->error, first, sizeof(first));
    }
    return e;
}

/* The journal file of a database in WAL mode is the WAL. */
enum err store_sync(struct store_db *db)
{
    sqlite3_file *wal = NULL;
    int rc = sqlite3_file_control(db->sql, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (rc == SQLITE_OK && wal && wal->pMethods) {
        rc = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
    }
    return rc == SQLITE_OK ? OK : db_fail(db, rc);
}

void db_bind_text(sqlite3_stmt *stmt, int at, struct slice s)
{
    assert(s.len <= INT32_MAX);
    (void)sqlite3_bind_text(stmt, at, s.len ? s.ptr : "", (int)s.len, SQLITE_TRANSIENT);
}

void db_bind_id(sqlite3_stmt *stmt, int at, struct id id)
{
    char text[ID_TEXT_BYTES];
    if (id_is_zero(id)) {
        (void)sqlite3_bind_null(stmt, at);
        return;
    }
    id_format(id, text);
    (void)sqlite3_bind_text(stmt, at, text, ID_TEXT_BYTES, SQLITE_TRANSIENT);
}

void db_bind_absent(sqlite3_stmt *stmt, int at, int64_t value)
{
    if (value < 0) {
        (void)sqlite3_bind_null(stmt, at);
    } else {
        (void)sqlite3_bind_int64(stmt, at, value);
    }
}

void db_bind_time(struct store_db *db, sqlite3_stmt *stmt, int at, int64_t unix_ns)
{
    char text[DB_TIME_TEXT_BYTES];
    db_time_format(db, unix_ns, text);
    (void)sqlite3_bind_text(stmt, at, text, sizeof(text), SQLITE_TRANSIENT);
}

struct slice db_column_text(sqlite3_stmt *stmt, int at)
{
    const char *text = (const char *)sqlite3_column_text(stmt, at);
    int len = sqlite3_column_bytes(stmt, at);
    return text && len > 0 ? slice_of(text, (size_t)len) : SLICE_NONE;
}

struct id db_column_id(sqlite3_stmt *stmt, int at)
{
    struct id id;
    return id_parse(db_column_text(stmt, at), &id) ? id : (struct id){0};
}

int64_t db_column_absent(sqlite3_stmt *stmt, int at)
{
    return sqlite3_column_type(stmt, at) == SQLITE_NULL ? -1 : sqlite3_column_int64(stmt, at);
}

int64_t db_column_time(sqlite3_stmt *stmt, int at)
{
    return db_time_parse(db_column_text(stmt, at));
}

static void put_digits(char *at, int n, int64_t value)
{
    while (n-- > 0) {
        at[n] = (char)('0' + value % 10);
        value /= 10;
    }
}

void db_time_format(struct store_db *db, int64_t unix_ns, char *out)
{
    int64_t in_second = unix_ns % NS_PER_S;
    in_second += in_second < 0 ? NS_PER_S : 0;
    int64_t second = (unix_ns - in_second) / NS_PER_S;
    if (second != db->time_text_second || db->time_text[0] == 0) { /* rows come in order of time */
        struct civil_date d = clock_civil(unix_ns);
        int64_t in_day = second - clock_days(unix_ns) * 86400;
        memcpy(db->time_text, "0000-00-00 00:00:00.000000", DB_TIME_TEXT_BYTES);
        put_digits(db->time_text, 4, d.year % 10000);
        put_digits(db->time_text + 5, 2, d.month);
        put_digits(db->time_text + 8, 2, d.day);
        put_digits(db->time_text + 11, 2, in_day / 3600);
        put_digits(db->time_text + 14, 2, in_day / 60 % 60);
        put_digits(db->time_text + 17, 2, in_day % 60);
        db->time_text_second = second;
    }
    memcpy(out, db->time_text, DB_TIME_TEXT_BYTES);
    put_digits(out + 20, 6, in_second / NS_PER_US);
}

static int32_t digits_at(struct slice text, size_t at, size_t n)
{
    int64_t value = 0;
    return slice_to_i64(slice_of(text.ptr + at, n), &value) ? (int32_t)value : -1;
}

int64_t db_time_parse(struct slice text)
{
    if (text.len != DB_TIME_TEXT_BYTES) {
        return 0;
    }
    struct civil_date d = {digits_at(text, 0, 4), digits_at(text, 5, 2), digits_at(text, 8, 2)};
    int32_t hour = digits_at(text, 11, 2);
    int32_t minute = digits_at(text, 14, 2);
    int32_t second = digits_at(text, 17, 2);
    int32_t micro = digits_at(text, 20, 6);
    if (d.year < 0 || d.month < 1 || d.day < 1 || hour < 0 || minute < 0 || second < 0 ||
        micro < 0) {
        return 0;
    }
    return clock_unix_ns_of_date(d) +
           (hour * INT64_C(3600) + minute * INT64_C(60) + second) * NS_PER_S + micro * NS_PER_US;
}

/* SQLite calls it every PROGRESS_STEPS; non-zero interrupts the query. */
static int on_progress(void *ctx)
{
    const struct store_db *db = ctx;
    return db->deadline_ns && clock_mono_ns() > db->deadline_ns;
}

/* Makes the directory (and those above it) and an empty file, so that neither is ever readable by
 * others, whatever the umask is. The -wal and -shm files take the database's mode. */
static enum err make_file(char *path)
{
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = 0;
        int rc = mkdir(path, DIR_MODE);
        int why = errno;
        *at = '/';
        if (rc != 0 && why != EEXIST) {
            errno = why;
            return E_IO;
        }
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0) {
        return E_IO;
    }
    (void)close(fd);
    return OK;
}

static void say(char *why, size_t cap, const char *path, const char *text)
{
    if (why && cap) {
        (void)snprintf(why, cap, "database %s: %s", path, text);
    }
}

static enum err open_connection(struct store_db *db, const char *path, bool is_read_only)
{
    /* Allocation statistics take a process-wide lock a call. Refused once SQLite runs: no matter.
     */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int flags = SQLITE_OPEN_NOMUTEX | (is_read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    int rc = sqlite3_open_v2(path, &db->sql, flags, NULL);
    if (rc != SQLITE_OK) {
        return db_fail(db, rc);
    }
    (void)sqlite3_extended_result_codes(db->sql, 1);
    (void)sqlite3_busy_timeout(db->sql, DB_BUSY_MS);
    sqlite3_progress_handler(db->sql, PROGRESS_STEPS, on_progress, db);
    (void)sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    rc = sqlite3_exec(db->sql, is_read_only ? read_pragmas : open_pragmas, NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        return db_fail(db, rc);
    }
    return is_read_only ? OK : usage_rows_register(db);
}

static enum err check_schema(struct store_db *db, bool is_migrating)
{
    int from = 0;
    int to = 0;
    if (is_migrating) {
        enum err e = store_db_migrate(db, &from, &to);
        db->opened_version = e == OK ? from : 0;
        return e;
    }
    enum err e = db_schema_version(db, &from);
    if (e != OK) {
        return e;
    }
    db->opened_version = from;
    char text[DB_ERROR_MAX_BYTES];
    (void)snprintf(
        text, sizeof(text),
        from < db_schema_known()
            ? "its schema is version %d, this program needs %d; run `llm-gateway migrate`"
            : "its schema is version %d, this program knows only up to %d; use a newer "
              "llm-gateway",
        from, db_schema_known());
    return from == db_schema_known() ? OK : db_fail_text(db, E_DB, text);
}

enum err db_open_mode(const struct store_conf *conf, bool is_read_only, struct store_db **out,
                      char *why, size_t why_cap)
{
    char path[PATH_MAX_BYTES];
    if (conf->path.len == 0 || conf->path.len >= sizeof(path) ||
        memchr(conf->path.ptr, 0, conf->path.len)) {
        say(why, why_cap, "", "the path is empty, too long or has a NUL in it");
        return E_CONFIG;
    }
    memcpy(path, conf->path.ptr, conf->path.len);
    path[conf->path.len] = 0;
    if (!is_read_only && make_file(path) != OK) {
        say(why, why_cap, path, strerrordesc_np(errno));
        return E_IO;
    }
    struct store_db *db = calloc(1, sizeof(*db));
    if (!db) {
        return E_NOMEM;
    }
    db->seen_seq = -1;
    enum err e = open_connection(db, path, is_read_only);
    if (e == OK && !is_read_only) {
        e = check_schema(db, conf->is_migrating);
    }
    if (e != OK) {
        say(why, why_cap, path, store_db_error(db));
        store_db_close(db);
        return e;
    }
    *out = db;
    return OK;
}

enum err store_db_open(const struct store_conf *conf, struct store_db **out, char *why,
                       size_t why_cap)
{
    return db_open_mode(conf, false, out, why, why_cap);
}

void store_db_close(struct store_db *db)
{
    if (!db) {
        return;
    }
    for (size_t i = 0; i < DB_STMT_COUNT; i++) {
        (void)sqlite3_finalize(db->stmts[i]);
    }
    usage_groups_deinit(&db->groups);
    usage_kinds_deinit(&db->kinds);
    free(db->feed.rows);
    (void)sqlite3_close_v2(db->sql);
    free(db);
}

int store_db_opened_version(const struct store_db *db)
{
    return db->opened_version;
}

const char *store_db_error(const struct store_db *db)
{
    return db->error;
}
