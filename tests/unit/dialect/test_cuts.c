/* Every recorded stream, from its provider's dialect to every client's, fed in pieces of many
 * sizes: the same bytes leave and the same answer is gathered. (In every place in two:
 * test_*_stream for the same dialect on both sides, test_bedrock for frames.) */
#include "run.h"

static const struct dialect *provider;
static size_t pairs;

static void check_pieces(struct arena *a, const char *name, const struct dialect *client,
                         struct slice in)
{
    struct run whole;
    run_whole(a, provider, client, in, &whole);
    const struct chat_response *answer = dialect_stream_answer(whole.stream);
    for (size_t step = 1; step < 400; step += 97) {
        struct arena b;
        struct run k;
        arena_init(&b, NULL, (size_t)256 << 20);
        run_stream(&b, provider, client, in, 0, step, &k);
        if (k.end != whole.end || k.terminals != whole.terminals || k.errors != whole.errors ||
            !slice_eq(text_slice(&k.bytes), text_slice(&whole.bytes))) {
            fail_msg("%s: %s for %s differs in pieces of %zu bytes", name, provider->name,
                     client->name, step);
        }
        assert_int_equal(k.after_terminal, 0);
        if (answer) {
            run_check_same(&b, name, answer, dialect_stream_answer(k.stream));
        }
        arena_deinit(&b);
    }
    pairs++;
}

static void check_fixture(struct arena *a, const char *name, struct slice in)
{
    static const struct dialect *const clients[] = {
        &dialect_openai, &dialect_anthropic, &dialect_gemini, &dialect_responses, &dialect_own};
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        check_pieces(a, name, clients[i], in);
    }
}

static size_t each(const struct dialect *from, const char *dir, const char *suffix)
{
    provider = from;
    return dir ? fixture_each_in(dir, suffix, check_fixture) : fixture_each(suffix, check_fixture);
}

static void recorded_streams_are_the_same_in_any_pieces(void **state)
{
    (void)state;
    size_t streams = each(&dialect_openai, NULL, ".sse");
    streams += each(&dialect_anthropic, TEST_DATA_DIR "/anthropic", ".sse");
    streams += each(&dialect_gemini, TEST_DATA_DIR "/gemini", ".sse");
    streams += each(&dialect_responses, TEST_DATA_DIR "/openai-responses", ".sse");
    streams += each(&dialect_bedrock, TEST_DATA_DIR "/bedrock", ".eventstream.bin");
    assert_int_equal(streams, 58);
    assert_int_equal(pairs, 5 * 58);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_streams_are_the_same_in_any_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
