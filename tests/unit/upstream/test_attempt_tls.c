/* Tests of attempts over TLS and through a proxy's tunnel; so of io/tls.c. */
#include "fixture.h"

static void begin(struct fixture *f, serve_fn serve, const char *certified, const char *host)
{
    server_start(&f->server, serve, NULL);
    server_use_tls(&f->server, certified);
    f->dest = client_dest(&f->client, "https", host, &f->server);
}

static void serve_tls(struct peer *p)
{
    peer_start_tls(p);
    while (peer_read_request(p)) {
        peer_send(p, answer_ok);
    }
}

static void calls_share_a_kept_tls_connection(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_tls, "localhost", "localhost");
    for (int i = 0; i < 3; i++) {
        fixture_run(f, &f->call);
        assert_int_equal(f->call.e, OK);
        assert_int_equal(f->call.body_bytes, 2);
        assert_int_equal(f->call.was_reused, i > 0);
        assert_int_equal(upstream_idle_count(f->client.u), 1);
    }
    assert_int_equal(server_accepted(&f->server), 1);
}

static void a_certificate_for_another_name_is_refused(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_tls, "other.example", "localhost");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_TLS);
    assert_string_equal(f->call.action, "TLS handshake");
    assert_string_equal(f->call.detail, "hostname mismatch");
    assert_false(f->call.was_sent);
}

static void an_address_is_verified_as_one(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_tls, "localhost", "127.0.0.1");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_TLS);
    assert_string_equal(f->call.detail, "IP address mismatch");
}

static void an_unknown_authority_is_refused(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_tls, "localhost", "localhost");
    f->dest.ca_file = SLICE_NONE; /* the system's */
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_TLS);
    assert_true(strstr(f->call.detail, "certificate") != NULL);
}

static void a_missing_ca_file_is_told_by_on_end(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_tls, "localhost", "localhost");
    f->dest.ca_file = SLICE("/nonexistent/ca.pem");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_TLS);
    assert_string_equal(f->call.action, "TLS handshake");
}

static void serve_resumption(struct peer *p)
{
    peer_start_tls(p);
    if (peer_read_request(p)) {
        peer_send(p, SSL_session_reused(p->ssl) ? "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
                                                  "Connection: close\r\n\r\nyes"
                                                : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                                                  "Connection: close\r\n\r\nno");
    }
}

static void resume_with(struct fixture *f, int version)
{
    begin(f, serve_resumption, "localhost", "localhost");
    assert_int_equal(SSL_CTX_set_max_proto_version(f->server.tls, version), 1);
    fixture_run(f, &f->call);
    assert_int_equal(f->call.body_bytes, 2);
    fixture_run(f, &f->call);
    assert_int_equal(f->call.body_bytes, 3);
    fixture_run(f, &f->call);
    assert_int_equal(f->call.body_bytes, 3);
    assert_int_equal(server_accepted(&f->server), 3);
}

static void sessions_are_resumed_in_tls_1_3(void **state)
{
    resume_with(*state, TLS1_3_VERSION);
}

static void sessions_are_resumed_in_tls_1_2(void **state)
{
    resume_with(*state, TLS1_2_VERSION);
}

static void tls_1_1_is_refused(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_tls, "localhost", "localhost");
    SSL_CTX_set_security_level(f->server.tls, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(f->server.tls, TLS1_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(f->server.tls, TLS1_1_VERSION), 1);
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_TLS);
}

static void serve_cut(struct peer *p)
{
    peer_start_tls(p);
    (void)peer_read_request(p);
    peer_send(p, "HTTP/1.1 200 OK\r\n\r\nuntil the end, which is not signed");
    SSL_set_quiet_shutdown(p->ssl, 1); /* no close_notify: an attacker's FIN looks like this */
}

static void an_end_without_close_notify_is_no_end_of_a_body(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_cut, "localhost", "localhost");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_IO);
    assert_string_equal(f->call.action, "reading the body");
}

static void serve_silence(struct peer *p)
{
    peer_wait_close(p);
}

static void a_silent_handshake_meets_the_connect_timeout(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_silence, "localhost", "127.0.0.1"); /* no look-up: only the handshake waits */
    call_init(&f->call, &f->client, &f->dest, "hello");
    f->call.request.timeouts.connect_ns = 200 * NS_PER_MS;
    call_start(&f->call);
    call_wait(&f->call);
    assert_int_equal(f->call.e, E_TIMEOUT);
    assert_string_equal(f->call.action, "TLS handshake");
    server_wait_closed(&f->server, 1);
}

/* Echoes the body's checksum, so that a large request is proven whole across partial writes. */
static void serve_sum(struct peer *p)
{
    char room[8192], answer[128], sum[32];
    size_t left = 4 << 20;
    uint64_t hash = 0;
    peer_start_tls(p);
    if (!peer_read_head(p)) {
        return;
    }
    while (left) {
        int n = SSL_read(p->ssl, room, (int)(left < sizeof(room) ? left : sizeof(room)));
        if (n <= 0) {
            return;
        }
        for (int i = 0; i < n; i++) {
            hash = hash * 31 + (uint8_t)room[i];
        }
        left -= (size_t)n;
    }
    (void)snprintf(sum, sizeof(sum), "%016llx", (unsigned long long)hash);
    (void)snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n%s", sum);
    peer_send(p, answer);
    peer_wait_close(p);
}

static void a_large_body_arrives_whole(void **state)
{
    struct fixture *f = *state;
    enum { LARGE = 4 << 20, HALF = 3000 };
    char *large = malloc(LARGE);
    char sum[32];
    uint64_t hash = 0;
    for (size_t i = 0; i < LARGE; i++) {
        large[i] = (char)(i * 7 + i / 251);
        hash = hash * 31 + (uint8_t)large[i];
    }
    begin(f, serve_sum, "localhost", "localhost");
    call_init(&f->call, &f->client, &f->dest, "");
    f->call.request.parts[2] = slice_of(large, HALF); /* gathered with the head into one record */
    f->call.request.parts[3] = slice_of(large + HALF, LARGE - HALF);
    call_start(&f->call);
    call_wait(&f->call);
    assert_int_equal(f->call.e, OK);
    (void)snprintf(sum, sizeof(sum), "%016llx", (unsigned long long)hash);
    assert_memory_equal(f->call.body, sum, 16);
    free(large);
}

enum { LARGE_ANSWER = 4 << 20 };

static void serve_large(struct peer *p)
{
    char *large = malloc(LARGE_ANSWER);
    char head[64];
    memset(large, 'y', LARGE_ANSWER);
    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
                   LARGE_ANSWER);
    peer_start_tls(p);
    while (peer_read_request(p)) {
        peer_send(p, head);
        peer_send_bytes(p, large, LARGE_ANSWER);
    }
    free(large);
}

static void a_large_answer_arrives_whole_across_a_pause(void **state)
{
    struct fixture *f = *state;
    begin(f, serve_large, "localhost", "localhost");
    call_init(&f->call, &f->client, &f->dest, "hello");
    f->call.pauses_at_body = true;
    call_start(&f->call);
    while (f->call.body_bytes == 0) {
        loop_turn(f->client.loop, -1);
    }
    size_t at_pause = f->call.body_bytes;
    loop_turn(f->client.loop, 0);
    assert_int_equal(f->call.body_bytes, at_pause);
    attempt_resume(f->call.attempt);
    call_wait(&f->call);
    assert_int_equal(f->call.e, OK);
    assert_int_equal(f->call.body_bytes, LARGE_ANSWER);
    assert_int_equal(upstream_idle_count(f->client.u), 1);
}

/* ---- proxy ---- */

static void serve_proxy(struct peer *p)
{
    if (!peer_read_head(p)) {
        return;
    }
    struct slice head = {p->request, p->len};
    if (!slice_starts(head,
                      SLICE("CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n")) ||
        slice_search(head, SLICE("\r\nProxy-Authorization: Basic dTpw\r\n")) == head.len) {
        peer_send(p, "HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    peer_send(p, "HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n");
    serve_tls(p); /* the provider behind the tunnel */
}

static void begin_proxied(struct fixture *f, const char *user)
{
    struct slice path;
    begin(f, serve_proxy, "api.example", "unused.example");
    struct slice proxy =
        arena_printf(&f->client.arena, "http://%s@127.0.0.1:%u", user, (unsigned)f->server.port);
    assert_int_equal(upstream_dest_parse(&f->client.arena, SLICE("https://api.example/v1"), proxy,
                                         SLICE("other.example"), slice_str(f->server.ca_path),
                                         &f->dest, &path),
                     OK);
}

static void calls_go_through_the_proxys_tunnel(void **state)
{
    struct fixture *f = *state;
    begin_proxied(f, "u:p");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, OK);
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, OK);
    assert_true(f->call.was_reused);
    assert_int_equal(server_accepted(&f->server), 1);
}

static void a_refusing_proxy_is_a_connect_error(void **state)
{
    struct fixture *f = *state;
    begin_proxied(f, "u:wrong");
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, E_CONNECT);
    assert_string_equal(f->call.action, "asking the proxy");
    assert_string_equal(f->call.detail, "the proxy answered 407");
}

static void workers_share_contexts(void **state)
{
    struct fixture *f = *state;
    struct tls_clients *clients = NULL;
    struct tls_client *one = NULL, *same = NULL, *other = NULL;
    begin(f, serve_tls, "localhost", "localhost");
    assert_int_equal(tls_clients_new(&clients), OK);
    assert_int_equal(tls_clients_find(clients, SLICE_NONE, &one), OK);
    assert_int_equal(tls_clients_find(clients, SLICE(""), &same), OK);
    assert_int_equal(tls_clients_find(clients, SLICE("/some/ca.pem"), &other), OK);
    assert_ptr_equal(one, same);
    assert_ptr_not_equal(one, other);
    upstream_share_tls(f->client.u, clients);
    fixture_run(f, &f->call);
    assert_int_equal(f->call.e, OK);
    upstream_free(f->client.u);
    f->client.u = NULL;
    tls_clients_free(clients);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(calls_share_a_kept_tls_connection),
        CASE(a_certificate_for_another_name_is_refused),
        CASE(an_address_is_verified_as_one),
        CASE(an_unknown_authority_is_refused),
        CASE(a_missing_ca_file_is_told_by_on_end),
        CASE(sessions_are_resumed_in_tls_1_3),
        CASE(sessions_are_resumed_in_tls_1_2),
        CASE(tls_1_1_is_refused),
        CASE(an_end_without_close_notify_is_no_end_of_a_body),
        CASE(a_silent_handshake_meets_the_connect_timeout),
        CASE(a_large_body_arrives_whole),
        CASE(a_large_answer_arrives_whole_across_a_pause),
        CASE(calls_go_through_the_proxys_tunnel),
        CASE(a_refusing_proxy_is_a_connect_error),
        CASE(workers_share_contexts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
