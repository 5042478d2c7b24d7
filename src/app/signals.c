#include "app/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

/* The only mutable globals: a signal handler gets no context. */
static _Atomic(struct ledger *) journal;
static _Atomic(struct pins *) pinned;

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    (void)context;
    struct ledger *ledger = atomic_load(&journal);
    if (!ledger_on_sigbus(ledger, info->si_addr) &&
        !pins_on_sigbus(atomic_load(&pinned), info->si_addr)) {
        (void)signal(number,
                     SIG_DFL); /* not ours: the instruction runs again and ends the process */
    }
}

static sigset_t stop_set(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    return set;
}

void signals_init(void)
{
    sigset_t set = stop_set();
    struct sigaction bus = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigaction(SIGBUS, &bus, NULL);
}

enum signals_event signals_wait(int64_t timeout_ns)
{
    sigset_t set = stop_set();
    struct timespec limit = {.tv_sec = timeout_ns / NS_PER_S, .tv_nsec = timeout_ns % NS_PER_S};
    for (;;) {
        int number = sigtimedwait(&set, NULL, timeout_ns ? &limit : NULL);
        if (number == SIGHUP) {
            return SIGNALS_RELOAD;
        }
        if (number > 0) {
            return SIGNALS_STOP;
        }
        if (errno == EAGAIN) {
            return SIGNALS_TIMEOUT;
        }
    }
}

void signals_sleep(int64_t ns)
{
    int64_t until_ns = clock_mono_ns() + ns;
    for (int64_t left_ns = ns; left_ns > 0; left_ns = until_ns - clock_mono_ns()) {
        if (signals_wait(left_ns) == SIGNALS_STOP) { /* a SIGHUP does not shorten it */
            return;
        }
    }
}

void signals_watch_journal(struct ledger *ledger)
{
    atomic_store(&journal, ledger);
}

void signals_watch_pins(struct pins *pins)
{
    atomic_store(&pinned, pins);
}
