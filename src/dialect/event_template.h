/* dialect/event_template.h -- private to src/dialect: what an event of a stream has in common with
 * the one before.
 *
 * Nearly all events of a stream say a piece of text and repeat the rest: ids, model, brackets. When
 * an event has been read, the bytes that will come again are kept. The next one that has them, with
 * other bytes in its gaps, tells the same but for its text, and is not read again. What does not
 * fit is read as any event: a template never says that an event is wrong.
 *
 *   data: {"id":"a","choices":[{"delta":{"content":"text"}}],"obfuscation":"xyz"}\n\n
 *   literal ........................................|gap |literal ..........|gap|literal
 *
 * docs/decisions/011.
 */
#ifndef DIALECT_EVENT_TEMPLATE_H
#define DIALECT_EVENT_TEMPLATE_H

#include "dialect/stream.h"

enum { EVENT_TEMPLATE_FIRST_BYTES = 320, EVENT_TEMPLATE_MAX_BYTES = 1024 };

/* Zeroed: fits nothing. Not to be copied. */
struct event_template {
    char *bytes;  /* the literals, one behind the other: in first, or larger ones in the arena */
    uint16_t cap; /* of bytes */
    uint16_t lengths[LOOK_GAPS_MAX + 1]; /* of the literals; one more than there are gaps */
    uint8_t kinds[LOOK_GAPS_MAX];        /* enum look_gap_kind */
    uint8_t gap_count;
    uint8_t hide_literal; /* where the hideable bytes are, if there are any */
    uint16_t hide_at, hide_len;
    uint64_t choices; /* event_look.seen */
    char first[EVENT_TEMPLATE_FIRST_BYTES];
};

/* What an event that fits tells besides. */
struct event_fit {
    size_t len;            /* of the whole event, with its blank line; 0: does not fit */
    int64_t output_bytes;  /* as in event_look */
    struct slice hideable; /* as in event_look, in the input */
};

static inline bool event_template_is_learnt(const struct event_template *t)
{
    return t->lengths[0] != 0;
}

/* Whether an event that fits begins the input, all of it there. */
struct event_fit event_template_fit(const struct event_template *t, struct slice in) NONNULL;
/* Remembers an event that was read, if the next one may be of its kind; else t stays (or fits
 * nothing). raw holds look's slices. The arena is used for large events alone, at most four times
 * the maximum in all.
 */
void event_template_learn(struct event_template *t, struct arena *a, struct slice raw,
                          const struct event_look *look) NONNULL;

#endif
