/* What a killed process left: journal/<instance>/ directories without an owner.
 *
 * Each worker's files are read in the order of their generations. Closes behind the checkpoint go
 * to the store in batches; an open without close in any file becomes a crashed row, and so does, at
 * the end, what is left in requests_open. Everything is idempotent by id, so a recovery that is
 * interrupted is simply done again; a directory goes only when all of it is in the store.
 */
#include "core/check.h"
#include "core/clock.h"
#include "ledger/inner.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 65536 };

struct found_file {
    uint32_t worker;
    uint32_t named;      /* the generation in its name */
    uint32_t generation; /* the newest one in its slots; 0: nothing */
};

struct recovery {
    struct ledger *ledger;
    struct store_db *db;
    int dir_fd;
    struct id instance;
    struct found_file *files;
    size_t file_count;
    struct openmap opens; /* lane: index into files */
    char *bytes;          /* one file */
    size_t len;
    int64_t closed; /* rows given to the store */
    int64_t crashed;
};

/* --- batches --- */

static enum err flush(struct recovery *r)
{
    struct ledger *l = r->ledger;
    struct store_batch batch = {.closed = l->closed, .closed_count = l->closed_count};
    enum err e = l->closed_count ? store_usage_write(r->db, &batch) : OK;
    l->closed_count = 0;
    arena_reset(&l->texts);
    return e;
}

/* Copies, since the next file takes the place of this one. */
static enum err add_row(struct recovery *r, struct slice payload, bool is_crash)
{
    struct ledger *l = r->ledger;
    struct usage_record record;
    struct slice copy = arena_dup(&l->texts, payload);
    if (!copy.ptr) {
        enum err e = flush(r);
        copy = e == OK ? arena_dup(&l->texts, payload) : SLICE_NONE;
        if (!copy.ptr) {
            return e != OK ? e : E_NOMEM;
        }
    }
    if (!journal_decode(copy, &record)) {
        return OK;
    }
    if (is_crash) {
        record_crash(&l->conf, &record);
    }
    r->crashed += is_crash;
    r->closed += !is_crash;
    l->closed[l->closed_count++] = record;
    return l->closed_count == LEDGER_BATCH_RECORDS ? flush(r) : OK;
}

/* --- files --- */

static enum err read_file(struct recovery *r, const struct found_file *f)
{
    char name[SEGMENT_NAME_BYTES];
    struct stat st;
    segment_name(f->worker, f->named, name);
    r->len = 0;
    int fd = openat(r->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return E_IO;
    }
    enum err e = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? OK : E_IO;
    free(r->bytes);
    r->bytes = e == OK ? malloc((size_t)st.st_size + 1) : NULL;
    e = e == OK && !r->bytes ? E_NOMEM : e;
    while (e == OK && r->len < (size_t)st.st_size) {
        ssize_t n = read(fd, r->bytes + r->len, (size_t)st.st_size - r->len);
        if (n <= 0) {
            e = n < 0 && errno != EINTR ? E_IO : e;
            if (n == 0) {
                break; /* shorter than it said: the rest is not there */
            }
            continue;
        }
        r->len += (size_t)n;
    }
    (void)close(fd);
    return e;
}

static size_t slots_read(const struct recovery *r)
{
    return r->len / JOURNAL_SLOT_BYTES;
}

static int by_age(const void *a, const void *b)
{
    const struct found_file *x = a;
    const struct found_file *y = b;
    if (x->worker != y->worker) {
        return x->worker < y->worker ? -1 : 1;
    }
    return x->generation < y->generation ? -1 : x->generation > y->generation;
}

static enum err add_file(struct recovery *r, const char *name)
{
    struct found_file f = {0};
    if (!segment_name_parse(name, &f.worker, &f.named)) {
        return OK;
    }
    struct found_file *more = r->file_count < FILES_MAX
                                  ? realloc(r->files, (r->file_count + 1) * sizeof(*r->files))
                                  : NULL;
    if (!more) {
        return E_NOMEM;
    }
    r->files = more;
    enum err e = read_file(r, &f);
    if (e == OK) {
        f.generation = journal_generation(r->bytes, slots_read(r));
        r->files[r->file_count++] = f;
    }
    return e;
}

static enum err list_files(struct recovery *r)
{
    int fd = dup(r->dir_fd);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        (void)(fd < 0 ? 0 : close(fd));
        return E_IO;
    }
    enum err e = OK;
    const struct dirent *entry;
    rewinddir(dir);
    while (e == OK &&
           (entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own stream */
        e = add_file(r, entry->d_name);
    }
    (void)closedir(dir);
    if (e == OK && r->file_count) {
        qsort(r->files, r->file_count, sizeof(*r->files), by_age);
    }
    return e;
}

/* Slots of an older generation belong to an earlier life of the file: in the store already. */
static enum err replay_file(struct recovery *r, size_t index, const struct store_checkpoint *mark)
{
    const struct found_file *f = &r->files[index];
    struct journal_item item;
    size_t at = 0;
    enum err e = f->generation ? read_file(r, f) : OK;
    while (e == OK && f->generation &&
           journal_next(r->bytes, slots_read(r), f->generation, &at, r->ledger->scratch, &item)) {
        struct usage_record record;
        if (!journal_decode(item.payload, &record)) {
            continue;
        }
        if (item.stamp.kind == JOURNAL_OPEN) {
            struct open_place place = {record.id, (uint32_t)index, f->generation,
                                       (uint32_t)item.slot};
            e = openmap_put(&r->opens, &place);
            continue;
        }
        openmap_remove(&r->opens, record.id);
        if (position(f->generation, item.slot) >=
            position((uint32_t)mark->segment, (size_t)mark->slot)) {
            e = add_row(r, item.payload, false);
        }
    }
    return e;
}

/* Files are read again one by one: open requests are few, files may be many. */
static enum err crash_opens(struct recovery *r)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && r->opens.count && i < r->file_count; i++) {
        bool is_loaded = false;
        for (size_t k = 0; e == OK && k < r->opens.cap; k++) {
            const struct open_place *p = &r->opens.places[k];
            if (!p->segment || p->lane != i) {
                continue;
            }
            if (!is_loaded) {
                e = read_file(r, &r->files[i]);
                is_loaded = true;
            }
            struct journal_item item;
            size_t at = p->slot;
            if (e == OK &&
                journal_next(r->bytes, slots_read(r), p->segment, &at, r->ledger->scratch, &item)) {
                e = add_row(r, item.payload, true);
            }
        }
    }
    return e;
}

static enum err replay_files(struct recovery *r)
{
    enum err e = OK;
    struct store_checkpoint mark = {0};
    for (size_t i = 0; e == OK && i < r->file_count; i++) {
        if (i == 0 || r->files[i].worker != r->files[i - 1].worker) {
            mark = (struct store_checkpoint){0};
            e = store_checkpoint_get(r->db, r->instance, (int32_t)r->files[i].worker, &mark);
            e = e == E_NOT_FOUND ? OK : e;
        }
        e = e == OK ? replay_file(r, i, &mark) : e;
    }
    e = e == OK ? crash_opens(r) : e;
    return e == OK ? flush(r) : e;
}

/* --- directories --- */

bool instance_remove(int journal_fd, const char *name)
{
    int fd = openat(journal_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        return false;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own stream */
        (void)unlinkat(fd, entry->d_name, 0);
    }
    (void)closedir(dir);
    return unlinkat(journal_fd, name, AT_REMOVEDIR) == 0;
}

static enum err recover_files(struct recovery *r, const char *name)
{
    enum err e = list_files(r);
    e = e == OK ? replay_files(r) : e;
    e = e == OK ? store_sync(r->db) : e;
    if (e == OK) {
        (void)instance_remove(r->ledger->journal_fd, name); /* else it is read again next time */
        e = store_checkpoints_forget(r->db, r->instance);
    }
    return e;
}

/* Another process may own it: then it is left alone. */
static enum err recover_instance(struct ledger *l, struct store_db *db, const char *name)
{
    struct recovery r = {.ledger = l, .db = db};
    if (!id_parse(slice_str(name), &r.instance)) {
        return OK;
    }
    r.dir_fd = openat(l->journal_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int lock = r.dir_fd < 0 ? -1 : openat(r.dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    enum err e = lock < 0 ? E_IO : OK;
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0) {
        e = recover_files(&r, name);
    }
    if (l->log && (r.closed || r.crashed)) {
        log_event(l->log, LOG_WARNING,
                  "recovered the journal of a process that did not end: %lld records, %lld open",
                  (long long)r.closed, (long long)r.crashed);
    }
    l->closed_count = 0;
    arena_reset(&l->texts);
    openmap_deinit(&r.opens);
    free(r.files);
    free(r.bytes);
    (void)(lock < 0 ? 0 : close(lock));
    (void)(r.dir_fd < 0 ? 0 : close(r.dir_fd));
    return e;
}

/* --- requests_open --- */

struct left_open {
    struct ledger *ledger;
    bool is_full;
};

static bool dup_text(struct arena *a, struct slice *s)
{
    *s = arena_dup(a, *s);
    return s->ptr != NULL;
}

static void take_open(void *ctx, const struct usage_record *row)
{
    struct left_open *left = ctx;
    struct ledger *l = left->ledger;
    struct usage_record r = *row;
    if (l->closed_count == LEDGER_BATCH_RECORDS || !dup_text(&l->texts, &r.provider) ||
        !dup_text(&l->texts, &r.model) || !dup_text(&l->texts, &r.asked_model) ||
        !dup_text(&l->texts, &r.client_request_id) || !dup_text(&l->texts, &r.detail)) {
        left->is_full = true;
        return;
    }
    record_crash(&l->conf, &r);
    l->closed[l->closed_count++] = r;
}

/* Writing a row takes it out of the table, so this ends. */
static enum err crash_left_open(struct ledger *l, struct store_db *db)
{
    struct left_open left = {.ledger = l, .is_full = true};
    enum err e = OK;
    while (e == OK && left.is_full) {
        left.is_full = false;
        e = store_open_list(db, take_open, &left);
        struct store_batch batch = {.closed = l->closed, .closed_count = l->closed_count};
        if (e == OK && left.is_full && l->closed_count == 0) {
            e = E_NOMEM;
        }
        if (e == OK && l->closed_count) {
            e = store_usage_write(db, &batch);
        }
        l->closed_count = 0;
        arena_reset(&l->texts);
    }
    return e;
}

enum err ledger_recover(struct ledger *l, struct store_db *db, char *why, size_t why_cap)
{
    int fd = dup(l->journal_fd);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    enum err e = dir ? OK : E_IO;
    const struct dirent *entry;
    errno = 0;
    if (dir) {
        rewinddir(dir);
    }
    while (e == OK &&
           (entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own stream */
        e = recover_instance(l, db, entry->d_name);
    }
    if (dir) {
        (void)closedir(dir);
    }
    e = e == OK ? crash_left_open(l, db) : e;
    if (e != OK && why && why_cap) {
        (void)snprintf(why, why_cap, "the journal of an earlier run cannot be recovered: %s",
                       e == E_IO ? strerrordesc_np(errno) : store_db_error(db));
    }
    return e;
}
