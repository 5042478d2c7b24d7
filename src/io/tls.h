/* io/tls.h -- OpenSSL for streams: TLS 1.2 or later, client side with verification on.
 *
 * One tls_client a process (SSL_CTX, made on first need, thread-safe); one tls_session a
 * connection. Buffers are released when idle (SSL_MODE_RELEASE_BUFFERS). Sessions are kept per
 * destination name for resumption.
 */
#ifndef IO_TLS_H
#define IO_TLS_H

#include "core/err.h"
#include "core/slice.h"

#include <sys/uio.h>

struct tls_client;
struct tls_session;

/* ca_file empty: the system's certificates. The context is made at the first session. */
MUST_USE enum err tls_client_new(struct slice ca_file, struct tls_client **out_client);
void tls_client_free(struct tls_client *client);

/* The clients of a process by ca_file, shared by its workers: one SSL_CTX each, whatever the number
 * of workers. Any thread. At most TLS_CLIENTS_MAX different files: E_LIMIT. A client found lives as
 * long as the collection, which must outlive every session. */
enum { TLS_CLIENTS_MAX = 64 };
struct tls_clients;
MUST_USE enum err tls_clients_new(struct tls_clients **out_clients);
void tls_clients_free(struct tls_clients *clients);
MUST_USE enum err tls_clients_find(struct tls_clients *clients, struct slice ca_file,
                                   struct tls_client **out_client);

/* Handshake runs inside read and write. host: for SNI and verification (an IP literal is verified
 * as one). */
MUST_USE enum err tls_session_new(struct tls_client *client, int fd, struct slice host,
                                  struct tls_session **out);
void tls_session_free(struct tls_session *session);
/* IO_DONE when the handshake is complete; IO_AGAIN: wait for the next edge. */
MUST_USE enum io_result tls_handshake(struct tls_session *session);
MUST_USE enum io_result tls_read(struct tls_session *session, struct room room, size_t *out_len);
MUST_USE enum io_result tls_write(struct tls_session *session, const struct iovec *parts, int n,
                                  size_t *out_len);
/* The owner of the socket's events says that an edge came. From the first call on, a receive that
 * was short is not repeated before the next edge (unless is_hangup): one system call less a read.
 */
void tls_note_edge(struct tls_session *session, bool is_hangup);
/* The handshake is complete. */
bool tls_is_established(const struct tls_session *session);
/* Why the handshake or certificate failed, for logs and errors; valid while the session lives. */
struct slice tls_error(const struct tls_session *session);

#endif
