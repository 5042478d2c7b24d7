#include "wheel.h"

enum { TICK_NS = 1000000 };

static int64_t tick_of(int64_t ns)
{
    return ns / TICK_NS;
}

static struct timer *slot_of(struct wheel *w, int64_t tick)
{
    return &w->slots[(size_t)tick % WHEEL_SLOTS];
}

static void unlink_timer(struct timer *t)
{
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->next = NULL;
    t->prev = NULL;
}

static void append(struct timer *head, struct timer *t)
{
    t->prev = head->prev;
    t->next = head;
    head->prev->next = t;
    head->prev = t;
}

void wheel_init(struct wheel *w, int64_t now_ns)
{
    for (size_t i = 0; i < WHEEL_SLOTS; i++) {
        w->slots[i].next = &w->slots[i];
        w->slots[i].prev = &w->slots[i];
    }
    w->now_tick = tick_of(now_ns);
    w->armed = 0;
}

void wheel_disarm(struct wheel *w, struct timer *t)
{
    if (t->next != NULL) {
        unlink_timer(t);
        w->armed--;
    }
}

void wheel_arm(struct wheel *w, struct timer *t, int64_t due_ns)
{
    wheel_disarm(w, t);
    int64_t tick = tick_of(due_ns + TICK_NS - 1); /* never early */
    t->due_tick = tick > w->now_tick ? tick : w->now_tick + 1;
    append(slot_of(w, t->due_tick), t);
    w->armed++;
}

int wheel_timeout_ms(const struct wheel *w, int64_t now_ns)
{
    if (w->armed == 0) {
        return -1;
    }
    int64_t tick = w->now_tick + 1;
    int64_t end = w->now_tick + WHEEL_SLOTS;
    for (; tick < end; tick++) {
        const struct timer *head = &w->slots[(size_t)tick % WHEEL_SLOTS];
        if (head->next != head) {
            break; /* may hold only later rounds: then the wake-up was for nothing, once a second */
        }
    }
    int64_t left_ns = tick * TICK_NS - now_ns;
    return left_ns <= 0 ? 0 : (int)((left_ns + TICK_NS - 1) / TICK_NS);
}

static void run_slot(struct wheel *w, timer_fn fire, void *ctx)
{
    struct timer *head = slot_of(w, w->now_tick);
    struct timer due = {&due, &due, 0};
    struct timer *t = head->next;
    while (t != head) {
        struct timer *next = t->next;
        if (t->due_tick <= w->now_tick) {
            unlink_timer(t);
            append(&due, t);
        }
        t = next;
    }
    while (due.next != &due) { /* a fired timer may disarm another that is also due */
        t = due.next;
        wheel_disarm(w, t);
        fire(ctx, t);
    }
}

void wheel_run(struct wheel *w, int64_t now_ns, timer_fn fire, void *ctx)
{
    int64_t to = tick_of(now_ns);
    if (w->armed == 0) {
        w->now_tick = to;
        return;
    }
    if (to - w->now_tick > WHEEL_SLOTS) {
        w->now_tick = to - WHEEL_SLOTS; /* one full turn reaches every slot */
    }
    while (w->now_tick < to) {
        w->now_tick++;
        run_slot(w, fire, ctx);
    }
}
