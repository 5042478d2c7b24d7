/* What one usage row costs in CPU, all in: rows, index, daily sums, period totals, commit, WAL
 * checkpoints, the last of them at the close.
 * store_insert <dir> [rows a batch] [batches] [tenants] [models] [rows there before] */
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

static const char *const models[] = {"gpt-4o-mini", "gpt-4o", "o3-mini", "gpt-4.1-nano"};

struct setting {
    size_t batch, batches, tenants, models, before;
    struct id *nodes; /* a tenant and its key, in turn */
    struct usage_record *rows;
    struct id_source ids;
    int64_t at;
    uint64_t random;
};

static size_t pick(struct setting *s, size_t n)
{
    s->random = s->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(s->random >> 33) % n;
}

/* As `make bench` leaves them: no detail, no error, the model that was asked for. */
static void fill(struct usage_record *r, struct setting *s)
{
    int64_t at = s->at += NS_PER_S / 13000;
    const struct id *tenant = &s->nodes[2 * pick(s, s->tenants)];
    struct slice model = slice_str(models[pick(s, s->models)]);
    *r = (struct usage_record){
        .id = id_next(&s->ids, at),
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
        .model = model,
        .asked_model = model,
    };
}

static bool write_batches(struct store_db *db, struct setting *s, size_t batches,
                          int64_t *out_spent_ns)
{
    int64_t spent = 0;
    for (size_t b = 0; b < batches; b++) {
        for (size_t i = 0; i < s->batch; i++) {
            fill(&s->rows[i], s);
        }
        struct store_batch one = {.closed = s->rows, .closed_count = s->batch};
        int64_t begin = cpu_ns();
        if (store_usage_write(db, &one) != OK) {
            (void)fprintf(stderr, "%s\n", store_db_error(db));
            return false;
        }
        spent += cpu_ns() - begin;
    }
    *out_spent_ns = spent;
    return true;
}

static bool prepare(struct setting *s, int argc, char **argv)
{
    s->batch = argument(argc, argv, 2, 1300);
    s->batches = argument(argc, argv, 3, 200);
    s->tenants = argument(argc, argv, 4, 1);
    s->models = argument(argc, argv, 5, 1);
    s->before = argument(argc, argv, 6, 0);
    s->nodes = calloc(s->tenants * 2, sizeof(*s->nodes));
    s->rows = calloc(s->batch, sizeof(*s->rows));
    s->at = clock_unix_ns();
    id_source_init(&s->ids);
    for (size_t i = 0; s->nodes && i < s->tenants * 2; i++) {
        s->nodes[i] = id_random();
    }
    return s->nodes && s->rows && s->tenants && s->batch && s->models &&
           s->models <= ARRAY_LEN(models);
}

int main(int argc, char **argv)
{
    struct setting s = {0};
    char path[512];
    char why[256] = "";
    struct store_db *db = NULL;
    int64_t before = 0;
    int64_t spent = 0;
    (void)snprintf(path, sizeof(path), "%s/store_insert.db", argc > 1 ? argv[1] : "/tmp");
    struct store_conf conf = {.path = slice_str(path), .is_migrating = true};
    if (!prepare(&s, argc, argv) || store_db_open(&conf, &db, why, sizeof(why)) != OK) {
        (void)fprintf(stderr, "%s\n", why);
        return 1;
    }
    bool is_done = write_batches(db, &s, s.before / s.batch, &before) &&
                   write_batches(db, &s, s.batches, &spent);
    int64_t begin = cpu_ns();
    store_db_close(db);
    double rows = (double)(s.batch * s.batches);
    if (is_done && s.batches) {
        (void)printf("%.2f us a row, and %.2f for the last checkpoint (%zu batches of %zu, %zu "
                     "tenants x %zu models, %zu rows before)\n",
                     (double)spent / 1e3 / rows, (double)(cpu_ns() - begin) / 1e3 / rows, s.batches,
                     s.batch, s.tenants, s.models, s.before);
    }
    (void)unlink(path);
    free(s.nodes);
    free(s.rows);
    return is_done ? 0 : 1;
}
