/* dialect/ask.h -- what passes between the gateway and a dialect: what is known of a request, how
 * it is to be sent, what was seen of its answer.
 */
#ifndef DIALECT_ASK_H
#define DIALECT_ASK_H

#include "chat/chat.h"
#include "chat/embed.h"

enum { FORWARD_PARTS_MAX = 10 };

enum chat_operation {
    CHAT_OP_CHAT = 0,
    CHAT_OP_COMPLETION,
    CHAT_OP_EMBEDDING,
    CHAT_OP_MODERATION,
    CHAT_OP_COUNT_TOKENS /* a chat request that is only counted */
};
enum { CHAT_OPERATIONS = CHAT_OP_COUNT_TOKENS + 1 };

/* What the gateway must know of any request before choosing a target. */
struct chat_ask {
    enum chat_operation op;
    struct slice body;  /* as received */
    struct slice model; /* unescaped */
    bool is_stream;
    bool is_array;    /* Gemini: the client reads its stream as one JSON array instead of SSE */
    bool wants_usage; /* the client asked for stream usage itself */
    int64_t output_max_tokens; /* max_completion_tokens or max_tokens; -1 absent */
    int64_t choices;           /* n, best_of, or prompt count; >= 1 */
    int64_t prompt_max_tokens; /* upper bound from bytes plus template overhead; -1: bytes do not
                                  bound it */
    bool is_deterministic;     /* explicit temperature 0 or seed */
    bool is_unbilled;          /* nobody bills it: no bound is reserved */
    bool is_uncacheable;       /* store, previous_response_id, ... */
    bool is_pinned; /* it goes on from what one provider keeps: only that one can answer, and in
                       the client's own dialect */
    struct slice pinned_by; /* the member that names it */
    struct slice pinned_id; /* of the response, conversation or stored prompt that it names; empty:
                               of something else (items, files) */
    bool is_kept;           /* the provider keeps the answer: a later request may name its id */
    bool is_deferred;       /* the answer, and what it used, is fetched later by its id */
    struct slice user;      /* end-user id, for tags */
    void *spans;            /* the dialect's own: positions of members for forward() */
    struct chat_request *neutral;    /* set by decode() */
    struct embed_request *embedding; /* set by dialect_embedding.decode_request() */
};

/* What a provider's model family needs (route/profile.h fills it). All false: for OpenAI's dialect
 * an ordinary compatible server, for Anthropic's the oldest models. */
struct dialect_profile {
    bool takes_max_completion_tokens; /* else max_tokens */
    bool refuses_sampling;            /* temperature, top_p, penalties other than default */
    bool refuses_stop;
    bool refuses_stream_options; /* does not know include_usage */
    bool takes_developer_role;
    bool refuses_reasoning_effort;  /* OpenAI: no reasoning model */
    bool takes_reasoning_content;   /* OpenAI: wants earlier thoughts back (DeepSeek) */
    bool takes_top_k;               /* OpenAI: vLLM, Ollama, llama.cpp */
    bool takes_cache_control;       /* OpenAI: cache_control on parts (OpenRouter, LiteLLM) */
    bool takes_cache_breakpoint;    /* OpenAI: prompt_cache_breakpoint on parts (gpt-5.6) */
    bool takes_xhigh, takes_max;    /* efforts above high */
    bool takes_effort;              /* Anthropic: output_config.effort (Opus 4.5, 4.6 and newer) */
    bool takes_adaptive_thinking;   /* Anthropic: 4.6 and newer */
    bool refuses_thinking_budget;   /* Anthropic: 4.7 and newer */
    bool refuses_thinking_off;      /* Anthropic: Fable, Mythos */
    bool refuses_both_sampling;     /* Anthropic 4.x: temperature or top_p, not both */
    bool refuses_prefill;           /* Anthropic: 4.6 and newer end with no assistant turn */
    bool takes_output_format;       /* Anthropic: json_schema (4.5 and newer, Opus 4.1) */
    bool takes_system_turns;        /* Anthropic: role system inside the conversation */
    bool takes_json_schema;         /* Gemini: *JsonSchema members (2.5 and newer) */
    bool takes_thinking_budget;     /* Gemini: thinkingConfig.thinkingBudget (2.5) */
    bool takes_thinking_level;      /* Gemini: thinkingConfig.thinkingLevel (3 and newer) */
    bool takes_level_minimal;       /* Gemini: its level MINIMAL (3 Flash) */
    bool takes_level_medium;        /* Gemini: its level MEDIUM */
    bool wants_call_signatures;     /* Gemini: refuses a call without its thoughtSignature (3) */
    bool refuses_tools_with_format; /* Gemini: functions and a JSON answer (2.5 and older) */
    bool refuses_penalties;         /* Gemini: frequency and presence penalty (2.5, 3 previews) */
};

struct encode_options {
    struct slice model; /* the provider's name */
    const struct dialect_profile *profile;
    enum chat_operation op;
    int64_t output_cap_tokens;   /* configured cap to send when the client gave none; -1: none */
    int64_t output_model_tokens; /* the most the model gives, for dialects that must be told a
                                    bound; 0 or less: unknown */
    int64_t context_tokens;      /* Ollama: the length of its context; 0: its own */
    bool is_stream;
    bool wants_usage;                /* ask for stream usage */
    bool is_vertex;                  /* the path says the model, the body the API's version */
    const struct chat_ask *defaults; /* unused by most */
};

/* Parts of a body to send, in order; borrowed from the request body and the arena. */
struct body_parts {
    struct slice parts[FORWARD_PARTS_MAX];
    size_t count;
    size_t bytes;
    bool adds_usage;      /* we asked for usage, the client did not: hide it from the stream */
    struct slice dropped; /* comma-separated members left out for this provider; arena */
    struct slice path;    /* where to send it, below the base; empty: dialect.path() tells. Only a
                             dialect whose path follows from the body fills it (Gemini); arena */
};

/* A header line that goes to the provider beside the credential. */
struct dialect_header {
    struct slice name;  /* lower case; a client of the same dialect that sends it has its value
                           passed on instead */
    struct slice value; /* empty: only passed on */
};

/* Vertex AI has models of some makers below paths of its own. */
struct dialect_vertex {
    const char *publisher; /* in the path before the models */
    /* As struct dialect's path(), below the publisher. */
    struct slice (*path)(struct arena *a, enum chat_operation op, struct slice model,
                         bool is_stream);
};

/* What a credential is made over, where a dialect signs each request. Borrowed for the call. */
struct dialect_signing {
    struct slice method, path, query, host; /* as sent; query without '?' */
    const struct slice *body;               /* in parts */
    size_t body_count;
    struct slice key;    /* the configured one, in secret memory */
    struct slice region; /* of the provider; empty: the dialect has none */
    int64_t now_unix_ns;
};

/* Facts taken from an answer while it passes. */
struct outcome {
    int64_t output_bytes; /* text bytes relayed, for estimates */
    int64_t output_events;
    bool has_content;  /* a content-bearing event was seen */
    bool wants_detail; /* in: finish and output_bytes of a whole answer are needed though it tells
                          its usage */
    bool has_usage;
    bool has_prompt_usage; /* usage tells the prompt, the answer's tokens are still to come */
    bool is_error;         /* an error object inside a 200 */
    bool is_complete;      /* the terminal event was seen, or a whole body parsed */
    bool is_empty;         /* a whole body without any choice */
    enum chat_finish finish;
    struct usage usage;
    struct slice model; /* as the provider names it; arena */
    struct slice error; /* message, arena */
    struct slice
        kept_id; /* by which a later request may name the answer; arena; empty: it has none */
};

#endif
