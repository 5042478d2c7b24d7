#include "io/offload.h"

#include "core/check.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>

enum { THREADS_MAX = 64, STACK_BYTES = 1 << 20 };

struct offload {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t has_work;
    struct offload_job *oldest;
    struct offload_job **tail;
    size_t queued;
    size_t idle;    /* threads that wait for work */
    size_t started; /* threads[0..started) run */
    size_t threads_max;
    bool is_stopping;
    pthread_t threads[THREADS_MAX];
};

static void run_done(struct loop_task *task)
{
    struct offload_job *job = CONTAINER_OF(task, struct offload_job, task);
    job->done(job);
}

static void finish(struct offload_job *job)
{
    job->task.run = run_done;
    loop_post(job->loop, &job->task);
}

/* Under the lock. */
static struct offload_job *take_job(struct offload *o)
{
    struct offload_job *job = o->oldest;
    if (job) {
        o->oldest = job->next;
        o->tail = o->oldest ? o->tail : &o->oldest;
        o->queued--;
    }
    return job;
}

static void *thread_main(void *arg)
{
    struct offload *o = arg;
    pthread_mutex_lock(&o->lock);
    while (!o->is_stopping) {
        struct offload_job *job = take_job(o);
        if (!job) {
            o->idle++;
            pthread_cond_wait(&o->has_work, &o->lock);
            o->idle--;
            continue;
        }
        pthread_mutex_unlock(&o->lock);
        job->work(job);
        finish(job);
        pthread_mutex_lock(&o->lock);
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

/* Signals are the main thread's business: the new thread blocks them all. */
static bool start_thread(struct offload *o)
{
    pthread_attr_t attr;
    sigset_t all, old;
    if (pthread_attr_init(&attr) != 0) {
        return false;
    }
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    bool is_started = pthread_create(&o->threads[o->started], &attr, thread_main, o) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&attr);
    o->started += is_started;
    return is_started;
}

enum err offload_new(size_t threads, struct offload **out_offload)
{
    assert(threads > 0);
    struct offload *o = calloc(1, sizeof(*o));
    if (!o) {
        return E_NOMEM;
    }
    (void)pthread_mutex_init(&o->lock, NULL);
    (void)pthread_cond_init(&o->has_work, NULL);
    o->tail = &o->oldest;
    o->threads_max = size_min(threads, THREADS_MAX);
    *out_offload = o;
    return OK;
}

void offload_free(struct offload *o)
{
    if (!o) {
        return;
    }
    pthread_mutex_lock(&o->lock);
    o->is_stopping = true;
    pthread_cond_broadcast(&o->has_work);
    pthread_mutex_unlock(&o->lock);
    for (size_t i = 0; i < o->started; i++) {
        (void)pthread_join(o->threads[i], NULL);
    }
    for (struct offload_job *job; (job = take_job(o));) {
        finish(job);
    }
    (void)pthread_cond_destroy(&o->has_work);
    (void)pthread_mutex_destroy(&o->lock);
    free(o);
}

/* Under the lock. */
static enum err enqueue(struct offload *o, struct offload_job *job)
{
    if (o->queued == OFFLOAD_QUEUE_MAX) {
        return E_BUSY;
    }
    bool wants_thread = o->queued >= o->idle && o->started < o->threads_max;
    if (wants_thread && !start_thread(o) && o->started == 0) {
        return E_BUSY; /* no thread at all: the job would wait for ever */
    }
    job->next = NULL;
    *o->tail = job;
    o->tail = &job->next;
    o->queued++;
    pthread_cond_signal(&o->has_work);
    return OK;
}

enum err offload_submit(struct offload *o, struct offload_job *job)
{
    assert(job->work && job->done && job->loop);
    pthread_mutex_lock(&o->lock);
    assert(!o->is_stopping);
    enum err e = enqueue(o, job);
    pthread_mutex_unlock(&o->lock);
    return e;
}
