/* sim/eventstream.h -- frames of application/vnd.amazon.eventstream, with their checksums. */
#ifndef SIM_EVENTSTREAM_H
#define SIM_EVENTSTREAM_H

#include "buf.h"

/* kind is "event" or "exception", name its type; the payload is JSON. */
void eventstream_frame(struct buf *out, const char *kind, const char *name, struct str payload);

#endif
