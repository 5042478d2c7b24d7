/* io/stream.h -- a connected byte stream over TCP or TLS, non-blocking.
 *
 * Reads and writes go straight to the socket (or OpenSSL); the stream buffers nothing of its own.
 * The owner's on_ready is called on edges; it then reads until AGAIN or a short read, and writes
 * what it has queued. TCP_NODELAY is always set. A short read (fewer bytes than the room held, over
 * TCP) means the socket is drained unless is_hangup: no second read is needed; stream_read() notes
 * it in is_readable.
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include "core/slice.h"
#include "io/loop.h"

#include <sys/socket.h>
#include <sys/uio.h>

struct tls_session; /* io/tls.h */
struct stream;
typedef void (*stream_ready_fn)(struct stream *s);

struct stream {
    struct loop *loop; /* borrowed */
    struct loop_watch watch;
    struct tls_session *tls;  /* owned; NULL: plain TCP */
    stream_ready_fn on_ready; /* owner finds itself by CONTAINER_OF */
    bool is_readable;         /* an edge came and the socket was not drained since */
    bool is_writable;
    bool is_hangup; /* the peer sent FIN, or the socket failed: reads will end in EOF or FAILED */
    int error;      /* errno of the failure, 0 when none */
};

/* Takes the connected or connecting, non-blocking socket; tls may be NULL. On error the fd is still
 * the caller's. */
MUST_USE enum err stream_open(struct stream *s, struct loop *loop, int fd, struct tls_session *tls,
                              stream_ready_fn on_ready);
/* Closes the socket. A zeroed stream (fd 0 never registered) is fine. */
void stream_close(struct stream *s);
bool stream_is_open(const struct stream *s);

/* IO_DONE: 1..room.cap bytes in *out_len. IO_EOF: orderly end. */
MUST_USE enum io_result stream_read(struct stream *s, struct room room, size_t *out_len);
/* IO_DONE: *out_len bytes were taken, perhaps fewer than given; IO_AGAIN: none. */
MUST_USE enum io_result stream_write(struct stream *s, const struct iovec *parts, int n,
                                     size_t *out_len);
/* Half-close for lingering. */
void stream_shutdown_write(struct stream *s);
/* Calls on_ready again soon (resume after a pause). */
void stream_again(struct stream *s);

#endif
