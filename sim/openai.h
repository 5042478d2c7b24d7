/* sim/openai.h -- OpenAI's smaller endpoints: embeddings, moderations, models, health. */
#ifndef SIM_OPENAI_H
#define SIM_OPENAI_H

#include "ask.h"

/* A vector of length one, made from the input's bytes, as numbers or as base64 of floats. */
void put_vector(struct buf *out, struct str input, size_t n, bool base64);

void input_read(struct prompt *p, const struct ask *a); /* of embeddings, moderations, speech */
void embeddings_answer(struct content *c, const struct ask *a);
void moderations_answer(struct content *c, const struct ask *a);
void models_answer(struct content *c, const struct ask *a);
void model_answer(struct content *c, const struct ask *a);
void health_answer(struct content *c, const struct ask *a);

#endif
