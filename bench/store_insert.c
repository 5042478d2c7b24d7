/* What one usage row costs in CPU, all in: rows, daily sums, period totals, commit, WAL
 * checkpoints. store_insert <dir> [rows a batch] [batches] [tenants] [index too: 0|1] */
#include "core/clock.h"
#include "store/store.h"

#include <unistd.h>

static int64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static size_t argument(int argc, char **argv, int at, size_t otherwise)
{
    int64_t value;
    return argc > at && slice_to_i64(slice_str(argv[at]), &value) && value >= 0 ? (size_t)value
                                                                                : otherwise;
}

static void fill(struct usage_record *r, struct id_source *ids, const struct id *tenant, int64_t at)
{
    *r = (struct usage_record){
        .id = id_next(ids, at),
        .tenant = tenant[0],
        .key = tenant[1],
        .admitted_unix_ns = at,
        .reserved_nusd = 1200000,
        .cost_nusd = 780000 + at % 1000,
        .latency_ns = 1234567890 + at % 1000000,
        .first_token_ns = 223456789,
        .usage = {.input = 250 + at % 100, .output = 180},
        .http_status = 200,
        .attempts = 1,
        .count = 1,
        .status = RECORD_SUCCESS,
        .dialect = RECORD_DIALECT_OPENAI,
        .provider = SLICE("openai"),
        .model = SLICE("gpt-4o-mini"),
        .asked_model = SLICE("gpt-4o-mini"),
        .detail = SLICE("{\"attempts\":[{\"provider\":\"openai\",\"status\":200}]}"),
    };
}

int main(int argc, char **argv)
{
    size_t batch = argument(argc, argv, 2, 2000);
    size_t batches = argument(argc, argv, 3, 200);
    size_t tenants = argument(argc, argv, 4, 50);
    bool is_indexing = argument(argc, argv, 5, 0) != 0;
    char path[512];
    char why[256] = "";
    struct store_db *db = NULL;
    (void)snprintf(path, sizeof(path), "%s/store_insert.db", argc > 1 ? argv[1] : "/tmp");
    struct store_conf conf = {.path = slice_str(path), .is_migrating = true};
    if (store_db_open(&conf, &db, why, sizeof(why)) != OK) {
        (void)fprintf(stderr, "%s\n", why);
        return 1;
    }
    struct id_source ids;
    id_source_init(&ids);
    struct id *nodes = calloc(tenants * 2, sizeof(*nodes));
    struct usage_record *rows = calloc(batch, sizeof(*rows));
    if (!nodes || !rows) {
        return 1;
    }
    for (size_t i = 0; i < tenants * 2; i++) {
        nodes[i] = id_random();
    }
    int64_t at = clock_unix_ns();
    int64_t spent = 0;
    for (size_t b = 0; b < batches; b++) {
        for (size_t i = 0; i < batch; i++) {
            at += NS_PER_S / 40000;
            fill(&rows[i], &ids, &nodes[(size_t)(at / 25000 * 7919) % tenants * 2], at);
        }
        struct store_batch one = {.closed = rows, .closed_count = batch};
        int64_t begin = cpu_ns();
        if (store_usage_write(db, &one) != OK) {
            (void)fprintf(stderr, "%s\n", store_db_error(db));
            return 1;
        }
        spent += cpu_ns() - begin;
    }
    (void)printf("insert: %.2f us a row (%zu batches of %zu, %zu tenants)\n",
                 (double)spent / 1e3 / (double)(batch * batches), batches, batch, tenants);
    int64_t moved = 0;
    int64_t moved_all = 0;
    int64_t begin = cpu_ns();
    while (is_indexing && store_usage_index(db, 2000, &moved) == OK && moved) {
        moved_all += moved;
    }
    if (moved_all) {
        (void)printf("index:  %.2f us a row, later, when there is time\n",
                     (double)(cpu_ns() - begin) / 1e3 / (double)moved_all);
    }
    store_db_close(db);
    (void)unlink(path);
    free(nodes);
    free(rows);
    return 0;
}
