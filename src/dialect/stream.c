/* The stream engine: events of a provider to bytes for a client.
 *
 *   same dialect   events pass as they are; neighbours in the input go out in one call
 *   two dialects   event -> chunks -> bytes, through the scratch arena, reset after each event
 *
 * How bytes are cut into events is the provider's framing (struct dialect_events); only SSE passes
 * as it is.
 *
 * The terminal event always goes out alone, so that the books are closed before it is sent. Where
 * the dialect has none, the event that finishes the last choice is held until the stream ends, and
 * stands for it.
 *
 * A client that reads one JSON array gets each event's data as its next element; the bracket that
 * closes it is the terminal event then.
 */
#include "dialect/stream.h"

#include "core/check.h"
#include "dialect/event_template.h"
#include "wire/eventstream.h"
#include "wire/lines.h"

#include <assert.h>

enum {
    SCRATCH_PER_EVENT_BYTE = 16,
    SCRATCH_LEAST_BYTES = 65536,
    TEMPLATE_MISSES_MAX = 16 /* so many texts in a row that did not fit: nothing is learnt then */
};

/* What only two dialects need: most streams pass as they are, and thousands of them wait at once.
 */
struct translation {
    struct text text; /* of choice 0 */
    struct stream_encoder encoder;
    struct stream_decoder decoder;
    struct gather gather; /* the whole answer, where options.gathers */
};

/* First what every event needs: with thousands of streams each cache line is one more to wait for
 * (attempt_warm() has them fetched). */
struct dialect_stream {
    struct slice in;         /* input of the feed at hand: raw bytes in it last till its end */
    struct slice run;        /* events that pass, side by side in `in`, not yet sent */
    struct outcome *outcome; /* borrowed */
    uint64_t seen, finished; /* choices, as in struct event_look */
    unsigned run_flags;
    unsigned template_misses;       /* events with text since one fitted */
    bool is_between;                /* same dialect: the next byte begins an event */
    bool is_missed;                 /* the template does not fit the event at hand */
    bool is_over;                   /* the terminal event went out */
    bool is_ending;                 /* dialect_stream_end(): the event at hand may lack its blank
                                       line */
    bool is_begun, is_closed;       /* options.is_array: its brackets went out */
    struct stream_options o;        /* first what every event needs of it */
    struct event_template template; /* same dialect: of the event before */
    union {
        struct sse sse;
        struct eventstream frames;
        struct lines lines;
    } cutter;                        /* of the provider's framing */
    struct arena *arena;             /* the exchange's */
    struct arena scratch;            /* holds nothing between calls */
    struct translation *translation; /* NULL: the same dialect */
    struct text held; /* same dialect, without a terminal event: what stands for one */
    unsigned held_flags;
    stream_bytes_fn on_bytes; /* options.is_array: the gateway's, behind send_element() */
    void *ctx;
};

/* --- one JSON array ----------------------------------------------------------------------------
 */

static enum err send_data(struct dialect_stream *s, struct slice data, unsigned flags)
{
    struct text t = text_growing(&s->scratch);
    if (s->is_closed) {
        return OK;
    }
    text_add(&t, s->is_begun ? SLICE(",\r\n") : SLICE("["));
    text_add(&t, data);
    s->is_closed = flags & (STREAM_TERMINAL | STREAM_ERROR);
    text_add(&t, s->is_closed ? SLICE("\r\n]") : SLICE_NONE);
    s->is_begun = true;
    return t.is_full ? E_NOMEM : s->on_bytes(s->ctx, text_slice(&t), flags);
}

/* The data of the provider's event; scratch holds nothing after it. */
static enum err relay_element(struct dialect_stream *s, struct slice data, unsigned flags)
{
    enum err e = send_data(s, data, flags);
    arena_reset(&s->scratch);
    return e;
}

/* What an encoder writes, one event a call, as the array's next element. */
static enum err send_element(void *ctx, struct slice event, unsigned flags)
{
    struct dialect_stream *s = ctx;
    struct slice data = slice_trim(event);
    return send_data(s, slice_starts(data, SLICE("data:")) ? slice_trim(slice_from(data, 5)) : data,
                     flags);
}

void dialect_stream_fault(const struct dialect_stream *s, const struct fault *f, struct text *out)
{
    if (!s->o.is_array) {
        s->o.client->render_stream_fault(f, out);
        return;
    }
    int status = 0;
    char none[64];
    if (s->is_closed) {
        return;
    }
    struct text headers = text_in(none, sizeof(none));
    text_add(out, s->is_begun ? SLICE(",\r\n") : SLICE("["));
    s->o.client->render_fault(f, &status, out, &headers);
    TEXT_ADD(out, "\r\n]");
}

/* --- bytes as they are -------------------------------------------------------------------------
 */

static enum err flush(struct dialect_stream *s)
{
    struct slice run = s->run;
    unsigned flags = s->run_flags;
    s->run = SLICE_NONE;
    s->run_flags = 0;
    return run.len ? s->o.on_bytes(s->o.ctx, run, flags) : OK;
}

/* Sends bytes of the input, now or with their neighbours. */
static HOT enum err pass(struct dialect_stream *s, struct slice bytes, unsigned flags)
{
    bool is_input =
        s->in.len && bytes.ptr >= s->in.ptr && (size_t)(bytes.ptr - s->in.ptr) < s->in.len;
    if (is_input && s->run.len && s->run.ptr + s->run.len == bytes.ptr) {
        s->run.len += bytes.len;
        s->run_flags |= flags;
        return OK;
    }
    enum err e = flush(s);
    if (e || bytes.len == 0) {
        return e;
    }
    s->run = bytes;
    s->run_flags = flags;
    return is_input ? OK : flush(s); /* the tail's buffer moves on */
}

static enum err pass_alone(struct dialect_stream *s, struct slice bytes, unsigned flags)
{
    enum err e = flush(s);
    return e ? e : s->o.on_bytes(s->o.ctx, bytes, flags);
}

static HOT void note_output(struct dialect_stream *s, uint64_t choices, int64_t bytes)
{
    struct outcome *out = s->outcome;
    s->seen |= choices;
    if (bytes) {
        out->output_bytes = i64_add_sat(out->output_bytes, bytes);
        out->output_events++;
        out->has_content = true;
    }
}

/* What the event says goes into the outcome; the last usage counts (some report on every event). */
static HOT enum err note(struct dialect_stream *s, const struct event_look *look)
{
    struct outcome *out = s->outcome;
    note_output(s, look->seen, look->output_bytes);
    s->finished |= look->finished;
    if (look->finish != CHAT_FINISH_NONE) {
        out->finish = look->finish;
    }
    if (look->usage.len) {
        struct usage usage = out->usage;
        s->o.provider->events->read_usage(look->usage, &usage);
        if (usage.is_known) {
            out->usage = usage;
            out->has_usage = out->has_usage || !look->is_usage_early;
            out->has_prompt_usage = true;
        }
    }
    if (look->model.len && !out->model.len) {
        out->model = arena_dup(s->arena, look->model);
        if (!out->model.ptr) {
            return E_NOMEM;
        }
    }
    if (look->id.len && !out->kept_id.len) {
        out->kept_id = arena_dup(s->arena, look->id);
        if (!out->kept_id.ptr) {
            return E_NOMEM;
        }
    }
    if (look->is_error && !out->is_error) {
        out->is_error = true;
        out->error = s->o.provider->events->read_error(s->arena, look->error);
    }
    return OK;
}

static HOT enum err pass_without(struct dialect_stream *s, struct slice raw, struct slice hide,
                                 unsigned flags)
{
    const char *rest = hide.ptr + hide.len;
    enum err err = pass(s, slice_of(raw.ptr, (size_t)(hide.ptr - raw.ptr)), flags);
    return err ? err : pass(s, slice_of(rest, (size_t)(raw.ptr + raw.len - rest)), flags);
}

/* Without the hideable bytes. Data of one line lies in raw and is cut there; data of several lines
 * is written anew on one. */
static enum err pass_hidden(struct dialect_stream *s, const struct sse_event *e, struct slice data,
                            struct slice hide, unsigned flags)
{
    if (e->data_lines == 1) {
        return pass_without(s, e->raw, hide, flags);
    }
    struct text t = text_growing(&s->scratch);
    size_t before = (size_t)(hide.ptr - data.ptr);
    TEXT_ADD(&t, "data: ");
    text_add(&t, slice_head(data, before));
    text_add(&t, slice_from(data, before + hide.len));
    for (size_t i = 0; i < t.len; i++) {
        if (t.ptr[i] == '\n') {
            t.ptr[i] = ' '; /* between tokens; strings hold none */
        }
    }
    TEXT_ADD(&t, "\n\n");
    enum err err = t.is_full ? E_NOMEM : pass_alone(s, text_slice(&t), flags);
    arena_reset(&s->scratch);
    return err;
}

static bool has_blank_line(struct slice raw)
{
    return slice_ends(raw, SLICE("\n\n")) || slice_ends(raw, SLICE("\r\r")) ||
           slice_ends(raw, SLICE("\n\r\n")) || slice_ends(raw, SLICE("\n\r")) ||
           slice_ends(raw, SLICE("\r\n\n"));
}

/* The terminal event lacks its blank line: the dialect's own, or, where it tells more than that
 * the stream ends, the same with one. */
static enum err finish_unended(struct dialect_stream *s, struct slice raw)
{
    struct slice done = s->o.provider->events->done;
    struct text t = text_growing(&s->scratch);
    if (done.len == 0) {
        text_add(&t, raw);
        text_add(&t, slice_ends(raw, SLICE("\n")) ? SLICE("\n") : SLICE("\n\n"));
        done = text_slice(&t);
    }
    enum err e = t.is_full ? E_NOMEM : pass_alone(s, done, STREAM_TERMINAL);
    arena_reset(&s->scratch);
    return e;
}

static enum err finish_same(struct dialect_stream *s, struct slice raw)
{
    s->is_over = true;
    s->outcome->is_complete = true;
    return has_blank_line(raw) ? pass_alone(s, raw, STREAM_TERMINAL) : finish_unended(s, raw);
}

static bool is_finished(const struct dialect_stream *s)
{
    return s->seen && s->finished == s->seen && !(s->seen >> 63);
}

/* What was held was not the last. */
static enum err release(struct dialect_stream *s)
{
    struct slice bytes = text_slice(&s->held);
    s->held.len = 0;
    return bytes.len ? pass_alone(s, bytes, s->held_flags) : OK;
}

static enum err hold(struct dialect_stream *s, struct slice raw, unsigned flags)
{
    text_add(&s->held, raw);
    if (!has_blank_line(raw)) {
        TEXT_ADD(&s->held, "\n\n"); /* the stream ended without */
    }
    s->held_flags = flags;
    return s->held.is_full ? E_NOMEM : OK;
}

/* Unknown fields are to be ignored (WHATWG HTML 9.2.6), but a page or a bare JSON body is no event
 * stream. */
static bool is_foreign(struct slice odd)
{
    struct slice line = slice_trim(odd);
    return slice_find(line, ':') == line.len || strchr("<{[", line.ptr[0]) != NULL;
}

/* A line that names itself an error instead of a field (older llama.cpp). */
static enum err note_odd_error(struct dialect_stream *s, struct slice odd)
{
    const struct event_look look = {.is_error = true, .error = slice_trim(slice_from(odd, 6))};
    return note(s, &look);
}

/* No data: comments, stray lines and unknown fields pass. */
static enum err relay_other(struct dialect_stream *s, const struct sse_event *e)
{
    if (slice_starts(e->odd, SLICE("error:"))) {
        enum err err = note_odd_error(s, e->odd);
        return err ? err : pass_alone(s, e->raw, STREAM_ERROR);
    }
    if (e->odd.len && is_foreign(e->odd)) {
        return E_SYNTAX;
    }
    if (s->o.is_array) {
        return OK; /* no data, no element */
    }
    if (s->held.len) { /* a comment behind the last event */
        text_add(&s->held, e->raw);
        return s->held.is_full ? E_NOMEM : OK;
    }
    return pass(s, e->raw, 0);
}

/* An event of the dialect that has no terminal one. */
static HOT enum err relay_unended(struct dialect_stream *s, const struct sse_event *e,
                                  struct slice data, unsigned flags)
{
    if (s->o.is_array) {
        return relay_element(s, data, flags);
    }
    enum err err = release(s);
    if (!err && is_finished(s)) {
        return hold(s, e->raw, flags);
    }
    return err ? err : pass(s, e->raw, flags);
}

/* Events that differ from the one before in their text alone; those that *in begins with. */
static HOT enum err relay_known(struct dialect_stream *s, struct slice *in)
{
    enum err e = OK;
    while (!e && in->len && !s->is_over) {
        struct event_fit fit = event_template_fit(&s->template, *in);
        if (fit.len == 0 || fit.len > s->o.event_max_bytes) {
            s->is_missed = event_template_is_learnt(&s->template);
            break;
        }
        struct slice raw = slice_head(*in, fit.len);
        unsigned flags = fit.output_bytes ? STREAM_CONTENT : 0;
        s->template_misses = 0;
        note_output(s, s->template.choices, fit.output_bytes);
        e = s->o.hides_usage && fit.hideable.len ? pass_without(s, raw, fit.hideable, flags)
                                                 : pass(s, raw, flags);
        *in = slice_from(*in, fit.len);
    }
    return e;
}

static void learn(struct dialect_stream *s, const struct sse_event *e,
                  const struct event_look *look)
{
    if (look->output_bytes && s->template_misses < TEMPLATE_MISSES_MAX && e->data_lines == 1 &&
        !e->odd.len) {
        s->template_misses += s->is_missed;
        event_template_learn(&s->template, s->arena, e->raw, look);
    }
}

static HOT enum err relay_event(void *ctx, const struct sse_event *e)
{
    struct dialect_stream *s = ctx;
    struct slice data = slice_trim(e->data);
    struct event_look look;
    if (s->is_over) {
        return OK; /* nothing counts after the terminal event */
    }
    if (e->data_lines == 0) {
        return relay_other(s, e);
    }
    if (data.len == 0) {
        return s->o.is_array ? OK : pass(s, e->raw, 0);
    }
    enum err err = s->o.provider->events->look(e->name, data, &look);
    if (err) {
        return err;
    }
    err = note(s, &look);
    if (err || look.is_done) {
        return err ? err : finish_same(s, e->raw);
    }
    if (look.is_error) {
        err = release(s);
        return err             ? err
               : s->o.is_array ? relay_element(s, data, STREAM_ERROR)
                               : pass_alone(s, e->raw, STREAM_ERROR);
    }
    unsigned flags = look.output_bytes ? STREAM_CONTENT : 0;
    if (s->o.provider->events->lacks_terminal) {
        return relay_unended(s, e, data, flags);
    }
    learn(s, e, &look);
    if (s->o.hides_usage && look.is_usage_only) {
        return OK;
    }
    err = s->o.hides_usage && look.hideable.len ? pass_hidden(s, e, data, look.hideable, flags)
                                                : pass(s, e->raw, flags);
    return err || !s->is_ending || has_blank_line(e->raw) ? err : pass(s, SLICE("\n\n"), 0);
}

/* Only the decoder remembers whether earlier events called tools (Gemini and Ollama have no word
 * for it) or whether the call was the answer. */
static void note_finish(struct outcome *out, enum chat_finish finish)
{
    bool is_whole = out->finish == CHAT_FINISH_STOP || out->finish == CHAT_FINISH_TOOL_CALLS;
    if (is_whole && (finish == CHAT_FINISH_STOP || finish == CHAT_FINISH_TOOL_CALLS)) {
        out->finish = finish;
    }
}

static enum err on_chunk(void *ctx, const struct chat_chunk *given)
{
    struct dialect_stream *s = ctx;
    struct chat_chunk named = *given;
    const struct chat_chunk *chunk = &named;
    if (named.kind == CHAT_CHUNK_START) { /* where the provider does not say */
        named.id = named.id.len ? named.id : s->o.id;
        named.model = named.model.len || s->outcome->model.len ? named.model : s->o.model;
    }
    if (chunk->kind == CHAT_CHUNK_FINISH && chunk->choice == 0) {
        note_finish(s->outcome, chunk->finish);
    }
    if (chunk->kind == CHAT_CHUNK_END) {
        s->is_over = true;
        s->outcome->is_complete = true;
    }
    if (s->o.gathers) {
        gather_add(&s->translation->gather, chunk);
    }
    return s->o.client->events->encode(&s->translation->encoder, chunk);
}

static enum err translate_data(struct dialect_stream *s, struct slice name, struct slice data)
{
    struct event_look look;
    bool was_error = s->outcome->is_error;
    enum err err = s->o.provider->events->look(name, data, &look);
    if (!err) {
        err = note(s, &look);
    }
    if (!err && look.is_error && was_error) {
        return OK; /* said again in other words: Responses tells it twice */
    }
    if (!err && look.is_error) {
        const struct chat_chunk chunk = {.kind = CHAT_CHUNK_ERROR, .text = s->outcome->error};
        err = on_chunk(s, &chunk);
    } else if (!err) {
        err = s->o.provider->events->decode(&s->translation->decoder, data);
        s->translation->decoder.is_first = false;
    }
    arena_reset(&s->scratch);
    return err;
}

/* The error that was noted goes out, unless noting it failed. */
static enum err translate_error(struct dialect_stream *s, enum err noted)
{
    const struct chat_chunk chunk = {.kind = CHAT_CHUNK_ERROR, .text = s->outcome->error};
    enum err err = noted ? noted : on_chunk(s, &chunk);
    arena_reset(&s->scratch);
    return err;
}

static enum err translate_event(void *ctx, const struct sse_event *e)
{
    struct dialect_stream *s = ctx;
    struct slice data = slice_trim(e->data);
    if (s->is_over) {
        return OK;
    }
    if (data.len) {
        return translate_data(s, e->name, data);
    }
    if (!slice_starts(e->odd, SLICE("error:"))) {
        return e->odd.len && is_foreign(e->odd) ? E_SYNTAX : OK;
    }
    return translate_error(s, note_odd_error(s, e->odd));
}

/* A frame that says of itself that it is an error names its kind where it says nothing else. */
static enum err translate_frame(void *ctx, const struct eventstream_frame *f)
{
    struct dialect_stream *s = ctx;
    struct slice data = slice_trim(f->payload);
    if (s->is_over) {
        return OK;
    }
    if (f->kind == EVENTSTREAM_EVENT) {
        return data.len ? translate_data(s, f->name, data) : OK;
    }
    const struct event_look look = {.is_error = true, .error = data.len > 2 ? data : f->name};
    return translate_error(s, note(s, &look));
}

static enum err translate_line(void *ctx, struct slice line)
{
    struct dialect_stream *s = ctx;
    return s->is_over ? OK : translate_data(s, SLICE_NONE, line);
}

/* --- framings ----------------------------------------------------------------------------------
 */

static void begin_cutting(struct dialect_stream *s, bool is_same)
{
    size_t max = s->o.event_max_bytes;
    switch (s->o.provider->events->framing) {
    case STREAM_FRAMING_SSE:
        sse_init(&s->cutter.sse, s->arena, max, is_same ? relay_event : translate_event, s);
        break;
    case STREAM_FRAMING_EVENTSTREAM:
        assert(!is_same);
        eventstream_init(&s->cutter.frames, s->arena, max, translate_frame, s);
        break;
    case STREAM_FRAMING_LINES:
        assert(!is_same);
        lines_init(&s->cutter.lines, s->arena, max, translate_line, s);
        break;
    }
}

/* Reads *in, of SSE up to the end of an event. */
static HOT enum err cut(struct dialect_stream *s, struct slice *in)
{
    struct slice all = *in;
    if (s->o.provider->events->framing == STREAM_FRAMING_SSE) {
        return sse_feed_event(&s->cutter.sse, in);
    }
    *in = SLICE_NONE;
    return s->o.provider->events->framing == STREAM_FRAMING_LINES
               ? lines_feed(&s->cutter.lines, all)
               : eventstream_feed(&s->cutter.frames, all);
}

/* The next byte begins an event, and events may be passed without being read. */
static bool is_between_events(const struct dialect_stream *s)
{
    return !s->translation && !s->o.is_array && sse_held(&s->cutter.sse) == 0;
}

static enum err end_cutting(struct dialect_stream *s)
{
    switch (s->o.provider->events->framing) {
    case STREAM_FRAMING_SSE: return sse_end(&s->cutter.sse);
    case STREAM_FRAMING_EVENTSTREAM: return eventstream_end(&s->cutter.frames);
    case STREAM_FRAMING_LINES: return lines_end(&s->cutter.lines);
    }
    return E_UNSUPPORTED;
}

bool dialect_is_stream_type(const struct dialect *provider, struct slice content_type)
{
    static const struct slice types[] = {
        [STREAM_FRAMING_SSE] = SLICE_INIT("text/event-stream"),
        [STREAM_FRAMING_EVENTSTREAM] = SLICE_INIT("application/vnd.amazon.eventstream"),
        [STREAM_FRAMING_LINES] = SLICE_INIT("application/x-ndjson"),
    };
    struct slice type = types[provider->events->framing];
    return slice_eq_nocase(slice_head(content_type, type.len), type);
}

/* What the decoder and the encoder remember between events; false: no memory. */
static bool begin_translation(struct dialect_stream *s)
{
    const struct dialect_events *from = s->o.provider->events, *to = s->o.client->events;
    struct translation *t = ARENA_NEW(s->arena, struct translation);
    if (!t) {
        return false;
    }
    t->text = text_growing(s->arena);
    t->gather.arena = s->arena;
    t->encoder = (struct stream_encoder){.options = &s->o,
                                         .text = &t->text,
                                         .scratch = &s->scratch,
                                         .arena = s->arena,
                                         .outcome = s->outcome,
                                         .state = arena_zalloc(s->arena, to->encoder_bytes)};
    t->decoder = (struct stream_decoder){.scratch = &s->scratch,
                                         .arena = s->arena,
                                         .outcome = s->outcome,
                                         .state = arena_zalloc(s->arena, from->decoder_bytes),
                                         .is_first = true,
                                         .provider = slice_str(s->o.provider->name),
                                         .on_chunk = on_chunk,
                                         .ctx = s};
    s->translation = t;
    return t->encoder.state && t->decoder.state;
}

enum err dialect_stream_new(struct arena *a, const struct stream_options *o,
                            struct outcome *outcome, struct dialect_stream **out)
{
    struct dialect_stream *s = ARENA_NEW(a, struct dialect_stream);
    bool is_same = dialect_is_same(o->client, o->provider);
    size_t scratch;
    if (!s) {
        return E_NOMEM;
    }
    assert(o->on_bytes && o->provider->events->look);
    if (!is_same && !o->client->events->encode) {
        return E_UNSUPPORTED;
    }
    if (!size_mul(o->event_max_bytes, SCRATCH_PER_EVENT_BYTE, &scratch) ||
        !size_add(scratch, SCRATCH_LEAST_BYTES, &scratch)) {
        return E_RANGE;
    }
    s->o = *o;
    s->arena = a;
    s->outcome = outcome;
    s->held = text_growing(a);
    s->on_bytes = o->on_bytes;
    s->ctx = o->ctx;
    if (o->is_array) {
        s->o.on_bytes = send_element;
        s->o.ctx = s;
    }
    arena_init(&s->scratch, a->pool, scratch);
    *outcome = (struct outcome){.finish = CHAT_FINISH_NONE};
    if (!is_same && !begin_translation(s)) {
        return E_NOMEM;
    }
    begin_cutting(s, is_same);
    *out = s;
    return OK;
}

HOT enum err dialect_stream_feed(struct dialect_stream *s, struct slice in)
{
    enum err e = OK;
    s->in = in;
    while (!e && in.len) {
        e = s->is_between ? relay_known(s, &in) : OK;
        if (!e && in.len) {
            e = cut(s, &in);
            s->is_between = !e && is_between_events(s);
            s->is_missed = false;
        }
    }
    enum err sent = flush(s); /* what is whole goes out, whatever follows it */
    s->in = SLICE_NONE;
    return e ? e : sent;
}

static enum err end_same(struct dialect_stream *s)
{
    if (s->o.is_array) {
        s->is_over = true;
        s->outcome->is_complete = true;
        return s->on_bytes(s->ctx, SLICE("\r\n]"), STREAM_TERMINAL);
    }
    return finish_same(s, s->held.len ? text_slice(&s->held) : s->o.provider->events->done);
}

enum err dialect_stream_end(struct dialect_stream *s)
{
    s->is_ending = true;
    enum err e = end_cutting(s);
    enum err sent = flush(s);
    if (e || sent) {
        return e == E_SYNTAX || e == E_LIMIT ? E_EOF : e ? e : sent; /* half an event is a cut */
    }
    if (s->is_over) {
        return OK;
    }
    if (!is_finished(s) || s->outcome->is_error) {
        return E_EOF;
    }
    if (dialect_is_same(s->o.client, s->o.provider)) {
        return end_same(s);
    }
    struct chat_chunk chunk = {.kind = CHAT_CHUNK_END};
    const struct dialect_events *from = s->o.provider->events;
    e = from->decode_end ? from->decode_end(&s->translation->decoder) : OK;
    e = e ? e : on_chunk(s, &chunk);
    arena_reset(&s->scratch);
    return e;
}

struct slice dialect_stream_text(const struct dialect_stream *s)
{
    return s->translation ? text_slice(&s->translation->text) : SLICE_NONE;
}

const struct chat_response *dialect_stream_answer(struct dialect_stream *s)
{
    return s->o.gathers && s->translation ? gather_answer(&s->translation->gather) : NULL;
}
