/* app/admin_key.h -- ADMIN_API_KEY, or a random one kept in a 0600 file of the data directory. */
#ifndef APP_ADMIN_KEY_H
#define APP_ADMIN_KEY_H

#include "gateway/conf.h"

/* The hash of the effective key. *out_is_new: it was made now. why says what failed. */
MUST_USE enum err admin_key_ready(const struct gateway_conf *conf, struct sha256 *out_hash,
                                  bool *out_is_new, char *why, size_t why_cap);
/* Shows a new key once, on a terminal only; otherwise says which file holds it. */
void admin_key_announce(const struct gateway_conf *conf);

#endif
