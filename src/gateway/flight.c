#include "gateway/flight.h"

#include "gateway/account.h"
#include "gateway/call.h"
#include "gateway/relay.h"
#include "gateway/reply.h"

#include <assert.h>
#include <stdlib.h>

struct flight {
    struct flight *next; /* worker.flights; the list is short: one entry per distinct cacheable
                            request in flight */
    struct exchange *leader;
    struct list followers; /* exchange.follow */
    size_t follower_count;
};

static struct flight *find_flight(const struct worker *w, const struct sha256 *key)
{
    for (struct flight *f = w->flights; f; f = f->next) {
        if (memcmp(f->leader->cache_key.bytes, key->bytes, SHA256_BYTES) == 0) {
            return f;
        }
    }
    return NULL;
}

/* Same bytes for both: then the follower need not wait for the end. */
static bool shares_events(const struct exchange *leader, const struct exchange *follower)
{
    return leader->is_answer_stream && follower->ask.is_stream &&
           leader->client == follower->client && leader->client != &dialect_own &&
           leader->ask.wants_usage == follower->ask.wants_usage && !leader->ask.is_array &&
           !follower->ask.is_array; /* an array is closed by whoever opened it */
}

bool flight_join(struct exchange *x)
{
    struct flight *f = find_flight(x->worker, &x->cache_key);
    if (!f || f->follower_count >= FLIGHT_FOLLOWERS_MAX) {
        return false;
    }
    x->flight = f;
    x->is_follower = true;
    list_append(&f->followers, &x->follow);
    f->follower_count++;
    if (shares_events(f->leader, x)) { /* what has passed already is sent at once */
        flight_drained(x);
    }
    return true;
}

void flight_lead(struct exchange *x)
{
    struct flight *f = calloc(1, sizeof(*f));
    if (!f) {
        return;
    }
    f->leader = x;
    list_init(&f->followers);
    f->next = x->worker->flights;
    x->worker->flights = f;
    x->flight = f;
}

bool flight_has_followers(const struct exchange *leader)
{
    return leader->flight && !leader->is_follower && leader->flight->follower_count > 0;
}

static void begin_follower(struct exchange *x)
{
    char room[REPLY_HEADERS_MAX_BYTES];
    struct text headers = text_in(room, sizeof(room));
    x->cache_use = CACHE_USE_COALESCED;
    x->target = x->flight->leader->target;
    x->answer_status = 200;
    x->state = EXCHANGE_STREAMING;
    x->action = "following a stream in flight";
    reply_headers(x, SLICE("text/event-stream; charset=utf-8"), &headers);
    TEXT_ADD(&headers, "cache-control: no-cache\r\nx-accel-buffering: no\r\n");
    http_conn_stream_begin(x->conn, 200, text_slice(&headers));
}

void flight_drained(struct exchange *x)
{
    const struct exchange *leader = x->flight ? x->flight->leader : NULL;
    x->is_paused = false;
    if (!leader || !shares_events(leader, x) || leader->answer_len <= x->follow_at || !x->conn) {
        return;
    }
    if (x->state == EXCHANGE_STAGES) {
        begin_follower(x);
    }
    struct slice part = slice_of(leader->answer + x->follow_at, leader->answer_len - x->follow_at);
    x->follow_at = leader->answer_len;
    x->is_error_sent = leader->is_error_sent;
    x->is_paused = !http_conn_stream_write(x->conn, &part, 1);
}

static void fail_follower(struct exchange *x, const struct fault *f)
{
    exchange_fail(x, f, x->state == EXCHANGE_STREAMING ? RECORD_UPSTREAM_CUT : RECORD_ERROR);
}

/* It stays a follower: what it failed with was not its own call, and is not billed to it. */
static void leave(struct exchange *x)
{
    struct flight *f = x->flight;
    list_remove(&x->follow);
    assert(f->follower_count > 0);
    f->follower_count--;
    x->flight = NULL;
}

/* The leader's client left long ago, and now the last follower has too. */
static void end_orphan(struct exchange *leader)
{
    call_cancel(leader);
    account(leader, RECORD_CLIENT_GONE, 499);
    exchange_end_detached(leader);
}

static void on_orphaned(struct loop_timer *timer)
{
    end_orphan(CONTAINER_OF(timer, struct exchange, timer));
}

void flight_events(struct exchange *leader, const struct slice *parts, size_t n)
{
    struct flight *f = leader->flight;
    (void)parts;
    (void)n;
    if (leader->is_storing) { /* answer[] holds all events so far: every follower has its own
                                 position in it */
        list_each_safe(node, &f->followers) {
            struct exchange *x = CONTAINER_OF(node, struct exchange, follow);
            if (!x->is_paused) {
                flight_drained(x);
            }
        }
        return;
    }
    /* larger than an entry may be: those who followed cannot go on */
    flight_failed(leader,
                  &(struct fault){.kind = FAULT_OVERLOADED,
                                  .message = SLICE("the shared answer is larger than the cache "
                                                   "allows")});
    if (leader->is_leader_gone) { /* nobody reads it; ended when the callback has returned */
        struct loop *loop = leader->worker->loop;
        loop_timer_set(loop, &leader->timer, loop_now_ns(loop), on_orphaned);
    }
}

static void remove_flight(struct worker *w, struct flight *f)
{
    struct flight **at = &w->flights;
    while (*at != f) {
        at = &(*at)->next;
    }
    *at = f->next;
    assert(list_is_empty(&f->followers));
    f->leader->flight = NULL;
    free(f);
}

/* The rest of the events, the terminal one with them. */
static void end_follower_stream(struct exchange *x, const struct exchange *leader)
{
    struct slice parts[2] = {
        slice_of(leader->answer + x->follow_at, leader->answer_len - x->follow_at),
        slice_of(leader->tail, leader->tail_len)};
    x->outcome.usage = leader->outcome.usage;
    x->outcome.has_usage = true;
    x->saved_nusd = leader->cost_nusd;
    account(x, RECORD_CACHED, 200);
    x->state = EXCHANGE_REPLYING;
    http_conn_stream_end(x->conn, parts, ARRAY_LEN(parts));
}

void flight_done(struct exchange *leader, struct cache_entry *entry)
{
    struct flight *f = leader->flight;
    struct list *node;
    while ((node = list_first(&f->followers))) {
        struct exchange *x = CONTAINER_OF(node, struct exchange, follow);
        leave(x);
        if (x->state == EXCHANGE_STREAMING) {
            end_follower_stream(x, leader);
        } else if (!entry || !relay_entry(x, cache_entry_ref(entry), CACHE_USE_COALESCED)) {
            x->is_storing = false;
            x->is_follower = false;
            pipeline_resume(x); /* the answer was not storable: a call of its own */
        }
    }
    remove_flight(leader->worker, f);
}

void flight_failed(struct exchange *leader, const struct fault *fault)
{
    struct flight *f = leader->flight;
    struct list *node;
    while ((node = list_first(&f->followers))) {
        struct exchange *x = CONTAINER_OF(node, struct exchange, follow);
        leave(x);
        fail_follower(x, fault);
    }
    remove_flight(leader->worker, f);
}

void flight_leave(struct exchange *x)
{
    struct flight *f = x->flight;
    if (x->is_follower) {
        leave(x);
        if (f->leader->is_leader_gone && f->follower_count == 0) {
            end_orphan(f->leader);
        }
        return;
    }
    flight_failed(x, &(struct fault){.kind = FAULT_UPSTREAM,
                                     .message = SLICE("the shared request was given up")});
}
