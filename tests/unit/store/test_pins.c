/* Which provider keeps an answer: remembered over restarts, by any thread, in a file that does not
 * grow. */
#include "scratch.h"

#include "core/clock.h"
#include "store/pins.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static const int64_t T0 = INT64_C(1770000000123456000);
static const struct id alice = {{1}}, bob = {{2}};

static struct pins *open_pins(const struct scratch *s, size_t entries, bool is_mmap)
{
    struct pins_conf conf = {.path = slice_str(s->path), .entries = entries, .is_mmap = is_mmap};
    struct pins *p = NULL;
    char why[256] = "";
    enum err e = pins_open(&conf, &p, why, sizeof(why));
    if (e != OK) {
        fail_msg("%s: %s", err_name(e), why);
    }
    return p;
}

static bool is_at(const struct pins *p, struct id tenant, const char *answer, const char *provider)
{
    uint64_t found = 0;
    return pins_find(p, tenant, slice_str(answer), &found) &&
           found == pins_provider(slice_str(provider));
}

static void an_answer_is_found_by_its_tenant_alone(void **state)
{
    (void)state;
    struct scratch s;
    scratch_new(&s, "pins");
    struct pins *p = open_pins(&s, PINS_ENTRIES_MIN, true);
    uint64_t ignored;
    assert_false(pins_find(p, alice, SLICE("resp_1"), &ignored));
    pins_put(p, alice, SLICE("resp_1"), SLICE("openai"), T0);
    pins_put(p, alice, SLICE("resp_2"), SLICE("azure"), T0);
    assert_true(is_at(p, alice, "resp_1", "openai"));
    assert_true(is_at(p, alice, "resp_2", "azure"));
    assert_false(pins_find(p, bob, SLICE("resp_1"), &ignored));
    assert_false(pins_find(p, alice, SLICE("resp_"), &ignored));
    assert_false(pins_find(p, alice, SLICE_NONE, &ignored));
    pins_put(p, alice, SLICE("resp_1"), SLICE("azure"), T0 + NS_PER_S);
    assert_true(is_at(p, alice, "resp_1", "azure"));
    pins_close(p);
    pins_close(NULL);
    scratch_free(&s);
}

static void a_restart_forgets_nothing_mapped_or_not(void **state)
{
    (void)state;
    struct scratch s;
    scratch_new(&s, "pins");
    for (int i = 0; i < 4; i++) { /* each way to open reads what the other wrote */
        char answer[16];
        struct pins *p = open_pins(&s, PINS_ENTRIES_MIN, i % 2 == 0);
        for (int k = 0; k < i; k++) {
            (void)snprintf(answer, sizeof(answer), "resp_%d", k);
            assert_true(is_at(p, alice, answer, "openai"));
        }
        (void)snprintf(answer, sizeof(answer), "resp_%d", i);
        pins_put(p, alice, slice_str(answer), SLICE("openai"), T0);
        pins_close(p);
    }
    scratch_free(&s);
}

static void the_newest_stay_and_the_file_does_not_grow(void **state)
{
    (void)state;
    enum { MANY = 20 * PINS_ENTRIES_MIN, NEWEST = PINS_ENTRIES_MIN / 8 };
    struct scratch s;
    struct stat st;
    char answer[32];
    int found = 0, old = 0;
    scratch_new(&s, "pins");
    struct pins *p = open_pins(&s, PINS_ENTRIES_MIN, true);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(answer, sizeof(answer), "resp_%d", i);
        pins_put(p, alice, slice_str(answer), SLICE("openai"), T0 + i * NS_PER_S);
    }
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(answer, sizeof(answer), "resp_%d", i);
        bool is_here = is_at(p, alice, answer, "openai");
        found += is_here && i >= MANY - NEWEST;
        old += is_here && i < MANY / 2;
    }
    assert_int_equal(found, NEWEST);
    assert_int_equal(old, 0);
    assert_int_equal(stat(s.path, &st), 0);
    assert_int_equal(st.st_size, 4096 + PINS_ENTRIES_MIN * 32);
    pins_close(p);
    scratch_free(&s);
}

static void another_size_or_a_foreign_file_begins_anew(void **state)
{
    (void)state;
    struct scratch s;
    uint64_t ignored;
    scratch_new(&s, "pins");
    struct pins *p = open_pins(&s, PINS_ENTRIES_MIN, true);
    pins_put(p, alice, SLICE("resp_1"), SLICE("openai"), T0);
    pins_close(p);
    p = open_pins(&s, 2 * (size_t)PINS_ENTRIES_MIN, true);
    assert_false(pins_find(p, alice, SLICE("resp_1"), &ignored));
    pins_close(p);

    FILE *f = fopen(s.path, "r+");
    assert_non_null(f);
    for (int i = 0; i < 4096 + 2 * PINS_ENTRIES_MIN * 32; i++) {
        assert_int_equal(fputc(i % 251, f), i % 251);
    }
    assert_int_equal(fclose(f), 0);
    p = open_pins(&s, 2 * (size_t)PINS_ENTRIES_MIN, true);
    assert_false(pins_find(p, alice, SLICE("resp_1"), &ignored));
    pins_put(p, alice, SLICE("resp_1"), SLICE("openai"), T0);
    assert_true(is_at(p, alice, "resp_1", "openai"));
    pins_close(p);
    scratch_free(&s);
}

static void bytes_that_were_torn_are_no_entry(void **state)
{
    (void)state;
    struct scratch s;
    char entry[32];
    scratch_new(&s, "pins");
    struct pins *p = open_pins(&s, PINS_ENTRIES_MIN, true);
    pins_put(p, alice, SLICE("resp_1"), SLICE("openai"), T0);
    pins_close(p);
    int fd = open(s.path, O_RDWR);
    off_t at = 4096;
    while (pread(fd, entry, sizeof(entry), at) == sizeof(entry) && !entry[0] && !entry[31]) {
        at += (off_t)sizeof(entry);
    }
    assert_true(at < 4096 + PINS_ENTRIES_MIN * 32);
    entry[16] = (char)(entry[16] ^ 1); /* the provider */
    assert_int_equal(pwrite(fd, entry, sizeof(entry), at), sizeof(entry));
    p = open_pins(&s, PINS_ENTRIES_MIN, true);
    uint64_t ignored;
    assert_false(pins_find(p, alice, SLICE("resp_1"), &ignored));
    pins_close(p);
    assert_int_equal(close(fd), 0);
    scratch_free(&s);
}

static void a_file_that_cannot_be_made_says_why(void **state)
{
    (void)state;
    struct pins_conf conf = {.path = SLICE("/no/such/dir/pins"), .entries = PINS_ENTRIES_MIN};
    struct pins *p = NULL;
    char why[256] = "";
    assert_int_equal(pins_open(&conf, &p, why, sizeof(why)), E_IO);
    assert_string_equal(why, "pins: /no/such/dir/pins: No such file or directory");
    assert_null(p);
}

enum { WRITERS = 3, ANSWERS = 300 };
struct writer {
    struct pins *pins;
    int number;
    _Atomic int *is_bad;
};

static void *write_and_read(void *arg)
{
    static const char *const names[WRITERS] = {"openai", "azure", "vllm"};
    const struct writer *w = arg;
    char answer[32];
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < ANSWERS; i++) {
            (void)snprintf(answer, sizeof(answer), "resp_%d_%d", w->number, i);
            pins_put(w->pins, alice, slice_str(answer), slice_str(names[w->number]), T0);
            uint64_t found;
            int other = (w->number + 1) % WRITERS;
            (void)snprintf(answer, sizeof(answer), "resp_%d_%d", other, i);
            if (pins_find(w->pins, alice, slice_str(answer), &found) &&
                found != pins_provider(slice_str(names[other]))) {
                atomic_store(w->is_bad, 1);
            }
        }
    }
    return NULL;
}

static void threads_never_see_one_anothers_halves(void **state)
{
    (void)state;
    struct scratch s;
    pthread_t threads[WRITERS];
    struct writer writers[WRITERS];
    _Atomic int is_bad = 0;
    scratch_new(&s, "pins");
    struct pins *p = open_pins(&s, PINS_ENTRIES_MIN, true);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.pins = p, .number = i, .is_bad = &is_bad};
        assert_int_equal(pthread_create(&threads[i], NULL, write_and_read, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(is_bad, 0);
    pins_close(p);
    scratch_free(&s);
}

static struct pins *watched;

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    if (!pins_on_sigbus(watched, info->si_addr)) {
        _exit(3);
    }
}

/* In a process of its own: the handler stays. */
static void a_page_that_the_disk_loses_becomes_memory(void **state)
{
    (void)state;
    struct scratch s;
    int status;
    scratch_new(&s, "pins");
    pid_t child = fork();
    if (child == 0) {
        struct sigaction bus = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
        (void)sigaction(SIGBUS, &bus, NULL);
        watched = open_pins(&s, PINS_ENTRIES_MIN, true);
        bool is_good = !pins_on_sigbus(watched, &status) && !pins_on_sigbus(NULL, &status) &&
                       truncate(s.path, 0) == 0;
        pins_put(watched, alice, SLICE("resp_1"), SLICE("openai"), T0);
        _exit(is_good && is_at(watched, alice, "resp_1", "openai") ? 0 : 4);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    scratch_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_found_by_its_tenant_alone),
        cmocka_unit_test(a_restart_forgets_nothing_mapped_or_not),
        cmocka_unit_test(the_newest_stay_and_the_file_does_not_grow),
        cmocka_unit_test(another_size_or_a_foreign_file_begins_anew),
        cmocka_unit_test(bytes_that_were_torn_are_no_entry),
        cmocka_unit_test(a_file_that_cannot_be_made_says_why),
        cmocka_unit_test(threads_never_see_one_anothers_halves),
        cmocka_unit_test(a_page_that_the_disk_loses_becomes_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
