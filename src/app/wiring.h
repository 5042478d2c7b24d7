/* app/wiring.h -- builds the process in rank order and tears it down in reverse. */
#ifndef APP_WIRING_H
#define APP_WIRING_H

#include "admin/admin.h"
#include "app/config.h"

struct app; /* heap */

/* Loads the configuration, opens data, starts workers, serves until SIGTERM or SIGINT, drains.
 * Returns the exit status: 0 done, 1 the configuration or environment is not usable (said on
 * stderr). */
int app_serve(const struct config_sources *sources);

#endif
