/* dialect/dialect.h -- one wire vocabulary a file: decode and encode of request, answer, stream and
 * error.
 *
 * Sans-I/O: bytes in, values out; memory from the arena handed over. The client's dialect and the
 * provider's are chosen separately. When they are the same (dialect_is_same), the body is never
 * parsed into a tree: scan() finds the spans of top-level members, forward() edits model and usage
 * metering in place, and the answer is only observed. Otherwise the request goes decode -> neutral
 * -> encode, and the answer the other way.
 */
#ifndef DIALECT_DIALECT_H
#define DIALECT_DIALECT_H

#include "chat/chat.h"
#include "chat/record.h"
#include "chat/usage.h"
#include "core/arena.h"
#include "core/err.h"
#include "core/text.h"
#include "dialect/ask.h"
#include "dialect/fault.h"
#include "dialect/front.h"
#include "wire/http1.h"

enum stream_flag {
    STREAM_TERMINAL = 1, /* these bytes are the terminal event: account before sending them */
    STREAM_ERROR = 2,    /* these bytes are an error event of the provider */
    STREAM_CONTENT = 4   /* content-bearing event */
};
/* bytes are borrowed for the call; what to send to the client, in order. flags: enum stream_flag
 * bits. */
typedef enum err (*stream_bytes_fn)(void *ctx, struct slice bytes, unsigned flags);

struct dialect_stream; /* in the exchange's arena */
struct dialect_events; /* dialect/stream.h: what streams of the dialect are made of */

struct dialect {
    const char *name; /* "openai" */
    enum record_dialect record;

    /* --- client side --- */
    /* Finds what the gateway must know; E_SYNTAX, E_DUPLICATE, E_LIMIT with out_fault filled.
     * Overwrites *out, except that a dialect whose requests name model and form of the answer in
     * the URL (Gemini) reads out->model, is_stream and is_array, which gemini_route() fills. */
    enum err (*scan)(struct arena *a, enum chat_operation op, struct slice body,
                     struct chat_ask *out, struct fault *out_fault);
    /* Client's request -> neutral (ask->neutral). */
    enum err (*decode_request)(struct arena *a, struct chat_ask *ask, struct fault *out_fault);
    /* Neutral answer -> client's body. extras: members of the own dialect (cost, latency ...), NULL
     * elsewhere. */
    enum err (*encode_response)(struct arena *a, const struct chat_response *r, const void *extras,
                                struct slice *out_body);
    /* The answer to CHAT_OP_COUNT_TOKENS; NULL where the dialect has no such operation. */
    void (*render_count)(int64_t input_tokens, struct text *out_body);
    /* Status, body and extra header lines (each with CRLF) of an error. */
    void (*render_fault)(const struct fault *f, int *out_status, struct text *out_body,
                         struct text *out_headers);
    /* The event that ends a stream gone wrong after the first byte. */
    void (*render_stream_fault)(const struct fault *f, struct text *out);
    struct slice keepalive; /* event of a stream that says nothing; empty: a comment will do */
    const struct dialect_front *front;

    /* --- provider side --- */
    /* Path below the base, e.g. "/chat/completions"; empty: there is no such operation. */
    struct slice (*path)(struct arena *a, enum chat_operation op, struct slice model,
                         bool is_stream);
    bool path_has_model; /* the path says model or is_stream: it is made anew for each request */
    const struct dialect_vertex *vertex; /* NULL: Vertex AI has no models of this dialect */
    bool needs_region; /* the provider's region is signed, and names the host where none is given */
    /* Header lines of a credential, e.g. "authorization: Bearer ...\r\n". */
    void (*render_auth)(struct slice key, struct text *out);
    /* Header lines of this request's credential, beside those of render_auth(); no secret may be in
     * them, for they lie in the exchange's arena. NULL: render_auth() alone. E_NOMEM, E_LIMIT. */
    enum err (*sign)(struct arena *a, const struct dialect_signing *in, struct text *out);
    const struct dialect_header *headers;
    size_t header_count;
    struct slice query; /* "?beta=true": passed on where a client of the same dialect sends it */
    enum err (*encode_request)(struct arena *a, const struct chat_request *r,
                               const struct encode_options *o, struct body_parts *out);
    enum err (*decode_response)(struct arena *a, struct slice body, struct chat_response *out);
    /* The provider's answer to CHAT_OP_COUNT_TOKENS; NULL where the dialect has no such operation.
     */
    enum err (*read_count)(struct slice body, int64_t *out_input_tokens);
    void (*read_fault)(struct arena *a, int status, struct slice body, struct upstream_fault *out);

    /* --- same dialect on both sides --- */
    enum err (*forward)(struct arena *a, const struct chat_ask *ask, const struct encode_options *o,
                        struct body_parts *out);
    /* A whole answer passes unchanged; E_SYNTAX: not a JSON object (a bad body: next target). */
    enum err (*observe)(struct arena *a, enum chat_operation op, struct slice body,
                        struct outcome *out);
    struct slice usage_member; /* of a whole answer, where observe() reads it; empty: "usage" */

    const struct dialect_embedding *embedding; /* NULL: the dialect has none */
    const struct dialect_events *events;       /* private to src/dialect */
};

/* CHAT_OP_EMBEDDING between two dialects. */
struct dialect_embedding {
    /* Client's request -> neutral (ask->embedding). */
    enum err (*decode_request)(struct arena *a, struct chat_ask *ask, struct fault *out_fault);
    /* Neutral answer -> client's body, in the form that the request asked for. */
    enum err (*encode_response)(struct arena *a, const struct embed_request *asked,
                                const struct embed_response *r, struct slice *out_body);
    enum err (*encode_request)(struct arena *a, const struct embed_request *r,
                               const struct encode_options *o, struct body_parts *out);
    enum err (*decode_response)(struct arena *a, struct slice body, struct embed_response *out);
};

extern const struct dialect dialect_openai;
extern const struct dialect dialect_responses; /* OpenAI's newer API, a dialect of its own */
extern const struct dialect dialect_anthropic;
extern const struct dialect dialect_gemini;
extern const struct dialect dialect_bedrock, dialect_ollama; /* provider side only */
extern const struct dialect dialect_own; /* client side only: /api/v1/completions */

static inline bool dialect_is_same(const struct dialect *client, const struct dialect *provider)
{
    return client == provider;
}
const struct dialect *dialect_find(struct slice name); /* provider dialects by name; NULL */
/* A provider may speak several dialects under one base URL and with one key: OpenAI's own API is
 * "openai" (chat completions and the rest) and "responses". The one in which to speak to it: the
 * client's own where it is spoken, so that bytes pass as they are; else the first, or, for
 * CHAT_OP_COUNT_TOKENS and CHAT_OP_EMBEDDING, the first that has such an operation. spoken: count
 * of them, at least one, in the order of the configuration. docs/decisions/006. */
const struct dialect *dialect_choose(const struct dialect *client, enum chat_operation op,
                                     const struct dialect *const *spoken, size_t count);
/* By the number that records and stored answers keep of it; NULL when there is none. */
const struct dialect *dialect_of_record(enum record_dialect record);

/* A stream from a provider dialect to a client dialect: same dialects relay bytes (hiding usage
 * when asked), others translate through chunks. outcome is filled as it goes. extras_fn renders the
 * own dialect's last event (may be NULL). */
struct stream_options {
    stream_bytes_fn on_bytes;
    void *ctx;
    size_t event_max_bytes; /* one event may not be larger: E_LIMIT */
    const struct dialect *provider, *client;
    enum chat_operation op;
    bool hides_usage; /* body_parts.adds_usage */
    bool is_array;    /* chat_ask.is_array: elements of one JSON array leave */
    bool gathers;     /* two dialects: keep the whole answer, for dialect_stream_answer() */
    const struct chat_request *request; /* two dialects: what is answered, borrowed, for clients
                                           whose answers repeat it; NULL: not known */
    int64_t now_unix_s;                 /* told where the provider does not say when it answered */
    struct slice id, model;             /* the same for the answer's name and its model's */
    /* own dialect: the last event's JSON object, rendered when the terminal event is reached */
    void (*render_last)(void *ctx, struct text *out);
};
/* Whether an answer of that content type is a stream of the provider's. */
bool dialect_is_stream_type(const struct dialect *provider, struct slice content_type);
MUST_USE enum err dialect_stream_new(struct arena *a, const struct stream_options *o,
                                     struct outcome *outcome, struct dialect_stream **out);
/* Any cut of the input. E_SYNTAX or E_LIMIT: the provider's bytes are no stream; what on_bytes
 * returned otherwise. */
MUST_USE enum err dialect_stream_feed(struct dialect_stream *s, struct slice in);
/* The provider's message ended as its framing says (the last chunk, or the close of an answer
 * delimited by close; never call it after a reset or a close inside a chunk). OK only if the
 * terminal event was seen, or if every choice that appeared has its finish_reason: some servers
 * leave the terminal event out, and it is then made and sent as such. E_EOF otherwise (a cut); an
 * unfinished event is not passed on. */
MUST_USE enum err dialect_stream_end(struct dialect_stream *s);
/* What ends the client's stream when it went wrong after the first byte: the client dialect's
 * render_stream_fault(), closing the JSON array where it reads one. */
void dialect_stream_fault(const struct dialect_stream *s, const struct fault *f, struct text *out);
/* The own dialect's last event repeats the whole content: the text of choice 0 so far. Empty for
 * same-dialect streams. */
struct slice dialect_stream_text(const struct dialect_stream *s);
/* The whole answer so far, in the exchange's arena; NULL for same-dialect streams, without
 * options.gathers, or when memory ended. */
const struct chat_response *dialect_stream_answer(struct dialect_stream *s);

/* Turns stored event bytes of the dialect into one whole answer body and back, for cache hits in
 * the other form. */
MUST_USE enum err dialect_events_to_body(struct arena *a, const struct dialect *d,
                                         enum chat_operation op, struct slice events,
                                         struct slice *out_body);
MUST_USE enum err dialect_body_to_events(struct arena *a, const struct dialect *d,
                                         enum chat_operation op, struct slice body,
                                         bool wants_usage, struct slice *out_events);

/* What a Gemini URL says: "{m}:{method}" (what follows /v1beta/models/, as received) and the query
 * without its '?'. Fills *out_op and *out (model, is_stream, is_array) for scan(). E_NOT_FOUND:
 * there is no such method; E_SYNTAX: no model, or a broken escape. */
MUST_USE enum err gemini_route(struct arena *a, struct slice tail, struct slice query,
                               enum chat_operation *out_op, struct chat_ask *out);

/* Members of the own dialect's answer around "response". */
struct own_extras {
    bool is_cached;
    int64_t cost_nusd;
    int64_t latency_ms;
    int64_t rate_limit_remaining; /* -1: null */
    struct slice provider;
};
/* The object of /api/v1/completions, also the last stream event; text and usage are known. */
void own_render_result(const struct chat_response *r, const struct own_extras *extras,
                       struct text *out);

#endif
