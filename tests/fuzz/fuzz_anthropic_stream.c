/* Properties: in whatever pieces a stream comes, the same bytes and facts come out, to a client of
 * the same dialect and of two others, and from OpenAI's to Anthropic's; nothing follows the
 * terminal event, and the end is clean only if it was seen. What is written for Anthropic's clients
 * has its events in order, one block open at a time. A stored stream that becomes a body becomes a
 * stream again that says the same. */
#include "dialect/dialect.h"
#include "wire/json.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MODES = 4, FROM_OPENAI = 3 };

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

static void run(struct arena *a, struct slice in, int mode, size_t step, struct seen *seen)
{
    static const struct dialect *const clients[MODES] = {&dialect_anthropic, &dialect_openai,
                                                         &dialect_own, &dialect_anthropic};
    *seen = (struct seen){.bytes = text_growing(a)};
    const struct stream_options o = {.provider =
                                         mode == FROM_OPENAI ? &dialect_openai : &dialect_anthropic,
                                     .client = clients[mode],
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
        struct slice event = slice_head(events, slice_search(events, SLICE("\n\n")));
        size_t line = slice_find(event, '\n');
        yyjson_val *root;
        assert(slice_starts(event, SLICE("event: ")));
        enum err e = json_parse(a, slice_from(event, line + 7), &root, NULL);
        assert(e == OK);
        struct slice type = json_get_string(root, "type");
        assert(slice_eq(type, slice_from(slice_head(event, line), 7)));
        check_event(&f, root, type);
        events = slice_from(events, event.len + 2);
    }
    assert(f.is_stopped);
}

/* What was written reads back as what was gathered. */
static void check_back(struct arena *a, int mode, struct seen *whole)
{
    struct seen back;
    const struct chat_response *one = dialect_stream_answer(whole->stream);
    if (whole->end || whole->outcome.is_error || mode == 2 || !one) {
        return;
    }
    run(a, text_slice(&whole->bytes), mode == FROM_OPENAI ? 1 : FROM_OPENAI, 4096, &back);
    assert(back.end == OK || back.end == E_LIMIT || back.end == E_SYNTAX);
    if (back.end == OK) {
        assert(slice_eq(dialect_stream_text(whole->stream), dialect_stream_text(back.stream)));
    }
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    if (size == 0 || size > 32768) {
        return 0;
    }
    for (int mode = 0; mode < MODES; mode++) {
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
        if (mode == FROM_OPENAI && whole.end == OK && !whole.outcome.is_error) {
            check_form(&a, text_slice(&whole.bytes));
        }
        if (mode == 0) {
            check_stored(&a, in);
        } else {
            check_back(&a, mode, &whole);
        }
        arena_deinit(&a);
    }
    return 0;
}
