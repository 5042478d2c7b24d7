/* dialect/own.h -- private to src/dialect: requests of the gateway's own dialect. */
#ifndef DIALECT_OWN_H
#define DIALECT_OWN_H

#include "dialect/dialect.h"

enum { OWN_DEFAULT_MAX_TOKENS = 1000, OWN_DETAILS_MAX = 16 };

/* Members are taken as leniently as the origin's framework takes them ("100" is an integer, "yes" a
 * boolean), and what is wrong with them is listed in its words, all of it at once. */
enum err own_scan(struct arena *a, enum chat_operation op, struct slice body, struct chat_ask *out,
                  struct fault *out_fault);
enum err own_decode_request(struct arena *a, struct chat_ask *ask, struct fault *out_fault);

#endif
