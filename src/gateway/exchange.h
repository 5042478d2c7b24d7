/* gateway/exchange.h -- one request's life: the structs its stages fill, in stage order.
 *
 * Lives in the request's arena, together with the head, the upstream attempt and the answer. A
 * stage writes its own group and reads only groups above it. The worker lists every exchange;
 * nothing else points to one but its connection, its attempt and its flight (coalescing).
 *
 *   state      event                      -> state      effect
 *   STAGES     a stage waits              -> STAGES     body, upstream answer, flight, back-off
 *   STAGES     refused or failed          -> REPLYING   account, error in the client's dialect
 *   STAGES     whole answer               -> REPLYING   account, then the reply in one write
 *   STAGES     first stream event         -> STREAMING  reply head with it
 *   STREAMING  terminal event             -> REPLYING   account before the event's bytes are sent
 *   STREAMING  upstream cut               -> REPLYING   account, error event
 *   (any)      client gone                -> ENDED      call cancelled if none follows, account
 *   REPLYING   last byte with the kernel  -> ENDED      memory released by listen
 *
 * Requests whose bodies nobody looks into (files, audio, images, /passthrough/) are exchanges like
 * others: ROUTE_RAW is the route's kind, and x->raw what the stages ask of gateway/raw.h where a
 * dialect would be asked otherwise: what is the model, what may it cost, what goes to the provider.
 * An answer below 400 then goes through raw_relay.c instead of being gathered; errors, health,
 * retries, limits and records are those of every exchange.
 */
#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

#include "core/check.h"
#include "core/money.h"
#include "gateway/gateway.h"
#include "gateway/router.h"

enum { EXCHANGE_ATTEMPTS_LOGGED = 8 };

enum exchange_state { EXCHANGE_STAGES = 0, EXCHANGE_STREAMING, EXCHANGE_REPLYING, EXCHANGE_ENDED };

enum cache_use { CACHE_USE_BYPASS = 0, CACHE_USE_MISS, CACHE_USE_HIT, CACHE_USE_COALESCED };

/* What told which conversation a request belongs to (gateway/affinity.h). */
enum affinity_source { AFFINITY_NONE = 0, AFFINITY_HEADER, AFFINITY_SESSION, AFFINITY_PREFIX };

/* What listen's request.exchange points to. */
enum handler_kind { HANDLER_EXCHANGE, HANDLER_DOOR };

/* One try at one target, for the record's detail. */
struct attempt_note {
    struct slice provider, model;
    int32_t status; /* HTTP, or 0 */
    enum err error;
    int32_t took_ms;
};

/* Why the last target failed; what the client is told when none is left. */
struct failure {
    bool is_set;
    enum err error; /* OK: the provider answered with status */
    int status;
    bool is_ours;      /* our credentials, quota or deployment were refused */
    struct slice body; /* the provider's, arena */
    struct slice content_type;
    struct slice retry_after; /* its Retry-After, arena */
    struct slice message;     /* short, for own dialect and record */
    bool is_quoted; /* message is the provider's: it may quote the prompt, so no log has it */
};

struct exchange {
    enum handler_kind handler; /* first: read before the type is known */
    enum exchange_state state;
    struct worker *worker;   /* from here to outcome: what each event of a stream needs */
    struct http_conn *conn;  /* NULL once the client is gone */
    struct raw *raw;         /* bodies nobody looks into (gateway/raw.h); arena, NULL for others */
    struct attempt *attempt; /* NULL between attempts */
    struct dialect_stream *stream;
    struct flight *flight; /* led or followed */
    int64_t last_event_ns;
    int64_t first_byte_ns;     /* monotonic; 0: none yet */
    struct gateway_conf *conf; /* the version it began with */
    size_t held_len, held_cap; /* of held */
    int answer_status;
    bool is_answer_stream;
    bool is_terminal_seen;
    bool is_error_sent; /* the client had the provider's own error event: ours would be a second */
    bool is_storing;    /* the answer goes into the cache under cache_key */
    bool is_paused;
    struct outcome outcome;

    struct list link; /* worker.live */
    struct http_request *rq;
    struct arena *arena; /* rq->arena */
    const struct api_route *route;
    struct slice rest; /* of the path: what the route's "/" or "*" left open */
    const struct dialect *client;
    const char *action; /* what is being done, for errors and logs */
    size_t stage;       /* index into the pipeline */
    struct id id;
    char id_text[ID_TEXT_BYTES];
    int64_t started_ns, started_unix_ns, ended_ns; /* ended_ns: when it was accounted */

    /* auth */
    struct auth_who who;
    bool is_known, is_offloaded; /* an offload thread reads the body: the memory must stay */

    /* parse */
    struct chat_ask ask;

    /* resolve */
    struct route_plan plan;
    struct route_bound bound;

    /* admit */
    struct limit_ticket ticket;
    struct limit_remaining remaining;
    bool has_remaining; /* also of a refused request */
    bool is_admitted;   /* the ticket may be settled already */
    int64_t admitted_unix_ns;

    /* cache */
    enum cache_use cache_use;
    struct sha256 cache_key;
    struct cache_entry *hit; /* a reference, released at the end */
    struct list follow;      /* on flight.followers */
    size_t follow_at;        /* bytes of the flight already sent to this follower */
    bool is_follower;
    bool is_leader_gone; /* its client left, its call goes on for the followers */

    /* reserve */
    bool is_open_recorded;
    int64_t reserve_until_ns; /* waits for others' reservations till then; 0: not waiting */
    bool is_tightened;        /* the prompt's tokens were counted, or cannot be */

    /* call */
    enum affinity_source affinity_source;
    uint64_t affinity; /* the conversation, for route_pick(); 0: none */
    struct route_tried tried;
    struct route_choice choice;
    const struct route_target *target;
    const struct dialect *speaks; /* to the target, in this attempt; NULL before the first */
    struct health_node *key_health;
    struct credential *bearer;  /* a reference: the access token of the last attempt; NULL: a key */
    int64_t bearer_until_ns;    /* waits for one till then; 0: not waiting */
    bool is_bearer_renewed;     /* one was refused, and another asked for: once a request */
    int attempts, rounds;       /* rounds: how often the whole plan was tried */
    struct attempt_note *notes; /* EXCHANGE_ATTEMPTS_LOGGED, on first failure */
    struct failure failure;
    struct loop_timer timer; /* back-off, keep-alive comments, tail */
    int64_t attempt_started_ns;
    int64_t upstream_ns;    /* spent waiting for providers */
    int64_t abandoned_nusd; /* attempts fully sent and then given up */
    int64_t abandoned_tokens;
    bool adds_usage;      /* of what was sent, as in struct body_parts */
    struct slice dropped; /* the same */

    /* answer */
    struct slice answer_type; /* its Content-Type, arena */
    struct slice upstream_request_id;
    struct slice answer_detail; /* why the attempt failed, beyond the error; arena */
    char *answer;               /* whole answers: bytes so far; events kept for the cache */
    size_t answer_len, answer_cap;
    struct arena answer_arena;      /* holds answer when it is large */
    size_t answer_promised;         /* its Content-Length; 0: unknown */
    struct chat_response *decoded;  /* of a whole answer, for a client of another dialect; arena */
    struct embed_response *vectors; /* the same of texts that were embedded */
    char *held;                     /* a guarded stream's bytes before its first content */
    struct loop_timer token_timer;  /* first content is due */
    bool was_sent;                  /* the last attempt's request went out whole */
    char *tail; /* the terminal event, held until the attempt ends in the same turn */
    size_t tail_len;

    /* account */
    bool is_accounted;
    enum record_status status;
    int64_t cost_nusd, saved_nusd;
    bool is_estimated, is_overrun;
    int http_status;
    struct slice error_text;
    struct slice refused_by; /* name of the limit, RECORD_REFUSED */
    bool is_rate_limited;
};

/* In rq's arena; NULL on no memory. Counted in the configuration version and linked to worker.live.
 */
struct exchange *exchange_new(struct worker *w, struct http_conn *c, struct http_request *rq,
                              const struct api_route *route);
/* The end: everything borrowed is given back. The memory itself goes with the request. */
void exchange_end(struct exchange *x);
/* The same for an exchange whose client left before its call ended: the memory was kept, and goes
 * too. */
void exchange_end_detached(struct exchange *x);

/* Replies with an error in the client's dialect (or its stream event, when streaming) after
 * accounting. */
void exchange_fail(struct exchange *x, const struct fault *f, enum record_status status);
/* The key that the client sent: in a header, or, for Gemini's clients, in the query; ptr NULL:
 * none. Borrowed from the request. */
struct slice exchange_credential(const struct exchange *x);
/* The request in its neutral form, unless that is there already: ask.neutral, or, of texts to be
 * embedded, ask.embedding. */
MUST_USE enum err exchange_decode(struct exchange *x, struct fault *out_fault);
/* Copies a text that must outlive the attempt; "" when the arena is full. */
struct slice exchange_keep(struct exchange *x, struct slice s);

#endif
