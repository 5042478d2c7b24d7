/* core/log.h -- JSON lines to a file descriptor by a thread of its own.
 *
 * Each thread that logs on the request path owns a ring (single producer); the log thread gathers
 * the rings about every 50 ms and writes in large pieces. A full ring drops the line and counts it:
 * logging never waits. Prompts, completions and keys are never given to a log function.
 *
 *   log_begin(ring, LOG_INFO, "request");  LOG_STR(ring, "tenant", t);  LOG_I64(ring, "status",
 * 200);  log_end(ring); gives
 * {"ts":"2026-11-23T15:24:46.123Z","level":"info","msg":"request","tenant":"...","status":200}
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "core/err.h"
#include "core/slice.h"

enum log_level { LOG_DEBUG = 0, LOG_INFO, LOG_WARNING, LOG_ERROR };

enum {
    LOG_LINE_MAX_BYTES = 4096,   /* longer values are cut */
    LOG_RING_BYTES = 256 * 1024, /* per thread, mapped on first use */
};

struct log;      /* one a process */
struct log_ring; /* one a thread */

/* fd is borrowed (usually 1). Starts the log thread. */
MUST_USE enum err log_new(int fd, enum log_level level, struct log **out_log);
/* Writes what is left, joins the thread. Rings are freed. */
void log_free(struct log *log);
void log_set_level(struct log *log, enum log_level level);

/* Ring for the calling thread; owned by log. NULL on no memory. */
MUST_USE struct log_ring *log_ring_new(struct log *log);

/* False when the level is off or there is no room: then the other calls until log_end do nothing.
 */
bool log_begin(struct log_ring *ring, enum log_level level, const char *message);
/* A member more; key is a literal without anything to escape. */
#define LOG_STR(ring, key, value)  log_put_str((ring), SLICE(",\"" key "\":\""), (value))
#define LOG_I64(ring, key, value)  log_put_i64((ring), SLICE(",\"" key "\":"), (value))
#define LOG_BOOL(ring, key, value) log_put_bool((ring), SLICE(",\"" key "\":"), (value))
#define LOG_USD(ring, key, nusd)   log_put_usd((ring), SLICE(",\"" key "\":"), (nusd))
void log_put_str(struct log_ring *ring, struct slice key, struct slice value);
void log_put_i64(struct log_ring *ring, struct slice key, int64_t value);
void log_put_bool(struct log_ring *ring, struct slice key, bool value);
void log_put_usd(struct log_ring *ring, struct slice key, int64_t nusd);
void log_end(struct log_ring *ring);

/* Any thread, takes a lock: start-up, reload, store. fields is JSON members without braces, or "".
 */
void log_event(struct log *log, enum log_level level, const char *format, ...) PRINTF(3, 4);

/* Lines dropped since the start, over all rings. */
int64_t log_dropped(const struct log *log);

#endif
