#include "gateway/ask_offload.h"

#include "gateway/account.h"

#include <stdlib.h>

/* The thread writes only into the job and its own arena; the exchange waits, and its memory is kept
 * until done even when the client leaves meanwhile. */
struct ask_job {
    struct offload_job job;
    struct exchange *x;
    struct arena arena; /* handed to the exchange's request when done */
    struct fault fault;
    enum err result;
};

static void scan_work(struct offload_job *job)
{
    struct ask_job *j = CONTAINER_OF(job, struct ask_job, job);
    j->result = stage_scan(j->x, &j->arena, &j->fault);
}

static void scan_done(struct offload_job *job)
{
    struct ask_job *j = CONTAINER_OF(job, struct ask_job, job);
    struct exchange *x = j->x;
    struct fault fault = j->fault;
    enum err result = j->result;

    x->rq->extra_arena = j->arena; /* spans and texts of the ask live there */
    free(j);
    x->is_offloaded = false;
    if (!x->conn) { /* the client left while we read: exchange_gone() left the rest to us */
        account(x, RECORD_CLIENT_GONE, 499);
        exchange_end(x);
        http_request_free(x->rq);
        return;
    }
    if (stage_scanned(x, result, &fault) == STAGE_NEXT) {
        pipeline_resume(x);
    }
}

bool ask_offload(struct exchange *x)
{
    struct ask_job *j = calloc(1, sizeof(*j));
    if (!j) {
        return false;
    }
    j->x = x;
    j->job = (struct offload_job){.work = scan_work, .done = scan_done, .loop = x->worker->loop};
    arena_init(&j->arena, NULL,
               x->conf->listen.request_arena_max_bytes); /* no pool: another thread */
    if (offload_submit(x->worker->gateway->offload, &j->job) != OK) {
        free(j);
        return false;
    }
    x->is_offloaded = true;
    return true;
}
