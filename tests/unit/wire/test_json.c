/* wire/json: trees bounded in depth and memory, numbers as spelled. */
#include "support/unit.h"
#include "wire/json.h"

static void reads_members_and_numbers_as_spelled(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 20);
    yyjson_val *root;
    struct slice text = SLICE("{\"s\":\"a\\u0000\\u00e9\",\"n\":1.50,\"i\":-9223372036854775808,"
                              "\"big\":1e400,\"t\":true,\"z\":null,\"o\":{ \"k\" : [1.0, 2] }}");
    assert_int_equal(json_parse(&a, text, &root, NULL), OK);
    assert_true(slice_eq(json_get_string(root, "s"), SLICE("a\0\xC3\xA9")));
    assert_true(slice_eq(json_number(json_get(root, "n")), SLICE("1.50")));
    assert_true(slice_eq(json_number(json_get(root, "big")), SLICE("1e400")));
    int64_t i = 0;
    assert_true(json_i64(json_get(root, "i"), &i));
    assert_true(i == INT64_MIN);
    assert_false(json_i64(json_get(root, "n"), &i));
    assert_false(json_i64(json_get(root, "big"), &i));
    assert_false(json_i64(json_get(root, "absent"), &i));
    assert_true(json_is_true(json_get(root, "t")));
    assert_true(json_is_none(json_get(root, "z")));
    assert_true(json_is_none(json_get(root, "absent")));
    assert_false(json_is_none(json_get(root, "t")));
    assert_null(json_get_string(root, "n").ptr);
    assert_null(json_get(NULL, "x"));
    assert_true(slice_eq(json_text(&a, json_get(root, "o")), SLICE("{\"k\":[1.0,2]}")));
    arena_deinit(&a);
}

static void says_where_it_stops_being_json(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 20);
    yyjson_val *root;
    struct span_fault fault;
    assert_int_equal(json_parse(&a, SLICE("{\"a\":1,}"), &root, &fault), E_SYNTAX);
    assert_int_equal(fault.at, 7);
    assert_int_equal(json_parse(&a, SLICE("[\"\xFF\"]"), &root, &fault), E_SYNTAX);
    assert_non_null(fault.what);
    assert_int_equal(json_parse(&a, SLICE_NONE, &root, &fault), E_SYNTAX);
    arena_deinit(&a);
}

static char *repeat(const char *unit, size_t n)
{
    size_t len = strlen(unit);
    char *s = malloc(n * len + 1);
    assert_non_null(s);
    for (size_t i = 0; i < n; i++) {
        memcpy(s + i * len, unit, len);
    }
    s[n * len] = 0;
    return s;
}

static void bombs_end_in_a_limit(void **state)
{
    (void)state;
    static const struct {
        const char *unit;
        size_t count;
    } bombs[] = {
        {"[", 100000}, {"[", 1000000}, {"{\"a\":", 100000}, {"[[],", 1000000}, {"[{},", 100000}};
    for (size_t i = 0; i < ARRAY_LEN(bombs); i++) {
        struct arena a;
        arena_init(&a, NULL, (size_t)64 << 20);
        char *text = repeat(bombs[i].unit, bombs[i].count);
        yyjson_val *root;
        assert_int_equal(json_parse(&a, slice_str(text), &root, NULL), E_LIMIT);
        assert_int_equal(a.held_bytes, 0); /* refused before anything was built */
        free(text);
        arena_deinit(&a);
    }
    /* flat and wide: legal, but beyond the memory it may take */
    struct arena a;
    arena_init(&a, NULL, (size_t)4 << 20);
    char *text = repeat("0,", 1000000);
    text[1999999] = ']'; /* in place of the last comma */
    char *all = malloc(2000001);
    assert_non_null(all);
    all[0] = '[';
    memcpy(all + 1, text, 2000000);
    yyjson_val *root;
    assert_int_equal(json_parse(&a, slice_of(all, 2000001), &root, NULL), E_LIMIT);
    assert_true(a.held_bytes <= (size_t)4 << 20);
    free(all);
    free(text);
    arena_deinit(&a);
}

static void survives_any_lack_of_memory(void **state)
{
    (void)state;
    struct slice text = SLICE("{\"a\":[1,2,3,{\"b\":\"c\"}],\"d\":\"0123456789\"}");
    bool succeeded = false;
    for (size_t cap = 0; cap < 40000; cap += 64) {
        struct arena a;
        arena_init(&a, NULL, cap);
        yyjson_val *root;
        enum err e = json_parse(&a, text, &root, NULL);
        assert_true(e == OK || e == E_LIMIT);
        succeeded = e == OK;
        if (succeeded) {
            struct slice again = json_text(&a, root);
            assert_true(!again.ptr || slice_eq(again, text));
        }
        arena_deinit(&a);
    }
    assert_true(succeeded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_members_and_numbers_as_spelled),
        cmocka_unit_test(says_where_it_stops_being_json),
        cmocka_unit_test(bombs_end_in_a_limit),
        cmocka_unit_test(survives_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
