/* Tests of io/dns.c and io/offload.c: literals, the system's names, cancelling, late answers. */
#include "io/dns.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <semaphore.h>

struct fixture {
    struct loop *loop;
    struct offload *offload;
    struct dns *dns;
};

struct question {
    struct dns_query *query;
    enum err e;
    struct dns_answer answer;
    int calls;
    struct question *victim; /* cancelled in the callback */
};

static void on_answer(void *ctx, enum err e, const struct dns_answer *answer)
{
    struct question *q = ctx;
    q->calls++;
    q->e = e;
    q->answer = *answer;
    if (q->victim) {
        dns_cancel(q->victim->query);
        q->victim->query = NULL;
    }
}

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    assert_int_equal(loop_new(&f.loop), OK);
    assert_int_equal(offload_new(1, &f.offload), OK);
    assert_int_equal(dns_new(f.loop, f.offload, 60 * NS_PER_S, &f.dns), OK);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    dns_free(f->dns);
    offload_free(f->offload);
    loop_free(f->loop);
    return 0;
}

static enum err ask(struct fixture *f, const char *host, struct question *q)
{
    return dns_lookup(f->dns, slice_str(host), 8080, on_answer, q, &q->query);
}

static void literals_are_answered_at_once(void **state)
{
    struct fixture *f = *state;
    struct question v4 = {0}, v6 = {0};
    assert_int_equal(ask(f, "127.0.0.1", &v4), OK);
    assert_int_equal(v4.calls, 1);
    assert_null(v4.query);
    assert_int_equal(v4.answer.count, 1);
    assert_int_equal(v4.answer.addresses[0].v4.sin_family, AF_INET);
    assert_int_equal(v4.answer.addresses[0].v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_int_equal(v4.answer.addresses[0].v4.sin_port, htons(8080));
    assert_int_equal(ask(f, "::1", &v6), OK);
    assert_int_equal(v6.calls, 1);
    assert_int_equal(v6.answer.addresses[0].v6.sin6_family, AF_INET6);
    assert_int_equal(v6.answer.addresses[0].v6.sin6_port, htons(8080));
    assert_memory_equal(&v6.answer.addresses[0].v6.sin6_addr, &in6addr_loopback, 16);
}

static void a_name_is_looked_up_once_for_all_who_wait_and_then_kept(void **state)
{
    struct fixture *f = *state;
    struct question first = {0}, second = {0}, third = {0};
    assert_int_equal(ask(f, "localhost", &first), OK);
    assert_int_equal(ask(f, "localhost", &second), OK);
    assert_non_null(first.query);
    assert_non_null(second.query);
    while (!first.calls) {
        loop_turn(f->loop, -1);
    }
    assert_int_equal(second.calls, 1); /* the same answer, in the same turn */
    assert_int_equal(first.e, OK);
    assert_true(first.answer.count >= 1);
    assert_int_equal(ask(f, "localhost", &third), OK);
    assert_int_equal(third.calls, 1);
    assert_null(third.query);
    assert_int_equal(third.answer.addresses[0].v4.sin_port, htons(8080)); /* same place in both */
}

static void not_a_host_name_is_refused(void **state)
{
    struct fixture *f = *state;
    struct question q = {0};
    char long_name[DNS_HOST_MAX_BYTES + 2];
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(ask(f, "", &q), E_DNS);
    assert_int_equal(ask(f, long_name, &q), E_DNS);
    assert_int_equal(dns_lookup(f->dns, slice_of("a\0b", 3), 1, on_answer, &q, &q.query), E_DNS);
    assert_int_equal(q.calls, 0);
}

static void a_name_that_is_none_fails_and_the_failure_is_kept(void **state)
{
    struct fixture *f = *state;
    struct question q = {0}, again = {0};
    assert_int_equal(ask(f, "white space is no name", &q), OK);
    while (!q.calls) {
        loop_turn(f->loop, -1);
    }
    assert_int_equal(q.e, E_DNS);
    assert_int_equal(q.answer.count, 0);
    assert_int_equal(ask(f, "white space is no name", &again), OK);
    assert_int_equal(again.calls, 1);
    assert_int_equal(again.e, E_DNS);
}

static void a_cancelled_query_is_not_answered(void **state)
{
    struct fixture *f = *state;
    struct question cancelled = {0}, canceller = {0}, victim = {0};
    assert_int_equal(ask(f, "localhost", &cancelled), OK);
    assert_int_equal(ask(f, "localhost", &canceller), OK);
    assert_int_equal(ask(f, "localhost", &victim), OK);
    dns_cancel(cancelled.query);
    dns_cancel(NULL);
    canceller.victim = &victim;
    while (!canceller.calls) {
        loop_turn(f->loop, -1);
    }
    assert_int_equal(cancelled.calls, 0);
    assert_int_equal(victim.calls, 0);
}

static void a_late_answer_finds_nothing(void **state)
{
    struct fixture *f = *state;
    struct question q = {0};
    assert_int_equal(ask(f, "localhost", &q), OK);
    dns_free(f->dns);
    f->dns = NULL;
    offload_free(f->offload); /* the answer is in the mailbox now */
    f->offload = NULL;
    loop_turn(f->loop, 0);
    assert_int_equal(q.calls, 0);
}

static void the_cache_is_bounded(void **state)
{
    struct fixture *f = *state;
    char host[32];
    for (int i = 0; i < DNS_CACHE_MAX_ENTRIES + 20; i++) {
        struct question q = {0};
        (void)snprintf(host, sizeof(host), "no name %d", i);
        assert_int_equal(ask(f, host, &q), OK);
        while (!q.calls) {
            loop_turn(f->loop, -1);
        }
    }
}

/* ---- offload ---- */

struct work_case {
    struct offload_job job;
    sem_t *gate; /* work waits here */
    int *worked;
    int *done;
};

static void work(struct offload_job *job)
{
    struct work_case *w = CONTAINER_OF(job, struct work_case, job);
    (void)sem_wait(w->gate);
    ++*w->worked;
}

static void done(struct offload_job *job)
{
    struct work_case *w = CONTAINER_OF(job, struct work_case, job);
    ++*w->done;
}

static void the_queue_is_bounded_and_every_job_is_told_of_its_end(void **state)
{
    struct fixture *f = *state;
    static struct work_case cases[OFFLOAD_QUEUE_MAX + 8];
    sem_t gate;
    int worked = 0, finished = 0;
    size_t accepted = 0;
    enum err e = OK;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    while (e == OK && accepted < ARRAY_LEN(cases)) {
        cases[accepted] = (struct work_case){.job = {.work = work, .done = done, .loop = f->loop},
                                             .gate = &gate,
                                             .worked = &worked,
                                             .done = &finished};
        e = offload_submit(f->offload, &cases[accepted].job);
        accepted += e == OK;
    }
    assert_int_equal(e, E_BUSY);
    assert_true(accepted >= OFFLOAD_QUEUE_MAX);
    (void)sem_post(&gate);
    while (finished == 0) {
        loop_turn(f->loop, -1);
    }
    assert_int_equal(finished, 1); /* the gate let one through */
    for (size_t i = 1; i < accepted; i++) {
        (void)sem_post(&gate);
    }
    offload_free(f->offload);
    f->offload = NULL;
    loop_turn(f->loop, 0);
    assert_int_equal(finished, accepted);
    assert_true(worked <= finished); /* the thread ends before the queue does, or not */
    (void)sem_destroy(&gate);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(literals_are_answered_at_once),
        CASE(a_name_is_looked_up_once_for_all_who_wait_and_then_kept),
        CASE(not_a_host_name_is_refused),
        CASE(a_name_that_is_none_fails_and_the_failure_is_kept),
        CASE(a_cancelled_query_is_not_answered),
        CASE(a_late_answer_finds_nothing),
        CASE(the_cache_is_bounded),
        CASE(the_queue_is_bounded_and_every_job_is_told_of_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
