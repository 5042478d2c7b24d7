/* admin/job.h -- an admin request that needs the store: work on a store thread, answer on the
 * worker's loop. */
#ifndef ADMIN_JOB_H
#define ADMIN_JOB_H

#include "admin/admin.h"
#include "admin/render.h"

#include <yyjson.h>

struct admin_job;
/* On a store thread. Fills status and out (a JSON document), or calls job_fail(). */
typedef void (*admin_work_fn)(struct admin_job *job, struct store_db *db);

struct admin_job {
    struct store_job store_job;
    struct door *door; /* the memory of its request stays until the answer */
    struct admin *admin;
    struct arena arena; /* heap-backed: touched by one thread at a time */
    admin_work_fn work;
    bool is_write;         /* runs on the writer; the directory is refreshed before the answer */
    struct id tenant, key; /* from the path, zero when absent */
    yyjson_val *body;      /* root object in the arena; NULL without a body */
    struct slice body_text;
    int64_t number;          /* a query parameter: limit, days ... */
    struct id after;         /* cursor */
    struct slice text, more; /* free for the handler; arena */
    int status;
    struct text out;
};

/* NULL on no memory (then the door has been answered). */
struct admin_job *job_new(struct door *d, admin_work_fn work, bool is_write);
/* Parses the door's body into job->body; false: answered with 422, and the job is gone. */
bool job_parse_body(struct admin_job *job);
/* A page being written: how many rows, and the last one's id, which is the next cursor of a full
 * page. */
struct job_page {
    struct admin_job *job;
    int64_t count;
    struct id last;
};
/* Reads `limit` and `after` from the query and submits a reading job; answers 422 when they are not
 * valid. */
void job_submit_page(struct door *d, admin_work_fn work, struct id tenant);
/* Hands the job to its store thread; answers 503 when the queue is full. */
void job_submit(struct admin_job *job);
/* Answers at once without the store, and frees the job. */
void job_answer(struct admin_job *job);
/* status and {"detail": ...} */
void job_fail(struct admin_job *job, int status, const char *format, ...) PRINTF(3, 4);
/* 404, 409, 503 ... for a failed store call. what: "tenant". */
void job_fail_err(struct admin_job *job, struct store_db *db, enum err e, const char *what);

/* Query parameter as an integer within bounds; the default when absent; false: the door has been
 * answered with 422. */
bool door_query_i64(struct door *d, const char *name, int64_t min, int64_t max,
                    int64_t *inout_value);
/* Admin's audit row for a change of subject, at the current time; detail is the request's body. */
struct store_audit job_audit(struct admin_job *job, const char *action, struct slice subject);
struct slice job_id_text(struct admin_job *job, struct id id);

#endif
