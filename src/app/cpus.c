/* How many CPUs this process may use. */
#include "app/config.h"

#include <sched.h>

/* First line of a small file; false when it cannot be read. */
static bool read_line(const char *path, char *line, size_t cap, struct slice *out)
{
    FILE *f = fopen(path, "re");
    bool is_read = f && fgets(line, (int)cap, f);
    if (f) {
        (void)fclose(f);
    }
    *out = is_read ? slice_trim(slice_str(line)) : SLICE_NONE;
    return is_read;
}

/* Quota in whole CPUs, rounded up; SIZE_MAX: none. */
static size_t quota_cpus(struct slice quota, struct slice period)
{
    int64_t quota_us;
    int64_t period_us;
    if (!slice_to_i64(quota, &quota_us) || !slice_to_i64(period, &period_us) || quota_us <= 0 ||
        period_us <= 0) {
        return SIZE_MAX;
    }
    return (size_t)((quota_us + period_us - 1) / period_us);
}

/* cgroup v2 of this process, from its own group up to the root: every level may narrow. */
static size_t cgroup2_cpus(void)
{
    char line[4096];
    struct slice group;
    if (!read_line("/proc/self/cgroup", line, sizeof(line), &group) ||
        !slice_starts(group, SLICE("0::"))) {
        return SIZE_MAX;
    }
    group = slice_from(group, 3);
    size_t least = SIZE_MAX;
    for (;;) {
        char path[4352];
        char max[128];
        struct slice text;
        (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%.*s/cpu.max",
                       SLICE_ARG(slice_eq(group, SLICE("/")) ? SLICE_NONE : group));
        if (read_line(path, max, sizeof(max), &text)) {
            size_t space = slice_find(text, ' ');
            size_t cpus = quota_cpus(slice_head(text, space), slice_from(text, space + 1));
            least = cpus < least ? cpus : least;
        }
        if (group.len <= 1) {
            return least;
        }
        while (group.len > 1 && group.ptr[group.len - 1] != '/') {
            group.len--;
        }
        group.len -= group.len > 1; /* the slash itself */
    }
}

static size_t cgroup1_cpus(void)
{
    char quota_line[64];
    char period_line[64];
    struct slice quota;
    struct slice period;
    if (!read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota_line, sizeof(quota_line), &quota) ||
        !read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period_line, sizeof(period_line),
                   &period)) {
        return SIZE_MAX;
    }
    return quota_cpus(quota, period);
}

size_t config_cpus(void)
{
    cpu_set_t set;
    size_t cpus = 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0) {
        cpus = (size_t)CPU_COUNT(&set);
    }
    size_t quota = cgroup2_cpus();
    size_t old = cgroup1_cpus();
    cpus = quota < cpus ? quota : cpus;
    cpus = old < cpus ? old : cpus;
    return cpus > 256 ? 256 : cpus;
}
