/* core/jwt.h -- JSON Web Tokens signed with RS256 (RFC 7515, RFC 7518 section 3.3), which OAuth
 * token endpoints take as the proof of a service account (RFC 7523). Pure: the caller says the
 * claims, the time among them.
 */
#ifndef CORE_JWT_H
#define CORE_JWT_H

#include "core/err.h"
#include "core/text.h"

/* Whether pem holds an RSA private key of 2048 bits or more, without a passphrase. */
bool jwt_is_key(struct slice pem);
/* Appends "header.claims.signature". claims: a JSON object; key_id may be empty. E_SYNTAX: pem is
 * no such key; E_NOMEM: out is full, or OpenSSL has no memory. */
MUST_USE enum err jwt_sign(struct slice pem, struct slice key_id, struct slice claims,
                           struct text *out);

#endif
