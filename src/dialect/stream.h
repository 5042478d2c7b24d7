/* dialect/stream.h -- private to src/dialect: what the stream engine asks of a dialect. */
#ifndef DIALECT_STREAM_H
#define DIALECT_STREAM_H

#include "dialect/dialect.h"
#include "wire/sse.h"

/* What differs between events that tell the same otherwise. */
enum look_gap_kind {
    LOOK_GAP_TEXT,   /* the inside of a string that output_bytes counts */
    LOOK_GAP_FILLER, /* the inside of a string that nothing looks at */
    LOOK_GAP_NUMBER  /* a whole number that nothing looks at */
};

enum { LOOK_GAPS_MAX = 4 };

struct look_gap {
    struct slice bytes;
    enum look_gap_kind kind;
};

/* What one event of a provider says, found without building a tree. Slices are borrowed from its
 * data. */
struct event_look {
    bool is_done;          /* the terminal event */
    bool is_error;         /* an error object */
    struct slice error;    /* its message, as JSON text with quotes where it is a string */
    struct slice model;    /* unquoted; only when it has no escape */
    struct slice id;       /* by which a later request may name the answer; as model */
    struct slice usage;    /* the usage object; empty when absent or null */
    struct slice hideable; /* bytes of data to leave out so that no usage is seen; empty: none */
    bool is_usage_only;    /* nothing else in it */
    bool is_usage_early;   /* usage tells the prompt; the answer's tokens come later */
    uint64_t seen;         /* bit i: choice i is in it; bit 63 stands for all from 63 on */
    uint64_t finished;     /* bit i: choice i ends here */
    enum chat_finish finish;
    size_t choice_count;
    int64_t output_bytes;                /* of content, escapes counted as spelled */
    struct look_gap gaps[LOOK_GAPS_MAX]; /* in their order in data */
    size_t gap_count;                    /* more than the maximum: the rest is not listed */
};

/* bytes differ from event to event, and what else the event tells does not depend on them. */
static inline void look_add_gap(struct event_look *look, struct slice bytes,
                                enum look_gap_kind kind)
{
    size_t i = look->gap_count++;
    if (i >= LOOK_GAPS_MAX) {
        return;
    }
    for (; i && look->gaps[i - 1].bytes.ptr > bytes.ptr; i--) {
        look->gaps[i] = look->gaps[i - 1];
    }
    look->gaps[i] = (struct look_gap){bytes, kind};
}

/* A string that the model said. */
static inline void look_add_text(struct event_look *look, struct slice inside)
{
    look->output_bytes += (int64_t)inside.len;
    look_add_gap(look, inside, LOOK_GAP_TEXT);
}

struct stream_encoder {
    const struct stream_options *options;
    struct text *text;       /* of choice 0 so far; the encoder appends */
    struct arena *scratch;   /* reset after each event */
    struct arena *arena;     /* the exchange's: what must outlive an event */
    struct outcome *outcome; /* complete up to the chunk at hand */
    void *state;             /* encoder_bytes of it, zeroed at the start */
};

/* What was written for a chunk goes to the client; nothing where nothing was. */
static inline enum err stream_send(const struct stream_encoder *e, const struct text *t,
                                   unsigned flags)
{
    if (t->is_full || e->text->is_full) {
        return E_NOMEM;
    }
    return t->len ? e->options->on_bytes(e->options->ctx, text_slice(t), flags) : OK;
}

/* Copies a text that is needed after its event; an empty one leaves *to. */
static inline enum err stream_keep(const struct stream_encoder *e, struct slice text,
                                   struct slice *to)
{
    if (text.len) {
        *to = arena_dup(e->arena, text);
    }
    return !text.len || to->ptr ? OK : E_NOMEM;
}

struct stream_decoder {
    struct arena *scratch;         /* reset after each event */
    struct arena *arena;           /* the exchange's */
    const struct outcome *outcome; /* the event at hand is noted in it */
    void *state;                   /* decoder_bytes of it, zeroed at the start */
    bool is_first;                 /* nothing came before */
    struct slice provider;         /* the dialect's name */
    chat_chunk_fn on_chunk;
    void *ctx;
};

/* A chunk that holds what the provider said in its own form. */
static inline enum err stream_pass(const struct stream_decoder *d, struct chat_chunk *chunk)
{
    chunk->provider = d->provider;
    return d->on_chunk(d->ctx, chunk);
}

/* A piece of text, if it is one; number: of the thought or call. */
static inline enum err stream_pass_text(const struct stream_decoder *d, enum chat_chunk_kind kind,
                                        int number, struct slice text)
{
    struct chat_chunk chunk = {.kind = kind, .text = text};
    if (kind == CHAT_CHUNK_THINKING) {
        chunk.block = number;
    } else {
        chunk.tool = number;
    }
    return text.len ? stream_pass(d, &chunk) : OK;
}

/* How the bytes of a stream are cut into events. What cuts hands out events alike: name and data,
 * or an error that the framing itself tells. A dialect that is not framed as SSE has no client
 * side: its streams are always translated. */
enum stream_framing {
    STREAM_FRAMING_SSE = 0,     /* text/event-stream, wire/sse.h */
    STREAM_FRAMING_EVENTSTREAM, /* application/vnd.amazon.eventstream, wire/eventstream.h */
    STREAM_FRAMING_LINES        /* application/x-ndjson, wire/lines.h */
};

struct dialect_events {
    enum stream_framing framing;
    /* --- provider side --- */
    /* E_SYNTAX: the data is not this dialect's. */
    enum err (*look)(struct slice name, struct slice data, struct event_look *out);
    /* What the usage object tells replaces what usage says; what it does not tell, stays where the
     * dialect tells its usage in pieces. */
    void (*read_usage)(struct slice object, struct usage *usage);
    /* The message inside event_look.error; arena. */
    struct slice (*read_error)(struct arena *a, struct slice error);
    /* One event that is no error as chunks, in order. */
    enum err (*decode)(struct stream_decoder *decoder, struct slice data);
    /* The provider's stream ended as its framing says, before CHAT_CHUNK_END; NULL: nothing is left
     * to say. */
    enum err (*decode_end)(struct stream_decoder *decoder);
    size_t decoder_bytes;
    struct slice done;   /* the terminal event, made when a provider leaves it out; empty: it tells
                            more than that, and cannot be made */
    bool lacks_terminal; /* the dialect has no terminal event (Gemini): the one that finishes the
                            last choice is held until the end and stands for it */
    /* --- client side --- */
    /* A chunk as bytes through options->on_bytes. NULL: only for the same dialect. */
    enum err (*encode)(struct stream_encoder *encoder, const struct chat_chunk *chunk);
    size_t encoder_bytes;
    /* --- stored answers --- */
    enum err (*to_body)(struct arena *a, enum chat_operation op, struct slice events,
                        struct slice *out_body);
    enum err (*to_events)(struct arena *a, enum chat_operation op, struct slice body,
                          bool wants_usage, struct slice *out_events);
};

/* Runs the whole stream in events through on_event; E_SYNTAX when it does not end cleanly. */
MUST_USE enum err events_walk(struct arena *a, struct slice events, sse_event_fn on_event,
                              void *ctx);

/* gather.c: chunks put together to a whole answer. */
struct gather {
    struct arena *arena; /* borrowed */
    struct gather_choice *choices;
    struct chat_response answer;
    bool is_failed; /* memory ended, or there are too many choices */
};
void gather_add(struct gather *g, const struct chat_chunk *chunk);
const struct chat_response *gather_answer(struct gather *g); /* NULL: failed */

#endif
