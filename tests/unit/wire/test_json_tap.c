/* wire/json_tap: the last top-level object of the name, for every cut. */
#include "support/unit.h"
#include "wire/json_tap.h"

static const struct {
    const char *in, *value;
} cases[] = {
    {"{\"usage\":{\"a\":1}}", "{\"a\":1}"},
    {" { \"data\" : [ {\"usage\":{\"no\":1}} ] , \"usage\" : {\"a\":{\"b\":[1,\"}\"]}} , \"x\":1}",
     "{\"a\":{\"b\":[1,\"}\"]}}"},
    {"{\"x\":\"\\\"usage\\\":{\",\"usage\":{\"s\":\"\\\\\\\"{\"}}", "{\"s\":\"\\\\\\\"{\"}"},
    {"{\"usage\":{\"a\":1},\"usage\":{\"a\":2}}", "{\"a\":2}"},
    {"{\"usage\":null,\"a\":{\"b\":1}}", ""},
    {"{\"usage\":\"usage\",\"a\":{\"b\":1}}", ""},
    {"{\"a\":\"usage\",\"b\":{\"usage\":{}}}", ""},
    {"{\"usagee\":{},\"usag\":{}}", ""},
    {"[\"usage\",{\"usage\":{\"a\":1}}]", ""},
    {"{\"usage\":{\"a\":1", ""},
    {"", ""},
    {"}}}]]]{\"usage\":{}}", "{}"},
};

static void every_cut_catches_the_same(void **state)
{
    static struct json_tap t;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice in = slice_str(cases[i].in);
        for (size_t cut = 0; cut <= in.len; cut++) {
            json_tap_init(&t, SLICE("usage"));
            json_tap_feed(&t, slice_head(in, cut));
            json_tap_feed(&t, slice_from(in, cut));
            assert_true(slice_eq(json_tap_value(&t), slice_str(cases[i].value)));
        }
        json_tap_init(&t, SLICE("usage"));
        for (size_t at = 0; at < in.len; at++) {
            json_tap_feed(&t, slice_of(in.ptr + at, 1));
        }
        assert_true(slice_eq(json_tap_value(&t), slice_str(cases[i].value)));
    }
}

static void a_long_object_is_not_caught(void **state)
{
    static struct json_tap t;
    (void)state;
    json_tap_init(&t, SLICE("usage"));
    json_tap_feed(&t, SLICE("{\"usage\":{\"a\":\""));
    for (int i = 0; i < JSON_TAP_MAX_BYTES; i++) {
        json_tap_feed(&t, SLICE("x"));
    }
    json_tap_feed(&t, SLICE("\"}}"));
    assert_int_equal(json_tap_value(&t).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_catches_the_same),
        cmocka_unit_test(a_long_object_is_not_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
