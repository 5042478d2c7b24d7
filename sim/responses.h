/* sim/responses.h -- OpenAI's Responses API. Stored responses are known to later requests. */
#ifndef SIM_RESPONSES_H
#define SIM_RESPONSES_H

#include "ask.h"

void responses_read(struct prompt *p, const struct ask *a);
void responses_answer(struct content *c, const struct ask *a);
void responses_count(struct content *c, const struct ask *a);
void responses_get(struct content *c, const struct ask *a);
void responses_items(struct content *c, const struct ask *a);
void responses_delete(struct content *c, const struct ask *a);

/* Neither leaves anything behind nor builds on what another left. */
bool responses_is_pure(const struct ask *a);

#endif
