/* bench/token_count.c -- what counting tokens costs: nanoseconds a byte by kind of text, the
 * hostile ones 1 MiB each.
 *
 * Prints the median of rounds on one thread. No figure here is checked: bench/RESULTS.md keeps them
 * with machine and date.
 */
#include "core/clock.h"
#include "token/token.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_BYTES = 1 << 20, ROUNDS = 5 };

static const char english[] =
    "The gateway stands between client applications and the providers of language models. It checks "
    "who is asking, whether they may, what it will cost at most, and where the answer is likely to "
    "come from soonest; then it passes bytes on, and doesn't hold anything it needn't. In 2026 that "
    "took 17.4 microseconds a request, of which the kernel's share was the largest.\n\n";
static const char code[] = "static bool push(struct trail *t, uint32_t token, size_t end)\n{\n"
                           "    for (size_t i = t->high; i < end; i++) {\n"
                           "        t->dead[i / 64] &= ~(UINT64_C(1) << (i % 64));\n    }\n"
                           "    return t->depth++ < WINDOW_MAX && t->pos != end;\n}\n\n";
static const char chinese[] =
    "网关位于客户端应用程序和语言模型提供商之间。它检查请求者的身份、权限、"
    "最高费用以及最快的答复来源，然后转发字节。";
static const char russian[] =
    "Шлюз стоит между приложениями и поставщиками языковых моделей. Он "
    "проверяет, кто спрашивает, можно ли ему и сколько это будет стоить. ";
static const char marks[] = "!?;:=-+*/&%$#@^~()[]{}<>|\\_.,\"`'";

struct kind {
    const char *name;
    void (*fill)(char *text, const char *seed, size_t seed_len);
    const char *seed;
    size_t seed_len;
};

static void repeat(char *text, const char *seed, size_t seed_len)
{
    for (size_t i = 0; i < TEXT_BYTES; i++) {
        text[i] = seed[i % seed_len];
    }
}

/* Bytes of the seed in random order; without a seed any bytes. */
static void shuffle(char *text, const char *seed, size_t seed_len)
{
    uint64_t x = 88172645463325252U;
    for (size_t i = 0; i < TEXT_BYTES; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        text[i] = seed_len ? seed[(x >> 32) % seed_len] : (char)(x >> 32);
    }
}

#define TEXT(s) (s), sizeof(s) - 1
static const struct kind kinds[] = {
    {"English", repeat, TEXT(english)},
    {"C", repeat, TEXT(code)},
    {"Chinese", repeat, TEXT(chinese)},
    {"Russian", repeat, TEXT(russian)},
    {"one letter", repeat, TEXT("a")},
    {"spaces", repeat, TEXT(" ")},
    {"newlines", repeat, TEXT("\n")},
    {"one multibyte letter", repeat, TEXT("\xE4\xB8\xAD")},
    {"rare multibyte letter", repeat, TEXT("\xF0\xA0\x80\x80")},
    {"two letters by chance", shuffle, TEXT("ab")},
    {"letters by chance", shuffle, TEXT("abcdefghijklmnopqrstuvwxyz")},
    {"marks by chance", shuffle, TEXT(marks)},
    {"bytes by chance", shuffle, NULL, 0},
    {"0xFF", repeat, TEXT("\xFF")},
};

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t measure(enum token_encoding encoding, const char *text, size_t *out_tokens)
{
    int64_t took[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t begin_ns = clock_mono_ns();
        *out_tokens = token_count(encoding, slice_of(text, TEXT_BYTES));
        took[i] = clock_mono_ns() - begin_ns;
    }
    qsort(took, ROUNDS, sizeof(took[0]), by_value);
    return took[ROUNDS / 2];
}

int main(void)
{
    static const char *const names[] = {"cl100k_base", "o200k_base"};
    char *text = malloc(TEXT_BYTES);
    assert(text);
    printf("tokens of 1 MiB%s\n", token_has_ranks() ? "" : " (no ranks: estimates)");
    printf("%-24s %14s %10s %10s %10s\n", "", "", "ns/byte", "ms", "tokens");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        kinds[i].fill(text, kinds[i].seed, kinds[i].seed_len);
        for (int e = TOKEN_CL100K; e <= TOKEN_O200K; e++) {
            size_t tokens;
            int64_t took_ns = measure((enum token_encoding)e, text, &tokens);
            int64_t tenths = took_ns * 10 / TEXT_BYTES;
            printf("%-24s %14s %8lld.%lld %10lld %10zu\n", kinds[i].name, names[e],
                   (long long)(tenths / 10), (long long)(tenths % 10),
                   (long long)(took_ns / 1000000), tokens);
        }
    }
    free(text);
    return 0;
}
