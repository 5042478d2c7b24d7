/* Which path is which route, on which port. */
#include "gateway/router.h"
#include "support/unit.h"

static const struct slice prefix = SLICE_INIT("/api/v1");

static void every_documented_path_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum route_kind kind;
        const char *rest;
    } rows[] = {
        {"/v1/chat/completions", ROUTE_CHAT, ""},
        {"/chat/completions", ROUTE_CHAT, ""},
        {"/v1/completions", ROUTE_CHAT, ""},
        {"/completions", ROUTE_CHAT, ""},
        {"/v1/embeddings", ROUTE_CHAT, ""},
        {"/embeddings", ROUTE_CHAT, ""},
        {"/api/v1/completions", ROUTE_CHAT, ""},
        {"/v1/models", ROUTE_MODELS, ""},
        {"/v1/models/a/b", ROUTE_MODELS, "a/b"},
        {"/v1/models/ft:gpt-4o:acme::x", ROUTE_MODELS, "ft:gpt-4o:acme::x"},
        {"/v1beta/models", ROUTE_MODELS, ""},
        {"/v1beta/models/gemini-x", ROUTE_MODELS, "gemini-x"},
        {"/v1beta/models/gemini-x:predict", ROUTE_MODELS, "gemini-x:predict"},
        {"/v1beta/models/:generateContent", ROUTE_MODELS, ":generateContent"},
        {"/v1beta/models/%3AgenerateContent", ROUTE_MODELS, "%3AgenerateContent"},
        {"/v1beta/models/m:generateContent", ROUTE_CHAT, "m:generateContent"},
        {"/v1/models/m:generateContent", ROUTE_CHAT, "m:generateContent"},
        {"/v1/models/m%3AstreamGenerateContent", ROUTE_CHAT, "m%3AstreamGenerateContent"},
        {"/v1beta/models/p/m:x:countTokens", ROUTE_CHAT, "p/m:x:countTokens"},
        {"/models", ROUTE_MODELS, ""},
        {"/v1/messages", ROUTE_CHAT, ""},
        {"/v1/messages/count_tokens", ROUTE_CHAT, ""},
        {"/", ROUTE_DOOR, ""},
        {"/health", ROUTE_DOOR, ""},
        {"/health/live", ROUTE_DOOR, ""},
        {"/health/ready", ROUTE_DOOR, ""},
        {"/metrics", ROUTE_DOOR, ""},
        {"/docs", ROUTE_DOOR, ""},
        {"/api/v1/openapi.json", ROUTE_DOOR, ""},
        {"/api/v1/requests/x", ROUTE_DOOR, "x"},
        {"/api/v1/admin/tenants", ROUTE_DOOR, "tenants"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice rest;
        const struct api_route *r = router_find(slice_str(rows[i].path), prefix,
                                                PORT_TENANT | PORT_ADMIN | PORT_METRICS, &rest);
        assert_non_null(r);
        assert_int_equal(r->kind, rows[i].kind);
        assert_true(slice_eq(rest, slice_str(rows[i].rest)));
    }
}

static void methods_of_gemini_are_operations(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum chat_operation op;
    } rows[] = {
        {"/v1beta/models/m:generateContent", CHAT_OP_CHAT},
        {"/v1beta/models/m:streamGenerateContent", CHAT_OP_CHAT},
        {"/v1/models/m%3acountTokens", CHAT_OP_COUNT_TOKENS},
        {"/v1/models/m:embedContent", CHAT_OP_EMBEDDING},
        {"/v1beta/models/m:batchEmbedContents", CHAT_OP_EMBEDDING},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice rest;
        const struct api_route *r =
            router_find(slice_str(rows[i].path), prefix, PORT_TENANT, &rest);
        assert_non_null(r);
        assert_ptr_equal(r->dialect, &dialect_gemini);
        assert_int_equal(r->op, rows[i].op);
        assert_true(slice_ends(slice_str(rows[i].path), rest));
    }
}

static void near_misses_are_not_found(void **state)
{
    (void)state;
    static const char *const paths[] = {"",
                                        "//",
                                        "/v1",
                                        "/v1/chat",
                                        "/v1/chat/completions/",
                                        "/v1/models/",
                                        "/api/v1",
                                        "/healthz",
                                        "/api/v1/admin",
                                        "/api/v2/completions",
                                        "/API/v1/completions",
                                        "//v1/chat/completions",
                                        "/v1/chat/completions%00"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct slice rest;
        assert_null(router_find(slice_str(paths[i]), prefix, ~0u, &rest));
    }
}

static void a_port_serves_its_roles_only(void **state)
{
    (void)state;
    struct slice rest;
    assert_null(router_find(SLICE("/api/v1/admin/tenants"), prefix, PORT_TENANT, &rest));
    assert_null(router_find(SLICE("/metrics"), prefix, PORT_TENANT | PORT_ADMIN, &rest));
    assert_null(
        router_find(SLICE("/v1/chat/completions"), prefix, PORT_ADMIN | PORT_METRICS, &rest));
    assert_non_null(router_find(SLICE("/health"), prefix, PORT_METRICS, &rest));
    assert_non_null(router_find(SLICE("/api/v1/admin/tenants"), prefix, PORT_ADMIN, &rest));
}

static void the_prefix_moves_with_the_setting(void **state)
{
    (void)state;
    struct slice rest;
    assert_non_null(router_find(SLICE("/gw/completions"), SLICE("/gw"), PORT_TENANT, &rest));
    assert_null(router_find(SLICE("/api/v1/completions"), SLICE("/gw"), PORT_TENANT, &rest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_documented_path_is_found),
        cmocka_unit_test(methods_of_gemini_are_operations),
        cmocka_unit_test(near_misses_are_not_found),
        cmocka_unit_test(a_port_serves_its_roles_only),
        cmocka_unit_test(the_prefix_moves_with_the_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
