/* app/reload.h -- the configuration again: at start, on SIGHUP, by the admin API, or when its file
 * has changed.
 *
 * A new version is published atomically, or the old one stays and the reason is logged. Calls are
 * serialised by a lock: they come from the main thread and, for the admin API, from the store's
 * writer thread.
 */
#ifndef APP_RELOAD_H
#define APP_RELOAD_H

#include "app/config.h"
#include "gateway/gateway.h"

#include <pthread.h>
#include <sys/stat.h>

struct reload {
    struct config_sources sources; /* borrowed texts */
    struct gateway *gateway;       /* borrowed */
    pthread_mutex_t lock;
    struct timespec file_time; /* of the file when it was last read; zero: no file */
};

/* The first load. False: the problems were printed to stderr. *out_conf is the caller's until
 * published. */
MUST_USE bool reload_init(struct reload *r, const struct config_sources *sources,
                          struct gateway *gateway, struct gateway_conf **out_conf);
void reload_deinit(struct reload *r);
/* How often to look at the file; 0: there is none. */
int64_t reload_poll_ns(const struct reload *r);
/* The file's time has changed since it was read. */
bool reload_is_due(struct reload *r);
/* Logs what came of it. why: "SIGHUP". */
void reload_run(struct reload *r, const char *why);
/* For struct admin: ctx is the struct reload; out gets errors, or warnings. */
bool reload_by_admin(void *ctx, struct text *out);

#endif
