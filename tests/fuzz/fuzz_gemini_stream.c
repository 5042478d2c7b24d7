/* Properties: in whatever pieces a stream comes, the same bytes and facts come out, to clients of
 * the same dialect (as SSE and as one JSON array) and of three others, and from OpenAI's and
 * Anthropic's to Gemini's; nothing follows the terminal event, and the end is clean only if it was
 * seen. An array that ended, or that a fault ended, is closed, and JSON where it was translated.
 * What is written for Gemini's clients tells the finish and the usage in its last event alone. A
 * stored stream that becomes a body becomes a stream again. */
#include "dialect/dialect.h"
#include "wire/json.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const struct dialect *provider, *client;
    bool is_array;
} modes[] = {
    {&dialect_gemini, &dialect_gemini, false},    {&dialect_gemini, &dialect_gemini, true},
    {&dialect_gemini, &dialect_openai, false},    {&dialect_gemini, &dialect_anthropic, false},
    {&dialect_gemini, &dialect_own, false},       {&dialect_openai, &dialect_gemini, false},
    {&dialect_anthropic, &dialect_gemini, false}, {&dialect_openai, &dialect_gemini, true},
};

struct seen {
    struct text bytes;
    struct outcome outcome;
    struct dialect_stream *stream;
    size_t terminals;
    enum err end;
};

static enum err on_bytes(void *ctx, struct slice bytes, unsigned flags)
{
    struct seen *seen = ctx;
    assert(seen->terminals == 0 && bytes.len);
    text_add(&seen->bytes, bytes);
    seen->terminals += (flags & STREAM_TERMINAL) != 0;
    return OK;
}

static void render_last(void *ctx, struct text *out)
{
    const struct seen *seen = ctx;
    text_add_json_string(out, dialect_stream_text(seen->stream));
}

static void run(struct arena *a, struct slice in, size_t mode, size_t step, struct seen *seen)
{
    *seen = (struct seen){.bytes = text_growing(a)};
    const struct stream_options o = {.provider = modes[mode].provider,
                                     .client = modes[mode].client,
                                     .is_array = modes[mode].is_array,
                                     .event_max_bytes = 65536,
                                     .gathers = true,
                                     .on_bytes = on_bytes,
                                     .ctx = seen,
                                     .render_last = render_last};
    enum err e = dialect_stream_new(a, &o, &seen->outcome, &seen->stream);
    assert(e == OK);
    for (size_t i = 0; i < in.len && !e; i += step) {
        e = dialect_stream_feed(seen->stream, slice_head(slice_from(in, i), step));
    }
    seen->end = e ? e : dialect_stream_end(seen->stream);
    assert((seen->end == OK) <= (seen->terminals == 1));
    const struct usage *u = &seen->outcome.usage;
    assert(u->input >= 0 && u->output >= 0 && u->cache_read >= 0 && u->reasoning >= 0 &&
           u->cache_write_5m >= 0 && u->cache_write_1h >= 0);
}

/* However it ended; is_written: it was translated. */
static void check_array(struct seen *seen, bool is_written)
{
    const struct fault f = {.kind = FAULT_UPSTREAM};
    struct span_fault unused;
    if (seen->terminals == 0) {
        dialect_stream_fault(seen->stream, &f, &seen->bytes);
    }
    struct slice text = text_slice(&seen->bytes);
    assert(slice_starts(text, SLICE("[")) && slice_ends(text, SLICE("\r\n]")));
    if (is_written) { /* what passes as it came is as good as it came */
        enum err e = spans_check(text, &unused);
        assert(e == OK || e == E_LIMIT);
    }
}

/* Of a stream written for Gemini's clients that ended cleanly. */
static void check_form(struct arena *a, struct slice events)
{
    while (events.len) {
        struct slice event = slice_head(events, slice_search(events, SLICE("\r\n\r\n")));
        yyjson_val *root;
        events = slice_from(events, event.len + 4);
        enum err e = json_parse(a, slice_from(event, 6), &root, NULL);
        if (e) {
            assert(e == E_LIMIT); /* arguments that are as deep as they may be */
            continue;
        }
        yyjson_val *first = yyjson_arr_get_first(json_get(root, "candidates"));
        bool is_last = events.len == 0;
        assert(is_last == (json_get(first, "finishReason") != NULL));
        assert(is_last == (json_get(root, "usageMetadata") != NULL));
    }
}

static void store(struct arena *a, struct slice in)
{
    struct slice body, events;
    if (dialect_events_to_body(a, &dialect_gemini, CHAT_OP_CHAT, in, &body)) {
        return;
    }
    enum err e = dialect_body_to_events(a, &dialect_gemini, CHAT_OP_CHAT, body, true, &events);
    assert(e == OK || e == E_SYNTAX); /* too deep by what is around it */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    if (size == 0 || size > 32768) {
        return 0;
    }
    for (size_t mode = 0; mode < ARRAY_LEN(modes); mode++) {
        struct arena a;
        struct seen whole, bytes, pieces;
        arena_init(&a, NULL, (size_t)512 << 20);
        run(&a, in, mode, size, &whole);
        run(&a, in, mode, 1, &bytes);
        run(&a, in, mode, 2 + data[0] % 61, &pieces);
        assert(slice_eq(text_slice(&whole.bytes), text_slice(&bytes.bytes)));
        assert(slice_eq(text_slice(&whole.bytes), text_slice(&pieces.bytes)));
        assert(whole.end == bytes.end && whole.end == pieces.end);
        assert(memcmp(&whole.outcome.usage, &bytes.outcome.usage, sizeof(struct usage)) == 0);
        assert(whole.outcome.output_bytes == pieces.outcome.output_bytes);
        if (modes[mode].is_array) {
            check_array(&whole, mode != 1);
        } else if (mode >= 5 && whole.end == OK) {
            check_form(&a, text_slice(&whole.bytes));
        } else if (mode == 0) {
            store(&a, in);
        }
        arena_deinit(&a);
    }
    return 0;
}
