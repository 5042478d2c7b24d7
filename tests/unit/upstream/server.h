/* A scripted HTTP server for tests: one thread a connection runs the test's function over blocking
 * sockets on 127.0.0.1, in the clear or over TLS. */
#ifndef TESTS_UPSTREAM_SERVER_H
#define TESTS_UPSTREAM_SERVER_H

#include "core/slice.h"

#include <openssl/ssl.h>
#include <pthread.h>

enum { SERVER_CONNECTIONS_MAX = 32, REQUEST_MAX_BYTES = 1 << 16 };

struct server;

struct peer {
    struct server *server;
    int number; /* of the connection, from 0 */
    int fd;
    SSL *ssl; /* NULL: in the clear */
    char request[REQUEST_MAX_BYTES];
    size_t len; /* of the last request */
};

/* Speaks on the connection; it is closed on return. */
typedef void (*serve_fn)(struct peer *p);

struct server {
    serve_fn serve;
    int fd;
    uint16_t port;
    SSL_CTX *tls; /* owned; NULL: none */
    char ca_path[64];
    pthread_t acceptor;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    const char *text; /* what the script answers, when it asks for it */
    int accepted;
    int closed;
    int marks; /* the test lets scripts go on by them */
    pthread_t threads[SERVER_CONNECTIONS_MAX];
};

void server_start(struct server *s, serve_fn serve, const char *text);
void server_set_text(struct server *s, const char *text);
int server_accepted(struct server *s);
/* Counts a mark for a script that waits. */
void server_mark(struct server *s);
/* Makes a certificate authority and a certificate for dns_name; before the first connection. */
void server_use_tls(struct server *s, const char *dns_name);
/* Every connection must be at its end, or reading from a client that has closed. */
void server_stop(struct server *s);
void server_wait_closed(struct server *s, int connections);
void server_wait_marks(struct server *s, int marks);

void peer_start_tls(struct peer *p);
/* Head and, by Content-Length, body; false at the end of the connection. */
bool peer_read_request(struct peer *p);
/* Up to the head's end only. */
bool peer_read_head(struct peer *p);
void peer_send(struct peer *p, const char *text);
void peer_send_text(struct peer *p); /* the server's */
void peer_send_bytes(struct peer *p, const char *bytes, size_t len);
/* Reads until the client closes. */
void peer_wait_close(struct peer *p);
/* The connection ends with RST. */
void peer_reset(struct peer *p);

#endif
