/* dialect/anthropic.h -- private to src/dialect: the vocabulary of Anthropic's Messages API, shared
 * by the files that read and write it. */
#ifndef DIALECT_ANTHROPIC_H
#define DIALECT_ANTHROPIC_H

#include "dialect/read.h"
#include "dialect/stream.h"
#include "dialect/write.h"
#include "wire/json.h"

/* Where a model takes no schema for its answer, it is told to call this tool with the answer, and
 * the call is made text again. */
#define ANTHROPIC_JSON_TOOL SLICE("llm_gateway_json_answer")
#define ANTHROPIC_NAME      SLICE("anthropic")
/* Told where an object is wanted, and no schema says which. */
#define ANTHROPIC_JSON_WISH \
    SLICE("Answer with one valid JSON object and nothing else: no prose around it, no code fence.")
/* A member of the body where Vertex takes requests. */
#define ANTHROPIC_VERTEX_VERSION "\"anthropic_version\":\"vertex-2023-10-16\""

/* Members of requests that somebody here reads. All of them decide. */
enum anthropic_member {
    A_MODEL,
    A_STREAM,
    A_MESSAGES,
    A_SYSTEM,
    A_MAX_TOKENS,
    A_TEMPERATURE,
    A_TOOLS,
    A_METADATA,
    A_MCP_SERVERS,
    A_CONTAINER,
    A_OUTPUT_CONFIG,
    A_OUTPUT_FORMAT,
    A_COUNT
};

struct anthropic_members {
    struct span_object object;
    struct span at[A_COUNT];
};

/* A refusal of the body; param may be empty. */
void anthropic_refuse(struct arena *a, struct fault *out, struct slice param, const char *format,
                      ...) PRINTF(4, 5);

/* anthropic_request.c */
enum err anthropic_scan(struct arena *a, enum chat_operation op, struct slice body,
                        struct chat_ask *out, struct fault *out_fault);
enum err anthropic_forward(struct arena *a, const struct chat_ask *ask,
                           const struct encode_options *o, struct body_parts *out);

/* anthropic_decode.c */
enum err anthropic_decode_request(struct arena *a, struct chat_ask *ask, struct fault *out_fault);
/* anthropic_blocks.c */
enum err anthropic_refuse_at(struct decoder *d, const char *member, const char *what);
enum err anthropic_take_block(struct decoder *d, yyjson_val *v, struct chat_part *out);
enum err anthropic_decode_response(struct arena *a, struct slice body, struct chat_response *out);

/* anthropic_encode.c, anthropic_params.c */
enum err anthropic_encode_request(struct arena *a, const struct chat_request *r,
                                  const struct encode_options *o, struct body_parts *out);
/* "cache_control", unless the API's limit of them is reached. */
void anthropic_add_marker(struct writer *w, struct slice marker);
/* The members of an extras object, if they are Anthropic's; else their names in dropped. */
void anthropic_add_extras(struct writer *w, struct slice extras, struct slice provider);
void anthropic_add_messages(struct writer *w);
/* An id as the API takes it: the same for a call and its result. */
void anthropic_add_id(struct text *t, struct slice id);
/* The id of the call, made of its place where its server gave none. */
struct slice anthropic_id_of_call(struct writer *w, size_t message, size_t part);
/* The id of the call that the result answers; without an id, that of the first call of its name
 * that has none yet. */
struct slice anthropic_id_of_result(struct writer *w, const struct chat_part *result);
bool anthropic_is_blank(struct slice text);

/* anthropic_params.c: what Converse takes, too */
/* The effort asked for, or the nearest that the model knows; empty: none. */
struct slice anthropic_effort(const struct writer *w);
int64_t anthropic_budget(struct slice effort); /* tokens */
/* The schema, with an object at its top. */
void anthropic_add_schema(struct text *t, struct slice schema);
/* A history with calls is refused where no tool is named: adds each of their names, once. How many
 * there were. */
size_t anthropic_add_remembered(struct writer *w,
                                void (*add)(struct writer *w, const struct chat_tool *tool));
struct chat_tool anthropic_json_tool(const struct chat_request *r);
bool anthropic_add_temperature(struct writer *w); /* true: it was sent */
void anthropic_add_top_p(struct writer *w, const char *name, bool has_temperature);
void anthropic_add_stops(struct writer *w, const char *name);
/* Names what neither API has words for. */
void anthropic_drop_unknown(struct writer *w);

/* anthropic_answer.c */
enum err anthropic_encode_response(struct arena *a, const struct chat_response *r,
                                   const void *extras, struct slice *out_body);
struct slice anthropic_finish_name(enum chat_finish finish, struct slice stop_sequence);
/* "usage":{...} */
void anthropic_add_usage(struct text *t, const struct usage *u);
/* A signature as the client is to give it back: with its maker before it when that is not us. */
void anthropic_add_signature(struct text *t, struct slice signature, struct slice provider);

/* anthropic_look.c */
enum err anthropic_look(struct slice name, struct slice data, struct event_look *out);
void anthropic_read_usage(struct slice object, struct usage *usage);
enum err anthropic_observe(struct arena *a, enum chat_operation op, struct slice body,
                           struct outcome *out);
enum err anthropic_read_count(struct slice body, int64_t *out_input_tokens);
enum chat_finish anthropic_finish(struct slice reason);

/* anthropic_events.c */
enum { ANTHROPIC_DECODER_BYTES = 64, ANTHROPIC_ENCODER_BYTES = 256 };
enum err anthropic_decode_event(struct stream_decoder *d, struct slice data);

/* anthropic_chunks.c */
enum err anthropic_encode_chunk(struct stream_encoder *e, const struct chat_chunk *chunk);

/* anthropic_fault.c */
void anthropic_render_fault(const struct fault *f, int *out_status, struct text *out_body,
                            struct text *out_headers);
void anthropic_render_stream_fault(const struct fault *f, struct text *out);
void anthropic_read_fault(struct arena *a, int status, struct slice body,
                          struct upstream_fault *out);

/* anthropic_front.c */
extern const struct dialect_front anthropic_front;

/* anthropic_store.c */
enum err anthropic_to_body(struct arena *a, enum chat_operation op, struct slice events,
                           struct slice *out_body);
enum err anthropic_to_events(struct arena *a, enum chat_operation op, struct slice body,
                             bool wants_usage, struct slice *out_events);

#endif
