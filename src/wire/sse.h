/* wire/sse.h -- Server-Sent Events reader: incremental, sans-I/O, in place where it can be.
 *
 * Bytes go in through sse_feed() in any cut; whole events come out through on_event in order, each
 * with the exact bytes it had (raw), so that concatenating raw gives the input back. Events that
 * lie whole in the input are handed out where they are; only an unfinished tail is copied, and
 * only its own bytes. Line ends are LF, CR LF or CR; a byte order mark at the start is skipped.
 * Comments, id: and retry: are in raw and otherwise not looked at; an "event" may hold nothing else
 * (a keep-alive comment, a stray blank line).
 *
 * A blank line that ends in CR is complete only with the byte after it (it may be LF), so what
 * comes out never depends on how the input was cut.
 *
 *   tail: 0..tail_at handed out | tail_at..tail.len unfinished event
 *   scan (from the event's first byte): 0..line finished lines | line..at looked at | at.. unread
 */
#ifndef WIRE_SSE_H
#define WIRE_SSE_H

#include "core/arena.h"
#include "core/err.h"
#include "core/text.h"

/* All borrowed for the call. */
struct sse_event {
    struct slice raw;  /* with its blank line */
    struct slice name; /* event: field, empty when absent */
    struct slice data; /* data: fields joined by LF */
    size_t data_lines; /* 1: data lies inside raw; 0: none; more: joined elsewhere */
    struct slice odd;  /* the first line that is no field of the standard and no comment */
};

/* Anything but OK stops the feed with that error. */
typedef enum err (*sse_event_fn)(void *ctx, const struct sse_event *event);

struct sse_scan {
    size_t at, line;
    size_t data, data_len; /* of the first data line */
    size_t name, name_len;
    size_t odd, odd_len;
    size_t data_lines;
};

struct sse {
    sse_event_fn on_event;
    void *ctx; /* borrowed; handed to on_event */
    size_t event_max_bytes;
    struct sse_scan scan;
    struct text tail;   /* in the arena: an event that began in an earlier feed */
    size_t tail_at;     /* as drawn above */
    struct text joined; /* in the arena: data of several lines */
    bool is_begun;      /* the first event is behind us: no byte order mark any more */
    enum err failure;   /* OK, or what every further call returns */
};

/* event_max_bytes bounds one event's raw bytes, and so both buffers (each at most four times it in
 * the arena, old copies counted). */
void sse_init(struct sse *s, struct arena *a, size_t event_max_bytes, sse_event_fn on_event,
              void *ctx) NONNULL;
/* Consumes *inout_in from its front up to the end of an event, or all of it. E_LIMIT, E_NOMEM, or
 * what on_event returned; for good. */
MUST_USE enum err sse_feed_event(struct sse *s, struct slice *inout_in) NONNULL;
/* The same till all of in is consumed. */
MUST_USE enum err sse_feed(struct sse *s, struct slice in) NONNULL;
/* The input ends: an unfinished event is handed out as it is (its raw has no blank line). */
MUST_USE enum err sse_end(struct sse *s) NONNULL;
/* Bytes of an unfinished event held. */
static inline size_t sse_held(const struct sse *s)
{
    return s->tail.len - s->tail_at;
}

#endif
