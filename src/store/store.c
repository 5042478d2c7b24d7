/* The two threads. Each has a bounded queue of jobs under a mutex; the writer also runs the
 * periodic function, which takes no turn in the queue so that a long queue cannot starve it. */
#include "core/clock.h"
#include "store/db.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

struct side {
    struct store *store;
    struct store_db *db;
    int64_t job_timeout_ns; /* 0: none */
    pthread_t thread;
    bool is_running; /* the thread was started */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_cond_t idle; /* signalled after each periodic call */
    /* under lock */
    struct store_job *head;
    struct store_job *tail;
    int count;
    bool is_stopping;
    bool is_woken;
    bool is_in_periodic;
    void (*periodic)(void *ctx, struct store_db *db);
    void *periodic_ctx;
    int64_t interval_ns;
    int64_t next_ns;
};

struct store {
    struct side writer;
    struct side reader;
    _Atomic bool is_failing;
};

static void side_init(struct side *s, struct store *store, int64_t job_timeout_ns)
{
    pthread_condattr_t attr;
    s->store = store;
    s->job_timeout_ns = job_timeout_ns;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->wake, &attr);
    (void)pthread_cond_init(&s->idle, NULL);
    (void)pthread_condattr_destroy(&attr);
}

static void side_deinit(struct side *s)
{
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_cond_destroy(&s->idle);
    (void)pthread_mutex_destroy(&s->lock);
    store_db_close(s->db);
}

static bool periodic_is_due(const struct side *s, int64_t now_ns)
{
    return s->periodic && (s->is_woken || now_ns >= s->next_ns);
}

/* Called and returns with the lock held; sleeps until there is something to do. */
static void side_wait(struct side *s)
{
    while (!s->head && !s->is_stopping && !periodic_is_due(s, clock_mono_ns())) {
        if (s->periodic) {
            struct timespec until = {.tv_sec = s->next_ns / NS_PER_S,
                                     .tv_nsec = s->next_ns % NS_PER_S};
            (void)pthread_cond_timedwait(&s->wake, &s->lock, &until);
        } else {
            (void)pthread_cond_wait(&s->wake, &s->lock);
        }
    }
}

static void run_job(struct side *s, struct store_job *job)
{
    s->db->deadline_ns = s->job_timeout_ns ? clock_mono_ns() + s->job_timeout_ns : 0;
    job->run(job, s->db);
    s->db->deadline_ns = 0;
}

static void run_periodic(struct side *s)
{
    void (*fn)(void *ctx, struct store_db *db) = s->periodic;
    void *ctx = s->periodic_ctx;
    s->is_woken = false;
    s->is_in_periodic = true;
    (void)pthread_mutex_unlock(&s->lock);
    fn(ctx, s->db);
    (void)pthread_mutex_lock(&s->lock);
    s->next_ns = clock_mono_ns() + s->interval_ns;
    s->is_in_periodic = false;
    (void)pthread_cond_broadcast(&s->idle);
}

static void *side_main(void *arg)
{
    struct side *s = arg;
    (void)pthread_mutex_lock(&s->lock);
    for (;;) {
        side_wait(s);
        if (periodic_is_due(s, clock_mono_ns())) {
            run_periodic(s);
        }
        struct store_job *job = s->head;
        if (job) {
            s->head = job->next;
            s->tail = s->head ? s->tail : NULL;
            s->count--;
            (void)pthread_mutex_unlock(&s->lock);
            run_job(s, job);
            (void)pthread_mutex_lock(&s->lock);
        } else if (s->is_stopping) {
            break;
        }
        if (s == &s->store->writer) {
            atomic_store_explicit(&s->store->is_failing, s->db->is_failing, memory_order_relaxed);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

static enum err side_start(struct side *s)
{
    s->is_running = pthread_create(&s->thread, NULL, side_main, s) == 0;
    return s->is_running ? OK : E_NOMEM;
}

static void side_stop(struct side *s)
{
    if (!s->is_running) {
        return;
    }
    (void)pthread_mutex_lock(&s->lock);
    s->is_stopping = true;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    assert(s->count == 0);
}

enum err store_open(const struct store_conf *conf, struct store **out, char *why, size_t why_cap)
{
    struct store *s = calloc(1, sizeof(*s));
    if (!s) {
        return E_NOMEM;
    }
    side_init(&s->writer, s, 0);
    side_init(&s->reader, s, conf->query_timeout_ns);
    enum err e = db_open_mode(conf, false, &s->writer.db, why, why_cap);
    e = e == OK ? db_open_mode(conf, true, &s->reader.db, why, why_cap) : e;
    e = e == OK ? side_start(&s->writer) : e;
    e = e == OK ? side_start(&s->reader) : e;
    if (e != OK) {
        store_close(s);
        return e;
    }
    *out = s;
    return OK;
}

void store_close(struct store *s)
{
    if (!s) {
        return;
    }
    side_stop(&s->reader);
    side_stop(&s->writer);
    side_deinit(&s->reader); /* before the writer, whose close checkpoints and removes the WAL */
    side_deinit(&s->writer);
    free(s);
}

static enum err submit(struct side *s, struct store_job *job)
{
    enum err e = E_BUSY;
    job->next = NULL;
    (void)pthread_mutex_lock(&s->lock);
    if (s->count < STORE_QUEUE_MAX && !s->is_stopping) {
        if (s->tail) {
            s->tail->next = job;
        } else {
            s->head = job;
        }
        s->tail = job;
        s->count++;
        (void)pthread_cond_signal(&s->wake);
        e = OK;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return e;
}

enum err store_submit_write(struct store *s, struct store_job *job)
{
    return submit(&s->writer, job);
}

enum err store_submit_read(struct store *s, struct store_job *job)
{
    return submit(&s->reader, job);
}

void store_set_periodic(struct store *s, void (*fn)(void *ctx, struct store_db *db), void *ctx,
                        int64_t interval_ns)
{
    struct side *w = &s->writer;
    (void)pthread_mutex_lock(&w->lock);
    while (w->is_in_periodic) { /* after the return the old function and its ctx are free to go */
        (void)pthread_cond_wait(&w->idle, &w->lock);
    }
    w->periodic = fn;
    w->periodic_ctx = ctx;
    w->interval_ns = interval_ns;
    w->next_ns = clock_mono_ns() + interval_ns;
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
}

void store_wake(struct store *s)
{
    (void)pthread_mutex_lock(&s->writer.lock);
    s->writer.is_woken = true;
    (void)pthread_cond_signal(&s->writer.wake);
    (void)pthread_mutex_unlock(&s->writer.lock);
}

bool store_is_failing(const struct store *s)
{
    return atomic_load_explicit(&s->is_failing, memory_order_relaxed);
}
