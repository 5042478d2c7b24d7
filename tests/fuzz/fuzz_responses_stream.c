/* Properties: in whatever pieces a stream comes, the same bytes and facts come out, to a client of
 * the same dialect and of three others, and from the chat dialect's to this one's; nothing follows
 * the terminal event, and the end is clean only if it was seen. What is written for clients here
 * counts its events, adds items in order, ends each once, and reads back as the same text. A stored
 * stream that becomes a body becomes a stream again that says the same. */
#include "dialect/dialect.h"
#include "wire/json.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FROM_CHAT = 4, FROM_ANTHROPIC, MODES, ITEMS_KNOWN = 4096 };

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
    static const struct dialect *const clients[MODES] = {&dialect_responses, &dialect_openai,
                                                         &dialect_anthropic, &dialect_own,
                                                         &dialect_responses, &dialect_responses};
    *seen = (struct seen){.bytes = text_growing(a)};
    const struct stream_options o = {.provider = mode == FROM_CHAT        ? &dialect_openai
                                                 : mode == FROM_ANTHROPIC ? &dialect_anthropic
                                                                          : &dialect_responses,
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
    int64_t sequence, items;
    bool is_done[ITEMS_KNOWN];
};

static void check_event(struct form *f, yyjson_val *root, struct slice type)
{
    int64_t sequence = -1, index = -1;
    (void)json_i64(json_get(root, "sequence_number"), &sequence);
    (void)json_i64(json_get(root, "output_index"), &index);
    assert(sequence == f->sequence++);
    if (slice_eq(type, SLICE("response.output_item.added"))) {
        assert(index == f->items && index < ITEMS_KNOWN);
        f->items++;
    } else if (!json_get(root, "response")) {
        assert(index >= 0 && index < f->items && !f->is_done[index]);
        f->is_done[index] = slice_eq(type, SLICE("response.output_item.done"));
    }
}

/* Of a stream that ended cleanly, so that no error event is in it. */
static void check_form(struct arena *a, struct slice events)
{
    struct form *f = ARENA_NEW(a, struct form);
    assert(f);
    while (events.len) {
        struct slice event = slice_head(events, slice_search(events, SLICE("\n\n")));
        size_t line = slice_find(event, '\n');
        yyjson_val *root;
        assert(slice_starts(event, SLICE("event: ")));
        enum err e = json_parse(a, slice_from(event, line + 7), &root, NULL);
        assert(e == OK);
        struct slice type = json_get_string(root, "type");
        assert(slice_eq(type, slice_from(slice_head(event, line), 7)));
        check_event(f, root, type);
        events = slice_from(events, event.len + 2);
        yyjson_val *output = json_get(json_get(root, "response"), "output");
        assert(events.len || (int64_t)yyjson_arr_size(output) == f->items);
    }
    for (int64_t i = 0; i < f->items; i++) {
        assert(f->is_done[i]);
    }
}

/* What was written here reads back as what was gathered. */
static void check_back(struct arena *a, const struct seen *whole)
{
    struct seen back;
    run(a, text_slice(&whole->bytes), 1, 4096, &back);
    assert(back.end == OK || back.end == E_LIMIT);
    if (back.end == OK) {
        assert(slice_eq(dialect_stream_text(whole->stream), dialect_stream_text(back.stream)));
    }
}

static void check_stored(struct arena *a, struct slice in)
{
    struct slice body, events, again;
    struct outcome one = {.wants_detail = true}, two = {.wants_detail = true};
    if (dialect_events_to_body(a, &dialect_responses, CHAT_OP_CHAT, in, &body) ||
        dialect_responses.observe(a, CHAT_OP_CHAT, body, &one) || one.is_empty || one.is_error) {
        return;
    }
    if (dialect_body_to_events(a, &dialect_responses, CHAT_OP_CHAT, body, true, &events)) {
        return; /* its grammar or its bytes: a tree is stricter than a look */
    }
    if (dialect_events_to_body(a, &dialect_responses, CHAT_OP_CHAT, events, &again) == OK) {
        enum err e = dialect_responses.observe(a, CHAT_OP_CHAT, again, &two);
        assert(e == OK && memcmp(&one.usage, &two.usage, sizeof(one.usage)) == 0);
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
        run(&a, in, mode, size > 4096 ? 7 : 1, &bytes); /* large seeds are slow enough */
        run(&a, in, mode, 2 + data[0] % 61, &pieces);
        assert(slice_eq(text_slice(&whole.bytes), text_slice(&bytes.bytes)));
        assert(slice_eq(text_slice(&whole.bytes), text_slice(&pieces.bytes)));
        assert(whole.end == bytes.end && whole.end == pieces.end);
        assert(memcmp(&whole.outcome.usage, &bytes.outcome.usage, sizeof(struct usage)) == 0);
        assert(whole.outcome.output_bytes == pieces.outcome.output_bytes);
        if (mode == 0) {
            check_stored(&a, in);
        } else if (mode >= FROM_CHAT && whole.end == OK && !whole.outcome.is_error) {
            check_form(&a, text_slice(&whole.bytes));
            check_back(&a, &whole);
        }
        arena_deinit(&a);
    }
    return 0;
}
