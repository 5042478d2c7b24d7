#include "core/clock.h"
#include "support/unit.h"

struct stamp {
    int64_t unix_ns;
    const char *rfc3339, *http;
};
static const struct stamp stamps[] = {
    {0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
    {-1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 GMT"},
    {INT64_C(784111777) * NS_PER_S, "1994-11-06T08:49:37.000Z", "Sun, 06 Nov 1994 08:49:37 GMT"},
    {INT64_C(951782400) * NS_PER_S, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 GMT"},
    {INT64_C(1709251199) * NS_PER_S + 999999999, "2024-02-29T23:59:59.999Z",
     "Thu, 29 Feb 2024 23:59:59 GMT"},
    {INT64_C(1795447486) * NS_PER_S + 123456789, "2026-11-23T15:24:46.123Z",
     "Mon, 23 Nov 2026 15:24:46 GMT"},
    {INT64_C(4107542400) * NS_PER_S, "2100-03-01T00:00:00.000Z", "Mon, 01 Mar 2100 00:00:00 GMT"},
};

static void times_are_written_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(stamps); i++) {
        char text[CLOCK_HTTP_DATE_BYTES + 1];
        assert_int_equal(clock_rfc3339(stamps[i].unix_ns, text), CLOCK_RFC3339_BYTES);
        assert_string_equal(text, stamps[i].rfc3339);
        assert_int_equal(clock_http_date(stamps[i].unix_ns, text), CLOCK_HTTP_DATE_BYTES);
        assert_string_equal(text, stamps[i].http);
    }
}

/* Every day of eight centuries: the next day is one later, and the way back is the same. */
static void days_and_dates_are_inverse(void **state)
{
    (void)state;
    static const int32_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t start = clock_unix_ns_of_date((struct civil_date){1700, 1, 1}) / NS_PER_DAY;
    struct civil_date want = {1700, 1, 1};
    for (int64_t day = start; want.year < 2260; day++) { /* int64 nanoseconds end in 2262 */
        struct civil_date got = clock_civil(day * NS_PER_DAY + NS_PER_DAY / 2);
        if (got.year != want.year || got.month != want.month || got.day != want.day ||
            clock_unix_ns_of_date(got) != day * NS_PER_DAY) {
            print_error("%d-%d-%d\n", want.year, want.month, want.day);
            fail();
        }
        bool is_leap = (want.year % 4 == 0 && want.year % 100 != 0) || want.year % 400 == 0;
        int32_t length = lengths[want.month - 1] + (want.month == 2 && is_leap ? 1 : 0);
        if (++want.day > length) {
            want.day = 1;
            if (++want.month > 12) {
                want.month = 1;
                want.year++;
            }
        }
    }
}

static void days_begin_at_midnight(void **state)
{
    (void)state;
    assert_int_equal(clock_days(0), 0);
    assert_int_equal(clock_days(NS_PER_DAY - 1), 0);
    assert_int_equal(clock_days(NS_PER_DAY), 1);
    assert_int_equal(clock_days(-1), -1);
    assert_int_equal(clock_days(-NS_PER_DAY), -1);
    assert_int_equal(clock_days(-NS_PER_DAY - 1), -2);
}

static void the_clocks_go_forward(void **state)
{
    (void)state;
    int64_t last = clock_mono_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_mono_ns();
        assert_true(now >= last);
        last = now;
    }
    assert_true(clock_unix_ns() > clock_unix_ns_of_date((struct civil_date){2025, 1, 1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_as_the_table_says),
        cmocka_unit_test(days_and_dates_are_inverse),
        cmocka_unit_test(days_begin_at_midnight),
        cmocka_unit_test(the_clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
