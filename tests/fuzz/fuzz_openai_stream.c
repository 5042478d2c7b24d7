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

static void check_way(struct arena *a, size_t way, struct slice in, struct stream_seen *whole)
{
    (void)a;
    assert(whole->outcome.is_complete == (whole->terminals == 1));
    if (way == 0 && whole->terminals == 0) {
        assert(slice_starts(in, text_slice(&whole->bytes)) ||
               slice_ends(text_slice(&whole->bytes), SLICE("\n\n")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    return stream_check_ways(in, 1, ways, ARRAY_LEN(ways), check_way);
}
