/* Property: whole, byte by byte and in pieces give the same verdict and the same place; a value
 * that was found lies between its part's head and a boundary. The first line is the boundary. */
#include "wire/multipart.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err run(struct multipart *m, struct slice type, struct slice in, size_t step)
{
    enum err e = multipart_init(m, type, SLICE("model"), 64);
    for (size_t i = 0; i < in.len && !e; i += step) {
        e = multipart_feed(m, slice_head(slice_from(in, i), step));
    }
    return e ? e : multipart_end(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct multipart whole, bytes, pieces;
    struct slice in = slice_of((const char *)data, size);
    struct slice boundary = slice_head(in, slice_find(in, '\n'));
    char type[256] = "multipart/form-data; boundary=";
    size_t len = strlen(type);
    if (boundary.len == in.len || boundary.len > sizeof(type) - len) {
        return 0;
    }
    memcpy(type + len, boundary.ptr, boundary.len);
    in = slice_from(in, boundary.len + 1);
    struct slice content_type = slice_of(type, len + boundary.len);
    enum err e = run(&whole, content_type, in, in.len + 1);
    assert(run(&bytes, content_type, in, 1) == e);
    assert(run(&pieces, content_type, in, 1 + data[0] % 13) == e);
    if (e == OK && whole.is_found) {
        assert(whole.value_at == bytes.value_at && whole.value_len == bytes.value_len);
        assert(whole.value_at == pieces.value_at && whole.value_len == pieces.value_len);
        struct slice after = slice_from(in, whole.value_at + whole.value_len);
        assert(slice_starts(after, slice_of(whole.delimiter, whole.delimiter_len)));
        assert(memcmp(in.ptr + whole.value_at - 4, "\r\n\r\n", 4) == 0);
    }
    return 0;
}
