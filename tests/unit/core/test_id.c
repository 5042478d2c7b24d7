#include "core/clock.h"
#include "core/id.h"
#include "support/unit.h"

static void texts_and_bytes_are_inverse(void **state)
{
    (void)state;
    static const char text[] = "01948f3e-7b2a-7c3d-9e4f-0123456789ab";
    struct id id;
    assert_true(id_parse(SLICE("01948f3e-7b2a-7c3d-9e4f-0123456789ab"), &id));
    assert_int_equal(id.bytes[0], 0x01);
    assert_int_equal(id.bytes[15], 0xab);
    char out[ID_TEXT_BYTES];
    id_format(id, out);
    assert_memory_equal(out, text, ID_TEXT_BYTES);
    for (int i = 0; i < 1000; i++) {
        struct id again;
        id = id_random();
        id_format(id, out);
        assert_true(id_parse(slice_of(out, ID_TEXT_BYTES), &again));
        assert_true(id_eq(id, again));
    }
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "01948f3e-7b2a-7c3d-9e4f-0123456789a",
        "01948f3e-7b2a-7c3d-9e4f-0123456789abc",
        "01948f3e07b2a-7c3d-9e4f-0123456789ab",
        "01948f3g-7b2a-7c3d-9e4f-0123456789ab",
        "01948f3e7b2a7c3d9e4f0123456789ab",
        "{1948f3e-7b2a-7c3d-9e4f-0123456789ab}",
        "01948f3e-7b2a-7c3d-9e4f-01234567 9ab",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct id id;
        assert_false(id_parse(slice_str(bad[i]), &id));
    }
}

static void ids_of_a_source_sort_by_time_and_order(void **state)
{
    (void)state;
    struct id_source source;
    id_source_init(&source);
    int64_t now = clock_unix_ns_of_date((struct civil_date){2026, 11, 23});
    struct id last = id_next(&source, now);
    for (int i = 0; i < 20000; i++) {
        now += i % 7 == 0 ? NS_PER_MS : i % 11 == 0 ? -5 * NS_PER_MS : 0; /* the clock may jump */
        struct id id = id_next(&source, now);
        assert_true(memcmp(last.bytes, id.bytes, ID_BYTES) < 0);
        assert_int_equal(id.bytes[6] >> 4, 7);
        assert_int_equal(id.bytes[8] >> 6, 2);
        last = id;
    }
}

static void the_time_stands_in_front(void **state)
{
    (void)state;
    struct id_source source;
    id_source_init(&source);
    int64_t ms = INT64_C(0x0199AABBCCDD);
    struct id id = id_next(&source, ms * NS_PER_MS);
    static const uint8_t want[] = {0x01, 0x99, 0xAA, 0xBB, 0xCC, 0xDD};
    assert_memory_equal(id.bytes, want, 6);
}

static void sources_and_random_ids_differ(void **state)
{
    (void)state;
    struct id_source a;
    struct id_source b;
    id_source_init(&a);
    id_source_init(&b);
    int64_t now = clock_unix_ns();
    assert_false(id_eq(id_next(&a, now), id_next(&b, now)));
    struct id random = id_random();
    assert_int_equal(random.bytes[6] >> 4, 4);
    assert_int_equal(random.bytes[8] >> 6, 2);
    assert_false(id_eq(random, id_random()));
    struct id zero = {{0}};
    assert_true(id_is_zero(zero));
    assert_false(id_is_zero(random));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_bytes_are_inverse),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(ids_of_a_source_sort_by_time_and_order),
        cmocka_unit_test(the_time_stands_in_front),
        cmocka_unit_test(sources_and_random_ids_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
