#include "cache/fingerprint.h"
#include "support/unit.h"

static struct id tenant_a, tenant_b;

static enum err print_of(struct id scope, const char *op, const char *model, struct slice body,
                         struct sha256 *out)
{
    struct arena a;
    arena_init(&a, NULL, 64 << 20);
    enum err e = fingerprint_request(&a, scope, slice_str(op), slice_str(model), body, out);
    arena_deinit(&a);
    return e;
}

static struct sha256 print(const char *body)
{
    struct sha256 key;
    assert_int_equal(print_of(tenant_a, "chat", "m", slice_str(body), &key), OK);
    return key;
}

static bool same(struct sha256 a, struct sha256 b)
{
    return memcmp(a.bytes, b.bytes, SHA256_BYTES) == 0;
}

static void what_means_the_same_is_equal(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{}", " {\n\t} "},
        {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}"},
        {"{\"a\":{\"x\":1,\"y\":[{\"p\":1,\"q\":2}]}}",
         "{\"a\":{\"y\":[{\"q\":2,\"p\":1}],\"x\":1}}"},
        {"{\"t\":1}", "{\"t\":1.0}"},
        {"{\"t\":1}", "{\"t\":1e0}"},
        {"{\"t\":1}", "{\"t\":10E-1}"},
        {"{\"t\":1}", "{\"t\":0.001e+3}"},
        {"{\"t\":0}", "{\"t\":0.000}"},
        {"{\"t\":0}", "{\"t\":-0}"},
        {"{\"t\":0}", "{\"t\":0e99999999999999999999}"},
        {"{\"t\":-1.50}", "{\"t\":-15e-1}"},
        {"{\"t\":100}", "{\"t\":1e2}"},
        {"{\"t\":0.7}", "{\"t\":7.0e-1}"},
        {"{\"t\":123456789012345678901234567890}", "{\"t\":12345678901234567890123456789e1}"},
        {"{\"t\":1e400}", "{\"t\":10e399}"},
        {"{\"t\":1e-00000000000000000000000007}", "{\"t\":0.0000001}"},
        {"{\"s\":\"A\"}", "{\"s\":\"\\u0041\"}"},
        {"{\"s\":\"/\"}", "{\"s\":\"\\/\"}"},
        {"{\"s\":\"\xc3\xa4\"}", "{\"s\":\"\\u00e4\"}"},
        {"{\"s\":\"\xf0\x9f\x98\x80\"}", "{\"s\":\"\\ud83d\\ude00\"}"},
        {"{\"s\":\"\\n\"}", "{\"s\":\"\\u000A\"}"},
        {"{\"s\":1}", "{\"\\u0073\":1}"},
        {"{\"a\":1}", "{\"a\":1,\"model\":\"gpt-4o\"}"},
        {"{\"a\":1}", "{\"a\":1,\"stream\":true}"},
        {"{\"a\":1}", "{\"str\\u0065am\":true,\"a\":1}"},
        {"{\"a\":1}", "{\"a\":1,\"stream_options\":{\"include_usage\":true}}"},
        {"{\"a\":1}", "{\"a\":1,\"user\":\"u\"}"},
        {"{\"a\":1}", "{\"a\":1,\"safety_identifier\":\"u\"}"},
        {"{\"a\":1}", "{\"metadata\":{\"x\":\"y\"},\"a\":1}"},
        {"{\"a\":1}", "{\"a\":1,\"prompt_cache_key\":\"k\"}"},
        {"{\"a\":1}", "{\"a\":1,\"prompt_cache_retention\":\"24h\"}"},
        {"{\"a\":1}", "{\"a\":1,\"store\":false}"},
        {"{\"a\":1}", "{\"a\":1,\"service_tier\":\"auto\"}"},
        {"{\"a\":1,\"b\":[ ]}", "{ \"b\" : [] , \"a\" : 1 }"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!same(print(rows[i][0]), print(rows[i][1]))) {
            fail_msg("%s and %s differ", rows[i][0], rows[i][1]);
        }
    }
}

static void what_can_change_the_answer_differs(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{}", "{\"a\":1}"},
        {"{\"a\":1}", "{\"a\":2}"},
        {"{\"a\":1}", "{\"a\":-1}"},
        {"{\"a\":1}", "{\"a\":10}"},
        {"{\"a\":1}", "{\"a\":0.1}"},
        {"{\"a\":1}", "{\"a\":\"1\"}"},
        {"{\"a\":1}", "{\"a\":true}"},
        {"{\"a\":1}", "{\"a\":[1]}"},
        {"{\"a\":1}", "{\"A\":1}"},
        {"{\"a\":null}", "{}"},
        {"{\"a\":null}", "{\"a\":false}"},
        {"{\"a\":false}", "{\"a\":0}"},
        {"{\"a\":\"\"}", "{\"a\":null}"},
        {"{\"a\":[]}", "{\"a\":{}}"},
        {"{\"a\":[]}", "{\"a\":[null]}"},
        {"{\"a\":[1,2]}", "{\"a\":[2,1]}"},
        {"{\"a\":[1,2]}", "{\"a\":[12]}"},
        {"{\"a\":[[1],2]}", "{\"a\":[[1,2]]}"},
        {"{\"a\":[\"b\",\"c\"]}", "{\"a\":[\"bc\"]}"},
        {"{\"a\":\"bc\"}", "{\"ab\":\"c\"}"},
        {"{\"a\":{\"b\":1},\"c\":2}", "{\"a\":{\"b\":1,\"c\":2}}"},
        {"{\"a\":\"x\"}", "{\"a\":\"x\\u0000\"}"},
        {"{\"a\":\"x\"}", "{\"a\":\"x \"}"},
        {"{\"a\":\"e\xcc\x81\"}", "{\"a\":\"\xc3\xa9\"}"}, /* no normalisation */
        {"{\"a\":9007199254740992}", "{\"a\":9007199254740993}"},
        {"{\"a\":18446744073709551615}", "{\"a\":18446744073709551616}"},
        {"{\"a\":0.1}", "{\"a\":0.10000000000000000001}"},
        {"{\"a\":1e400}", "{\"a\":1e401}"},
        {"{\"a\":1e-400}", "{\"a\":0}"},
        {"{\"a\":1}", "{\"a\":1,\"seed\":7}"},
        {"{\"temperature\":0}", "{\"temperature\":1}"},
        {"{\"a\":1}", "{\"a\":1,\"Stream\":true}"},
        {"{\"a\":{\"stream\":true}}", "{\"a\":{\"stream\":false}}"}, /* left out at the top only */
        {"{\"a\":{\"user\":\"x\"}}", "{\"a\":{}}"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
         "{\"messages\":[{\"role\":\"system\",\"content\":\"hi\"}]}"},
        {"{\"tools\":[{\"name\":\"f\"}]}", "{\"tools\":[{\"name\":\"g\"}]}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (same(print(rows[i][0]), print(rows[i][1]))) {
            fail_msg("%s and %s are the same", rows[i][0], rows[i][1]);
        }
    }
}

static void scope_operation_and_model_part_requests(void **state)
{
    (void)state;
    struct slice body = SLICE("{\"a\":1}");
    struct sha256 keys[7];
    struct id near_a = tenant_a;
    near_a.bytes[0] ^= 1;
    assert_int_equal(print_of(tenant_a, "chat", "m", body, &keys[0]), OK);
    assert_int_equal(print_of(tenant_b, "chat", "m", body, &keys[1]), OK);
    assert_int_equal(print_of(near_a, "chat", "m", body, &keys[2]), OK);
    assert_int_equal(print_of(tenant_a, "embedding", "m", body, &keys[3]), OK);
    assert_int_equal(print_of(tenant_a, "chat", "m2", body, &keys[4]), OK);
    assert_int_equal(print_of(tenant_a, "chatm", "", body, &keys[5]), OK);
    assert_int_equal(print_of(tenant_a, "", "chatm", body, &keys[6]), OK);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        for (size_t k = 0; k < i; k++) {
            assert_false(same(keys[i], keys[k]));
        }
    }
}

static void bad_bodies_have_no_fingerprint(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum err want;
    } rows[] = {
        {"", E_SYNTAX},
        {"[]", E_SYNTAX},
        {"1", E_SYNTAX},
        {"{", E_SYNTAX},
        {"{} {}", E_SYNTAX},
        {"{\"a\":1,\"a\":1}", E_SYNTAX},
        {"{\"a\":1,\"\\u0061\":2}", E_SYNTAX},
        {"{\"stream\":true,\"stream\":false}", E_SYNTAX},
        {"{\"x\":[{\"a\":1,\"b\":2,\"a\":3}]}", E_SYNTAX},
        {"{\"a\":01}", E_SYNTAX},
        {"{\"a\":NaN}", E_SYNTAX},
        {"{\"a\":\"\xff\"}", E_SYNTAX},
        {"{\"a\":1e1234567890123456789}", E_LIMIT},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sha256 key;
        assert_int_equal(print_of(tenant_a, "chat", "m", slice_str(rows[i].body), &key),
                         rows[i].want);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    static char body[4096];
    for (size_t depth = 1; depth <= 1000; depth += depth < 120 ? 17 : depth < 140 ? 1 : 200) {
        size_t n = 5, inner = depth - 1;
        memcpy(body, "{\"a\":", 5);
        memset(body + n, '[', inner);
        n += inner;
        if (!inner) {
            body[n++] = '1';
        }
        memset(body + n, ']', inner);
        n += inner;
        body[n++] = '}';
        struct sha256 key;
        assert_int_equal(print_of(tenant_a, "chat", "m", slice_of(body, n), &key),
                         depth <= 128 ? OK : E_LIMIT);
    }
}

/* Members in many orders, more of them than any small array holds. */
static void any_order_of_many_members_is_one(void **state)
{
    (void)state;
    enum { MEMBERS = 300 };
    static char body[MEMBERS * 16];
    struct sha256 first = {{0}};
    for (size_t step = 1; step < 60; step += 1) {
        size_t gap = step % 2 && step % 3 && step % 5 ? step : 1; /* no factor of 300 */
        size_t n = 0;
        for (size_t i = 0; i < MEMBERS; i++) {
            size_t which = (i * gap + step) % MEMBERS;
            n += (size_t)snprintf(body + n, sizeof(body) - n, "%c\"m%zu\":%zu", i ? ',' : '{',
                                  which, which);
        }
        body[n++] = '}';
        struct sha256 key;
        assert_int_equal(print_of(tenant_a, "chat", "m", slice_of(body, n), &key), OK);
        first = step == 1 ? key : first;
        assert_true(same(first, key));
    }
}

/* Every cap from nothing up: an error until it suffices, then always the same key. */
static void a_small_arena_is_an_error_not_another_key(void **state)
{
    (void)state;
    struct slice body = SLICE("{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}],\"n\":1.0,"
                              "\"tools\":[{\"b\":{\"d\":1,\"c\":[1,2,3]},\"a\":null}]}");
    struct sha256 want;
    assert_int_equal(print_of(tenant_a, "chat", "m", body, &want), OK);
    int failures = 0;
    for (size_t cap = 0; cap < 40000; cap += 64) {
        struct arena a;
        struct sha256 key;
        arena_init(&a, NULL, cap);
        enum err e = fingerprint_request(&a, tenant_a, SLICE("chat"), SLICE("m"), body, &key);
        failures += e != OK;
        assert_true(e == E_NOMEM || e == E_LIMIT || (e == OK && same(key, want)));
        arena_deinit(&a);
    }
    assert_true(failures > 0 && failures < 40000 / 64);
}

#define LINE(cch) "x-anthropic-billing-header: cc_version=2.1.177; cc_entrypoint=cli; cch=" cch ";"

static void claude_code_s_attribution_is_left_out(void **state)
{
    (void)state;
    static const char *const equal[][2] = {
        {"{\"system\":[{\"type\":\"text\",\"text\":\"" LINE("36ee5") "\"},{\"text\":\"s\"}]}",
         "{\"system\":[{\"text\":\"" LINE("0aaa9") "\"},{\"text\":\"s\"}]}"},
        {"{\"system\":\"" LINE("36ee5") "\\nYou help.\"}",
         "{\"system\":\"" LINE("0aaa9") "\\nYou help.\"}"},
        {"{\"system\":[{\"text\":\"" LINE("1") "\\nYou help.\"}]}",
         "{\"system\":[{\"text\":\"" LINE("2") "\\nYou help.\"}]}"},
    };
    static const char *const other[][2] = {
        {"{\"system\":[{\"text\":\"" LINE("1") "\"},{\"text\":\"s\"}]}",
         "{\"system\":[{\"text\":\"" LINE("1") "\"},{\"text\":\"t\"}]}"},
        {"{\"system\":\"" LINE("1") "\\nYou help.\"}",
         "{\"system\":\"" LINE("1") "\\nYou do not.\"}"},
        {"{\"system\":[{\"text\":\"" LINE("1") "\\nYou help.\"}]}",
         "{\"system\":[{\"text\":\"" LINE("1") "\\nYou do not.\"}]}"},
        {"{\"system\":\"see " LINE("1") "\"}", "{\"system\":\"see " LINE("2") "\"}"},
        {"{\"messages\":\"" LINE("1") "\"}", "{\"messages\":\"" LINE("2") "\"}"},
    };
    struct sha256 key;
    for (size_t i = 0; i < ARRAY_LEN(equal); i++) {
        assert_true(same(print(equal[i][0]), print(equal[i][1])));
    }
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        assert_false(same(print(other[i][0]), print(other[i][1])));
    }
    /* Of two texts the provider may read the other one. */
    assert_int_equal(print_of(tenant_a, "chat", "m",
                              SLICE("{\"system\":[{\"text\":\"" LINE("1") "\",\"text\":\"s\"}]}"),
                              &key),
                     E_SYNTAX);
}

int main(void)
{
    tenant_a = id_random();
    tenant_b = id_random();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_means_the_same_is_equal),
        cmocka_unit_test(what_can_change_the_answer_differs),
        cmocka_unit_test(scope_operation_and_model_part_requests),
        cmocka_unit_test(bad_bodies_have_no_fingerprint),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(any_order_of_many_members_is_one),
        cmocka_unit_test(a_small_arena_is_an_error_not_another_key),
        cmocka_unit_test(claude_code_s_attribution_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
