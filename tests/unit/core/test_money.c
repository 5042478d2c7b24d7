#include "core/money.h"
#include "support/unit.h"

struct parse_row {
    const char *text;
    enum err result;
    int64_t nusd;
};
static const struct parse_row parse_rows[] = {
    {"0", OK, 0},
    {"12", OK, INT64_C(12000000000)},
    {"0.5", OK, 500000000},
    {"0.000000001", OK, 1},
    {"0.0000000010", OK, 1},
    {"0.00078", OK, 780000},
    {"1e-3", OK, 1000000},
    {"1E+2", OK, INT64_C(100000000000)},
    {"2.5e-7", OK, 250},
    {"007", OK, INT64_C(7000000000)},
    {"9223372036.854775807", OK, INT64_MAX},
    {"9223372036.854775808", E_RANGE, 0},
    {"1e30", E_RANGE, 0},
    {"1e31", E_RANGE, 0},
    {"1e99999999999999999999", E_SYNTAX, 0},
    {"0.0000000001", E_RANGE, 0},
    {"1e-10", E_RANGE, 0},
    {"-1", E_RANGE, 0},
    {"-0", E_RANGE, 0},
    {"99999999999999999999999999999999999999", E_RANGE, 0},
    {"", E_SYNTAX, 0},
    {".5", E_SYNTAX, 0},
    {"5.", E_SYNTAX, 0},
    {"1e", E_SYNTAX, 0},
    {"1 ", E_SYNTAX, 0},
    {" 1", E_SYNTAX, 0},
    {"1,5", E_SYNTAX, 0},
    {"+1", E_SYNTAX, 0},
    {"0x10", E_SYNTAX, 0},
    {"NaN", E_SYNTAX, 0},
    {"inf", E_SYNTAX, 0},
    {"1.5.2", E_SYNTAX, 0},
};

static void amounts_are_read_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(parse_rows); i++) {
        int64_t nusd = -7;
        enum err e = money_parse(slice_str(parse_rows[i].text), &nusd);
        if (e != parse_rows[i].result || nusd != (e == OK ? parse_rows[i].nusd : -7)) {
            print_error("\"%s\": %s %lld\n", parse_rows[i].text, err_name(e), (long long)nusd);
            fail();
        }
    }
}

struct format_row {
    int64_t nusd;
    const char *text;
};
static const struct format_row format_rows[] = {
    {0, "0"},
    {1, "0.000000001"},
    {-1, "-0.000000001"},
    {780000, "0.00078"},
    {500000000, "0.5"},
    {INT64_C(12000000000), "12"},
    {INT64_C(-3500000000), "-3.5"},
    {INT64_C(1000000001), "1.000000001"},
    {INT64_C(100000000000), "100"},
    {INT64_MAX, "9223372036.854775807"},
    {INT64_MIN, "-9223372036.854775808"},
};

static void amounts_are_written_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(format_rows); i++) {
        char text[MONEY_TEXT_MAX_BYTES];
        size_t len = money_format(format_rows[i].nusd, text);
        assert_string_equal(text, format_rows[i].text);
        assert_int_equal(len, strlen(text));
    }
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 100000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        int64_t nusd = (int64_t)(x >> (1 + i % 63));
        int64_t again;
        char text[MONEY_TEXT_MAX_BYTES];
        size_t len = money_format(nusd, text);
        assert_int_equal(money_parse(slice_of(text, len), &again), OK);
        assert_true(again == nusd);
    }
}

static void costs_are_rounded_once(void **state)
{
    (void)state;
    assert_int_equal(money_token_cost(0, 1000), 0);
    assert_int_equal(money_token_cost(1000000, 150000000), 150000000);
    assert_int_equal(money_token_cost(1, 499999), 0);
    assert_int_equal(money_token_cost(1, 500000), 1); /* half up */
    assert_int_equal(money_token_cost(3, 500000), 2);
    assert_int_equal(money_token_cost_ceil(0, 500000), 0);
    assert_int_equal(money_token_cost_ceil(1, 1), 1);
    assert_int_equal(money_token_cost_ceil(1000000, 7), 7);
    assert_int_equal(money_token_cost_ceil(1000001, 7), 8);
}

static void costs_that_do_not_fit_stop_at_the_end(void **state)
{
    (void)state;
    assert_true(money_token_cost(INT64_MAX, INT64_MAX) == INT64_MAX);
    assert_true(money_token_cost_ceil(INT64_MAX, INT64_MAX) == INT64_MAX);
    assert_true(money_token_cost(INT64_MAX, 1000000) == INT64_MAX);
    assert_true(money_token_cost(INT64_MAX, 999999) < INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amounts_are_read_as_the_table_says),
        cmocka_unit_test(amounts_are_written_as_the_table_says),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(costs_are_rounded_once),
        cmocka_unit_test(costs_that_do_not_fit_stop_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
