/* Properties: those of stream_cuts.h, of Ollama's streams and whole answers. */
#include "stream_cuts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    if (size == 0 || size > 32768) {
        return 0;
    }
    stream_check_answer(&dialect_ollama, in);
    stream_check_clients(&dialect_ollama, in, 2 + data[0] % 61);
    return 0;
}
