/* chat/usage.h -- what an answer used, in one canonical form in which every token is counted once.
 *
 * Dialects convert: OpenAI's prompt_tokens includes cached_tokens and completion_tokens includes
 * reasoning_tokens; Anthropic's input_tokens excludes cache reads and writes. Here each member
 * excludes the others.
 */
#ifndef CHAT_USAGE_H
#define CHAT_USAGE_H

#include "core/slice.h"

struct usage {
    int64_t input;          /* prompt tokens that no cache served or stored */
    int64_t cache_read;     /* prompt tokens read from the provider's prompt cache */
    int64_t cache_write_5m; /* prompt tokens written to it (5 minutes, or the provider's default) */
    int64_t cache_write_1h;
    int64_t output; /* completion tokens without reasoning */
    int64_t reasoning;
    int64_t total_reported; /* the provider's own total where it is larger than the sum, else 0 */
    bool is_known;          /* the provider reported it; otherwise counted by us */
};

static inline int64_t usage_prompt(const struct usage *u)
{
    return u->input + u->cache_read + u->cache_write_5m + u->cache_write_1h;
}

static inline int64_t usage_completion(const struct usage *u)
{
    return u->output + u->reasoning;
}

static inline int64_t usage_total(const struct usage *u)
{
    int64_t sum = usage_prompt(u) + usage_completion(u);
    return u->total_reported > sum ? u->total_reported : sum;
}

#endif
