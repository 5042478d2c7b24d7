/* Tenants, keys, audit, migrations and the two threads, on a real SQLite file. */
#include "scratch.h"

#include "core/clock.h"
#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

static const int64_t T0 = INT64_C(1770000000123456000);

static struct store_conf conf_of(const struct scratch *s)
{
    return (struct store_conf){.path = slice_str(s->path), .is_migrating = true};
}

static struct store_db *open_db(const struct scratch *s)
{
    struct store_conf conf = conf_of(s);
    struct store_db *db = NULL;
    char why[256] = "";
    enum err e = store_db_open(&conf, &db, why, sizeof(why));
    if (e != OK) {
        fail_msg("%s: %s", err_name(e), why);
    }
    return db;
}

static struct store_policy no_policy(void)
{
    return (struct store_policy){
        .rate_per_min = -1,
        .tokens_per_min = -1,
        .concurrent_max = -1,
        .budget_nusd = {-1, -1, -1, -1},
    };
}

static struct store_tenant a_tenant(const char *name, struct id parent)
{
    return (struct store_tenant){
        .id = id_random(),
        .parent = parent,
        .name = slice_str(name),
        .policy = no_policy(),
        .is_active = true,
        .created_unix_ns = T0,
    };
}

static struct store_key a_key(struct id tenant, const char *name)
{
    struct store_key k = {
        .id = id_random(),
        .tenant = tenant,
        .name = slice_str(name),
        .hint = SLICE("llm-gw-Ab3d"),
        .policy = no_policy(),
        .is_active = true,
        .created_unix_ns = T0,
    };
    rand_bytes(k.hash.bytes, sizeof(k.hash.bytes));
    return k;
}

static const struct store_audit by_admin = {
    .actor = SLICE_INIT("admin"),
    .action = SLICE_INIT("test.change"),
    .subject = SLICE_INIT("x"),
    .detail = SLICE_INIT("{\"a\":1}"),
    .at_unix_ns = INT64_C(1770000000123456000),
};

struct seen {
    int tenants, keys, audits;
    bool is_key_before_tenant;
    struct id last_tenant, last_key;
    bool last_key_active;
    int64_t last_rowid;
};

static void see_tenant(void *ctx, const struct store_tenant *t)
{
    struct seen *s = ctx;
    s->tenants++;
    s->is_key_before_tenant = s->is_key_before_tenant || s->keys > 0;
    s->last_tenant = t->id;
}

static void see_key(void *ctx, const struct store_key *k)
{
    struct seen *s = ctx;
    s->keys++;
    s->last_key = k->id;
    s->last_key_active = k->is_active;
}

static void see_audit(void *ctx, int64_t rowid, const struct store_audit *a)
{
    struct seen *s = ctx;
    s->audits++;
    s->last_rowid = rowid;
    assert_true(slice_eq(a->action, SLICE("test.change")));
    assert_true(a->at_unix_ns == T0);
}

static void a_tenant_and_its_key_come_back_as_they_were_stored(void **state)
{
    (void)state;
    struct scratch s;
    scratch_new(&s, "sub/gateway.db");
    struct store_db *db = open_db(&s);
    struct arena arena;
    arena_init(&arena, NULL, 1 << 20);
    struct store_tenant t = a_tenant("Ümlaut \"quoted\"", (struct id){0});
    t.policy = (struct store_policy){
        .rate_per_min = 0,
        .tokens_per_min = INT64_MAX,
        .concurrent_max = -1,
        .budget_nusd = {1, -1, 100 * INT64_C(1000000000), 0},
        .soft_budgets = 5,
        .allowed_models = SLICE("[\"gpt-*\"]"),
        .cache_mode = SLICE("on"),
        .audit_level = SLICE("metadata"),
    };
    struct store_key k = a_key(t.id, "first");
    k.expires_unix_ns = T0 + NS_PER_DAY;
    assert_int_equal(store_tenant_insert(db, &t, &k, &by_admin), OK);

    struct store_tenant t2;
    struct store_key k2;
    assert_int_equal(store_tenant_get(db, &arena, t.id, &t2), OK);
    assert_true(slice_eq(t.name, t2.name));
    assert_true(t2.policy.rate_per_min == 0 && t2.policy.tokens_per_min == INT64_MAX);
    assert_true(t2.policy.concurrent_max == -1);
    assert_memory_equal(t.policy.budget_nusd, t2.policy.budget_nusd, sizeof(t.policy.budget_nusd));
    assert_int_equal(t2.policy.soft_budgets, 5);
    assert_true(slice_eq(t2.policy.allowed_models, t.policy.allowed_models));
    assert_true(slice_eq(t2.policy.cache_mode, SLICE("on")));
    assert_true(t2.is_active && id_is_zero(t2.parent) && t2.created_unix_ns == T0);
    assert_true(t2.changed_seq == 1);
    assert_int_equal(store_key_get(db, &arena, k.id, &k2), OK);
    assert_memory_equal(k.hash.bytes, k2.hash.bytes, SHA256_BYTES);
    assert_true(id_eq(k2.tenant, t.id) && k2.expires_unix_ns == k.expires_unix_ns);
    assert_true(slice_eq(k2.hint, k.hint) && slice_eq(k2.name, k.name));

    t.name = SLICE("renamed");
    t.is_active = false;
    t.policy.rate_per_min = -1;
    assert_int_equal(store_tenant_update(db, &t, &by_admin), OK);
    k.is_active = false;
    k.expires_unix_ns = 0;
    assert_int_equal(store_key_update(db, &k, &by_admin), OK);
    assert_int_equal(store_tenant_get(db, &arena, t.id, &t2), OK);
    assert_true(slice_eq(t2.name, SLICE("renamed")) && !t2.is_active && t2.changed_seq == 2);
    assert_true(t2.policy.rate_per_min == -1 && t2.created_unix_ns == T0);
    assert_int_equal(store_key_get(db, &arena, k.id, &k2), OK);
    assert_true(!k2.is_active && k2.expires_unix_ns == 0 && k2.created_unix_ns == T0);
    assert_memory_equal(k.hash.bytes, k2.hash.bytes, SHA256_BYTES);

    assert_int_equal(store_tenant_get(db, &arena, id_random(), &t2), E_NOT_FOUND);
    assert_int_equal(store_key_get(db, &arena, id_random(), &k2), E_NOT_FOUND);
    struct arena none;
    arena_init(&none, NULL, 0);
    assert_int_equal(store_tenant_get(db, &none, t.id, &t2), E_NOMEM);
    assert_int_equal(store_key_get(db, &none, k.id, &k2), E_NOMEM);

    struct seen seen = {0};
    assert_int_equal(store_audit_list(db, 0, 2, see_audit, &seen), OK);
    assert_int_equal(seen.audits, 2);
    assert_int_equal(store_audit_list(db, seen.last_rowid, 2, see_audit, &seen), OK);
    assert_int_equal(seen.audits, 3);

    struct stat st;
    assert_int_equal(stat(s.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    *strrchr(s.path, '/') = 0;
    assert_int_equal(stat(s.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    arena_deinit(&arena);
    store_db_close(db);
    scratch_free(&s);
}

static void a_tree_is_at_most_eight_deep_and_has_no_cycle(void **state)
{
    (void)state;
    struct scratch s;
    scratch_new(&s, "t.db");
    struct store_db *db = open_db(&s);
    struct store_tenant chain[8];
    for (int i = 0; i < 8; i++) {
        chain[i] = a_tenant("level", i ? chain[i - 1].id : (struct id){0});
        assert_int_equal(store_tenant_insert(db, &chain[i], NULL, NULL), OK);
    }
    struct store_tenant ninth = a_tenant("ninth", chain[7].id);
    assert_int_equal(store_tenant_insert(db, &ninth, NULL, NULL), E_LIMIT);
    struct store_tenant orphan = a_tenant("orphan", id_random());
    assert_int_equal(store_tenant_insert(db, &orphan, NULL, NULL), E_NOT_FOUND);
    chain[2].parent = chain[5].id;
    assert_int_equal(store_tenant_update(db, &chain[2], NULL), E_CONFLICT);
    chain[2].parent = chain[2].id;
    assert_int_equal(store_tenant_update(db, &chain[2], NULL), E_CONFLICT);
    struct store_tenant root = a_tenant("root", (struct id){0});
    assert_int_equal(store_tenant_insert(db, &root, NULL, NULL), OK);
    chain[0].parent = root.id; /* would push the leaf to level nine */
    assert_int_equal(store_tenant_update(db, &chain[0], NULL), E_LIMIT);
    chain[4].parent = root.id;
    assert_int_equal(store_tenant_update(db, &chain[4], NULL), OK);
    struct store_tenant unknown = a_tenant("unknown", (struct id){0});
    assert_int_equal(store_tenant_update(db, &unknown, NULL), E_NOT_FOUND);

    struct store_key k = a_key(root.id, "k");
    assert_int_equal(store_key_insert(db, &k, NULL), OK);
    struct store_key same = a_key(root.id, "same secret");
    same.hash = k.hash;
    assert_int_equal(store_key_insert(db, &same, NULL), E_CONFLICT);
    struct store_key lost = a_key(id_random(), "no tenant");
    assert_int_equal(store_key_insert(db, &lost, NULL), E_NOT_FOUND);
    struct store_key no_owner = a_key((struct id){0}, "no tenant at all");
    assert_int_equal(store_key_insert(db, &no_owner, NULL), E_NOT_FOUND);
    assert_int_equal(store_key_update(db, &same, NULL), E_NOT_FOUND);
    assert_true(store_db_error(db)[0] != 0);

    /* A change that failed left nothing behind, not even a number. */
    struct seen seen = {0};
    int64_t seq = 0;
    assert_int_equal(store_directory_since(db, 0, see_tenant, see_key, &seen, &seq), OK);
    assert_true(seq == 11 && seen.tenants == 9 && seen.keys == 1 && !seen.is_key_before_tenant);
    store_db_close(db);
    scratch_free(&s);
}

static void lists_go_on_after_the_cursor(void **state)
{
    (void)state;
    struct scratch s;
    scratch_new(&s, "t.db");
    struct store_db *db = open_db(&s);
    struct store_tenant t[5];
    for (int i = 0; i < 5; i++) {
        t[i] = a_tenant("t", (struct id){0});
        struct store_key k = a_key(t[i].id, "k");
        assert_int_equal(store_tenant_insert(db, &t[i], &k, NULL), OK);
    }
    struct seen seen = {0};
    int pages = 0;
    do {
        int before = seen.tenants;
        assert_int_equal(store_tenant_list(db, seen.last_tenant, 2, see_tenant, &seen), OK);
        pages += seen.tenants > before;
        if (seen.tenants == before) {
            break;
        }
    } while (pages < 10);
    assert_true(pages == 3 && seen.tenants == 5);
    assert_int_equal(store_key_list(db, t[3].id, (struct id){0}, 100, see_key, &seen), OK);
    assert_int_equal(seen.keys, 1);
    assert_int_equal(store_key_list(db, t[3].id, seen.last_key, 100, see_key, &seen), OK);
    assert_int_equal(seen.keys, 1);
    seen.keys = 0;
    assert_int_equal(store_key_list(db, (struct id){0}, (struct id){0}, 4, see_key, &seen), OK);
    assert_int_equal(seen.keys, 4);
    assert_int_equal(store_key_list(db, (struct id){0}, seen.last_key, 4, see_key, &seen), OK);
    assert_int_equal(seen.keys, 5);
    store_db_close(db);
    scratch_free(&s);
}

static void changes_by_another_connection_are_seen(void **state)
{
    (void)state;
    struct scratch s;
    scratch_new(&s, "t.db");
    struct store_db *ours = open_db(&s);
    struct store_db *other = open_db(&s);
    struct seen seen = {0};
    int64_t seq = 0;
    assert_int_equal(store_directory_since(ours, seq, see_tenant, see_key, &seen, &seq), OK);
    assert_true(seen.tenants == 0 && seq == 0);

    struct store_tenant t = a_tenant("t", (struct id){0});
    struct store_key k = a_key(t.id, "k");
    assert_int_equal(store_tenant_insert(other, &t, &k, &by_admin), OK);
    assert_int_equal(store_directory_since(ours, seq, see_tenant, see_key, &seen, &seq), OK);
    assert_true(seen.tenants == 1 && seen.keys == 1 && seq == 1);
    assert_int_equal(store_directory_since(ours, seq, see_tenant, see_key, &seen, &seq), OK);
    assert_true(seen.tenants == 1 && seen.keys == 1 && seq == 1);

    k.is_active = false;
    assert_int_equal(store_key_update(other, &k, &by_admin), OK);
    assert_int_equal(store_directory_since(ours, seq, see_tenant, see_key, &seen, &seq), OK);
    assert_true(seen.tenants == 1 && seen.keys == 2 && seq == 2 && !seen.last_key_active);

    k.is_active = true; /* and our own: data_version does not move then */
    assert_int_equal(store_key_update(ours, &k, &by_admin), OK);
    assert_int_equal(store_directory_since(ours, seq, see_tenant, see_key, &seen, &seq), OK);
    assert_true(seen.keys == 3 && seq == 3 && seen.last_key_active);
    /* Someone who knows less asks on the same connection and gets it all. */
    assert_int_equal(store_directory_since(ours, 0, see_tenant, see_key, &seen, &seq), OK);
    assert_true(seen.tenants == 2 && seen.keys == 4 && seq == 3);
    store_db_close(ours);
    store_db_close(other);
    scratch_free(&s);
}

static void run_sql(const struct scratch *s, const char *sql)
{
    sqlite3 *raw = NULL;
    assert_int_equal(sqlite3_open(s->path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, sql, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(raw);
}

static void migrations_run_once_and_a_wrong_schema_is_refused(void **state)
{
    (void)state;
    struct scratch s;
    scratch_new(&s, "t.db");
    struct store_conf conf = conf_of(&s);
    struct store_db *db = NULL;
    char why[256] = "";
    conf.is_migrating = false;
    assert_int_equal(store_db_open(&conf, &db, why, sizeof(why)), E_DB);
    assert_non_null(strstr(why, "llm-gateway migrate"));
    conf.is_migrating = true;
    db = open_db(&s);
    int from = -1;
    int to = -1;
    assert_int_equal(store_db_migrate(db, &from, &to), OK);
    assert_true(from == to && to >= 1);
    store_db_close(db);
    conf.is_migrating = false;
    assert_int_equal(store_db_open(&conf, &db, why, sizeof(why)), OK);
    store_db_close(db);

    run_sql(&s, "INSERT INTO schema_migrations VALUES (9999, 'later')");
    assert_int_equal(store_db_open(&conf, &db, why, sizeof(why)), E_DB);
    assert_non_null(strstr(why, "newer llm-gateway"));
    conf.is_migrating = true;
    assert_int_equal(store_db_open(&conf, &db, why, sizeof(why)), E_DB);
    assert_non_null(strstr(why, "newer llm-gateway"));
    scratch_free(&s);

    scratch_new(&s, "t.db");
    conf = conf_of(&s);
    FILE *f = fopen(s.path, "w");
    assert_non_null(f);
    assert_true(fputs("this is not a database, whatever its name says; not at all, no, no\n", f) >
                0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(store_db_open(&conf, &db, why, sizeof(why)), E_CORRUPT);
    conf.path = SLICE("/proc/no/such/place.db");
    assert_int_equal(store_db_open(&conf, &db, why, sizeof(why)), E_IO);
    conf.path = SLICE_NONE;
    assert_int_equal(store_db_open(&conf, &db, NULL, 0), E_CONFIG);
    scratch_free(&s);
}

struct probe {
    struct store_job job;
    pthread_mutex_t lock;
    pthread_cond_t done;
    int runs;
    int periodic_runs;
    enum err result;
    struct store_tenant tenant;
};

static void finish(struct probe *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->runs++;
    (void)pthread_cond_signal(&p->done);
    (void)pthread_mutex_unlock(&p->lock);
}

static void await_runs(struct probe *p, int runs)
{
    (void)pthread_mutex_lock(&p->lock);
    while (p->runs < runs) {
        (void)pthread_cond_wait(&p->done, &p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
}

static void insert_job(struct store_job *job, struct store_db *db)
{
    struct probe *p = CONTAINER_OF(job, struct probe, job);
    p->result = store_tenant_insert(db, &p->tenant, NULL, NULL);
    finish(p);
}

static void count_job(struct store_job *job, struct store_db *db)
{
    struct probe *p = CONTAINER_OF(job, struct probe, job);
    struct seen seen = {0};
    p->result = store_tenant_list(db, (struct id){0}, 10, see_tenant, &seen);
    if (p->result == OK && seen.tenants != 1) {
        p->result = E_NOT_FOUND;
    }
    finish(p);
}

static void on_period(void *ctx, struct store_db *db)
{
    struct probe *p = ctx;
    (void)pthread_mutex_lock(&p->lock);
    p->periodic_runs += db != NULL;
    (void)pthread_cond_signal(&p->done);
    (void)pthread_mutex_unlock(&p->lock);
}

static void the_threads_run_jobs_and_the_periodic(void **state)
{
    (void)state;
    struct scratch s;
    scratch_new(&s, "t.db");
    struct store_conf conf = conf_of(&s);
    conf.query_timeout_ns = NS_PER_MIN;
    struct store *store = NULL;
    assert_int_equal(store_open(&conf, &store, NULL, 0), OK);
    struct probe p;
    memset(&p, 0, sizeof(p));
    p.tenant = a_tenant("t", (struct id){0});
    p.job.run = insert_job;
    (void)pthread_mutex_init(&p.lock, NULL);
    (void)pthread_cond_init(&p.done, NULL);
    assert_int_equal(store_submit_write(store, &p.job), OK);
    await_runs(&p, 1);
    assert_int_equal(p.result, OK);
    p.job.run = count_job;
    assert_int_equal(store_submit_read(store, &p.job), OK);
    await_runs(&p, 2);
    assert_int_equal(p.result, OK);
    p.job.run = insert_job; /* the reader cannot write */
    p.tenant = a_tenant("u", (struct id){0});
    assert_int_equal(store_submit_read(store, &p.job), OK);
    await_runs(&p, 3);
    assert_int_equal(p.result, E_DB);
    assert_false(store_is_failing(store));

    store_set_periodic(store, on_period, &p, NS_PER_MIN);
    store_wake(store);
    (void)pthread_mutex_lock(&p.lock);
    while (p.periodic_runs < 1) {
        (void)pthread_cond_wait(&p.done, &p.lock);
    }
    (void)pthread_mutex_unlock(&p.lock);
    store_set_periodic(store, on_period, &p, 1000);
    (void)pthread_mutex_lock(&p.lock);
    while (p.periodic_runs < 3) {
        (void)pthread_cond_wait(&p.done, &p.lock);
    }
    (void)pthread_mutex_unlock(&p.lock);
    store_set_periodic(store, NULL, NULL, 0);
    p.tenant = a_tenant("v", (struct id){0});
    assert_int_equal(store_submit_write(store, &p.job), OK);
    store_close(store); /* what was queued has run */
    assert_int_equal(p.runs, 4);
    assert_int_equal(p.result, OK);
    store_close(NULL);
    scratch_free(&s);
}

struct blocker {
    struct store_job job;
    pthread_mutex_t *gate;
    _Atomic bool has_begun;
};

static void block_job(struct store_job *job, struct store_db *db)
{
    struct blocker *b = CONTAINER_OF(job, struct blocker, job);
    (void)db;
    atomic_store(&b->has_begun, true);
    (void)pthread_mutex_lock(b->gate);
    (void)pthread_mutex_unlock(b->gate);
}

static void nothing_job(struct store_job *job, struct store_db *db)
{
    (void)job;
    (void)db;
}

static void a_full_queue_says_busy(void **state)
{
    (void)state;
    struct scratch s;
    scratch_new(&s, "t.db");
    struct store_conf conf = conf_of(&s);
    struct store *store = NULL;
    assert_int_equal(store_open(&conf, &store, NULL, 0), OK);
    pthread_mutex_t gate;
    (void)pthread_mutex_init(&gate, NULL);
    struct blocker b = {.job = {.run = block_job}, .gate = &gate};
    (void)pthread_mutex_lock(&gate);
    assert_int_equal(store_submit_write(store, &b.job), OK);
    while (!atomic_load(&b.has_begun)) {
        (void)sched_yield();
    }
    static struct store_job jobs[STORE_QUEUE_MAX + 1];
    for (size_t i = 0; i <= STORE_QUEUE_MAX; i++) {
        jobs[i].run = nothing_job;
        assert_int_equal(store_submit_write(store, &jobs[i]), i < STORE_QUEUE_MAX ? OK : E_BUSY);
    }
    (void)pthread_mutex_unlock(&gate);
    store_close(store);
    scratch_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenant_and_its_key_come_back_as_they_were_stored),
        cmocka_unit_test(a_tree_is_at_most_eight_deep_and_has_no_cycle),
        cmocka_unit_test(lists_go_on_after_the_cursor),
        cmocka_unit_test(changes_by_another_connection_are_seen),
        cmocka_unit_test(migrations_run_once_and_a_wrong_schema_is_refused),
        cmocka_unit_test(the_threads_run_jobs_and_the_periodic),
        cmocka_unit_test(a_full_queue_says_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
