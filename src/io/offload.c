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
static struct offload_job *take_job(struct offload *offload)
{
    struct offload_job *job = offload->oldest;
    if (job) {
        offload->oldest = job->next;
        offload->tail = offload->oldest ? offload->tail : &offload->oldest;
        offload->queued--;
    }
    return job;
}

static void *thread_main(void *arg)
{
    struct offload *offload = arg;
    pthread_mutex_lock(&offload->lock);
    while (!offload->is_stopping) {
        struct offload_job *job = take_job(offload);
        if (!job) {
            offload->idle++;
            pthread_cond_wait(&offload->has_work, &offload->lock);
            offload->idle--;
            continue;
        }
        pthread_mutex_unlock(&offload->lock);
        job->work(job);
        finish(job);
        pthread_mutex_lock(&offload->lock);
    }
    pthread_mutex_unlock(&offload->lock);
    return NULL;
}

/* Signals are the main thread's business: the new thread blocks them all. */
static bool start_thread(struct offload *offload)
{
    pthread_attr_t attr;
    sigset_t all, old;
    if (pthread_attr_init(&attr) != 0) {
        return false;
    }
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    bool is_started =
        pthread_create(&offload->threads[offload->started], &attr, thread_main, offload) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&attr);
    offload->started += is_started;
    return is_started;
}

enum err offload_new(size_t threads, struct offload **out_offload)
{
    assert(threads > 0);
    struct offload *offload = calloc(1, sizeof(*offload));
    if (!offload) {
        return E_NOMEM;
    }
    (void)pthread_mutex_init(&offload->lock, NULL);
    (void)pthread_cond_init(&offload->has_work, NULL);
    offload->tail = &offload->oldest;
    offload->threads_max = size_min(threads, THREADS_MAX);
    *out_offload = offload;
    return OK;
}

void offload_free(struct offload *offload)
{
    if (!offload) {
        return;
    }
    pthread_mutex_lock(&offload->lock);
    offload->is_stopping = true;
    pthread_cond_broadcast(&offload->has_work);
    pthread_mutex_unlock(&offload->lock);
    for (size_t i = 0; i < offload->started; i++) {
        (void)pthread_join(offload->threads[i], NULL);
    }
    for (struct offload_job *job; (job = take_job(offload));) {
        finish(job);
    }
    (void)pthread_cond_destroy(&offload->has_work);
    (void)pthread_mutex_destroy(&offload->lock);
    free(offload);
}

/* Under the lock. */
static enum err enqueue(struct offload *offload, struct offload_job *job)
{
    if (offload->queued == OFFLOAD_QUEUE_MAX) {
        return E_BUSY;
    }
    bool wants_thread = offload->queued >= offload->idle && offload->started < offload->threads_max;
    if (wants_thread && !start_thread(offload) && offload->started == 0) {
        return E_BUSY; /* no thread at all: the job would wait for ever */
    }
    job->next = NULL;
    *offload->tail = job;
    offload->tail = &job->next;
    offload->queued++;
    pthread_cond_signal(&offload->has_work);
    return OK;
}

enum err offload_submit(struct offload *offload, struct offload_job *job)
{
    assert(job->work && job->done && job->loop);
    pthread_mutex_lock(&offload->lock);
    assert(!offload->is_stopping);
    enum err e = enqueue(offload, job);
    pthread_mutex_unlock(&offload->lock);
    return e;
}
