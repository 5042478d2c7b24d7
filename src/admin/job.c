#include "admin/job.h"

#include "admin/members.h"
#include "wire/json.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

enum { JOB_ARENA_MAX_BYTES = 64 << 20, AUDIT_DETAIL_MAX_BYTES = 4096 };

struct admin_job *job_new(struct door *d, admin_work_fn work, bool is_write)
{
    struct admin_job *job = calloc(1, sizeof(*job));
    if (!job) {
        door_fail(d, 503, "out of memory");
        return NULL;
    }
    job->door = d;
    job->admin = d->worker->gateway->admin;
    job->work = work;
    job->is_write = is_write;
    job->status = 200;
    arena_init(&job->arena, NULL, JOB_ARENA_MAX_BYTES);
    job->out = text_growing(&job->arena);
    return job;
}

void job_answer(struct admin_job *job)
{
    struct door *d = job->door;
    struct slice body = text_slice(&job->out);
    int status = job->status;
    bool is_full = job->out.is_full;
    d->rq->extra_arena = job->arena; /* the answer stands in it */
    free(job);
    if (is_full) {
        door_fail(d, 503, "the answer is too large; ask for a smaller page");
        return;
    }
    door_reply(d, status, SLICE("application/json"), SLICE_NONE, body);
}

static void come_back(struct loop_task *task)
{
    struct door *d = CONTAINER_OF(task, struct door, task);
    struct admin_job *job = d->state;
    d->state = NULL;
    job_answer(job);
}

static void run(struct store_job *store_job, struct store_db *db)
{
    struct admin_job *job = CONTAINER_OF(store_job, struct admin_job, store_job);
    if (!db) {
        job_fail(job, 503, "the gateway is shutting down");
    } else {
        job->work(job, db);
        if (job->is_write) {
            gateway_refresh_directory(job->admin->gateway, db);
        }
    }
    struct door *d = job->door;
    d->task.run = come_back;
    loop_post(d->worker->loop, &d->task);
}

void job_submit(struct admin_job *job)
{
    struct store *store = job->admin->gateway->store;
    struct door *d = job->door;
    job->store_job.run = run;
    d->state = job;
    enum err e = job->is_write ? store_submit_write(store, &job->store_job)
                               : store_submit_read(store, &job->store_job);
    if (e != OK) {
        d->state = NULL;
        job_fail(job, 503, "the store's queue is full; try again");
        job_answer(job);
    }
}

void job_fail(struct admin_job *job, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice message = arena_vprintf(&job->arena, format, args);
    va_end(args);
    job->status = status;
    job->out = text_growing(&job->arena);
    TEXT_ADD(&job->out, "{\"detail\":");
    text_add_json_string(&job->out, message);
    TEXT_ADD(&job->out, "}");
}

void job_fail_err(struct admin_job *job, struct store_db *db, enum err e, const char *what)
{
    switch (e) {
    case E_NOT_FOUND: job_fail(job, 404, "%s not found", what); return;
    case E_CONFLICT: job_fail(job, 409, "%s exists already", what); return;
    case E_LIMIT: job_fail(job, 409, "the tree of tenants is at most 8 deep"); return;
    case E_TIMEOUT: job_fail(job, 503, "the query took too long"); return;
    default:
        job_fail(job, 503, "the database refused: %s", store_db_error(db));
        return; /* the other errors */
    }
}

bool job_parse_body(struct admin_job *job)
{
    struct span_fault fault = {0};
    job->body_text = job->door->rq->body;
    struct slice text = job->body_text.len ? job->body_text : SLICE("{}");
    enum err e = json_parse(&job->arena, text, &job->body, &fault);
    if (e == OK && yyjson_is_obj(job->body)) {
        return true;
    }
    struct slice why =
        e == OK ? SLICE("Input should be a valid object") : SLICE("JSON decode error");
    members_fault(job, e == OK ? "model_attributes_type" : "json_invalid", NULL, why, NULL);
    job_answer(job);
    return false;
}

bool door_query_i64(struct door *d, const char *name, int64_t min, int64_t max,
                    int64_t *inout_value)
{
    struct slice text = http_query_get(&d->rq->arena, d->rq->head.query, slice_str(name));
    if (!text.ptr) {
        return true;
    }
    int64_t value;
    if (slice_to_i64(text, &value) && value >= min && value <= max) {
        *inout_value = value;
        return true;
    }
    struct text body = text_growing(&d->rq->arena);
    text_addf(
        &body,
        "{\"detail\":[{\"type\":\"int_parsing\",\"loc\":[\"query\",\"%s\"],\"msg\":\"Input should be an integer "
        "from %lld to %lld\",\"input\":",
        name, (long long)min, (long long)max);
    text_add_json_string(&body, slice_head(text, 100));
    TEXT_ADD(&body, "}]}");
    door_reply(d, 422, SLICE("application/json"), SLICE_NONE, text_slice(&body));
    return false;
}

void job_submit_page(struct door *d, admin_work_fn work, struct id tenant)
{
    int64_t limit = 100;
    struct id after = {0};
    struct slice cursor = http_query_get(&d->rq->arena, d->rq->head.query, SLICE("after"));
    if (!door_query_i64(d, "limit", 1, STORE_PAGE_MAX, &limit)) {
        return;
    }
    if (cursor.ptr && !id_parse(cursor, &after)) {
        door_fail(d, 422, "after: not a cursor");
        return;
    }
    struct admin_job *job = job_new(d, work, false);
    if (job) {
        job->tenant = tenant;
        job->number = limit;
        job->after = after;
        job_submit(job);
    }
}

struct store_audit job_audit(struct admin_job *job, const char *action, struct slice subject)
{
    bool is_short = job->body_text.len <= AUDIT_DETAIL_MAX_BYTES;
    return (struct store_audit){
        .actor = SLICE("admin"),
        .action = slice_str(action),
        .subject = subject,
        .detail = job->body_text.len && is_short ? job->body_text : SLICE("{}"),
        .at_unix_ns = clock_unix_ns(),
    };
}

struct slice job_id_text(struct admin_job *job, struct id id)
{
    char text[ID_TEXT_BYTES];
    id_format(id, text);
    return arena_dup(&job->arena, slice_of(text, sizeof(text)));
}
