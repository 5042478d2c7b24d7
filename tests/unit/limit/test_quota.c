#include "limit/quota.h"
#include "support/unit.h"

static int64_t at(int32_t year, int32_t month, int32_t day)
{
    return clock_unix_ns_of_date((struct civil_date){year, month, day});
}

static void periods_are_utc_days_iso_weeks_and_months(void **state)
{
    (void)state;
    static const struct {
        int32_t year, month, day;
        int32_t want[LIMIT_PERIODS];
    } rows[] = {
        {1970, 1, 1, {0, 0, 0, 0}}, /* a Thursday */
        {1970, 1, 4, {3, 0, 0, 0}}, /* Sunday, same week */
        {1970, 1, 5, {4, 1, 0, 0}}, /* Monday */
        {1969, 12, 31, {-1, 0, -1, 0}},       {1969, 12, 28, {-4, -1, -1, 0}},
        {2000, 2, 29, {11016, 1574, 361, 0}}, {2024, 12, 30, {20087, 2870, 659, 0}}, /* Monday */
        {2025, 1, 1, {20089, 2870, 660, 0}},  {2026, 11, 23, {20780, 2969, 682, 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int32_t first[LIMIT_PERIODS], last[LIMIT_PERIODS];
        int64_t t = at(rows[i].year, rows[i].month, rows[i].day);
        quota_period_numbers(t, first);
        quota_period_numbers(t + NS_PER_DAY - 1, last);
        assert_memory_equal(first, rows[i].want, sizeof(first));
        assert_memory_equal(last, rows[i].want, sizeof(last));
    }
}

/* Every day of 60 years: a period's end is the first instant with another number. */
static void ends_are_where_numbers_change(void **state)
{
    (void)state;
    for (int64_t day = -365; day < 365 * 60; day++) {
        int64_t t = day * NS_PER_DAY + NS_PER_DAY / 2;
        int32_t now[LIMIT_PERIODS], before[LIMIT_PERIODS], after[LIMIT_PERIODS];
        quota_period_numbers(t, now);
        for (int k = 0; k < LIMIT_PERIODS - 1; k++) {
            int64_t end = quota_period_end_unix_ns(k, now[k]);
            quota_period_numbers(end - 1, before);
            quota_period_numbers(end, after);
            assert_true(end > t);
            assert_int_equal(before[k], now[k]);
            assert_int_equal(after[k], now[k] + 1);
        }
        assert_true(quota_period_end_unix_ns(LIMIT_PERIODS - 1, 0) == INT64_MAX);
    }
}

static void a_trees_time_never_goes_back(void **state)
{
    (void)state;
    struct quota_lock *lock = quota_lock_new();
    assert_int_equal(quota_lock_slot(lock, 10 * NS_PER_S), 1064);
    assert_int_equal(quota_lock_slot(lock, 9 * NS_PER_S), 1064);
    quota_lock_periods(lock, at(2026, 11, 30));
    int32_t november[LIMIT_PERIODS];
    memcpy(november, lock->period, sizeof(november));
    quota_lock_periods(lock, at(2026, 12, 1));
    assert_int_equal(lock->period[2], november[2] + 1);
    quota_lock_periods(lock, at(2026, 11, 30) + 1);
    assert_int_equal(lock->period[0], november[0] + 1);
    assert_int_equal(lock->period[2], november[2] + 1);
    quota_lock_free(lock);
}

static void cells_keep_two_periods(void **state)
{
    (void)state;
    struct quota_node n = {.parent = NULL};
    for (int i = 0; i < QUOTA_PERIODS_KEPT; i++) {
        n.cells[0][i].number = INT32_MIN;
    }
    quota_cell(&n, 0, 7)->spent_nusd = 70;
    quota_cell(&n, 0, 8)->spent_nusd = 80;
    assert_int_equal(quota_cell(&n, 0, 7)->spent_nusd, 70);
    assert_int_equal(quota_cell(&n, 0, 9)->spent_nusd, 0);
    assert_null(quota_cell(&n, 0, 7));
    assert_int_equal(quota_cell(&n, 0, 8)->spent_nusd, 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(periods_are_utc_days_iso_weeks_and_months),
        cmocka_unit_test(ends_are_where_numbers_change),
        cmocka_unit_test(a_trees_time_never_goes_back),
        cmocka_unit_test(cells_keep_two_periods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
