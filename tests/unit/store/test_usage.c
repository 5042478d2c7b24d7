/* Usage rows: exactly once, sums that agree with them, periods, opens, retention. */
#include "query.h"
#include "version2.h"

#include "core/clock.h"
#include "store/store.h"

static struct store_db *open_db(const struct scratch *s)
{
    struct store_conf conf = {.path = slice_str(s->path), .is_migrating = true};
    struct store_db *db = NULL;
    assert_int_equal(store_db_open(&conf, &db, NULL, 0), OK);
    return db;
}

struct world {
    struct scratch scratch;
    struct store_db *db;
    struct id_source ids;
    struct arena arena; /* of what is read back */
};

static void begin(struct world *w)
{
    scratch_new(&w->scratch, "t.db");
    w->db = open_db(&w->scratch);
    id_source_init(&w->ids);
    arena_init(&w->arena, NULL, 1 << 20);
}

static void end(struct world *w)
{
    arena_deinit(&w->arena);
    store_db_close(w->db);
    scratch_free(&w->scratch);
}

static int64_t query(const struct world *w, const char *sql)
{
    return query_number(&w->scratch, sql);
}

static int64_t at_date(int year, int month, int day, int hour)
{
    return clock_unix_ns_of_date((struct civil_date){year, month, day}) +
           hour * INT64_C(3600) * NS_PER_S;
}

static struct usage_record a_record(struct id_source *ids, struct id tenant, int64_t at)
{
    return (struct usage_record){
        .id = id_next(ids, at),
        .tenant = tenant,
        .key = {.bytes = {7}},
        .admitted_unix_ns = at,
        .reserved_nusd = 2000,
        .cost_nusd = 1000,
        .saved_nusd = 3,
        .latency_ns = 250 * NS_PER_MS,
        .first_token_ns = 20 * NS_PER_MS,
        .usage = {.input = 10,
                  .cache_read = 1,
                  .cache_write_5m = 2,
                  .cache_write_1h = 3,
                  .output = 20,
                  .reasoning = 4,
                  .total_reported = 41,
                  .is_known = true},
        .http_status = 200,
        .attempts = 2,
        .count = 1,
        .status = RECORD_SUCCESS,
        .dialect = RECORD_DIALECT_ANTHROPIC,
        .is_stream = true,
        .provider = SLICE("openai"),
        .model = SLICE("gpt-4o-mini"),
        .asked_model = SLICE("fast"),
        .client_request_id = SLICE("client-1"),
        .error = SLICE("none, \"really\""),
        .detail = SLICE("{}"),
    };
}

static void make_plain(struct usage_record *r)
{
    r->usage = (struct usage){.input = 10, .output = 20, .is_known = true};
    r->saved_nusd = 0;
    r->asked_model = r->model;
    r->reason = r->client_request_id = r->error = r->detail = SLICE_NONE;
}

static enum err write_one(struct store_db *db, const struct usage_record *r)
{
    struct store_batch batch = {.closed = r, .closed_count = 1};
    return store_usage_write(db, &batch);
}

/* The plan's lines, each with a | behind it. */
static void query_plan(const struct scratch *s, const char *sql, char *out, size_t cap)
{
    sqlite3 *raw = NULL;
    sqlite3_stmt *stmt = NULL;
    size_t len = 0;
    assert_int_equal(sqlite3_open_v2(s->path, &raw, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(raw, sql, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        int n = snprintf(out + len, cap - len, "%s|", (const char *)sqlite3_column_text(stmt, 3));
        assert_true(n > 0 && (size_t)n < cap - len);
        len += (size_t)n;
    }
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(raw);
}

static void assert_same(const struct usage_record *a, const struct usage_record *b)
{
    assert_true(id_eq(a->id, b->id) && id_eq(a->tenant, b->tenant) && id_eq(a->key, b->key));
    assert_true(a->admitted_unix_ns == b->admitted_unix_ns);
    assert_true(a->reserved_nusd == b->reserved_nusd && a->cost_nusd == b->cost_nusd &&
                a->saved_nusd == b->saved_nusd);
    assert_true(a->latency_ns == b->latency_ns && a->first_token_ns == b->first_token_ns);
    assert_true(a->usage.input == b->usage.input && a->usage.cache_read == b->usage.cache_read &&
                a->usage.cache_write_5m == b->usage.cache_write_5m &&
                a->usage.cache_write_1h == b->usage.cache_write_1h &&
                a->usage.output == b->usage.output && a->usage.reasoning == b->usage.reasoning &&
                a->usage.total_reported == b->usage.total_reported);
    assert_true(a->http_status == b->http_status && a->attempts == b->attempts);
    assert_true(a->count == b->count && a->status == b->status && a->dialect == b->dialect);
    assert_true(a->is_stream == b->is_stream && a->is_estimated == b->is_estimated &&
                a->is_overrun == b->is_overrun);
    assert_true(slice_eq(a->provider, b->provider) && slice_eq(a->model, b->model) &&
                slice_eq(a->asked_model, b->asked_model) && slice_eq(a->reason, b->reason) &&
                slice_eq(a->client_request_id, b->client_request_id) &&
                slice_eq(a->error, b->error) && slice_eq(a->detail, b->detail));
}

static void a_row_reads_back_whatever_its_columns_are(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    struct usage_record all[RECORD_STATUS_COUNT];
    size_t n = 0;
    for (int status = RECORD_SUCCESS; status < RECORD_STATUS_COUNT; status++, n++) {
        all[n] = a_record(&w.ids, id_random(), at_date(2026, 11, 23, 15) + (int64_t)n * 1000);
        all[n].status = (enum record_status)status;
        all[n].dialect = (enum record_dialect)(n % RECORD_DIALECT_COUNT);
        all[n].is_estimated = n % 2 == 0;
        all[n].is_overrun = n % 3 == 0;
        if (n % 2) { /* what is absent in most rows is absent in some of these */
            all[n].asked_model = all[n].model;
            all[n].first_token_ns = -1;
            all[n].reason = SLICE("rate");
            all[n].error = SLICE_NONE;
            all[n].usage.total_reported = 0;
            all[n].count = 70;
        }
        if (n % 3 == 1) { /* and here all of it: a plain row */
            make_plain(&all[n]);
            all[n].count = 1;
        }
    }
    struct store_batch batch = {.closed = all, .closed_count = n};
    assert_int_equal(store_usage_write(w.db, &batch), OK);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < n; i++) {
            struct usage_record back;
            assert_int_equal(store_request_get(w.db, &w.arena, all[i].id, &back), OK);
            assert_same(&all[i], &back);
        }
        assert_int_equal(query(&w, "SELECT count(*) FROM requests"), n);
        assert_int_equal(query(&w, "SELECT count(*) FROM requests_data"), n);
        assert_int_equal(query(&w, "SELECT count(*) FROM requests WHERE status = 'success' AND "
                                   "cache_hit = 0 AND cost = 1e-6 AND latency_ms = 250 AND "
                                   "created_at = '2026-11-23 15:00:00.000000' AND "
                                   "prompt_tokens = 16 AND completion_tokens = 24 AND "
                                   "total_tokens = 41 AND error_message IS NOT NULL"),
                         1);
        assert_int_equal(query(&w, "SELECT count(*) FROM requests WHERE cache_hit"), 1);
        store_db_close(w.db); /* and after a restart */
        w.db = open_db(&w.scratch);
    }
    struct usage_record none;
    assert_int_equal(store_request_get(w.db, &w.arena, id_next(&w.ids, 5), &none), E_NOT_FOUND);
    end(&w);
}

static void an_id_counts_once_and_a_late_close_replaces_a_crashed_row(void **state)
{
    (void)state;
    for (int is_plain = 0; is_plain < 2; is_plain++) {
        struct world w;
        begin(&w);
        struct id tenant = id_random();
        struct usage_record crashed = a_record(&w.ids, tenant, at_date(2026, 3, 31, 23));
        crashed.status = RECORD_CRASHED;
        crashed.cost_nusd = 2000;
        struct usage_record other = a_record(&w.ids, tenant, at_date(2026, 3, 31, 23));
        assert_int_equal(write_one(w.db, &crashed), OK);
        assert_int_equal(write_one(w.db, &other), OK);
        assert_int_equal(write_one(w.db, &crashed), OK);
        assert_int_equal(query(&w, "SELECT sum(cost_nusd) FROM usage_daily"), 3000);
        assert_int_equal(query(&w, "SELECT sum(errors) FROM usage_daily"), 1);

        struct usage_record closed = crashed;
        closed.status = RECORD_SUCCESS;
        closed.cost_nusd = 500;
        closed.model = SLICE("gpt-4o");
        if (is_plain) {
            make_plain(&closed);
        }
        struct usage_record twice[] = {closed, closed};
        struct store_batch batch = {.closed = twice, .closed_count = 2};
        assert_int_equal(store_usage_write(w.db, &batch), OK);
        assert_int_equal(write_one(w.db, &crashed), OK); /* and the crash does not come back */
        assert_int_equal(write_one(w.db, &other), OK);
        assert_int_equal(query(&w, "SELECT count(*) FROM requests"), 2);
        assert_int_equal(query(&w, "SELECT count(*) FROM requests WHERE status = 'crashed'"), 0);
        assert_int_equal(query(&w, "SELECT sum(cost_nusd) FROM requests"), 1500);
        assert_int_equal(query(&w, "SELECT sum(cost_nusd) FROM usage_daily"), 1500);
        assert_int_equal(query(&w, "SELECT sum(requests) FROM usage_daily"), 2);
        assert_int_equal(query(&w, "SELECT sum(errors) FROM usage_daily"), 0);
        assert_int_equal(query(&w, "SELECT sum(total_tokens) FROM usage_daily"),
                         is_plain ? 71 : 82);
        assert_int_equal(query(&w, "SELECT sum(total_nusd) FROM period_totals"), 3000);
        assert_int_equal(query(&w, "SELECT min(month_nusd) FROM period_totals"), 1500);
        end(&w);
    }
}

static void ids_with_one_row_number_both_stay(void **state)
{
    (void)state;
    for (int is_batch = 0; is_batch < 2; is_batch++) {
        struct world w;
        begin(&w);
        struct usage_record r[5];
        for (int i = 0; i < 5; i++) {
            r[i] = a_record(&w.ids, id_random(), at_date(2026, 1, 2, 3));
            if (i) {
                r[i].id = r[0].id;
                r[i].id.bytes[9] = (uint8_t)(r[0].id.bytes[9] + i);
            }
            make_plain(&r[i < 3 ? i : 0]);
            assert_int_equal(is_batch ? OK : write_one(w.db, &r[i]), OK);
        }
        struct store_batch batch = {.closed = r, .closed_count = 5};
        assert_int_equal(store_usage_write(w.db, &batch), OK);
        assert_int_equal(query(&w, "SELECT count(DISTINCT id) FROM requests"), 5);
        assert_int_equal(query(&w, "SELECT count(*) FROM requests"), 5);
        for (int i = 0; i < 5; i++) {
            struct usage_record back;
            assert_int_equal(store_request_get(w.db, &w.arena, r[i].id, &back), OK);
            assert_same(&r[i], &back);
        }
        end(&w);
    }
}

struct totals {
    struct id node;
    int64_t cost[BUDGET_PERIODS];
    int rows;
};

static void see_total(void *ctx, struct id node, enum budget_period period, int64_t number,
                      int64_t cost_nusd)
{
    struct totals *t = ctx;
    assert_true(period != BUDGET_TOTAL || number == 0);
    if (id_eq(node, t->node)) {
        t->cost[period] += cost_nusd;
        t->rows++;
    }
}

static void totals_are_those_of_the_period_of_admission(void **state)
{
    (void)state;
    assert_int_equal(budget_period_number(BUDGET_DAY, 0), 0);
    assert_int_equal(budget_period_number(BUDGET_WEEK, at_date(1970, 1, 4, 23)), 0);
    assert_int_equal(budget_period_number(BUDGET_WEEK, at_date(1970, 1, 5, 0)), 1); /* a Monday */
    assert_int_equal(budget_period_number(BUDGET_WEEK, -5 * NS_PER_DAY), -1);
    assert_int_equal(budget_period_number(BUDGET_MONTH, at_date(2026, 11, 30, 23)), 56 * 12 + 10);
    assert_int_equal(budget_period_number(BUDGET_TOTAL, at_date(2026, 11, 30, 23)), 0);

    struct world w;
    begin(&w);
    struct id tenant = id_random();
    /* 2026-11-30 is a Monday: the week goes over the end of the month. */
    struct usage_record r[4] = {
        a_record(&w.ids, tenant, at_date(2026, 11, 29, 23)),
        a_record(&w.ids, tenant, at_date(2026, 11, 30, 23)),
        a_record(&w.ids, tenant, at_date(2026, 12, 1, 0)),
        a_record(&w.ids, tenant, at_date(2026, 12, 1, 1)),
    };
    int64_t costs[] = {1, 10, 100, 1000};
    for (int i = 0; i < 4; i++) {
        r[i].cost_nusd = costs[i];
    }
    struct store_batch newest_first = {.closed = &r[2], .closed_count = 2};
    assert_int_equal(store_usage_write(w.db, &newest_first), OK);
    struct store_batch late = {.closed = r, .closed_count = 2};
    assert_int_equal(store_usage_write(w.db, &late), OK);

    struct totals t = {.node = tenant};
    assert_int_equal(store_period_totals(w.db, at_date(2026, 12, 1, 5), see_total, &t), OK);
    assert_int_equal(t.cost[BUDGET_DAY], 1100);
    assert_int_equal(t.cost[BUDGET_WEEK], 1110);
    assert_int_equal(t.cost[BUDGET_MONTH], 1100);
    assert_int_equal(t.cost[BUDGET_TOTAL], 1111);
    assert_int_equal(t.rows, 4);
    struct totals later = {.node = r[0].key}; /* the key's, in a month without any spending */
    assert_int_equal(store_period_totals(w.db, at_date(2027, 1, 1, 0), see_total, &later), OK);
    assert_int_equal(later.cost[BUDGET_TOTAL], 1111);
    assert_int_equal(later.rows, 1);
    end(&w);
}

struct counted {
    int rows;
    int64_t cost;
    struct usage_record last;
    struct store_usage_row usage;
};

static void see_record(void *ctx, const struct usage_record *r)
{
    struct counted *c = ctx;
    c->rows++;
    c->cost += r->cost_nusd;
    c->last = *r;
}

static void see_provider(void *ctx, const struct store_usage_row *r)
{
    struct counted *c = ctx;
    assert_true(slice_eq(r->provider, SLICE("openai")));
    c->rows++;
    c->cost += r->cost_nusd;
    assert_int_equal(r->requests, 2);
    assert_int_equal(r->tokens, 82);
    assert_int_equal(r->latency_avg_us, 250000);
    c->usage = *r;
}

static void opens_checkpoints_admissions_and_retention(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    struct id tenant = id_random();
    int64_t now = at_date(2026, 6, 15, 12);
    struct usage_record old = a_record(&w.ids, tenant, now - 3 * NS_PER_DAY);
    struct usage_record first = a_record(&w.ids, tenant, now - 2 * NS_PER_S);
    struct usage_record second = a_record(&w.ids, tenant, now - NS_PER_S);
    struct usage_record refused = a_record(&w.ids, tenant, now);
    refused.status = RECORD_REFUSED;
    refused.provider = SLICE_NONE;
    refused.cost_nusd = 0;
    refused.count = 900;
    struct usage_record open = a_record(&w.ids, tenant, now);
    open.status = RECORD_OPEN;
    open.dialect = RECORD_DIALECT_RESPONSES;
    struct store_batch batch = {
        .closed = &old,
        .closed_count = 1,
        .opens = &open,
        .open_count = 1,
        .checkpoint = {.instance = tenant, .worker = 1, .segment = 5, .slot = 77},
    };
    assert_int_equal(store_usage_write(w.db, &batch), OK);
    assert_int_equal(store_usage_write(w.db, &batch), OK);
    struct counted c = {0};
    assert_int_equal(store_open_list(w.db, see_record, &c), OK);
    assert_true(c.rows == 1 && id_eq(c.last.id, open.id) && c.last.reserved_nusd == 2000);
    assert_true(c.last.admitted_unix_ns == now && c.last.is_stream);
    assert_true(c.last.dialect == RECORD_DIALECT_RESPONSES && c.last.status == RECORD_OPEN);
    struct store_checkpoint at;
    assert_int_equal(store_checkpoint_get(w.db, tenant, 1, &at), OK);
    assert_true(at.segment == 5 && at.slot == 77 && at.worker == 1);
    assert_int_equal(store_checkpoint_get(w.db, tenant, 0, &at), E_NOT_FOUND);
    assert_int_equal(store_checkpoints_forget(w.db, tenant), OK);
    assert_int_equal(store_checkpoint_get(w.db, tenant, 1, &at), E_NOT_FOUND);

    open.status = RECORD_SUCCESS;
    struct usage_record rest[] = {first, second, refused, open};
    struct store_batch closes = {.closed = rest, .closed_count = 4};
    assert_int_equal(store_usage_write(w.db, &closes), OK);
    c = (struct counted){0};
    assert_int_equal(store_open_list(w.db, see_record, &c), OK);
    assert_int_equal(c.rows, 0);
    open.status = RECORD_OPEN; /* read again after its close: stays closed */
    struct store_batch again = {.opens = &open, .open_count = 1};
    assert_int_equal(store_usage_write(w.db, &again), OK);
    assert_int_equal(store_open_list(w.db, see_record, &c), OK);
    assert_int_equal(c.rows, 0);

    int64_t n = 0;
    assert_int_equal(store_recent_admissions(w.db, now - 60 * NS_PER_S, see_record, &c), OK);
    assert_int_equal(c.rows, 3);
    c = (struct counted){0};
    assert_int_equal(store_recent_admissions(w.db, now - NS_PER_S, see_record, &c), OK);
    assert_int_equal(c.rows, 2);
    c = (struct counted){0};
    assert_int_equal(store_usage_by_provider(w.db, id_random(), 0, see_provider, &c), OK);
    assert_int_equal(c.rows, 0);
    assert_int_equal(query(&w, "SELECT sum(refused) FROM usage_daily"), 900);
    assert_int_equal(query(&w, "SELECT count(*) FROM usage_logs"), 2);
    assert_int_equal(query(&w, "SELECT total_requests FROM usage_logs WHERE date = '2026-06-15'"),
                     3);
    assert_int_equal(query(&w, "SELECT json_extract(provider_breakdown, '$.openai.tokens') "
                               "FROM usage_logs WHERE date = '2026-06-12'"),
                     41);

    assert_int_equal(store_retain(w.db, now - NS_PER_DAY, 10, &n), OK);
    assert_int_equal(n, 1);
    assert_int_equal(store_retain(w.db, now + NS_PER_DAY, 3, &n), OK);
    assert_int_equal(n, 3);
    assert_int_equal(store_retain(w.db, now + NS_PER_DAY, 3, &n), OK);
    assert_int_equal(n, 1);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests"), 0);
    assert_int_equal(query(&w, "SELECT sum(requests) FROM usage_daily"), 4);
    end(&w);
}

static void usage_by_provider_sums_days(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    struct id tenant = id_random();
    int64_t now = at_date(2026, 6, 15, 12);
    struct usage_record r[] = {a_record(&w.ids, tenant, now - 40 * NS_PER_DAY),
                               a_record(&w.ids, tenant, now - NS_PER_DAY),
                               a_record(&w.ids, tenant, now)};
    struct store_batch batch = {.closed = r, .closed_count = 3};
    assert_int_equal(store_usage_write(w.db, &batch), OK);
    struct counted c = {0};
    assert_int_equal(store_usage_by_provider(w.db, tenant, now - 30 * NS_PER_DAY, see_provider, &c),
                     OK);
    assert_true(c.rows == 1 && c.cost == 2000);
    assert_true(c.usage.prompt_tokens == 32 && c.usage.cache_read_tokens == 2 &&
                c.usage.cache_write_5m_tokens == 4 && c.usage.cache_write_1h_tokens == 6);
    assert_true(c.usage.saved_nusd == 6);
    /* A hit of our cache repeats what its original used: its provider read nothing again. */
    struct usage_record hit = a_record(&w.ids, tenant, now);
    hit.status = RECORD_CACHED;
    hit.provider = SLICE("cached");
    assert_int_equal(write_one(w.db, &hit), OK);
    assert_int_equal(query(&w, "SELECT sum(cache_read_tokens) FROM usage_daily WHERE provider = "
                               "'cached'"),
                     0);
    end(&w);
}

static void a_batch_that_cannot_be_written_leaves_nothing(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    struct usage_record r[300];
    for (size_t i = 0; i < ARRAY_LEN(r); i++) {
        r[i] = a_record(&w.ids, id_random(), at_date(2026, 6, 15, 12));
    }
    sqlite3 *raw = NULL;
    assert_int_equal(sqlite3_open(w.scratch.path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw,
                                  "CREATE TRIGGER broken BEFORE INSERT ON period_totals BEGIN "
                                  "SELECT raise(ABORT, 'broken'); END",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    struct store_batch batch = {.closed = r, .closed_count = ARRAY_LEN(r)};
    assert_int_not_equal(store_usage_write(w.db, &batch), OK);
    assert_string_equal(store_db_error(w.db), "broken");
    assert_int_equal(query(&w, "SELECT count(*) FROM requests"), 0);
    assert_int_equal(query(&w, "SELECT count(*) FROM usage_daily"), 0);
    assert_int_equal(sqlite3_exec(raw, "DROP TRIGGER broken", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(raw);
    assert_int_equal(store_usage_write(w.db, &batch), OK);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests"), 300);
    assert_int_equal(query(&w, "SELECT sum(requests) FROM usage_daily"), 300);
    end(&w);
}

static void run_sql(sqlite3 *raw, const char *sql)
{
    char *error = NULL;
    if (sqlite3_exec(raw, sql, NULL, NULL, &error) != SQLITE_OK) {
        fail_msg("%s: %s", sql, error);
    }
}

static long long number_of(struct id id)
{
    long long ms = 0;
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | id.bytes[i];
    }
    return ms << 20 | ((id.bytes[13] & 15LL) << 16 | id.bytes[14] << 8 | id.bytes[15]);
}

/* One row that had not been indexed and one that had, both as version 2 wrote them. */
static void write_version2(const struct scratch *s, const struct usage_record *r)
{
    char sql[1024];
    char text[3][ID_TEXT_BYTES];
    char hex[2 * 3 * ID_BYTES + 1];
    sqlite3 *raw = NULL;
    assert_int_equal(sqlite3_open(s->path, &raw), SQLITE_OK);
    for (size_t i = 0; i < ARRAY_LEN(version2); i++) {
        run_sql(raw, version2[i]);
    }
    const uint8_t *bytes = (const uint8_t *)&r[0];
    for (size_t i = 0; i < (size_t)3 * ID_BYTES; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
    (void)snprintf(sql, sizeof(sql),
                   "INSERT INTO requests_fresh VALUES (%lld, x'%s', %lld, 'openai', 'gpt-4o-mini', "
                   "'fast', 10, 1, 2, 3, 20, 4, 41, 1000, 2000, 3, 250000, 20000, 2, 200, %d, 1, "
                   "NULL, 'client-1', 'none, \"really\"', '{}')",
                   number_of(r[0].id), hex, (long long)(r[0].admitted_unix_ns / NS_PER_US),
                   RECORD_SUCCESS | RECORD_DIALECT_ANTHROPIC << 4 | 1 << 8);
    run_sql(raw, sql);
    id_format(r[1].id, text[0]);
    id_format(r[1].tenant, text[1]);
    id_format(r[1].key, text[2]);
    (void)snprintf(
        sql, sizeof(sql),
        "INSERT INTO requests_indexed VALUES (%lld, '%.36s', '%.36s', '%.36s', 'openai', "
        "'gpt-4o-mini', 'gpt-4o-mini', 10, 20, 30, 1000, 2000, 0, 0, 0, 0, 0, 250000, "
        "20000, 'success', NULL, '2026-03-01 10:00:00.000000', 2, 200, 'anthropic', 1, "
        "0, 0, 1, NULL, NULL, NULL)",
        number_of(r[1].id), text[0], text[1], text[2]);
    run_sql(raw, sql);
    id_format(r[0].tenant, text[1]);
    id_format(r[0].key, text[2]);
    (void)snprintf(sql, sizeof(sql),
                   "INSERT INTO usage_daily (tenant_id, day, key_id, provider, model, requests, "
                   "errors, refused, prompt_tokens, completion_tokens, total_tokens, cost_nusd, "
                   "saved_nusd, latency_us) VALUES ('%.36s', '2026-03-01', '%.36s', 'openai', "
                   "'gpt-4o-mini', 1, 0, 0, 16, 24, 41, 1000, 3, 250000)",
                   text[1], text[2]);
    run_sql(raw, sql);
    (void)sqlite3_close(raw);
}

static void a_database_of_version_2_keeps_its_rows(void **state)
{
    (void)state;
    struct world w;
    scratch_new(&w.scratch, "t.db");
    id_source_init(&w.ids);
    int64_t at = at_date(2026, 3, 1, 10);
    struct usage_record r[] = {a_record(&w.ids, id_random(), at),
                               a_record(&w.ids, id_random(), at)};
    make_plain(&r[1]);
    write_version2(&w.scratch, r);
    w.db = open_db(&w.scratch);
    arena_init(&w.arena, NULL, 1 << 20);
    assert_int_equal(store_db_opened_version(w.db), 2);
    for (size_t i = 0; i < ARRAY_LEN(r); i++) {
        struct usage_record back;
        assert_int_equal(store_request_get(w.db, &w.arena, r[i].id, &back), OK);
        assert_same(&back, &r[i]);
    }
    assert_int_equal(query(&w, "SELECT count(*) FROM requests"), 2);
    assert_int_equal(query(&w, "SELECT count(*) FROM requests_kinds"), 2);
    assert_int_equal(query(&w, "SELECT count(*) FROM sqlite_master WHERE name LIKE "
                               "'requests_%ed' OR name LIKE '%fresh%'"),
                     0);
    /* What version 6 sums a day is filled in from the rows. */
    assert_int_equal(query(&w, "SELECT cache_read_tokens * 100 + cache_write_5m_tokens * 10 + "
                               "cache_write_1h_tokens FROM usage_daily"),
                     123);
    end(&w);
}

/* The plan names an index for the tenant, for provider and status, and a range of row numbers. */
static void queries_of_requests_do_not_scan_all(void **state)
{
    (void)state;
    static const struct {
        const char *where;
        const char *plan;
    } cases[] = {
        {"tenant_id = 'x' AND created_at >= '2026-01-01'",
         "SEARCH k USING INDEX sqlite_autoindex_requests_kinds_1 (tenant_id=?)|"
         "SEARCH d USING INDEX idx_requests_kind (kind=?)|"},
        {"tenant_id = 'x' AND seq >= 5",
         "SEARCH d USING INDEX idx_requests_kind (kind=? AND rowid>?)|"},
        {"provider = 'x' AND status = 'error'",
         "SEARCH k USING INDEX idx_provider_status_kind (provider=? AND status=?)|"},
        {"seq BETWEEN 5 AND 7", "SEARCH d USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)|"},
    };
    struct world w;
    begin(&w);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char sql[256];
        char plan[1024];
        (void)snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN SELECT * FROM requests WHERE %s",
                       cases[i].where);
        query_plan(&w.scratch, sql, plan, sizeof(plan));
        if (strstr(plan, "SCAN") || !strstr(plan, cases[i].plan)) {
            fail_msg("%s: %s", cases[i].where, plan);
        }
    }
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_reads_back_whatever_its_columns_are),
        cmocka_unit_test(an_id_counts_once_and_a_late_close_replaces_a_crashed_row),
        cmocka_unit_test(ids_with_one_row_number_both_stay),
        cmocka_unit_test(totals_are_those_of_the_period_of_admission),
        cmocka_unit_test(opens_checkpoints_admissions_and_retention),
        cmocka_unit_test(usage_by_provider_sums_days),
        cmocka_unit_test(a_batch_that_cannot_be_written_leaves_nothing),
        cmocka_unit_test(a_database_of_version_2_keeps_its_rows),
        cmocka_unit_test(queries_of_requests_do_not_scan_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
