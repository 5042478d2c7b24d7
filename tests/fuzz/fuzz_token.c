/* Property: the ids decode to the input (with U+FFFD for what is not UTF-8), both ways of counting
 * agree with them, an early stop says the same, a token has at least a byte, and the work a byte is
 * bounded. */
#include "token/bpe.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 4096, STEADY_MAX = 512, STEPS_MAX = 256 };

/* The bytes of the text as the tokens have them. */
static size_t replaced(const uint8_t *data, size_t size, uint8_t *out)
{
    size_t len = 0;
    for (size_t i = 0; i < size;) {
        uint32_t cp;
        bool is_broken;
        size_t n = split_decode(data + i, data + size, &cp, &is_broken);
        memcpy(out + len, is_broken ? (const uint8_t *)"\xEF\xBF\xBD" : data + i,
               is_broken ? 3 : n);
        len += is_broken ? 3 : n;
        i += n;
    }
    return len;
}

static size_t count_pieces(enum token_encoding e, struct slice text, size_t reach)
{
    struct bpe b = {.reach = reach};
    struct split s;
    struct piece p;
    size_t count = 0;
    bool has_ranks = ranks_find(e, &b.ranks);
    assert(has_ranks);
    split_init(&s, e, text);
    while (split_next(&s, &p)) {
        count += bpe_count(&b, &p);
    }
    assert(reach == 0 || b.steps <= STEPS_MAX * (text.len + 1));
    return count;
}

static void check(enum token_encoding e, struct slice text, struct slice want)
{
    static uint32_t ids[INPUT_MAX];
    size_t count = token_count(e, text), at = 0, got = 0;
    assert(count <= text.len && count * TOKEN_MAX_BYTES >= text.len);
    assert(count_pieces(e, text, BPE_REACH) == count);
    assert(text.len > STEADY_MAX || count_pieces(e, text, 0) == count); /* it is the slow one */
    size_t max = text.len ? (uint8_t)text.ptr[0] : 0;
    size_t part = token_count_up_to(e, text, max);
    assert(count <= max ? part == count : part > max);
    if (token_encode(e, text, ids, INPUT_MAX, &got) != OK) {
        return; /* would go the steady way; never seen */
    }
    assert(got == count);
    for (size_t i = 0; i < got; i++) {
        uint8_t bytes[TOKEN_MAX_BYTES];
        size_t len = token_decode(e, ids[i], bytes);
        assert(len > 0 && len <= want.len - at && memcmp(want.ptr + at, bytes, len) == 0);
        at += len;
    }
    assert(at == want.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t whole[3 * INPUT_MAX];
    if (size > INPUT_MAX || !token_has_ranks()) {
        return 0;
    }
    struct slice text = slice_of((const char *)data, size);
    struct slice want = slice_of((const char *)whole, replaced(data, size, whole));
    check(TOKEN_CL100K, text, want);
    check(TOKEN_O200K, text, want);
    return 0;
}
