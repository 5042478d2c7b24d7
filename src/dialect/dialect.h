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
#include "dialect/fault.h"
#include "wire/http1.h"

enum { FORWARD_PARTS_MAX = 10 };

enum chat_operation { CHAT_OP_CHAT = 0, CHAT_OP_COMPLETION, CHAT_OP_EMBEDDING, CHAT_OP_MODERATION };

/* What the gateway must know of any request before choosing a target. */
struct chat_ask {
    enum chat_operation op;
    struct slice body;  /* as received */
    struct slice model; /* unescaped */
    bool is_stream;
    bool wants_usage;             /* the client asked for stream usage itself */
    int64_t output_max_tokens;    /* max_completion_tokens or max_tokens; -1 absent */
    int64_t choices;              /* n, best_of, or prompt count; >= 1 */
    int64_t prompt_max_tokens;    /* upper bound from bytes plus template overhead; -1: bytes do not
                                     bound it */
    bool is_deterministic;        /* explicit temperature 0 or seed */
    bool is_uncacheable;          /* store, previous_response_id, ... */
    struct slice user;            /* end-user id, for tags */
    void *spans;                  /* the dialect's own: positions of members for forward() */
    struct chat_request *neutral; /* set by decode() */
};

/* What a provider's model family needs (route/profile.h fills it). */
struct dialect_profile {
    bool takes_max_completion_tokens; /* else max_tokens */
    bool refuses_sampling;            /* temperature, top_p, penalties other than default */
    bool refuses_stop;
    bool refuses_stream_options; /* does not know include_usage */
    bool takes_developer_role;
};

struct encode_options {
    struct slice model; /* the provider's name */
    const struct dialect_profile *profile;
    int64_t output_cap_tokens; /* configured cap to send when the client gave none; -1: none */
    bool is_stream;
    bool wants_usage;                /* ask for stream usage */
    const struct chat_ask *defaults; /* unused by most */
};

/* Parts of a body to send, in order; borrowed from the request body and the arena. */
struct body_parts {
    struct slice parts[FORWARD_PARTS_MAX];
    size_t count;
    size_t bytes;
    bool adds_usage;      /* we asked for usage, the client did not: hide it from the stream */
    struct slice dropped; /* comma-separated members left out for this provider; arena */
};

/* Facts taken from an answer while it passes. */
struct outcome {
    bool wants_detail; /* in: finish and output_bytes of a whole answer are needed though it tells
                          its usage */
    struct usage usage;
    bool has_usage;
    enum chat_finish finish;
    bool is_error;        /* an error object inside a 200 */
    bool is_complete;     /* the terminal event was seen, or a whole body parsed */
    bool has_content;     /* a content-bearing event was seen */
    bool is_empty;        /* a whole body without any choice */
    int64_t output_bytes; /* text bytes relayed, for estimates */
    int64_t output_events;
    struct slice model; /* as the provider names it; arena */
    struct slice error; /* message, arena */
};

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
    /* Finds what the gateway must know; E_SYNTAX, E_DUPLICATE, E_LIMIT with out_fault filled. */
    enum err (*scan)(struct arena *a, enum chat_operation op, struct slice body,
                     struct chat_ask *out, struct fault *out_fault);
    /* Client's request -> neutral (ask->neutral). */
    enum err (*decode_request)(struct arena *a, struct chat_ask *ask, struct fault *out_fault);
    /* Neutral answer -> client's body. extras: members of the own dialect (cost, latency ...), NULL
     * elsewhere. */
    enum err (*encode_response)(struct arena *a, const struct chat_response *r, const void *extras,
                                struct slice *out_body);
    /* Status, body and extra header lines (each with CRLF) of an error. */
    void (*render_fault)(const struct fault *f, int *out_status, struct text *out_body,
                         struct text *out_headers);
    /* The event that ends a stream gone wrong after the first byte. */
    void (*render_stream_fault)(const struct fault *f, struct text *out);

    /* --- provider side --- */
    /* Path below the base, e.g. "/chat/completions". */
    struct slice (*path)(struct arena *a, enum chat_operation op, struct slice model,
                         bool is_stream);
    /* Header lines of a credential, e.g. "authorization: Bearer ...\r\n". */
    void (*render_auth)(struct slice key, struct text *out);
    enum err (*encode_request)(struct arena *a, const struct chat_request *r,
                               const struct encode_options *o, struct body_parts *out);
    enum err (*decode_response)(struct arena *a, struct slice body, struct chat_response *out);
    void (*read_fault)(struct arena *a, int status, struct slice body, struct upstream_fault *out);

    /* --- same dialect on both sides --- */
    enum err (*forward)(struct arena *a, const struct chat_ask *ask, const struct encode_options *o,
                        struct body_parts *out);
    /* A whole answer passes unchanged; E_SYNTAX: not a JSON object (a bad body: next target). */
    enum err (*observe)(struct arena *a, enum chat_operation op, struct slice body,
                        struct outcome *out);

    const struct dialect_events *events; /* private to src/dialect */
};

extern const struct dialect dialect_openai;
extern const struct dialect dialect_own; /* client side only: /api/v1/completions */

static inline bool dialect_is_same(const struct dialect *client, const struct dialect *provider)
{
    return client == provider;
}
const struct dialect *dialect_find(struct slice name); /* provider dialects by name; NULL */

/* A stream from a provider dialect to a client dialect: same dialects relay bytes (hiding usage
 * when asked), others translate through chunks. outcome is filled as it goes. extras_fn renders the
 * own dialect's last event (may be NULL). */
struct stream_options {
    const struct dialect *provider, *client;
    enum chat_operation op;
    bool hides_usage;       /* body_parts.adds_usage */
    size_t event_max_bytes; /* one event may not be larger: E_LIMIT */
    stream_bytes_fn on_bytes;
    void *ctx;
    /* own dialect: the last event's JSON object, rendered when the terminal event is reached */
    void (*render_last)(void *ctx, struct text *out);
};
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
/* The own dialect's last event repeats the whole content: the text of choice 0 so far. Empty for
 * same-dialect streams. */
struct slice dialect_stream_text(const struct dialect_stream *s);

/* Turns stored event bytes of the dialect into one whole answer body and back, for cache hits in
 * the other form. */
MUST_USE enum err dialect_events_to_body(struct arena *a, const struct dialect *d,
                                         enum chat_operation op, struct slice events,
                                         struct slice *out_body);
MUST_USE enum err dialect_body_to_events(struct arena *a, const struct dialect *d,
                                         enum chat_operation op, struct slice body,
                                         bool wants_usage, struct slice *out_events);

/* Members of the own dialect's answer around "response". */
struct own_extras {
    bool is_cached;
    int64_t cost_nusd;
    int64_t latency_ms;
    int64_t rate_limit_remaining; /* -1: null */
    struct slice provider;
};
/* The object of /api/v1/completions for an answer whose text and usage are known; also the last
 * stream event. */
void own_render_result(const struct chat_response *r, const struct own_extras *extras,
                       struct text *out);

#endif
