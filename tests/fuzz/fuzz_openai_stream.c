/* Properties: in whatever pieces a stream comes, the same bytes and facts come out; without hiding
 * they are the input's own bytes up to the terminal event; nothing follows the terminal event; the
 * end is clean only if it was seen. */
#include "stream_cuts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct stream_way ways[] = {
    {.provider = &dialect_openai, .client = &dialect_openai, .is_ungathered = true},
    {.provider = &dialect_openai,
     .client = &dialect_openai,
     .hides_usage = true,
     .is_ungathered = true},
    {.provider = &dialect_openai, .client = &dialect_own, .is_ungathered = true},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    if (size == 0 || size > 32768) {
        return 0;
    }
    for (size_t way = 0; way < ARRAY_LEN(ways); way++) {
        struct arena a;
        struct stream_seen whole;
        arena_init(&a, NULL, (size_t)256 << 20);
        stream_check_cuts(&a, &ways[way], in, 1, 2 + data[0] % 61, &whole);
        assert(whole.outcome.is_complete == (whole.terminals == 1));
        if (way == 0 && whole.terminals == 0) {
            assert(slice_starts(in, text_slice(&whole.bytes)) ||
                   slice_ends(text_slice(&whole.bytes), SLICE("\n\n")));
        }
        arena_deinit(&a);
    }
    return 0;
}
