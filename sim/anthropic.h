/* sim/anthropic.h -- Anthropic's Messages API, strict about what the real one refuses. */
#ifndef SIM_ANTHROPIC_H
#define SIM_ANTHROPIC_H

#include "ask.h"

void anthropic_read(struct prompt *p, const struct ask *a);
void anthropic_answer(struct content *c, const struct ask *a);
void anthropic_count(struct content *c, const struct ask *a);
void anthropic_models(struct content *c, const struct ask *a);
void anthropic_model(struct content *c, const struct ask *a);

#endif
