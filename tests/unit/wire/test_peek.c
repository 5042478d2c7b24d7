/* Peeking finds what reading in full finds, and whatever the bytes are it stays inside them. */
#include "support/unit.h"
#include "wire/peek.h"
#include "wire/spans.h"

static const char *const samples[] = {
    "{}",
    "[]",
    " { \"a\" : 1 , \"b\" : [ ] } ",
    "[[],{},[{}],1,\"x\",null,true]",
    "{\"a\":\"\\\"}\",\"b\\\"\":{\"c\":[1,2.5,-3e4,{\"d\":\"\\\\\"}]},\"e\":false}",
    "{\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\",\"created\":1694268190,"
    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello, \\u00e9 [there] {}\"},\"logprobs\":"
    "null,\"finish_reason\":null}],\"usage\":null}",
};

/* A walk that enters every container; the sum of what it met. NULL when something was not right. */
static size_t walk(struct peek *k) /* NOLINT(misc-no-recursion) */
{
    size_t sum = 1;
    bool is_object = peek_byte(k) == '{';
    for (bool more = peek_enter(k); more; more = peek_more(k)) {
        sum += is_object ? peek_key(k).len : 0;
        char first = peek_byte(k);
        sum += first == '{' || first == '[' ? walk(k) : peek_pass(k).len;
    }
    return sum;
}

static size_t walk_in_full(struct slice text) /* NOLINT(misc-no-recursion) */
{
    struct span_cursor c;
    struct span m;
    size_t sum = 1;
    assert_int_equal(span_open(&c, text), OK);
    while (span_next(&c, &m) == SPAN_ITEM) {
        bool is_plain = c.is_object && !memchr(m.key.ptr, '\\', m.key.len);
        sum += is_plain ? m.key.len - 2 : 0;
        sum += m.kind == SPAN_OBJECT || m.kind == SPAN_ARRAY ? walk_in_full(m.value) : m.value.len;
    }
    return sum;
}

static void finds_what_the_full_reader_finds(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct peek k = peek_open(slice_str(samples[i]));
        assert_int_equal(walk(&k), walk_in_full(slice_str(samples[i])));
        assert_true(peek_is_over(&k));
    }
}

/* In a block of its own size, so that a sanitizer sees a byte too many. */
static void every_cut_and_every_spoiled_byte_is_survived(void **state)
{
    (void)state;
    static const char spoilers[] = "{}[]\",:\\0 \x01\xff";
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        size_t whole = strlen(samples[i]);
        for (size_t len = 0; len <= whole; len++) {
            char *copy = malloc(len ? len : 1);
            assert_non_null(copy);
            memcpy(copy, samples[i], len);
            struct peek k = peek_open(slice_of(copy, len));
            (void)walk(&k);
            bool is_whole =
                slice_trim(slice_of(copy, len)).len == slice_trim(slice_str(samples[i])).len;
            assert_int_equal(peek_is_over(&k), is_whole);
            for (size_t at = 0; at < len; at++) {
                for (size_t s = 0; s < sizeof(spoilers) - 1; s++) {
                    copy[at] = spoilers[s];
                    k = peek_open(slice_of(copy, len));
                    (void)walk(&k);
                    assert_true(!k.at || (k.at >= copy && k.at <= copy + len));
                }
                copy[at] = samples[i][at];
            }
            free(copy);
        }
    }
}

static void brackets_must_match_in_kind(void **state)
{
    (void)state;
    static const char *const bad[] = {"{]",      "[}",    "{\"a\":[}", "{\"a\":[1}]", "[{\"a\":1]}",
                                      "{\"a\"}", "{1:2}", "[1 2]",     "{\"a\":1,}",  "[,]",
                                      "{} x",    "[1]]",  ""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct peek k = peek_open(slice_str(bad[i]));
        (void)walk(&k);
        assert_false(peek_is_over(&k));
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[2 * (PEEK_DEPTH_MAX + 1)];
    for (unsigned depth = PEEK_DEPTH_MAX; depth <= PEEK_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct peek k = peek_open(slice_of(text, (size_t)2 * depth));
        (void)walk(&k);
        assert_int_equal(peek_is_over(&k), depth <= PEEK_DEPTH_MAX);
    }
}

static void counts_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t count;
    } cases[] = {{"[0]", 0},
                 {"[7]", 7},
                 {"[1000]", 1000},
                 {"[1001]", 1000},
                 {"[12.9]", 12},
                 {"[-5]", 0},
                 {"[null]", 0},
                 {"[\"12\"]", 0},
                 {"[{\"a\":3}]", 0},
                 {"[999999999999999999]", 1000},
                 {"[9223372036854775807]", 1000},
                 {"[9223372036854775808]", 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct peek k = peek_open(slice_str(cases[i].text));
        assert_true(peek_enter(&k));
        assert_int_equal(peek_count(&k, 1000), cases[i].count);
        assert_false(peek_more(&k));
        assert_true(peek_is_over(&k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_the_full_reader_finds),
        cmocka_unit_test(every_cut_and_every_spoiled_byte_is_survived),
        cmocka_unit_test(brackets_must_match_in_kind),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(counts_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
