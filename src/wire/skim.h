/* wire/skim.h -- passes over a JSON object or array by its brackets, 64 bytes at a time.
 *
 * Checks that strings end, that brackets match in kind, and the depth; nothing else of the grammar.
 * For text that was checked already, or that someone else will check: an answer passes to the
 * client as it came. About 1.5 instructions a byte.
 */
#ifndef WIRE_SKIM_H
#define WIRE_SKIM_H

#include "core/attr.h"
#include "core/err.h"

enum { SKIM_DEPTH_MAX = 128 };

/* At '{' or '['. *out_end: behind the bracket that closes it. E_SYNTAX: the text ends before, or a
 * bracket does not match; E_LIMIT: deeper than depth_max (at most SKIM_DEPTH_MAX). */
MUST_USE enum err skim_container(const char *text, const char *end, unsigned depth_max,
                                 const char **out_end) NONNULL;

#endif
