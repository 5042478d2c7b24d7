/* sim/wheel.h -- timers with a grain of one millisecond: a wheel of lists, so arming and firing
 * cost the same for ten streams and ten thousand. One wheel a thread.
 */
#ifndef SIM_WHEEL_H
#define SIM_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WHEEL_SLOTS = 1024 };

struct timer {
    struct timer *next; /* NULL when not armed */
    struct timer *prev;
    int64_t due_tick;
};

struct wheel {
    struct timer slots[WHEEL_SLOTS]; /* list heads */
    int64_t now_tick;                /* everything due up to here has fired */
    size_t armed;
};

typedef void (*timer_fn)(void *ctx, struct timer *t);

void wheel_init(struct wheel *w, int64_t now_ns);
void wheel_arm(struct wheel *w, struct timer *t, int64_t due_ns); /* re-arms an armed timer */
void wheel_disarm(struct wheel *w, struct timer *t);
int wheel_timeout_ms(const struct wheel *w, int64_t now_ns); /* for epoll_wait(); -1: none armed */

/* Calls fire for every due timer, disarmed before the call; fire may arm it again. */
void wheel_run(struct wheel *w, int64_t now_ns, timer_fn fire, void *ctx);

#endif
