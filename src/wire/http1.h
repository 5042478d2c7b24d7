/* wire/http1.h -- HTTP/1.1 messages (RFC 9112) on llhttp: incremental, sans-I/O, strict.
 *
 * A pull parser: http1_next() consumes bytes up to the next event. Head bytes are copied once into
 * the arena, so every slice of the head lives as long as it; body slices are borrowed from the
 * input of that call.
 *
 *   state   event             -> state
 *   HEAD    headers complete  -> BODY     HTTP1_HEAD: parser.head is filled
 *   BODY    body bytes        -> BODY     HTTP1_BODY: data
 *   BODY    message complete  -> HEAD     HTTP1_END: ready for the next message
 *   (any)   error             -> FAILED   HTTP1_ERROR: parser.fault says which
 *
 * Refused beyond llhttp's strict mode: Content-Length with Transfer-Encoding, differing or repeated
 * Content-Length, a Transfer-Encoding that is not exactly "chunked", bare CR or LF in the head,
 * obs-fold, white space before the colon, empty or repeated Host (requests), NUL or control bytes
 * in values, HTTP versions other than 1.0 and 1.1.
 */
#ifndef WIRE_HTTP1_H
#define WIRE_HTTP1_H

#include "core/arena.h"
#include "core/err.h"
#include "core/slice.h"

#include <llhttp.h>

enum {
    HTTP1_HEADERS_MAX = 100,       /* default for http1_limits.headers_max */
    HTTP1_HEAD_MAX_BYTES = 65536,  /* default for http1_limits.head_max_bytes */
    HTTP1_TARGET_MAX_BYTES = 16384 /* a longer request line is a 414 */
};

/* Headers the gateway looks at, found while parsing; FIELD_OTHER are the rest. */
enum http_field {
    FIELD_OTHER = 0,
#define FIELD(name, text) FIELD_##name,
#include "wire/fields.def"
#undef FIELD
    FIELD_COUNT
};

struct http_header {
    struct slice name;  /* as received */
    struct slice value; /* without surrounding white space */
    enum http_field field;
};

enum http_verb {
    VERB_GET,
    VERB_HEAD,
    VERB_POST,
    VERB_PUT,
    VERB_PATCH,
    VERB_DELETE,
    VERB_OPTIONS,
    VERB_OTHER
};

struct http_head {
    /* requests */
    enum http_verb verb;
    struct slice method_text;
    struct slice target; /* as received */
    struct slice path;   /* target up to '?'; not decoded */
    struct slice query;  /* after '?', may be empty */
    /* responses */
    int status;
    struct slice reason;
    /* both */
    int version_minor;           /* 0 or 1 */
    struct http_header *headers; /* in order of arrival */
    size_t header_count;
    int16_t first[FIELD_COUNT]; /* index + 1 of the first header of that field; 0: absent */
    int64_t content_length;     /* -1: absent */
    bool is_chunked;
    bool is_keep_alive; /* by version and Connection */
    bool expects_continue;
    bool has_upgrade;
};

struct http1_limits {
    size_t head_max_bytes; /* 431 beyond */
    size_t headers_max;    /* 431 beyond */
    size_t body_max_bytes; /* 413 beyond, by Content-Length already at the head; 0: unbounded */
};

/* Which reply a request fault deserves; for responses any fault is a bad upstream. */
enum http1_fault {
    HTTP1_OK = 0,
    HTTP1_BAD_SYNTAX,     /* 400 */
    HTTP1_BAD_FRAMING,    /* 400: lengths conflict */
    HTTP1_BAD_VERSION,    /* 505 */
    HTTP1_URI_TOO_LONG,   /* 414 */
    HTTP1_HEAD_TOO_LARGE, /* 431 */
    HTTP1_BODY_TOO_LARGE, /* 413 */
    HTTP1_NO_MEMORY       /* 503 */
};

enum http1_event { HTTP1_MORE = 0, HTTP1_HEAD, HTTP1_BODY, HTTP1_END, HTTP1_ERROR };

/* Small enough to be kept beside a connection only while a message is in progress. */
struct http1_parser {
    /* private, and first what every piece of a body needs */
    uint8_t phase;
    uint8_t skipped_lines; /* empty ones before a request line */
    bool is_response, has_cr, is_bodyless, is_complete;
    bool is_between_chunks; /* llhttp is, too */
    size_t body_bytes;      /* handed out so far */
    size_t extra_bytes;     /* chunk sizes, extensions and trailers so far */
    int64_t body_left;      /* of a sized body */
    struct http1_limits limits;
    /* public */
    enum http1_fault fault;
    const char *fault_text; /* static; for the error message */
    struct http_head head;
    /* private */
    struct arena *arena; /* borrowed; the head goes here */
    char *head_bytes;    /* copied into arena: 0..head_len filled */
    size_t head_len, head_cap;
    size_t line_bytes; /* of the head's unfinished line, without its CR */
    size_t line_count; /* finished lines of the head */
    struct slice body; /* the last body span of llhttp, in the caller's input */
    llhttp_t llhttp;
};

/* is_response chooses the grammar. Reused for the next message after HTTP1_END by http1_restart().
 */
void http1_init(struct http1_parser *p, bool is_response, struct arena *arena,
                const struct http1_limits *limits) NONNULL;
void http1_restart(struct http1_parser *p, struct arena *arena) NONNULL;
/* For a response: the request was HEAD, so no body follows whatever the head says. */
void http1_expect_no_body(struct http1_parser *p) NONNULL;

/* Consumes *inout_in from its front up to the event; HTTP1_MORE means all of it. out_body only with
 * HTTP1_BODY. After HTTP1_END nothing is consumed (HTTP1_MORE) until http1_restart(). A 1xx
 * response is a message of its own: HTTP1_HEAD, HTTP1_END. A zero in limits means its default. */
MUST_USE enum http1_event http1_next(struct http1_parser *p, struct slice *inout_in,
                                     struct slice *out_body) NONNULL;
/* The peer closed: HTTP1_END for a response delimited by close, else HTTP1_ERROR. */
MUST_USE enum http1_event http1_eof(struct http1_parser *p) NONNULL;

/* Value of the first header of that field; empty slice with ptr NULL when absent. */
struct slice http_head_get(const struct http_head *head, enum http_field field) NONNULL;
/* By name, any case. */
struct slice http_head_find(const struct http_head *head, struct slice name) NONNULL;
/* Value of a query parameter, percent-decoded into the arena; ptr NULL when absent. */
struct slice http_query_get(struct arena *a, struct slice query, struct slice name);
/* Percent-decoded ('+' is kept); ptr NULL on a bad escape or an encoded NUL. */
struct slice http_percent_decode(struct arena *a, struct slice text);

#endif
