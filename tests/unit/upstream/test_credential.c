/* upstream/credential: the states of a source, by a clock of the test's own. What goes over the
 * network is tested with the binary (access_tokens_are_fetched_and_renewed.test.mjs). */
#include "support/unit.h"
#include "upstream/credential_state.h"

enum { HOUR_S = 3600 };
#define S(n) ((int64_t)(n)*INT64_C(1000000000))

static struct credentials *registry;

static int set_up(void **state)
{
    (void)state;
    return credentials_new(&registry) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    credentials_free(registry); /* asserts that every source was given back */
    return 0;
}

static struct credential_conf client_conf(const char *secret)
{
    return (struct credential_conf){.grant = CREDENTIAL_CLIENT,
                                    .url = SLICE("https://login.example/t/oauth2/v2.0/token"),
                                    .client_id = SLICE("id"),
                                    .client_secret = slice_str(secret),
                                    .scope = SLICE("scope")};
}

static struct credential_source *find(const struct credential_conf *conf)
{
    struct credential_source *s = NULL;
    assert_int_equal(credential_source_find(registry, conf, &s), OK);
    return s;
}

/* A whole fetch at that time. */
static void fetched(struct credential_source *s, const char *token, int64_t life_ns, int64_t now_ns)
{
    bool is_news;
    assert_true(credential_source_begin(s, now_ns));
    assert_false(credential_source_begin(s, now_ns)); /* one at a time */
    assert_true(credential_source_put(s, slice_str(token), life_ns, now_ns, &is_news));
}

static int64_t failed(struct credential_source *s, int64_t now_ns)
{
    bool is_news;
    assert_true(credential_source_begin(s, now_ns));
    return credential_source_fail(s, now_ns, &is_news);
}

static void assert_token(struct credential_source *s, int64_t now_ns, const char *token)
{
    struct credential *c = NULL;
    assert_int_equal(credential_take(s, now_ns, &c), CREDENTIAL_READY);
    assert_int_equal(c->token.len, strlen(token));
    assert_memory_equal(c->token.ptr, token, c->token.len);
    assert_memory_equal(c->line.ptr, "authorization: Bearer ", 22);
    assert_memory_equal(c->line.ptr + c->line.len - 2, "\r\n", 2);
    credential_unref(c);
}

static void equal_confs_share_a_source_others_do_not(void **state)
{
    struct credential_conf one = client_conf("s"), two = client_conf("other");
    struct credential_conf moved = one; /* the same texts in other members */
    (void)state;
    moved.client_id = SLICE("i");
    moved.client_secret = SLICE("ds");
    struct credential_source *a = find(&one), *b = find(&one), *c = find(&two), *d = find(&moved);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_ptr_not_equal(a, d);
    credential_source_unref(a);
    fetched(b, "token", S(HOUR_S), 0); /* the other reference keeps it */
    assert_token(b, S(1), "token");
    credential_source_unref(b);
    struct credential_source *fresh = find(&one);
    assert_int_equal(credential_take(fresh, S(1), NULL), CREDENTIAL_WAITING);
    credential_source_unref(fresh);
    credential_source_unref(c);
    credential_source_unref(d);
}

static void a_url_that_is_none_is_refused(void **state)
{
    struct credential_conf conf = client_conf("s");
    struct credential_source *s = NULL;
    (void)state;
    conf.url = SLICE("ftp://x");
    assert_int_equal(credential_source_find(registry, &conf, &s), E_SYNTAX);
}

static void a_token_is_renewed_before_it_ends_and_given_out_till_then(void **state)
{
    struct credential_conf conf = client_conf("s");
    struct credential_source *s = find(&conf);
    (void)state;
    fetched(s, "one", S(HOUR_S), 0);
    assert_false(credential_source_begin(s, S(HOUR_S - 301)));
    assert_true(credential_source_begin(s, S(HOUR_S - 300)));
    assert_token(s, S(HOUR_S - 6), "one"); /* while the fetch is out */
    assert_int_equal(credential_take(s, S(HOUR_S - 5), NULL), CREDENTIAL_WAITING);
    bool is_news;
    assert_true(credential_source_put(s, SLICE("two"), S(10), S(HOUR_S), &is_news));
    assert_true(is_news);
    assert_token(s, S(HOUR_S), "two");
    assert_false(credential_source_begin(s, S(HOUR_S + 7))); /* short lives: by shares */
    assert_true(credential_source_begin(s, S(HOUR_S + 8)));
    assert_int_equal(credential_take(s, S(HOUR_S + 9), NULL), CREDENTIAL_WAITING);
    credential_source_unref(s);
}

static void a_failure_is_told_and_tried_again_ever_later(void **state)
{
    static const int64_t waits_s[] = {1, 2, 4, 8, 15, 15};
    struct credential_conf conf = client_conf("s");
    struct credential_source *s = find(&conf);
    int64_t now_ns = 0;
    (void)state;
    assert_int_equal(credential_take(s, 0, NULL), CREDENTIAL_WAITING);
    for (size_t i = 0; i < ARRAY_LEN(waits_s); i++) {
        assert_int_equal(failed(s, now_ns), waits_s[i]);
        assert_int_equal(credential_take(s, now_ns, NULL), CREDENTIAL_FAILED);
        assert_false(credential_source_begin(s, now_ns + S(waits_s[i]) - 1));
        now_ns += S(waits_s[i]);
    }
    fetched(s, "one", S(HOUR_S), now_ns);
    assert_token(s, now_ns, "one");
    now_ns += S(HOUR_S - 300);
    assert_int_equal(failed(s, now_ns), 1); /* the count begins anew, and the old one still goes */
    assert_token(s, now_ns, "one");
    assert_int_equal(credential_take(s, now_ns + S(300), NULL), CREDENTIAL_FAILED);
    int64_t done, bad;
    credential_counts(s, &done, &bad);
    assert_int_equal(done, 1);
    assert_int_equal(bad, ARRAY_LEN(waits_s) + 1);
    credential_source_unref(s);
}

static void a_refused_token_is_replaced_once_in_a_while(void **state)
{
    struct credential_conf conf = client_conf("s");
    struct credential_source *s = find(&conf);
    struct credential *one = NULL, *two = NULL;
    (void)state;
    fetched(s, "one", S(HOUR_S), 0);
    assert_int_equal(credential_take(s, S(1), &one), CREDENTIAL_READY);
    assert_true(credential_refuse(s, one, S(1)));
    assert_true(credential_refuse(s, one, S(1))); /* who comes second waits for the same fetch */
    assert_int_equal(credential_take(s, S(1), NULL), CREDENTIAL_WAITING);
    fetched(s, "two", S(HOUR_S), S(1));
    assert_true(credential_refuse(s, one, S(1))); /* of long ago: there is a better one */
    assert_token(s, S(1), "two");
    assert_int_equal(credential_take(s, S(1), &two), CREDENTIAL_READY);
    assert_false(credential_refuse(s, two, S(60))); /* fetching does not help */
    assert_token(s, S(60), "two");
    assert_true(credential_refuse(s, two, S(61)));
    assert_memory_equal(one->token.ptr, "one", 3); /* held: still whole */
    credential_unref(one);
    credential_unref(two);
    credential_source_unref(s);
}

static void a_file_is_looked_at_every_second(void **state)
{
    struct credential_conf conf = {.grant = CREDENTIAL_FILE, .file = SLICE("/run/token")};
    struct credential_source *s = find(&conf);
    bool is_news;
    (void)state;
    fetched(s, "one", 0, 0);
    assert_false(credential_source_begin(s, S(1) - 1));
    assert_true(credential_source_begin(s, S(1)));
    assert_true(credential_source_put(s, SLICE("one"), 0, S(1), &is_news));
    assert_false(is_news);
    assert_true(credential_source_begin(s, S(2)));
    (void)credential_source_fail(s, S(2), &is_news); /* away for a moment */
    assert_true(is_news);
    assert_token(s, S(1000000), "one");
    assert_true(credential_source_begin(s, S(3)));
    (void)credential_source_fail(s, S(3), &is_news);
    assert_false(is_news); /* said once */
    assert_true(credential_source_begin(s, S(5)));
    assert_true(credential_source_put(s, SLICE("two"), 0, S(5), &is_news));
    assert_true(is_news);
    assert_token(s, S(5), "two");
    credential_source_unref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equal_confs_share_a_source_others_do_not, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_url_that_is_none_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_token_is_renewed_before_it_ends_and_given_out_till_then,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_is_told_and_tried_again_ever_later, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_refused_token_is_replaced_once_in_a_while, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_is_looked_at_every_second, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
