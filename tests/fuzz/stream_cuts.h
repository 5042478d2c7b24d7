/* stream_cuts.h -- what holds of every stream from a provider to a client: in whatever pieces it
 * comes, the same bytes and facts come out; nothing follows the terminal event, the end is clean
 * only if it was seen, and no count is negative. */
#ifndef FUZZ_STREAM_CUTS_H
#define FUZZ_STREAM_CUTS_H

#include "dialect/dialect.h"
#include "wire/json.h"

#include <assert.h>

struct stream_way {
    const struct dialect *provider, *client;
    bool is_array, hides_usage, is_ungathered;
};

struct stream_seen {
    struct text bytes;
    struct outcome outcome;
    struct dialect_stream *stream;
    size_t terminals;
    enum err end;
};

static inline enum err stream_on_bytes(void *ctx, struct slice bytes, unsigned flags)
{
    struct stream_seen *seen = ctx;
    assert(seen->terminals == 0 && bytes.len);
    text_add(&seen->bytes, bytes);
    seen->terminals += (flags & STREAM_TERMINAL) != 0;
    return OK;
}

static inline void stream_render_last(void *ctx, struct text *out)
{
    const struct stream_seen *seen = ctx;
    text_add_json_string(out, dialect_stream_text(seen->stream));
}

/* A piece that ends with the next blank line. */
enum { STREAM_EVENTWISE = 0 };

static inline struct slice stream_piece(struct slice in, size_t step)
{
    size_t lf = slice_search(in, SLICE("\n\n")) + 2;
    size_t crlf = slice_search(in, SLICE("\n\r\n")) + 3;
    return slice_head(in, step != STREAM_EVENTWISE ? step : lf < crlf ? lf : crlf);
}

/* step: bytes of a piece, or STREAM_EVENTWISE. */
static inline void stream_run(struct arena *a, const struct stream_way *way, struct slice in,
                              size_t step, struct stream_seen *seen)
{
    *seen = (struct stream_seen){.bytes = text_growing(a)};
    const struct stream_options o = {.provider = way->provider,
                                     .client = way->client,
                                     .is_array = way->is_array,
                                     .hides_usage = way->hides_usage,
                                     .event_max_bytes = 65536,
                                     .gathers = !way->is_ungathered,
                                     .on_bytes = stream_on_bytes,
                                     .ctx = seen,
                                     .render_last = stream_render_last};
    enum err e = dialect_stream_new(a, &o, &seen->outcome, &seen->stream);
    assert(e == OK);
    for (size_t at = 0; at < in.len && !e;) {
        struct slice piece = stream_piece(slice_from(in, at), step);
        e = dialect_stream_feed(seen->stream, piece);
        at += piece.len;
    }
    seen->end = e ? e : dialect_stream_end(seen->stream);
    assert((seen->end == OK) <= (seen->terminals == 1));
    const struct usage *u = &seen->outcome.usage;
    assert(u->input >= 0 && u->output >= 0 && u->cache_read >= 0 && u->reasoning >= 0 &&
           u->cache_write_5m >= 0 && u->cache_write_1h >= 0);
}

/* Member by member: the bytes behind the last one say nothing. */
static inline bool stream_same_usage(const struct usage *x, const struct usage *y)
{
    return memcmp(x, y, offsetof(struct usage, is_known)) == 0 && x->is_known == y->is_known;
}

/* Fed whole, event by event, in pieces of `small` bytes and of `step`. *whole: what came of the
 * first, in a. */
static inline void stream_check_cuts(struct arena *a, const struct stream_way *way, struct slice in,
                                     size_t small, size_t step, struct stream_seen *whole)
{
    const size_t steps[] = {STREAM_EVENTWISE, small, step};
    stream_run(a, way, in, in.len, whole);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct stream_seen cut;
        stream_run(a, way, in, steps[i], &cut);
        assert(slice_eq(text_slice(&whole->bytes), text_slice(&cut.bytes)));
        assert(whole->end == cut.end && whole->terminals == cut.terminals);
        assert(whole->outcome.is_complete == cut.outcome.is_complete);
        assert(whole->outcome.output_bytes == cut.outcome.output_bytes);
        assert(stream_same_usage(&whole->outcome.usage, &cut.outcome.usage));
    }
}

/* What was written reads back as what was gathered; lenient: or as what is no stream. */
static inline void stream_check_back(struct arena *a, const struct stream_way *way,
                                     const struct stream_seen *whole, bool is_lenient)
{
    struct stream_seen back;
    stream_run(a, way, text_slice(&whole->bytes), 4096, &back);
    assert(back.end == OK || back.end == E_LIMIT || (is_lenient && back.end == E_SYNTAX));
    if (back.end == OK) {
        assert(slice_eq(dialect_stream_text(whole->stream), dialect_stream_text(back.stream)));
    }
}

/* The next event by tree, which is not NULL; *out_type its type, as its event: line says too. */
static inline yyjson_val *stream_next(struct arena *a, struct slice *events, struct slice *out_type)
{
    struct slice event = slice_head(*events, slice_search(*events, SLICE("\n\n")));
    size_t line = slice_find(event, '\n');
    yyjson_val *root;
    assert(slice_starts(event, SLICE("event: ")));
    enum err e = json_parse(a, slice_from(event, line + 7), &root, NULL);
    assert(e == OK);
    *out_type = json_get_string(root, "type");
    assert(slice_eq(*out_type, slice_from(slice_head(event, line), 7)));
    *events = slice_from(*events, event.len + 2);
    return root;
}

/* What else holds of one of the target's ways. */
typedef void (*stream_way_fn)(struct arena *a, size_t way, struct slice in,
                              struct stream_seen *whole);

/* Every way of a target: whole, in pieces of `small` bytes and of as many as the input chooses.
 * What the target returns. */
static inline int stream_check_ways(struct slice in, size_t small, const struct stream_way *ways,
                                    size_t count, stream_way_fn check)
{
    for (size_t way = 0; way < count && in.len && in.len <= 32768; way++) {
        struct arena a;
        struct stream_seen whole;
        arena_init(&a, NULL, (size_t)512 << 20);
        stream_check_cuts(&a, &ways[way], in, small, 2 + (unsigned char)in.ptr[0] % 61, &whole);
        check(&a, way, in, &whole);
        arena_deinit(&a);
    }
    return 0;
}

/* A provider that is always translated, to clients of five dialects. step: bytes of a piece, beside
 * whole and small ones. */
static inline void stream_check_clients(const struct dialect *provider, struct slice in,
                                        size_t step)
{
    static const struct dialect *const clients[] = {
        &dialect_openai, &dialect_anthropic, &dialect_responses, &dialect_gemini, &dialect_own};
    for (size_t i = 0; i < ARRAY_LEN(clients) && in.len; i++) {
        struct arena a;
        struct stream_seen whole;
        arena_init(&a, NULL, (size_t)512 << 20);
        stream_check_cuts(&a, &(struct stream_way){.provider = provider, .client = clients[i]}, in,
                          in.len > 4096 ? 7 : 1, step, &whole);
        arena_deinit(&a);
    }
}

/* A whole answer that can be read is one that looks like one, and tells the same usage. */
static inline void stream_check_answer(const struct dialect *provider, struct slice in)
{
    struct arena a;
    struct chat_response r;
    struct outcome o = {.wants_detail = true};
    arena_init(&a, NULL, (size_t)64 << 20);
    if (provider->decode_response(&a, in, &r) == OK) {
        enum err e = provider->observe(&a, CHAT_OP_CHAT, in, &o);
        assert(e == OK && !o.is_error);
        assert(o.has_usage == r.has_usage);
        assert(o.usage.input == r.usage.input && o.usage.output == r.usage.output);
    }
    arena_deinit(&a);
}

#endif
