/* Opening, closing and looking at the ledger. */
#include "ledger/ledger.h"

#include "core/check.h"
#include "core/clock.h"
#include "ledger/inner.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEGMENT_MIN_BYTES = 4 * JOURNAL_PAGE_BYTES, SEGMENT_MAX_BYTES = 1 << 30 };

PRINTF(3, 4) static void say(char *why, size_t cap, const char *format, ...)
{
    if (why && cap) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(why, cap, format, args);
        va_end(args);
    }
}

/* --- directories and locks --- */

/* Makes the directory and those above it, and opens it. */
static int open_dir(struct slice path)
{
    char text[1024];
    if (path.len == 0 || path.len >= sizeof(text)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(text, path.ptr, path.len);
    text[path.len] = 0;
    for (char *at = strchr(text + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = 0;
        (void)mkdir(text, 0700); /* the open says what is wrong */
        *at = '/';
    }
    (void)mkdir(text, 0700);
    return open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_sub(int parent, const char *name)
{
    (void)mkdirat(parent, name, 0700);
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* The lock lives as long as the descriptor, whatever ends the process. */
static enum err lock_data_dir(struct ledger *l, int dir_fd, struct slice name, char *why,
                              size_t cap)
{
    char pid[24] = "";
    l->lock_fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (l->lock_fd < 0) {
        say(why, cap, "data directory %.*s: lock: %s", SLICE_ARG(name), strerrordesc_np(errno));
        return E_IO;
    }
    if (flock(l->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = pread(l->lock_fd, pid, sizeof(pid) - 1, 0);
        struct slice owner = slice_trim(slice_of(pid, n > 0 ? (size_t)n : 0));
        say(why, cap, "data directory %.*s is in use by process %.*s", SLICE_ARG(name),
            SLICE_ARG(owner.len ? owner : SLICE("unknown")));
        return E_LOCKED;
    }
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    /* For people only: the lock holds without it. */
    (void)!(ftruncate(l->lock_fd, 0) == 0 && pwrite(l->lock_fd, pid, (size_t)len, 0) == len);
    return OK;
}

static enum err open_directories(struct ledger *l, const struct ledger_conf *conf, char *why,
                                 size_t cap)
{
    int data_fd = open_dir(conf->data_dir);
    if (data_fd < 0) {
        say(why, cap, "data directory %.*s: %s", SLICE_ARG(conf->data_dir), strerrordesc_np(errno));
        return E_IO;
    }
    enum err e = lock_data_dir(l, data_fd, conf->data_dir, why, cap);
    if (e == OK) {
        l->journal_fd = open_sub(data_fd, "journal");
        if (l->journal_fd < 0) {
            say(why, cap, "data directory %.*s: journal: %s", SLICE_ARG(conf->data_dir),
                strerrordesc_np(errno));
            e = E_IO;
        }
    }
    (void)close(data_fd);
    return e;
}

static void instance_name(const struct ledger *l, char *out)
{
    id_format(l->instance, out);
    out[ID_TEXT_BYTES] = 0;
}

static enum err open_instance(struct ledger *l)
{
    char name[ID_TEXT_BYTES + 1];
    l->instance = id_random();
    instance_name(l, name);
    l->instance_fd = open_sub(l->journal_fd, name);
    if (l->instance_fd < 0) {
        return E_IO;
    }
    l->instance_lock_fd = openat(l->instance_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return l->instance_lock_fd >= 0 && flock(l->instance_lock_fd, LOCK_EX | LOCK_NB) == 0 ? OK
                                                                                          : E_IO;
}

/* --- lanes --- */

static enum err lane_init(struct ledger *l, size_t index)
{
    struct lane *lane = &l->lanes[index];
    struct ledger_worker *w = &lane->worker;
    size_t n = l->conf.segments_max;
    lane->dir = (struct segment_dir){l->instance_fd, (uint32_t)index, l->conf.segment_bytes,
                                     l->conf.is_mmap};
    lane->segments_max = n;
    lane->oldest = 1;
    lane->read = lane->ahead = lane->synced = lane->touched = lane->paced = position(1, 0);
    lane->paced_ns = clock_mono_ns();
    atomic_init(&w->published, position(1, 0));
    atomic_init(&w->finished, position(1, 0));
    w->ledger = l;
    w->ring.cap = (uint32_t)n;
    lane->segments = calloc(n, sizeof(*lane->segments));
    w->ring.at = calloc(n, sizeof(*w->ring.at));
    w->refusals = calloc(LEDGER_REFUSALS_MAX, sizeof(*w->refusals));
    w->payload = malloc(JOURNAL_RECORD_MAX_BYTES);
    if (!lane->segments || !w->ring.at || !w->refusals || !w->payload) {
        return E_NOMEM;
    }
    /* One now; the next is made by the first periodic, after the first accept. */
    return lane_prepare(l, lane, 0);
}

static enum err lanes_init(struct ledger *l)
{
    size_t bytes = l->conf.workers * sizeof(*l->lanes);
    l->lanes = aligned_alloc(alignof(struct lane), bytes);
    if (!l->lanes) {
        return E_NOMEM;
    }
    memset(l->lanes, 0, bytes);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < l->conf.workers; i++) {
        e = lane_init(l, i);
    }
    return e;
}

static void lanes_deinit(struct ledger *l, bool is_removing)
{
    for (size_t i = 0; l->lanes && i < l->conf.workers; i++) {
        struct lane *lane = &l->lanes[i];
        for (size_t k = 0; lane->segments && k < lane->segments_max; k++) {
            if (is_removing) {
                segment_remove(&lane->segments[k], &lane->dir);
            } else {
                segment_unmap(&lane->segments[k]);
            }
        }
        free(lane->segments);
        free(lane->worker.ring.at);
        free(lane->worker.refusals);
        free(lane->worker.payload);
    }
    free(l->lanes);
    l->lanes = NULL;
}

/* --- on the writer thread, waited for --- */

struct errand {
    struct store_job job;
    struct ledger *ledger;
    enum err (*run)(struct errand *e, struct store_db *db);
    enum err result;
    char *why;
    size_t why_cap;
    bool is_done;
    pthread_mutex_t lock;
    pthread_cond_t done;
};

static void run_errand(struct store_job *job, struct store_db *db)
{
    struct errand *e = CONTAINER_OF(job, struct errand, job);
    enum err result = e->run(e, db);
    (void)pthread_mutex_lock(&e->lock);
    e->result = result;
    e->is_done = true;
    (void)pthread_cond_signal(&e->done);
    (void)pthread_mutex_unlock(&e->lock);
}

static enum err run_on_writer(struct ledger *l,
                              enum err (*run)(struct errand *e, struct store_db *db), char *why,
                              size_t why_cap)
{
    struct errand e;
    memset(&e, 0, sizeof(e));
    e.job.run = run_errand;
    e.ledger = l;
    e.run = run;
    e.why = why;
    e.why_cap = why_cap;
    (void)pthread_mutex_init(&e.lock, NULL);
    (void)pthread_cond_init(&e.done, NULL);
    enum err result = store_submit_write(l->store, &e.job);
    if (result == OK) {
        (void)pthread_mutex_lock(&e.lock);
        while (!e.is_done) {
            (void)pthread_cond_wait(&e.done, &e.lock);
        }
        (void)pthread_mutex_unlock(&e.lock);
        result = e.result;
    } else {
        say(why, why_cap, "the store's queue is full");
    }
    (void)pthread_cond_destroy(&e.done);
    (void)pthread_mutex_destroy(&e.lock);
    return result;
}

static enum err recover_errand(struct errand *e, struct store_db *db)
{
    return ledger_recover(e->ledger, db, e->why, e->why_cap);
}

static enum err crash_the_open(struct ledger *l, struct store_db *db)
{
    enum err e = OK;
    l->closed_count = 0;
    for (size_t i = 0; e == OK && i < l->opens.cap; i++) {
        const struct open_place *p = &l->opens.places[i];
        struct journal_item item;
        size_t at = p->slot;
        if (!p->segment) {
            continue;
        }
        const struct segment *s = lane_segment(&l->lanes[p->lane], p->segment);
        struct usage_record r;
        if (journal_next(segment_base(s), segment_slots(s), p->segment, &at, l->scratch, &item) &&
            journal_decode(item.payload, &r)) {
            record_crash(&l->conf, &r);
            struct store_batch one = {.closed = &r, .closed_count = 1};
            e = store_usage_write(db, &one);
        }
    }
    return e;
}

/* Requests that never ended, although the workers stopped, end here as crashed. */
static enum err finish_errand(struct errand *e, struct store_db *db)
{
    struct ledger *l = e->ledger;
    enum err result = ledger_drain_all(l, db);
    result = result == OK ? crash_the_open(l, db) : result;
    return result == OK ? store_sync(db) : result;
}

static enum err forget_errand(struct errand *e, struct store_db *db)
{
    return store_checkpoints_forget(db, e->ledger->instance);
}

/* --- open and close --- */

static void ledger_free(struct ledger *l, bool is_clean)
{
    const int fds[] = {l->instance_fd, l->instance_lock_fd, l->journal_fd, l->lock_fd};
    char name[ID_TEXT_BYTES + 1];
    lanes_deinit(l, is_clean);
    if (is_clean && l->instance_fd >= 0) {
        instance_name(l, name);
        (void)instance_remove(l->journal_fd, name); /* an empty one is recovered as such */
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) { /* the lock last */
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    openmap_deinit(&l->opens);
    arena_deinit(&l->texts);
    free(l->closed);
    free(l->scratch);
    free(l);
}

static struct ledger *ledger_alloc(const struct ledger_conf *conf, struct store *store,
                                   struct log *log)
{
    struct ledger *l = calloc(1, sizeof(*l));
    if (!l) {
        return NULL;
    }
    l->conf = *conf;
    l->conf.data_dir = SLICE_NONE;
    l->store = store;
    l->log = log;
    l->lock_fd = l->journal_fd = l->instance_fd = l->instance_lock_fd = -1;
    arena_init(&l->texts, NULL, LEDGER_TEXT_MAX_BYTES);
    l->closed = calloc(LEDGER_BATCH_RECORDS, sizeof(*l->closed));
    l->scratch = malloc(JOURNAL_SCRATCH_BYTES);
    if (!l->closed || !l->scratch) {
        ledger_free(l, false);
        return NULL;
    }
    return l;
}

static bool conf_is_valid(const struct ledger_conf *c)
{
    return c->workers >= 1 && c->workers <= UINT8_MAX && c->segments_max >= 2 &&
           c->segments_max <= UINT16_MAX && c->segment_bytes % JOURNAL_PAGE_BYTES == 0 &&
           c->segment_bytes >= SEGMENT_MIN_BYTES && c->segment_bytes <= SEGMENT_MAX_BYTES;
}

enum err ledger_open(const struct ledger_conf *conf, struct store *store, struct log *log,
                     struct ledger **out, char *why, size_t why_cap)
{
    if (!conf_is_valid(conf)) {
        say(why, why_cap,
            "journal: segments must be 16 KiB to 1 GiB and whole pages, at least two");
        return E_CONFIG;
    }
    struct ledger *l = ledger_alloc(conf, store, log);
    if (!l) {
        return E_NOMEM;
    }
    enum err e = open_directories(l, conf, why, why_cap);
    e = e == OK ? run_on_writer(l, recover_errand, why, why_cap) : e;
    if (e == OK) {
        e = open_instance(l);
        e = e == OK ? lanes_init(l) : e;
        if (e != OK) {
            say(why, why_cap, "journal in %.*s: %s", SLICE_ARG(conf->data_dir),
                strerrordesc_np(errno));
        }
    }
    if (e != OK) {
        ledger_free(l, true);
        return e;
    }
    atomic_store(&l->caught_up_ns, clock_mono_ns());
    store_set_periodic(store, ledger_periodic, l, conf->drain_interval_ns);
    store_wake(store); /* prepares the next segments */
    *out = l;
    return OK;
}

void ledger_close(struct ledger *l)
{
    if (!l) {
        return;
    }
    for (size_t i = 0; i < l->conf.workers; i++) {
        worker_flush_refusals(&l->lanes[i].worker, INT64_MAX);
    }
    store_set_periodic(l->store, NULL, NULL, 0);
    enum err e = run_on_writer(l, finish_errand, NULL, 0);
    if (e != OK && l->log) {
        log_event(l->log, LOG_ERROR, "the journal is kept for the next start: %s", err_text(e));
    }
    if (e == OK) {
        (void)!run_on_writer(l, forget_errand, NULL, 0); /* rows that mean nothing any more */
    }
    ledger_free(l, e == OK);
}

struct ledger_worker *ledger_worker(struct ledger *l, size_t worker)
{
    assert(worker < l->conf.workers);
    return &l->lanes[worker].worker;
}

/* --- status --- */

struct ledger_status ledger_status(const struct ledger *l)
{
    struct ledger_status s = {
        .is_failed = atomic_load_explicit(&l->is_failed, memory_order_relaxed),
        .is_behind = atomic_load_explicit(&l->is_behind, memory_order_relaxed),
    };
    for (size_t i = 0; i < l->conf.workers; i++) {
        const struct lane *lane = &l->lanes[i];
        uint64_t drained = atomic_load_explicit(&lane->drained, memory_order_relaxed);
        uint64_t appended = atomic_load_explicit(&lane->worker.appended, memory_order_relaxed);
        s.pending_records += appended > drained ? (int64_t)(appended - drained) : 0;
        s.free_segments += atomic_load_explicit(&lane->free_segments, memory_order_relaxed);
    }
    if (s.pending_records) {
        int64_t caught_up = atomic_load_explicit(&l->caught_up_ns, memory_order_relaxed);
        s.lag_ns = i64_max(clock_mono_ns() - caught_up, 0);
    }
    return s;
}

bool ledger_on_sigbus(struct ledger *l, void *address)
{
    for (size_t i = 0; l && l->lanes && i < l->conf.workers; i++) {
        const struct lane *lane = &l->lanes[i];
        for (size_t k = 0; k < lane->segments_max; k++) {
            char *base = atomic_load_explicit(&lane->segments[k].base, memory_order_acquire);
            char *at = address;
            if (!base || at < base || at >= base + l->conf.segment_bytes) {
                continue;
            }
            char *page = base + (size_t)(at - base) / JOURNAL_PAGE_BYTES * JOURNAL_PAGE_BYTES;
            void *got = mmap(page, JOURNAL_PAGE_BYTES, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            atomic_store_explicit(&l->is_failed, true, memory_order_relaxed);
            return got != MAP_FAILED;
        }
    }
    return false;
}
