/* Properties: those of translated.h, of Ollama's streams and whole answers. */
#include "translated.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    if (size == 0 || size > 32768) {
        return 0;
    }
    translated_check_whole(&dialect_ollama, in);
    translated_check(&dialect_ollama, in, 2 + data[0] % 61);
    return 0;
}
