/* core/base64.h -- base64 and base64url (RFC 4648 sections 4 and 5). */
#ifndef CORE_BASE64_H
#define CORE_BASE64_H

#include "core/arena.h"
#include "core/err.h"
#include "core/text.h"

/* With padding. */
void base64_add(struct text *t, struct slice bytes) NONNULL;
/* Without padding, as JWTs have it (RFC 7515 section 2). */
void base64url_add(struct text *t, struct slice bytes) NONNULL;
/* The six bits of a character of either alphabet; -1: it is of none. */
int base64_digit(char c);
/* Either alphabet, with or without padding; out is in the arena. E_SYNTAX: it is neither. */
MUST_USE enum err base64_read(struct arena *a, struct slice text, struct slice *out) NONNULL;

#endif
