/* Tests of io/loop.c: order of a turn, timers, mailbox, removal in a callback. */
#include "io/loop.h"
#include "support/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop *loop_new_or_fail(void)
{
    struct loop *loop = NULL;
    assert_int_equal(loop_new(&loop), OK);
    return loop;
}

/* ---- timers ---- */

enum { TIMERS = 600 };

struct timers {
    struct loop *loop;
    size_t fired;
    bool is_early;
};

struct timer_case {
    struct loop_timer timer;
    struct timers *all;
    int64_t deadline_ns;
};

static void note_fired(struct loop_timer *timer)
{
    struct timer_case *c = CONTAINER_OF(timer, struct timer_case, timer);
    struct timers *all = c->all;
    all->is_early |= clock_mono_ns() < c->deadline_ns;
    /* Within one turn any order is fine; the wheel keeps it to the tick unless the turn was long.
     */
    all->is_early |= c->deadline_ns > loop_now_ns(all->loop);
    all->fired++;
}

static void timers_fire_once_and_never_early(void **state)
{
    (void)state;
    static struct timer_case cases[TIMERS];
    struct timers all = {.loop = loop_new_or_fail()};
    int64_t now_ns = loop_now_ns(all.loop);
    for (size_t i = 0; i < TIMERS; i++) { /* 0 .. 600 ms: crosses the lowest level twice */
        cases[i].all = &all;
        cases[i].deadline_ns = now_ns + (int64_t)((i * 7919) % TIMERS) * NS_PER_MS;
        loop_timer_set(all.loop, &cases[i].timer, cases[i].deadline_ns, note_fired);
    }
    while (all.fired < TIMERS) {
        loop_turn(all.loop, -1);
    }
    assert_false(all.is_early);
    for (size_t i = 0; i < TIMERS; i++) {
        assert_int_equal(cases[i].timer.deadline_ns, 0);
    }
    loop_turn(all.loop, 0);
    assert_int_equal(all.fired, TIMERS);
    loop_free(all.loop);
}

static void a_stopped_or_moved_timer_does_not_fire_at_its_old_time(void **state)
{
    (void)state;
    struct timers all = {.loop = loop_new_or_fail()};
    int64_t now_ns = loop_now_ns(all.loop);
    struct timer_case stopped = {.all = &all}, moved = {.all = &all}, far = {.all = &all};
    loop_timer_set(all.loop, &stopped.timer, now_ns + 8 * NS_PER_MS, note_fired);
    loop_timer_set(all.loop, &moved.timer, now_ns + 8 * NS_PER_MS, note_fired);
    loop_timer_set(all.loop, &far.timer, INT64_MAX, note_fired);
    moved.deadline_ns = now_ns + 20 * NS_PER_MS;
    loop_timer_set(all.loop, &moved.timer, moved.deadline_ns, note_fired);
    loop_timer_stop(all.loop, &stopped.timer);
    loop_timer_stop(all.loop, &stopped.timer);
    while (all.fired == 0) {
        loop_turn(all.loop, -1);
    }
    assert_int_equal(all.fired, 1);
    assert_false(all.is_early);
    assert_int_not_equal(far.timer.deadline_ns, 0);
    loop_timer_stop(all.loop, &far.timer);
    loop_free(all.loop);
}

static void set_again_in_the_past(struct loop_timer *timer)
{
    struct timer_case *c = CONTAINER_OF(timer, struct timer_case, timer);
    c->all->fired++;
    loop_timer_set(c->all->loop, timer, 1, set_again_in_the_past);
}

static void a_timer_that_sets_itself_to_the_past_fires_once_a_turn(void **state)
{
    (void)state;
    struct timers all = {.loop = loop_new_or_fail()};
    struct timer_case c = {.all = &all};
    loop_timer_set(all.loop, &c.timer, 1, set_again_in_the_past);
    for (size_t turn = 1; turn <= 3; turn++) {
        loop_turn(all.loop, -1); /* does not block: the timer is due */
        assert_int_equal(all.fired, turn);
    }
    loop_timer_stop(all.loop, &c.timer);
    loop_free(all.loop);
}

static void stop_partner(struct loop_timer *timer)
{
    struct timer_case *c = CONTAINER_OF(timer, struct timer_case, timer);
    c->all->fired++;
    loop_timer_stop(c->all->loop, &(c + 1)->timer);
}

static void a_timer_stopped_by_one_due_with_it_does_not_fire(void **state)
{
    (void)state;
    struct timers all = {.loop = loop_new_or_fail()};
    struct timer_case pair[2] = {{.all = &all}, {.all = &all}};
    loop_timer_set(all.loop, &pair[0].timer, 1, stop_partner);
    loop_timer_set(all.loop, &pair[1].timer, 1, note_fired);
    loop_turn(all.loop, 0);
    loop_turn(all.loop, 0);
    assert_int_equal(all.fired, 1);
    loop_free(all.loop);
}

/* ---- mailbox ---- */

enum { POSTERS = 2, POSTS = 20000 };

struct post {
    struct loop_task task;
    struct poster *from;
    int number;
};

struct poster {
    struct loop *loop;
    pthread_t thread;
    int next; /* the number expected next */
    bool is_out_of_order;
    int *left;
    struct post posts[POSTS];
};

static void take_post(struct loop_task *task)
{
    struct post *p = CONTAINER_OF(task, struct post, task);
    p->from->is_out_of_order |= p->number != p->from->next++;
    if (--*p->from->left == 0) {
        loop_stop(p->from->loop);
    }
}

static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (int i = 0; i < POSTS; i++) {
        p->posts[i] = (struct post){.task.run = take_post, .from = p, .number = i};
        loop_post(p->loop, &p->posts[i].task);
    }
    return NULL;
}

static void posts_of_other_threads_arrive_once_and_in_order(void **state)
{
    (void)state;
    struct poster *posters = calloc(POSTERS, sizeof(*posters));
    struct loop *loop = loop_new_or_fail();
    int left = POSTERS * POSTS;
    assert_non_null(posters);
    for (int i = 0; i < POSTERS; i++) {
        posters[i].loop = loop;
        posters[i].left = &left;
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    loop_run(loop);
    assert_int_equal(left, 0);
    for (int i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
        assert_false(posters[i].is_out_of_order);
    }
    loop_free(loop);
    free(posters);
}

/* ---- watches ---- */

struct socket_case {
    struct loop *loop;
    struct loop_watch watch;
    int peer_fd;
    unsigned events; /* of all calls */
    int calls;
    struct socket_case *victim; /* removed in the callback */
    bool asks_again;
};

static void on_socket(struct loop_watch *watch, unsigned events)
{
    struct socket_case *c = CONTAINER_OF(watch, struct socket_case, watch);
    c->events |= events;
    c->calls++;
    if (c->victim) {
        loop_watch_remove(c->loop, &c->victim->watch);
    }
    if (c->asks_again) {
        loop_again(c->loop, watch);
        loop_again(c->loop, watch);
    }
}

static void socket_open(struct socket_case *c, struct loop *loop)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *c = (struct socket_case){.loop = loop, .peer_fd = fds[1]};
    assert_int_equal(loop_watch_add(loop, &c->watch, fds[0], on_socket), OK);
}

static void socket_close(struct socket_case *c)
{
    loop_watch_remove(c->loop, &c->watch);
    (void)close(c->watch.fd);
    (void)close(c->peer_fd);
}

static void events_are_edges(void **state)
{
    (void)state;
    struct loop *loop = loop_new_or_fail();
    struct socket_case c;
    socket_open(&c, loop);
    loop_turn(loop, 1000);
    assert_int_equal(c.events, LOOP_WRITE);
    c.events = 0;
    loop_turn(loop, 0);
    assert_int_equal(c.events, 0); /* still writable, no new edge */
    assert_int_equal(send(c.peer_fd, "x", 1, 0), 1);
    loop_turn(loop, 1000);
    assert_true(c.events & LOOP_READ);
    assert_false(c.events & LOOP_HANGUP);
    assert_int_equal(shutdown(c.peer_fd, SHUT_WR), 0);
    loop_turn(loop, 1000);
    assert_true(c.events & LOOP_HANGUP);
    socket_close(&c);
    loop_free(loop);
}

static void a_watch_removed_in_a_turn_gets_no_event_of_it(void **state)
{
    (void)state;
    struct loop *loop = loop_new_or_fail();
    struct socket_case a, b;
    socket_open(&a, loop);
    socket_open(&b, loop);
    a.victim = &b;
    b.victim = &a; /* whoever comes first */
    loop_turn(loop, 1000);
    assert_int_equal(a.calls + b.calls, 1);
    socket_close(&a);
    socket_close(&b);
    loop_free(loop);
}

static void again_calls_once_a_turn_and_stops_on_removal(void **state)
{
    (void)state;
    struct loop *loop = loop_new_or_fail();
    struct socket_case c;
    socket_open(&c, loop);
    c.asks_again = true;
    loop_turn(loop, 1000);
    assert_int_equal(c.calls, 2); /* the edge, and again in the same turn */
    loop_turn(loop, -1);          /* does not block */
    assert_int_equal(c.calls, 3);
    assert_true(c.events & LOOP_AGAIN);
    loop_watch_remove(loop, &c.watch);
    loop_turn(loop, 0);
    assert_int_equal(c.calls, 3);
    socket_close(&c);
    loop_free(loop);
}

/* ---- hook, closing ---- */

struct hook_case {
    int idle;
    int busy;
};

static void on_turn(void *ctx, bool is_idle)
{
    struct hook_case *h = ctx;
    h->idle += is_idle;
    h->busy += !is_idle;
    assert_true(h->idle - h->busy == (is_idle ? 1 : 0));
}

struct closing_case {
    struct loop_closing closing;
    int *freed;
};

static void count_freed(struct loop_closing *closing)
{
    struct closing_case *c = CONTAINER_OF(closing, struct closing_case, closing);
    ++*c->freed;
    free(c);
}

static void the_hook_brackets_the_wait_and_closing_ends_the_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new_or_fail();
    struct hook_case hook = {0};
    int freed = 0;
    loop_set_hook(loop, on_turn, &hook);
    for (int i = 0; i < 2; i++) {
        struct closing_case *c = calloc(1, sizeof(*c));
        assert_non_null(c);
        c->freed = &freed;
        loop_close_later(loop, &c->closing, count_freed);
        assert_int_equal(freed, i);
        if (i == 0) {
            loop_turn(loop, -1); /* does not block: something waits to be freed */
        }
    }
    assert_int_equal(hook.busy, 1);
    loop_free(loop);
    assert_int_equal(freed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_once_and_never_early),
        cmocka_unit_test(a_stopped_or_moved_timer_does_not_fire_at_its_old_time),
        cmocka_unit_test(a_timer_that_sets_itself_to_the_past_fires_once_a_turn),
        cmocka_unit_test(a_timer_stopped_by_one_due_with_it_does_not_fire),
        cmocka_unit_test(posts_of_other_threads_arrive_once_and_in_order),
        cmocka_unit_test(events_are_edges),
        cmocka_unit_test(a_watch_removed_in_a_turn_gets_no_event_of_it),
        cmocka_unit_test(again_calls_once_a_turn_and_stops_on_removal),
        cmocka_unit_test(the_hook_brackets_the_wait_and_closing_ends_the_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
