/* wire/lines: every cut of the input gives the same lines. */
#include "support/unit.h"
#include "wire/lines.h"

enum { MEMORY_BYTES = 1 << 20 };

struct seen {
    struct text text; /* lines, each with '|' behind */
    enum err answer;
};

static enum err on_line(void *ctx, struct slice line)
{
    struct seen *seen = ctx;
    assert_true(line.len > 0);
    text_add(&seen->text, line);
    text_add_char(&seen->text, '|');
    return seen->answer;
}

static enum err run(struct arena *a, struct slice in, size_t cut, size_t max, struct seen *seen)
{
    struct lines l;
    *seen = (struct seen){.text = text_growing(a)};
    lines_init(&l, a, max, on_line, seen);
    enum err e = lines_feed(&l, slice_head(in, cut));
    e = e ? e : lines_feed(&l, slice_from(in, cut));
    return e ? e : lines_end(&l);
}

static void check(const char *in, const char *out)
{
    struct slice bytes = slice_str(in);
    for (size_t cut = 0; cut <= bytes.len; cut++) {
        struct arena a;
        struct seen seen;
        arena_init(&a, NULL, MEMORY_BYTES);
        assert_int_equal(run(&a, bytes, cut, 100, &seen), OK);
        assert_int_equal(seen.text.len, strlen(out));
        assert_memory_equal(seen.text.len ? seen.text.ptr : "", out, seen.text.len);
        arena_deinit(&a);
    }
}

static void lines_for_every_cut(void **state)
{
    (void)state;
    check("", "");
    check("\n\r\n\n", "");
    check("{\"a\":1}\n{\"b\":2}\n", "{\"a\":1}|{\"b\":2}|");
    check("{\"a\":1}\r\n\r\n{\"b\":2}", "{\"a\":1}|{\"b\":2}|"); /* the last one unended */
}

static void a_line_is_bounded(void **state)
{
    struct arena a;
    struct seen seen;
    (void)state;
    arena_init(&a, NULL, MEMORY_BYTES);
    for (size_t cut = 0; cut < 12; cut++) {
        assert_int_equal(run(&a, SLICE("1234567890\n"), cut, 10, &seen), OK);
        assert_int_equal(run(&a, SLICE("12345678901\n"), cut, 10, &seen), E_LIMIT);
    }
    arena_deinit(&a);
}

static void a_failure_stays(void **state)
{
    struct arena a;
    struct seen seen = {.answer = E_SYNTAX};
    struct lines l;
    (void)state;
    arena_init(&a, NULL, MEMORY_BYTES);
    seen.text = text_growing(&a);
    lines_init(&l, &a, 10, on_line, &seen);
    assert_int_equal(lines_feed(&l, SLICE("a\nb\n")), E_SYNTAX);
    assert_int_equal(lines_feed(&l, SLICE("c\n")), E_SYNTAX);
    assert_int_equal(lines_end(&l), E_SYNTAX);
    assert_int_equal(seen.text.len, 2);
    arena_deinit(&a);
    arena_init(&a, NULL, 0);
    lines_init(&l, &a, 10, on_line, &seen);
    assert_int_equal(lines_feed(&l, SLICE("a")), E_NOMEM);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_for_every_cut),
        cmocka_unit_test(a_line_is_bounded),
        cmocka_unit_test(a_failure_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
