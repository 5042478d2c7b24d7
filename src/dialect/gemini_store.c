/* Stored streams of the API as whole answers, and whole answers as streams: for cache hits in the
 * other form. */
#include "dialect/gemini.h"

/* --- events to a body --------------------------------------------------------------------------
 */

/* Chunks of the stored stream, put together. Its events are parsed in the caller's arena. */
struct store {
    struct gather gather;
    struct stream_decoder decoder;
    struct outcome outcome;
    uint64_t seen, finished;
};

static enum err on_chunk(void *ctx, const struct chat_chunk *chunk)
{
    struct store *s = ctx;
    gather_add(&s->gather, chunk);
    return OK;
}

static enum err take_data(struct store *s, struct slice data)
{
    struct event_look look;
    enum err e = gemini_look(SLICE_NONE, data, &look);
    if (e || look.is_error) {
        return e ? e : E_SYNTAX;
    }
    if (look.usage.len) {
        gemini_read_usage(look.usage, &s->outcome.usage);
    }
    s->seen |= look.seen;
    s->finished |= look.finished;
    return gemini_decode_event(&s->decoder, data);
}

static enum err take_event(void *ctx, const struct sse_event *event)
{
    struct slice data = slice_trim(event->data);
    return data.len ? take_data(ctx, data) : OK;
}

/* The form without alt=sse: a list of what the events would hold. */
static enum err take_list(struct store *s, struct slice list)
{
    struct span_cursor c;
    struct span m;
    enum span_step step;
    enum err e = span_open(&c, list);
    while (!e && (step = span_next(&c, &m)) != SPAN_END) {
        e = step == SPAN_BAD ? (enum err)c.failed : take_data(s, m.value);
    }
    return e;
}

enum err gemini_to_body(struct arena *a, enum chat_operation op, struct slice events,
                        struct slice *out_body)
{
    struct store s = {.gather = {.arena = a}};
    struct slice text = slice_trim(events);
    (void)op;
    s.decoder = (struct stream_decoder){.scratch = a,
                                        .arena = a,
                                        .outcome = &s.outcome,
                                        .state = arena_zalloc(a, GEMINI_DECODER_BYTES),
                                        .on_chunk = on_chunk,
                                        .ctx = &s};
    if (!s.decoder.state) {
        return E_NOMEM;
    }
    bool is_list = text.len && text.ptr[0] == '[';
    enum err e = is_list ? take_list(&s, text) : events_walk(a, events, take_event, &s);
    if (!e && (!s.seen || s.seen != s.finished || s.seen >> 63)) {
        e = E_SYNTAX; /* it was cut */
    }
    e = e ? e : gemini_decode_end(&s.decoder);
    const struct chat_response *answer = e ? NULL : gather_answer(&s.gather);
    if (e || !answer) {
        return e ? e : E_NOMEM;
    }
    return gemini_encode_response(a, answer, NULL, out_body);
}

/* --- a body to events --------------------------------------------------------------------------
 */

/* A whole answer is a stream of one event; line ends inside it are white space. */
enum err gemini_to_events(struct arena *a, enum chat_operation op, struct slice body,
                          bool wants_usage, struct slice *out_events)
{
    struct event_look look;
    struct text t = text_growing(a);
    struct slice text = slice_trim(body);
    struct span_fault unused;
    (void)op;
    (void)wants_usage; /* every stream tells it */
    if (spans_check(text, &unused) || gemini_look(SLICE_NONE, text, &look) || look.is_error ||
        !look.seen) {
        return E_SYNTAX;
    }
    TEXT_ADD(&t, "data: ");
    text_add(&t, text);
    for (size_t i = 0; i < t.len; i++) {
        if (t.ptr[i] == '\n' || t.ptr[i] == '\r') {
            t.ptr[i] = ' ';
        }
    }
    TEXT_ADD(&t, "\r\n\r\n");
    *out_events = text_slice(&t);
    return t.is_full ? E_NOMEM : OK;
}
