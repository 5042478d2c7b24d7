#include "token/ranks.h"

#include <assert.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the tables are little-endian");

struct ranks_part {
    uint32_t token_count, trie_len, pair_bits, token_max_bytes;
    uint32_t tokens_at, trie_at, pairs_at, seen_at; /* bytes from the start of the block */
};

struct ranks_head {
    char magic[8];
    uint32_t encodings, bytes;
    struct ranks_part parts[];
};

/* In ranks_data.S. */
extern const struct ranks_head ranks_data;

static const void *at(uint32_t bytes)
{
    return (const char *)&ranks_data + bytes;
}

bool ranks_find(enum token_encoding encoding, struct ranks *out)
{
    assert(memcmp(ranks_data.magic, "GWRANKS2", sizeof(ranks_data.magic)) == 0);
    if ((uint32_t)encoding >= ranks_data.encodings) {
        return false;
    }
    const struct ranks_part *p = &ranks_data.parts[encoding];
    assert(p->token_max_bytes <= RANKS_TOKEN_MAX_BYTES && p->token_count < RANKS_NONE);
    *out = (struct ranks){.tokens = at(p->tokens_at),
                          .trie = at(p->trie_at),
                          .pairs = at(p->pairs_at),
                          .seen = at(p->seen_at),
                          .token_count = p->token_count,
                          .trie_len = p->trie_len,
                          .pair_bits = p->pair_bits};
    return true;
}
