/* sim/digest.h -- SHA-256 and its HMAC, from OpenSSL. */
#ifndef SIM_DIGEST_H
#define SIM_DIGEST_H

#include "buf.h"

enum { DIGEST_BYTES = 32 };

void digest_hex(struct buf *out, struct str data); /* 64 hexadecimal digits of SHA-256 */
void digest_hmac(unsigned char out[DIGEST_BYTES], struct str key, struct str data);
void digest_put_hex(struct buf *out, const unsigned char *bytes, size_t n);

#endif
