/* Property: however requests are cut, the same heads, bodies, ends and faults come out. */
#include "fuzz/http1_cuts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = {.limits = {.head_max_bytes = 2048, .headers_max = 20, .body_max_bytes = 4096}};
    compare_cuts(&f, slice_of((const char *)data, size));
    return 0;
}
