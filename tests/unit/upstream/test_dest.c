/* Tests of upstream/dest.c: base URLs, proxies, and what NO_PROXY excludes. */
#include "support/unit.h"
#include "upstream/attempt.h"

#define assert_slice(s, text) assert_true(slice_eq((s), slice_str(text)))

struct parsed {
    struct arena arena;
    struct upstream_dest dest;
    struct slice path;
    enum err e;
};

static void parse(struct parsed *p, const char *url, const char *proxy, const char *no_proxy)
{
    *p = (struct parsed){0};
    arena_init(&p->arena, NULL, 1 << 16);
    p->e = upstream_dest_parse(&p->arena, slice_str(url), slice_str(proxy), slice_str(no_proxy),
                               SLICE_NONE, &p->dest, &p->path);
}

static void urls_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *authority, *path;
        uint16_t port;
        bool is_tls;
    } cases[] = {
        {"https://api.openai.com/v1", "api.openai.com", "api.openai.com", "/v1", 443, true},
        {"http://127.0.0.1:11434/v1/", "127.0.0.1", "127.0.0.1:11434", "/v1", 11434, false},
        {"HTTPS://API.Example.COM", "api.example.com", "api.example.com", "", 443, true},
        {"http://[::1]:8080/a/b//", "::1", "[::1]:8080", "/a/b", 8080, false},
        {"https://h:443/", "h", "h", "", 443, true},
        {"http://my_host:80", "my_host", "my_host", "", 80, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parsed p;
        parse(&p, cases[i].url, NULL, NULL);
        assert_int_equal(p.e, OK);
        assert_slice(p.dest.host, cases[i].host);
        assert_slice(p.dest.authority, cases[i].authority);
        assert_slice(p.path, cases[i].path);
        assert_int_equal(p.dest.port, cases[i].port);
        assert_int_equal(p.dest.is_tls, cases[i].is_tls);
        assert_int_equal(p.dest.proxy_host.len, 0);
        arena_deinit(&p.arena);
    }
}

static void what_is_no_base_url_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "api.openai.com",
        "ftp://x/",
        "https://",
        "https:///v1",
        "https://:443/",
        "https://h:0/",
        "https://h:65536/",
        "https://h:-1/",
        "https://h:/",
        "https://h:8x/",
        "https://user:pass@h/",
        "https://h/v1?x=1",
        "https://h/v1#f",
        "https://h/a b",
        "https://h/a\r\nX: y",
        "https://h\r\n/",
        "https://[::1",
        "https://[::1]x",
        "https://[]/",
        "https://h st/",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parsed p;
        parse(&p, cases[i], NULL, NULL);
        if (p.e != E_SYNTAX) {
            fail_msg("%s was taken", cases[i]);
        }
        arena_deinit(&p.arena);
    }
}

static void a_proxy_is_used_for_https_only(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "https://h/", "http://us%40er:pa%3Ass@proxy:3128/", NULL);
    assert_int_equal(p.e, OK);
    assert_slice(p.dest.proxy_host, "proxy");
    assert_int_equal(p.dest.proxy_port, 3128);
    assert_slice(p.dest.proxy_authorization, "Basic dXNAZXI6cGE6c3M=");
    arena_deinit(&p.arena);
    parse(&p, "https://h/", "proxy:3128", NULL);
    assert_int_equal(p.e, OK);
    assert_slice(p.dest.proxy_host, "proxy");
    assert_int_equal(p.dest.proxy_authorization.len, 0);
    arena_deinit(&p.arena);
    parse(&p, "http://h/", "http://proxy:3128", NULL);
    assert_int_equal(p.e, OK);
    assert_int_equal(p.dest.proxy_host.len, 0);
    arena_deinit(&p.arena);
    parse(&p, "https://h/", "https://proxy:3128", NULL);
    assert_int_equal(p.e, E_UNSUPPORTED);
    arena_deinit(&p.arena);
    parse(&p, "https://h/", "http://proxy:x", NULL);
    assert_int_equal(p.e, E_SYNTAX);
    arena_deinit(&p.arena);
}

static void no_proxy_excludes_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *host, *no_proxy;
        bool is_direct;
    } cases[] = {
        {"api.corp.example", "*", true},
        {"api.corp.example", "corp.example", true},
        {"api.corp.example", " other , .corp.example ", true},
        {"api.corp.example", "*.corp.example", true},
        {"api.corp.example", "API.CORP.EXAMPLE", true},
        {"api.corp.example", "api.corp.example:443", true},
        {"api.corp.example", "api.corp.example:8443", false},
        {"xcorp.example", "corp.example", false},
        {"corp.example", "api.corp.example", false},
        {"corp.example", "", false},
        {"corp.example", ",,", false},
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.10", false},
        {"[::1]", "::1", true},
        {"[::1]", "[::1]:443", true},
        {"[::1]", "[::1]:444", false},
        {"[::1]", "::2", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char url[128];
        struct parsed p;
        (void)snprintf(url, sizeof(url), "https://%s/", cases[i].host);
        parse(&p, url, "http://proxy:3128", cases[i].no_proxy);
        assert_int_equal(p.e, OK);
        if ((p.dest.proxy_host.len == 0) != cases[i].is_direct) {
            fail_msg("%s with NO_PROXY=%s", cases[i].host, cases[i].no_proxy);
        }
        arena_deinit(&p.arena);
    }
}

static void pool_keys_tell_apart_what_must_not_share_connections(void **state)
{
    (void)state;
    static const struct {
        const char *url, *proxy;
    } cases[] = {
        {"https://h/", NULL},           {"http://h/", NULL},
        {"https://h:444/", NULL},       {"https://i/", NULL},
        {"https://h/", "http://p:1"},   {"https://h/", "http://p:2"},
        {"https://h/", "http://a@p:1"}, {"https://h/", "http://b@p:1"},
    };
    struct parsed parsed[ARRAY_LEN(cases)], again;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        parse(&parsed[i], cases[i].url, cases[i].proxy, NULL);
        assert_int_equal(parsed[i].e, OK);
        for (size_t j = 0; j < i; j++) {
            assert_false(slice_eq(parsed[i].dest.pool_key, parsed[j].dest.pool_key));
        }
    }
    parse(&again, "https://H:443/other/path", NULL, NULL); /* the path is no matter */
    assert_true(slice_eq(again.dest.pool_key, parsed[0].dest.pool_key));
    arena_deinit(&again.arena);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        arena_deinit(&parsed[i].arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(what_is_no_base_url_is_refused),
        cmocka_unit_test(a_proxy_is_used_for_https_only),
        cmocka_unit_test(no_proxy_excludes_hosts),
        cmocka_unit_test(pool_keys_tell_apart_what_must_not_share_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
