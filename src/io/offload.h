/* io/offload.h -- a few threads for calls that block or take long: getaddrinfo, parsing and hashing
 * bodies over 1 MiB.
 *
 * work runs on a thread; done runs on the loop that submitted. The queue is bounded: E_BUSY.
 */
#ifndef IO_OFFLOAD_H
#define IO_OFFLOAD_H

#include "core/err.h"
#include "io/loop.h"

enum { OFFLOAD_QUEUE_MAX = 1024 };

struct offload; /* one a process */

struct offload_job {
    void (*work)(struct offload_job *job); /* on a thread */
    void (*done)(struct offload_job *job); /* on the loop */
    struct loop *loop;
    struct loop_task task;
    struct offload_job *next;
};

/* Threads start on the first job. */
MUST_USE enum err offload_new(size_t threads, struct offload **out_offload);
/* Waits for running jobs; queued ones get done without work. */
void offload_free(struct offload *offload);
/* The job must live until done. */
MUST_USE enum err offload_submit(struct offload *offload, struct offload_job *job);

#endif
