#include "io/loop.h"

#include "core/check.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Timers stand in a hierarchical wheel. A timer's level is the highest 6-bit digit in which its
 * tick differs from the present tick, its slot that digit; so every timer of a level is due before
 * every timer of a higher one, the next slot to visit is the lowest set bit of the lowest occupied
 * level, and a timer moves down at most once a level. Seven digits of 4 ms cover 557 years, more
 * than int64 nanoseconds hold. */
enum {
    WHEEL_DIGIT_BITS = 6,
    WHEEL_SLOTS = 1 << WHEEL_DIGIT_BITS,
    WHEEL_LEVELS = 7,
};

#define TICK_NS ((int64_t)LOOP_TICK_MS * NS_PER_MS)

/* Padded so that what other threads write has a cache line of its own. */
struct loop { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    int epoll_fd;
    int wake_fd; /* eventfd; edge-triggered and never read: each write is an edge */
    int64_t now_ns;
    int64_t unix_ns;
    void (*on_turn)(void *ctx, bool is_idle);
    void *turn_ctx;

    struct epoll_event events[LOOP_EVENTS_PER_TURN + 1]; /* event_at..event_count are undelivered */
    int event_at;
    int event_count;
    bool is_busy; /* GROUP_FROM_EVENTS or more are being delivered */

    struct list again;
    struct list closing;

    struct list due; /* timers to fire at the next chance */
    int64_t tick;    /* slots up to and with this one were visited */
    uint64_t occupied[WHEEL_LEVELS];
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];

    /* Written by other threads: on a line of their own. */
    _Alignas(64) _Atomic(struct loop_task *) mailbox; /* newest first */
    _Atomic bool is_stopped;
};

static void read_clocks(struct loop *loop)
{
    loop->now_ns = i64_max(clock_mono_ns(), loop->now_ns);
    loop->unix_ns = clock_unix_ns();
}

/* ---- timers ---- */

/* The first tick that is not before the deadline: never early. */
static int64_t tick_of(int64_t deadline_ns)
{
    return deadline_ns / TICK_NS + (deadline_ns % TICK_NS != 0);
}

static void wheel_insert(struct loop *loop, struct loop_timer *timer)
{
    int64_t tick = tick_of(timer->deadline_ns);
    if (tick <= loop->tick) {
        list_append(&loop->due, &timer->link);
        return;
    }
    uint64_t differs = (uint64_t)tick ^ (uint64_t)loop->tick;
    unsigned level = (63u - (unsigned)__builtin_clzll(differs)) / WHEEL_DIGIT_BITS;
    unsigned slot = (unsigned)((uint64_t)tick >> (level * WHEEL_DIGIT_BITS)) & (WHEEL_SLOTS - 1);
    assert(level < WHEEL_LEVELS);
    list_append(&loop->slots[level][slot], &timer->link);
    loop->occupied[level] |= UINT64_C(1) << slot;
}

/* Clears the bit of the slot that the timer leaves empty. */
static void wheel_remove(struct loop *loop, struct loop_timer *timer)
{
    struct list *other = timer->link.next;
    bool was_last = other == timer->link.prev;
    list_remove(&timer->link);
    struct list *first = &loop->slots[0][0];
    if (was_last && other >= first && other < first + (ptrdiff_t)WHEEL_LEVELS * WHEEL_SLOTS) {
        size_t index = (size_t)(other - first);
        loop->occupied[index / WHEEL_SLOTS] &= ~(UINT64_C(1) << (index % WHEEL_SLOTS));
    }
}

/* Moves all of from's nodes to the end of to. */
static void list_splice(struct list *from, struct list *to)
{
    if (list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* The slots of a level that the step from the old to the new tick visits; digits are the ticks
 * without the digits below the level. */
static uint64_t visited_slots(uint64_t old_digits, uint64_t new_digits)
{
    if (old_digits >> WHEEL_DIGIT_BITS != new_digits >> WHEEL_DIGIT_BITS) {
        return UINT64_MAX; /* a level never holds slots beyond its own wrap */
    }
    unsigned from = (unsigned)(old_digits & (WHEEL_SLOTS - 1));
    unsigned to = (unsigned)(new_digits & (WHEEL_SLOTS - 1));
    uint64_t up_to_to = to == WHEEL_SLOTS - 1 ? UINT64_MAX : (UINT64_C(1) << (to + 1)) - 1;
    uint64_t up_to_from = from == WHEEL_SLOTS - 1 ? UINT64_MAX : (UINT64_C(1) << (from + 1)) - 1;
    return up_to_to & ~up_to_from;
}

static void wheel_advance(struct loop *loop)
{
    uint64_t old_tick = (uint64_t)loop->tick;
    uint64_t new_tick = (uint64_t)(loop->now_ns / TICK_NS);
    struct list moved;
    list_init(&moved);
    for (unsigned level = 0; level < WHEEL_LEVELS && old_tick != new_tick; level++) {
        uint64_t visited = visited_slots(old_tick, new_tick) & loop->occupied[level];
        loop->occupied[level] &= ~visited;
        for (; visited; visited &= visited - 1) {
            list_splice(&loop->slots[level][__builtin_ctzll(visited)], &moved);
        }
        old_tick >>= WHEEL_DIGIT_BITS;
        new_tick >>= WHEEL_DIGIT_BITS;
    }
    loop->tick = loop->now_ns / TICK_NS;
    for (struct list *node; (node = list_take_first(&moved));) {
        wheel_insert(loop, CONTAINER_OF(node, struct loop_timer, link));
    }
}

/* The tick of the next slot to visit; INT64_MAX when no timer stands. */
static int64_t wheel_next_tick(const struct loop *loop)
{
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        if (loop->occupied[level]) {
            unsigned shift = level * WHEEL_DIGIT_BITS;
            uint64_t above = (uint64_t)loop->tick >> shift >> WHEEL_DIGIT_BITS;
            uint64_t slot = (uint64_t)__builtin_ctzll(loop->occupied[level]);
            return (int64_t)((above << WHEEL_DIGIT_BITS | slot) << shift);
        }
    }
    return INT64_MAX;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t deadline_ns,
                    loop_timer_fn on_due)
{
    assert(on_due);
    deadline_ns = i64_max(deadline_ns, 1); /* 0 means stopped */
    timer->on_due = on_due;
    if (timer->deadline_ns) {
        if (tick_of(timer->deadline_ns) == tick_of(deadline_ns)) {
            timer->deadline_ns = deadline_ns;
            return;
        }
        wheel_remove(loop, timer);
    }
    timer->deadline_ns = deadline_ns;
    wheel_insert(loop, timer);
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
    if (timer->deadline_ns) {
        wheel_remove(loop, timer);
        timer->deadline_ns = 0;
    }
}

/* ---- one turn ---- */

/* How long the wait may last: until a timer, a caller's bound, or not at all. */
static int wait_bound_ms(const struct loop *loop, int wait_ms)
{
    if (!list_is_empty(&loop->again) || !list_is_empty(&loop->due) ||
        !list_is_empty(&loop->closing)) {
        return 0;
    }
    int64_t tick = wheel_next_tick(loop);
    if (tick == INT64_MAX) {
        return wait_ms;
    }
    int64_t left_ns = i64_max(tick * TICK_NS - clock_mono_ns(), 0);
    int64_t left_ms = i64_min((left_ns + NS_PER_MS - 1) / NS_PER_MS, INT_MAX);
    return wait_ms >= 0 && wait_ms < left_ms ? wait_ms : (int)left_ms;
}

static void wait_for_events(struct loop *loop, int wait_ms)
{
    if (loop->on_turn) {
        loop->on_turn(loop->turn_ctx, true);
    }
    int n = epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_PER_TURN,
                       wait_bound_ms(loop, wait_ms));
    assert(n >= 0 || errno == EINTR);
    loop->event_at = 0;
    loop->event_count = n > 0 ? n : 0;
    read_clocks(loop);
    if (loop->on_turn) {
        loop->on_turn(loop->turn_ctx, false);
    }
}

/* An error or hang-up is also readable and writable: the owner's call will tell which. */
static unsigned to_loop_events(uint32_t epoll_events)
{
    unsigned events = 0;
    if (epoll_events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        events |= LOOP_READ;
    }
    if (epoll_events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        events |= LOOP_WRITE;
    }
    if (epoll_events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        events |= LOOP_HANGUP;
    }
    return events;
}

enum {
    GROUP_FROM_EVENTS = 3,  /* fewer are not worth a second look at the list */
    WATCH_OWNER_BYTES = 128 /* from the watch on; what its owner wants first */
};

static HOT void deliver_group(struct loop *loop, bool is_any, uint8_t group)
{
    for (loop->event_at = 0; loop->event_at < loop->event_count;) {
        struct epoll_event *event = &loop->events[loop->event_at++];
        struct loop_watch *watch = event->data.ptr;
        prefetch(event[1].data.ptr, WATCH_OWNER_BYTES); /* the array has one place more */
        if (watch && (is_any || watch->group == group)) {
            event->data.ptr =
                NULL; /* NULL: delivered, the mailbox's eventfd, or a watch removed in this turn */
            watch->on_event(watch, to_loop_events(event->events));
        }
    }
}

static HOT void deliver_events(struct loop *loop)
{
    loop->is_busy = loop->event_count >= GROUP_FROM_EVENTS;
    if (!loop->is_busy) {
        deliver_group(loop, true, 0);
        loop->event_count = 0;
        return;
    }
    for (unsigned group = 0; group < LOOP_GROUPS; group++) {
        deliver_group(loop, false, (uint8_t)group);
    }
    loop->event_count = 0;
    loop->is_busy = false;
}

/* Those that ask again meanwhile are called in the next turn. */
static void call_again_list(struct loop *loop)
{
    struct list now;
    list_init(&now);
    list_splice(&loop->again, &now);
    for (struct list *node; (node = list_take_first(&now));) {
        struct loop_watch *watch = CONTAINER_OF(node, struct loop_watch, again);
        watch->on_event(watch, LOOP_AGAIN);
    }
}

/* Timers set to a past time by these callbacks fire in the next turn. */
static void fire_due_timers(struct loop *loop)
{
    struct list now;
    list_init(&now);
    wheel_advance(loop);
    list_splice(&loop->due, &now);
    for (struct list *node; (node = list_take_first(&now));) {
        struct loop_timer *timer = CONTAINER_OF(node, struct loop_timer, link);
        timer->deadline_ns = 0;
        timer->on_due(timer);
    }
}

static void run_mailbox(struct loop *loop)
{
    if (!atomic_load_explicit(&loop->mailbox, memory_order_relaxed)) {
        return;
    }
    struct loop_task *newest = atomic_exchange_explicit(&loop->mailbox, NULL, memory_order_acquire);
    struct loop_task *oldest = NULL;
    while (newest) { /* turned round, so that tasks run in the order they came */
        struct loop_task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct loop_task *next = oldest->next;
        oldest->run(oldest);
        oldest = next;
    }
}

static void free_closing(struct loop *loop)
{
    for (struct list *node; (node = list_take_first(&loop->closing));) {
        struct loop_closing *closing = CONTAINER_OF(node, struct loop_closing, link);
        closing->free_fn(closing);
    }
}

void loop_turn(struct loop *loop, int wait_ms)
{
    wait_for_events(loop, wait_ms);
    deliver_events(loop);
    call_again_list(loop);
    fire_due_timers(loop);
    run_mailbox(loop);
    free_closing(loop);
}

void loop_run(struct loop *loop)
{
    while (!atomic_load_explicit(&loop->is_stopped, memory_order_acquire)) {
        loop_turn(loop, -1);
    }
}

/* ---- the rest ---- */

static void wake(struct loop *loop)
{
    const uint64_t one = 1;
    ssize_t n = write(loop->wake_fd, &one, sizeof(one));
    assert(n == (ssize_t)sizeof(one)); /* the counter would need 2^64 wake-ups to block */
}

void loop_stop(struct loop *loop)
{
    atomic_store_explicit(&loop->is_stopped, true, memory_order_release);
    wake(loop);
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    struct loop_task *head = atomic_load_explicit(&loop->mailbox, memory_order_relaxed);
    do {
        task->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->mailbox, &head, task,
                                                    memory_order_release, memory_order_relaxed));
    if (!head) { /* else the one that found it empty has written, or is about to */
        wake(loop);
    }
}

void loop_close_later(struct loop *loop, struct loop_closing *closing,
                      void (*free_fn)(struct loop_closing *))
{
    closing->free_fn = free_fn;
    list_append(&loop->closing, &closing->link);
}

void loop_set_hook(struct loop *loop, void (*on_turn)(void *ctx, bool is_idle), void *ctx)
{
    loop->on_turn = on_turn;
    loop->turn_ctx = ctx;
}

bool loop_is_busy(const struct loop *loop)
{
    return loop->is_busy;
}

int64_t loop_now_ns(const struct loop *loop)
{
    return loop->now_ns;
}

int64_t loop_unix_ns(const struct loop *loop)
{
    return loop->unix_ns;
}

enum err loop_watch_add(struct loop *loop, struct loop_watch *watch, int fd, loop_event_fn on_event)
{
    assert(!watch->is_registered && on_event);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        return E_IO;
    }
    watch->fd = fd;
    watch->on_event = on_event;
    watch->is_registered = true;
    list_init(&watch->again);
    return OK;
}

void loop_watch_remove(struct loop *loop, struct loop_watch *watch)
{
    if (!watch->is_registered) {
        return;
    }
    /* An explicit removal: closing the descriptor is not enough when a duplicate exists. */
    int result = epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, &(struct epoll_event){0});
    assert(result == 0);
    (void)result;
    for (int i = 0; i < loop->event_count; i++) {
        if (loop->events[i].data.ptr == watch) {
            loop->events[i].data.ptr = NULL;
        }
    }
    list_remove(&watch->again);
    watch->is_registered = false;
}

void loop_again(struct loop *loop, struct loop_watch *watch)
{
    assert(watch->is_registered);
    if (list_is_empty(&watch->again)) {
        list_append(&loop->again, &watch->again);
    }
}

enum err loop_new(struct loop **out_loop)
{
    struct loop *loop = aligned_alloc(64, sizeof(*loop));
    if (!loop) {
        return E_NOMEM;
    }
    memset(loop, 0, sizeof(*loop));
    list_init(&loop->again);
    list_init(&loop->closing);
    list_init(&loop->due);
    for (struct list *slot = &loop->slots[0][0];
         slot <= &loop->slots[WHEEL_LEVELS - 1][WHEEL_SLOTS - 1]; slot++) {
        list_init(slot);
    }
    read_clocks(loop);
    loop->tick = loop->now_ns / TICK_NS;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) != 0) {
        loop_free(loop);
        return E_IO;
    }
    *out_loop = loop;
    return OK;
}

void loop_free(struct loop *loop)
{
    if (!loop) {
        return;
    }
    run_mailbox(loop);
    free_closing(loop);
    assert(wheel_next_tick(loop) == INT64_MAX && list_is_empty(&loop->due));
    if (loop->wake_fd >= 0) {
        (void)close(loop->wake_fd);
    }
    if (loop->epoll_fd >= 0) {
        (void)close(loop->epoll_fd);
    }
    free(loop);
}
