#include "io/dns.h"

#include "core/check.h"
#include "core/hash.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>

enum { BUCKETS = 64, FAILURE_TTL_S = 1, QUERIES_MAX = 4096 };

/* One getaddrinfo call. Alive until its done ran, even when the dns it began for is gone. */
struct lookup {
    struct offload_job job;
    struct entry *entry; /* borrowed, on the loop only; NULL: nobody waits for the answer */
    enum err result;
    struct dns_answer answer;
    char host[DNS_HOST_MAX_BYTES + 1];
};

/* A host name: answered, being looked up, or both. */
struct entry {
    struct list link; /* in its bucket */
    struct dns *dns;
    struct list queries;   /* struct dns_query.link */
    struct lookup *lookup; /* in flight; NULL: none */
    int64_t fresh_until_ns;
    int64_t used_ns;
    bool has_answer;
    enum err failure;         /* of the last look-up, while fresh and without an answer */
    struct dns_answer answer; /* without ports */
    char host[DNS_HOST_MAX_BYTES + 1];
};

struct dns_query {
    struct list link;
    struct dns *dns;
    dns_answer_fn on_answer;
    void *ctx;
    uint16_t port;
};

struct dns {
    struct loop *loop;
    struct offload *offload;
    int64_t ttl_ns;
    uint64_t hash_key[2];
    size_t entry_count;
    size_t query_count;
    struct list buckets[BUCKETS];
};

/* ---- addresses ---- */

static void set_port(struct dns_answer *answer, uint16_t port)
{
    for (size_t i = 0; i < answer->count; i++) {
        union dns_address *a = &answer->addresses[i];
        if (a->any.sa_family == AF_INET6) {
            a->v6.sin6_port = htons(port);
        } else {
            a->v4.sin_port = htons(port);
        }
    }
}

static bool parse_literal(const char *host, struct dns_answer *out_answer)
{
    union dns_address a = {.v4 = {.sin_family = AF_INET}};
    if (inet_pton(AF_INET, host, &a.v4.sin_addr) != 1) {
        a = (union dns_address){.v6 = {.sin6_family = AF_INET6}};
        if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) != 1) {
            return false;
        }
    }
    *out_answer = (struct dns_answer){.count = 1, .addresses = {a}};
    return true;
}

/* The next address of the family after *at; NULL when there is none. */
static const struct addrinfo *next_of(const struct addrinfo *at, int family)
{
    while (at && at->ai_family != family) {
        at = at->ai_next;
    }
    return at;
}

static void add_address(struct dns_answer *answer, const struct addrinfo *info)
{
    union dns_address *a = &answer->addresses[answer->count];
    if (info->ai_addrlen <= sizeof(*a)) {
        *a = (union dns_address){0};
        memcpy(a, info->ai_addr, info->ai_addrlen);
        answer->count++;
    }
}

/* The system's order within a family (RFC 6724), families in turn, beginning with its first. */
static void interleave(const struct addrinfo *all, struct dns_answer *out_answer)
{
    int first = all->ai_family == AF_INET6 ? AF_INET6 : AF_INET;
    const struct addrinfo *turn = next_of(all, first);
    const struct addrinfo *other = next_of(all, first == AF_INET6 ? AF_INET : AF_INET6);
    *out_answer = (struct dns_answer){0};
    while ((turn || other) && out_answer->count < DNS_ADDRESSES_MAX) {
        if (turn) {
            add_address(out_answer, turn);
            turn = next_of(turn->ai_next, turn->ai_family);
        }
        const struct addrinfo *tmp = turn;
        turn = other;
        other = tmp;
    }
}

/* On an offload thread. */
static void work(struct offload_job *job)
{
    struct lookup *l = CONTAINER_OF(job, struct lookup, job);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *all = NULL;
    if (getaddrinfo(l->host, NULL, &hints, &all) == 0 && all) {
        interleave(all, &l->answer);
        l->result = l->answer.count ? OK : E_DNS;
        freeaddrinfo(all);
    }
}

/* ---- entries ---- */

static struct list *bucket_of(struct dns *dns, const char *host)
{
    return &dns->buckets[siphash(dns->hash_key, slice_str(host)) % BUCKETS];
}

static struct entry *find_entry(struct dns *dns, const char *host)
{
    struct list *bucket = bucket_of(dns, host);
    list_each_safe(node, bucket) {
        struct entry *entry = CONTAINER_OF(node, struct entry, link);
        if (strcmp(entry->host, host) == 0) {
            return entry;
        }
    }
    return NULL;
}

static void free_entry(struct entry *entry)
{
    assert(list_is_empty(&entry->queries));
    if (entry->lookup) {
        entry->lookup->entry = NULL; /* its late answer finds nothing */
    }
    list_remove(&entry->link);
    entry->dns->entry_count--;
    free(entry);
}

/* The least recently used entry nobody waits for; NULL when all are waited for. */
static struct entry *oldest_entry(struct dns *dns)
{
    struct entry *oldest = NULL;
    for (size_t i = 0; i < BUCKETS; i++) {
        list_each_safe(node, &dns->buckets[i]) {
            struct entry *entry = CONTAINER_OF(node, struct entry, link);
            if (list_is_empty(&entry->queries) && (!oldest || entry->used_ns < oldest->used_ns)) {
                oldest = entry;
            }
        }
    }
    return oldest;
}

static enum err make_entry(struct dns *dns, const char *host, struct entry **out_entry)
{
    if (dns->entry_count == DNS_CACHE_MAX_ENTRIES) {
        struct entry *oldest = oldest_entry(dns);
        if (!oldest) {
            return E_BUSY;
        }
        free_entry(oldest);
    }
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry) {
        return E_NOMEM;
    }
    entry->dns = dns;
    list_init(&entry->queries);
    memcpy(entry->host, host, sizeof(entry->host));
    list_append(bucket_of(dns, host), &entry->link);
    dns->entry_count++;
    *out_entry = entry;
    return OK;
}

static void tell(const struct entry *entry, uint16_t port, dns_answer_fn on_answer, void *ctx)
{
    if (entry->has_answer) {
        struct dns_answer answer = entry->answer;
        set_port(&answer, port);
        on_answer(ctx, OK, &answer);
    } else {
        on_answer(ctx, entry->failure, &(struct dns_answer){0});
    }
}

/* On the loop. A failure leaves an older answer in use: a dead resolver does not stop the gateway.
 */
static void done(struct offload_job *job)
{
    struct lookup *l = CONTAINER_OF(job, struct lookup, job);
    struct entry *entry = l->entry;
    if (entry) {
        int64_t now_ns = loop_now_ns(entry->dns->loop);
        entry->lookup = NULL;
        entry->failure = l->result;
        entry->fresh_until_ns =
            i64_add_sat(now_ns, l->result == OK ? entry->dns->ttl_ns : FAILURE_TTL_S * NS_PER_S);
        if (l->result == OK) {
            entry->has_answer = true;
            entry->answer = l->answer;
        }
        struct list waiting; /* a callback may ask for the same host again */
        list_init(&waiting);
        for (struct list *node; (node = list_take_first(&entry->queries));) {
            list_append(&waiting, node);
        }
        struct entry copy = *entry; /* or make others push the entry out */
        for (struct list *node; (node = list_take_first(&waiting));) {
            struct dns_query *query = CONTAINER_OF(node, struct dns_query, link);
            query->dns->query_count--;
            tell(&copy, query->port, query->on_answer, query->ctx);
            free(query);
        }
    }
    free(l);
}

static enum err begin_lookup(struct entry *entry)
{
    struct lookup *l = calloc(1, sizeof(*l));
    if (!l) {
        return E_NOMEM;
    }
    l->job = (struct offload_job){.work = work, .done = done, .loop = entry->dns->loop};
    l->entry = entry;
    l->result = E_DNS;
    memcpy(l->host, entry->host, sizeof(l->host));
    enum err e = offload_submit(entry->dns->offload, &l->job);
    if (e != OK) {
        free(l);
        return e;
    }
    entry->lookup = l;
    return OK;
}

static enum err begin_query(struct entry *entry, struct dns_query query,
                            struct dns_query **out_query)
{
    struct dns *dns = entry->dns;
    struct dns_query *q = dns->query_count < QUERIES_MAX ? malloc(sizeof(*q)) : NULL;
    if (!q) {
        return E_BUSY;
    }
    *q = query;
    list_append(&entry->queries, &q->link);
    dns->query_count++;
    *out_query = q;
    return OK;
}

enum err dns_lookup(struct dns *dns, struct slice host, uint16_t port, dns_answer_fn on_answer,
                    void *ctx, struct dns_query **out_query)
{
    char name[DNS_HOST_MAX_BYTES + 1] = {0};
    struct dns_answer literal;
    struct entry *entry;
    *out_query = NULL;
    if (host.len == 0 || host.len > DNS_HOST_MAX_BYTES || slice_find(host, '\0') < host.len) {
        return E_DNS;
    }
    memcpy(name, host.ptr, host.len);
    if (parse_literal(name, &literal)) {
        set_port(&literal, port);
        on_answer(ctx, OK, &literal);
        return OK;
    }
    entry = find_entry(dns, name);
    enum err e = entry ? OK : make_entry(dns, name, &entry);
    if (e != OK) {
        return e;
    }
    int64_t now_ns = loop_now_ns(dns->loop);
    bool is_fresh = now_ns < entry->fresh_until_ns;
    entry->used_ns = now_ns;
    if (!is_fresh && !entry->lookup) {
        e = begin_lookup(entry);
    }
    if (is_fresh || entry->has_answer) {
        tell(entry, port, on_answer, ctx);
        return OK;
    }
    struct dns_query query = {.dns = dns, .on_answer = on_answer, .ctx = ctx, .port = port};
    return e == OK ? begin_query(entry, query, out_query) : e;
}

void dns_cancel(struct dns_query *query)
{
    if (query) {
        list_remove(&query->link);
        query->dns->query_count--;
        free(query);
    }
}

enum err dns_new(struct loop *loop, struct offload *offload, int64_t ttl_ns, struct dns **out_dns)
{
    struct dns *dns = calloc(1, sizeof(*dns));
    if (!dns) {
        return E_NOMEM;
    }
    dns->loop = loop;
    dns->offload = offload;
    dns->ttl_ns = ttl_ns;
    rand_bytes(dns->hash_key, sizeof(dns->hash_key));
    for (size_t i = 0; i < BUCKETS; i++) {
        list_init(&dns->buckets[i]);
    }
    *out_dns = dns;
    return OK;
}

void dns_free(struct dns *dns)
{
    if (!dns) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        list_each_safe(node, &dns->buckets[i]) {
            struct entry *entry = CONTAINER_OF(node, struct entry, link);
            list_each_safe(waiting, &entry->queries) {
                dns_cancel(CONTAINER_OF(waiting, struct dns_query, link));
            }
            free_entry(entry);
        }
    }
    assert(dns->entry_count == 0 && dns->query_count == 0);
    free(dns);
}
