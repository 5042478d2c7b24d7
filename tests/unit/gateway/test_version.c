/* Configuration versions live as long as an exchange uses them, and no longer. ASan and
 * LeakSanitizer watch. */
#include "gateway/version.h"
#include "support/unit.h"

static struct gateway_conf *new_conf(void)
{
    return calloc(1, sizeof(struct gateway_conf));
}

static void an_exchange_keeps_its_version(void **state)
{
    (void)state;
    struct conf_publisher p;
    struct worker_versions v = {0};
    struct gateway_conf *first = new_conf();
    struct gateway_conf *second = new_conf();

    conf_publisher_init(&p, 1);
    assert_int_equal(conf_publish(&p, first), OK);
    versions_turn(&v, &p);
    versions_acquire(&v, first);
    assert_int_equal(conf_publish(&p, second), OK);
    versions_turn(&v, &p);
    assert_ptr_equal(versions_current(&v), second);
    assert_int_equal(atomic_load(&p.alive), 2);
    assert_int_equal(first->version, 1); /* still there */
    versions_release(&v, &p, first);
    assert_int_equal(atomic_load(&p.alive), 1);
    versions_deinit(&v, &p);
    assert_int_equal(atomic_load(&p.alive), 0);
}

static void an_unused_version_goes_at_once(void **state)
{
    (void)state;
    struct conf_publisher p;
    struct worker_versions v = {0};
    conf_publisher_init(&p, 1);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(conf_publish(&p, new_conf()), OK);
        versions_turn(&v, &p);
        assert_int_equal(atomic_load(&p.alive), 1);
    }
    versions_deinit(&v, &p);
}

static void the_publisher_waits_for_every_worker(void **state)
{
    (void)state;
    struct conf_publisher p;
    struct worker_versions one = {0};
    struct worker_versions two = {0};
    struct gateway_conf *late = new_conf();
    conf_publisher_init(&p, 2);
    assert_int_equal(conf_publish(&p, new_conf()), OK);
    versions_turn(&one, &p);
    assert_int_equal(conf_publish(&p, late), E_BUSY); /* the other has not seen the first */
    versions_turn(&two, &p);
    assert_int_equal(conf_publish(&p, late), OK);
    versions_turn(&one, &p);
    assert_int_equal(atomic_load(&p.alive), 2);
    versions_turn(&two, &p);
    assert_int_equal(atomic_load(&p.alive), 1);
    versions_deinit(&one, &p);
    versions_deinit(&two, &p);
    assert_int_equal(atomic_load(&p.alive), 0);
}

/* A start that fails has a version and no workers, or workers that never turned. */
static void a_version_that_not_all_took_up_goes_at_the_end(void **state)
{
    (void)state;
    for (size_t seen = 0; seen <= 2; seen++) {
        struct conf_publisher p;
        struct worker_versions workers[2] = {0};
        conf_publisher_init(&p, 2);
        assert_int_equal(conf_publish(&p, new_conf()), OK);
        for (size_t i = 0; i < seen; i++) {
            versions_turn(&workers[i], &p);
        }
        for (size_t i = 0; i < 2; i++) {
            versions_deinit(&workers[i], &p);
        }
        assert_int_equal(atomic_load(&p.alive), seen < 2);
        conf_publisher_deinit(&p);
        assert_int_equal(atomic_load(&p.alive), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exchange_keeps_its_version),
        cmocka_unit_test(an_unused_version_goes_at_once),
        cmocka_unit_test(the_publisher_waits_for_every_worker),
        cmocka_unit_test(a_version_that_not_all_took_up_goes_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
