/* sim/http.h -- the simulator's own strict HTTP/1.1 request reader.
 *
 * Sans-I/O: http_parse() looks at everything received so far and either needs more, has one whole
 * request (head and body), or knows why the bytes are no request. It is strict on purpose (RFC
 * 9112): what a gateway frames wrongly shall be seen here, not forgiven.
 */
#ifndef SIM_HTTP_H
#define SIM_HTTP_H

#include "buf.h"

enum {
    HTTP_HEADERS_MAX = 128,
    HTTP_HEAD_MAX_BYTES = 65536,
    HTTP_BODY_MAX_BYTES = 256 << 20,
};

struct header {
    struct str name;
    struct str value;
};

/* All strings are borrowed from the input, the body of a chunked request from the scratch buffer.
 */
struct request {
    struct str head; /* request line and header lines, without the empty line */
    struct str method;
    struct str target;
    struct str path; /* target up to '?' */
    struct header headers[HTTP_HEADERS_MAX];
    size_t header_n;
    struct str body;
    size_t used;     /* input bytes this request took */
    size_t need;     /* PARSE_MORE: total input bytes wanted before it is worth asking again */
    bool head_ready; /* also set when the body is still missing */
    bool keep_alive;
    bool expects_100;
};

enum parse { PARSE_MORE, PARSE_DONE, PARSE_BAD };

/* out_why is a static text, written with PARSE_BAD only. */
enum parse http_parse(struct str in, struct buf *scratch, struct request *out,
                      const char **out_why);

/* The value of the named header, or an empty string with a NULL ptr. */
struct str http_header(const struct request *r, const char *name);

#endif
