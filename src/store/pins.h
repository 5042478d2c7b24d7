/* store/pins.h -- which provider keeps an answer that a later request may name (Responses'
 * previous_response_id): a fixed table in a mapped file. docs/decisions/007.
 *
 * An entry is 32 bytes: a digest of tenant and answer's id, one of the provider's name, the second
 * it was made, a checksum. Its place is one of eight; the oldest of them gives way, so the file
 * never grows. Written before the client has the answer's last byte: what it can name is known,
 * also after a kill. Any thread may put and find at any time; nobody waits.
 *
 * Torn and foreign bytes fail the checksum and count as absent. Pages of the file come into being
 * when they are first written; where the disk has no room for one, or loses one, memory takes its
 * place (pins_on_sigbus) and its entries end with the process.
 */
#ifndef STORE_PINS_H
#define STORE_PINS_H

#include "core/err.h"
#include "core/id.h"

enum { PINS_ENTRIES_MIN = 1024, PINS_ENTRIES_MAX = 1 << 24 };

struct pins_conf {
    struct slice path;
    size_t entries; /* PINS_ENTRIES_MIN..PINS_ENTRIES_MAX; another number than the file's empties it
                     */
    bool is_mmap;   /* false: mapping is unsafe there; each entry is written by a call */
};

struct pins;

/* The caller holds the data directory's lock. E_IO: why says what could not be done; E_NOMEM. */
MUST_USE enum err pins_open(const struct pins_conf *conf, struct pins **out, char *why,
                            size_t why_cap);
void pins_close(struct pins *p);

/* What stands for a provider's name in the table. */
uint64_t pins_provider(struct slice name);
void pins_put(struct pins *p, struct id tenant, struct slice answer, struct slice provider,
              int64_t now_unix_ns);
/* False: this tenant was given no such answer, or it has given way. */
MUST_USE bool pins_find(const struct pins *p, struct id tenant, struct slice answer,
                        uint64_t *out_provider);

/* Puts memory under the faulting address when it lies in the table; false: not ours.
 * Async-signal-safe. */
bool pins_on_sigbus(struct pins *p, void *address);

#endif
