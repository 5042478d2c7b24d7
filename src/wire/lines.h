/* wire/lines.h -- reader of lines (application/x-ndjson): incremental, sans-I/O, in place where it
 * can be.
 *
 * Bytes go in through lines_feed() in any cut; whole lines come out through on_line in order,
 * without their LF or CR LF. A line that lies whole in the input is handed out where it is; only an
 * unfinished tail is copied. Blank lines are left out.
 */
#ifndef WIRE_LINES_H
#define WIRE_LINES_H

#include "core/arena.h"
#include "core/err.h"
#include "core/text.h"

/* line is borrowed for the call, and not blank. Anything but OK stops the feed with that error. */
typedef enum err (*lines_fn)(void *ctx, struct slice line);

struct lines {
    lines_fn on_line;
    void *ctx;        /* borrowed; handed to on_line */
    size_t max_bytes; /* of one line */
    struct text tail; /* in the arena: the unfinished line */
    enum err failure; /* OK, or what every further call returns */
};

/* line_max_bytes bounds one line and so the tail (at most four times it in the arena, old copies
 * counted). */
void lines_init(struct lines *l, struct arena *a, size_t line_max_bytes, lines_fn on_line,
                void *ctx) NONNULL;
/* Consumes all of in. E_LIMIT, E_NOMEM, or what on_line returned; for good. */
MUST_USE enum err lines_feed(struct lines *l, struct slice in) NONNULL;
/* The input ends: what stands after the last line feed is a line, too. */
MUST_USE enum err lines_end(struct lines *l) NONNULL;

#endif
