/* token: exact against the published vectors and against the plain algorithm, linear on hostile
 * input. */
#include "core/arena.h"
#include "support/unit.h"
#include "token/bpe.h"
#include "token/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

enum { IDS_MAX = 65536, HOSTILE_BYTES = 1 << 18, STEPS_MAX = 32 };
static const char *const names[] = {"cl100k_base", "o200k_base"};

/* Without ranks there is nothing to test here; CI has them. */
static void need_ranks(void)
{
    if (!token_has_ranks()) {
        assert_null(getenv("CI"));
        skip();
    }
}

static struct slice read_file(struct arena *a, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof(path), TEST_DATA_DIR "/tokenizer/%s", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size_t len = (size_t)ftell(f);
    rewind(f);
    char *text = arena_alloc(a, len + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, len, f), len);
    text[len] = '\0';
    (void)fclose(f);
    return slice_of(text, len);
}

/* Ids and count of text are those given, and the ids decode to it. */
static void check_ids(enum token_encoding e, struct slice text, const uint32_t *want, size_t count)
{
    static uint32_t ids[IDS_MAX];
    size_t got = 0, at = 0;
    assert_int_equal(token_encode(e, text, ids, IDS_MAX, &got), OK);
    assert_int_equal(got, count);
    assert_memory_equal(ids, want, count * sizeof(*want));
    assert_int_equal(token_count(e, text), count);
    for (size_t i = 0; i < got; i++) {
        uint8_t bytes[TOKEN_MAX_BYTES];
        size_t len = token_decode(e, ids[i], bytes);
        assert_true(len > 0 && len <= text.len - at);
        assert_memory_equal(text.ptr + at, bytes, len);
        at += len;
    }
    assert_int_equal(at, text.len);
}

static void the_vectors_hold(void **state)
{
    (void)state;
    need_ranks();
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 20);
    struct slice rest = read_file(&a, "vectors.jsonl");
    size_t lines = 0;
    for (; rest.len; lines++) {
        struct slice line = slice_head(rest, slice_find(rest, '\n'));
        rest = slice_from(rest, line.len + 1);
        yyjson_doc *doc = yyjson_read(line.ptr, line.len, 0);
        assert_non_null(doc);
        yyjson_val *root = yyjson_doc_get_root(doc);
        yyjson_val *text = yyjson_obj_get(root, "text");
        for (int e = TOKEN_CL100K; e <= TOKEN_O200K; e++) {
            yyjson_val *ids = yyjson_obj_get(root, names[e]), *id;
            uint32_t *want = arena_array(&a, yyjson_arr_size(ids) + 1, sizeof(*want));
            size_t i, max;
            yyjson_arr_foreach(ids, i, max, id)
            {
                want[i] = (uint32_t)yyjson_get_uint(id);
            }
            check_ids((enum token_encoding)e, slice_of(yyjson_get_str(text), yyjson_get_len(text)),
                      want, max);
        }
        yyjson_doc_free(doc);
    }
    assert_int_equal(lines, 300);
    arena_deinit(&a);
}

/* "EncodingName: x\nSample: ...\nEncoded: [1, 2]\n\n"; a sample may hold newlines. */
static void the_test_plans_hold(void **state)
{
    (void)state;
    need_ranks();
    static uint32_t want[IDS_MAX];
    struct arena a;
    arena_init(&a, NULL, (size_t)1 << 20);
    struct slice rest = read_file(&a, "TestPlans.txt");
    struct slice begin = SLICE("EncodingName: "), middle = SLICE("\nSample: "),
                 end = SLICE("\nEncoded: [");
    size_t cases[2] = {0, 0};
    for (size_t at; (at = slice_search(rest, begin)) < rest.len;) {
        rest = slice_from(rest, at + begin.len);
        struct slice name = slice_head(rest, slice_search(rest, middle));
        rest = slice_from(rest, name.len + middle.len);
        struct slice text = slice_head(rest, slice_search(rest, end));
        rest = slice_from(rest, text.len + end.len);
        size_t count = 0;
        const char *digits = text.ptr + text.len + end.len;
        while (*digits != ']') {
            char *next;
            assert_true(count < IDS_MAX);
            want[count++] = (uint32_t)strtoul(digits, &next, 10);
            digits = next + (*next == ',');
        }
        for (int e = TOKEN_CL100K; e <= TOKEN_O200K; e++) {
            if (slice_eq(name, slice_str(names[e]))) {
                check_ids((enum token_encoding)e, text, want, count);
                cases[e]++;
            }
        }
    }
    assert_int_equal(cases[TOKEN_CL100K], 64);
    assert_int_equal(cases[TOKEN_O200K], 57);
    arena_deinit(&a);
}

/* The rank of exactly these bytes. */
static uint32_t rank_of(const struct ranks *r, const uint8_t *p, size_t n)
{
    uint64_t steps = 0;
    uint32_t token = ranks_longest(r, p, n, &steps);
    return token != RANKS_NONE && ranks_len(r, token) == n ? token : RANKS_NONE;
}

/* The plain algorithm: merge the adjacent pair of lowest rank, the leftmost of equals, until none
 * is left. */
static size_t merge_plainly(const struct ranks *r, const uint8_t *p, size_t n, size_t *ends)
{
    size_t count = n;
    for (size_t i = 0; i < n; i++) {
        ends[i] = i + 1;
    }
    for (;;) {
        uint32_t best = RANKS_NONE;
        size_t best_at = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            size_t from = i ? ends[i - 1] : 0;
            uint32_t rank = rank_of(r, p + from, ends[i + 1] - from);
            if (rank < best) {
                best = rank;
                best_at = i;
            }
        }
        if (best == RANKS_NONE) {
            return count;
        }
        memmove(ends + best_at, ends + best_at + 1, (count - best_at - 1) * sizeof(*ends));
        count--;
    }
}

static uint64_t random_next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x >> 16;
}

/* Strings over small alphabets make the longest token wrong most often. The greedy and the steady
 * way. */
static void both_ways_are_the_plain_algorithm(void **state)
{
    (void)state;
    need_ranks();
    static const char *const alphabets[] = {"ab",  "aeinrst", " ",        "=-",
                                            "\n ", "{}();",   "\xE4\xB8", "0123456789abcdef"};
    uint64_t x = 88172645463325252U;
    uint8_t text[96];
    size_t ends[sizeof(text)];
    for (int e = TOKEN_CL100K; e <= TOKEN_O200K; e++) {
        struct bpe ways[] = {{.reach = BPE_REACH}, {.reach = 0}, {.reach = 3}};
        for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
            assert_true(ranks_find((enum token_encoding)e, &ways[w].ranks));
        }
        for (int round = 0; round < 2000; round++) {
            const char *letters = alphabets[random_next(&x) % ARRAY_LEN(alphabets)];
            size_t len = 1 + random_next(&x) % sizeof(text);
            for (size_t i = 0; i < len; i++) {
                text[i] = (uint8_t)letters[random_next(&x) % strlen(letters)];
            }
            size_t want = merge_plainly(&ways[0].ranks, text, len, ends);
            for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
                assert_int_equal(bpe_count(&ways[w], &(struct piece){text, len, false}), want);
            }
        }
    }
}

/* Pieces far longer than the greedy way's memory: ids in order, and the steady way's number. */
static void long_words_are_exact(void **state)
{
    (void)state;
    need_ranks();
    static uint8_t text[20000];
    static uint32_t ids[sizeof(text)];
    uint64_t x = 7;
    for (int e = TOKEN_CL100K; e <= TOKEN_O200K; e++) {
        for (unsigned letters = 1; letters <= 26; letters += 5) {
            for (size_t i = 0; i < sizeof(text); i++) {
                text[i] = (uint8_t)('a' + random_next(&x) % letters);
            }
            struct slice in = slice_of((const char *)text, sizeof(text));
            struct bpe steady = {.reach = 0};
            assert_true(ranks_find((enum token_encoding)e, &steady.ranks));
            size_t count = bpe_count(&steady, &(struct piece){text, sizeof(text), false});
            size_t got = 0, at = 0;
            assert_int_equal(token_encode((enum token_encoding)e, in, ids, ARRAY_LEN(ids), &got),
                             OK);
            assert_int_equal(got, count);
            for (size_t i = 0; i < got; i++) {
                uint8_t bytes[TOKEN_MAX_BYTES];
                size_t len = token_decode((enum token_encoding)e, ids[i], bytes);
                assert_memory_equal(text + at, bytes, len);
                at += len;
            }
            assert_int_equal(at, sizeof(text));
        }
    }
}

/* The same number as for the text with U+FFFD written out, at every cut and over the room's end. */
static void broken_text_counts_as_replaced(void **state)
{
    (void)state;
    need_ranks();
    static uint8_t broken[12000];
    static uint8_t whole[3 * sizeof(broken)];
    static const char *const alphabets[] = {"\xFF", "\xE4\xB8\xAD", "a\xF0\x9F\x98\x80",
                                            "\xFF!=\xCC\x81"};
    uint64_t x = 99;
    for (size_t k = 0; k < ARRAY_LEN(alphabets); k++) {
        for (size_t size = 1; size <= sizeof(broken); size = size * 3 / 2 + 1) {
            size_t wide = 0;
            for (size_t i = 0; i < size; i++) {
                broken[i] = (uint8_t)alphabets[k][random_next(&x) % strlen(alphabets[k])];
            }
            for (size_t i = 0; i < size;) {
                uint32_t cp;
                bool is_broken;
                size_t len = split_decode(broken + i, broken + size, &cp, &is_broken);
                memcpy(whole + wide, is_broken ? "\xEF\xBF\xBD" : (const char *)broken + i,
                       is_broken ? 3 : len);
                wide += is_broken ? 3 : len;
                i += len;
            }
            for (int e = TOKEN_CL100K; e <= TOKEN_O200K; e++) {
                size_t count = token_count((enum token_encoding)e, slice_of((char *)broken, size));
                assert_int_equal(
                    count, token_count((enum token_encoding)e, slice_of((char *)whole, wide)));
                assert_true(count <= size);
            }
        }
    }
}

struct hostile {
    const char *letters;
    bool is_random;
};

/* Work a byte, in bytes looked at, tokens tried and halvings: at most 25, for the hyphen (2026-11).
 */
static void work_is_linear_on_hostile_text(void **state)
{
    (void)state;
    need_ranks();
    static const struct hostile rows[] = {
        {"a", false},
        {" ", false},
        {"\n", false},
        {"=", false},
        {"-", false},
        {"/", false},
        {"-=", false},
        {"\xE4\xB8\xAD", false},
        {"\xFF", false},
        {"\xF0\xA0\x80\x80", false},
        {"ab", false},
        {"ab", true},
        {"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", true},
        {"!?;:=-+*/&%$#@^~()[]{}<>|\\_.,\"`'", true},
        {" \n\t", true},
        {"\xFF\xE4\xB8\xAD\xF0\x9F\x98\x80 a!", true}};
    static uint8_t text[HOSTILE_BYTES];
    uint64_t x = 5;
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        size_t n = strlen(rows[k].letters);
        for (size_t i = 0; i < sizeof(text); i++) {
            text[i] = (uint8_t)rows[k].letters[(rows[k].is_random ? random_next(&x) : i) % n];
        }
        for (int e = TOKEN_CL100K; e <= TOKEN_O200K; e++) {
            struct bpe b = {.reach = BPE_REACH};
            assert_true(ranks_find((enum token_encoding)e, &b.ranks));
            struct split s;
            struct piece p;
            size_t count = 0;
            split_init(&s, (enum token_encoding)e, slice_of((const char *)text, sizeof(text)));
            while (split_next(&s, &p)) {
                count += bpe_count(&b, &p);
            }
            assert_true(count > 0 && count <= sizeof(text));
            assert_true(b.steps <= STEPS_MAX * sizeof(text));
        }
    }
}

static void counting_stops_when_the_answer_is_certain(void **state)
{
    (void)state;
    need_ranks();
    struct slice text = SLICE("one two three four five six seven eight nine ten");
    assert_int_equal(token_count(TOKEN_O200K, text), 10);
    for (size_t max = 0; max < 20; max++) {
        size_t count = token_count_up_to(TOKEN_O200K, text, max);
        assert_true(max < 10 ? count == max + 1 : count == 10);
    }
    static char big[TOKEN_MAX_BYTES * 10];
    memset(big, ' ', sizeof(big));
    assert_int_equal(token_count_up_to(TOKEN_O200K, slice_of(big, sizeof(big)), 9), 10);
    assert_int_equal(token_count(TOKEN_CL100K, SLICE_NONE), 0);
    assert_int_equal(token_count_up_to(TOKEN_CL100K, SLICE_NONE, 0), 0);
}

static void ids_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    need_ranks();
    uint32_t ids[3];
    uint8_t bytes[TOKEN_MAX_BYTES];
    size_t count = 77;
    assert_int_equal(token_encode(TOKEN_O200K, SLICE("one two three four"), ids, 3, &count),
                     E_LIMIT);
    assert_int_equal(count, 77);
    assert_int_equal(token_encode(TOKEN_O200K, SLICE("one two three"), ids, 3, &count), OK);
    assert_int_equal(count, 3);
    assert_int_equal(token_decode(TOKEN_O200K, 199998, bytes), 0);
    assert_int_equal(token_decode(TOKEN_CL100K, UINT32_MAX, bytes), 0);
}

static void an_estimate_is_never_above_the_bytes(void **state)
{
    (void)state;
    assert_int_equal(token_estimate(SLICE_NONE), 0);
    assert_int_equal(token_estimate(SLICE("a")), 1);
    assert_int_equal(token_estimate(SLICE("abcdefgh")), 2);
    assert_int_equal(token_estimate(SLICE("\xE4\xB8\xAD\xE5\x9B\xBD")), 2);
    assert_int_equal(token_estimate(SLICE("\xD0\xBC\xD0\xB8\xD1\x80")), 2);
    assert_int_equal(token_estimate(SLICE("\xF0\x9F\x98\x80")), 2);
    assert_int_equal(token_estimate(SLICE("\x80\x80")), 1);
    assert_int_equal(token_estimate(SLICE("\xFF")), 1);
}

static void models_have_the_encodings_tiktoken_gives_them(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        int encoding; /* -1: none known */
    } rows[] = {{"gpt-4o", TOKEN_O200K},
                {"gpt-4o-mini-2024-07-18", TOKEN_O200K},
                {"chatgpt-4o-latest", TOKEN_O200K},
                {"gpt-4.1-nano", TOKEN_O200K},
                {"gpt-4.5-preview", TOKEN_O200K},
                {"gpt-5", TOKEN_O200K},
                {"gpt-5.4-mini", TOKEN_O200K},
                {"gpt-oss-120b", TOKEN_O200K},
                {"o1", TOKEN_O200K},
                {"o3-mini", TOKEN_O200K},
                {"o4-mini", TOKEN_O200K},
                {"gpt-4", TOKEN_CL100K},
                {"gpt-4-turbo-2024-04-09", TOKEN_CL100K},
                {"gpt-3.5-turbo", TOKEN_CL100K},
                {"gpt-35-turbo-16k", TOKEN_CL100K},
                {"text-embedding-3-small", TOKEN_CL100K},
                {"text-embedding-ada-002", TOKEN_CL100K},
                {"davinci-002", TOKEN_CL100K},
                {"openai/gpt-4o", TOKEN_O200K},
                {"openrouter/openai/gpt-4", TOKEN_CL100K},
                {"ft:gpt-4:acme::7p4lURel", TOKEN_CL100K},
                {"ft:gpt-4o-mini:acme", TOKEN_O200K},
                {"ft:", -1},
                {"gpt-40", -1},
                {"claude-sonnet-5", -1},
                {"gemini-3-pro", -1},
                {"text-davinci-003", -1},
                {"GPT-4o", -1},
                {"", -1}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum token_encoding e = TOKEN_CL100K;
        bool is_known = token_encoding_of_model(slice_str(rows[i].model), &e);
        assert_int_equal(is_known ? (int)e : -1, rows[i].encoding);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_hold),
        cmocka_unit_test(the_test_plans_hold),
        cmocka_unit_test(both_ways_are_the_plain_algorithm),
        cmocka_unit_test(long_words_are_exact),
        cmocka_unit_test(broken_text_counts_as_replaced),
        cmocka_unit_test(work_is_linear_on_hostile_text),
        cmocka_unit_test(counting_stops_when_the_answer_is_certain),
        cmocka_unit_test(ids_that_do_not_fit_are_refused),
        cmocka_unit_test(an_estimate_is_never_above_the_bytes),
        cmocka_unit_test(models_have_the_encodings_tiktoken_gives_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
