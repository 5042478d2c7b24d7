/* core/secret.h -- bytes that must not be seen: provider keys, the admin key.
 *
 * They live in pages of their own that are locked, left out of core dumps and wiped on free. There
 * is no formatter. One secret is at most SECRET_MAX_BYTES.
 */
#ifndef CORE_SECRET_H
#define CORE_SECRET_H

#include "core/err.h"
#include "core/slice.h"

enum { SECRET_MAX_BYTES = 16384 };

struct secret {
    char *ptr; /* owned; NULL when empty; a NUL stands after len */
    size_t len;
};

/* E_LIMIT or E_NOMEM. The caller wipes its own copy (secret_wipe). */
MUST_USE enum err secret_set(struct secret *s, struct slice bytes) NONNULL;
void secret_deinit(struct secret *s);
void secret_wipe(void *p, size_t len);

/* Borrowed: valid until secret_set or secret_deinit. */
static inline struct slice secret_slice(const struct secret *s)
{
    return slice_of(s->ptr, s->len);
}

/* Marks memory that may hold prompts or keys (buffers, arenas) as not to be dumped; best effort. */
void secret_no_dump(void *page_aligned, size_t len);

#endif
