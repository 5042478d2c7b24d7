#include "core/clock.h"
#include "core/log.h"
#include "support/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static struct log *log_to(int fd, enum log_level level)
{
    struct log *log = NULL;
    assert_int_equal(log_new(fd, level, &log), OK);
    return log;
}

/* To an unlinked file. */
static struct log *log_to_file(enum log_level level, int *out_fd)
{
    char name[] = "/tmp/gw-log-XXXXXX";
    *out_fd = mkstemp(name);
    assert_true(*out_fd >= 0);
    assert_int_equal(unlink(name), 0);
    return log_to(*out_fd, level);
}

static struct log *log_to_pipe(int *ends)
{
    assert_int_equal(pipe(ends), 0);
    return log_to(ends[1], LOG_INFO);
}

/* Ends the log; what it wrote to its file, freed by the caller. */
static char *log_text(struct log *log, int fd)
{
    struct stat st;
    log_free(log);
    assert_int_equal(fstat(fd, &st), 0);
    char *text = malloc((size_t)st.st_size + 1);
    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t)st.st_size, 0), st.st_size);
    text[st.st_size] = 0;
    (void)close(fd);
    return text;
}

static void a_line_has_all_members_escaped(void **state)
{
    (void)state;
    int fd;
    struct log *log = log_to_file(LOG_INFO, &fd);
    struct log_ring *ring = log_ring_new(log);
    assert_non_null(ring);
    assert_false(log_begin(ring, LOG_DEBUG, "too low"));
    LOG_STR(ring, "ignored", SLICE("x"));
    log_end(ring);
    assert_true(log_begin(ring, LOG_INFO, "request"));
    LOG_STR(ring, "s", SLICE("plain text of some length \"q\" \\ \n\x01 \xC3\xA9 \xFF!"));
    LOG_STR(ring, "empty", SLICE_NONE);
    LOG_I64(ring, "min", INT64_MIN);
    LOG_I64(ring, "zero", 0);
    LOG_BOOL(ring, "yes", true);
    LOG_BOOL(ring, "no", false);
    LOG_USD(ring, "cost", 780000);
    log_end(ring);
    log_event(log, LOG_ERROR, "%s %d", "event", 7);
    char *text = log_text(log, fd);
    const char *want =
        "\",\"level\":\"info\",\"msg\":\"request\",\"s\":\"plain text of some length \\\"q\\\" "
        "\\\\ \\u000a\\u0001 \xC3\xA9 \xEF\xBF\xBD!\",\"empty\":\"\",\"min\":-9223372036854775808,"
        "\"zero\":0,\"yes\":true,\"no\":false,\"cost\":0.00078}\n";
    assert_non_null(strstr(text, want));
    assert_non_null(strstr(text, "\"level\":\"error\",\"msg\":\"event 7\"}\n"));
    assert_null(strstr(text, "too low"));
    free(text);
}

static void the_stamp_is_now(void **state)
{
    (void)state;
    int fd;
    struct log *log = log_to_file(LOG_DEBUG, &fd);
    struct log_ring *ring = log_ring_new(log);
    char before[CLOCK_RFC3339_BYTES + 1];
    char after[CLOCK_RFC3339_BYTES + 1];
    (void)clock_rfc3339(clock_unix_ns(), before);
    assert_true(log_begin(ring, LOG_DEBUG, "m"));
    log_end(ring);
    (void)clock_rfc3339(clock_unix_ns(), after);
    char *text = log_text(log, fd);
    assert_memory_equal(text, "{\"ts\":\"", 7);
    assert_true(memcmp(text + 7, before, CLOCK_RFC3339_BYTES) >= 0);
    assert_true(memcmp(text + 7, after, CLOCK_RFC3339_BYTES) <= 0);
    free(text);
}

/* Every length around the bound, with plain, escaped and multi-byte text: one whole line each. */
static void long_values_are_cut_but_the_line_stays_whole(void **state)
{
    (void)state;
    static const char *const units[] = {"a", "\"", "\x02", "\xE2\x82\xAC", "\xFF"};
    int fd;
    struct log *log = log_to_file(LOG_INFO, &fd);
    struct log_ring *ring = log_ring_new(log);
    char value[LOG_LINE_MAX_BYTES * 2];
    size_t lines = 0;
    for (size_t u = 0; u < ARRAY_LEN(units); u++) {
        size_t n = strlen(units[u]);
        for (size_t len = LOG_LINE_MAX_BYTES - 120; len < LOG_LINE_MAX_BYTES + 8; len += 3) {
            size_t used = 0;
            for (; used + n <= len; used += n) {
                memcpy(value + used, units[u], n);
            }
            while (!log_begin(ring, LOG_INFO, "long")) {
                (void)sched_yield(); /* the ring is full until the thread has written */
            }
            LOG_STR(ring, "v", slice_of(value, used));
            LOG_I64(ring, "after", 1);
            log_end(ring);
            lines++;
        }
    }
    char *text = log_text(log, fd);
    size_t seen = 0;
    for (char *line = text; *line; seen++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        assert_true(end - line < LOG_LINE_MAX_BYTES);
        assert_memory_equal(line, "{\"ts\":\"", 7);
        assert_true(memcmp(end - 2, "\"}", 2) == 0 || memcmp(end - 10, "\"after\":1}", 10) == 0);
        line = end + 1;
    }
    assert_int_equal(seen, lines);
    free(text);
}

static void a_full_ring_drops_and_counts(void **state)
{
    (void)state;
    int ends[2];
    struct log *log = log_to_pipe(ends);
    struct log_ring *ring = log_ring_new(log);
    char filler[1000];
    memset(filler, 'x', sizeof(filler));
    int64_t sent = 0;
    while (log_dropped(log) < 10) { /* nobody reads the pipe, so this ends */
        if (log_begin(ring, LOG_INFO, "fill")) {
            LOG_STR(ring, "v", slice_of(filler, sizeof(filler)));
            log_end(ring);
            sent++;
        }
    }
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    static char buffer[LOG_RING_BYTES];
    int64_t lines = 0;
    while (lines < sent) {
        ssize_t n = read(ends[0], buffer, sizeof(buffer));
        for (ssize_t i = 0; i < n; i++) {
            lines += buffer[i] == '\n';
        }
    }
    log_free(log);
    assert_int_equal(lines, sent);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

enum { WRITERS = 4, LINES_EACH = 20000 };

struct writer {
    struct log *log;
    int number;
    int64_t written;
};

static void *write_lines(void *arg)
{
    struct writer *w = arg;
    struct log_ring *ring = log_ring_new(w->log);
    for (int i = 0; i < LINES_EACH; i++) {
        if (log_begin(ring, LOG_INFO, "n")) {
            LOG_I64(ring, "writer", w->number);
            LOG_I64(ring, "seq", i);
            log_end(ring);
            w->written++;
        }
    }
    return NULL;
}

static void every_line_of_every_thread_arrives_in_order(void **state)
{
    (void)state;
    int fd;
    struct log *log = log_to_file(LOG_INFO, &fd);
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.log = log, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &writers[i]), 0);
    }
    int64_t written = 0;
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        written += writers[i].written;
    }
    assert_int_equal(log_dropped(log), WRITERS * LINES_EACH - written);
    char *text = log_text(log, fd);
    long last[WRITERS] = {-1, -1, -1, -1};
    int64_t seen = 0;
    for (char *line = text; *line; seen++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        char *at = strstr(line, "\"writer\":");
        assert_non_null(at);
        long number = strtol(at + 9, NULL, 10);
        long seq = strtol(strstr(at, "\"seq\":") + 6, NULL, 10);
        assert_in_range(number, 0, WRITERS - 1);
        assert_true(seq > last[number]);
        last[number] = seq;
        line = end + 1;
    }
    assert_int_equal(seen, written);
    free(text);
}

static void a_line_after_idleness_arrives_by_itself(void **state)
{
    (void)state;
    int ends[2];
    struct log *log = log_to_pipe(ends);
    struct log_ring *ring = log_ring_new(log);
    char buffer[4096];
    for (int i = 0; i < 3; i++) {
        assert_true(log_begin(ring, LOG_INFO, "wake"));
        log_end(ring);
        ssize_t n = read(ends[0], buffer, sizeof(buffer)); /* blocks until the thread wrote */
        assert_true(n > 0 && buffer[n - 1] == '\n');
    }
    log_free(log);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_all_members_escaped),
        cmocka_unit_test(the_stamp_is_now),
        cmocka_unit_test(long_values_are_cut_but_the_line_stays_whole),
        cmocka_unit_test(a_full_ring_drops_and_counts),
        cmocka_unit_test(every_line_of_every_thread_arrives_in_order),
        cmocka_unit_test(a_line_after_idleness_arrives_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
