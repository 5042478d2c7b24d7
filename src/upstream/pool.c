#include "upstream/pool.h"

#include "core/check.h"
#include "core/hash.h"
#include "core/secret.h"
#include "upstream/attempt_state.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- pools ---- */

static void free_pool(struct upstream *u, struct pool *pool)
{
    assert(pool->conn_count == 0 && list_is_empty(&pool->idle));
    list_remove(&pool->link);
    u->pool_count--;
    free(pool);
}

static COLD void drop_empty_pools(struct upstream *u)
{
    for (size_t i = 0; i < POOL_BUCKETS; i++) {
        list_each_safe(node, &u->buckets[i]) {
            struct pool *pool = CONTAINER_OF(node, struct pool, link);
            if (pool->conn_count == 0) {
                free_pool(u, pool);
            }
        }
    }
}

static COLD struct pool *make_pool(struct upstream *u, struct slice key, struct list *bucket)
{
    if (u->pool_count == POOLS_MAX) {
        drop_empty_pools(u);
    }
    struct pool *pool = u->pool_count < POOLS_MAX ? malloc(sizeof(*pool) + key.len) : NULL;
    if (!pool) {
        return NULL;
    }
    *pool = (struct pool){.key_len = key.len};
    memcpy(pool->key, key.ptr, key.len);
    list_init(&pool->idle);
    list_append(bucket, &pool->link);
    u->pool_count++;
    return pool;
}

struct pool *pool_find(struct upstream *u, struct slice key)
{
    struct list *bucket = &u->buckets[crc32c(0, key.ptr, key.len) % POOL_BUCKETS];
    list_each_safe(node, bucket) {
        struct pool *pool = CONTAINER_OF(node, struct pool, link);
        if (slice_eq(slice_of(pool->key, pool->key_len), key)) {
            return pool;
        }
    }
    return make_pool(u, key, bucket);
}

/* ---- connections ---- */

static void leave_idle(struct conn *conn)
{
    list_remove(&conn->link);
    list_remove(&conn->by_age);
    conn->pool->idle_count--;
    conn->u->idle_count--;
}

static void free_conn(struct loop_closing *closing)
{
    struct conn *conn = CONTAINER_OF(closing, struct conn, closing);
    struct upstream *u = conn->u;
    if (u->free_count == CONNS_FREE_MAX) {
        free(conn);
        return;
    }
    conn->next_free = u->free;
    u->free = conn;
    u->free_count++;
}

void conn_close(struct conn *conn)
{
    if (!conn) {
        return;
    }
    if (!list_is_empty(&conn->by_age)) {
        leave_idle(conn);
    }
    assert(conn->pool->conn_count > 0 && conn->u->open_count > 0);
    conn->pool->conn_count--;
    conn->u->open_count--;
    conn->attempt = NULL;
    stream_close(&conn->stream);
    loop_close_later(conn->u->loop, &conn->closing, free_conn);
}

/* TLS may have something to say to itself (a session ticket); any other byte or the end closes. */
static void check_idle(struct conn *conn)
{
    size_t len;
    struct room room = {conn->u->buffer, READ_BUFFER_BYTES};
    if (conn->stream.is_hangup ||
        (conn->stream.is_readable && stream_read(&conn->stream, room, &len) != IO_AGAIN)) {
        conn_close(conn);
    }
}

static HOT void on_ready(struct stream *s)
{
    struct conn *conn = CONTAINER_OF(s, struct conn, stream);
    if (conn->attempt) {
        attempt_on_ready(conn);
    } else {
        check_idle(conn);
    }
}

bool conn_has_room(struct upstream *u)
{
    if (u->conf.connections_max == 0 || u->open_count < u->conf.connections_max) {
        return true;
    }
    struct list *oldest = list_first(&u->idle);
    if (oldest) {
        conn_close(CONTAINER_OF(oldest, struct conn, by_age));
    }
    return oldest != NULL;
}

static struct conn *take_memory(struct upstream *u)
{
    struct conn *conn = u->free;
    if (!conn) {
        return malloc(sizeof(*conn));
    }
    u->free = conn->next_free;
    u->free_count--;
    return conn;
}

enum err conn_open(struct upstream *u, struct pool *pool, int fd, struct attempt *attempt,
                   struct conn **out_conn)
{
    struct conn *conn = take_memory(u);
    if (!conn) {
        (void)close(fd);
        return E_NOMEM;
    }
    *conn = (struct conn){.u = u, .pool = pool, .attempt = attempt};
    list_init(&conn->link);
    list_init(&conn->by_age);
    enum err e = stream_open(&conn->stream, u->loop, fd, NULL, on_ready);
    if (e != OK) {
        (void)close(fd);
        free_conn(&conn->closing);
        return e;
    }
    pool->conn_count++;
    u->open_count++;
    *out_conn = conn;
    return OK;
}

/* ---- keeping ---- */

static void close_kept_too_long(struct loop_timer *timer)
{
    struct upstream *u = CONTAINER_OF(timer, struct upstream, keep_timer);
    int64_t now_ns = loop_now_ns(u->loop);
    for (struct list *node; (node = list_first(&u->idle));) {
        struct conn *conn = CONTAINER_OF(node, struct conn, by_age);
        int64_t due_ns = i64_add_sat(conn->idle_since_ns, u->conf.keep_ns);
        if (due_ns > now_ns) {
            loop_timer_set(u->loop, timer, due_ns, close_kept_too_long);
            return;
        }
        conn_close(conn);
    }
}

HOT struct conn *pool_take(struct upstream *u, struct pool *pool)
{
    for (struct list *node; (node = list_first(&pool->idle));) {
        struct conn *conn = CONTAINER_OF(node, struct conn, link);
        if (i64_add_sat(conn->idle_since_ns, u->conf.keep_ns) > loop_now_ns(u->loop)) {
            leave_idle(conn);
            return conn;
        }
        conn_close(conn);
    }
    return NULL;
}

HOT void pool_give(struct conn *conn)
{
    struct upstream *u = conn->u;
    struct pool *pool = conn->pool;
    assert(stream_is_open(&conn->stream) && list_is_empty(&conn->by_age));
    conn->attempt = NULL;
    if (u->conf.keep_per_dest == 0 || u->conf.keep_ns <= 0) {
        conn_close(conn);
        return;
    }
    if (pool->idle_count == u->conf.keep_per_dest) {
        conn_close(CONTAINER_OF(pool->idle.prev, struct conn, link));
    }
    conn->idle_since_ns = loop_now_ns(u->loop);
    list_prepend(&pool->idle, &conn->link);
    list_append(&u->idle, &conn->by_age);
    pool->idle_count++;
    u->idle_count++;
    if (u->keep_timer.deadline_ns == 0) {
        loop_timer_set(u->loop, &u->keep_timer, i64_add_sat(conn->idle_since_ns, u->conf.keep_ns),
                       close_kept_too_long);
    }
}

/* ---- all of it ---- */

enum err upstream_new(struct loop *loop, struct dns *dns, const struct upstream_conf *conf,
                      struct upstream **out)
{
    struct upstream *u = calloc(1, sizeof(*u));
    if (!u) {
        return E_NOMEM;
    }
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    /* cppcheck-suppress invalidFunctionArg ; -1 is right: no file stands behind it */
    void *buffer = mmap(NULL, READ_BUFFER_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (buffer == MAP_FAILED) {
        free(u);
        return E_NOMEM;
    }
    secret_no_dump(buffer, READ_BUFFER_BYTES);
    u->buffer = buffer;
    u->loop = loop;
    u->dns = dns;
    u->conf = *conf;
    list_init(&u->idle);
    list_init(&u->attempts);
    for (size_t i = 0; i < POOL_BUCKETS; i++) {
        list_init(&u->buckets[i]);
    }
    *out = u;
    return OK;
}

void upstream_share_tls(struct upstream *u, struct tls_clients *tls)
{
    assert(!u->tls);
    u->tls = tls;
}

void upstream_set_conf(struct upstream *u, const struct upstream_conf *conf)
{
    u->conf = *conf;
    if (u->keep_timer.deadline_ns) { /* the keep time may be shorter now */
        loop_timer_set(u->loop, &u->keep_timer, loop_now_ns(u->loop), close_kept_too_long);
    }
}

size_t upstream_idle_count(const struct upstream *u)
{
    return u->idle_count;
}

/* Last on the closing list: the connections closed before are back on the free list. */
static void free_upstream(struct loop_closing *closing)
{
    struct upstream *u = CONTAINER_OF(closing, struct upstream, closing);
    while (u->free) {
        struct conn *next = u->free->next_free;
        free(u->free);
        u->free = next;
    }
    free(u);
}

void upstream_free(struct upstream *u)
{
    if (!u) {
        return;
    }
    list_each_safe(node, &u->attempts) {
        attempt_cancel(CONTAINER_OF(node, struct attempt, link));
    }
    list_each_safe(idle, &u->idle) {
        conn_close(CONTAINER_OF(idle, struct conn, by_age));
    }
    assert(u->open_count == 0);
    drop_empty_pools(u);
    loop_timer_stop(u->loop, &u->keep_timer);
    if (u->owns_tls) {
        tls_clients_free(u->tls);
    }
    (void)munmap(u->buffer, READ_BUFFER_BYTES);
    loop_close_later(u->loop, &u->closing, free_upstream);
}
