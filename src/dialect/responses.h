/* dialect/responses.h -- private to src/dialect: the vocabulary of OpenAI's Responses API, shared
 * by the files that read and write it. Errors, usage and media are those of openai.h.
 *
 * Items and the neutral form: neighbouring items of the assistant's (messages, reasoning, calls)
 * are parts of one message, neighbouring outputs of calls are parts of one CHAT_TOOL message, and
 * `instructions` is the first CHAT_SYSTEM message. An item's id and status are its provider's
 * book-keeping: calls and outputs meet by call_id, and ids are made anew for each answer.
 */
#ifndef DIALECT_RESPONSES_H
#define DIALECT_RESPONSES_H

#include "dialect/openai.h"
#include "dialect/read.h"
#include "dialect/stream.h"

#define RESPONSES_NAME SLICE("responses")
/* Whose proofs encrypted_content is; the chat dialect's answers name it so, too. */
#define RESPONSES_MAKER SLICE("openai")

/* Of the ids of thoughts in answers that we write. */
#define RESPONSES_THOUGHT_PREFIX SLICE("rs_gw_")

/* Members of requests that somebody here reads. All of them decide but prompt_cache_key. */
enum responses_member {
    R_MODEL,
    R_STREAM,
    R_INPUT,
    R_INSTRUCTIONS,
    R_MAX_OUTPUT_TOKENS,
    R_TEMPERATURE,
    R_TOOLS,
    R_TEXT,
    R_STORE,
    R_BACKGROUND,
    R_PREVIOUS_RESPONSE_ID,
    R_CONVERSATION,
    R_PROMPT,
    R_CONTEXT_MANAGEMENT,
    R_USER,
    R_SAFETY_IDENTIFIER,
    R_PROMPT_CACHE_KEY,
    R_REQUEST_ID,
    R_COUNT
};

struct responses_members {
    struct span_object object;
    struct span at[R_COUNT];
};

/* responses_request.c */
enum err responses_scan(struct arena *a, enum chat_operation op, struct slice body,
                        struct chat_ask *out, struct fault *out_fault);
enum err responses_forward(struct arena *a, const struct chat_ask *ask,
                           const struct encode_options *o, struct body_parts *out);
void responses_find_conversation(struct arena *a, const struct chat_ask *ask,
                                 struct conversation *out);
/* responses_bound.c: most tokens of the input, 0 for what its bytes bound; -1: bytes do not bound
 * it. *out_is_pinned: it names items or files that one provider keeps. */
int64_t responses_input_bound(const struct span *input, bool *out_is_pinned);
/* What templates say about the tools; -1: the provider runs one of them itself. */
int64_t responses_tools_bound(const struct span *tools);

/* responses_items.c: items, of requests and answers alike, as parts */
enum err responses_refuse(struct decoder *d, const char *member, const char *what);
/* Parts that the item becomes at most. */
size_t responses_item_size(yyjson_val *item);
/* Content that is a string or a list of parts, added to parts. */
enum err responses_take_content(struct decoder *d, yyjson_val *content, struct chat_part *parts,
                                size_t *count);
/* An item of the assistant's or an output of a call, added to parts. */
enum err responses_take_item(struct decoder *d, yyjson_val *item, struct chat_part *parts,
                             size_t *count);
/* Whether the item is the output of a call, or something that the client says beside it. */
bool responses_is_output(struct slice type);

/* responses_decode.c */
enum err responses_decode_request(struct arena *a, struct chat_ask *ask, struct fault *out_fault);
/* responses_answer.c */
enum err responses_decode_response(struct arena *a, struct slice body, struct chat_response *out);
enum chat_finish responses_finish(struct slice status, struct slice reason, bool has_call);
/* A proof as it was given to the client, with its maker's name before it when that is not OpenAI:
 * set as signature or, when it stands for the whole thought, as data. */
void responses_take_proof(struct chat_part *p, struct slice proof);

/* responses_encode.c */
enum err responses_encode_request(struct arena *a, const struct chat_request *r,
                                  const struct encode_options *o, struct body_parts *out);
/* Whether the first message is what the API calls instructions: one text of the system's. */
bool responses_has_instructions(const struct chat_request *r);
/* responses_tools.c: what requests tell and answers repeat */
/* "tools":[...]; is_told: also where there are none. */
void responses_add_tools(struct text *t, struct text *dropped, const struct chat_request *r,
                         bool is_told);
void responses_add_tool_choice(struct text *t, const struct chat_request *r);
/* "text":{...}; is_told: also where nothing was asked for. */
void responses_add_format(struct text *t, const struct chat_request *r, bool is_told);
bool responses_is_custom(const struct chat_request *r, struct slice name);
/* The text of a custom call inside the object that stands for it elsewhere: {"input":"..."}; false
 * when it is no such object. */
bool responses_unwrap(struct arena *a, struct slice arguments, struct slice *out_input);
/* call_id, shortened the same way for a call and its output. */
void responses_add_call_id(struct text *t, struct slice id);
/* "encrypted_content":... of a thought, if it has a proof. */
void responses_add_proof(struct text *t, const struct chat_part *p);

/* responses_write.c: answers, and the objects that their events repeat */
enum responses_status {
    RESPONSES_IN_PROGRESS,
    RESPONSES_COMPLETED,
    RESPONSES_INCOMPLETE,
    RESPONSES_FAILED
};
struct responses_head {
    struct slice id, model, service_tier; /* id: as its maker gave it */
    int64_t created_unix_s;
    enum responses_status status;
    enum chat_finish finish;   /* tells why it is INCOMPLETE */
    const struct fault *fault; /* FAILED */
    const struct usage *usage; /* NULL: not known yet */
    const struct chat_request *request;
};
/* {"id":...,"output":[ and ],...}: the items go between. */
void responses_open(struct text *t, const struct responses_head *h);
void responses_close(struct text *t, const struct responses_head *h);
enum responses_status responses_status_of(enum chat_finish finish);

/* One item of an answer: texts and refusals side by side, or one part of another kind. */
struct responses_item {
    struct slice answer; /* its answer's id, of which its own is made */
    size_t index;
    const struct chat_part *parts;
    size_t count;
    enum responses_status status; /* IN_PROGRESS: told before its content */
    const struct chat_request *request;
};
/* "msg_<answer>_<index>" or the like. */
void responses_add_item_id(struct text *t, const struct responses_item *item);
/* "phase":... of a message, which lies with its first part. */
void responses_add_phase(struct text *t, const struct chat_part *p);
/* Whether these answers have words for the part. */
bool responses_is_item(const struct chat_part *p);
/* {...} */
void responses_add_item(struct text *t, const struct responses_item *item);
/* {"type":"output_text",...} or a refusal. */
void responses_add_content(struct text *t, const struct chat_part *p);
/* One source, in our words: an annotation of ours, or another dialect's citation with a URL, which
 * then stands at these characters; false: it has none. */
bool responses_add_annotation(struct text *t, yyjson_val *citation, bool is_ours, int64_t start,
                              int64_t end);
/* ,"annotations":[...] of a text. */
void responses_add_annotations(struct text *t, const struct chat_part *p);
enum err responses_encode_response(struct arena *a, const struct chat_response *r,
                                   const void *extras, struct slice *out_body);

/* responses_look.c */
enum err responses_look(struct slice name, struct slice data, struct event_look *out);
enum err responses_observe(struct arena *a, enum chat_operation op, struct slice body,
                           struct outcome *out);
enum err responses_read_count(struct slice body, int64_t *out_input_tokens);

/* responses_events.c */
enum { RESPONSES_DECODER_BYTES = 64, RESPONSES_ENCODER_BYTES = 256 };
enum err responses_decode_event(struct stream_decoder *d, struct slice data);

/* responses_chunks.c */
enum err responses_encode_chunk(struct stream_encoder *e, const struct chat_chunk *chunk);

/* responses_fault.c */
void responses_render_stream_fault(const struct fault *f, struct text *out);
/* Its two events, the first with that number. */
void responses_add_fault_events(const struct fault *f, int64_t sequence,
                                const struct responses_head *h, struct text *out);
/* ,"error":{"code":...,"message":...} */
void responses_add_error(struct text *t, const struct fault *f);

/* responses_store.c */
enum err responses_to_body(struct arena *a, enum chat_operation op, struct slice events,
                           struct slice *out_body);
enum err responses_to_events(struct arena *a, enum chat_operation op, struct slice body,
                             bool wants_usage, struct slice *out_events);

#endif
