/* chat/count.h -- how many tokens the prompt of a request will be, before a provider has told.
 *
 * Two numbers. The *estimate* is the likely one: exact text for OpenAI's models, factors known from
 * measurements for others (a Claude token is shorter than OpenAI's, Gemini's is about four bytes),
 * what the providers' templates add, pictures by their size. The *upper* one is meant never to be
 * below what the provider will bill: the exact text only where the tokenizer is the model's own,
 * bytes elsewhere (no tokenizer in use makes more tokens than bytes), templates and tools rounded
 * up.
 *
 * What bytes cannot bound -- remote or stored media, documents, hosted tools -- clears is_bounded;
 * upper is then a bound of the rest, and the model's context window is the bound of all.
 *
 * Pure functions of their arguments; about 10 ns a byte of text with ranks, so not for a large body
 * on a worker's loop. The rates here are as of 2026-08 (docs/decisions/005-tokenizer.md).
 */
#ifndef CHAT_COUNT_H
#define CHAT_COUNT_H

#include "chat/chat.h"
#include "token/token.h"

enum chat_family {
    CHAT_FAMILY_OPENAI,
    CHAT_FAMILY_ANTHROPIC,
    CHAT_FAMILY_GEMINI,
    CHAT_FAMILY_OTHER
};

struct chat_count {
    int64_t estimate, upper; /* tokens */
    bool is_bounded;
};

/* How a model's provider counts. */
struct chat_counter {
    enum chat_family family;
    enum token_encoding encoding; /* of the text, or the nearest one there is */
    bool is_exact;                /* it is the model's own, and this build has ranks */
    bool is_new;                  /* Claude since Opus 4.7 and version 5: a finer tokenizer */
    int64_t text_milli;           /* estimated tokens in thousandths of the encoding's */
    int64_t call_tokens;          /* Claude: of the text that explains tool use */
    const struct chat_image_rule *image;
};

/* model: as the provider is asked for it. */
void chat_counter_init(struct chat_counter *c, enum chat_family family, struct slice model) NONNULL;
/* By the model's name: claude-*, gemini-* and gemma-*, what token_encoding_of_model() knows; OTHER.
 */
MUST_USE enum chat_family chat_family_of_model(struct slice model);

/* Of a text alone, such as what a cut stream has brought; nothing added. */
void chat_count_text(const struct chat_counter *c, struct slice text, struct chat_count *out)
    NONNULL;
/* Of everything in the request that the model reads. */
void chat_count_prompt(const struct chat_counter *c, const struct chat_request *r,
                       struct chat_count *out) NONNULL;
/* One image part; what its size says, or the usual when it is not known. */
void chat_count_image(const struct chat_counter *c, const struct chat_part *image,
                      struct chat_count *out) NONNULL;

#endif
