#include "wire/sse.h"

#include "core/check.h"

#include <assert.h>

enum { SSE_PIECE_BYTES = 4096 }; /* how much is moved to the tail at once when no LF is near */

void sse_init(struct sse *s, struct arena *a, size_t event_max_bytes, sse_event_fn on_event,
              void *ctx)
{
    *s = (struct sse){.on_event = on_event, .ctx = ctx, .event_max_bytes = event_max_bytes};
    s->tail = text_growing(a);
    s->joined = text_growing(a);
}

/* The value of a field line behind its name, one space after the colon skipped. */
static struct slice field_value(struct slice line, size_t name_len)
{
    if (line.len == name_len) {
        return slice_of(line.ptr + line.len, 0);
    }
    size_t skip = name_len + 1;
    if (line.len > skip && line.ptr[skip] == ' ') {
        skip++;
    }
    return slice_of(line.ptr + skip, line.len - skip);
}

static bool has_name(struct slice line, struct slice name)
{
    return slice_starts(line, name) && (line.len == name.len || line.ptr[name.len] == ':');
}

/* One line of the event that begins at base, without its end; not empty. */
static void take_line(struct sse *s, const char *base, struct slice line)
{
    struct sse_scan *scan = &s->scan;
    if (has_name(line, SLICE("data"))) {
        struct slice value = field_value(line, 4);
        if (scan->data_lines == 0) {
            scan->data = (size_t)(value.ptr - base);
            scan->data_len = value.len;
        } else {
            if (scan->data_lines == 1) {
                s->joined.len = 0;
                text_add(&s->joined, slice_of(base + scan->data, scan->data_len));
            }
            text_add_char(&s->joined, '\n');
            text_add(&s->joined, value);
        }
        scan->data_lines++;
    } else if (has_name(line, SLICE("event"))) {
        struct slice value = field_value(line, 5);
        scan->name = (size_t)(value.ptr - base);
        scan->name_len = value.len;
    } else if (line.ptr[0] != ':' && !has_name(line, SLICE("id")) &&
               !has_name(line, SLICE("retry")) && scan->odd_len == 0) {
        scan->odd = (size_t)(line.ptr - base);
        scan->odd_len = line.len;
    }
}

/* Position of the first line end byte from at on, or in.len. */
static inline size_t line_stop(struct slice in, size_t at)
{
    const char *lf = memchr(in.ptr + at, '\n', in.len - at);
    size_t stop = lf ? (size_t)(lf - in.ptr) : in.len;
    const char *cr = memchr(in.ptr + at, '\r', stop - at);
    return cr ? (size_t)(cr - in.ptr) : stop;
}

/* in begins with the event. Returns its length with the blank line, or 0 when it goes on; the scan
 * then resumes where it stood once in has grown. */
static HOT size_t scan_event(struct sse *s, struct slice in, bool is_last)
{
    struct sse_scan *scan = &s->scan;
    for (;;) {
        size_t stop = line_stop(in, scan->at);
        if (stop == in.len) {
            scan->at = stop;
            return 0;
        }
        size_t after = stop + 1;
        if (in.ptr[stop] == '\r') {
            if (after == in.len && !is_last) {
                scan->at = stop; /* LF may follow */
                return 0;
            }
            after += after < in.len && in.ptr[after] == '\n';
        }
        size_t start = scan->line;
        if (start == 0 && !s->is_begun &&
            slice_starts(slice_head(in, stop), SLICE("\xEF\xBB\xBF"))) {
            start = 3;
        }
        scan->at = scan->line = after;
        if (stop == start) {
            return after;
        }
        take_line(s, in.ptr, slice_of(in.ptr + start, stop - start));
    }
}

/* The event of len bytes at raw is whole. */
static HOT enum err emit(struct sse *s, const char *raw, size_t len)
{
    const struct sse_scan *scan = &s->scan;
    struct sse_event event = {.raw = slice_of(raw, len),
                              .name = slice_of(raw + scan->name, scan->name_len),
                              .data = slice_of(raw + scan->data, scan->data_len),
                              .data_lines = scan->data_lines,
                              .odd = slice_of(raw + scan->odd, scan->odd_len)};
    if (s->joined.is_full) {
        return E_NOMEM;
    }
    if (len > s->event_max_bytes) {
        return E_LIMIT;
    }
    if (event.data_lines > 1) {
        event.data = text_slice(&s->joined);
    }
    s->scan = (struct sse_scan){.at = 0};
    s->is_begun = true;
    return s->on_event(s->ctx, &event);
}

/* Hands out the whole events of the tail; what is unfinished moves to its front. */
static enum err drain_tail(struct sse *s, bool is_last)
{
    enum err e = OK;
    while (!e && s->tail_at < s->tail.len) {
        struct slice rest = slice_of(s->tail.ptr + s->tail_at, s->tail.len - s->tail_at);
        size_t len = scan_event(s, rest, is_last);
        if (len == 0) {
            break;
        }
        s->tail_at += len;
        e = emit(s, rest.ptr, len);
    }
    size_t left = s->tail.len - s->tail_at;
    if (left && s->tail_at) {
        memmove(s->tail.ptr, s->tail.ptr + s->tail_at, left);
    }
    s->tail.len = left;
    s->tail_at = 0;
    return e;
}

static enum err add_tail(struct sse *s, struct slice piece)
{
    if (s->tail.len + piece.len > s->event_max_bytes) {
        return E_LIMIT;
    }
    text_add(&s->tail, piece);
    return s->tail.is_full ? E_NOMEM : OK;
}

/* Moves just enough of in to the tail for its event to end. */
static enum err feed_tail(struct sse *s, struct slice *in)
{
    while (s->tail.len && in->len) {
        size_t len = slice_find(*in, '\n');
        len += len < in->len;
        len = size_min(len, SSE_PIECE_BYTES);
        enum err e = add_tail(s, slice_head(*in, len));
        if (!e) {
            *in = slice_from(*in, len);
            e = drain_tail(s, false);
        }
        if (e) {
            return e;
        }
    }
    return OK;
}

static HOT enum err feed_event(struct sse *s, struct slice *in)
{
    if (s->tail.len) {
        return feed_tail(s, in);
    }
    size_t len = scan_event(s, *in, false);
    struct slice event = slice_head(*in, len ? len : in->len);
    *in = slice_from(*in, event.len);
    return len ? emit(s, event.ptr, len) : add_tail(s, event);
}

HOT enum err sse_feed_event(struct sse *s, struct slice *inout_in)
{
    if (!s->failure && inout_in->len) {
        s->failure = feed_event(s, inout_in);
    }
    return s->failure;
}

enum err sse_feed(struct sse *s, struct slice in)
{
    while (in.len && sse_feed_event(s, &in) == OK) {
    }
    return s->failure;
}

enum err sse_end(struct sse *s)
{
    if (!s->failure && s->tail.len) {
        s->failure = drain_tail(s, true);
    }
    if (!s->failure && s->tail.len) {
        struct slice rest = text_slice(&s->tail);
        if (s->scan.line < rest.len) {
            take_line(s, rest.ptr, slice_from(rest, s->scan.line));
        }
        s->failure = emit(s, rest.ptr, rest.len);
        s->tail.len = 0;
    }
    return s->failure;
}
