/* Properties: in whatever pieces a stream comes, the same bytes and facts come out, to clients of
 * the same dialect (as SSE and as one JSON array) and of three others, and from OpenAI's and
 * Anthropic's to Gemini's; nothing follows the terminal event, and the end is clean only if it was
 * seen. An array that ended, or that a fault ended, is closed, and JSON where it was translated.
 * What is written for Gemini's clients tells the finish and the usage in its last event alone. A
 * stored stream that becomes a body becomes a stream again. */
#include "stream_cuts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AS_ARRAY = 1, FROM_OTHERS = 5 };

static const struct stream_way ways[] = {
    {.provider = &dialect_gemini, .client = &dialect_gemini},
    [AS_ARRAY] = {.provider = &dialect_gemini, .client = &dialect_gemini, .is_array = true},
    {.provider = &dialect_gemini, .client = &dialect_openai},
    {.provider = &dialect_gemini, .client = &dialect_anthropic},
    {.provider = &dialect_gemini, .client = &dialect_own},
    [FROM_OTHERS] = {.provider = &dialect_openai, .client = &dialect_gemini},
    {.provider = &dialect_anthropic, .client = &dialect_gemini},
    {.provider = &dialect_openai, .client = &dialect_gemini, .is_array = true},
};

/* However it ended; is_written: it was translated. */
static void check_array(struct stream_seen *seen, bool is_written)
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

static void check_way(struct arena *a, size_t way, struct slice in, struct stream_seen *whole)
{
    if (ways[way].is_array) {
        check_array(whole, way != AS_ARRAY);
    } else if (way >= FROM_OTHERS && whole->end == OK) {
        check_form(a, text_slice(&whole->bytes));
    } else if (way == 0) {
        store(a, in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    return stream_check_ways(in, 1, ways, ARRAY_LEN(ways), check_way);
}
