/* core/sigv4: AWS's own test suite of Signature Version 4 (its credentials, day, region and
 * service), published with the signing documentation, and what we are asked to sign that it does
 * not have. */
#include "core/clock.h"
#include "core/sigv4.h"
#include "support/unit.h"

static const struct sigv4_key suite_key = {
    .id = SLICE_INIT("AKIDEXAMPLE"),
    .secret = SLICE_INIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    .region = SLICE_INIT("us-east-1"),
    .service = SLICE_INIT("service"),
};
enum { HEADERS_MAX = 4 };
#define HOST                                                    \
    {                                                           \
        SLICE_INIT("host"), SLICE_INIT("example.amazonaws.com") \
    }
#define DATE                                                     \
    {                                                            \
        SLICE_INIT("x-amz-date"), SLICE_INIT("20150830T123600Z") \
    }

static const struct vector {
    const char *name, *method, *path, *query, *body, *signature, *signed_headers;
    struct sigv4_header headers[HEADERS_MAX];
} vectors[] = {
    {"get-vanilla",
     "GET",
     "/",
     "",
     "",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
     "host;x-amz-date",
     {HOST, DATE}},
    {"post-vanilla",
     "POST",
     "/",
     "",
     "",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
     "host;x-amz-date",
     {HOST, DATE}},
    {"get-vanilla-query-order-key-case",
     "GET",
     "/",
     "Param2=value2&Param1=value1",
     "",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
     "host;x-amz-date",
     {HOST, DATE}},
    {"get-vanilla-query-order-value",
     "GET",
     "/",
     "Param1=value2&Param1=value1",
     "",
     "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
     "host;x-amz-date",
     {HOST, DATE}},
    {"get-vanilla-query-unreserved",
     "GET",
     "/",
     "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
     "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     "",
     "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
     "host;x-amz-date",
     {HOST, DATE}},
    {"get-utf8",
     "GET",
     "/\xE1\x88\xB4",
     "",
     "",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
     "host;x-amz-date",
     {HOST, DATE}},
    {"get-vanilla-utf8-query",
     "GET",
     "/",
     "%E1%88%B4=bar",
     "",
     "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
     "host;x-amz-date",
     {HOST, DATE}},
    {"get-header-value-trim",
     "GET",
     "/",
     "",
     "",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
     "host;my-header1;my-header2;x-amz-date",
     {HOST,
      {SLICE_INIT("my-header1"), SLICE_INIT(" value1")},
      {SLICE_INIT("my-header2"), SLICE_INIT(" \"a   b   c\"")},
      DATE}},
    {"post-header-key-sort",
     "POST",
     "/",
     "",
     "",
     "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
     "host;my-header1;x-amz-date",
     {HOST, {SLICE_INIT("my-header1"), SLICE_INIT("value1")}, DATE}},
    {"post-header-value-case",
     "POST",
     "/",
     "",
     "",
     "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
     "host;my-header1;x-amz-date",
     {HOST, {SLICE_INIT("my-header1"), SLICE_INIT("VALUE1")}, DATE}},
    {"post-x-www-form-urlencoded",
     "POST",
     "/",
     "",
     "Param1=value1",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
     "content-type;host;x-amz-date",
     {{SLICE_INIT("content-type"), SLICE_INIT("application/x-www-form-urlencoded")}, HOST, DATE}},
    {"post-sts-header-before",
     "POST",
     "/",
     "",
     "",
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
     "host;x-amz-date;x-amz-security-token",
     {HOST,
      DATE,
      {SLICE_INIT("x-amz-security-token"),
       SLICE_INIT(
           "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmx"
           "fpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0K"
           "PkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZb"
           "qBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==")}}},
};

static void each_vector_of_the_suite(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        const struct vector *v = &vectors[i];
        struct arena a;
        struct slice body = slice_str(v->body);
        struct sigv4_request r = {.method = slice_str(v->method),
                                  .path = slice_str(v->path),
                                  .query = slice_str(v->query),
                                  .headers = v->headers,
                                  .body = &body,
                                  .body_count = 1};
        while (r.header_count < HEADERS_MAX && v->headers[r.header_count].name.len) {
            r.header_count++;
        }
        arena_init(&a, NULL, (size_t)1 << 20);
        struct text t = text_growing(&a);
        assert_int_equal(sigv4_sign(&r, &suite_key, SLICE("20150830T123600Z"), &a, &t), OK);
        struct slice expected = arena_printf(
            &a,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            "SignedHeaders=%s, Signature=%s",
            v->signed_headers, v->signature);
        if (!slice_eq(text_slice(&t), expected)) {
            fail_msg("%s: %.*s", v->name, SLICE_ARG(text_slice(&t)));
        }
        arena_deinit(&a);
    }
}

static void the_date_is_of_the_clock_given(void **state)
{
    char room[SIGV4_DATE_BYTES];
    (void)state;
    struct slice date = sigv4_date(INT64_C(1440938160) * NS_PER_S + 999 * NS_PER_MS, room);
    assert_true(slice_eq(date, SLICE("20150830T123600Z")));
}

/* A path that is encoded already is encoded again: %3A is signed as %253A. */
static void the_path_is_encoded_once_more(void **state)
{
    char room[64];
    struct text t = text_in(room, sizeof(room));
    (void)state;
    text_add_uri(&t, SLICE("/model/a.b-v1%3A0/converse"), true);
    assert_true(slice_eq(text_slice(&t), SLICE("/model/a.b-v1%253A0/converse")));
    t.len = 0;
    text_add_uri(&t, SLICE("arn:aws:x/y \xC3\xA4"), false);
    assert_true(slice_eq(text_slice(&t), SLICE("arn%3Aaws%3Ax%2Fy%20%C3%A4")));
}

static void parts_of_a_body_are_signed_as_one(void **state)
{
    const struct slice whole[] = {SLICE("Param1=value1")};
    const struct slice parts[] = {SLICE("Param"), SLICE(""), SLICE("1=value1")};
    const struct sigv4_header headers[] = {HOST, DATE};
    struct sigv4_request r = {.method = SLICE("POST"),
                              .path = SLICE("/"),
                              .headers = headers,
                              .header_count = 2,
                              .body = whole,
                              .body_count = 1};
    struct arena a;
    (void)state;
    arena_init(&a, NULL, (size_t)1 << 20);
    struct text x = text_growing(&a), y = text_growing(&a);
    assert_int_equal(sigv4_sign(&r, &suite_key, SLICE("20150830T123600Z"), &a, &x), OK);
    r.body = parts;
    r.body_count = 3;
    assert_int_equal(sigv4_sign(&r, &suite_key, SLICE("20150830T123600Z"), &a, &y), OK);
    assert_true(slice_eq(text_slice(&x), text_slice(&y)));
    arena_deinit(&a);
}

static void what_is_too_large_or_has_no_room_is_told(void **state)
{
    static const char many[] = "a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a";
    const struct sigv4_header headers[] = {HOST, DATE};
    struct sigv4_request r = {.method = SLICE("GET"),
                              .path = SLICE("/"),
                              .query = slice_str(many),
                              .headers = headers,
                              .header_count = 2};
    struct sigv4_key key = suite_key;
    struct arena a;
    char room[SIGV4_SECRET_MAX_BYTES + 1] = {0};
    (void)state;
    arena_init(&a, NULL, (size_t)1 << 20);
    struct text t = text_growing(&a);
    assert_int_equal(sigv4_sign(&r, &key, SLICE("20150830T123600Z"), &a, &t), E_LIMIT);
    r.query = SLICE_NONE;
    key.secret = slice_of(room, sizeof(room));
    assert_int_equal(sigv4_sign(&r, &key, SLICE("20150830T123600Z"), &a, &t), E_LIMIT);
    arena_deinit(&a);
    arena_init(&a, NULL, 0);
    t = text_growing(&a);
    assert_int_equal(sigv4_sign(&r, &suite_key, SLICE("20150830T123600Z"), &a, &t), E_NOMEM);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_vector_of_the_suite),
        cmocka_unit_test(the_date_is_of_the_clock_given),
        cmocka_unit_test(the_path_is_encoded_once_more),
        cmocka_unit_test(parts_of_a_body_are_signed_as_one),
        cmocka_unit_test(what_is_too_large_or_has_no_room_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
