/* Property: what the parser takes is written back as JSON that reads as the same tree, within the
 * arena's cap, and a small cap only ever ends in a limit. */
#include "wire/json.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a, small;
    struct slice text = slice_of((const char *)data, size);
    yyjson_val *one, *two, *three;
    arena_init(&a, NULL, (size_t)64 << 20);
    arena_init(&small, NULL, 8192);
    enum err e = json_parse(&a, text, &one, NULL);
    if (e == OK) {
        struct slice again = json_text(&a, one);
        assert(again.ptr);
        e = json_parse(&a, again, &two, NULL);
        assert(e == OK);
        struct slice twice = json_text(&a, two);
        assert(slice_eq(again, twice));
        e = json_parse(&small, text, &three, NULL);
        assert(e == OK || e == E_LIMIT);
    } else {
        e = json_parse(&small, text, &three, NULL);
        assert(e == E_SYNTAX || e == E_LIMIT);
    }
    assert(small.held_bytes <= 8192);
    arena_deinit(&small);
    arena_deinit(&a);
    return 0;
}
