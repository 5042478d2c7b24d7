#include "server.h"

#include "support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- certificates ---- */

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static X509 *make_certificate(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509 *cert = X509_new();
    assert_non_null(cert);
    assert_int_equal(X509_set_version(cert, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), issuer ? 2 : 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                                (const unsigned char *)name, -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert)), 1);
    if (issuer) {
        char names[128];
        (void)snprintf(names, sizeof(names), "DNS:%s", name);
        add_extension(cert, issuer, NID_subject_alt_name, names);
    } else {
        add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
    }
    assert_true(X509_sign(cert, issuer_key, EVP_sha256()) > 0);
    return cert;
}

void server_use_tls(struct server *s, const char *dns_name)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    assert_true(ca_key && key);
    X509 *ca = make_certificate(ca_key, "test authority", NULL, ca_key);
    X509 *cert = make_certificate(key, dns_name, ca, ca_key);
    (void)snprintf(s->ca_path, sizeof(s->ca_path), "/tmp/gw-test-ca-XXXXXX");
    int fd = mkstemp(s->ca_path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_int_equal(PEM_write_X509(file, ca), 1);
    assert_int_equal(fclose(file), 0);
    s->tls = SSL_CTX_new(TLS_server_method());
    assert_non_null(s->tls);
    assert_int_equal(SSL_CTX_use_certificate(s->tls, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(s->tls, key), 1);
    pthread_mutex_lock(&s->lock); /* the acceptor runs already; no connection does */
    pthread_mutex_unlock(&s->lock);
    X509_free(ca);
    X509_free(cert);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
}

/* ---- threads ---- */

static void *run_connection(void *arg)
{
    struct peer *p = arg;
    struct server *s = p->server;
    s->serve(p);
    if (p->ssl) {
        (void)SSL_shutdown(p->ssl);
        SSL_free(p->ssl);
    }
    if (p->fd >= 0) {
        (void)close(p->fd);
    }
    free(p);
    pthread_mutex_lock(&s->lock);
    s->closed++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct server *s = arg;
    sigset_t pipe; /* OpenSSL's own socket calls may raise it here; the code under test must not */
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0;) {
        struct peer *p = calloc(1, sizeof(*p));
        p->server = s;
        p->fd = fd;
        pthread_mutex_lock(&s->lock);
        p->number = s->accepted++;
        bool is_ok = p->number < SERVER_CONNECTIONS_MAX &&
                     pthread_create(&s->threads[p->number], NULL, run_connection, p) == 0;
        pthread_mutex_unlock(&s->lock);
        if (!is_ok) {
            abort();
        }
    }
    return NULL;
}

void server_start(struct server *s, serve_fn serve, const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    *s = (struct server){.serve = serve, .text = text};
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->changed, NULL);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(s->fd, 16), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &len), 0);
    s->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&s->acceptor, NULL, accept_all, s), 0);
}

void server_stop(struct server *s)
{
    (void)shutdown(s->fd, SHUT_RDWR);
    assert_int_equal(pthread_join(s->acceptor, NULL), 0);
    for (int i = 0; i < s->accepted; i++) {
        assert_int_equal(pthread_join(s->threads[i], NULL), 0);
    }
    (void)close(s->fd);
    SSL_CTX_free(s->tls);
    if (s->ca_path[0]) {
        (void)unlink(s->ca_path);
    }
}

void server_wait_closed(struct server *s, int connections)
{
    pthread_mutex_lock(&s->lock);
    while (s->closed < connections) {
        pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

void server_wait_marks(struct server *s, int marks)
{
    pthread_mutex_lock(&s->lock);
    while (s->marks < marks) {
        pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

void server_mark(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    s->marks++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void server_set_text(struct server *s, const char *text)
{
    pthread_mutex_lock(&s->lock);
    s->text = text;
    pthread_mutex_unlock(&s->lock);
}

int server_accepted(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    int n = s->accepted;
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* ---- bytes ---- */

void peer_start_tls(struct peer *p)
{
    p->ssl = SSL_new(p->server->tls);
    if (!p->ssl || SSL_set_fd(p->ssl, p->fd) != 1) {
        abort();
    }
    (void)SSL_accept(p->ssl); /* a client that refuses is seen by the next read */
}

static ssize_t receive(struct peer *p, char *at, size_t cap)
{
    return p->ssl ? SSL_read(p->ssl, at, (int)cap) : recv(p->fd, at, cap, 0);
}

bool peer_read_head(struct peer *p)
{
    p->len = 0;
    for (;;) {
        ssize_t n = receive(p, p->request + p->len, 1);
        if (n <= 0) {
            return false;
        }
        p->len++;
        if (slice_ends(slice_of(p->request, p->len), SLICE("\r\n\r\n"))) {
            return true;
        }
    }
}

bool peer_read_request(struct peer *p)
{
    if (!peer_read_head(p)) {
        return false;
    }
    struct slice head = {p->request, p->len};
    struct slice name = SLICE("Content-Length: ");
    struct slice value = slice_from(head, slice_search(head, name) + name.len);
    int64_t left = 0;
    if (value.len && !slice_to_i64(slice_head(value, slice_find(value, '\r')), &left)) {
        return false;
    }
    while (left > 0) {
        ssize_t n = receive(p, p->request + p->len, (size_t)left);
        if (n <= 0) {
            return false;
        }
        p->len += (size_t)n;
        left -= n;
    }
    return true;
}

void peer_send_bytes(struct peer *p, const char *bytes, size_t len)
{
    while (len) { /* a client that has gone ends the script at its next read */
        ssize_t n =
            p->ssl ? SSL_write(p->ssl, bytes, (int)len) : send(p->fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

void peer_send(struct peer *p, const char *text)
{
    peer_send_bytes(p, text, strlen(text));
}

void peer_send_text(struct peer *p)
{
    pthread_mutex_lock(&p->server->lock);
    const char *text = p->server->text;
    pthread_mutex_unlock(&p->server->lock);
    peer_send(p, text);
}

void peer_wait_close(struct peer *p)
{
    char room[4096];
    while (receive(p, room, sizeof(room)) > 0) {
    }
}

void peer_reset(struct peer *p)
{
    const struct linger hard = {.l_onoff = 1};
    (void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    (void)close(p->fd);
    p->fd = -1;
}
