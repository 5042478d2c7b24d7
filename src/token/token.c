#include "token/token.h"

#include "token/bpe.h"

#include <assert.h>

static_assert((int)TOKEN_MAX_BYTES == (int)RANKS_TOKEN_MAX_BYTES, "one bound, two names");

bool token_has_ranks(void)
{
    struct ranks r;
    return ranks_find(TOKEN_CL100K, &r);
}

/* In quarters of a token. */
size_t token_estimate(struct slice text)
{
    size_t quarters = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.ptr[i];
        bool is_tail = (byte & 0xC0) == 0x80;
        quarters += is_tail ? 0 : byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 4 : 8;
    }
    size_t tokens = quarters / 4 + (quarters % 4 != 0 || (quarters == 0 && text.len != 0));
    return tokens < text.len ? tokens : text.len;
}

size_t token_count_up_to(enum token_encoding encoding, struct slice text, size_t max)
{
    struct bpe b = {.reach = BPE_REACH};
    if (!ranks_find(encoding, &b.ranks)) {
        return token_estimate(text);
    }
    if (text.len / TOKEN_MAX_BYTES > max) {
        return text.len / TOKEN_MAX_BYTES;
    }
    struct split s;
    struct piece piece;
    size_t count = 0;
    split_init(&s, encoding, text);
    while (count <= max && split_next(&s, &piece)) {
        count += bpe_count(&b, &piece);
    }
    return count;
}

size_t token_count(enum token_encoding encoding, struct slice text)
{
    return token_count_up_to(encoding, text, SIZE_MAX);
}

enum err token_encode(enum token_encoding encoding, struct slice text, uint32_t *out_ids,
                      size_t cap, size_t *out_count)
{
    struct bpe_ids ids = {.cap = cap};
    struct bpe b = {.reach = BPE_REACH, .ids = &ids};
    if (!ranks_find(encoding, &b.ranks)) {
        return E_UNSUPPORTED;
    }
    struct split s;
    struct piece piece;
    ids.out = out_ids;
    split_init(&s, encoding, text);
    while (!ids.is_lost && split_next(&s, &piece)) {
        size_t before = ids.count;
        size_t count = bpe_count(&b, &piece);
        assert(ids.is_lost || ids.count == before + count);
    }
    if (ids.is_lost) {
        return E_LIMIT;
    }
    *out_count = ids.count;
    return OK;
}

/* Halves are shorter than the whole, so the stack of right halves is at most a token long. */
size_t token_decode(enum token_encoding encoding, uint32_t id, uint8_t *out)
{
    struct ranks r;
    uint32_t waiting[TOKEN_MAX_BYTES];
    size_t depth = 0, len = 0;
    if (!ranks_find(encoding, &r) || id >= r.token_count) {
        return 0;
    }
    waiting[depth++] = id;
    while (depth > 0) {
        uint32_t token = waiting[--depth];
        if (token < RANKS_BYTES) {
            assert(len < TOKEN_MAX_BYTES);
            out[len++] = ranks_byte(&r, token);
        } else {
            assert(depth + 2 <= TOKEN_MAX_BYTES);
            waiting[depth++] = ranks_right(&r, token);
            waiting[depth++] = ranks_left(&r, token);
        }
    }
    return len;
}
