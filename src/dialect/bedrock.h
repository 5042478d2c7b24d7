/* dialect/bedrock.h -- private to src/dialect: the vocabulary of AWS Bedrock's Converse, which only
 * providers speak. What it shares with Anthropic's (ids of calls, arguments as objects, the tool
 * that stands for a formatted answer, sampling and stops) is taken from there. */
#ifndef DIALECT_BEDROCK_H
#define DIALECT_BEDROCK_H

#include "dialect/anthropic.h"

#define BEDROCK_NAME SLICE("bedrock")

/* bedrock_params.c */
enum err bedrock_encode_request(struct arena *a, const struct chat_request *r,
                                const struct encode_options *o, struct body_parts *out);
/* ,{"cachePoint":...} where the part or tool was marked and the model takes it. */
void bedrock_add_marker(struct writer *w, struct slice marker);

/* bedrock_encode.c: "system" and "messages". */
void bedrock_add_messages(struct writer *w);
/* Whether there are calls or results among the messages. */
bool bedrock_has_calls(const struct chat_request *r);

/* bedrock_answer.c */
enum err bedrock_decode_response(struct arena *a, struct slice body, struct chat_response *out);
enum err bedrock_observe(struct arena *a, enum chat_operation op, struct slice body,
                         struct outcome *out);
void bedrock_read_fault(struct arena *a, int status, struct slice body, struct upstream_fault *out);
enum chat_finish bedrock_finish(struct slice reason);

/* bedrock_events.c */
enum { BEDROCK_DECODER_BYTES = 64 };
enum err bedrock_look(struct slice name, struct slice data, struct event_look *out);
void bedrock_read_usage(struct slice object, struct usage *usage);
struct slice bedrock_read_error(struct arena *a, struct slice error);
enum err bedrock_decode_event(struct stream_decoder *d, struct slice data);

#endif
