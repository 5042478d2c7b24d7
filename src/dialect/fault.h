/* dialect/fault.h -- what goes wrong, independent of dialect: the gateway's own faults, which each
 * dialect renders in its words, and a provider's error answer, classified.
 */
#ifndef DIALECT_FAULT_H
#define DIALECT_FAULT_H

#include "core/slice.h"

#include <stddef.h>
#include <stdint.h>

/* What an error is, independent of dialect; the renderer chooses type, code and shape. */
enum fault_kind {
    FAULT_NONE = 0,
    FAULT_AUTH_MISSING,     /* 401 */
    FAULT_AUTH_INVALID,     /* 401 */
    FAULT_FORBIDDEN,        /* 403: model not allowed */
    FAULT_BAD_REQUEST,      /* 400 (own dialect: 422 for members) */
    FAULT_NOT_FOUND,        /* 404 route */
    FAULT_MODEL_NOT_FOUND,  /* 404 model_not_found */
    FAULT_METHOD,           /* 405 */
    FAULT_TOO_LARGE,        /* 413 */
    FAULT_MEDIA_TYPE,       /* 415 */
    FAULT_RATE_LIMITED,     /* 429 */
    FAULT_BUDGET,           /* 402 own, 429 insufficient_quota OpenAI */
    FAULT_UPSTREAM,         /* 502: provider refused us or gave nonsense; own dialect: 503 */
    FAULT_UPSTREAM_TIMEOUT, /* 504; own: 503 */
    FAULT_OVERLOADED,       /* 503: we have no room */
    FAULT_LOOP,             /* 508 */
    FAULT_INTERNAL          /* 500 */
};

/* One entry of the own dialect's 422 list; loc and input are JSON text. */
struct fault_detail {
    struct slice type, loc, message, input;
};

struct fault {
    enum fault_kind kind;
    int status;           /* 0: the kind's own */
    struct slice message; /* for the client; arena or static */
    struct slice param;   /* member at fault ("messages[0].role"), empty: none */
    struct slice code;    /* overrides the kind's code; empty: the kind's */
    /* own dialect's 422 list: FastAPI's type and rejected input (JSON), empty otherwise */
    struct slice detail_type, input;
    const struct fault_detail *details; /* several of them; NULL: the one above, if any */
    size_t detail_count;
    int64_t limit_value;     /* FAULT_RATE_LIMITED: requests per minute */
    int64_t retry_after_ns;  /* > 0: the gateway sends Retry-After; renderers need not */
    struct slice limit_name; /* x-llm-gateway-limit, sent by the gateway */
    struct slice request_id; /* for dialects that repeat it in the body; empty: none */
};

/* What is said until another fault is found. */
#define FAULT_NO_MEMORY ((struct fault){.kind = FAULT_OVERLOADED, .message = SLICE("No memory.")})

/* The provider's error answer, classified. */
enum blame {
    BLAME_CLIENT,
    BLAME_US_KEY,
    BLAME_US_QUOTA,
    BLAME_US_DEPLOYMENT,
    BLAME_LIMITED,
    BLAME_PROVIDER
};
enum { FAULT_MESSAGE_MAX_BYTES = 512 };
struct upstream_fault {
    enum blame blame;
    struct slice message; /* arena; shortened to FAULT_MESSAGE_MAX_BYTES */
    struct slice code, type;
    int64_t
        retry_after_ns; /* what the body says to wait (Gemini has no header for it); 0: nothing */
};

#endif
