/* token/token.h -- how many tokens a text is in OpenAI's encodings, for limits, count_tokens and
 * streams whose provider told no usage.
 *
 * Exact: the same number as tiktoken's encode_ordinary() (special tokens in a text are ordinary
 * text; what is not UTF-8 reads as U+FFFD). The tables are read-only and shared; nothing is
 * allocated, nothing fails, and the time is linear in the text whatever is in it (token/bpe.h): 1
 * MiB of one letter takes milliseconds. The stack needs about 17 KiB.
 *
 * Bounds that need no counting: a text is at most its bytes in tokens, and at least
 * bytes / TOKEN_MAX_BYTES.
 *
 * A build without rank files (docs/decisions/005-tokenizer.md) counts by token_estimate(); then
 * token_has_ranks() is false and only the bytes are an upper bound.
 */
#ifndef TOKEN_TOKEN_H
#define TOKEN_TOKEN_H

#include "core/err.h"
#include "core/slice.h"

enum token_encoding { TOKEN_CL100K, TOKEN_O200K };

enum { TOKEN_MAX_BYTES = 128 };

bool token_has_ranks(void);

size_t token_count(enum token_encoding encoding, struct slice text);
/* token_count() when that is at most max; otherwise some number above max, as soon as that is
 * certain: at once when the text is that long, else at the end of a word. */
size_t token_count_up_to(enum token_encoding encoding, struct slice text, size_t max);
/* From the lengths of the UTF-8 sequences alone, about 1 ns a byte: four ASCII bytes a token, two
 * letters of a two-byte script, one of a three-byte script, half an emoji. Never above the bytes.
 */
size_t token_estimate(struct slice text);

/* The encoding of an OpenAI model by its name, "ft:" and "provider/" before it are passed over;
 * false when none is known for it. */
MUST_USE bool token_encoding_of_model(struct slice model, enum token_encoding *out) NONNULL;

/* For tests and tools. The ids into out_ids[0..cap); E_LIMIT when they are more, or the text has a
 * word of the kind that token/bpe.h goes the steady way for, E_UNSUPPORTED without ranks. */
MUST_USE enum err token_encode(enum token_encoding encoding, struct slice text, uint32_t *out_ids,
                               size_t cap, size_t *out_count) NONNULL;
/* The bytes of a token into out (room for TOKEN_MAX_BYTES); their number, 0 for an unknown id. */
size_t token_decode(enum token_encoding encoding, uint32_t id, uint8_t *out) NONNULL;

#endif
