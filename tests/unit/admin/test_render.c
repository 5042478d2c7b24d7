/* What the admin API writes of rows. */
#include "admin/render.h"
#include "support/unit.h"

static void a_share_is_of_the_prompt(void **state)
{
    (void)state;
    const int64_t huge = INT64_MAX - 10;
    static const struct {
        int64_t prompt, read, share;
    } rows[] = {{0, 0, 0},
                {3, 2, 6666},
                {1000, 900, 9000},
                {10001, 10001, 10000},
                {INT64_C(1) << 40, INT64_C(1) << 39, 5000}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct store_usage_row r = {.prompt_tokens = rows[i].prompt,
                                          .cache_read_tokens = rows[i].read};
        assert_int_equal(render_cache_read_share(&r), rows[i].share);
    }
    assert_int_equal(render_cache_read_share(&(struct store_usage_row){
                         .prompt_tokens = huge, .cache_read_tokens = huge / 2}),
                     5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_share_is_of_the_prompt)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
