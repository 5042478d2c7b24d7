#include "core/epoch.h"
#include "support/unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

static void count_free(void *p)
{
    ++*(int *)p;
}

static void an_object_waits_for_turns_that_began_before(void **state)
{
    (void)state;
    struct epoch *e = epoch_new();
    assert_non_null(e);
    size_t a;
    size_t b;
    int freed = 0;
    assert_int_equal(epoch_join(e, &a), OK);
    assert_int_equal(epoch_join(e, &b), OK);
    assert_int_not_equal(a, b);

    epoch_retire(e, &freed, count_free); /* nobody is online */
    assert_int_equal(freed, 1);

    epoch_online(e, a);
    epoch_retire(e, &freed, count_free);
    assert_int_equal(freed, 1);
    epoch_online(e, b); /* began later: does not hold it */
    assert_int_equal(epoch_collect(e), 1);
    epoch_offline(e, a);
    assert_int_equal(epoch_collect(e), 0);
    assert_int_equal(freed, 2);

    epoch_retire(e, &freed, count_free); /* held by b */
    assert_int_equal(freed, 2);
    epoch_online(e, b); /* a new turn without an offline between */
    assert_int_equal(epoch_collect(e), 0);
    assert_int_equal(freed, 3);
    epoch_offline(e, b);
    epoch_free(e);
    epoch_free(NULL);
}

static void the_end_frees_what_waits(void **state)
{
    (void)state;
    struct epoch *e = epoch_new();
    size_t a;
    int freed = 0;
    assert_int_equal(epoch_join(e, &a), OK);
    epoch_online(e, a);
    for (int i = 0; i < 10; i++) {
        epoch_retire(e, &freed, count_free);
    }
    assert_int_equal(freed, 0);
    epoch_offline(e, a);
    epoch_free(e);
    assert_int_equal(freed, 10);
}

static void readers_are_bounded(void **state)
{
    (void)state;
    struct epoch *e = epoch_new();
    size_t reader;
    for (int i = 0; i < EPOCH_READERS_MAX; i++) {
        assert_int_equal(epoch_join(e, &reader), OK);
    }
    assert_int_equal(epoch_join(e, &reader), E_LIMIT);
    epoch_free(e);
}

/* Readers follow a pointer that a writer keeps replacing; a freed object is marked first, so a
 * reader that could still see it would notice (and ASan or TSan too). */
enum { READERS = 3, REPLACEMENTS = 20000, ALIVE = 0x600D };

struct shared {
    struct epoch *e;
    _Atomic(int *) current;
    _Atomic bool is_over;
    _Atomic int64_t turns;
};

static void poison(void *p)
{
    *(int *)p = 0;
    free(p);
}

static int *object_new(void)
{
    int *p = malloc(sizeof(*p));
    *p = ALIVE;
    return p;
}

static void *read_turns(void *arg)
{
    struct shared *s = arg;
    size_t reader;
    if (epoch_join(s->e, &reader) != OK) {
        return arg;
    }
    bool is_good = true;
    while (!atomic_load(&s->is_over)) {
        epoch_online(s->e, reader);
        for (int i = 0; i < 10; i++) {
            is_good &= *atomic_load(&s->current) == ALIVE;
        }
        epoch_offline(s->e, reader);
        atomic_fetch_add(&s->turns, 1);
    }
    return is_good ? NULL : arg;
}

static void nothing_is_freed_under_a_reader(void **state)
{
    (void)state;
    struct shared s = {.e = epoch_new()};
    atomic_store(&s.current, object_new());
    pthread_t threads[READERS];
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_turns, &s), 0);
    }
    while (atomic_load(&s.turns) < READERS) {
        (void)sched_yield();
    }
    for (int i = 0; i < REPLACEMENTS; i++) {
        int *old = atomic_exchange(&s.current, object_new());
        epoch_retire(s.e, old, poison);
    }
    atomic_store(&s.is_over, true);
    for (int i = 0; i < READERS; i++) {
        void *bad;
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
    epoch_retire(s.e, atomic_load(&s.current), poison);
    assert_int_equal(epoch_collect(s.e), 0);
    epoch_free(s.e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_waits_for_turns_that_began_before),
        cmocka_unit_test(the_end_frees_what_waits),
        cmocka_unit_test(readers_are_bounded),
        cmocka_unit_test(nothing_is_freed_under_a_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
