/* gateway/gateway.h -- the process: what its workers share, and what each worker owns.
 *
 * Built by app/wiring.c in rank order, torn down in reverse. A worker is one thread with its own
 * loop, listeners, upstream pools, arena stock, metrics shard and journal; it touches another
 * worker's things never. Shared objects are either immutable (configuration versions, directory),
 * or guarded inside their own folder (limits, cache, breakers).
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "auth/auth.h"
#include "cache/cache.h"
#include "core/epoch.h"
#include "core/metric.h"
#include "gateway/conf.h"
#include "gateway/version.h"
#include "limit/limit.h"
#include "store/pins.h"

enum { WORKER_GATHER_MAX = 64, WORKER_COPY_BYTES = 65536, WORKER_PORTS_MAX = 3 };

struct gateway;
struct flight;
struct door_table;

/* What a listening port serves: bits. */
enum port_role { PORT_TENANT = 1, PORT_ADMIN = 2, PORT_METRICS = 4 };

struct worker_port {
    struct worker *worker;
    unsigned roles; /* enum port_role */
    struct listener *listener;
};

struct worker {
    struct gateway *gateway; /* borrowed */
    size_t index;
    struct loop *loop;
    struct arena_pool blocks;
    struct worker_port ports[WORKER_PORTS_MAX];
    size_t port_count;
    struct dns *dns;
    struct upstream *upstream;
    struct credential_fetcher fetcher; /* of access tokens; the first worker's alone is used */
    struct ledger_worker *ledger;      /* borrowed */
    struct metric_shard *metrics;      /* borrowed */
    struct log_ring *log;              /* borrowed */
    struct worker_versions versions;
    struct id_source ids;
    uint64_t random_state;
    size_t epoch_reader;

    struct list live; /* exchanges in progress, by exchange.link */
    size_t live_count;
    struct key_memo *key_memo; /* gateway/cache_key.c; NULL until needed */
    struct flight *flights;    /* coalesced calls in flight (gateway/flight.h) */

    /* Gathered bytes of one feed, sent in one write; slices point into the read buffer or into
     * copy. */
    struct slice gather[WORKER_GATHER_MAX];
    size_t gather_count;
    char *copy; /* WORKER_COPY_BYTES */
    size_t copy_len;
    struct slice feeding; /* the bytes being decoded now: what lies inside is sent in place */

    struct loop_timer tick;
    struct loop_timer drain_timer;
    struct loop_task drain_task;
    int64_t drain_deadline_ns;
    int64_t directory_due_ns, trim_due_ns, retain_due_ns; /* of the tick */
    bool is_cut;                                          /* the drain's deadline has passed */
};

struct gateway {
    struct conf_publisher conf; /* the current configuration version */
    struct log *log;
    struct epoch *epoch;
    struct store *store;
    struct ledger *ledger;
    struct pins *pins; /* which provider keeps an answer */
    struct limit *limit;
    struct directory *directory;
    struct cache *cache;
    struct health *health;
    struct credentials *credentials;
    struct offload *offload;
    struct tls_clients *tls; /* one set of SSL_CTX for all workers */
    struct metric_registry *metrics;
    struct retry_budget retries;
    struct sha256 admin_key_hash; /* of the effective admin key */
    struct id instance;
    char via[32]; /* "llm-gateway-1a2b3c4d": our hop marker */
    int64_t started_unix_ns;
    const struct door_table *doors; /* admin/ and the open endpoints; set by wiring */
    void *admin;                    /* of the doors */

    _Atomic bool is_unready; /* SIGTERM came: /health/ready answers 503 */
    _Atomic int64_t directory_seq;
    _Atomic bool is_directory_refreshing; /* refresh_job is with the store */
    struct store_job refresh_job;
    _Atomic bool is_retaining; /* retain_job, a step of retention, is with the store */
    struct store_job retain_job;
    int64_t retain_before_unix_ns;
    _Atomic bool is_retain_short; /* the last step left something to delete */

    size_t worker_count;
    struct worker *workers;
};

/* 64 random bits from the worker's own generator; not for secrets. */
static inline uint64_t worker_random(struct worker *w)
{
    uint64_t x = w->random_state += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

/* A worker's loop, listeners and pools; conf is the first version. errors are logged with their
 * reason. */
MUST_USE enum err worker_init(struct worker *w, struct gateway *g, size_t index);
/* Opens the ports; E_IO with errno kept when an address is taken. */
MUST_USE enum err worker_listen(struct worker *w);
/* The thread's main function: runs until drained. */
void *worker_run(void *worker);
/* Any thread: stop accepting; running requests finish until deadline_ns (monotonic), then are cut;
 * the loop ends. */
void worker_drain(struct worker *w);
/* After its thread has ended: connections and look-ups go; jobs that are out may still come back to
 * the loop. */
void worker_close(struct worker *w);
/* After the store and the offload threads have ended: the loop and its memory. */
void worker_deinit(struct worker *w);

/* Reads changed keys and tenants from the store into the directory; on the store's writer thread.
 */
void gateway_refresh_directory(struct gateway *g, struct store_db *db);
/* Hooks of the directory: they give tenants and keys their quota nodes. */
struct directory_hooks gateway_directory_hooks(struct gateway *g);
/* Spent totals and the last minute's admissions, from the store into the quota nodes; before the
 * first accept. */
MUST_USE enum err gateway_restore_limits(struct gateway *g, struct store_db *db);

#endif
