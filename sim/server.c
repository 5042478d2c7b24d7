#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum { EVENTS = 256, ACCEPTS = 64 };

int64_t server_clock_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The one header that decides about an answer: only requests to messages have it. */
static struct str header_of_key(const struct request *r)
{
    static const char path[] = "/messages";
    size_t n = sizeof(path) - 1;
    bool is_messages = r->path.len >= n && memcmp(r->path.ptr + r->path.len - n, path, n) == 0;
    return is_messages ? http_header(r, "anthropic-version") : STR("");
}

/* The same request has the same answer, unless a script or a check of headers says otherwise. */
struct answer *server_answer(struct server *s, const struct request *r)
{
    struct control *ctl = s->conf->control;
    bool fixed = s->conf->api_key == NULL && s->conf->aws_keys == NULL && r->body.len > 0 &&
                 r->body.len <= MEMO_BODY_MAX_BYTES &&
                 (ctl == NULL || (!control_has_script(ctl) && !route_is_control(r)));
    bool keep = false;
    if (!fixed) {
        return route(s->conf, r, &keep);
    }
    uint64_t hash = str_hash(r->body, str_hash(r->target, 3));
    struct memo *m = &s->memo[hash % MEMO_SLOTS];
    s->key.len = 0;
    buf_put(&s->key, r->method);
    buf_put(&s->key, r->target);
    buf_put(&s->key, header_of_key(r));
    buf_put(&s->key, r->body);
    if (m->answer == NULL || m->key.len != s->key.len ||
        memcmp(m->key.ptr, s->key.ptr, s->key.len) != 0) {
        struct answer *answer = route(s->conf, r, &keep);
        if (!keep) {
            return answer;
        }
        answer_unref(m->answer);
        m->answer = answer;
        m->key.len = 0;
        buf_put(&m->key, buf_view(&s->key));
    }
    answer_ref(m->answer);
    return m->answer;
}

static void accept_some(struct server *s)
{
    for (int i = 0; i < ACCEPTS; i++) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        conn_open(s, fd);
    }
}

static void server_init(struct server *s, const struct sim_conf *conf, SSL_CTX *tls, int listener)
{
    s->conf = conf;
    s->tls = tls;
    s->listener = listener;
    s->input = xmalloc(READ_BYTES);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    wheel_init(&s->wheel, server_clock_ns());
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (s->epoll < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, listener, &ev) != 0) {
        abort();
    }
}

void server_run(const struct sim_conf *conf, SSL_CTX *tls, int listener, uint64_t first_id)
{
    struct server *s = xzalloc(sizeof(*s));
    struct epoll_event events[EVENTS];
    s->next_id = first_id;
    server_init(s, conf, tls, listener);
    for (;;) {
        int wait = s->wheel.armed > 0 ? wheel_timeout_ms(&s->wheel, server_clock_ns()) : -1;
        int n = epoll_wait(s->epoll, events, EVENTS, wait);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL) {
                accept_some(s);
            } else {
                conn_event(s, events[i].data.ptr, events[i].events);
            }
        }
        wheel_run(&s->wheel, server_clock_ns(), conn_timer, s);
    }
}
