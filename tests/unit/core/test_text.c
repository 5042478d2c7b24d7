#include "core/text.h"
#include "support/unit.h"

static void what_does_not_fit_is_left_out_whole(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 12; cap++) {
        char room[16];
        memset(room, '#', sizeof(room));
        struct text t = text_in(room, cap);
        TEXT_ADD(&t, "hello");
        TEXT_ADD(&t, "world");
        assert_int_equal(t.len, cap < 5 ? 0 : cap < 10 ? 5 : 10);
        assert_int_equal(t.is_full, cap < 10);
        for (size_t i = cap; i < sizeof(room); i++) {
            assert_int_equal(room[i], '#');
        }
    }
}

static void a_growing_text_holds_everything_up_to_the_cap(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, 1 << 20);
    struct text t = text_growing(&a);
    for (int i = 0; i < 10000; i++) {
        text_add_i64(&t, i % 10);
    }
    assert_false(t.is_full);
    assert_int_equal(t.len, 10000);
    for (size_t i = 0; i < t.len; i++) {
        assert_int_equal(t.ptr[i], '0' + (int)(i % 10));
    }
    while (!t.is_full) {
        TEXT_ADD(&t, "0123456789");
    }
    assert_true(t.len < 1 << 20);
    size_t len = t.len;
    text_add_char(&t, 'x'); /* once full, full */
    assert_true(t.is_full);
    assert_true(t.len <= len + 1);
    arena_deinit(&a);
}

static void numbers_and_formats_are_exact(void **state)
{
    (void)state;
    char room[256];
    struct text t = text_in(room, sizeof(room));
    text_add_i64(&t, INT64_MIN);
    text_add_char(&t, ' ');
    text_add_i64(&t, INT64_MAX);
    text_add_char(&t, ' ');
    text_add_i64(&t, 0);
    text_add_char(&t, ' ');
    text_add_usd(&t, 780000);
    text_addf(&t, " %s-%05d", "x", 42);
    text_addf(&t, "%s", "");
    assert_true(slice_eq(text_slice(&t), SLICE("-9223372036854775808 9223372036854775807 0 "
                                               "0.00078 x-00042")));
}

struct json_row {
    struct slice in;
    const char *out;
};
#define FFFD "\xEF\xBF\xBD"
static const struct json_row json_rows[] = {
    {SLICE_INIT(""), "\"\""},
    {SLICE_INIT("plain"), "\"plain\""},
    {SLICE_INIT("a\"b\\c/d"), "\"a\\\"b\\\\c/d\""},
    {SLICE_INIT("\n\r\t"), "\"\\n\\r\\t\""},
    {SLICE_INIT("\0\x01\x1f"), "\"\\u0000\\u0001\\u001f\""},
    {SLICE_INIT("\x7f"), "\"\x7f\""},
    {SLICE_INIT("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"),
     "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
    {SLICE_INIT("\x80"), "\"" FFFD "\""},                            /* a lone continuation */
    {SLICE_INIT("\xC0\xAF"), "\"" FFFD FFFD "\""},                   /* overlong */
    {SLICE_INIT("\xC3"), "\"" FFFD "\""},                            /* cut */
    {SLICE_INIT("\xE2\x82"), "\"" FFFD FFFD "\""},                   /* cut */
    {SLICE_INIT("\xE0\x9F\xBF"), "\"" FFFD FFFD FFFD "\""},          /* overlong */
    {SLICE_INIT("\xED\xA0\x80"), "\"" FFFD FFFD FFFD "\""},          /* a surrogate */
    {SLICE_INIT("\xF4\x90\x80\x80"), "\"" FFFD FFFD FFFD FFFD "\""}, /* past U+10FFFF */
    {SLICE_INIT("\xF4\x8F\xBF\xBF"), "\"\xF4\x8F\xBF\xBF\""},
    {SLICE_INIT("a\xFF"
                "b"),
     "\"a" FFFD "b\""},
    {SLICE_INIT("\xC3\"x"), "\"" FFFD "\\\"x\""}, /* the quote is no continuation */
};

static void strings_are_valid_json_whatever_they_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(json_rows); i++) {
        char room[128];
        struct text t = text_in(room, sizeof(room));
        text_add_json_string(&t, json_rows[i].in);
        if (!slice_eq(text_slice(&t), slice_str(json_rows[i].out))) {
            print_error("row %zu: %.*s\n", i, SLICE_ARG(text_slice(&t)));
            fail();
        }
    }
}

static void keys_get_their_commas(void **state)
{
    (void)state;
    char room[64];
    struct text t = text_in(room, sizeof(room));
    TEXT_ADD(&t, "{");
    text_add_json_key(&t, "a");
    TEXT_ADD(&t, "1");
    text_add_json_key(&t, "b");
    TEXT_ADD(&t, "[{");
    text_add_json_key(&t, "c");
    TEXT_ADD(&t, "2}]}");
    assert_true(slice_eq(text_slice(&t), SLICE("{\"a\":1,\"b\":[{\"c\":2}]}")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_fit_is_left_out_whole),
        cmocka_unit_test(a_growing_text_holds_everything_up_to_the_cap),
        cmocka_unit_test(numbers_and_formats_are_exact),
        cmocka_unit_test(strings_are_valid_json_whatever_they_hold),
        cmocka_unit_test(keys_get_their_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
