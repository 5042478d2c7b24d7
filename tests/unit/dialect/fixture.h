/* The recorded exchanges of tests/wire, for the dialect's tests. */
#ifndef UNIT_DIALECT_FIXTURE_H
#define UNIT_DIALECT_FIXTURE_H

#include "chat/usage.h"
#include "core/arena.h"
#include "core/text.h"
#include "support/unit.h"
#include "wire/json.h"

#include <dirent.h>

/* Called for every file below tests/wire whose name ends in a suffix. */
typedef void (*fixture_fn)(struct arena *a, const char *name, struct slice bytes);

static inline struct slice fixture_read(struct arena *a, const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *bytes = arena_alloc(a, (size_t)1 << 20);
    assert_non_null(bytes);
    size_t len = fread(bytes, 1, (size_t)1 << 20, f);
    assert_int_equal(fclose(f), 0);
    assert_true(len < (size_t)1 << 20);
    return slice_of(bytes, len);
}

static inline size_t fixture_each_in(const char *dir, const char *suffix, fixture_fn fn)
{
    size_t count = 0;
    DIR *d = opendir(dir);
    struct dirent *entry;
    assert_non_null(d);
    while ((entry = readdir(d))) {
        if (slice_ends(slice_str(entry->d_name), slice_str(suffix))) {
            struct arena a;
            arena_init(&a, NULL, (size_t)512 << 20);
            struct slice path = arena_printf(&a, "%s/%s", dir, entry->d_name);
            fn(&a, entry->d_name, fixture_read(&a, path.ptr));
            arena_deinit(&a);
            count++;
        }
    }
    assert_int_equal(closedir(d), 0);
    return count;
}

/* All directories but those of other dialects: the other providers speak OpenAI's. */
static inline size_t fixture_each(const char *suffix, fixture_fn fn)
{
    size_t count = 0;
    DIR *d = opendir(TEST_DATA_DIR);
    struct dirent *entry;
    assert_non_null(d);
    while ((entry = readdir(d))) {
        char path[1024];
        bool is_openai = entry->d_name[0] != '.' && strcmp(entry->d_name, "anthropic") != 0 &&
                         strcmp(entry->d_name, "bedrock") != 0 &&
                         strcmp(entry->d_name, "gemini") != 0 &&
                         strcmp(entry->d_name, "openai-responses") != 0;
        if (is_openai && entry->d_type == DT_DIR) {
            assert_true(snprintf(path, sizeof(path), "%s/%s", TEST_DATA_DIR, entry->d_name) > 0);
            count += fixture_each_in(path, suffix, fn);
        }
    }
    assert_int_equal(closedir(d), 0);
    return count;
}

/* One try with what an arena holds. */
typedef enum err (*fixture_try_fn)(struct arena *a, const void *ctx);

/* Arena caps upward: the right thing or an error that says what lacks, and the first in the end. */
static inline void fixture_starve(fixture_try_fn fn, const void *ctx, size_t cap_max_bytes,
                                  size_t step_bytes)
{
    bool succeeded = false;
    for (size_t cap = 0; cap < cap_max_bytes; cap += step_bytes) {
        struct arena a;
        arena_init(&a, NULL, cap);
        enum err e = fn(&a, ctx);
        assert_true(e == OK || e == E_NOMEM || e == E_LIMIT);
        succeeded = e == OK;
        arena_deinit(&a);
    }
    assert_true(succeeded);
}

static inline int64_t fixture_count(yyjson_val *obj, const char *name)
{
    int64_t value = 0;
    (void)json_i64(json_get(obj, name), &value);
    return value;
}

/* The answer of a recorded exchange, or of a file that is one, by tree; NULL when it is none or a
 * stream. */
static inline yyjson_val *fixture_answer(struct arena *a, struct slice bytes, int64_t *out_status)
{
    yyjson_val *root;
    assert_int_equal(json_parse(a, bytes, &root, NULL), OK);
    yyjson_val *response = json_get(root, "response"), *body = json_get(response, "body");
    *out_status = body && json_get(response, "status") ? fixture_count(response, "status") : 200;
    return body || json_get(root, "request") ? body : root;
}

/* The usage the tree states, compared with what was read; the test's own arithmetic. */
static inline void fixture_check_usage(yyjson_val *u, const struct usage *got)
{
    int64_t total = fixture_count(u, "total_tokens");
    int64_t completion = fixture_count(u, "completion_tokens");
    int64_t reasoning = fixture_count(json_get(u, "completion_tokens_details"), "reasoning_tokens");
    assert_true(got->is_known);
    assert_int_equal(usage_prompt(got), fixture_count(u, "prompt_tokens"));
    assert_int_equal(got->cache_read,
                     fixture_count(json_get(u, "prompt_tokens_details"), "cached_tokens"));
    assert_int_equal(got->reasoning, reasoning);
    assert_int_equal(usage_total(got), total);
    if (reasoning <= completion) {
        assert_int_equal(usage_completion(got), completion);
    }
}

#endif
