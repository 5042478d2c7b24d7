#include "route/profile.h"

struct profile_row {
    struct slice provider; /* empty: any */
    struct slice prefix;   /* of the model's name, after "ft:"; empty: any */
    struct dialect_profile profile;
};

#define REASONING                                                                            \
    {                                                                                        \
        .takes_max_completion_tokens = true, .refuses_sampling = true, .refuses_stop = true, \
        .takes_developer_role = true                                                         \
    }
#define CHAT_TUNED                                                        \
    {                                                                     \
        .takes_max_completion_tokens = true, .takes_developer_role = true \
    }

/* OpenAI and Azure answer 400 to max_tokens, sampling and stop on reasoning models. The chat-tuned
 * variants of gpt-5 are no reasoning models, but they too know only the newer name of the limit. */
static const struct profile_row rows[] = {
    {SLICE_INIT("openai"), SLICE_INIT("o1"), REASONING},
    {SLICE_INIT("openai"), SLICE_INIT("o3"), REASONING},
    {SLICE_INIT("openai"), SLICE_INIT("o4"), REASONING},
    {SLICE_INIT("openai"), SLICE_INIT("codex-mini"), REASONING},
    {SLICE_INIT("openai"), SLICE_INIT("gpt-5-chat"), CHAT_TUNED},
    {SLICE_INIT("openai"), SLICE_INIT("gpt-5-search"), REASONING},
    {SLICE_INIT("openai"), SLICE_INIT("gpt-5"), REASONING},
    {SLICE_INIT("openai"), SLICE_INIT("gpt-oss"), {.takes_developer_role = true}},
    {SLICE_INIT("openai"), SLICE_INIT(""), {.takes_developer_role = true}},
    {SLICE_INIT("azure"), SLICE_INIT("o1"), REASONING},
    {SLICE_INIT("azure"), SLICE_INIT("o3"), REASONING},
    {SLICE_INIT("azure"), SLICE_INIT("o4"), REASONING},
    {SLICE_INIT("azure"), SLICE_INIT("codex-mini"), REASONING},
    {SLICE_INIT("azure"), SLICE_INIT("gpt-5-chat"), CHAT_TUNED},
    {SLICE_INIT("azure"), SLICE_INIT("gpt-5"), REASONING},
    /* Grok's reasoning models answer 400 to stop; they take temperature. */
    {SLICE_INIT("xai"), SLICE_INIT("grok-3-mini"), {.refuses_stop = true}},
    {SLICE_INIT("xai"), SLICE_INIT("grok-4"), {.refuses_stop = true}},
    /* Mistral sends usage with the last choice by itself and refuses members it does not know. */
    {SLICE_INIT("mistral"), SLICE_INIT(""), {.refuses_stream_options = true}},
    {SLICE_INIT("codestral"), SLICE_INIT(""), {.refuses_stream_options = true}},
};

/* gpt-5.1-chat-latest and its like, whatever the minor version. */
static bool is_chat_tuned(struct slice model)
{
    struct slice chat = SLICE("-chat");
    size_t at = slice_search(model, chat);
    return slice_starts(model, SLICE("gpt-5")) && at < model.len &&
           (at + chat.len == model.len || model.ptr[at + chat.len] == '-');
}

struct dialect_profile profile_find(struct slice provider, struct slice model)
{
    if (slice_starts(model, SLICE("ft:"))) {
        model = slice_from(model, 3);
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct profile_row *row = &rows[i];
        if (slice_eq(row->provider, provider) && slice_starts(model, row->prefix)) {
            struct dialect_profile profile = row->profile;
            if (profile.refuses_sampling && is_chat_tuned(model)) {
                profile = (struct dialect_profile)CHAT_TUNED;
            }
            return profile;
        }
    }
    return (struct dialect_profile){0};
}
