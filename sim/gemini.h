/* sim/gemini.h -- Google's Gemini API, strict about names, turns and thought signatures. */
#ifndef SIM_GEMINI_H
#define SIM_GEMINI_H

#include "ask.h"

void gemini_read(struct prompt *p, const struct ask *a);
void gemini_answer(struct content *c, const struct ask *a);
void gemini_count(struct content *c, const struct ask *a);
void gemini_embed_read(struct prompt *p, const struct ask *a);
void gemini_embed(struct content *c, const struct ask *a);
void gemini_embed_batch(struct content *c, const struct ask *a);
void gemini_models(struct content *c, const struct ask *a);
void gemini_model(struct content *c, const struct ask *a);

#endif
