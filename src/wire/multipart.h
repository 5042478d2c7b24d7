/* wire/multipart.h -- finds one field of a multipart/form-data body (RFC 7578) without taking the
 * body apart; sans-I/O, any cut of the input.
 *
 * Strict where readers differ, because what we read must be what the provider reads: no preamble,
 * no epilogue but a line end, no padding behind a boundary, CRLF only, every part with one
 * Content-Disposition: form-data and one plain name, no encoded names, no Content-Transfer-Encoding
 * that changes bytes, the wanted field at most once. What a file holds is not looked at.
 *
 *   state    event                      -> state
 *   START    "--boundary"               -> BORDER
 *   BORDER   CRLF                       -> HEAD
 *   BORDER   "--"                       -> END
 *   HEAD     empty line                 -> DATA     the part's name is known
 *   DATA     CRLF "--boundary"          -> BORDER   the wanted field's place is known
 *   END      CRLF or nothing            (whole)
 *   (any)    anything else              -> FAILED   E_SYNTAX, E_LIMIT, E_DUPLICATE
 */
#ifndef WIRE_MULTIPART_H
#define WIRE_MULTIPART_H

#include "core/attr.h"
#include "core/err.h"
#include "core/slice.h"

enum {
    MULTIPART_BOUNDARY_MAX_BYTES = 70, /* RFC 2046 section 5.1.1 */
    MULTIPART_PARTS_MAX = 256,
    MULTIPART_HEAD_MAX_BYTES = 4096 /* of one part */
};

enum multipart_state {
    MULTIPART_START = 0,
    MULTIPART_BORDER,
    MULTIPART_HEAD,
    MULTIPART_DATA,
    MULTIPART_END,
    MULTIPART_FAILED
};

struct multipart {
    struct slice wanted; /* borrowed: the field's name */
    size_t value_max_bytes;
    bool is_found;
    size_t value_at, value_len; /* the wanted field's bytes, as offsets into the body */
    enum err failed;
    const char *fault; /* static, for a message */
    /* private */
    enum multipart_state state;
    size_t at;      /* bytes of the body seen */
    size_t matched; /* bytes of the delimiter that stand before at */
    size_t data_at; /* where this part's data begins */
    size_t part_count;
    size_t line_begin, head_len; /* head[line_begin..head_len) is the unfinished line */
    bool has_disposition, is_wanted;
    uint8_t tail; /* bytes of a border's or the body's end seen */
    char tail_first;
    size_t delimiter_len;
    char delimiter[4 + MULTIPART_BOUNDARY_MAX_BYTES]; /* CRLF "--" boundary */
    char head[MULTIPART_HEAD_MAX_BYTES];
};

/* True for a Content-Type of multipart/form-data, whatever its parameters. */
bool multipart_is_form(struct slice content_type);
/* E_SYNTAX: content_type names no valid boundary. */
MUST_USE enum err multipart_init(struct multipart *m, struct slice content_type,
                                 struct slice wanted, size_t value_max_bytes) NONNULL;
MUST_USE enum err multipart_feed(struct multipart *m, struct slice in) NONNULL;
/* E_SYNTAX: the body ends before its last boundary. */
MUST_USE enum err multipart_end(struct multipart *m) NONNULL;

#endif
