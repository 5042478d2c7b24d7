#include "core/check.h"
#include "core/slice.h"
#include "support/unit.h"

struct number_row {
    const char *text;
    bool is_number;
    int64_t value;
};
static const struct number_row number_rows[] = {
    {"0", true, 0},
    {"-0", true, 0},
    {"42", true, 42},
    {"-42", true, -42},
    {"007", true, 7},
    {"9223372036854775807", true, INT64_MAX},
    {"-9223372036854775808", true, INT64_MIN},
    {"9223372036854775808", false, 0},
    {"-9223372036854775809", false, 0},
    {"99999999999999999999999", false, 0},
    {"", false, 0},
    {"-", false, 0},
    {"+1", false, 0},
    {" 1", false, 0},
    {"1 ", false, 0},
    {"1.0", false, 0},
    {"1e3", false, 0},
    {"0x1", false, 0},
    {"--1", false, 0},
};

static void numbers_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(number_rows); i++) {
        int64_t value = 77;
        bool is_number = slice_to_i64(slice_str(number_rows[i].text), &value);
        assert_int_equal(is_number, number_rows[i].is_number);
        assert_true(value == (is_number ? number_rows[i].value : 77));
    }
}

static void the_empty_slice_is_like_any_other(void **state)
{
    (void)state;
    assert_true(slice_eq(SLICE_NONE, SLICE("")));
    assert_true(slice_eq_nocase(SLICE_NONE, SLICE("")));
    assert_true(slice_starts(SLICE_NONE, SLICE_NONE));
    assert_true(slice_ends(SLICE("a"), SLICE_NONE));
    assert_false(slice_starts(SLICE_NONE, SLICE("a")));
    assert_int_equal(slice_find(SLICE_NONE, 'a'), 0);
    assert_int_equal(slice_search(SLICE_NONE, SLICE("a")), 0);
    assert_int_equal(slice_trim(SLICE_NONE).len, 0);
    assert_int_equal(slice_from(SLICE_NONE, 5).len, 0);
    assert_int_equal(slice_head(SLICE_NONE, 5).len, 0);
    assert_int_equal(slice_str(NULL).len, 0);
}

static void parts_are_found(void **state)
{
    (void)state;
    struct slice s = SLICE("key: value: x");
    assert_int_equal(slice_find(s, ':'), 3);
    assert_int_equal(slice_find(s, '!'), s.len);
    assert_int_equal(slice_search(s, SLICE("value")), 5);
    assert_int_equal(slice_search(s, SLICE("none")), s.len);
    assert_int_equal(slice_search(s, SLICE_NONE), s.len);
    assert_true(slice_eq(slice_head(s, 3), SLICE("key")));
    assert_true(slice_eq(slice_from(s, 5), SLICE("value: x")));
    assert_true(slice_eq(slice_from(s, 100), SLICE_NONE));
    assert_true(slice_eq(slice_trim(SLICE(" \t a b\r\n")), SLICE("a b")));
    assert_true(slice_eq_nocase(SLICE("X-Api-KEY"), SLICE("x-api-key")));
    assert_false(slice_eq_nocase(SLICE("[key"), SLICE("{key"))); /* ASCII letters only */
    assert_true(slice_starts(s, SLICE("key")));
    assert_true(slice_ends(s, SLICE(": x")));
    assert_false(slice_ends(SLICE("x"), SLICE("xx")));
}

static void sums_and_products_are_checked(void **state)
{
    (void)state;
    size_t size;
    int64_t number;
    assert_true(size_add(SIZE_MAX - 1, 1, &size));
    assert_false(size_add(SIZE_MAX, 1, &size));
    assert_true(size_mul(SIZE_MAX / 2, 2, &size));
    assert_false(size_mul(SIZE_MAX / 2, 3, &size));
    assert_true(i64_add(INT64_MAX, INT64_MIN, &number));
    assert_int_equal(number, -1);
    assert_false(i64_add(INT64_MAX, 1, &number));
    assert_false(i64_mul(INT64_MIN, -1, &number));
    assert_true(i64_add_sat(INT64_MAX, 5) == INT64_MAX);
    assert_int_equal(i64_add_sat(2, 5), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
        cmocka_unit_test(the_empty_slice_is_like_any_other),
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(sums_and_products_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
