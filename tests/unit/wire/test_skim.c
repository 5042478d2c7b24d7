/* Skimming ends where reading in full ends, at every alignment, and refuses what does not match. */
#include "support/unit.h"
#include "wire/skim.h"
#include "wire/spans.h"

static const char *const samples[] = {
    "{}",
    "[]",
    "[[],{},[{}]]",
    "{\"a\":\"}\"}",
    "{\"a\":\"\\\"}\"}",
    "{\"a\":\"\\\\\"}",
    "{\"a\":\"\\\\\\\"]\",\"b\":[1,2,{\"c\":\"[\"}]}",
    "[\"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\"]",
    "{\"content\":\"a long text that goes on for more than one block of sixty-four bytes, with { and ] in it\",\"n\":null}",
    "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hi\\n\\t\\u00e9\",\"refusal\":null},\"logprobs\":null}]",
};

static const char *full_end(const char *text, const char *end)
{
    /* The text is element 0 of an array, so that what follows it does not matter. */
    struct span_fault fault;
    for (const char *p = text + 1; p <= end; p++) {
        if (spans_check(slice_of(text, (size_t)(p - text)), &fault) == OK) {
            return p;
        }
    }
    return NULL;
}

static void ends_where_the_full_reader_ends(void **state)
{
    (void)state;
    char room[512];
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        size_t len = strlen(samples[i]);
        for (size_t shift = 0; shift < 70; shift++) {
            memset(room, '"', sizeof(room)); /* what stands around is none of its business */
            memcpy(room + shift, samples[i], len);
            const char *skimmed = NULL;
            const char *text = room + shift;
            assert_int_equal(skim_container(text, room + sizeof(room), SKIM_DEPTH_MAX, &skimmed),
                             OK);
            assert_ptr_equal(skimmed, full_end(text, text + len));
        }
    }
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        for (size_t len = 1; len < strlen(samples[i]); len++) {
            const char *end = NULL;
            assert_int_equal(skim_container(samples[i], samples[i] + len, SKIM_DEPTH_MAX, &end),
                             E_SYNTAX);
        }
    }
}

static void brackets_must_match_in_kind(void **state)
{
    (void)state;
    static const char *const bad[] = {"{]", "[}", "[{]}", "{\"a\":[}]}", "[[[}]]"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *end = NULL;
        assert_int_equal(skim_container(bad[i], bad[i] + strlen(bad[i]), SKIM_DEPTH_MAX, &end),
                         E_SYNTAX);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[2 * (SKIM_DEPTH_MAX + 1)];
    for (unsigned depth = 1; depth <= SKIM_DEPTH_MAX + 1; depth++) {
        const char *end = NULL;
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        enum err e = skim_container(text, text + (size_t)2 * depth, SKIM_DEPTH_MAX, &end);
        assert_int_equal(e, depth <= SKIM_DEPTH_MAX ? OK : E_LIMIT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_where_the_full_reader_ends),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(brackets_must_match_in_kind),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
