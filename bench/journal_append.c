/* What one record costs the worker, and what draining it costs the writer thread.
 * journal_append <dir> [requests a second, about] [seconds]: open and close records at that pace.
 */
#include "core/clock.h"
#include "ledger/ledger.h"

#include <sys/resource.h>
#include <unistd.h>

static int64_t cpu_ns(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static size_t argument(int argc, char **argv, int at, size_t otherwise)
{
    int64_t value;
    return argc > at && slice_to_i64(slice_str(argv[at]), &value) && value > 0 ? (size_t)value
                                                                               : otherwise;
}

static struct usage_record a_record(struct id_source *ids, int64_t at)
{
    return (struct usage_record){
        .id = id_next(ids, at),
        .tenant = {.bytes = {1}},
        .key = {.bytes = {2}},
        .admitted_unix_ns = at,
        .reserved_nusd = 1200000,
        .cost_nusd = 780000,
        .latency_ns = 1234567890,
        .first_token_ns = 223456789,
        .usage = {.input = 250, .output = 180},
        .http_status = 200,
        .attempts = 1,
        .count = 1,
        .dialect = RECORD_DIALECT_OPENAI,
        .provider = SLICE("openai"),
        .model = SLICE("gpt-4o-mini"),
        .asked_model = SLICE("gpt-4o-mini"),
    };
}

struct sums {
    int64_t append_ns, records, busy;
};

/* The requests of one millisecond: their opens, then their closes. */
static void burst(struct ledger_worker *w, struct usage_record *r, size_t n, struct sums *sums)
{
    size_t open = 0;
    int64_t begin = clock_mono_ns();
    for (; open < n; open++) {
        r[open].status = RECORD_OPEN;
        if (ledger_open_record(w, &r[open]) != OK) {
            sums->busy++;
            break;
        }
    }
    for (size_t i = 0; i < open; i++) {
        r[i].status = RECORD_SUCCESS;
        sums->busy += ledger_close_record(w, &r[i]) != OK;
    }
    sums->append_ns += clock_mono_ns() - begin;
    sums->records += 2 * (int64_t)open;
}

static void run(struct ledger *l, size_t per_ms, size_t ms)
{
    struct id_source ids;
    struct sums sums = {0};
    struct usage_record *r = calloc(per_ms, sizeof(*r));
    struct ledger_worker *w = ledger_worker(l, 0);
    int64_t begin = clock_mono_ns();
    int64_t process = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t self = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    id_source_init(&ids);
    for (size_t i = 0; r && i < ms; i++) {
        int64_t now = clock_unix_ns();
        for (size_t k = 0; k < per_ms; k++) {
            r[k] = a_record(&ids, now);
        }
        burst(w, r, per_ms, &sums);
        if (i % 50 == 0) {
            ledger_tick(w, now);
        }
        int64_t wait = begin + (int64_t)(i + 1) * NS_PER_MS - clock_mono_ns();
        struct timespec pause = {.tv_nsec = wait > 0 && wait < NS_PER_S ? wait : 0};
        (void)nanosleep(&pause, NULL);
    }
    while (ledger_status(l).pending_records) {
        (void)usleep(1000);
    }
    process = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - process;
    self = cpu_ns(CLOCK_THREAD_CPUTIME_ID) - self;
    (void)printf("append: %.0f ns a record, wall (%lld records, %lld refused)\n",
                 (double)sums.append_ns / (double)sums.records, (long long)sums.records,
                 (long long)sums.busy);
    (void)printf("drain:  %.2f us a request of the writer thread's CPU\n",
                 (double)(process - self) / 1e3 / ((double)sums.records / 2));
    free(r);
}

int main(int argc, char **argv)
{
    size_t per_ms = argument(argc, argv, 2, 40000) / 1000;
    size_t seconds = argument(argc, argv, 3, 5);
    char dir[400];
    char path[420];
    char why[256] = "";
    struct store *store = NULL;
    struct ledger *l = NULL;
    (void)snprintf(dir, sizeof(dir), "%s/journal_append.%ld", argc > 1 ? argv[1] : "/tmp",
                   (long)getpid());
    (void)snprintf(path, sizeof(path), "%s/gateway.db", dir);
    struct store_conf store_conf = {.path = slice_str(path), .is_migrating = true};
    struct ledger_conf conf = {
        .data_dir = slice_str(dir),
        .workers = 1,
        .segment_bytes = 8 << 20,
        .segments_max = 64,
        .drain_interval_ns = 100 * NS_PER_MS,
        .sync_interval_ns = 100 * NS_PER_MS,
        .is_mmap = true,
    };
    if (store_open(&store_conf, &store, why, sizeof(why)) != OK ||
        ledger_open(&conf, store, NULL, &l, why, sizeof(why)) != OK) {
        (void)fprintf(stderr, "%s\n", why);
        return 1;
    }
    (void)usleep(100000); /* the first segments are made ready */
    run(l, per_ms ? per_ms : 1, seconds * 1000);
    ledger_close(l);
    store_close(store);
    store = NULL;
    int64_t begin = clock_mono_ns();
    int64_t opened = 0;
    enum err e = store_open(&store_conf, &store, why, sizeof(why));
    opened = clock_mono_ns();
    if (e != OK || ledger_open(&conf, store, NULL, &l, why, sizeof(why)) != OK) {
        (void)fprintf(stderr, "%s\n", why);
        return 1;
    }
    (void)printf("second open: store %.1f ms, ledger %.1f ms\n", (double)(opened - begin) / 1e6,
                 (double)(clock_mono_ns() - opened) / 1e6);
    ledger_close(l);
    store_close(store);
    (void)printf("left in %s\n", dir);
    return 0;
}
