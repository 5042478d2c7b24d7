#include "client.h"

void client_open(struct client *c)
{
    const struct upstream_conf conf = {
        .keep_per_dest = 4, .keep_ns = 60 * NS_PER_S, .connections_max = 8};
    *c = (struct client){0};
    arena_pool_init(&c->blocks);
    arena_init(&c->arena, &c->blocks, 1 << 20);
    assert_int_equal(loop_new(&c->loop), OK);
    assert_int_equal(offload_new(1, &c->offload), OK);
    assert_int_equal(dns_new(c->loop, c->offload, 60 * NS_PER_S, &c->dns), OK);
    assert_int_equal(upstream_new(c->loop, c->dns, &conf, &c->u), OK);
}

void client_close(struct client *c)
{
    upstream_free(c->u);
    dns_free(c->dns);
    offload_free(c->offload);
    loop_free(c->loop);
    arena_deinit(&c->arena);
    arena_pool_deinit(&c->blocks);
}

struct upstream_dest client_dest(struct client *c, const char *scheme, const char *host,
                                 const struct server *s)
{
    struct upstream_dest dest;
    struct slice path;
    struct slice url = arena_printf(&c->arena, "%s://%s:%u/v1/", scheme, host, (unsigned)s->port);
    assert_int_equal(upstream_dest_parse(&c->arena, url, SLICE_NONE, SLICE_NONE,
                                         slice_str(s->ca_path), &dest, &path),
                     OK);
    return dest;
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct call *call = ctx;
    call->heads++;
    call->status = head->status;
    if (call->cancels_at_head) {
        attempt_cancel(call->attempt);
        call->is_over = true;
        arena_reset(&call->arena); /* nothing of the attempt may be touched any more */
    }
}

static void on_body(void *ctx, struct slice data)
{
    struct call *call = ctx;
    assert_false(call->is_over);
    if (call->body_bytes + data.len <= BODY_MAX_BYTES) {
        memcpy(call->body + call->body_bytes, data.ptr, data.len);
    }
    call->body_bytes += data.len;
    if (call->pauses_at_body) {
        call->pauses_at_body = false;
        attempt_pause(call->attempt);
    }
    if (call->cancels_at_body) {
        attempt_cancel(call->attempt);
        call->is_over = true;
        arena_reset(&call->arena);
    }
}

static void on_end(void *ctx, enum err e, const char *action)
{
    struct call *call = ctx;
    assert_false(call->is_over);
    call->is_over = true;
    call->e = e;
    (void)snprintf(call->action, sizeof(call->action), "%s", action);
    struct slice detail = attempt_detail(call->attempt);
    (void)snprintf(call->detail, sizeof(call->detail), "%.*s", SLICE_ARG(detail));
    call->was_sent = attempt_was_sent(call->attempt);
    call->was_reused = attempt_was_reused(call->attempt);
    arena_reset(&call->arena);
}

static void on_input_end(void *ctx)
{
    struct call *call = ctx;
    assert_false(call->is_over);
    call->inputs++;
}

static const struct attempt_handler handler = {on_head, on_body, on_input_end, on_end};

void call_init(struct call *call, struct client *c, const struct upstream_dest *dest,
               const char *body)
{
    arena_deinit(&call->arena);
    memset(call, 0, offsetof(struct call, body));
    call->body_bytes = 0;
    call->was_sent = call->was_reused = false;
    call->pauses_at_body = call->cancels_at_head = call->cancels_at_body = false;
    call->client = c;
    arena_init(&call->arena, &c->blocks, 1 << 20);
    struct attempt_request *r = &call->request;
    r->dest = dest;
    r->parts[0] = SLICE("POST /v1/chat/completions HTTP/1.1\r\n");
    r->parts[1] = arena_printf(&c->arena, "Host: %.*s\r\nContent-Length: %zu\r\n\r\n",
                               SLICE_ARG(dest->authority), strlen(body));
    r->parts[2] = SLICE_NONE; /* an empty part is fine */
    r->parts[3] = slice_str(body);
    r->part_count = 4;
    r->limits = (struct http1_limits){
        .head_max_bytes = 8192, .headers_max = 50, .body_max_bytes = 16 << 20};
    r->arena = &call->arena;
}

void call_start(struct call *call)
{
    assert_int_equal(attempt_start(call->client->u, &call->request, &handler, call, &call->attempt),
                     OK);
    assert_false(call->is_over); /* no callback inside the start */
}

void call_wait(struct call *call)
{
    while (!call->is_over) {
        loop_turn(call->client->loop, -1);
    }
}

void call_run(struct call *call, struct client *c, const struct upstream_dest *dest,
              const char *body)
{
    call_init(call, c, dest, body);
    call_start(call);
    call_wait(call);
}

void call_deinit(struct call *call)
{
    arena_deinit(&call->arena);
}
