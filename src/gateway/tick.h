/* gateway/tick.h -- the one home of a worker's periodic work. */
#ifndef GATEWAY_TICK_H
#define GATEWAY_TICK_H

#include "gateway/gateway.h"

enum {
    TICK_MS = 50,
    TICK_DIRECTORY_MS = 250,
    TICK_TRIM_MS = 1000,
    TICK_KEEP_BYTES = 1 << 20,     /* of a worker's stock of free blocks */
    TICK_RETURN_BYTES = 256 << 10, /* trimmed at once: worth asking the heap to give pages back */
    TICK_RETAIN_MS = 10000,
    TICK_RETAIN_ROWS = 1000 /* a step, a few ms of the writer; one a tick while more is old */
};

/* Starts the worker's tick on its own loop. */
void tick_start(struct worker *w);

#endif
