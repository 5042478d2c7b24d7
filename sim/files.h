/* sim/files.h -- OpenAI's files and batches, in memory. A batch is done at once. */
#ifndef SIM_FILES_H
#define SIM_FILES_H

#include "ask.h"

void file_create(struct content *c, const struct ask *a);
void file_list(struct content *c, const struct ask *a);
void file_get(struct content *c, const struct ask *a);
void file_content(struct content *c, const struct ask *a);
void file_delete(struct content *c, const struct ask *a);
void batch_create(struct content *c, const struct ask *a);
void batch_list(struct content *c, const struct ask *a);
void batch_get(struct content *c, const struct ask *a);

#endif
