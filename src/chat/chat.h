/* chat/chat.h -- the neutral form: one request, one answer, one stream of chunks between any two
 * dialects.
 *
 * Plain structs in an arena; texts are unescaped UTF-8, JSON values that no dialect needs to look
 * into (schemas, arguments) stay as JSON text. Absent numbers keep their absence: a struct
 * chat_number whose text is empty was not given, and carries the client's own spelling otherwise.
 * Decoders fill what they find and name what they cannot carry in chat_request.dropped; encoders
 * add to it.
 *
 * What one dialect alone knows travels as JSON in `extras` (members beside those named here) or as
 * a CHAT_OPAQUE part, each with `provider`, the name of that dialect: its own encoder puts it back,
 * every other names it as dropped.
 */
#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include "chat/usage.h"
#include "core/arena.h"
#include "core/err.h"

enum chat_role { CHAT_SYSTEM, CHAT_DEVELOPER, CHAT_USER, CHAT_ASSISTANT, CHAT_TOOL };

enum chat_part_kind {
    CHAT_TEXT,
    CHAT_REFUSAL,
    CHAT_IMAGE,       /* url, or media_type + data (base64) */
    CHAT_AUDIO,       /* media_type + data */
    CHAT_FILE,        /* url, file_id, media_type + data, plain text, or nested parts; name */
    CHAT_THINKING,    /* text, signature; provider that made it; data: redacted, opaque */
    CHAT_TOOL_CALL,   /* id, name, text = arguments JSON */
    CHAT_TOOL_RESULT, /* id; parts nested; is_error */
    CHAT_OPAQUE       /* name = its type, data = the JSON as given, provider */
};

struct chat_part {
    enum chat_part_kind kind;
    struct slice text;
    struct slice id, name;
    struct slice media_type, data, url, file_id, detail;
    struct slice signature, provider;
    struct slice
        cache_marker;    /* JSON of cache_control / prompt_cache_breakpoint, empty when absent */
    struct slice extras; /* JSON object, or empty; provider says whose */
    bool is_error;
    bool is_custom;          /* a custom (free text) tool call */
    struct chat_part *parts; /* CHAT_TOOL_RESULT, CHAT_FILE */
    size_t part_count;
};

struct chat_message {
    enum chat_role role;
    struct slice name;
    struct chat_part *parts;
    size_t part_count;
};

static inline bool chat_is_system(const struct chat_message *m)
{
    return m->role == CHAT_SYSTEM || m->role == CHAT_DEVELOPER;
}

struct chat_tool {
    struct slice name, description, schema; /* schema: JSON text, empty: no arguments */
    struct slice raw;                       /* hosted or custom tools: the JSON as given */
    struct slice provider, extras;          /* whose raw and extras are; as in struct chat_part */
    struct slice cache_marker;              /* as in struct chat_part */
    bool is_custom, is_strict, has_strict;
};

enum chat_tool_choice {
    CHAT_CHOICE_DEFAULT,
    CHAT_CHOICE_NONE,
    CHAT_CHOICE_AUTO,
    CHAT_CHOICE_REQUIRED,
    CHAT_CHOICE_NAMED
};
enum chat_thinking {
    CHAT_THINKING_DEFAULT, /* a reasoning_effort, where given, asks for it */
    CHAT_THINKING_UNSAID,  /* the model's own way; a reasoning_effort is about the whole answer */
    CHAT_THINKING_OFF,
    CHAT_THINKING_BUDGET,  /* thinking_budget tokens of it */
    CHAT_THINKING_ADAPTIVE /* as much as the model finds right; reasoning_effort may guide it */
};
enum chat_format { CHAT_FORMAT_DEFAULT, CHAT_FORMAT_TEXT, CHAT_FORMAT_JSON, CHAT_FORMAT_SCHEMA };

struct chat_number {
    struct slice text;
}; /* JSON number as spelled, empty: absent */

struct chat_request {
    struct slice model;
    struct chat_message *messages;
    size_t message_count;
    struct chat_tool *tools;
    size_t tool_count;
    enum chat_tool_choice tool_choice;
    struct slice tool_choice_name;
    struct slice *allowed_tools; /* names; tool_choice applies to these only. NULL: to all */
    size_t allowed_tool_count;
    int parallel_tool_calls; /* -1 absent, 0, 1 */
    enum chat_format format;
    struct slice format_name, format_schema;
    int format_strict; /* -1 absent */
    struct chat_number max_tokens, temperature, top_p, top_k, seed, frequency_penalty,
        presence_penalty, choices;
    struct slice *stops;
    size_t stop_count;
    struct slice reasoning_effort; /* none, minimal, low, medium, high, xhigh, max */
    enum chat_thinking thinking;
    struct chat_number thinking_budget; /* tokens, where a dialect counts them */
    struct slice thinking_display;      /* summarized, omitted; empty: the model's own way */
    struct slice user, service_tier;
    struct slice metadata;         /* JSON object */
    struct slice extras, provider; /* as in struct chat_part */
    bool is_stream;
    bool wants_usage;
    /* The decoder filled max_tokens or temperature in because its dialect has a default: sent where
     * the provider takes it, and left out without a word elsewhere. */
    bool is_max_tokens_default, is_temperature_default;
    struct slice dropped; /* comma-separated member names that could not be carried */
};

enum chat_finish {
    CHAT_FINISH_NONE,
    CHAT_FINISH_STOP,
    CHAT_FINISH_LENGTH,
    CHAT_FINISH_TOOL_CALLS,
    CHAT_FINISH_FILTER,
    CHAT_FINISH_ERROR
};

struct chat_choice {
    struct chat_part *parts;
    size_t part_count;
    enum chat_finish finish;
    struct slice stop_sequence; /* the stop text that was met, where the provider tells */
    struct slice stop_details;  /* JSON: why it was refused, where the provider tells */
};

struct chat_response {
    struct slice id, model;
    int64_t created_unix_s;
    struct chat_choice *choices;
    size_t choice_count;
    struct usage usage;
    bool has_usage;
    struct slice service_tier;
    const struct chat_request *request; /* that it answers, borrowed: for dialects whose answers
                                           repeat it; NULL: not known */
};

enum chat_chunk_kind {
    CHAT_CHUNK_START,
    CHAT_CHUNK_TEXT,
    CHAT_CHUNK_REFUSAL,
    CHAT_CHUNK_THINKING,
    CHAT_CHUNK_TOOL_START,
    CHAT_CHUNK_TOOL_ARGUMENTS,
    CHAT_CHUNK_CITATION,
    CHAT_CHUNK_OPAQUE,
    CHAT_CHUNK_FINISH,
    CHAT_CHUNK_USAGE,
    CHAT_CHUNK_ERROR,
    CHAT_CHUNK_END
};

/* One step of a stream; texts are borrowed for the callback. A call's arguments, joined, are never
 * empty where its decoder knows the call's end. */
struct chat_chunk {
    enum chat_chunk_kind kind;
    int choice; /* index of the choice */
    int tool;   /* index of the tool call within the choice */
    int block;  /* THINKING: texts of the same number are one thought */
    /* text: CITATION: JSON of it; OPAQUE: JSON of the block, name its type; FINISH: the stop text
     * that was met, where the provider tells */
    struct slice text, id, name, model;
    struct slice signature; /* THINKING (after its text), TOOL_START: the provider's proof */
    struct slice data;      /* THINKING: redacted, opaque */
    struct slice provider;  /* dialect that made signature, data, citation or block */
    enum chat_finish finish;
    bool is_custom; /* TOOL_START, TOOL_ARGUMENTS: as in struct chat_part */
    struct usage usage;
    int64_t created_unix_s;
};

typedef enum err (*chat_chunk_fn)(void *ctx, const struct chat_chunk *chunk);

#endif
