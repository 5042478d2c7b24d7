/* wire/http_lines.h -- lines of a head as text. A line is written whole, with its CR LF, or, where
 * the room ends, not at all: half of one would swallow the next. Names and values are ours or
 * checked: nothing is escaped.
 */
#ifndef WIRE_HTTP_LINES_H
#define WIRE_HTTP_LINES_H

#include "core/text.h"

/* Nothing for an empty value. */
void http_line(struct text *out, struct slice name, struct slice value) NONNULL;
/* A value that a client chose: whatever is not printable ASCII could end the line, so it becomes
 * '?'. */
void http_line_printable(struct text *out, struct slice name, struct slice value) NONNULL;
void http_line_i64(struct text *out, struct slice name, int64_t value) NONNULL;

#endif
