/* wire/http1_head.h -- reads a complete head; wire/http1.c collects it and knows bodies. Private to
 * wire/. */
#ifndef WIRE_HTTP1_HEAD_H
#define WIRE_HTTP1_HEAD_H

#include "wire/http1.h"

enum { HTTP1_HEAD_SLACK_BYTES = 16 }; /* zeros behind a head, for it is read sixteen at a time */

struct http1_head_bytes {
    const char *bytes; /* lines that end in CR LF, an empty one last, and the slack */
    size_t header_count;
    bool is_response;
    /* out */
    const char *fault_text; /* static; with a fault */
    bool is_ordinary;       /* false: to be shown to llhttp as well (docs/decisions/010) */
};

/* Fills in head, whose slices point into bytes; its array is in the arena. */
MUST_USE enum http1_fault http1_head_read(struct http1_head_bytes *in, struct arena *arena,
                                          struct http_head *head) NONNULL;

#endif
