/* dialect/gemini.h -- private to src/dialect: the vocabulary of Google's generateContent, shared by
 * the files that read and write it.
 *
 * The API's JSON is that of protocol buffers: members are written in camelCase and read in
 * snake_case, too. The names given to the functions here are the camelCase ones.
 */
#ifndef DIALECT_GEMINI_H
#define DIALECT_GEMINI_H

#include "dialect/read.h"
#include "dialect/stream.h"
#include "dialect/write.h"
#include "wire/json.h"

#define GEMINI_NAME SLICE("gemini")
/* The documented way to hand back a call that another model made: its signature is not checked. */
#define GEMINI_NO_SIGNATURE SLICE("skip_thought_signature_validator")

/* A refusal of the body; param may be empty. */
void gemini_refuse(struct arena *a, struct fault *out, struct slice param, const char *format, ...)
    PRINTF(4, 5);
/* Whether key is name in either spelling. */
bool gemini_is(struct slice key, const char *name);
/* The member in either spelling, or NULL. */
yyjson_val *gemini_get(yyjson_val *obj, const char *name);
struct slice gemini_get_string(yyjson_val *obj, const char *name);
/* The path of a call; empty where the API has no such operation. is_single: one text to embed. */
struct slice gemini_path(struct arena *a, enum chat_operation op, struct slice model,
                         bool is_stream, bool is_single);
/* The model's name without "models/". */
struct slice gemini_bare_model(struct slice name);

/* gemini_request.c */
enum err gemini_scan(struct arena *a, enum chat_operation op, struct slice body,
                     struct chat_ask *out, struct fault *out_fault);
enum err gemini_forward(struct arena *a, const struct chat_ask *ask, const struct encode_options *o,
                        struct body_parts *out);
void gemini_find_conversation(struct arena *a, const struct chat_ask *ask,
                              struct conversation *out);

/* gemini_parts.c */
enum err gemini_refuse_at(struct decoder *d, const char *member, const char *what);
/* Appends the members of obj that are not among the names, each with scope before its name, as the
 * inside of a JSON object. */
void gemini_add_unknown(struct decoder *d, struct text *t, yyjson_val *obj, const char *scope,
                        const char *const *names, size_t count);
/* The same as an object; empty: there are none. */
struct slice gemini_extras(struct decoder *d, yyjson_val *obj, const char *const *names,
                           size_t count);
/* Appends one or two parts (a text and its signature) to out. */
enum err gemini_take_part(struct decoder *d, yyjson_val *v, struct chat_part *out, size_t *count);

/* gemini_decode.c */
enum err gemini_decode_request(struct arena *a, struct chat_ask *ask, struct fault *out_fault);

/* gemini_schema.c: schemas that are no JSON or nested too deep come out as {}. */
/* The API's Schema as JSON Schema; what cannot be said goes into dropped. */
struct slice gemini_schema_in(struct arena *a, yyjson_val *schema, struct text *dropped);
/* JSON Schema as the API's Schema. */
struct slice gemini_schema_out(struct arena *a, struct slice schema, struct text *dropped);

/* gemini_encode.c, gemini_params.c */
enum err gemini_encode_request(struct arena *a, const struct chat_request *r,
                               const struct encode_options *o, struct body_parts *out);
/* "systemInstruction" and "contents". */
void gemini_add_contents(struct writer *w);

/* gemini_answer.c */
enum err gemini_decode_response(struct arena *a, struct slice body, struct chat_response *out);
enum err gemini_encode_response(struct arena *a, const struct chat_response *r, const void *extras,
                                struct slice *out_body);
struct slice gemini_finish_name(enum chat_finish finish);
/* "usageMetadata":{...} */
void gemini_add_usage(struct text *t, const struct usage *u);
/* A part of an answer; index: its call's number. False: a client of this dialect cannot be told. */
bool gemini_add_answer_part(struct text *t, const struct chat_part *p, size_t index);
/* A call's id where the API gave none: the same for the same answer. */
struct slice gemini_call_id(struct arena *a, struct slice response_id, int choice, size_t index);
/* Citations of a candidate as the neutral form has them: a JSON array of {url,title,start,end}, the
 * places in characters of text; empty: none. */
struct slice gemini_citations(struct arena *a, yyjson_val *candidate, struct slice text);
/* Members of a candidate that are kept as they are. */
bool gemini_is_kept(struct slice member);

/* gemini_proof.c */
/* A signature for a client of this dialect: as it is where Gemini made it, otherwise in an envelope
 * of base64 that names its maker. is_data: it is a redacted thought. */
void gemini_add_proof(struct text *t, struct slice proof, struct slice provider, bool is_data);
/* The other way round, into signature or data, and provider. */
void gemini_take_proof(struct arena *a, struct slice proof, struct chat_part *out);
/* Names of functions as the API takes them, and back. */
void gemini_add_name(struct text *t, struct slice name);
struct slice gemini_real_name(struct arena *a, struct slice name);

/* gemini_look.c */
enum err gemini_look(struct slice name, struct slice data, struct event_look *out);
void gemini_read_usage(struct slice object, struct usage *u);
enum err gemini_observe(struct arena *a, enum chat_operation op, struct slice body,
                        struct outcome *out);
enum err gemini_read_count(struct slice body, int64_t *out_input_tokens);
enum chat_finish gemini_finish(struct slice reason);
/* The model could not say what it began to: nothing of it is an answer. */
bool gemini_is_malformed(struct slice reason);

/* gemini_partial.c: arguments that stream by their JSON paths. */
struct gemini_partial;
MUST_USE enum err gemini_partial_add(struct arena *a, struct gemini_partial **p, yyjson_val *args);
/* The object so far; NULL is {}. */
void gemini_partial_write(const struct gemini_partial *p, struct text *t);

/* gemini_events.c */
enum { GEMINI_DECODER_BYTES = 1024, GEMINI_ENCODER_BYTES = 544 };
enum err gemini_decode_event(struct stream_decoder *d, struct slice data);
enum err gemini_decode_end(struct stream_decoder *d);

/* gemini_chunks.c */
enum err gemini_encode_chunk(struct stream_encoder *e, const struct chat_chunk *chunk);

/* gemini_fault.c */
void gemini_render_fault(const struct fault *f, int *out_status, struct text *out_body,
                         struct text *out_headers);
void gemini_render_stream_fault(const struct fault *f, struct text *out);
void gemini_read_fault(struct arena *a, int status, struct slice body, struct upstream_fault *out);

/* gemini_store.c */
enum err gemini_to_body(struct arena *a, enum chat_operation op, struct slice events,
                        struct slice *out_body);
enum err gemini_to_events(struct arena *a, enum chat_operation op, struct slice body,
                          bool wants_usage, struct slice *out_events);

/* gemini_front.c */
extern const struct dialect_front gemini_front;

/* gemini_embed.c */
extern const struct dialect_embedding gemini_embedding;

#endif
