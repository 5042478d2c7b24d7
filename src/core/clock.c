#include "core/clock.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    int rc = clock_gettime(id, &ts);
    assert(rc == 0);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_unix_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t quotient = a / b;
    return quotient - (a % b < 0 ? 1 : 0);
}

int64_t clock_days(int64_t unix_ns)
{
    return floor_div(unix_ns, NS_PER_DAY);
}

/* Proleptic Gregorian calendar by eras of 400 years that begin on 1 March. */
struct civil_date clock_civil(int64_t unix_ns)
{
    int64_t z = clock_days(unix_ns) + 719468;
    int64_t era = floor_div(z, 146097);
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil_date){
        .year = (int32_t)(year_of_era + era * 400 + (month <= 2 ? 1 : 0)),
        .month = (int32_t)month,
        .day = (int32_t)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
    };
}

int64_t clock_unix_ns_of_date(struct civil_date date)
{
    int64_t year = date.year - (date.month <= 2 ? 1 : 0);
    int64_t era = floor_div(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (era * 146097 + day_of_era - 719468) * NS_PER_DAY;
}

size_t clock_rfc3339(int64_t unix_ns, char *out)
{
    struct civil_date d = clock_civil(unix_ns);
    int64_t in_day = unix_ns - clock_days(unix_ns) * NS_PER_DAY;
    int64_t seconds = in_day / NS_PER_S;
    int len =
        snprintf(out, CLOCK_RFC3339_BYTES + 1, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                 d.year % 10000, d.month, d.day, (int)(seconds / 3600), (int)(seconds / 60 % 60),
                 (int)(seconds % 60), (int)(in_day % NS_PER_S / NS_PER_MS));
    assert(len == CLOCK_RFC3339_BYTES);
    return (size_t)len;
}

size_t clock_http_date(int64_t unix_ns, char *out)
{
    static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct civil_date d = clock_civil(unix_ns);
    int64_t seconds = (unix_ns - clock_days(unix_ns) * NS_PER_DAY) / NS_PER_S;
    int64_t weekday = clock_days(unix_ns) % 7;
    int len = snprintf(out, CLOCK_HTTP_DATE_BYTES + 1, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                       days[weekday < 0 ? weekday + 7 : weekday], d.day, months[d.month - 1],
                       d.year % 10000, (int)(seconds / 3600), (int)(seconds / 60 % 60),
                       (int)(seconds % 60));
    assert(len == CLOCK_HTTP_DATE_BYTES);
    return (size_t)len;
}
