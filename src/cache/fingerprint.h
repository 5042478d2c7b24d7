/* cache/fingerprint.h -- the cache key of a request: canonical JSON of everything that can change
 * the answer.
 *
 * Members are ordered by name, numbers in one form (1.0 = 1 = 1e0, of any size exactly), strings
 * unescaped; top-level members that cannot change the answer are left out: stream, stream_options,
 * user, safety_identifier, metadata, prompt_cache_*, store, service_tier; and model, for which the
 * argument stands. Of Anthropic's `system` the attribution line that Claude Code puts before it is
 * left out (dialect/conversation.h). null is not the same as absent. A name given twice in any
 * object is E_SYNTAX: providers differ in which one they read.
 *
 * Hashed are: scope, operation, model, value. Every text and every count stands behind its kind and
 * before its bytes, so no two requests run together:
 *   s <length> bytes | # <length> digits e exponent | [ <count> values | { <count> (s value)... | t
 * f n | a (s: what stands behind an attribution)
 */
#ifndef CACHE_FINGERPRINT_H
#define CACHE_FINGERPRINT_H

#include "core/arena.h"
#include "core/err.h"
#include "core/hash.h"
#include "core/id.h"

/* scope: the tenant. operation: "chat", "embeddings" ... dialect_family: texts of different
 * dialects that mean the same are given in the same dialect by the caller. model: as resolved, so
 * that an alias and its target share. E_SYNTAX, E_NOMEM, E_LIMIT (depth, size). scratch is used and
 * may be reset afterwards. */
MUST_USE enum err fingerprint_request(struct arena *scratch, struct id scope,
                                      struct slice operation, struct slice model, struct slice body,
                                      struct sha256 *out_key);

#endif
