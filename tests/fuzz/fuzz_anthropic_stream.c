/* Properties: in whatever pieces a stream comes, the same bytes and facts come out, to a client of
 * the same dialect and of two others, and from OpenAI's to Anthropic's; nothing follows the
 * terminal event, and the end is clean only if it was seen. What is written for Anthropic's clients
 * has its events in order, one block open at a time. A stored stream that becomes a body becomes a
 * stream again that says the same. */
#include "stream_cuts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TO_OWN = 2, FROM_OPENAI };

static const struct stream_way ways[] = {
    {.provider = &dialect_anthropic, .client = &dialect_anthropic},
    {.provider = &dialect_anthropic, .client = &dialect_openai},
    [TO_OWN] = {.provider = &dialect_anthropic, .client = &dialect_own},
    [FROM_OPENAI] = {.provider = &dialect_openai, .client = &dialect_anthropic},
};

struct form {
    int64_t blocks;
    bool is_started, is_open, has_delta, is_stopped;
};

static void check_event(struct form *f, yyjson_val *root, struct slice type)
{
    int64_t index = -1;
    (void)json_i64(json_get(root, "index"), &index);
    assert(f->is_started != slice_eq(type, SLICE("message_start")) ||
           slice_eq(type, SLICE("ping")));
    assert(!f->is_stopped);
    if (slice_eq(type, SLICE("message_start"))) {
        f->is_started = true;
    } else if (slice_eq(type, SLICE("content_block_start"))) {
        assert(!f->is_open && !f->has_delta && index == f->blocks);
        f->is_open = true;
    } else if (slice_eq(type, SLICE("content_block_delta"))) {
        assert(f->is_open && index == f->blocks);
    } else if (slice_eq(type, SLICE("content_block_stop"))) {
        assert(f->is_open && index == f->blocks);
        f->is_open = false;
        f->blocks++;
    } else if (slice_eq(type, SLICE("message_delta"))) {
        assert(!f->is_open && !f->has_delta);
        f->has_delta = true;
    } else if (slice_eq(type, SLICE("message_stop"))) {
        assert(f->has_delta);
        f->is_stopped = true;
    }
}

/* Of a stream that ended cleanly, so that no error event is in it. */
static void check_form(struct arena *a, struct slice events)
{
    struct form f = {.is_started = false};
    while (events.len) {
        struct slice type;
        yyjson_val *root = stream_next(a, &events, &type);
        check_event(&f, root, type);
    }
    assert(f.is_stopped);
}

static void check_stored(struct arena *a, struct slice in)
{
    struct slice body, events, again;
    struct outcome one = {.wants_detail = true}, two = {.wants_detail = true};
    if (dialect_events_to_body(a, &dialect_anthropic, CHAT_OP_CHAT, in, &body) ||
        dialect_anthropic.observe(a, CHAT_OP_CHAT, body, &one) || one.is_empty) {
        return;
    }
    enum err e = dialect_body_to_events(a, &dialect_anthropic, CHAT_OP_CHAT, body, true, &events);
    if (e == OK && !one.is_error) {
        e = dialect_events_to_body(a, &dialect_anthropic, CHAT_OP_CHAT, events, &again);
        assert(e == OK);
        e = dialect_anthropic.observe(a, CHAT_OP_CHAT, again, &two);
        assert(e == OK && memcmp(&one.usage, &two.usage, sizeof(one.usage)) == 0);
        assert(one.finish == two.finish);
    }
}

static void check_way(struct arena *a, size_t way, struct slice in, struct stream_seen *whole)
{
    bool is_answer = whole->end == OK && !whole->outcome.is_error;
    if (way == FROM_OPENAI && is_answer) {
        check_form(a, text_slice(&whole->bytes));
    }
    if (way == 0) {
        check_stored(a, in);
    } else if (is_answer && way != TO_OWN && dialect_stream_answer(whole->stream)) {
        stream_check_back(a, &ways[way == FROM_OPENAI ? 1 : FROM_OPENAI], whole, true);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    return stream_check_ways(in, 1, ways, ARRAY_LEN(ways), check_way);
}
