/* wire/spans: the grammar, where members stand, names given twice. */
#include "support/unit.h"
#include "wire/spans.h"

static const struct span_name names[] = {
    {SLICE_INIT("model"), true},
    {SLICE_INIT("stream"), true},
    {SLICE_INIT("note"), false},
    {SLICE_INIT("max_tokens"), true},
};
enum { MODEL, STREAM, NOTE, MAX_TOKENS, NAMES };

static enum err scan(const char *text, struct span *out, struct span_object *object)
{
    return spans_scan(slice_str(text), names, NAMES, out, object);
}

static void finds_members_where_they_stand(void **state)
{
    (void)state;
    const char *text = " {\"a\":[1,{\"model\":2}] , \"model\" : \"gpt\\u002d4\" ,\"stream\":true,"
                       "\"note\":null,\"note\":{\"x\":\"}\"}} \n";
    struct span s[NAMES];
    struct span_object o;
    assert_int_equal(scan(text, s, &o), OK);
    assert_int_equal(o.open, 1);
    assert_int_equal(text[o.close], '}');
    assert_int_equal(o.close, strlen(text) - 3);
    assert_int_equal(o.members, 5);
    assert_int_equal(s[MODEL].kind, SPAN_STRING);
    assert_true(slice_eq(s[MODEL].value, SLICE("\"gpt\\u002d4\"")));
    assert_true(slice_eq(s[MODEL].key, SLICE("\"model\"")));
    assert_ptr_equal(s[MODEL].key.ptr, strstr(text, "\"model\" "));
    assert_false(s[MODEL].is_string_plain);
    assert_true(span_string_is(&s[MODEL], SLICE("gpt-4")));
    assert_false(span_string_is(&s[MODEL], SLICE("gpt-5")));
    assert_int_equal(s[STREAM].kind, SPAN_TRUE);
    assert_int_equal(s[NOTE].kind, SPAN_OBJECT); /* the last counts */
    assert_true(slice_eq(s[NOTE].value, SLICE("{\"x\":\"}\"}")));
    assert_int_equal(s[MAX_TOKENS].kind, SPAN_ABSENT);
}

static void refuses_deciding_names_given_twice_or_otherwise_spelled(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"model\":1,\"model\":1}",
        "{\"model\":1,\"Model\":2}",
        "{\"Model\":1}",
        "{\"MODEL\":1,\"model\":2}",
        "{\"mod\\u0065l\":1,\"model\":2}",
        "{\"model\":1,\"\\u006d\\u006F\\u0064el\":2}",
        "{\"\\u004dodel\":1}",
        "{\"\xC5\xBFtream\":1}", /* long s */
        "{\"\\u017ftream\":1,\"stream\":1}",
        ("{\"max_to\xE2\x84\xAA"
         "ens\":1}"), /* Kelvin sign */
        "{\"max_to\\u212Aens\":1}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct span s[NAMES];
        struct span_object o;
        assert_int_equal(scan(bad[i], s, &o), E_DUPLICATE);
        assert_true(o.fault.named.len > 0);
        assert_int_equal(bad[i][o.fault.at], '"');
    }
    struct span s[NAMES];
    struct span_object o;
    assert_int_equal(scan("{\"mod\\u0065l\":1,\"Note\":1,\"models\":2,\"\":0}", s, &o), OK);
    assert_int_equal(s[MODEL].kind, SPAN_NUMBER);
    assert_int_equal(s[NOTE].kind, SPAN_ABSENT);
}

static void keeps_the_grammar(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",
        "[]",
        " [ ] ",
        "0",
        "-0",
        "1.5e+10",
        "1E5",
        "-0.0",
        "\"\"",
        "true",
        "null",
        "false",
        "[1,2,[3,{\"a\":{}}],\"\\ud83d\\ude00\"]",
        "{\"a\":{\"b\":[]},\"c\":[{}]}",
        "[[],[[]],{}]",
        "\"0123456789abcdef0123456789abcdef\\n\"",
        "[\"]\",\"}\",\"\\\"\",\"\\\\\"]",
    };
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "{]",
        "[}",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "[1 2]",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "NaN",
        "Infinity",
        "tru",
        "True",
        "nul",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123\"",
        "\"a\nb\"",
        "\"a\tb\"",
        "{}{}",
        "{} x",
        "1 1",
        "[1]]",
        "{\"a\":1}}",
        "'a'",
        "[\"a\":1]",
        "{1:1}",
        "{\"a\":1,\"b\"}",
        "\"0123456789abcde\x01\"",
        "// x\n1",
        "[1\v]",
    };
    struct span_fault fault;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(spans_check(slice_str(good[i]), &fault), OK);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        fault.what = NULL;
        assert_int_equal(spans_check(slice_str(bad[i]), &fault), E_SYNTAX);
        assert_non_null(fault.what);
        assert_true(fault.at <= strlen(bad[i]));
    }
}

/* Every beginning of a document is refused, and never read past (the copy ends at its own end). */
static void refuses_every_beginning(void **state)
{
    (void)state;
    const char *whole = "{\"model\":\"a\\u0041\\n0123456789abcdef\",\"b\":[-1.5e+3,true,null,{}],"
                        "\"stream\":{\"x\":[[],{\"y\":\"z\"}]}}";
    size_t len = strlen(whole);
    for (size_t n = 0; n <= len; n++) {
        char *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, whole, n);
        struct span s[NAMES];
        struct span_object o;
        enum err e = spans_scan(slice_of(copy, n), names, NAMES, s, &o);
        assert_int_equal(e, n == len ? OK : E_SYNTAX);
        free(copy);
    }
}

static void bounds_the_depth(void **state)
{
    (void)state;
    static const size_t depths[] = {1, 2, 127, 128, 129, 130, 100000, 1000000};
    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        for (int kind = 0; kind < 2; kind++) {
            size_t n = depths[i], unit = kind ? 5 : 1;
            char *text = malloc(n * (unit + 1) + 1);
            assert_non_null(text);
            char *p = text;
            for (size_t k = 0; k < n; k++, p += unit) {
                memcpy(p, kind ? "{\"a\":" : "[", unit);
            }
            if (kind) {
                *p++ = '0';
            }
            memset(p, kind ? '}' : ']', n);
            struct slice all = slice_of(text, (size_t)(p - text) + n);
            struct span_fault fault;
            assert_int_equal(spans_check(all, &fault), n <= SPAN_DEPTH_MAX ? OK : E_LIMIT);
            struct span s[NAMES];
            struct span_object o;
            if (kind) {
                assert_int_equal(spans_scan(all, names, NAMES, s, &o),
                                 n <= SPAN_DEPTH_MAX ? OK : E_LIMIT);
            }
            free(text);
        }
    }
}

static void walks_elements(void **state)
{
    (void)state;
    struct span_cursor c;
    struct span s;
    assert_int_equal(span_open(&c, SLICE(" [1, \"b\" ,{\"c\":[]},[ ]] ")), OK);
    assert_false(c.is_object);
    static const enum span_kind kinds[] = {SPAN_NUMBER, SPAN_STRING, SPAN_OBJECT, SPAN_ARRAY};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        assert_int_equal(span_next(&c, &s), SPAN_ITEM);
        assert_int_equal(s.kind, kinds[i]);
        assert_int_equal(s.key.len, 0);
    }
    assert_true(slice_eq(s.value, SLICE("[ ]")));
    assert_int_equal(span_next(&c, &s), SPAN_END);
    assert_int_equal(span_next(&c, &s), SPAN_END);
    assert_int_equal(span_open(&c, SLICE("7")), E_SYNTAX);
    assert_int_equal(span_open(&c, SLICE("[1,,2]")), OK);
    assert_int_equal(span_next(&c, &s), SPAN_ITEM);
    assert_int_equal(span_next(&c, &s), SPAN_BAD);
    assert_int_equal(span_next(&c, &s), SPAN_BAD);
    assert_int_equal(c.failed, E_SYNTAX);
}

static void unescapes(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *text;
    } cases[] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"},
        {"\"\\ud83d\"", "\xEF\xBF\xBD"},
        {"\"\\ude00x\\ud83d\\u0041\"", "\xEF\xBF\xBDx\xEF\xBF\xBD"
                                       "A"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char room[64];
        size_t len = span_unescape(slice_str(cases[i].raw), room);
        assert_true(slice_eq(slice_of(room, len), slice_str(cases[i].text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_members_where_they_stand),
        cmocka_unit_test(refuses_deciding_names_given_twice_or_otherwise_spelled),
        cmocka_unit_test(keeps_the_grammar),
        cmocka_unit_test(refuses_every_beginning),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(walks_elements),
        cmocka_unit_test(unescapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
