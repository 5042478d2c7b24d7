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
/* Why the handshake or certificate failed, for logs and errors; valid while the session lives. */
struct slice tls_error(const struct tls_session *session);

#endif
