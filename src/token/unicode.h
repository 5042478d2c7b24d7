/* token/unicode.h -- the class of a code point, as far as the split rules tell code points apart.
 * The table is made by tools/make_unicode.mjs, which knows the Unicode version.
 */
#ifndef TOKEN_UNICODE_H
#define TOKEN_UNICODE_H

#include <stdint.h>

enum unicode_class {
    UNICODE_OTHER = 0,
    UNICODE_UPPER,  /* Lu, Lt */
    UNICODE_LOWER,  /* Ll */
    UNICODE_LETTER, /* Lm, Lo: no case */
    UNICODE_MARK,   /* M */
    UNICODE_NUMBER, /* N */
    UNICODE_SPACE,  /* White_Space without the next */
    UNICODE_NEWLINE /* CR, LF */
};

enum {
    UNICODE_BLOCK = 128,
    UNICODE_INDEX_LEN = 7172, /* what lies above is OTHER */
    UNICODE_BLOCKS_LEN = 14784
};

extern const uint8_t unicode_index[UNICODE_INDEX_LEN];
extern const uint8_t
    unicode_blocks[UNICODE_BLOCKS_LEN]; /* two code points a byte, low half first */

static inline enum unicode_class unicode_class_of(uint32_t cp)
{
    if (cp >= UNICODE_INDEX_LEN * UNICODE_BLOCK) {
        return UNICODE_OTHER;
    }
    uint32_t at = unicode_index[cp / UNICODE_BLOCK] * (uint32_t)UNICODE_BLOCK + cp % UNICODE_BLOCK;
    return (enum unicode_class)(unicode_blocks[at / 2] >> (at % 2 * 4) & 15);
}

#endif
