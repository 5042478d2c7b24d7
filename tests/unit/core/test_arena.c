#include "core/arena.h"
#include "core/text.h"
#include "support/unit.h"

/* Allocation number fail_at fails (counted from 1); 0: none. */
static size_t malloc_count;
static size_t fail_at;
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    malloc_count++;
    return malloc_count == fail_at ? NULL : __real_malloc(size);
}

static void memory_is_aligned_and_apart(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, 1 << 20);
    char *parts[300];
    for (size_t size = 0; size < ARRAY_LEN(parts); size++) {
        parts[size] = arena_alloc(&a, size);
        assert_non_null(parts[size]);
        assert_int_equal((uintptr_t)parts[size] % 16, 0);
        memset(parts[size], (int)(size % 251), size);
    }
    for (size_t size = 0; size < ARRAY_LEN(parts); size++) {
        for (size_t i = 0; i < size; i++) {
            assert_int_equal((uint8_t)parts[size][i], size % 251);
        }
    }
    int64_t *zeros = arena_array(&a, 100, sizeof(int64_t));
    assert_non_null(zeros);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(zeros[i], 0);
    }
    arena_deinit(&a);
    assert_int_equal(a.held_bytes, 0);
}

static void the_cap_holds(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 20000; cap += 500) {
        struct arena a;
        arena_init(&a, NULL, cap);
        size_t got = 0;
        while (arena_alloc(&a, 100)) {
            got += 100;
        }
        assert_true(got <= cap);
        assert_true(a.held_bytes <= cap);
        assert_true(cap < 8192 || got > cap / 2);
        assert_null(arena_alloc(&a, cap + 1));
        arena_deinit(&a);
    }
}

static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, SIZE_MAX / 4);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 20));
    assert_null(arena_array(&a, SIZE_MAX / 2, 3));
    assert_null(arena_dup(&a, slice_of("", SIZE_MAX)).ptr);
    arena_deinit(&a);
}

static void a_pool_serves_again_without_the_heap(void **state)
{
    (void)state;
    struct arena_pool pool;
    struct arena a;
    arena_pool_init(&pool);
    arena_init(&a, &pool, 1 << 20);
    size_t warm = 0;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 200; i++) {
            assert_non_null(arena_alloc(&a, 100));
        }
        assert_int_equal(pool.held_bytes, a.held_bytes);
        arena_reset(&a);
        assert_int_equal(pool.held_bytes, 0);
        if (round == 0) {
            warm = malloc_count;
        }
    }
#ifndef ARENA_EMULATE
    assert_int_equal(malloc_count, warm);
    assert_true(pool.free_bytes > ARENA_BLOCK_BYTES);
    assert_true(arena_pool_trim(&pool, ARENA_BLOCK_BYTES) > 0);
    assert_true(pool.free_bytes <= ARENA_BLOCK_BYTES);
#endif
    (void)warm;
    arena_deinit(&a);
    arena_pool_deinit(&pool);
    assert_int_equal(pool.free_bytes, 0);
    arena_pool_deinit(NULL);
    arena_deinit(NULL);
}

static void texts_are_copied_with_a_nul(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, 1 << 20);
    struct slice copy = arena_dup(&a, SLICE("a\0b"));
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.ptr, "a\0b", 4);
    copy = arena_dup(&a, SLICE_NONE);
    assert_non_null(copy.ptr);
    assert_int_equal(copy.ptr[0], 0);
    copy = arena_printf(&a, "%s-%d", "x", 7);
    assert_string_equal(copy.ptr, "x-7");
    arena_deinit(&a);
}

/* What a caller sees when the heap fails at any place: NULL or is_full, never a crash or a leak. */
static bool use_everything(struct arena_pool *pool)
{
    struct arena a;
    arena_init(&a, pool, 1 << 20);
    bool is_whole = true;
    struct text t = text_growing(&a);
    for (int i = 0; i < 2000; i++) {
        text_addf(&t, "%d,", i);
    }
    is_whole &= !t.is_full;
    is_whole &= arena_alloc(&a, 10000) != NULL;
    is_whole &= arena_zalloc(&a, 3000) != NULL;
    is_whole &= arena_dup(&a, SLICE("text")).ptr != NULL;
    is_whole &= arena_printf(&a, "%d", 1).ptr != NULL;
    arena_deinit(&a);
    assert_int_equal(pool->held_bytes, 0);
    return is_whole;
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    bool is_whole = false;
    for (size_t n = 1; !is_whole; n++) {
        struct arena_pool pool;
        arena_pool_init(&pool);
        malloc_count = 0;
        fail_at = n;
        is_whole = use_everything(&pool);
        bool has_failed = malloc_count >= n;
        fail_at = 0;
        assert_int_equal(is_whole, !has_failed);
        arena_pool_deinit(&pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_and_apart),
        cmocka_unit_test(the_cap_holds),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(a_pool_serves_again_without_the_heap),
        cmocka_unit_test(texts_are_copied_with_a_nul),
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
