#include "limit/window.h"
#include "support/unit.h"

#include <stdlib.h>

enum { FIRST = 5000, STEPS = 200000 };

/* The plain way: remember every addition, add up what is young enough. */
struct model {
    uint32_t slot[STEPS];
    int64_t amount[STEPS];
    size_t count, from;
};

static int64_t model_sum(struct model *m, uint32_t head)
{
    int64_t sum = 0;
    while (m->from < m->count && head - m->slot[m->from] >= LIMIT_SLOTS) {
        m->from++;
    }
    for (size_t i = m->from; i < m->count; i++) {
        sum += m->amount[i];
    }
    return sum;
}

static void check_against_model(bool is_wide, int64_t scale)
{
    static struct model m;
    struct window *w = window_new(is_wide, FIRST);
    assert_non_null(w);
    m = (struct model){0};
    uint32_t head = FIRST;
    uint32_t seed = 12345;
    for (size_t i = 0; i < STEPS / 20; i++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t r = seed >> 8;
        head += r % 100 == 0 ? 1 + r % 700 : r % 3 == 0 ? 1 : 0;
        window_advance(w, head);
        m.slot[m.count] = head;
        m.amount[m.count] = (int64_t)(r % 5) * scale;
        window_add(w, head, m.amount[m.count]);
        m.count++;
        if (r % 7 == 0 && head > FIRST) { /* half of it comes back later */
            size_t back = m.count - 1 - r % (m.count < 50 ? m.count : 50);
            int64_t part = m.amount[back] / 2;
            if (m.slot[back] > FIRST) {
                window_sub(w, m.slot[back], part);
                m.amount[back] -= part;
            }
        }
        assert_int_equal(w->sum, model_sum(&m, head));
    }
    free(w);
}

static void sum_equals_brute_force(void **state)
{
    (void)state;
    check_against_model(false, 3);
    check_against_model(true, INT64_C(3000000000));
}

static void slot_never_goes_back(void **state)
{
    (void)state;
    struct window *w = window_new(false, FIRST);
    window_advance(w, FIRST + 10);
    window_add(w, FIRST + 10, 1);
    window_advance(w, FIRST + 3);
    assert_int_equal(w->head, FIRST + 10);
    assert_int_equal(w->sum, 1);
    free(w);
}

static void slots_240_back_are_counted_and_241_are_not(void **state)
{
    (void)state;
    struct window *w = window_new(false, FIRST);
    window_add(w, FIRST, 7);
    window_advance(w, FIRST + 240);
    assert_int_equal(w->sum, 7);
    window_advance(w, FIRST + 241);
    assert_int_equal(w->sum, 0);
    window_add(w, FIRST, 5); /* no longer kept */
    window_add(w, FIRST + 242, 5);
    assert_int_equal(w->sum, 0);
    free(w);
}

static void what_was_taken_before_the_window_was_born_is_not_given_back(void **state)
{
    (void)state;
    struct window *w = window_new(false, FIRST);
    window_add(w, FIRST, 1);
    window_sub(w, FIRST, 1);
    window_sub(w, FIRST - 1, 1);
    assert_int_equal(w->sum, 1);
    window_advance(w, FIRST + 1);
    window_add(w, FIRST + 1, 1);
    window_sub(w, FIRST + 1, 1);
    assert_int_equal(w->sum, 1);
    free(w);
}

static void wait_is_when_the_oldest_leave(void **state)
{
    (void)state;
    int64_t t0 = (FIRST - WINDOW_SLOT_ORIGIN) * LIMIT_SLOT_NS;
    struct window *w = window_new(false, FIRST);
    assert_int_equal(window_slot(t0), FIRST);
    assert_int_equal(window_slot(t0 - 1), FIRST - 1);
    window_add(w, FIRST, 2);
    window_advance(w, FIRST + 4);
    window_add(w, FIRST + 4, 3);
    int64_t now = t0 + NS_PER_S;
    assert_int_equal(window_wait_ns(w, 6, 1, now), 0);
    assert_int_equal(window_wait_ns(w, 5, 1, now), 241 * LIMIT_SLOT_NS - NS_PER_S);
    assert_int_equal(window_wait_ns(w, 5, 2, now), 241 * LIMIT_SLOT_NS - NS_PER_S);
    assert_int_equal(window_wait_ns(w, 5, 3, now), 241 * LIMIT_SLOT_NS);
    assert_int_equal(window_wait_ns(w, 5, 5, now), 241 * LIMIT_SLOT_NS);
    assert_int_equal(window_wait_ns(w, 5, 6, now), -1);
    assert_int_equal(window_wait_ns(w, 0, 1, now), -1);
    assert_int_equal(window_reset_ns(w, now), 241 * LIMIT_SLOT_NS);
    free(w);
}

static void slots_saturate(void **state)
{
    (void)state;
    struct window *w = window_new(false, FIRST);
    window_add(w, FIRST, INT64_MAX);
    window_add(w, FIRST, INT64_MAX);
    assert_int_equal(w->sum, INT32_MAX);
    window_advance(w, FIRST + 241);
    assert_int_equal(w->sum, 0);
    free(w);
    w = window_new(true, FIRST);
    for (uint32_t s = FIRST; s < FIRST + LIMIT_SLOTS; s++) {
        window_advance(w, s);
        window_add(w, s, INT64_MAX);
    }
    assert_true(w->sum > 0);
    window_advance(w, FIRST + 1000);
    assert_int_equal(w->sum, 0);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_equals_brute_force),
        cmocka_unit_test(slot_never_goes_back),
        cmocka_unit_test(slots_240_back_are_counted_and_241_are_not),
        cmocka_unit_test(what_was_taken_before_the_window_was_born_is_not_given_back),
        cmocka_unit_test(wait_is_when_the_oldest_leave),
        cmocka_unit_test(slots_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
