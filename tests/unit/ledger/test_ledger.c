/* The ledger over a real store: rows exactly once, through crashes, full disks and locked
 * databases. */
#include "records.h"

#include "ledger/inner.h"
#include "ledger/ledger.h"
#include "unit/store/query.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct world {
    struct scratch scratch;
    struct store *store;
    struct ledger *ledger;
    struct log *log; /* NULL: silent */
    struct ledger_conf conf;
    struct id_source ids;
};

static struct ledger_conf conf_of(const struct scratch *s)
{
    return (struct ledger_conf){
        .data_dir = slice_str(s->dir),
        .workers = 2,
        .segment_bytes = 32 * 1024,
        .segments_max = 6,
        .drain_interval_ns = NS_PER_MS,
        .sync_interval_ns = NS_PER_MS,
        .is_mmap = true,
    };
}

static void open_world(struct world *w)
{
    char why[256] = "";
    struct store_conf store_conf = {.path = slice_str(w->scratch.path), .is_migrating = true};
    enum err e = store_open(&store_conf, &w->store, why, sizeof(why));
    w->conf.data_dir = slice_str(w->scratch.dir);
    e = e == OK ? ledger_open(&w->conf, w->store, w->log, &w->ledger, why, sizeof(why)) : e;
    if (e != OK) {
        fail_msg("%s: %s", err_name(e), why);
    }
}

static void new_world(struct world *w)
{
    memset(w, 0, sizeof(*w));
    scratch_new(&w->scratch, "gateway.db");
    w->conf = conf_of(&w->scratch);
    id_source_init(&w->ids);
}

static void close_world(struct world *w)
{
    ledger_close(w->ledger);
    store_close(w->store);
    w->ledger = NULL;
    w->store = NULL;
}

static int64_t query(const struct world *w, const char *sql)
{
    return query_number(&w->scratch, sql);
}

static void await_drained(const struct world *w)
{
    while (ledger_status(w->ledger).pending_records) {
        store_wake(w->store);
        (void)sched_yield();
    }
}

static int count_instances(const struct world *w)
{
    char path[128];
    int n = 0;
    (void)snprintf(path, sizeof(path), "%s/journal", w->scratch.dir);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        n += entry->d_name[0] != '.';
    }
    (void)closedir(dir);
    return n;
}

static struct usage_record run_one(struct world *w, size_t worker)
{
    struct ledger_worker *lw = ledger_worker(w->ledger, worker);
    struct usage_record r = record_new(&w->ids, RECORD_OPEN);
    enum err e;
    while ((e = ledger_open_record(lw, &r)) == E_BUSY) {
        store_wake(w->store);
        (void)sched_yield();
    }
    assert_int_equal(e, OK);
    r.status = RECORD_SUCCESS;
    r.cost_nusd = 1234;
    assert_int_equal(ledger_close_record(lw, &r), OK);
    return r;
}

static void every_request_has_one_row(void **state)
{
    (void)state;
    for (int mode = 0; mode < 3; mode++) { /* mapped, written, strict */
        struct world w;
        new_world(&w);
        w.conf.is_mmap = mode != 1;
        w.conf.sync = mode == 2 ? LEDGER_SYNC_STRICT : LEDGER_SYNC_INTERVAL;
        open_world(&w);
        int n = mode == 2 ? 300 : 3000; /* many times round the segments */
        for (int i = 0; i < n; i++) {
            (void)run_one(&w, (size_t)i % 2);
            if (i % 16 == 0) {
                ledger_tick(ledger_worker(w.ledger, (size_t)i % 2), clock_unix_ns());
            }
        }
        struct usage_record hit = record_new(&w.ids, RECORD_CACHED);
        assert_int_equal(ledger_single_record(ledger_worker(w.ledger, 0), &hit), OK);
        await_drained(&w);
        assert_int_equal(query(&w, "SELECT count(*) FROM requests"), n + 1);
        assert_int_equal(query(&w, "SELECT count(DISTINCT id) FROM requests"), n + 1);
        assert_int_equal(query(&w, "SELECT sum(requests) FROM usage_daily"), n + 1);
        assert_int_equal(query(&w, "SELECT sum(cost_nusd) FROM usage_daily"), 1234 * (n + 1));
        struct ledger_status s = ledger_status(w.ledger);
        assert_true(!s.is_failed && !s.is_behind && s.lag_ns == 0 && s.pending_records == 0);
        assert_int_equal(count_instances(&w), 1);
        close_world(&w);
        assert_int_equal(count_instances(&w), 0);
        assert_int_equal(query(&w, "SELECT count(*) FROM checkpoints"), 0);
        assert_int_equal(query(&w, "SELECT count(*) FROM requests_open"), 0);
        scratch_free(&w.scratch);
    }
}

static void long_records_take_several_slots(void **state)
{
    (void)state;
    struct world w;
    char text[RECORD_DETAIL_MAX_BYTES];
    new_world(&w);
    open_world(&w);
    memset(text, 'z', sizeof(text));
    for (int i = 0; i < 200; i++) {
        struct ledger_worker *lw = ledger_worker(w.ledger, 0);
        struct usage_record r = record_new(&w.ids, RECORD_OPEN);
        while (ledger_open_record(lw, &r) == E_BUSY) {
            store_wake(w.store);
            (void)sched_yield();
        }
        r.status = RECORD_ERROR;
        r.error = slice_of(text, RECORD_ERROR_MAX_BYTES);
        r.detail = slice_of(text, sizeof(text));
        assert_int_equal(ledger_close_record(lw, &r), OK);
    }
    close_world(&w);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests WHERE length(error_message) IN "
                               "(0, 512) OR error_message IS NULL"),
                     200);
    assert_true(query(&w, "SELECT count(*) FROM requests WHERE length(detail) = 2048") > 0);
    scratch_free(&w.scratch);
}

static void a_second_owner_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct ledger *second = NULL;
    char why[256] = "";
    char expected[128];
    new_world(&w);
    open_world(&w);
    assert_int_equal(ledger_open(&w.conf, w.store, NULL, &second, why, sizeof(why)), E_LOCKED);
    (void)snprintf(expected, sizeof(expected), "data directory %s is in use by process %ld",
                   w.scratch.dir, (long)getpid());
    assert_string_equal(why, expected);
    close_world(&w);
    open_world(&w); /* and free again afterwards */
    struct ledger_conf bad = w.conf;
    bad.segment_bytes = 1000;
    assert_int_equal(ledger_open(&bad, w.store, NULL, &second, NULL, 0), E_CONFIG);
    bad = w.conf;
    bad.data_dir = SLICE("/proc/nowhere/at/all");
    assert_int_equal(ledger_open(&bad, w.store, NULL, &second, why, sizeof(why)), E_IO);
    close_world(&w);
    scratch_free(&w.scratch);
}

static void a_stream_longer_than_its_segment_keeps_its_record(void **state)
{
    (void)state;
    struct world w;
    new_world(&w);
    open_world(&w);
    struct usage_record stream = record_new(&w.ids, RECORD_OPEN);
    stream.is_stream = true;
    assert_int_equal(ledger_open_record(ledger_worker(w.ledger, 0), &stream), OK);
    for (int i = 0; i < 1000; i++) {
        (void)run_one(&w, 0);
    }
    await_drained(&w);
    while (query(&w, "SELECT count(*) FROM requests_open") == 0) { /* recycling follows the drain */
        store_wake(w.store);
        (void)sched_yield();
    }
    assert_int_equal(query(&w, "SELECT reserved_nusd FROM requests_open"), 5000);
    stream.status = RECORD_SUCCESS;
    stream.cost_nusd = 42;
    assert_int_equal(ledger_close_record(ledger_worker(w.ledger, 0), &stream), OK);
    close_world(&w);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests_open"), 0);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests"), 1001);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests WHERE cost_nusd = 42"), 1);
    scratch_free(&w.scratch);
}

static void refusals_are_one_row_a_key_reason_and_minute(void **state)
{
    (void)state;
    struct world w;
    new_world(&w);
    open_world(&w);
    struct ledger_worker *lw = ledger_worker(w.ledger, 0);
    struct usage_record r = record_new(&w.ids, RECORD_REFUSED);
    int64_t minute = r.admitted_unix_ns / NS_PER_MIN;
    r.reason = SLICE("tenant requests a minute");
    r.cost_nusd = 0;
    for (int i = 0; i < 500; i++) {
        ledger_refusal(lw, &r);
    }
    struct usage_record other = record_new(&w.ids, RECORD_REFUSED);
    other.reason = SLICE("budget");
    other.cost_nusd = 0;
    other.admitted_unix_ns = r.admitted_unix_ns;
    ledger_refusal(lw, &other);
    ledger_tick(lw, r.admitted_unix_ns); /* the minute is not over */
    await_drained(&w);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests"), 0);
    ledger_tick(lw, (minute + 1) * NS_PER_MIN);
    await_drained(&w);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests"), 2);
    assert_int_equal(query(&w, "SELECT count FROM requests WHERE reason LIKE 'tenant%' AND "
                               "status = 'refused' AND provider = ''"),
                     500);
    for (int i = 0; i < LEDGER_REFUSALS_MAX + 1; i++) { /* more keys than are counted at a time */
        struct usage_record many = record_new(&w.ids, RECORD_REFUSED);
        many.key.bytes[9] = (uint8_t)(i + 1);
        ledger_refusal(lw, &many);
    }
    close_world(&w);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests"), 2 + LEDGER_REFUSALS_MAX + 1);
    scratch_free(&w.scratch);
}

/* --- a database that does not take records --- */

static void fill_until_busy(struct world *w, int *done)
{
    struct ledger_worker *lw = ledger_worker(w->ledger, 0);
    struct usage_record held[5];
    for (int i = 0; i < 5; i++) {
        held[i] = record_new(&w->ids, RECORD_OPEN);
        assert_int_equal(ledger_open_record(lw, &held[i]), OK);
    }
    for (;;) { /* the journal grows to segments_max, made ready by the writer thread */
        struct usage_record r = record_new(&w->ids, RECORD_OPEN);
        enum err e = ledger_open_record(lw, &r);
        if (e == OK) {
            r.status = RECORD_SUCCESS;
            assert_int_equal(ledger_close_record(lw, &r), OK);
            ++*done;
        } else {
            assert_int_equal(e, E_BUSY);
            struct ledger_status s = ledger_status(w->ledger);
            if (s.is_behind && atomic_load(&w->ledger->lanes[0].free_segments) == 0 &&
                atomic_load(&lw->ring.pushed) == lw->generation) {
                break;
            }
            (void)sched_yield();
        }
    }
    char text[RECORD_DETAIL_MAX_BYTES];
    memset(text, 'q', sizeof(text));
    for (int i = 0; i < 5; i++) { /* their room was kept; long texts are left out then */
        held[i].status = RECORD_SUCCESS;
        held[i].detail = slice_of(text, sizeof(text));
        assert_int_equal(ledger_close_record(lw, &held[i]), OK);
        ++*done;
    }
    enum err e = OK;
    for (int i = 0; e == OK && i < 20; i++) { /* what the closes left of their room */
        struct usage_record hit = record_new(&w->ids, RECORD_CACHED);
        e = ledger_single_record(lw, &hit);
    }
    assert_int_equal(e, E_BUSY);
    struct usage_record refused = record_new(&w->ids, RECORD_REFUSED);
    for (int i = 0; i < LEDGER_REFUSALS_MAX + 10; i++) { /* bounded, and none is fatal */
        refused.key.bytes[9] = (uint8_t)(i + 1);
        ledger_refusal(lw, &refused);
    }
}

static void the_journal_grows_while_the_database_is_locked(void **state)
{
    (void)state;
    struct world w;
    int done = 0;
    new_world(&w);
    open_world(&w);
    sqlite3 *raw = NULL;
    assert_int_equal(sqlite3_open(w.scratch.path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    fill_until_busy(&w, &done);
    struct ledger_status s = ledger_status(w.ledger);
    assert_true(s.is_behind && s.pending_records > 0 && s.lag_ns > 0 && !s.is_failed);
    assert_int_equal(sqlite3_exec(raw, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(raw);
    await_drained(&w);
    while (ledger_status(w.ledger).is_behind) {
        (void)sched_yield();
    }
    assert_int_equal(query(&w, "SELECT count(*) FROM requests WHERE status = 'success'"), done);
    (void)run_one(&w, 0); /* and segments are free again */
    close_world(&w);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests WHERE status = 'success'"), done + 1);
    scratch_free(&w.scratch);
}

static void a_full_disk_is_survived(void **state)
{
    (void)state;
    struct world w;
    int done = 0;
    struct rlimit before;
    new_world(&w);
    w.conf.segments_max = 40;
    open_world(&w);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    struct rlimit small = {.rlim_cur = 300 * 1024, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0); /* the WAL cannot grow beyond it */
    fill_until_busy(&w, &done);
    assert_true(store_is_failing(w.store));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, old);
    await_drained(&w);
    close_world(&w);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests WHERE status = 'success'"), done);
    scratch_free(&w.scratch);
}

/* --- SIGBUS --- */

static struct ledger *bus_ledger; /* a handler has no other way to know */

static void on_bus(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    if (!ledger_on_sigbus(bus_ledger, info->si_addr)) {
        _exit(99);
    }
}

static void a_file_that_goes_away_fails_the_journal_not_the_process(void **state)
{
    (void)state;
    struct world w;
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    struct sigaction old;
    char path[PATH_MAX];
    char name[ID_TEXT_BYTES + 1];
    new_world(&w);
    open_world(&w);
    bus_ledger = w.ledger;
    assert_int_equal(sigaction(SIGBUS, &action, &old), 0);
    struct usage_record open = record_new(&w.ids, RECORD_OPEN);
    assert_int_equal(ledger_open_record(ledger_worker(w.ledger, 0), &open), OK);
    (void)run_one(&w, 0);
    await_drained(&w);
    id_format(w.ledger->instance, name);
    name[ID_TEXT_BYTES] = 0;
    (void)snprintf(path, sizeof(path), "%s/journal/%s/w0-1.seg", w.scratch.dir, name);
    assert_int_equal(truncate(path, 0), 0);
    struct usage_record r = record_new(&w.ids, RECORD_OPEN);
    assert_int_equal(ledger_open_record(ledger_worker(w.ledger, 0), &r), E_IO);
    assert_true(ledger_status(w.ledger).is_failed);
    assert_int_equal(ledger_open_record(ledger_worker(w.ledger, 1), &r), E_IO);
    assert_int_equal(ledger_close_record(ledger_worker(w.ledger, 0), &open), E_IO);
    assert_false(ledger_on_sigbus(w.ledger, &w));
    assert_false(ledger_on_sigbus(NULL, &w));
    close_world(&w);
    assert_int_equal(sigaction(SIGBUS, &old, NULL), 0);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests WHERE status = 'success'"), 1);
    scratch_free(&w.scratch);
}

/* --- kill -9 --- */

struct told {
    struct id id;
    char what; /* 'o' before the open record, 'c' after the close record */
};

static void child_main(struct world *w, int fd)
{
    open_world(w);
    struct usage_record held[4];
    for (int i = 0; i < 4; i++) { /* these never end */
        held[i] = record_new(&w->ids, RECORD_OPEN);
        if (ledger_open_record(ledger_worker(w->ledger, 0), &held[i]) != OK) {
            _exit(3);
        }
        struct told t = {held[i].id, 'o'};
        if (write(fd, &t, sizeof(t)) != (ssize_t)sizeof(t)) {
            _exit(4);
        }
    }
    for (size_t i = 0;; i++) {
        struct usage_record r = run_one(w, i % 2);
        struct told t = {r.id, 'c'};
        if (write(fd, &t, sizeof(t)) != (ssize_t)sizeof(t)) {
            _exit(5);
        }
    }
}

static size_t kill_after(struct world *w, size_t records, struct told *told, size_t cap)
{
    int fds[2];
    size_t n = 0;
    int status = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(fds[0]);
        child_main(w, fds[1]);
    }
    (void)close(fds[1]);
    while (n < cap && read(fds[0], &told[n], sizeof(told[n])) == (ssize_t)sizeof(told[n])) {
        if (++n == records) {
            assert_int_equal(kill(pid, SIGKILL), 0);
        }
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    (void)close(fds[0]);
    return n;
}

struct lookup {
    struct store_db *db;
    struct arena arena;
};

static void open_lookup(const struct world *w, struct lookup *l)
{
    struct store_conf conf = {.path = slice_str(w->scratch.path)};
    assert_int_equal(store_db_open(&conf, &l->db, NULL, 0), OK);
    arena_init(&l->arena, NULL, 64 << 20);
}

static enum record_status status_of(struct lookup *l, struct id id)
{
    struct usage_record r;
    arena_reset(&l->arena);
    return store_request_get(l->db, &l->arena, id, &r) == OK ? r.status : RECORD_OPEN;
}

static void close_lookup(struct lookup *l)
{
    arena_deinit(&l->arena);
    store_db_close(l->db);
}

static void a_killed_process_loses_nothing(void **state)
{
    (void)state;
    enum { TOLD_MAX = 20000 };
    static struct told told[TOLD_MAX];
    struct world w;
    new_world(&w);
    int64_t rows = 0;
    for (int round = 0; round < 20; round++) {
        id_source_init(&w.ids);
        size_t n = kill_after(&w, 5 + (size_t)round * 97, told, TOLD_MAX);
        assert_true(n < TOLD_MAX);
        open_world(&w);
        struct lookup look;
        open_lookup(&w, &look);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(status_of(&look, told[i].id),
                             told[i].what == 'c' ? RECORD_SUCCESS : RECORD_CRASHED);
        }
        close_lookup(&look);
        int64_t now = query(&w, "SELECT count(*) FROM requests");
        /* One that was published and not told of may be there too, and its open one. */
        assert_in_range(now - rows, n, n + 2);
        assert_int_equal(query(&w, "SELECT count(DISTINCT id) FROM requests"), now);
        assert_int_equal(query(&w, "SELECT sum(requests) FROM usage_daily"), now);
        assert_int_equal(query(&w, "SELECT count(*) FROM requests WHERE status = 'crashed' AND "
                                   "(cost_nusd <> 5000 OR NOT estimated)"),
                         0);
        assert_int_equal(query(&w, "SELECT sum(cost_nusd) FROM requests"),
                         query(&w, "SELECT sum(cost_nusd) FROM usage_daily"));
        assert_int_equal(query(&w, "SELECT count(*) FROM requests_open"), 0);
        rows = now;
        close_world(&w);
        assert_int_equal(count_instances(&w), 0);
    }
    scratch_free(&w.scratch);
}

/* --- what recovery finds --- */

static void run_command(const char *format, const char *a, const char *b)
{
    char command[512];
    int n = snprintf(command, sizeof(command), "d=%s; b=%s; ", a, b);
    assert_true(n > 0 && (size_t)n < sizeof(command));
    (void)snprintf(command + n, sizeof(command) - (size_t)n, "%s", format);
    assert_int_equal(system(command), 0);
}

static void a_journal_that_is_read_twice_books_once(void **state)
{
    (void)state;
    static struct told told[20000];
    struct world w;
    struct scratch copy;
    new_world(&w);
    scratch_new(&copy, "unused");
    size_t n = kill_after(&w, 300, told, ARRAY_LEN(told));
    /* The journal is put back after it was recovered, under its own name and under another. */
    run_command("cp -r $d/journal/. $b/", w.scratch.dir, copy.dir);
    open_world(&w);
    int64_t rows = query(&w, "SELECT count(*) FROM requests");
    int64_t cost = query(&w, "SELECT sum(cost_nusd) FROM usage_daily");
    assert_in_range(rows, n, n + 2);
    close_world(&w);
    run_command("cp -r $b/. $d/journal/", w.scratch.dir, copy.dir);
    run_command("for i in $b/*; do cp -r $i $d/journal/0198f8f0-0000-7000-8000-000000000001; done",
                w.scratch.dir, copy.dir);
    run_command("mkdir $d/journal/not-an-instance; cd $d/journal/0198f8f0*1 && "
                "touch w0-1.seg.bak w0-999.seg",
                w.scratch.dir, copy.dir);
    open_world(&w);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests"), rows);
    assert_int_equal(query(&w, "SELECT sum(cost_nusd) FROM usage_daily"), cost);
    assert_int_equal(query(&w, "SELECT sum(total_nusd) FROM period_totals"), 2 * cost);
    close_world(&w);
    assert_int_equal(count_instances(&w), 1); /* only what is not an instance is left */
    scratch_free(&w.scratch);
    scratch_free(&copy);
}

static void a_torn_file_is_recovered_up_to_the_tear(void **state)
{
    (void)state;
    static const char *const damages[] = {
        "truncate -s 0 $d/journal/*/w0-1.seg",
        "truncate -s 300 $d/journal/*/w0-1.seg",
        "truncate -s 6001 $d/journal/*/w0-1.seg",
        ("printf 'garbage garbage' | dd of=$(ls $d/journal/*/w0-1.seg) bs=1 seek=800 "
         "conv=notrunc status=none"),
    };
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        static struct told told[2000];
        struct world w;
        new_world(&w);
        w.conf.segment_bytes = 1 << 20; /* all in the first segment */
        open_world(&w);
        close_world(&w);
        sqlite3 *raw = NULL; /* and nothing in the store */
        assert_int_equal(sqlite3_open(w.scratch.path, &raw), SQLITE_OK);
        assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        size_t n = kill_after(&w, 100, told, ARRAY_LEN(told));
        assert_int_equal(sqlite3_exec(raw, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        (void)sqlite3_close(raw);
        run_command(damages[i], w.scratch.dir, "");
        open_world(&w);
        struct lookup look;
        open_lookup(&w, &look);
        size_t found = 0;
        for (size_t k = 0; k < n; k++) {
            found += status_of(&look, told[k].id) != RECORD_OPEN;
        }
        close_lookup(&look);
        close_world(&w);
        assert_int_equal(count_instances(&w), 0);
        assert_true(found < n);                /* the damage was there */
        assert_true(found >= n / 2 - 4);       /* the other worker's are all found */
        assert_true(i != 3 || found >= n - 2); /* garbage costs what it covers */
        scratch_free(&w.scratch);
    }
}

static void unfinished_requests_end_crashed_at_close(void **state)
{
    (void)state;
    struct world w;
    new_world(&w);
    w.conf.crash_bill = LEDGER_CRASH_ZERO;
    open_world(&w);
    struct usage_record open = record_new(&w.ids, RECORD_OPEN);
    assert_int_equal(ledger_open_record(ledger_worker(w.ledger, 1), &open), OK);
    close_world(&w);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests WHERE status = 'crashed' AND "
                               "cost_nusd = 0 AND estimated"),
                     1);
    assert_int_equal(count_instances(&w), 0);
    ledger_close(NULL);
    scratch_free(&w.scratch);
}

static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_database_that_fails_at_the_end_leaves_the_journal_to_the_next_start(void **state)
{
    (void)state;
    struct world w;
    char why[256] = "";
    new_world(&w);
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_int_equal(log_new(null_fd, LOG_DEBUG, &w.log), OK);
    w.conf.segment_bytes = 1 << 20;
    open_world(&w);
    sqlite3 *raw = NULL;
    assert_int_equal(sqlite3_open(w.scratch.path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < 50; i++) {
        (void)run_one(&w, 0);
    }
    struct usage_record open = record_new(&w.ids, RECORD_OPEN);
    assert_int_equal(ledger_open_record(ledger_worker(w.ledger, 1), &open), OK);
    close_world(&w);
    assert_int_equal(count_instances(&w), 1);
    /* Nor does a start that cannot recover go on without those records. */
    struct store_conf store_conf = {.path = slice_str(w.scratch.path), .is_migrating = true};
    assert_int_equal(store_open(&store_conf, &w.store, NULL, 0), OK);
    assert_int_equal(ledger_open(&w.conf, w.store, w.log, &w.ledger, why, sizeof(why)), E_DB);
    assert_non_null(strstr(why, "cannot be recovered"));
    store_close(w.store);
    assert_int_equal(count_instances(&w), 1);
    assert_int_equal(sqlite3_exec(raw, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(raw);
    open_world(&w);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests WHERE status = 'success'"), 50);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests WHERE status = 'crashed'"), 1);
    close_world(&w);
    log_free(w.log);
    (void)close(null_fd);
    scratch_free(&w.scratch);
}

static void no_space_for_a_segment_is_busy_and_for_a_record_is_a_failure(void **state)
{
    (void)state;
    struct world w;
    char why[256] = "";
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    new_world(&w);
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_int_equal(log_new(null_fd, LOG_DEBUG, &w.log), OK);
    w.conf.segment_bytes = 4 << 20;
    open_world(&w);
    close_world(&w);

    set_file_limit(2 << 20); /* the database is smaller, a segment is not */
    struct store_conf store_conf = {.path = slice_str(w.scratch.path), .is_migrating = true};
    assert_int_equal(store_open(&store_conf, &w.store, NULL, 0), OK);
    assert_int_equal(ledger_open(&w.conf, w.store, w.log, &w.ledger, why, sizeof(why)), E_IO);
    assert_non_null(strstr(why, "File too large"));
    store_close(w.store);
    set_file_limit(0);
    assert_int_equal(count_instances(&w), 0);

    w.conf.segment_bytes = 16 * 1024;
    w.conf.is_mmap = false;
    open_world(&w);
    struct usage_record first = run_one(&w, 0);
    await_drained(&w);
    set_file_limit(512); /* the slots after the second cannot be written */
    struct usage_record r = record_new(&w.ids, RECORD_OPEN);
    assert_int_equal(ledger_open_record(ledger_worker(w.ledger, 0), &r), E_IO);
    assert_true(ledger_status(w.ledger).is_failed);
    set_file_limit(0);
    (void)signal(SIGXFSZ, old);
    close_world(&w);
    struct lookup look;
    open_lookup(&w, &look);
    assert_int_equal(status_of(&look, first.id), RECORD_SUCCESS);
    close_lookup(&look);
    log_free(w.log);
    (void)close(null_fd);
    scratch_free(&w.scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_has_one_row),
        cmocka_unit_test(long_records_take_several_slots),
        cmocka_unit_test(a_second_owner_is_refused),
        cmocka_unit_test(a_stream_longer_than_its_segment_keeps_its_record),
        cmocka_unit_test(refusals_are_one_row_a_key_reason_and_minute),
        cmocka_unit_test(the_journal_grows_while_the_database_is_locked),
        cmocka_unit_test(a_full_disk_is_survived),
        cmocka_unit_test(a_file_that_goes_away_fails_the_journal_not_the_process),
        cmocka_unit_test(a_killed_process_loses_nothing),
        cmocka_unit_test(a_journal_that_is_read_twice_books_once),
        cmocka_unit_test(a_torn_file_is_recovered_up_to_the_tear),
        cmocka_unit_test(unfinished_requests_end_crashed_at_close),
        cmocka_unit_test(a_database_that_fails_at_the_end_leaves_the_journal_to_the_next_start),
        cmocka_unit_test(no_space_for_a_segment_is_busy_and_for_a_record_is_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
