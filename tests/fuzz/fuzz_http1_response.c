/* Property: however responses are cut, the same heads, bodies, ends and faults come out, the end of
 * the connection included. The first byte says whether the request was HEAD. */
#include "fuzz/http1_cuts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = {.is_response = true,
                     .has_eof = true,
                     .is_bodyless = size && data[0] == 'h',
                     .limits = {.head_max_bytes = 2048, .headers_max = 20, .body_max_bytes = 4096}};
    struct slice in = slice_of((const char *)data, size);
    compare_cuts(&f, f.is_bodyless ? slice_from(in, 1) : in);
    return 0;
}
