/* route/profile.h -- what a model family takes and refuses, as a table in profile.c.
 *
 * Providers that serve OpenAI's dialect differ in the members they accept. Rows are asked in
 * order; the first that fits decides. What no row names is an ordinary compatible server: it knows
 * max_tokens, takes sampling and stop, and reports usage on streams when asked.
 */
#ifndef ROUTE_PROFILE_H
#define ROUTE_PROFILE_H

#include "dialect/dialect.h"

/* provider: the catalogue's name of it ("openai", "azure"); empty for one it does not know. */
struct dialect_profile profile_find(struct slice provider, struct slice model);

#endif
