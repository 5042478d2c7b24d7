/* tests/unit/store/query.h -- what a database says to a connection of its own. */
#ifndef TESTS_QUERY_H
#define TESTS_QUERY_H

#include "scratch.h"

#include <sqlite3.h>

/* The first column of the first row. */
static inline int64_t query_number(const struct scratch *s, const char *sql)
{
    sqlite3 *raw = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open_v2(s->path, &raw, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    (void)sqlite3_busy_timeout(raw, 5000);
    if (sqlite3_prepare_v2(raw, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(raw));
    }
    int64_t value = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(raw);
    return value;
}

#endif
