#include "core/clock.h"
#include "store/store.h"

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

int64_t budget_period_number(enum budget_period period, int64_t unix_ns)
{
    switch (period) {
    case BUDGET_DAY: return clock_days(unix_ns);
    case BUDGET_WEEK: return floor_div(clock_days(unix_ns) + 3, 7); /* 1970-01-01 was a Thursday */
    case BUDGET_MONTH: {
        struct civil_date d = clock_civil(unix_ns);
        return (d.year - 1970) * INT64_C(12) + d.month - 1;
    }
    case BUDGET_TOTAL: return 0;
    }
    return 0;
}
