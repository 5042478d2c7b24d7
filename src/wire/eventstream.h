/* wire/eventstream.h -- application/vnd.amazon.eventstream reader: incremental, sans-I/O, in place
 * where it can be.
 *
 *   u32 total | u32 headers | u32 CRC of the 8 before | headers | payload | u32 CRC of all before
 *   a header: u8 length, name, u8 type, value (of the type's length, or u16 length and bytes)
 *
 * Bytes go in through eventstream_feed() in any cut; whole frames come out through on_frame in
 * order, each with the exact bytes it had, so that concatenating raw gives the input back. A frame
 * that lies whole in the input is handed out where it is; only an unfinished tail is copied.
 * Numbers are big endian; a frame's length is believed when its CRC is right (CRC-32 of ISO-HDLC),
 * the rest of it when the other one is.
 */
#ifndef WIRE_EVENTSTREAM_H
#define WIRE_EVENTSTREAM_H

#include "core/arena.h"
#include "core/err.h"
#include "core/text.h"

enum {
    EVENTSTREAM_FRAME_LEAST_BYTES = 16,            /* a frame of nothing */
    EVENTSTREAM_HEADERS_MAX_BYTES = 128 * 1024,    /* the format's own */
    EVENTSTREAM_FRAME_MAX_BYTES = 24 * 1024 * 1024 /* the format's own; conf may say less */
};

enum eventstream_kind {
    EVENTSTREAM_EVENT,     /* also where no header says what it is */
    EVENTSTREAM_EXCEPTION, /* the service's, modelled: name is its type */
    EVENTSTREAM_ERROR      /* the service's, not modelled: name is its code */
};

/* All borrowed for the call. */
struct eventstream_frame {
    struct slice raw;
    enum eventstream_kind kind;
    struct slice name;    /* :event-type, :exception-type or :error-code; may be empty */
    struct slice payload; /* of an error without one: :error-message */
};

/* Anything but OK stops the feed with that error. */
typedef enum err (*eventstream_frame_fn)(void *ctx, const struct eventstream_frame *frame);

struct eventstream {
    eventstream_frame_fn on_frame;
    void *ctx;        /* borrowed; handed to on_frame */
    size_t max_bytes; /* of one frame */
    struct text tail; /* in the arena: the unfinished frame, from its first byte */
    enum err failure; /* OK, or what every further call returns */
};

/* frame_max_bytes bounds one frame and so the tail (at most four times it in the arena, old copies
 * counted). */
void eventstream_init(struct eventstream *s, struct arena *a, size_t frame_max_bytes,
                      eventstream_frame_fn on_frame, void *ctx) NONNULL;
/* Consumes all of in. E_SYNTAX (a length that cannot be, a CRC that does not match, headers that do
 * not fit), E_LIMIT, E_NOMEM, or what on_frame returned; for good. */
MUST_USE enum err eventstream_feed(struct eventstream *s, struct slice in) NONNULL;
/* The input ends: E_EOF inside a frame. */
MUST_USE enum err eventstream_end(struct eventstream *s) NONNULL;

#endif
