/* io/loop.h -- one thread's event loop: edge-triggered epoll, timers, a mailbox, a closing list.
 *
 * Watches are registered once with EPOLLIN|EPOLLOUT|EPOLLRDHUP|EPOLLET, so the request path makes
 * no epoll_ctl calls. An edge is remembered by the owner (stream.h keeps is_readable/is_writable);
 * a watch whose owner stopped early (paused, capped) asks to be called again with loop_again().
 *
 * One turn: wait -> clock -> on_turn hook -> events -> again list -> due timers -> mailbox ->
 * closing list. Nobody is freed inside a callback: loop_close_later() frees at the end of the turn.
 * Not thread-safe but for loop_post() and loop_stop().
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include "core/clock.h"
#include "core/err.h"
#include "core/list.h"

#include <stdint.h>

struct loop; /* heap */

enum loop_event { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4, LOOP_AGAIN = 8 };

/* Events of one turn are delivered group by group, so that code that has just run runs again while
 * the CPU still has it at hand. */
enum loop_group { LOOP_GROUP_ANSWERS = 0, LOOP_GROUP_REQUESTS, LOOP_GROUPS };

struct loop_watch;
/* events: bits of enum loop_event. */
typedef void (*loop_event_fn)(struct loop_watch *watch, unsigned events);

/* Embedded in its owner. Zeroed, then loop_watch_add(). */
struct loop_watch {
    int fd; /* borrowed: the owner closes it after loop_watch_remove() */
    bool is_registered;
    uint8_t group; /* enum loop_group; set by the owner before or after adding */
    loop_event_fn on_event;
    struct list again; /* on the again list, or self-linked */
};

struct loop_timer;
typedef void (*loop_timer_fn)(struct loop_timer *timer);

/* Embedded in its owner; zeroed means stopped. Fires once, up to LOOP_TICK_MS late, never early. */
struct loop_timer {
    int64_t deadline_ns; /* 0: stopped */
    loop_timer_fn on_due;
    struct list link;
};

enum { LOOP_TICK_MS = 4, LOOP_EVENTS_PER_TURN = 256 };

/* Runs on the loop's thread. Embedded in its owner, who frees it inside run or later. */
struct loop_task {
    void (*run)(struct loop_task *task);
    struct loop_task *next; /* the mailbox's */
};

/* Linked to the closing list; free_fn runs at the end of the turn. */
struct loop_closing {
    struct list link;
    void (*free_fn)(struct loop_closing *closing);
};

MUST_USE enum err loop_new(struct loop **out_loop);
/* Runs the mailbox and the closing list once more; watches and timers must be gone, and no thread
 * may post any more. */
void loop_free(struct loop *loop);

/* Called after every wait with the turn's clock, and before every wait with is_idle true. */
void loop_set_hook(struct loop *loop, void (*on_turn)(void *ctx, bool is_idle), void *ctx);

/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
/* One turn, waiting at most wait_ms (tests). */
void loop_turn(struct loop *loop, int wait_ms);
/* Any thread. */
void loop_stop(struct loop *loop);

/* Both clocks are read once a turn. */
int64_t loop_now_ns(const struct loop *loop);
int64_t loop_unix_ns(const struct loop *loop);

/* fd must be non-blocking. E_IO. */
MUST_USE enum err loop_watch_add(struct loop *loop, struct loop_watch *watch, int fd,
                                 loop_event_fn on_event);
/* A no-op when not registered. No event of this turn reaches the watch afterwards. */
void loop_watch_remove(struct loop *loop, struct loop_watch *watch);
/* on_event(LOOP_AGAIN) later this turn or next; once however often asked. */
void loop_again(struct loop *loop, struct loop_watch *watch);

/* Many events are being delivered: a write that waits for the end of that (loop_again()) goes out
 * together with the others', which costs both sides less. */
bool loop_is_busy(const struct loop *loop);

/* Sets or moves the deadline. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t deadline_ns,
                    loop_timer_fn on_due);
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

/* Any thread. The task runs on the loop's thread. */
void loop_post(struct loop *loop, struct loop_task *task);
void loop_close_later(struct loop *loop, struct loop_closing *closing,
                      void (*free_fn)(struct loop_closing *));

#endif
