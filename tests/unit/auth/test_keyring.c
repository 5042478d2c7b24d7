#include "auth/auth.h"
#include "support/unit.h"

#include <pthread.h>
#include <stdatomic.h>

#define NOW_UNIX_NS (INT64_C(1800000000) * 1000000000)

static struct id id_of(uint64_t n)
{
    struct id id = {{0}};
    memcpy(id.bytes + 8, &n, sizeof(n));
    return id;
}

static struct slice text_key(char *room, uint64_t n)
{
    return slice_of(room, (size_t)snprintf(room, 40, "sk-foreign-%llu", (unsigned long long)n));
}

static struct store_policy no_policy(void)
{
    return (struct store_policy){.rate_per_min = -1,
                                 .tokens_per_min = -1,
                                 .concurrent_max = -1,
                                 .budget_nusd = {-1, -1, -1, -1}};
}

static struct store_tenant tenant(uint64_t n, uint64_t parent)
{
    return (struct store_tenant){.id = id_of(n),
                                 .parent = parent ? id_of(parent) : (struct id){{0}},
                                 .name = SLICE("acme"),
                                 .policy = no_policy(),
                                 .is_active = true};
}

static struct store_key key(uint64_t n, uint64_t of_tenant)
{
    char room[40];
    return (struct store_key){.id = id_of(n + 1000000),
                              .tenant = id_of(of_tenant),
                              .hash = auth_key_hash(text_key(room, n)),
                              .policy = no_policy(),
                              .is_active = true};
}

struct fixture {
    struct epoch *epoch;
    struct directory *d;
    struct arena arena;
};

static struct fixture start(const struct directory_hooks *hooks)
{
    struct fixture f = {.epoch = epoch_new()};
    assert_non_null(f.epoch);
    assert_int_equal(directory_new(f.epoch, hooks, &f.d), OK);
    arena_init(&f.arena, NULL, 1 << 20);
    return f;
}

static void stop(struct fixture *f)
{
    arena_deinit(&f->arena);
    directory_free(f->d);
    epoch_free(f->epoch);
}

static void put_tenant(struct fixture *f, struct store_tenant t)
{
    assert_int_equal(directory_put_tenant(f->d, &t), OK);
}

static void put_key(struct fixture *f, struct store_key k)
{
    assert_int_equal(directory_put_key(f->d, &k), OK);
}

static enum auth_verdict check_at(struct fixture *f, uint64_t n, int64_t unix_ns,
                                  struct auth_who *who)
{
    char room[40];
    return auth_check(f->d, text_key(room, n), unix_ns, &f->arena, who);
}

static enum auth_verdict check(struct fixture *f, uint64_t n)
{
    struct auth_who who;
    return check_at(f, n, NOW_UNIX_NS, &who);
}

static void missing_and_invalid_are_told_apart(void **state)
{
    (void)state;
    struct fixture f = start(NULL);
    struct auth_who who;
    char made[AUTH_KEY_BYTES + 1];
    static char huge[AUTH_KEY_MAX_BYTES + 1];
    auth_key_make(made);
    memset(huge, 'k', sizeof(huge));
    put_tenant(&f, tenant(1, 0));
    put_key(&f, key(1, 1));
    struct store_key own = key(2, 1);
    own.hash = auth_key_hash(slice_str(made));
    put_key(&f, own);
    struct store_key large = key(3, 1); /* known, but longer than any key may be */
    large.hash = auth_key_hash(slice_of(huge, sizeof(huge)));
    put_key(&f, large);

    assert_int_equal(auth_check(f.d, SLICE_NONE, 0, &f.arena, &who), AUTH_MISSING);
    assert_int_equal(auth_check(f.d, SLICE(""), 0, &f.arena, &who), AUTH_MISSING);
    assert_int_equal(auth_check(f.d, SLICE("nobody"), 0, &f.arena, &who), AUTH_INVALID);
    assert_int_equal(auth_check(f.d, slice_of(huge, sizeof(huge)), 0, &f.arena, &who),
                     AUTH_INVALID);
    assert_int_equal(auth_check(f.d, slice_str(made), 0, &f.arena, &who), AUTH_OK);
    assert_int_equal(auth_check(f.d, slice_of(made, AUTH_KEY_BYTES - 1), 0, &f.arena, &who),
                     AUTH_INVALID);
    assert_int_equal(check(&f, 1), AUTH_OK);
    assert_int_equal(check(&f, 9), AUTH_INVALID);
    assert_int_equal(directory_key_count(f.d), 3);
    stop(&f);
}

static void a_row_that_is_inactive_or_expired_is_refused(void **state)
{
    (void)state;
    struct fixture f = start(NULL);
    struct auth_who who;
    put_tenant(&f, tenant(1, 0));
    put_tenant(&f, tenant(2, 1));
    put_tenant(&f, tenant(3, 2));
    put_key(&f, key(1, 3));
    assert_int_equal(check(&f, 1), AUTH_OK);
    for (uint64_t n = 1; n <= 3; n++) { /* the tenant or any ancestor */
        struct store_tenant t = tenant(n, n - 1);
        t.is_active = false;
        put_tenant(&f, t);
        assert_int_equal(check(&f, 1), AUTH_INVALID);
        put_tenant(&f, tenant(n, n - 1));
        assert_int_equal(check(&f, 1), AUTH_OK);
    }
    struct store_key k = key(1, 3);
    k.is_active = false;
    put_key(&f, k);
    assert_int_equal(check(&f, 1), AUTH_INVALID);
    k.is_active = true;
    k.expires_unix_ns = NOW_UNIX_NS;
    put_key(&f, k);
    assert_int_equal(check_at(&f, 1, NOW_UNIX_NS - 1, &who), AUTH_OK);
    assert_int_equal(check_at(&f, 1, NOW_UNIX_NS, &who), AUTH_INVALID);
    assert_int_equal(directory_key_count(f.d), 1);
    stop(&f);
}

static void an_unknown_tenant_or_parent_is_refused(void **state)
{
    (void)state;
    struct fixture f = start(NULL);
    put_key(&f, key(1, 7));
    assert_int_equal(check(&f, 1), AUTH_INVALID);
    put_tenant(&f, tenant(7, 8));
    assert_int_equal(check(&f, 1), AUTH_INVALID);
    put_tenant(&f, tenant(8, 0));
    assert_int_equal(check(&f, 1), AUTH_OK);
    put_tenant(&f, tenant(8, 7)); /* a circle ends in a refusal, not in a loop */
    assert_int_equal(check(&f, 1), AUTH_INVALID);
    for (uint64_t n = 1; n <= 9; n++) { /* eight levels are the most */
        put_tenant(&f, tenant(100 + n, n == 1 ? 0 : 99 + n));
        put_key(&f, key(100 + n, 100 + n));
        assert_int_equal(check(&f, 100 + n), n <= 8 ? AUTH_OK : AUTH_INVALID);
    }
    stop(&f);
}

static void the_nearest_policy_counts_and_is_copied(void **state)
{
    (void)state;
    struct fixture f = start(NULL);
    struct auth_who who;
    struct store_tenant root = tenant(1, 0), team = tenant(2, 1);
    struct store_key k = key(1, 2);
    root.policy.allowed_models = SLICE("[\"root\"]");
    root.policy.cache_mode = SLICE("on");
    root.policy.rate_per_min = 100;
    team.policy.rate_per_min = 7;
    put_tenant(&f, root);
    put_tenant(&f, team);
    put_key(&f, k);
    assert_int_equal(check_at(&f, 1, NOW_UNIX_NS, &who), AUTH_OK);
    assert_true(id_eq(who.tenant, id_of(2)));
    assert_true(id_eq(who.key, k.id));
    assert_true(slice_eq(who.allowed_models, SLICE("[\"root\"]")));
    assert_true(slice_eq(who.cache_mode, SLICE("on")));
    assert_int_equal(who.rate_per_min, 7);
    struct auth_who before = who;
    team.policy.allowed_models = SLICE("[\"team\"]");
    team.name = SLICE("renamed");
    put_tenant(&f, team);
    assert_int_equal(check_at(&f, 1, NOW_UNIX_NS, &who), AUTH_OK);
    assert_true(slice_eq(who.allowed_models, SLICE("[\"team\"]")));
    assert_true(slice_eq(who.tenant_name, SLICE("renamed")));
    assert_true(slice_eq(before.tenant_name, SLICE("acme"))); /* its own copy */
    k.policy.allowed_models = SLICE("[\"key\"]");
    k.policy.cache_mode = SLICE("off");
    put_key(&f, k);
    assert_int_equal(check_at(&f, 1, NOW_UNIX_NS, &who), AUTH_OK);
    assert_true(slice_eq(who.allowed_models, SLICE("[\"key\"]")));
    assert_true(slice_eq(who.cache_mode, SLICE("off")));

    struct arena none; /* no room to copy the list: refused, not allowed everything */
    arena_init(&none, NULL, 0);
    char room[40];
    assert_int_equal(auth_check(f.d, text_key(room, 1), NOW_UNIX_NS, &none, &who), AUTH_INVALID);
    arena_deinit(&none);
    stop(&f);
}

struct hook_log {
    int tenants, keys;
    bool is_failing;
};

static void on_tenant(void *ctx, const struct store_tenant *t)
{
    struct hook_log *log = ctx;
    assert_true(slice_eq(t->name, SLICE("acme")));
    log->tenants++;
}

static void *on_key(void *ctx, const struct store_key *k)
{
    struct hook_log *log = ctx;
    (void)k;
    log->keys++;
    return log->is_failing ? NULL : log;
}

static void hooks_build_the_quota_leaf(void **state)
{
    (void)state;
    struct hook_log log = {0};
    struct fixture f = start(&(struct directory_hooks){&log, on_tenant, on_key});
    struct auth_who who;
    put_tenant(&f, tenant(1, 0));
    put_key(&f, key(1, 1));
    assert_int_equal(check_at(&f, 1, NOW_UNIX_NS, &who), AUTH_OK);
    assert_ptr_equal(who.quota, &log);
    log.is_failing = true;
    struct store_key k = key(2, 1);
    assert_int_equal(directory_put_key(f.d, &k), E_NOMEM);
    assert_int_equal(check(&f, 2), AUTH_INVALID);
    assert_int_equal(check(&f, 1), AUTH_OK);
    assert_int_equal(log.tenants, 1);
    assert_int_equal(log.keys, 2);
    stop(&f);
}

static void twenty_thousand_keys_are_found(void **state)
{
    (void)state;
    enum { MANY = 20000, TENANTS = 100 };
    struct fixture f = start(NULL);
    for (uint64_t n = 1; n <= TENANTS; n++) {
        put_tenant(&f, tenant(n, 0));
    }
    for (uint64_t n = 0; n < MANY; n++) {
        put_key(&f, key(n, 1 + n % TENANTS));
    }
    assert_int_equal(directory_key_count(f.d), MANY);
    for (uint64_t n = 0; n < MANY; n++) {
        struct auth_who who;
        assert_int_equal(check_at(&f, n, NOW_UNIX_NS, &who), AUTH_OK);
        assert_true(id_eq(who.key, id_of(n + 1000000)));
        assert_true(id_eq(who.tenant, id_of(1 + n % TENANTS)));
        arena_reset(&f.arena);
    }
    assert_int_equal(check(&f, MANY), AUTH_INVALID);
    stop(&f);
}

/* Readers look keys up in turns while one thread adds, changes and revokes. */
struct reader {
    struct fixture *f;
    size_t slot;
    _Atomic bool *is_over;
    _Atomic uint64_t *revoked; /* keys up to here were revoked before the turn began */
    int64_t wrong, turns;
};

static void *read_turns(void *arg)
{
    struct reader *r = arg;
    struct arena a;
    arena_init(&a, NULL, 1 << 20);
    for (uint64_t n = 0; !atomic_load(r->is_over); n++) {
        uint64_t revoked = atomic_load(r->revoked);
        epoch_online(r->f->epoch, r->slot);
        for (uint64_t k = 0; k < 20; k++) {
            char room[40];
            struct auth_who who;
            uint64_t which = (n * 20 + k) % 3000;
            enum auth_verdict v = auth_check(r->f->d, text_key(room, which), NOW_UNIX_NS, &a, &who);
            r->wrong += which == 2999 && v != AUTH_OK;   /* never touched */
            r->wrong += which < revoked && v == AUTH_OK; /* gone for good */
            r->wrong += v == AUTH_OK && !slice_eq(who.tenant_name, SLICE("acme"));
            arena_reset(&a);
        }
        epoch_offline(r->f->epoch, r->slot);
        r->turns++;
    }
    arena_deinit(&a);
    return NULL;
}

static void readers_are_right_while_keys_change(void **state)
{
    (void)state;
    enum { READERS = 3 };
    struct fixture f = start(NULL);
    _Atomic bool is_over = false;
    _Atomic uint64_t revoked = 0;
    struct reader readers[READERS];
    pthread_t threads[READERS];
    put_tenant(&f, tenant(1, 0));
    put_tenant(&f, tenant(2, 1));
    put_key(&f, key(2999, 2));
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.f = &f, .is_over = &is_over, .revoked = &revoked};
        assert_int_equal(epoch_join(f.epoch, &readers[i].slot), OK);
        assert_int_equal(pthread_create(&threads[i], NULL, read_turns, &readers[i]), 0);
    }
    for (uint64_t n = 0; n < 2999; n++) { /* the table grows several times under the readers */
        put_key(&f, key(n, 1 + n % 2));
        put_tenant(&f, tenant(2, 1));
    }
    for (uint64_t n = 0; n < 2000; n++) {
        struct store_key k = key(n, 1 + n % 2);
        k.is_active = false;
        put_key(&f, k);
        atomic_store(&revoked, n + 1);
    }
    atomic_store(&is_over, true);
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].wrong, 0);
    }
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_and_invalid_are_told_apart),
        cmocka_unit_test(a_row_that_is_inactive_or_expired_is_refused),
        cmocka_unit_test(an_unknown_tenant_or_parent_is_refused),
        cmocka_unit_test(the_nearest_policy_counts_and_is_copied),
        cmocka_unit_test(hooks_build_the_quota_leaf),
        cmocka_unit_test(twenty_thousand_keys_are_found),
        cmocka_unit_test(readers_are_right_while_keys_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
