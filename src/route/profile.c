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
    {SLICE_INIT("openai"),
     SLICE_INIT(""),
     {.takes_developer_role = true, .refuses_reasoning_effort = true}},
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
    {SLICE_INIT("deepseek"), SLICE_INIT(""), {.takes_reasoning_content = true}},
    {SLICE_INIT("openrouter"), SLICE_INIT(""), {.takes_cache_control = true}},
};

/* Claude by generation, as in Anthropic's own documents of 2026-08: what a generation refuses with
 * 400, and what it has beside. */
#define CLAUDE_45 .refuses_both_sampling = true, .takes_output_format = true
#define CLAUDE_46                                                                        \
    CLAUDE_45, .takes_effort = true, .takes_adaptive_thinking = true, .takes_max = true, \
               .refuses_prefill = true
#define CLAUDE_47 \
    CLAUDE_46, .refuses_sampling = true, .refuses_thinking_budget = true, .takes_xhigh = true

/* By what follows "claude-"; the first that fits. A name that no row knows is of a model newer than
 * this table. */
static const struct profile_row claude_rows[] = {
    {.prefix = SLICE_INIT("2"), .profile = {0}},
    {.prefix = SLICE_INIT("instant"), .profile = {0}},
    {.prefix = SLICE_INIT("3"), .profile = {0}},
    {.prefix = SLICE_INIT("opus-4-8"), .profile = {CLAUDE_47, .takes_system_turns = true}},
    {.prefix = SLICE_INIT("opus-4-7"), .profile = {CLAUDE_47}},
    {.prefix = SLICE_INIT("opus-4-6"), .profile = {CLAUDE_46}},
    {.prefix = SLICE_INIT("opus-4-5"), .profile = {CLAUDE_45, .takes_effort = true}},
    {.prefix = SLICE_INIT("opus-4-1"), .profile = {CLAUDE_45}},
    {.prefix = SLICE_INIT("sonnet-4-7"), .profile = {CLAUDE_47}},
    {.prefix = SLICE_INIT("sonnet-4-6"), .profile = {CLAUDE_46}},
    {.prefix = SLICE_INIT("sonnet-4-5"), .profile = {CLAUDE_45}},
    {.prefix = SLICE_INIT("haiku-4-5"), .profile = {CLAUDE_45}},
    {.prefix = SLICE_INIT("opus-4"), .profile = {.refuses_both_sampling = true}},
    {.prefix = SLICE_INIT("sonnet-4"), .profile = {.refuses_both_sampling = true}},
    {.prefix = SLICE_INIT("opus"), .profile = {CLAUDE_47, .takes_system_turns = true}},
    {.prefix = SLICE_INIT("sonnet"), .profile = {CLAUDE_47}},
    {.prefix = SLICE_INIT("haiku"), .profile = {CLAUDE_47}},
    {.prefix = SLICE_INIT(""), .profile = {CLAUDE_47, .refuses_thinking_off = true}},
};

/* Bedrock and Vertex put words before the name. */
static bool find_claude(struct slice model, struct dialect_profile *out)
{
    static const struct slice word = SLICE_INIT("claude-");
    size_t at = slice_search(model, word);
    struct slice name = slice_from(model, at + word.len);
    for (size_t i = 0; at < model.len && i < ARRAY_LEN(claude_rows); i++) {
        if (slice_starts(name, claude_rows[i].prefix)) {
            *out = claude_rows[i].profile;
            return true;
        }
    }
    return false;
}

/* Gemini by generation: 2.5 thinks by a budget, which its Pro cannot set to nothing, 3 and newer by
 * a level; the first 3 Pro knows low and high alone. */
#define GEMINI_OLD .refuses_tools_with_format = true
#define GEMINI_25 \
    .takes_json_schema = true, .takes_thinking_budget = true, .refuses_tools_with_format = true
#define GEMINI_3 \
    .takes_json_schema = true, .takes_thinking_level = true, .wants_call_signatures = true
#define GEMINI_3_MEDIUM GEMINI_3, .takes_level_medium = true

/* The first that fits. A name that no row knows is of a model newer than this table. */
static const struct profile_row gemini_rows[] = {
    {.prefix = SLICE_INIT("gemini-1"), .profile = {GEMINI_OLD}},
    {.prefix = SLICE_INIT("gemini-2.5-pro"), .profile = {GEMINI_25, .refuses_thinking_off = true}},
    {.prefix = SLICE_INIT("gemini-2.5"), .profile = {GEMINI_25}},
    {.prefix = SLICE_INIT("gemini-2"), .profile = {GEMINI_OLD}},
    {.prefix = SLICE_INIT("gemini-exp"), .profile = {GEMINI_OLD}},
    {.prefix = SLICE_INIT("gemini-pro-latest"), .profile = {GEMINI_3_MEDIUM}},
    {.prefix = SLICE_INIT("gemini-pro"), .profile = {GEMINI_OLD}},
    {.prefix = SLICE_INIT("gemma"), .profile = {GEMINI_OLD}},
    {.prefix = SLICE_INIT("learnlm"), .profile = {GEMINI_OLD}},
    {.prefix = SLICE_INIT("gemini-3-pro"), .profile = {GEMINI_3}},
    {.prefix = SLICE_INIT("gemini-"), .profile = {GEMINI_3_MEDIUM}},
};

static bool says(struct slice name, struct slice word)
{
    return slice_search(name, word) < name.len;
}

/* A tuned model's name says nothing of what it was made from. */
static bool find_gemini(struct slice model, struct dialect_profile *out)
{
    struct slice name =
        slice_starts(model, SLICE("models/")) ? slice_from(model, strlen("models/")) : model;
    for (size_t i = 0; i < ARRAY_LEN(gemini_rows); i++) {
        if (slice_starts(name, gemini_rows[i].prefix)) {
            *out = gemini_rows[i].profile;
            out->takes_level_minimal = out->takes_thinking_level && says(name, SLICE("flash"));
            out->refuses_penalties = out->takes_json_schema && says(name, SLICE("preview"));
            return true;
        }
    }
    return false;
}

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
    struct dialect_profile found;
    if (slice_starts(model, SLICE("ft:"))) {
        model = slice_from(model, 3);
    }
    bool may_be_claude =
        slice_eq(provider, SLICE("anthropic")) || slice_eq(provider, SLICE("bedrock"));
    if (may_be_claude && find_claude(model, &found)) {
        return found;
    }
    bool may_be_gemini =
        slice_eq(provider, SLICE("gemini")) || slice_eq(provider, SLICE("vertex_ai"));
    if (may_be_gemini && find_gemini(model, &found)) {
        return found;
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
