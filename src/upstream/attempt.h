/* upstream/attempt.h -- one exchange with one provider over a pooled HTTP/1.1 connection.
 *
 * One struct upstream a worker: keep-alive pool per destination, DNS, TLS, proxies. An attempt
 * leases or opens a connection, sends the request parts in one write, parses the answer and reports
 * it by callbacks. A connection goes back to the pool only after a complete, well-framed answer
 * with keep-alive and no byte left over; anything else closes it. A reused connection that dies
 * before the first answer byte is retried once on a fresh one, unseen by the caller.
 *
 *   state     event                     -> state    effect
 *   RESOLVE   addresses                 -> CONNECT  happy eyeballs: next address every 250 ms
 *   CONNECT   connected (TLS, CONNECT)  -> SEND
 *   SEND      all written               -> HEAD     first-byte timer
 *   HEAD      head complete             -> BODY     on_head; between-chunks timer
 *   BODY      message complete          -> DONE     connection to the pool; on_end(OK)
 *   (any)     failure, time-out         -> DONE     connection closed; on_end(error)
 */
#ifndef UPSTREAM_ATTEMPT_H
#define UPSTREAM_ATTEMPT_H

#include "core/arena.h"
#include "io/dns.h"
#include "io/loop.h"
#include "io/tls.h"
#include "wire/http1.h"

enum { ATTEMPT_PARTS_MAX = 16, ATTEMPT_WARM_BYTES = 512 };

/* Where a provider lives. Immutable; belongs to a configuration version, which attempts keep alive.
 */
struct upstream_dest {
    bool is_tls;
    struct slice host; /* without brackets */
    uint16_t port;
    struct slice authority; /* for Host */
    struct slice
        pool_key; /* scheme, host, port, proxy, ca: equal keys share connections across reloads */
    struct slice
        proxy_host; /* empty: direct. HTTPS_PROXY: CONNECT for TLS, absolute-form for plain */
    uint16_t proxy_port;
    struct slice proxy_authorization; /* complete header value or empty */
    struct slice ca_file;             /* empty: the system's */
};

struct attempt_timeouts {
    int64_t connect_ns, first_byte_ns, between_chunks_ns, total_ns; /* 0: none */
};

struct upstream; /* one a worker */
struct attempt;  /* alive from attempt_start() until on_end returns or attempt_cancel() */

struct attempt_handler {
    void (*on_head)(void *ctx, const struct http_head *head); /* borrowed until on_end */
    void (*on_body)(void *ctx, struct slice data);            /* borrowed until on_input_end */
    /* All that one read brought was handed on; not after on_end. */
    void (*on_input_end)(void *ctx);
    /* Always last, once. action: what was being done ("connecting", "reading head", ...), static
     * text. */
    void (*on_end)(void *ctx, enum err e, const char *action);
};

struct attempt_request {
    const struct upstream_dest *dest;
    struct slice parts[ATTEMPT_PARTS_MAX]; /* head and body bytes in order; borrowed until on_end */
    size_t part_count;
    bool is_head_method;
    bool is_once; /* must not be sent twice: a fresh connection, which is not closing already */
    struct attempt_timeouts timeouts;
    struct http1_limits limits; /* of the answer; body_max_bytes 0 while streaming */
    struct arena *arena;        /* borrowed: the answer's head and the attempt live here */
};

struct upstream_conf {
    size_t keep_per_dest;   /* idle connections kept a destination */
    int64_t keep_ns;        /* idle time before close */
    size_t connections_max; /* per worker: E_BUSY beyond */
};

MUST_USE enum err upstream_new(struct loop *loop, struct dns *dns, const struct upstream_conf *conf,
                               struct upstream **out);
/* Cancels everything. */
void upstream_free(struct upstream *u);
/* TLS contexts shared by the workers, one for each ca_file (io/tls.h). Before the first attempt;
 * borrowed. Without it the worker makes its own. */
void upstream_share_tls(struct upstream *u, struct tls_clients *tls);
/* After a reload. */
void upstream_set_conf(struct upstream *u, const struct upstream_conf *conf);
size_t upstream_idle_count(const struct upstream *u);

/* On error no callback is made. Callbacks never run inside attempt_start(). */
MUST_USE enum err attempt_start(struct upstream *u, const struct attempt_request *request,
                                const struct attempt_handler *handler, void *ctx,
                                struct attempt **out);
/* What on_body wants first besides the start of ctx: so many bytes from there are fetched into the
 * CPU's caches before each read. */
void attempt_warm(struct attempt *a, const void *area);
/* Stops reading / goes on; the between-chunks timer rests meanwhile. What was read before the pause
 * is still handed on: up to 16 KiB of an unbounded answer, 64 KiB of a bounded one, perhaps on_end.
 */
void attempt_pause(struct attempt *a);
void attempt_resume(struct attempt *a);
/* Closes the connection; no callback afterwards. Allowed inside callbacks except on_end. */
void attempt_cancel(struct attempt *a);
bool attempt_was_sent(const struct attempt *a);   /* the whole request was handed to the kernel */
bool attempt_was_reused(const struct attempt *a); /* on a kept connection */
/* More about a failure, for logs: why the certificate was refused, the system's word, the parser's.
 * Inside on_end only (in the arena); may be empty. */
struct slice attempt_detail(const struct attempt *a);

/* "https://host:port/base" -> dest and base path (without trailing slash), into the arena. proxy:
 * HTTPS_PROXY value or empty, heeded for https URLs only (a plain one is always direct; fill the
 * proxy fields yourself to send absolute-form); no_proxy: comma list. E_SYNTAX names nothing:
 * callers say which setting. E_UNSUPPORTED: a proxy that is itself reached over TLS. */
MUST_USE enum err upstream_dest_parse(struct arena *a, struct slice url, struct slice proxy,
                                      struct slice no_proxy, struct slice ca_file,
                                      struct upstream_dest *out_dest, struct slice *out_base_path);

#endif
