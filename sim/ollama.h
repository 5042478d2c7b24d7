/* sim/ollama.h -- Ollama's native API: lines of JSON, and a stream unless it was refused. */
#ifndef SIM_OLLAMA_H
#define SIM_OLLAMA_H

#include "ask.h"

void ollama_read(struct prompt *p, const struct ask *a);
void ollama_embed(struct content *c, const struct ask *a);
void ollama_answer(struct content *c, const struct ask *a);
void ollama_tags(struct content *c, const struct ask *a);
void ollama_show(struct content *c, const struct ask *a);
void ollama_version(struct content *c, const struct ask *a);
void ollama_root(struct content *c, const struct ask *a); /* GET / and HEAD / */

#endif
