/* sim/chat.h -- OpenAI's chat and text completions; Azure's differ in what its filter adds. */
#ifndef SIM_CHAT_H
#define SIM_CHAT_H

#include "ask.h"

void chat_read(struct prompt *p, const struct ask *a);
void chat_answer(struct content *c, const struct ask *a);
void text_read(struct prompt *p, const struct ask *a);
void text_answer(struct content *c, const struct ask *a);

#endif
