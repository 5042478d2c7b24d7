#include "io/tls.h"

#include "core/check.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <sys/socket.h>

enum {
    HOST_MAX_BYTES = 255,
    ERROR_MAX_BYTES = 160,
    RECORD_BYTES = 16384,    /* RFC 8446 section 5.1: plaintext of one record */
    RESUME_MAX_ENTRIES = 64, /* hosts; the least recently stored one makes room */
};

/* A session to resume, kept by host name. */
struct resume {
    char host[HOST_MAX_BYTES + 1]; /* empty: free */
    SSL_SESSION *session;          /* owned */
    uint64_t stored_at;            /* counter */
};

struct tls_client {
    char *ca_file;        /* owned; NULL: the system's */
    pthread_mutex_t lock; /* guards what follows; held for making the context once, else briefly */
    SSL_CTX *ctx;
    BIO_METHOD *socket_method;
    uint64_t clock;
    struct resume resume[RESUME_MAX_ENTRIES];
};

struct tls_session {
    struct tls_client *client; /* borrowed */
    SSL *ssl;
    int fd; /* borrowed: the stream's */
    bool is_established;
    bool is_broken;    /* a fatal error: no close_notify may be sent */
    bool tracks_edges; /* tls_note_edge() is being called */
    bool is_drained;   /* the last receive was short and no edge came since */
    bool is_hangup;
    char host[HOST_MAX_BYTES + 1];
    char error[ERROR_MAX_BYTES];
};

struct tls_clients {
    pthread_mutex_t lock;
    size_t count;
    struct tls_client *clients[TLS_CLIENTS_MAX];
};

/* ---- the socket under OpenSSL: send without SIGPIPE, receive no more often than needed ---- */

static int bio_write(BIO *bio, const char *data, int len)
{
    const struct tls_session *session = BIO_get_data(bio);
    ssize_t n;
    do {
        n = send(session->fd, data, (size_t)len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    BIO_clear_retry_flags(bio);
    if (n < 0 && errno == EAGAIN) {
        BIO_set_retry_write(bio);
    }
    return (int)n;
}

static int bio_read(BIO *bio, char *data, int len)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (session->is_drained) {
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t n;
    do {
        n = recv(session->fd, data, (size_t)len, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        BIO_set_retry_read(bio);
    }
    session->is_drained = session->tracks_edges && !session->is_hangup && n > 0 && n < (ssize_t)len;
    return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *ptr)
{
    (void)bio;
    (void)number;
    (void)ptr;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *socket_method_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gateway socket");
    if (m) {
        BIO_meth_set_write(m, bio_write);
        BIO_meth_set_read(m, bio_read);
        BIO_meth_set_ctrl(m, bio_ctrl);
    }
    return m;
}

/* ---- resumption ---- */

static struct resume *find_resume(struct tls_client *client, const char *host)
{
    for (size_t i = 0; i < RESUME_MAX_ENTRIES; i++) {
        if (strcmp(client->resume[i].host, host) == 0) {
            return &client->resume[i];
        }
    }
    return NULL;
}

static struct resume *oldest_resume(struct tls_client *client)
{
    struct resume *oldest = &client->resume[0];
    for (size_t i = 1; i < RESUME_MAX_ENTRIES; i++) {
        if (client->resume[i].stored_at < oldest->stored_at) {
            oldest = &client->resume[i];
        }
    }
    return oldest;
}

/* OpenSSL's new-session callback. 1: the reference is ours now. */
static int keep_session(SSL *ssl, SSL_SESSION *ssl_session)
{
    const struct tls_session *session = SSL_get_app_data(ssl);
    struct tls_client *client = session->client;
    pthread_mutex_lock(&client->lock);
    struct resume *r = find_resume(client, session->host);
    if (!r) {
        r = oldest_resume(client);
        memcpy(r->host, session->host, sizeof(r->host));
    }
    SSL_SESSION *old = r->session;
    r->session = ssl_session;
    r->stored_at = ++client->clock;
    pthread_mutex_unlock(&client->lock);
    SSL_SESSION_free(old);
    return 1;
}

/* A TLS 1.3 ticket is for one use (RFC 8446 section C.4), so it leaves the cache. */
static void resume_session(struct tls_session *session)
{
    struct tls_client *client = session->client;
    SSL_SESSION *ssl_session = NULL;
    pthread_mutex_lock(&client->lock);
    struct resume *r = find_resume(client, session->host);
    if (r && r->session) {
        ssl_session = r->session;
        if (SSL_SESSION_get_protocol_version(ssl_session) >= TLS1_3_VERSION) {
            r->session = NULL;
        } else if (!SSL_SESSION_up_ref(ssl_session)) {
            ssl_session = NULL;
        }
    }
    pthread_mutex_unlock(&client->lock);
    if (ssl_session) {
        (void)SSL_set_session(session->ssl, ssl_session); /* refused: a full handshake follows */
        SSL_SESSION_free(ssl_session);
    }
}

/* ---- the client ---- */

static bool configure(SSL_CTX *ctx, const char *ca_file)
{
    static const unsigned char alpn[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_read_ahead(ctx, 1); /* header and payload of a record in one receive */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn)) == 0 &&
           (ca_file ? SSL_CTX_load_verify_file(ctx, ca_file)
                    : SSL_CTX_set_default_verify_paths(ctx)) == 1;
}

/* Under the lock. Loading the system's certificates takes milliseconds, so it waits for the first
 * session. */
static COLD enum err make_context(struct tls_client *client)
{
    client->socket_method = client->socket_method ? client->socket_method : socket_method_new();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || !client->socket_method) {
        SSL_CTX_free(ctx);
        return E_NOMEM;
    }
    if (!configure(ctx, client->ca_file)) {
        SSL_CTX_free(ctx);
        return E_TLS;
    }
    client->ctx = ctx;
    return OK;
}

static enum err ensure_context(struct tls_client *client)
{
    pthread_mutex_lock(&client->lock);
    enum err e = client->ctx ? OK : make_context(client);
    pthread_mutex_unlock(&client->lock);
    return e;
}

enum err tls_client_new(struct slice ca_file, struct tls_client **out_client)
{
    if (slice_find(ca_file, '\0') < ca_file.len) {
        return E_CONFIG;
    }
    struct tls_client *client = calloc(1, sizeof(*client));
    if (!client) {
        return E_NOMEM;
    }
    if (ca_file.len && !(client->ca_file = strndup(ca_file.ptr, ca_file.len))) {
        free(client);
        return E_NOMEM;
    }
    (void)pthread_mutex_init(&client->lock, NULL);
    *out_client = client;
    return OK;
}

void tls_client_free(struct tls_client *client)
{
    if (!client) {
        return;
    }
    for (size_t i = 0; i < RESUME_MAX_ENTRIES; i++) {
        SSL_SESSION_free(client->resume[i].session);
    }
    SSL_CTX_free(client->ctx);
    BIO_meth_free(client->socket_method);
    (void)pthread_mutex_destroy(&client->lock);
    free(client->ca_file);
    free(client);
}

enum err tls_clients_new(struct tls_clients **out_clients)
{
    struct tls_clients *clients = calloc(1, sizeof(*clients));
    if (!clients) {
        return E_NOMEM;
    }
    (void)pthread_mutex_init(&clients->lock, NULL);
    *out_clients = clients;
    return OK;
}

void tls_clients_free(struct tls_clients *clients)
{
    if (!clients) {
        return;
    }
    for (size_t i = 0; i < clients->count; i++) {
        tls_client_free(clients->clients[i]);
    }
    (void)pthread_mutex_destroy(&clients->lock);
    free(clients);
}

static enum err find_or_add(struct tls_clients *clients, struct slice ca_file,
                            struct tls_client **out_client)
{
    for (size_t i = 0; i < clients->count; i++) {
        if (slice_eq(slice_str(clients->clients[i]->ca_file), ca_file)) {
            *out_client = clients->clients[i];
            return OK;
        }
    }
    if (clients->count == TLS_CLIENTS_MAX) {
        return E_LIMIT;
    }
    enum err e = tls_client_new(ca_file, out_client);
    if (e == OK) {
        clients->clients[clients->count++] = *out_client;
    }
    return e;
}

enum err tls_clients_find(struct tls_clients *clients, struct slice ca_file,
                          struct tls_client **out_client)
{
    pthread_mutex_lock(&clients->lock);
    enum err e = find_or_add(clients, ca_file, out_client);
    pthread_mutex_unlock(&clients->lock);
    return e;
}

/* ---- a session ---- */

/* Name or address to verify; SNI for names only (RFC 6066 section 3). */
static bool set_peer(struct tls_session *session)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(session->ssl);
    unsigned char binary[16];
    if (inet_pton(AF_INET, session->host, binary) == 1 ||
        inet_pton(AF_INET6, session->host, binary) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, session->host) == 1;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, session->host, 0) == 1 &&
           SSL_set_tlsext_host_name(session->ssl, session->host) == 1;
}

static enum err attach(struct tls_session *session)
{
    session->ssl = SSL_new(session->client->ctx);
    BIO *bio = session->ssl ? BIO_new(session->client->socket_method) : NULL;
    if (!bio) {
        return E_NOMEM;
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio); /* owned by ssl from here on */
    SSL_set_connect_state(session->ssl);
    return SSL_set_app_data(session->ssl, session) == 1 && set_peer(session) ? OK : E_TLS;
}

enum err tls_session_new(struct tls_client *client, int fd, struct slice host,
                         struct tls_session **out)
{
    if (host.len == 0 || host.len > HOST_MAX_BYTES || slice_find(host, '\0') < host.len) {
        return E_CONFIG;
    }
    enum err e = ensure_context(client);
    if (e != OK) {
        ERR_clear_error();
        return e;
    }
    struct tls_session *session = calloc(1, sizeof(*session));
    if (!session) {
        return E_NOMEM;
    }
    session->client = client;
    session->fd = fd;
    memcpy(session->host, host.ptr, host.len);
    e = attach(session);
    if (e != OK) {
        ERR_clear_error();
        tls_session_free(session);
        return e;
    }
    resume_session(session);
    *out = session;
    return OK;
}

void tls_session_free(struct tls_session *session)
{
    if (!session) {
        return;
    }
    if (session->ssl && session->is_established && !session->is_broken) {
        (void)SSL_shutdown(session->ssl); /* close_notify, best effort */
        ERR_clear_error();
    }
    if (session->ssl) { /* without it OpenSSL would forbid resuming the session */
        SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    SSL_free(session->ssl);
    free(session);
}

static COLD void note_error(struct tls_session *session)
{
    session->is_broken = true;
    if (session->error[0]) {
        return;
    }
    const char *text = NULL;
    long verified = SSL_get_verify_result(session->ssl);
    unsigned long code = ERR_peek_last_error();
    if (!session->is_established && verified != X509_V_OK) {
        text = X509_verify_cert_error_string(verified);
    } else if (code) {
        text = ERR_reason_error_string(code);
    }
    (void)snprintf(session->error, sizeof(session->error), "%s",
                   text ? text : "the peer closed the connection");
}

/* After a call of OpenSSL that did not succeed. */
static enum io_result outcome(struct tls_session *session, int result)
{
    int reason = SSL_get_error(session->ssl, result);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
        return IO_AGAIN;
    }
    if (reason == SSL_ERROR_ZERO_RETURN) {
        return IO_EOF;
    }
    note_error(session); /* an end without close_notify too: it could be an attacker's cut */
    ERR_clear_error();
    return IO_FAILED;
}

enum io_result tls_handshake(struct tls_session *session)
{
    if (session->is_established) {
        return IO_DONE;
    }
    if (session->is_broken) {
        return IO_FAILED;
    }
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    if (result == 1) {
        session->is_established = true;
        return IO_DONE;
    }
    enum io_result r = outcome(session, result);
    return r == IO_EOF ? IO_FAILED : r;
}

enum io_result tls_read(struct tls_session *session, struct room room, size_t *out_len)
{
    enum io_result r = tls_handshake(session);
    if (r != IO_DONE) {
        return r;
    }
    ERR_clear_error();
    int result = SSL_read_ex(session->ssl, room.ptr, room.cap, out_len);
    return result == 1 ? IO_DONE : outcome(session, result);
}

/* The parts from *part, *offset on, gathered so that a head and its body share a record. One part
 * that is left, or a large one, is taken from its own place. */
static struct slice next_piece(const struct iovec *parts, int n, size_t written, char *room)
{
    int i = 0;
    while (i < n && written >= parts[i].iov_len) {
        written -= parts[i++].iov_len;
    }
    if (i == n) {
        return SLICE_NONE;
    }
    struct slice first = {(const char *)parts[i].iov_base + written, parts[i].iov_len - written};
    if (i + 1 == n || first.len >= RECORD_BYTES) {
        return slice_head(first, INT32_MAX);
    }
    size_t len = 0;
    for (; i < n && len < RECORD_BYTES; i++, written = 0) {
        size_t take = size_min(parts[i].iov_len - written, RECORD_BYTES - len);
        if (take) {
            memcpy(room + len, (const char *)parts[i].iov_base + written, take);
        }
        len += take;
    }
    return slice_of(room, len);
}

enum io_result tls_write(struct tls_session *session, const struct iovec *parts, int n,
                         size_t *out_len)
{
    char room[RECORD_BYTES];
    enum io_result r = tls_handshake(session);
    size_t total = 0;
    while (r == IO_DONE) {
        struct slice piece = next_piece(parts, n, total, room);
        if (piece.len == 0) {
            break;
        }
        size_t written = 0;
        ERR_clear_error();
        int result = SSL_write_ex(session->ssl, piece.ptr, piece.len, &written);
        total += written;
        if (result != 1) {
            r = outcome(session, result);
        }
    }
    if (r == IO_DONE || (r == IO_AGAIN && total > 0)) {
        *out_len = total;
        return IO_DONE;
    }
    return r == IO_EOF ? IO_FAILED : r;
}

void tls_note_edge(struct tls_session *session, bool is_hangup)
{
    session->tracks_edges = true;
    session->is_drained = false;
    session->is_hangup = is_hangup;
}

bool tls_is_established(const struct tls_session *session)
{
    return session->is_established;
}

struct slice tls_error(const struct tls_session *session)
{
    return slice_str(session->error);
}
