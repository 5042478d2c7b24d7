/* core/id.h -- 128-bit identifiers: tenants, keys, requests. In memory 16 bytes, outside the
 * 36-character text form of RFC 9562. Request ids are UUIDv7, so they sort by time. */
#ifndef CORE_ID_H
#define CORE_ID_H

#include "core/slice.h"

enum { ID_BYTES = 16, ID_TEXT_BYTES = 36 };

struct id {
    uint8_t bytes[ID_BYTES];
};

/* The per-worker source of UUIDv7 ids: monotonic within a source, random beyond. Not thread-safe.
 */
struct id_source {
    uint64_t state[2]; /* xoroshiro128+, seeded from the system */
    int64_t last_ms;
    uint16_t sequence; /* 12 bits, goes on within a millisecond */
};

void id_source_init(struct id_source *source);
struct id id_next(struct id_source *source, int64_t unix_ns);
/* UUIDv4 from the system's random source; for tenants and keys. */
struct id id_random(void);

/* out holds ID_TEXT_BYTES; no NUL is written. */
void id_format(struct id id, char *out);
MUST_USE bool id_parse(struct slice text, struct id *out_id);

static inline bool id_eq(struct id a, struct id b)
{
    return memcmp(a.bytes, b.bytes, ID_BYTES) == 0;
}

static inline bool id_is_zero(struct id a)
{
    static const struct id zero;
    return id_eq(a, zero);
}

/* Well mixed for UUIDv4 and v7 alike: their last eight bytes are random. */
static inline uint64_t id_hash(struct id a)
{
    uint64_t h;
    memcpy(&h, a.bytes + 8, sizeof(h));
    return h * UINT64_C(0x9E3779B97F4A7C15);
}

#endif
