/* What fits a template is told as reading it would tell it; what differs elsewhere does not fit. */
#include "dialect/anthropic.h"
#include "dialect/event_template.h"
#include "dialect/openai.h"
#include "dialect/responses.h"
#include "support/unit.h"

#define CHAT_HEAD                                                                      \
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1," \
    "\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{"
#define CHAT(text) CHAT_HEAD "\"content\":\"" text "\"},\"finish_reason\":null}]}\n\n"
#define PADDED(text, padding)                                                      \
    CHAT_HEAD "\"content\":\"" text "\"},\"finish_reason\":null}],\"usage\":null," \
              "\"obfuscation\":\"" padding "\"}\n\n"
#define COMPLETION(text)                                                     \
    "data: {\"usage\":null,\"id\":\"cmpl-1\",\"choices\":[{\"text\":\"" text \
    "\",\"index\":0,\"finish_reason\":null}]}\n\n"
#define TWO(first, second)                                                   \
    CHAT_HEAD "\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"" first \
              "\",\"arguments\":\"" second "\"}}]},\"finish_reason\":null}]}\n\n"
#define CLAUDE(text)                                                                     \
    "event: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":0," \
    "\"delta\":{\"type\":\"text_delta\",\"text\":\"" text "\"}}\r\n\r\n"
#define RESPONSES(text, number, padding)                                                          \
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","          \
    "\"content_index\":0,\"delta\":\"" text "\",\"item_id\":\"msg_1\",\"obfuscation\":\"" padding \
    "\",\"output_index\":0,\"sequence_number\":" number "}\n\n"

typedef enum err (*look_fn)(struct slice name, struct slice data, struct event_look *out);

/* Reads an event as the stream engine does: false where it would not be passed on. */
static bool read_event(look_fn look, struct slice raw, struct event_look *out)
{
    struct slice name = SLICE_NONE;
    size_t at = slice_search(raw, SLICE("data: "));
    if (slice_starts(raw, SLICE("event: "))) {
        name = slice_trim(slice_head(slice_from(raw, 7), slice_find(slice_from(raw, 7), '\n')));
    }
    return look(name, slice_trim(slice_from(raw, at + 6)), out) == OK;
}

static void learn(struct event_template *t, struct arena *a, look_fn look, struct slice raw)
{
    struct event_look first;
    assert_true(read_event(look, raw, &first));
    event_template_learn(t, a, raw, &first);
}

static size_t fits(const struct event_template *t, struct slice in)
{
    return event_template_fit(t, in).len;
}

#define WITH_ARENA(a)                      \
    struct arena a;                        \
    arena_init(&a, NULL, (size_t)1 << 20); \
    struct event_template t = {.bytes = NULL}

static void other_text_fits_and_is_counted(void **state)
{
    (void)state;
    WITH_ARENA(a);
    learn(&t, &a, openai_look, SLICE(CHAT("Hello")));
    static const struct {
        struct slice event;
        size_t text_bytes; /* as spelled */
    } rows[] = {
        {SLICE_INIT(CHAT("Hello")), 5},
        {SLICE_INIT(CHAT("")), 0},
        {SLICE_INIT(CHAT(" a much longer piece of text than there was before")), 50},
        {SLICE_INIT(CHAT("caf\xC3\xA9 \xF0\x9F\x98\x80")), 10},
        {SLICE_INIT(CHAT("\\n\\\"quoted\\\" \\\\ \\/ \\t\\b\\f\\r")), 27},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct event_fit fit = event_template_fit(&t, rows[i].event);
        assert_int_equal(fit.len, rows[i].event.len);
        assert_int_equal(fit.output_bytes, rows[i].text_bytes);
        assert_int_equal(fit.hideable.len, 0);
    }
    assert_int_equal(t.choices, 1);
    struct slice two = SLICE(CHAT("one") CHAT("two"));
    assert_int_equal(fits(&t, two), sizeof(CHAT("one")) - 1); /* the first of several */
    arena_deinit(&a);
}

static void what_is_not_all_there_does_not_fit(void **state)
{
    (void)state;
    WITH_ARENA(a);
    struct slice event = SLICE(PADDED("some \\n text", "xyz"));
    assert_int_equal(fits(&t, event), 0); /* nothing was learnt */
    learn(&t, &a, openai_look, event);
    for (size_t i = 0; i < event.len; i++) {
        assert_int_equal(fits(&t, slice_head(event, i)), 0);
    }
    assert_int_equal(fits(&t, event), event.len);
    arena_deinit(&a);
}

static void what_a_reader_may_refuse_is_left_to_it(void **state)
{
    (void)state;
    WITH_ARENA(a);
    learn(&t, &a, openai_look, SLICE(CHAT("Hello")));
    static const struct slice events[] = {
        SLICE_INIT(CHAT("\\u00e9")), SLICE_INIT(CHAT("\\x")),          SLICE_INIT(CHAT("a\tb")),
        SLICE_INIT(CHAT("a\nb")),    SLICE_INIT(CHAT("a\",\"b\":\"")), SLICE_INIT(CHAT("a\\")),
        SLICE_INIT(CHAT("a\0b")),
    };
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        assert_int_equal(fits(&t, events[i]), 0);
    }
    arena_deinit(&a);
}

static void padding_and_numbers_may_differ(void **state)
{
    (void)state;
    WITH_ARENA(a);
    learn(&t, &a, responses_look, SLICE(RESPONSES("Hi", "7", "abcdef")));
    assert_int_equal(event_template_fit(&t, SLICE(RESPONSES(" there", "8", "a"))).output_bytes, 6);
    assert_true(fits(&t, SLICE(RESPONSES("", "1234567", ""))));
    assert_true(fits(&t, SLICE(RESPONSES("", "0", ""))));
    static const struct slice odd[] = {
        SLICE_INIT(RESPONSES("x", "", "y")),    SLICE_INIT(RESPONSES("x", "-1", "y")),
        SLICE_INIT(RESPONSES("x", "01", "y")),  SLICE_INIT(RESPONSES("x", "1.5", "y")),
        SLICE_INIT(RESPONSES("x", "1e3", "y")), SLICE_INIT(RESPONSES("x", "1234567890123456", "y")),
    };
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        assert_int_equal(fits(&t, odd[i]), 0);
    }
    arena_deinit(&a);
}

static void what_is_hidden_is_found_again(void **state)
{
    (void)state;
    WITH_ARENA(a);
    learn(&t, &a, openai_look, SLICE(PADDED("Hello", "abc")));
    struct slice event = SLICE(PADDED(" to all of you", ""));
    struct event_fit fit = event_template_fit(&t, event);
    struct event_look read;
    assert_true(read_event(openai_look, event, &read));
    assert_int_equal(fit.len, event.len);
    assert_true(slice_eq(fit.hideable, SLICE(",\"usage\":null")));
    assert_ptr_equal(fit.hideable.ptr, read.hideable.ptr);
    learn(&t, &a, openai_look, SLICE(CHAT("Hello")));
    assert_int_equal(event_template_fit(&t, SLICE(CHAT("Hello"))).hideable.len, 0);
    arena_deinit(&a);
}

/* An event that fits is one that the reader takes for the same kind. */
static void check_fit(const struct event_template *t, look_fn look, struct slice event,
                      size_t *fitting)
{
    struct event_look read;
    struct event_fit fit = event_template_fit(t, event);
    if (fit.len == 0) {
        return;
    }
    (*fitting)++;
    assert_int_equal(fit.len, event.len);
    assert_true(read_event(look, event, &read));
    assert_false(read.is_done || read.is_error || read.is_usage_only);
    assert_int_equal(read.finish, CHAT_FINISH_NONE);
    assert_int_equal(read.finished, 0);
    assert_int_equal(read.usage.len, 0);
    assert_int_equal(read.seen, t->choices);
    assert_int_equal(read.output_bytes, fit.output_bytes);
    assert_true(slice_eq(read.hideable, fit.hideable));
    assert_true(!fit.hideable.len || fit.hideable.ptr == read.hideable.ptr);
}

static void every_byte_in_every_place_is_told_as_it_is_read(void **state)
{
    (void)state;
    static const struct {
        look_fn look;
        struct slice event;
        size_t gap_bytes;
    } rows[] = {
        {openai_look, SLICE_INIT(CHAT("Hello")), 5},
        {openai_look, SLICE_INIT(CHAT("a\\\\b")), 4},
        {openai_look, SLICE_INIT(PADDED("Hello", "abc")), 8},
        {openai_look, SLICE_INIT(TWO("find", "{}")), 6},
        {openai_look, SLICE_INIT(COMPLETION("Hello")), 5},
        {anthropic_look, SLICE_INIT(CLAUDE("Hello")), 5},
        {responses_look, SLICE_INIT(RESPONSES("Hello", "12", "abc")), 10},
    };
    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        WITH_ARENA(a);
        char bytes[1024];
        size_t len = rows[row].event.len;
        size_t fitting = 0;
        learn(&t, &a, rows[row].look, rows[row].event);
        assert_int_equal(fits(&t, rows[row].event), len);
        for (size_t at = 0; at < len; at++) {
            memcpy(bytes, rows[row].event.ptr, len);
            for (int byte = 0; byte < 256; byte++) {
                bytes[at] = (char)byte;
                check_fit(&t, rows[row].look, slice_of(bytes, len), &fitting);
            }
        }
        /* The event itself once a place, and most other bytes where there is text. */
        assert_true(fitting > len);
        assert_true(fitting < len + rows[row].gap_bytes * 256);
        arena_deinit(&a);
    }
}

static void what_comes_once_is_not_learnt(void **state)
{
    (void)state;
    static const struct slice events[] = {
        SLICE_INIT(CHAT("")),
        SLICE_INIT(CHAT_HEAD "\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n"),
        SLICE_INIT(CHAT_HEAD "\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":1}}\n\n"),
        SLICE_INIT(CHAT_HEAD "\"content\":\"x\"}}],\"error\":{\"message\":\"no\"}}\n\n"),
        SLICE_INIT("data: [DONE]\n\n"),
        SLICE_INIT("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\r\r"),
        SLICE_INIT("\xEF\xBB\xBF" CHAT("x")),
        SLICE_INIT(CHAT_HEAD "\"content\":[{\"text\":\"a\"},{\"text\":\"b\"},{\"text\":\"c\"},"
                             "{\"text\":\"d\"},{\"text\":\"e\"}]}}]}\n\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        WITH_ARENA(a);
        learn(&t, &a, openai_look, events[i]);
        assert_int_equal(fits(&t, events[i]), 0);
        learn(&t, &a, openai_look, SLICE(CHAT("Hello")));
        learn(&t, &a, openai_look, events[i]); /* the last that was, stays */
        assert_true(fits(&t, SLICE(CHAT("Hello"))));
        arena_deinit(&a);
    }
}

static struct slice event_of(char *room, size_t id_bytes)
{
    struct text t = text_in(room, 2048);
    TEXT_ADD(&t, "data: {\"id\":\"");
    for (size_t i = 0; i < id_bytes; i++) {
        text_add_char(&t, 'i');
    }
    TEXT_ADD(&t, "\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
    assert_false(t.is_full);
    return text_slice(&t);
}

static void large_events_are_learnt_up_to_a_bound(void **state)
{
    (void)state;
    static const size_t sizes[] = {10, 300, 500, 900, 100, 1100};
    static const bool fitting[] = {true, true, true, true, true, false};
    char room[2048];
    WITH_ARENA(a);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct slice event = event_of(room, sizes[i]);
        learn(&t, &a, openai_look, event);
        assert_int_equal(fits(&t, event), fitting[i] ? event.len : 0);
    }
    assert_true(fits(&t, event_of(room, 100))); /* the one before the one that is too large */
    assert_true(a.held_bytes <= (size_t)4 * EVENT_TEMPLATE_MAX_BYTES);
    arena_deinit(&a);
}

static void without_memory_a_large_event_is_read_again(void **state)
{
    (void)state;
    char room[2048];
    struct arena none;
    struct event_template t = {.bytes = NULL};
    arena_init(&none, NULL, 0);
    learn(&t, &none, openai_look, event_of(room, 10));
    assert_true(fits(&t, event_of(room, 10)));
    learn(&t, &none, openai_look, event_of(room, 900));
    assert_int_equal(fits(&t, event_of(room, 900)), 0);
    assert_true(fits(&t, event_of(room, 10)));
    arena_deinit(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_text_fits_and_is_counted),
        cmocka_unit_test(what_is_not_all_there_does_not_fit),
        cmocka_unit_test(what_a_reader_may_refuse_is_left_to_it),
        cmocka_unit_test(padding_and_numbers_may_differ),
        cmocka_unit_test(what_is_hidden_is_found_again),
        cmocka_unit_test(every_byte_in_every_place_is_told_as_it_is_read),
        cmocka_unit_test(what_comes_once_is_not_learnt),
        cmocka_unit_test(large_events_are_learnt_up_to_a_bound),
        cmocka_unit_test(without_memory_a_large_event_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
