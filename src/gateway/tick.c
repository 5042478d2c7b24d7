#include "gateway/tick.h"

#include <stdlib.h>

struct refresh_job {
    struct store_job job;
    struct gateway *gateway;
};

static void run_refresh(struct store_job *job, struct store_db *db)
{
    struct refresh_job *r = CONTAINER_OF(job, struct refresh_job, job);
    if (db) {
        gateway_refresh_directory(r->gateway, db);
    }
    atomic_store(&r->gateway->is_directory_refreshing, false);
    free(r);
}

/* Another process may have revoked a key: looked up four times a second, so that it is refused
 * within one. */
static void refresh_directory(struct worker *w)
{
    struct gateway *g = w->gateway;
    if (atomic_exchange(&g->is_directory_refreshing, true)) {
        return;
    }
    struct refresh_job *r = malloc(sizeof(*r));
    if (r) {
        *r = (struct refresh_job){.job = {.run = run_refresh}, .gateway = g};
        if (store_submit_write(g->store, &r->job) == OK) {
            return;
        }
        free(r);
    }
    atomic_store(&g->is_directory_refreshing, false);
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
    if (now_ns >= w->trim_due_ns) {
        w->trim_due_ns = now_ns + TICK_TRIM_MS * NS_PER_MS;
        arena_pool_trim(&w->blocks, TICK_KEEP_BLOCKS);
    }
    loop_timer_set(w->loop, &w->tick, now_ns + TICK_MS * NS_PER_MS, on_tick);
}

void tick_start(struct worker *w)
{
    loop_timer_set(w->loop, &w->tick, loop_now_ns(w->loop) + TICK_MS * NS_PER_MS, on_tick);
}
