/* gateway/conf.h -- one immutable configuration version, as the request path reads it.
 *
 * Built by app/config.c, published by gateway/version.c; an exchange keeps the version it began
 * with to its last stage.
 */
#ifndef GATEWAY_CONF_H
#define GATEWAY_CONF_H

#include "core/arena.h"
#include "core/log.h"
#include "core/secret.h"
#include "ledger/ledger.h"
#include "listen/listen.h"
#include "route/route.h"
#include "store/pins.h"

struct config_setting; /* app/config.h */

struct gateway_conf {
    struct arena arena; /* owns every text below */

    /* server */
    struct listen_conf listen;
    struct slice metrics_host,
        admin_host; /* METRICS_LISTEN, ADMIN_LISTEN; empty: on the main port */
    uint16_t metrics_port, admin_port;
    size_t body_max_bytes, upload_max_bytes; /* MAX_BODY; UPLOAD_MAX, not less */
    size_t workers;
    int64_t drain_ns, drain_delay_ns;
    struct slice api_prefix;   /* API_V1_STR */
    struct slice project_name; /* PROJECT_NAME */
    struct slice api_key_header;
    struct slice *cors_origins; /* CORS_ALLOW_ORIGINS; "*" allowed */
    size_t cors_origin_count;
    bool has_metrics; /* ENABLE_METRICS */
    size_t metrics_tenants_max;

    /* secrets */
    struct secret admin_key; /* ADMIN_API_KEY; empty: made at first start by wiring */
    struct secret secret_key;

    /* data */
    struct slice data_dir;
    struct ledger_conf ledger;
    struct store_conf store;
    struct pins_conf pins;
    int64_t retention_ns; /* RETENTION; 0: requests are kept for ever */

    /* limits and cache */
    int64_t default_rate_limit;
    bool is_cache_on; /* ENABLE_PROMPT_CACHE */
    int64_t cache_ttl_ns;
    size_t cache_max_bytes, cache_entry_max_bytes;
    int64_t reserve_wait_ns;

    /* routing */
    struct route_provider *providers;
    size_t provider_count;
    struct route_table *routes;
    int attempts_max;          /* per request, retries included */
    size_t response_max_bytes; /* buffered answers: 64 MiB */
    size_t event_max_bytes;    /* 4 MiB */
    bool guards_streams;       /* nothing goes out before the first content */
    int64_t keepalive_ns;      /* SSE comments on idle streams; 0: off */
    int64_t dns_ttl_ns;
    struct upstream_conf upstream;

    const struct price_override *prices; /* configured ones, for the command line and explain */
    size_t price_count;

    enum log_level log_level;
    bool has_request_log; /* one line a request */

    const struct config_setting *settings; /* app/config.h: every setting and where it came from */

    /* versions (gateway/version.c) */
    uint64_t version;
    _Atomic int32_t worker_refs; /* workers that have not left it */
    _Atomic int32_t worker_seen; /* workers that took it up */
};

void gateway_conf_free(struct gateway_conf *conf);

#endif
