/* token/split.h -- cuts text into the pieces that byte-pair encoding is applied to, as the regular
 * expressions of cl100k_base and o200k_base cut it in tiktoken, without a regular expression.
 *
 * A piece's end depends on what follows, so the whole text is given at once. Every byte of the text
 * is in exactly one piece, no piece is empty, and each byte is looked at a small fixed number of
 * times. Bytes that are not UTF-8 count as U+FFFD, one for each longest part of a sequence, as
 * WHATWG and Rust replace them.
 *
 *   class   L = UPPER LOWER LETTER; o200k's two word classes both hold LETTER and MARK
 *   cl100k  '(?i:[sdmt]|ll|ve|re) | [^\r\n L N]?L+ | N{1,3} | ' '?[^\s L N]+[\r\n]* | \s+$ |
 * \s*[\r\n] | \s+(?!\S) | \s o200k   [^\r\n L N]?U*W+(contraction)? | [^\r\n L
 * N]?U+W*(contraction)? | N{1,3} | ' '?[^\s L N]+[\r\n/]* | \s*[\r\n]+ | \s+(?!\S) | \s+
 */
#ifndef TOKEN_SPLIT_H
#define TOKEN_SPLIT_H

#include "core/slice.h"
#include "token/token.h"

/* Borrowed from the text. */
struct piece {
    const uint8_t *at;
    size_t len;
    bool is_broken; /* holds bytes that are not UTF-8 */
};

/* Pieces: start..at handed out | at..end to come. */
struct split {
    const uint8_t *at, *end;
    const uint8_t *broken; /* the first bytes seen since at that are not UTF-8, or NULL */
    enum token_encoding encoding;
};

/* text is borrowed for as long as pieces are taken. */
void split_init(struct split *s, enum token_encoding encoding, struct slice text) NONNULL;
/* false at the end. */
MUST_USE bool split_next(struct split *s, struct piece *out) NONNULL;

/* Length of the UTF-8 sequence at p < end; when there is none, of the part that one U+FFFD stands
 * for, and *out_cp is U+FFFD with *out_broken set. */
size_t split_decode(const uint8_t *p, const uint8_t *end, uint32_t *out_cp, bool *out_broken)
    NONNULL;

#endif
