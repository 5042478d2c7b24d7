/* dialect/ollama.h -- private to src/dialect: the vocabulary of Ollama's own API (/api/chat,
 * /api/embed), which only providers speak. Streams are lines of JSON; calls have no ids of their
 * own, and arguments are objects. */
#ifndef DIALECT_OLLAMA_H
#define DIALECT_OLLAMA_H

#include "dialect/read.h"
#include "dialect/stream.h"
#include "dialect/write.h"
#include "wire/json.h"

#define OLLAMA_NAME SLICE("ollama")

/* ollama_params.c */
enum err ollama_encode_request(struct arena *a, const struct chat_request *r,
                               const struct encode_options *o, struct body_parts *out);

/* ollama_encode.c: "messages". */
void ollama_add_messages(struct writer *w);

/* ollama_answer.c */
enum err ollama_decode_response(struct arena *a, struct slice body, struct chat_response *out);
enum err ollama_observe(struct arena *a, enum chat_operation op, struct slice body,
                        struct outcome *out);
void ollama_read_fault(struct arena *a, int status, struct slice body, struct upstream_fault *out);
enum chat_finish ollama_finish(struct slice reason);
/* A call's id where the server gave none: the same for the same answer. */
struct slice ollama_call_id(struct arena *a, struct slice created_at, size_t index);
/* Arguments as JSON text; ptr NULL: no memory. */
struct slice ollama_arguments(struct arena *a, yyjson_val *arguments);
extern const struct dialect_embedding ollama_embedding;

/* ollama_events.c */
enum { OLLAMA_DECODER_BYTES = 64 };
enum err ollama_look(struct slice name, struct slice data, struct event_look *out);
/* Of the whole last line. */
void ollama_read_usage(struct slice object, struct usage *usage);
struct slice ollama_read_error(struct arena *a, struct slice error);
enum err ollama_decode_event(struct stream_decoder *d, struct slice data);

#endif
