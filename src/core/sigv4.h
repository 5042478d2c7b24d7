/* core/sigv4.h -- AWS Signature Version 4 of one request, over method, path, query, headers and the
 * body's hash. Pure: the caller says what time it is.
 *
 * The rules are those of every service but S3: the path is encoded once more than it is sent (a
 * model's %3A is signed as %253A) and its dots are not resolved, which a path that we make has
 * none of. The derived keys are wiped before the call returns; only the signature leaves.
 */
#ifndef CORE_SIGV4_H
#define CORE_SIGV4_H

#include "core/err.h"
#include "core/text.h"

enum { SIGV4_DATE_BYTES = 16, SIGV4_PARAMETERS_MAX = 32 };

struct sigv4_header {
    struct slice name; /* lower case */
    struct slice value;
};

struct sigv4_request {
    struct slice method;
    struct slice path;                  /* as sent, without the query */
    struct slice query;                 /* as sent, without '?' */
    const struct sigv4_header *headers; /* all that are signed, host and x-amz-date among them,
                                           sorted by name */
    size_t header_count;
    const struct slice *body; /* in parts */
    size_t body_count;
};

struct sigv4_key {
    struct slice id, secret; /* borrowed; the secret is at most SIGV4_SECRET_MAX_BYTES long */
    struct slice region, service;
};
enum { SIGV4_SECRET_MAX_BYTES = 252 };

/* "20150830T123600Z", what x-amz-date says. out holds SIGV4_DATE_BYTES. */
struct slice sigv4_date(int64_t now_unix_ns, char *out);

/* The value of the authorization header. date: of sigv4_date(), the same that is signed. scratch is
 * used and not reset. E_NOMEM; E_LIMIT: a longer secret, or more parameters than
 * SIGV4_PARAMETERS_MAX. */
MUST_USE enum err sigv4_sign(const struct sigv4_request *r, const struct sigv4_key *key,
                             struct slice date, struct arena *scratch, struct text *out);

#endif
