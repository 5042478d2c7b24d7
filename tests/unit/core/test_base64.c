/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "core/base64.h"
#include "core/check.h"

static const struct {
    struct slice bytes, padded, url;
} rows[] = {
    /* RFC 4648 section 10 */
    {SLICE_INIT(""), SLICE_INIT(""), SLICE_INIT("")},
    {SLICE_INIT("f"), SLICE_INIT("Zg=="), SLICE_INIT("Zg")},
    {SLICE_INIT("fo"), SLICE_INIT("Zm8="), SLICE_INIT("Zm8")},
    {SLICE_INIT("foo"), SLICE_INIT("Zm9v"), SLICE_INIT("Zm9v")},
    {SLICE_INIT("foob"), SLICE_INIT("Zm9vYg=="), SLICE_INIT("Zm9vYg")},
    {SLICE_INIT("fooba"), SLICE_INIT("Zm9vYmE="), SLICE_INIT("Zm9vYmE")},
    {SLICE_INIT("foobar"), SLICE_INIT("Zm9vYmFy"), SLICE_INIT("Zm9vYmFy")},
    {SLICE_INIT("\xfb\xff\x00"), SLICE_INIT("+/8A"), SLICE_INIT("-_8A")},
};

static void what_is_written_is_read_in_either_alphabet(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct slice padded, bare;
        arena_init(&a, NULL, 1u << 16);
        struct text t = text_growing(&a), url = text_growing(&a);
        base64_add(&t, rows[i].bytes);
        base64url_add(&url, rows[i].bytes);
        assert_true(slice_eq(text_slice(&t), rows[i].padded));
        assert_true(slice_eq(text_slice(&url), rows[i].url));
        assert_int_equal(base64_read(&a, rows[i].padded, &padded), OK);
        assert_int_equal(base64_read(&a, rows[i].url, &bare), OK);
        assert_true(slice_eq(padded, rows[i].bytes));
        assert_true(slice_eq(bare, rows[i].bytes));
        arena_deinit(&a);
    }
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    static const struct slice wrong[] = {SLICE_INIT("A"), SLICE_INIT("Zm9vY"), SLICE_INIT("Zm 9"),
                                         SLICE_INIT("Zm=v"), SLICE_INIT("Zm9\n")};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct arena a;
        struct slice out;
        arena_init(&a, NULL, 1u << 16);
        assert_int_equal(base64_read(&a, wrong[i], &out), E_SYNTAX);
        arena_deinit(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_in_either_alphabet),
        cmocka_unit_test(what_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
