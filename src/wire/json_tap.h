/* wire/json_tap.h -- catches one top-level object of a JSON answer while it passes; sans-I/O, any
 * cut of the input, memory bounded whatever the answer's size.
 *
 * An observer, not a validator: of text that is no JSON object it catches nothing or nonsense,
 * which whoever reads the caught bytes checks. The last member of that name counts, if it is an
 * object.
 */
#ifndef WIRE_JSON_TAP_H
#define WIRE_JSON_TAP_H

#include "core/attr.h"
#include "core/slice.h"

enum { JSON_TAP_MAX_BYTES = 4096, JSON_TAP_NAME_MAX_BYTES = 32 };

struct json_tap {
    struct slice name; /* borrowed: of the member that is wanted */
    /* private */
    uint32_t depth;
    bool in_string, is_escaped;
    bool is_key;   /* the string is, or the next one will be, a key of the top level */
    bool is_named; /* the key just read is the wanted one */
    bool is_catching, is_lost;
    size_t key_len;
    size_t len;
    bool is_whole; /* 0..len of bytes is the member's value */
    char key[JSON_TAP_NAME_MAX_BYTES];
    char bytes[JSON_TAP_MAX_BYTES];
};

void json_tap_init(struct json_tap *t, struct slice name) NONNULL;
void json_tap_feed(struct json_tap *t, struct slice in) NONNULL;
/* The object, borrowed; empty when none was there, or it was too long. */
struct slice json_tap_value(const struct json_tap *t) NONNULL;

#endif
