/* chat/count_inside.h -- between count.c and count_image.c. */
#ifndef CHAT_COUNT_INSIDE_H
#define CHAT_COUNT_INSIDE_H

#include "chat/count.h"

/* How OpenAI counts a model's images; static. */
const struct chat_image_rule *count_image_rule(struct slice model);
void count_sound(const struct chat_counter *c, const struct chat_part *sound,
                 struct chat_count *out) NONNULL;
void count_document(const struct chat_counter *c, const struct chat_part *file,
                    struct chat_count *out) NONNULL;

#endif
