/* upstream/credential_state.h -- the inside of a source, shared by credential.c and
 * credential_fetch.c. */
#ifndef UPSTREAM_CREDENTIAL_STATE_H
#define UPSTREAM_CREDENTIAL_STATE_H

#include "core/hash.h"
#include "core/list.h"
#include "upstream/credential.h"

#include <pthread.h>

struct credential_source {
    struct list link; /* credentials.sources */
    struct credentials *registry;
    struct sha256 name; /* digest of what it is made of */
    size_t refs;        /* under the registry's lock */

    /* Immutable. */
    struct arena arena; /* owns the texts of conf and dest, but for the secrets */
    struct credential_conf conf;
    struct secret client_secret, private_key; /* what conf points to */
    struct upstream_dest dest;
    struct slice path;

    pthread_mutex_t lock; /* guards all below; held for memory work only */
    struct credential *current;
    bool is_refused; /* current was */
    bool is_fetching;
    int failures; /* in a row */
    int64_t due_ns;
    int64_t stays_until_ns; /* a replacement that is refused is not replaced before */

    _Atomic int64_t done_count, failed_count;
};

/* The end of a fetch. token: the secret bytes; life_ns: 0: not known. False: no memory. */
MUST_USE bool credential_source_put(struct credential_source *s, struct slice token,
                                    int64_t life_ns, int64_t now_ns, bool *out_is_news);
/* When it is tried again. */
int64_t credential_source_fail(struct credential_source *s, int64_t now_ns, bool *out_is_news);
/* True: due, and the caller fetches now. */
MUST_USE bool credential_source_begin(struct credential_source *s, int64_t now_ns);
void credential_source_ref(struct credential_source *s);
/* Ends a fetch that has no result. */
void credential_source_abandon(struct credential_source *s);

#endif
