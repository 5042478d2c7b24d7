#include "auth/auth.h"
#include "support/unit.h"

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static void made_keys_have_the_form_and_differ(void **state)
{
    (void)state;
    char keys[200][AUTH_KEY_BYTES + 1];
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        auth_key_make(keys[i]);
        struct slice key = slice_str(keys[i]);
        assert_int_equal(key.len, 56);
        assert_true(slice_starts(key, SLICE("llm-gw-")));
        assert_true(auth_key_is_plausible(key));
        for (size_t k = 7; k < key.len; k++) {
            assert_non_null(strchr(alphabet, key.ptr[k]));
        }
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(keys[i], keys[k]);
        }
    }
}

static void check_characters_are_the_crc32_of_the_43(void **state)
{
    (void)state;
    char key[AUTH_KEY_BYTES + 1];
    for (int round = 0; round < 100; round++) {
        auth_key_make(key);
        uint64_t number = 0;
        for (size_t i = 50; i < 56; i++) {
            number = number * 62 + (uint64_t)(strchr(alphabet, key[i]) - alphabet);
        }
        assert_int_equal(number, crc32_iso(key + 7, 43));
    }
    /* Worked out by another implementation of both. */
    assert_true(
        auth_key_is_plausible(SLICE("llm-gw-00000000000000000000000000000000000000000002CZclj")));
}

static void every_mistyped_character_is_seen(void **state)
{
    (void)state;
    char key[AUTH_KEY_BYTES + 1];
    auth_key_make(key);
    for (size_t i = 7; i < AUTH_KEY_BYTES; i++) {
        char right = key[i];
        for (int c = 1; c < 256; c++) {
            key[i] = (char)c;
            assert_int_equal(auth_key_is_plausible(slice_of(key, AUTH_KEY_BYTES)),
                             (char)c == right);
        }
        key[i] = right;
    }
    for (size_t i = 7; i + 1 < AUTH_KEY_BYTES; i++) { /* neighbours exchanged */
        char left = key[i];
        key[i] = key[i + 1];
        key[i + 1] = left;
        assert_int_equal(auth_key_is_plausible(slice_str(key)), key[i] == key[i + 1]);
        key[i + 1] = key[i];
        key[i] = left;
    }
    for (size_t len = 7; len < AUTH_KEY_BYTES; len++) {
        assert_false(auth_key_is_plausible(slice_of(key, len)));
    }
    assert_false(auth_key_is_plausible(slice_of(key, AUTH_KEY_BYTES + 1)));
    assert_true(auth_key_is_plausible(SLICE("sk-foreign"))); /* no word about foreign keys */
    assert_true(auth_key_is_plausible(SLICE("llm-g")));
}

static struct slice credential_of(struct arena *a, const char *headers, const char *named)
{
    struct http1_parser p;
    struct http1_limits limits = {65536, 100, 0};
    struct slice in = arena_printf(a, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", headers);
    struct slice body;
    assert_non_null(in.ptr);
    http1_init(&p, false, a, &limits);
    assert_int_equal(http1_next(&p, &in, &body), HTTP1_HEAD);
    return auth_credential(&p.head, slice_str(named));
}

static void credentials_are_found_in_order(void **state)
{
    (void)state;
    static const struct {
        const char *headers, *named, *want;
    } rows[] = {
        {"", "X-API-Key", NULL},
        {"X-API-Key: a\r\n", "X-API-Key", "a"},
        {"x-api-KEY: a\r\n", "X-API-Key", "a"},
        {"Authorization: Bearer b\r\n", "X-API-Key", "b"},
        {"Authorization: bEARER   b\r\n", "X-API-Key", "b"},
        {"Authorization: Basic b\r\n", "X-API-Key", NULL},
        {"Authorization: Bearer\r\n", "X-API-Key", NULL},
        {"Authorization: Bearerb\r\n", "X-API-Key", NULL},
        {"Authorization: b\r\n", "X-API-Key", NULL},
        {"api-key: c\r\n", "X-API-Key", "c"},
        {"x-goog-api-key: d\r\n", "X-API-Key", "d"},
        {"X-Tenant-Key: e\r\n", "X-API-Key", NULL},
        {"X-Tenant-Key: e\r\n", "x-tenant-KEY", "e"},
        {"X-Tenant-Key: e\r\nX-API-Key: a\r\n", "X-Tenant-Key", "a"},
        {"Authorization: Bearer b\r\nX-Tenant-Key: e\r\n", "X-Tenant-Key", "e"},
        {"x-goog-api-key: d\r\napi-key: c\r\nAuthorization: Bearer b\r\n", "", "b"},
        {"x-goog-api-key: d\r\napi-key: c\r\n", "", "c"},
        {"x-api-key: \r\nAuthorization: Bearer b\r\n", "X-API-Key", "b"},
        {"x-api-key: \r\n", "X-API-Key", NULL},
        {"Authorization: Bearer b\r\n", "Authorization", "b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        arena_init(&a, NULL, 1 << 20);
        struct slice got = credential_of(&a, rows[i].headers, rows[i].named);
        if (rows[i].want) {
            assert_true(slice_eq(got, slice_str(rows[i].want)));
        } else {
            assert_null(got.ptr);
        }
        arena_deinit(&a);
    }
}

static void model_lists_allow_names_and_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *list, *model;
        bool want;
    } rows[] = {
        {"", "anything", true},
        {"[]", "gpt-4o", false},
        {"[\"gpt-4o\"]", "gpt-4o", true},
        {"[\"gpt-4o\"]", "gpt-4o-mini", false},
        {"[\"gpt-4o\"]", "gpt-4", false},
        {"[\"gpt-4o*\"]", "gpt-4o-mini", true},
        {"[\"gpt-4o*\"]", "gpt-4o", true},
        {" [ \"a\" , \"claude-*\" ] ", "claude-haiku", true},
        {"[\"*\"]", "anything", true},
        {"[\"*\"]", "", true},
        {"[\"openai\\/gpt\\u002d4o\"]", "openai/gpt-4o", true},
        {"[\"a*b\"]", "axb", false}, /* only a trailing star is a pattern */
        {"[\"\"]", "x", false},
        {"[1,null,\"x\"]", "x", true},
        {"[\"x\",", "x", false}, /* does not parse: allows nothing */
        {"[\"x\"] x", "x", false},
        {"\"x\"", "x", false},
        {"{\"x\":1}", "x", false},
        {"null", "x", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(auth_model_allowed(slice_str(rows[i].list), slice_str(rows[i].model)),
                         rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_keys_have_the_form_and_differ),
        cmocka_unit_test(check_characters_are_the_crc32_of_the_43),
        cmocka_unit_test(every_mistyped_character_is_seen),
        cmocka_unit_test(credentials_are_found_in_order),
        cmocka_unit_test(model_lists_allow_names_and_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
