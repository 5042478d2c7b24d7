/* upstream/credential.h -- access tokens that a provider takes instead of a key: read from a file
 * or fetched from an OAuth token endpoint (RFC 6749), kept, and renewed before they expire.
 *
 * A source is one way to one kind of token. Sources live in the process's registry and are found by
 * what they are made of, so that a reload keeps the token; the configuration versions that name one
 * count it. One loop fetches (struct credential_fetcher, the first worker's), every thread takes.
 * Whoever takes a token holds a reference to it, so that a renewal never pulls it away under a
 * request that is being sent.
 *
 *   state    event                 -> state    effect
 *   EMPTY    due                   -> EMPTY    fetch; who asks now waits
 *   EMPTY    fetch failed          -> FAILED   who asks is told so; again in 1 s, doubling, 15 s
 *   FAILED   fetch done            -> READY
 *   EMPTY    fetch done            -> READY    due again before it expires, a file after 1 s
 *   READY    due                   -> READY    fetch; the old token is given out meanwhile
 *   READY    fetch failed          -> READY    the old token still; again as above
 *   READY    expired               -> EMPTY or FAILED
 *   READY    refused by a provider -> EMPTY    due at once; but a token that was fetched because
 *                                              the one before was refused stays for a minute
 */
#ifndef UPSTREAM_CREDENTIAL_H
#define UPSTREAM_CREDENTIAL_H

#include "core/arena.h"
#include "core/secret.h"
#include "io/offload.h"
#include "upstream/attempt.h"

enum {
    CREDENTIAL_MAX_BYTES = 12288, /* of a token: it must fit into a head */
    CREDENTIAL_WHY_BYTES = 160,
    CREDENTIALS_MAX = 512 /* sources alive at once, over all configuration versions */
};

enum credential_grant {
    CREDENTIAL_FILE,   /* the file's content is the token */
    CREDENTIAL_CLIENT, /* grant client_credentials: id and secret (RFC 6749 section 4.4) */
    CREDENTIAL_SERVICE /* a service account's signed assertion (RFC 7523) */
};

/* Borrowed for the call of credential_source_find(). */
struct credential_conf {
    enum credential_grant grant;
    struct slice file;                                  /* FILE */
    struct slice url, proxy, no_proxy, ca_file;         /* the others: the token endpoint */
    struct slice client_id, client_secret, scope;       /* CLIENT; scope also SERVICE */
    struct slice issuer, private_key, key_id, audience; /* SERVICE; private_key: PEM */
};

struct credentials;       /* the registry; one a process */
struct credential_source; /* in it, by reference */

/* One token; immutable. */
struct credential {
    _Atomic int32_t refs;
    struct secret line;  /* "authorization: Bearer ...\r\n" */
    struct slice token;  /* inside line */
    int64_t until_ns;    /* monotonic; not given out afterwards. INT64_MAX: not known */
    bool is_replacement; /* fetched because the one before it was refused */
};

enum credential_state { CREDENTIAL_READY, CREDENTIAL_WAITING, CREDENTIAL_FAILED };

MUST_USE enum err credentials_new(struct credentials **out);
/* Every source must have been given back. */
void credentials_free(struct credentials *c);

/* Finds or makes; a reference that the caller gives back. E_SYNTAX: the url is none; E_LIMIT: a
 * text is too long, or there are too many sources; E_NOMEM. */
MUST_USE enum err credential_source_find(struct credentials *c, const struct credential_conf *conf,
                                         struct credential_source **out);
void credential_source_unref(struct credential_source *s);

/* READY: *out is a reference that the caller gives back. out NULL: only asks. */
enum credential_state credential_take(struct credential_source *s, int64_t now_ns,
                                      struct credential **out);
void credential_unref(struct credential *token);
/* A provider refused the token. True: another one is there or on its way, so it is worth another
 * try; false: the token was a replacement already. */
bool credential_refuse(struct credential_source *s, const struct credential *token, int64_t now_ns);
/* Fetches so far, for the metrics page. */
void credential_counts(const struct credential_source *s, int64_t *out_done, int64_t *out_failed);

/* --- fetching: on one loop --- */

/* One fetch's end, for the log. why holds no secret and is empty when it went well. */
struct credential_report {
    const struct credential_source *source;
    struct slice where; /* the file, or the endpoint's host and port */
    bool is_done;
    bool is_news;     /* the first of its kind: a file is looked at every second */
    int64_t valid_s;  /* 0: not known */
    int64_t again_s;  /* failed: when it is tried again */
    struct slice why; /* borrowed for the call */
};
typedef void (*credential_report_fn)(void *ctx, const struct credential_report *report);

/* Embedded in its owner; zeroed, then credential_fetcher_init(). */
struct credential_fetcher {
    struct loop *loop;         /* borrowed */
    struct upstream *upstream; /* borrowed */
    struct offload *offload;   /* borrowed: reads files and signs */
    credential_report_fn on_report;
    void *ctx;
    struct list running; /* struct credential_fetch */
};
void credential_fetcher_init(struct credential_fetcher *f, struct loop *loop,
                             struct upstream *upstream, struct offload *offload,
                             credential_report_fn on_report, void *ctx);
/* Begins a fetch where one is due and none runs; from the tick. Holds a reference meanwhile. */
void credential_fetch_if_due(struct credential_fetcher *f, struct credential_source *s);
/* Before the upstream goes: running fetches are cancelled; jobs that are out come back to nobody.
 */
void credential_fetcher_close(struct credential_fetcher *f);

#endif
