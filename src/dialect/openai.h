/* dialect/openai.h -- private to src/dialect: OpenAI's vocabulary, shared by the files that read
 * and write it and by the own dialect, whose messages are the same. */
#ifndef DIALECT_OPENAI_H
#define DIALECT_OPENAI_H

#include "dialect/read.h"
#include "dialect/stream.h"
#include "wire/json.h"
#include "wire/spans.h"

/* Members of requests that somebody here reads. All of them decide but prompt_cache_key: readers
 * differ in which of two they take. */
enum openai_member {
    M_MODEL,
    M_STREAM,
    M_STREAM_OPTIONS,
    M_MESSAGES,
    M_PROMPT,
    M_INPUT,
    M_MAX_TOKENS,
    M_MAX_COMPLETION_TOKENS,
    M_N,
    M_BEST_OF,
    M_TEMPERATURE,
    M_SEED,
    M_USER,
    M_SAFETY_IDENTIFIER,
    M_STORE,
    M_TOOLS,
    M_FUNCTIONS,
    M_RESPONSE_FORMAT,
    M_WEB_SEARCH_OPTIONS,
    M_SEARCH_PARAMETERS,
    M_PLUGINS,
    M_PREVIOUS_RESPONSE_ID,
    M_CONVERSATION,
    M_PROMPT_CACHE_KEY,
    M_COUNT
};

struct openai_members {
    struct span_object object;
    struct span at[M_COUNT];
};

/* Finds the members of body; fills out_fault (kind, message, param, code, input position). */
MUST_USE enum err openai_find_members(struct arena *a, struct slice body,
                                      struct openai_members *out, struct fault *out_fault);
/* A refusal of the body that names param; code may be empty. */
void openai_refuse(struct arena *a, struct fault *out, const char *param, const char *code,
                   const char *format, ...) PRINTF(5, 6);

/* Upper bound of the prompt's tokens from the bytes of the body; -1: bytes do not bound it. Also
 * tells whether something in it must not be cached. */
int64_t openai_prompt_bound(const struct openai_members *m, struct slice body,
                            bool *out_is_uncacheable);

/* openai_look.c */
enum err openai_look(struct slice name, struct slice data, struct event_look *out);
enum err openai_observe(struct arena *a, enum chat_operation op, struct slice body,
                        struct outcome *out);

/* openai_usage.c */
void openai_read_usage(struct slice usage, struct usage *out);
enum chat_finish openai_finish(struct slice text);
struct slice openai_finish_name(enum chat_finish finish);
/* The message inside an error member that is an object, a string or anything else; arena. */
struct slice openai_error_message(struct arena *a, struct slice error);

/* openai_request.c */
enum err openai_scan(struct arena *a, enum chat_operation op, struct slice body,
                     struct chat_ask *out, struct fault *out_fault);
enum err openai_forward(struct arena *a, const struct chat_ask *ask, const struct encode_options *o,
                        struct body_parts *out);
/* Of the own dialect's requests, too. */
void openai_find_conversation(struct arena *a, const struct chat_ask *ask,
                              struct conversation *out);

/* openai_decode.c */
enum err openai_decode_request(struct arena *a, struct chat_ask *ask, struct fault *out_fault);
enum err openai_decode_messages(struct arena *a, yyjson_val *messages, struct chat_request *out,
                                struct fault *out_fault);
enum err openai_decode_response(struct arena *a, struct slice body, struct chat_response *out);

/* "none", "auto", "required"; the default for any other word. */
enum chat_tool_choice openai_choice(struct slice word);
/* What proves that Gemini made the call; empty: nothing does. */
struct slice openai_call_proof(yyjson_val *call);
/* "data:image/png;charset=x;base64,AAAA" -> media type and data; anything else is a URL. */
void openai_take_url(struct chat_part *part, struct slice url);

/* openai_encode.c */
enum err openai_encode_request(struct arena *a, const struct chat_request *r,
                               const struct encode_options *o, struct body_parts *out);
/* A data: URL where the bytes are inline, as a JSON string. */
void openai_add_data_url(struct text *t, const char *name, const struct chat_part *p);
/* How hard to think, in OpenAI's words. A budget of tokens becomes the effort nearest to it. */
struct slice openai_effort(const struct chat_request *r, const struct dialect_profile *p);
/* The member, when it is not empty. What is longer than the API takes is sent as its hash, which
 * still tells one from another. */
void openai_add_short(struct text *t, const char *name, struct slice value, size_t most);
/* The word for it; empty where it takes none, or more than a word. */
struct slice openai_choice_name(enum chat_tool_choice choice);
/* Another dialect's name of a service tier in OpenAI's words. */
struct slice openai_tier(struct slice tier);
/* {"type":"image_url",...} as the next element of a list. */
void openai_add_image(struct text *t, const struct chat_part *p);
/* ,"tool_calls":[...] where there are calls among the parts; is_answer: with what proves them, for
 * the client to hand back. */
void openai_add_calls(struct text *t, const struct chat_part *parts, size_t count, bool is_answer);
/* "extra_content":{...}: the proof of a call that Gemini made, in the words of Google's own OpenAI
 * endpoint; nothing where another made it. */
void openai_add_call_proof(struct text *t, struct slice signature, struct slice provider);

/* openai_answer.c */
enum err openai_encode_response(struct arena *a, const struct chat_response *r, const void *extras,
                                struct slice *out_body);
/* ,"usage":{...} */
void openai_add_usage(struct text *t, const struct usage *u);
/* An element of reasoning_details (OpenRouter's form): a thought with what proves it, to be handed
 * back in the next request. */
void openai_add_reasoning_detail(struct text *t, const struct chat_part *p, size_t index);
/* Dialect that made a thought, from the format that reasoning_details name; empty: unknown. */
struct slice openai_format_provider(struct slice format);
/* "annotations":[...] from a citation or a list of them that name a URL; nothing otherwise. Indices
 * count characters of the content. */
void openai_add_annotations(struct text *t, struct arena *scratch, struct slice citations,
                            int64_t start, int64_t end);
int64_t openai_character_count(struct slice text);

/* openai_fault.c */
/* The credential's header line, of both of OpenAI's dialects: they share a base URL and a key. */
void openai_render_auth(struct slice key, struct text *out);
void openai_render_fault(const struct fault *f, int *out_status, struct text *out_body,
                         struct text *out_headers);
void openai_render_stream_fault(const struct fault *f, struct text *out);
void openai_read_fault(struct arena *a, int status, struct slice body, struct upstream_fault *out);

/* openai_embed.c */
extern const struct dialect_embedding openai_embedding;

/* openai_events.c */
enum err openai_decode_event(struct stream_decoder *decoder, struct slice data);

/* openai_chunks.c */
enum { OPENAI_ENCODER_BYTES = 320 }; /* what it remembers between chunks, rounded up */
enum err openai_encode_chunk(struct stream_encoder *e, const struct chat_chunk *chunk);

/* openai_store.c */
enum err openai_to_body(struct arena *a, enum chat_operation op, struct slice events,
                        struct slice *out_body);
enum err openai_to_events(struct arena *a, enum chat_operation op, struct slice body,
                          bool wants_usage, struct slice *out_events);

#endif
