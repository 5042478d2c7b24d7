#include "gateway/tick.h"

#include "gateway/bearer.h"

#include <malloc.h>

static void run_refresh(struct store_job *job, struct store_db *db)
{
    struct gateway *g = CONTAINER_OF(job, struct gateway, refresh_job);
    if (db) {
        gateway_refresh_directory(g, db);
    }
    atomic_store(&g->is_directory_refreshing, false);
}

/* Another process may have revoked a key: looked up four times a second, so that it is refused
 * within one. */
static void refresh_directory(struct worker *w)
{
    struct gateway *g = w->gateway;
    if (atomic_exchange(&g->is_directory_refreshing, true)) {
        return;
    }
    g->refresh_job = (struct store_job){.run = run_refresh};
    if (store_submit_write(g->store, &g->refresh_job) != OK) {
        atomic_store(&g->is_directory_refreshing, false);
    }
}

static void run_retain(struct store_job *job, struct store_db *db)
{
    struct gateway *g = CONTAINER_OF(job, struct gateway, retain_job);
    int64_t deleted = 0;
    if (store_retain(db, g->retain_before_unix_ns, TICK_RETAIN_ROWS, &deleted) != OK) {
        log_event(g->log, LOG_WARNING, "old requests could not be deleted: %s", store_db_error(db));
    }
    atomic_store(&g->is_retain_short, deleted == TICK_RETAIN_ROWS);
    atomic_store(&g->is_retaining, false);
}

/* One bounded step, so that usage records never wait long behind it. */
static void retain(struct worker *w, int64_t now_ns, int64_t retention_ns)
{
    struct gateway *g = w->gateway;
    if ((now_ns < w->retain_due_ns && !atomic_load(&g->is_retain_short)) ||
        atomic_exchange(&g->is_retaining, true)) {
        return;
    }
    w->retain_due_ns = now_ns + TICK_RETAIN_MS * NS_PER_MS;
    atomic_store(&g->is_retain_short, false);
    g->retain_before_unix_ns = loop_unix_ns(w->loop) - retention_ns;
    g->retain_job = (struct store_job){.run = run_retain};
    if (store_submit_write(g->store, &g->retain_job) != OK) {
        atomic_store(&g->is_retaining, false); /* again when it is due */
    }
}

static void on_tick(struct loop_timer *timer)
{
    struct worker *w = CONTAINER_OF(timer, struct worker, tick);
    int64_t now_ns = loop_now_ns(w->loop);
    ledger_tick(w->ledger, loop_unix_ns(w->loop));
    if (w->index == 0 && now_ns >= w->directory_due_ns) {
        w->directory_due_ns = now_ns + TICK_DIRECTORY_MS * NS_PER_MS;
        refresh_directory(w);
        (void)epoch_collect(w->gateway->epoch);
    }
    if (w->index == 0) {
        bearer_tick(w);
    }
    int64_t retention_ns = versions_current(&w->versions)->retention_ns;
    if (w->index == 0 && retention_ns) {
        retain(w, now_ns, retention_ns);
    }
    if (now_ns >= w->trim_due_ns) {
        w->trim_due_ns = now_ns + TICK_TRIM_MS * NS_PER_MS;
        if (arena_pool_trim(&w->blocks, TICK_KEEP_BYTES) > TICK_RETURN_BYTES) {
            (void)malloc_trim(
                0); /* freed blocks lie scattered: the heap does not shrink by itself */
        }
    }
    loop_timer_set(w->loop, &w->tick, now_ns + TICK_MS * NS_PER_MS, on_tick);
}

void tick_start(struct worker *w)
{
    loop_timer_set(w->loop, &w->tick, loop_now_ns(w->loop) + TICK_MS * NS_PER_MS, on_tick);
}
