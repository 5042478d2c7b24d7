/* chat/record.h -- the usage record: what one request of a known key used, cost and met. Immutable
 * once closed.
 *
 * Written to the journal (ledger/journal.h), read back, batched into the store. Texts are borrowed
 * from whoever built the record and cut to RECORD_TEXT_MAX_BYTES by the journal.
 */
#ifndef CHAT_RECORD_H
#define CHAT_RECORD_H

#include "chat/usage.h"
#include "core/id.h"

enum { RECORD_TEXT_MAX_BYTES = 128, RECORD_ERROR_MAX_BYTES = 512, RECORD_DETAIL_MAX_BYTES = 2048 };

/* Terminal states; docs/terminal-states.md says what each bills. Values are stored: append only. */
enum record_status {
    RECORD_OPEN = 0, /* reserved, not ended: only in open records and table requests_open */
    RECORD_SUCCESS = 1,
    RECORD_CACHED = 2,
    RECORD_ERROR = 3,
    RECORD_REFUSED =
        4, /* by a limit, a budget or a policy; one row per key, reason and minute, with a count */
    RECORD_CLIENT_GONE = 5,
    RECORD_UPSTREAM_CUT = 6,
    RECORD_CRASHED = 7,
    RECORD_STATUS_COUNT
};

enum record_dialect {
    RECORD_DIALECT_OWN = 0,
    RECORD_DIALECT_OPENAI,
    RECORD_DIALECT_ANTHROPIC,
    RECORD_DIALECT_GEMINI,
    RECORD_DIALECT_RESPONSES,
    RECORD_DIALECT_BEDROCK, /* of providers and stored answers only */
    RECORD_DIALECT_OLLAMA,  /* the same */
    RECORD_DIALECT_COUNT
};

struct usage_record {
    struct id id; /* UUIDv7; the x-request-id of the answer */
    struct id tenant;
    struct id key;
    int64_t admitted_unix_ns; /* decides period and day */
    int64_t reserved_nusd;
    int64_t cost_nusd;
    int64_t saved_nusd; /* by a hit of our cache: what it would have cost; else by the provider's
                           prompt cache (price_prompt_cache_saved) */
    int64_t latency_ns; /* head complete to last byte handed over */
    int64_t first_token_ns; /* -1: none */
    struct usage usage;
    int32_t http_status;
    int32_t attempts;
    int64_t count; /* requests this row stands for: 1, or more for RECORD_REFUSED */
    enum record_status status;
    enum record_dialect dialect; /* the client's */
    bool is_stream;
    bool is_estimated;     /* tokens or cost are our count, not the provider's */
    bool is_overrun;       /* actual cost above reserved */
    struct slice provider; /* "cached" for a hit, "" when none was tried */
    struct slice model;    /* the provider's name for it */
    struct slice asked_model;
    struct slice reason;            /* RECORD_REFUSED: the limit that refused */
    struct slice client_request_id; /* inbound x-request-id */
    struct slice error;
    struct slice detail; /* JSON: attempts, price used, cache decision */
};

const char *record_status_name(enum record_status status); /* "success" ... */
const char *record_dialect_name(enum record_dialect dialect);

#endif
