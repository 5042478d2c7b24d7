/* core/clock.h -- time is int64 nanoseconds: monotonic "_ns", wall clock "_unix_ns".
 *
 * A loop reads the clock once a turn (io/loop.h); code that needs a reading of its own, such as the
 * limiter inside its lock, calls clock_mono_ns().
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include "core/slice.h"

#define NS_PER_US  INT64_C(1000)
#define NS_PER_MS  INT64_C(1000000)
#define NS_PER_S   INT64_C(1000000000)
#define NS_PER_MIN (60 * NS_PER_S)
#define NS_PER_DAY (86400 * NS_PER_S)

enum { CLOCK_RFC3339_BYTES = 24, CLOCK_HTTP_DATE_BYTES = 29 };

int64_t clock_mono_ns(void);
int64_t clock_unix_ns(void);

/* Calendar date in UTC of a wall-clock time. */
struct civil_date {
    int32_t year;
    int32_t month; /* 1..12 */
    int32_t day;   /* 1..31 */
};
struct civil_date clock_civil(int64_t unix_ns);
/* Days since 1970-01-01; also the inverse of clock_civil for midnight. */
int64_t clock_days(int64_t unix_ns);
int64_t clock_unix_ns_of_date(struct civil_date date);

/* "2026-11-23T15:24:46.123Z"; out holds CLOCK_RFC3339_BYTES + 1. Returns the length. */
size_t clock_rfc3339(int64_t unix_ns, char *out);
/* "Mon, 23 Nov 2026 15:24:46 GMT" (RFC 9110 section 5.6.7); out holds CLOCK_HTTP_DATE_BYTES + 1. */
size_t clock_http_date(int64_t unix_ns, char *out);

#endif
