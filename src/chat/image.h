/* chat/image.h -- the size of an image from its first bytes: PNG, JPEG, GIF, WebP. Sans-I/O, no
 * memory.
 */
#ifndef CHAT_IMAGE_H
#define CHAT_IMAGE_H

#include "core/slice.h"

enum {
    IMAGE_SIDE_MAX = 1 << 24,  /* larger sides are read as this, so that products fit */
    IMAGE_SEGMENTS_MAX = 65536 /* JPEG segments looked through before its size */
};

struct image_size {
    int64_t width, height; /* pixels, at least 1 */
};

/* data is the file in base64, standard or URL alphabet. false when it is of no known kind or cut
 * short before its size. */
MUST_USE bool image_size_find(struct slice base64, struct image_size *out) NONNULL;

#endif
