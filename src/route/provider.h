/* route/provider.h -- a provider as the configuration describes it: where it is, what it speaks,
 * its keys, its policy.
 *
 * Made by app/config_providers.c in the arena of a configuration version, immutable from then on;
 * keys lie in secret memory that the version owns, sources of access tokens are counted by it.
 */
#ifndef ROUTE_PROVIDER_H
#define ROUTE_PROVIDER_H

#include "core/secret.h"
#include "dialect/dialect.h"
#include "upstream/attempt.h"
#include "upstream/credential.h"
#include "upstream/health.h"

enum { ROUTE_KEYS_MAX = 16, ROUTE_DIALECTS_MAX = 4 };

struct route_key {
    struct secret secret;
    struct slice auth_headers;            /* rendered once: render_auth(); in secret memory */
    struct secret auth_secret;            /* owns auth_headers */
    struct credential_source *credential; /* a reference: access tokens are sent instead of the
                                             secret, which is empty; NULL: the secret is */
    struct health_node *health;
};

/* What of a request's head follows from dialect and operation: "POST /v1/chat/completions
 * HTTP/1.1\r\nhost: ...\r\n..." without credential and length; empty: the dialect does not have the
 * operation. A query goes behind line_bytes of it. Where path_has_model, the request line's
 * beginning is made for each request (call.c) and line_bytes is 0: the prefix begins with
 * " HTTP/1.1". */
struct route_heads {
    struct slice prefix[CHAT_OPERATIONS];
    size_t line_bytes[CHAT_OPERATIONS];
};

struct route_provider {
    struct slice name;
    /* What it speaks, in the order of the configuration; at least one. All have the same form of
     * base URL and of credential. heads are of the dialect at the same index. */
    const struct dialect *dialects[ROUTE_DIALECTS_MAX];
    struct route_heads heads[ROUTE_DIALECTS_MAX];
    size_t dialect_count;
    struct upstream_dest dest;
    struct slice base_path; /* "/v1" */
    struct slice region;    /* of a dialect that signs; empty otherwise */
    struct route_key keys[ROUTE_KEYS_MAX];
    size_t key_count;           /* 0: no credential is sent */
    struct slice extra_headers; /* configured lines, each with CRLF */
    struct slice
        common_lines;        /* of every head: host, user-agent, accept-encoding, the extra ones */
    bool has_api_key_header; /* credentials go out as "api-key" (Azure) */
    bool path_has_model;     /* the dialects' paths do, or: */
    bool model_begins_path; /* "/{model}" stands between base_path and the dialect's path (Azure) */
    bool is_vertex;         /* the path by dialect->vertex; base_path ends in the publisher */
    struct slice fixed_query; /* "?api-version=..." of every request; path_has_model only */
    struct attempt_timeouts timeouts;
    struct slice fallback_model; /* *_FALLBACK_MODEL; empty: none */
    struct slice *models;        /* listed names; may be empty */
    size_t model_count;
    int64_t flat_nusd_per_1k_tokens; /* -1: none (OPENAI_COST_PER_1K_TOKENS) */
    bool is_free;                    /* local: unknown models cost 0 */
    bool passes_unknown;             /* serves any name (local servers) */
    bool refuses_stream_options;
    int64_t context_tokens; /* Ollama: asked for with every chat; 0: the server's own */
    size_t index;
};

/* Where d stands among what the provider speaks; dialect_count: nowhere. */
static inline size_t route_dialect_index(const struct route_provider *p, const struct dialect *d)
{
    size_t i = 0;
    while (i < p->dialect_count && p->dialects[i] != d) {
        i++;
    }
    return i;
}

#endif
