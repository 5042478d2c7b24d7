/* Properties: in whatever pieces a stream comes, the same bytes and facts come out, to a client of
 * the same dialect and of three others, and from the chat dialect's to this one's; nothing follows
 * the terminal event, and the end is clean only if it was seen. What is written for clients here
 * counts its events, adds items in order, ends each once, and reads back as the same text. A stored
 * stream that becomes a body becomes a stream again that says the same. */
#include "stream_cuts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FROM_OTHERS = 4, ITEMS_KNOWN = 4096 };

static const struct stream_way ways[] = {
    {.provider = &dialect_responses, .client = &dialect_responses},
    {.provider = &dialect_responses, .client = &dialect_openai},
    {.provider = &dialect_responses, .client = &dialect_anthropic},
    {.provider = &dialect_responses, .client = &dialect_own},
    [FROM_OTHERS] = {.provider = &dialect_openai, .client = &dialect_responses},
    {.provider = &dialect_anthropic, .client = &dialect_responses},
};

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
        struct slice type;
        yyjson_val *root = stream_next(a, &events, &type);
        check_event(f, root, type);
        yyjson_val *output = json_get(json_get(root, "response"), "output");
        assert(events.len || (int64_t)yyjson_arr_size(output) == f->items);
    }
    for (int64_t i = 0; i < f->items; i++) {
        assert(f->is_done[i]);
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

static void check_way(struct arena *a, size_t way, struct slice in, struct stream_seen *whole)
{
    if (way == 0) {
        check_stored(a, in);
    } else if (way >= FROM_OTHERS && whole->end == OK && !whole->outcome.is_error) {
        check_form(a, text_slice(&whole->bytes));
        stream_check_back(a, &ways[1], whole, false);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    /* large seeds are slow enough */
    return stream_check_ways(in, size > 4096 ? 7 : 1, ways, ARRAY_LEN(ways), check_way);
}
