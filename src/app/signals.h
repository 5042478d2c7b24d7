/* app/signals.h -- signals as events of the main thread; SIGBUS on mapped files. */
#ifndef APP_SIGNALS_H
#define APP_SIGNALS_H

#include "core/clock.h"
#include "ledger/ledger.h"
#include "store/pins.h"

enum signals_event { SIGNALS_STOP, SIGNALS_RELOAD, SIGNALS_TIMEOUT };

/* Blocks SIGTERM, SIGINT and SIGHUP for all threads started later, ignores SIGPIPE, installs the
 * SIGBUS handler. */
void signals_init(void);
/* timeout_ns 0: for ever. */
enum signals_event signals_wait(int64_t timeout_ns);
/* Sleeps; a second stop signal ends it early. */
void signals_sleep(int64_t ns);
/* The journal whose mapped pages may fault; NULL: none. */
void signals_watch_journal(struct ledger *ledger);
/* The same for the table of kept answers. */
void signals_watch_pins(struct pins *pins);

#endif
