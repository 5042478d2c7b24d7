/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "unit/wire/http1_feed.h"

static const struct http1_limits small_limits = {
    .head_max_bytes = 65536, .headers_max = 100, .body_max_bytes = 1000};

static struct slice feed_notes(struct arena *a, struct feed *f, struct slice in, size_t first,
                               size_t step)
{
    struct text notes = text_growing(a);
    if (f->limits.head_max_bytes == 0) {
        f->limits = small_limits;
    }
    feed_all(f, in, first, step, &notes);
    return text_slice(&notes);
}

#define POST "POST /v1/chat/completions HTTP/1.1\r\nHost: gw\r\n"

static const struct {
    struct slice bytes;
    size_t messages;
} requests[] = {
    {SLICE_INIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 1},
    {SLICE_INIT("GET /v1/models?limit=2&x=%20 HTTP/1.1\r\nHost: a:8000\r\nX-API-Key: k\r\n\r\n"),
     1},
    {SLICE_INIT("GET / HTTP/1.0\r\n\r\n"), 1},
    {SLICE_INIT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), 1},
    {SLICE_INIT("GET http://gw.example:80/health?x=1 HTTP/1.1\r\nHost: gw\r\n\r\n"), 1},
    {SLICE_INIT("GET http://gw?x=/ HTTP/1.1\r\nHost: gw\r\n\r\n"), 1},
    {SLICE_INIT("OPTIONS * HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n"), 1},
    {SLICE_INIT("HEAD /health HTTP/1.1\r\nHost:gw\r\nX-Empty:\r\nX-Blank:   \r\n\r\n"), 1},
    {SLICE_INIT("DELETE /a HTTP/1.1\r\nhost:\t gw \t\r\nAuthorization: Bearer  a b \r\n\r\n"), 1},
    {SLICE_INIT(POST "Content-Length: 5\r\nContent-Type: application/json\r\n\r\nhello"), 1},
    {SLICE_INIT(POST "Content-Length: 0\r\n\r\n"), 1},
    {SLICE_INIT(POST "content-length: 0005\r\n\r\nhello"), 1},
    {SLICE_INIT(POST
                "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n10;a=b\r\n0123456789abcdef\r\n"
                "0\r\n\r\n"),
     1},
    {SLICE_INIT(POST "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\nX-T: v\r\n\r\n"),
     1},
    {SLICE_INIT(POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"), 1},
    {SLICE_INIT(POST "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"), 1},
    {SLICE_INIT(POST
                "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3\r\nabc\r\n0\r\n\r\n"),
     1},
    {SLICE_INIT(POST "Content-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: a\r\n\r\n" POST
                     "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n" POST
                     "Content-Length: 1\r\n\r\ny"),
     4},
    {SLICE_INIT("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
     2},
    {SLICE_INIT("PROPFIND /dav HTTP/1.1\r\nHost: [::1]:8000\r\nX-\x21#$: \xc3\xa9\r\n\r\n"), 1},
};

static const struct {
    struct slice bytes;
    bool is_bodyless;
    int eof; /* what http1_eof() says at the end */
    size_t messages;
} responses[] = {
    {SLICE_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), false, HTTP1_ERROR, 1},
    {SLICE_INIT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"), false, HTTP1_ERROR, 0},
    {SLICE_INIT("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), false, HTTP1_ERROR, 1},
    {SLICE_INIT("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), false,
     HTTP1_ERROR, 1},
    {SLICE_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"), false,
     HTTP1_ERROR, 0},
    {SLICE_INIT("HTTP/1.1 200 OK\r\nServer: x\r\n\r\nuntil close"), false, HTTP1_END, 0},
    {SLICE_INIT("HTTP/1.0 200 OK\r\n\r\nuntil close"), false, HTTP1_END, 0},
    {SLICE_INIT("HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\n"
                "Content-Length: 0\r\n\r\n"),
     false, HTTP1_ERROR, 1},
    {SLICE_INIT("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"), false,
     HTTP1_ERROR, 1},
    {SLICE_INIT("HTTP/1.1 204 No Content\r\n\r\n"), false, HTTP1_ERROR, 1},
    {SLICE_INIT("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"), false, HTTP1_ERROR, 1},
    {SLICE_INIT("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n"
                "Content-Length: 1\r\n\r\nx"),
     false, HTTP1_ERROR, 2},
    {SLICE_INIT("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"), true, HTTP1_ERROR, 1},
    {SLICE_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), true, HTTP1_ERROR, 1},
    {SLICE_INIT("HTTP/1.1 529 Overloaded here\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
     false, HTTP1_ERROR, 1},
};

static void expect_same_at_every_cut(struct feed f, struct slice in, size_t messages)
{
    struct arena arena;
    arena_init(&arena, NULL, 64u << 20);
    struct slice whole = feed_notes(&arena, &f, in, in.len, in.len);
    assert_int_equal(f.messages, messages);
    for (size_t cut = 1; cut <= in.len; cut++) {
        struct slice cut_notes = feed_notes(&arena, &f, in, cut, in.len);
        assert_true(slice_eq(whole, cut_notes));
    }
    for (size_t step = 1; step < 8; step++) {
        assert_true(slice_eq(whole, feed_notes(&arena, &f, in, step, step)));
    }
    arena_deinit(&arena);
}

static void every_cut_of_a_request_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        expect_same_at_every_cut((struct feed){0}, requests[i].bytes, requests[i].messages);
    }
}

static void every_cut_of_a_response_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        struct feed f = {.is_response = true, .is_bodyless = responses[i].is_bodyless};
        expect_same_at_every_cut(f, responses[i].bytes, responses[i].messages);
        f.has_eof = true;
        struct arena arena;
        arena_init(&arena, NULL, 1u << 20);
        struct slice notes = feed_notes(&arena, &f, responses[i].bytes, responses[i].bytes.len, 1);
        struct slice tail = arena_printf(&arena, "EOF %d\n", responses[i].eof);
        assert_true(slice_ends(notes, tail));
        arena_deinit(&arena);
    }
}

/* feed_piece() compares with llhttp what is accepted. */
static void every_byte_is_taken_only_where_llhttp_takes_it(void **state)
{
    (void)state;
    static const struct {
        struct slice before, after;
        bool is_response;
    } places[] = {
        {SLICE_INIT("GET /a"), SLICE_INIT("b HTTP/1.1\r\nHost: a\r\n\r\n"), false},
        {SLICE_INIT("GET /a?b"), SLICE_INIT("c HTTP/1.1\r\nHost: a\r\n\r\n"), false},
        {SLICE_INIT("GET /"), SLICE_INIT(" HTTP/1.1\r\nHost: a\r\n\r\n"), false},
        {SLICE_INIT("GET http://a"), SLICE_INIT("b/ HTTP/1.1\r\nHost: a\r\n\r\n"), false},
        {SLICE_INIT("GET / HTTP/1."), SLICE_INIT("\r\nHost: a\r\n\r\n"), false},
        {SLICE_INIT(POST "X-a"), SLICE_INIT("b: c\r\n\r\n"), false},
        {SLICE_INIT(POST "Content"), SLICE_INIT("Length: 0\r\n\r\n"), false},
        {SLICE_INIT(POST "X-a: b"), SLICE_INIT("c\r\n\r\n"), false},
        {SLICE_INIT(POST "X-a:"), SLICE_INIT("\r\n\r\n"), false},
        {SLICE_INIT(POST "Content-Length: 0"), SLICE_INIT("\r\n\r\n"), false},
        {SLICE_INIT(POST "Content-Length:"), SLICE_INIT("0\r\n\r\n"), false},
        {SLICE_INIT(POST "Connection: close"), SLICE_INIT("\r\n\r\n"), false},
        {SLICE_INIT(POST "Connection:"), SLICE_INIT("close\r\n\r\n"), false},
        {SLICE_INIT(POST "Connection: close,"), SLICE_INIT("x\r\n\r\n"), false},
        {SLICE_INIT(POST "Expect: "), SLICE_INIT("100-continue\r\n\r\n"), false},
        {SLICE_INIT("HTTP/1.1 200 O"), SLICE_INIT("K\r\nContent-Length: 0\r\n\r\n"), true},
        {SLICE_INIT("HTTP/1.1 200"), SLICE_INIT("\r\nContent-Length: 0\r\n\r\n"), true},
        {SLICE_INIT("HTTP/1.1 200 OK\r\nX-a: b"), SLICE_INIT("\r\n\r\n"), true},
    };
    size_t accepted = 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        for (int byte = 0; byte <= UINT8_MAX; byte++) {
            struct arena arena;
            arena_init(&arena, NULL, 1u << 20);
            struct text in = text_growing(&arena);
            text_add(&in, places[i].before);
            text_add_char(&in, (char)byte);
            text_add(&in, places[i].after);
            struct feed f = {.is_response = places[i].is_response};
            struct slice notes = feed_notes(&arena, &f, text_slice(&in), in.len, in.len);
            accepted += slice_starts(notes, SLICE("HEAD"));
            arena_deinit(&arena);
        }
    }
    assert_true(accepted > 1000);
}

#define G "GET / HTTP/1.1\r\nHost: a\r\n"
#define C POST "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
    struct slice bytes;
    enum http1_fault fault;
} attacks[] = {
    /* lengths that two readers could see differently */
    {SLICE_INIT(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
     HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length: 5, 5\r\n\r\nhello"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length: 5 5\r\n\r\nhello"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length: +5\r\n\r\nhello"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length: -1\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length: 0x5\r\n\r\nhello"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length: 5a\r\n\r\nhello"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length:\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length: \t \r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length: 18446744073709551616\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length: 9223372036854775808\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length: 1e1\r\n\r\n0123456789"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Content-Length: 1001\r\n\r\n"), HTTP1_BODY_TOO_LARGE},
    {SLICE_INIT(POST "Content-Length: 999999999999999999\r\n\r\n"), HTTP1_BODY_TOO_LARGE},
    /* codings that hide the length */
    {SLICE_INIT(POST "Transfer-Encoding: gzip\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Transfer-Encoding: identity\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Transfer-Encoding: chunked, gzip\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n"),
     HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Transfer-Encoding:\r\n\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     HTTP1_BAD_FRAMING},
    {SLICE_INIT(POST "Transfer-Encoding: \x0b"
                     "chunked\r\n\r\n0\r\n\r\n"),
     HTTP1_BAD_SYNTAX},
    {SLICE_INIT(POST "Transfer_Encoding\x00: chunked\r\n\r\n"), HTTP1_BAD_SYNTAX},
    /* lines and white space */
    {SLICE_INIT("GET / HTTP/1.1\nHost: a\n\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1\r\nHost: a\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1\r\nHost: a\r\n\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "X: a\r\n b\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "X: a\r\n\tb\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "X : a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "X\t: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "Content-Length : 5\r\n\r\nhello"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G ": a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "X\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "X Y: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "X\": a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "X(c): a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "X\xc3\xa9: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "X: a\0b\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "X: a\x01"
                  "b\r\n\r\n"),
     HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "X: a\x7f"
                  "b\r\n\r\n"),
     HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "X: a\x1b[2J\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    /* the host */
    {SLICE_INIT("GET / HTTP/1.1\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1\r\nX: y\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1\r\nHost: \r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "Host: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(G "Host: b\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), HTTP1_BAD_SYNTAX},
    /* versions and other protocols */
    {SLICE_INIT("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), HTTP1_BAD_VERSION},
    {SLICE_INIT("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), HTTP1_BAD_VERSION},
    {SLICE_INIT("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), HTTP1_BAD_VERSION},
    {SLICE_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HTTP1_BAD_VERSION},
    {SLICE_INIT("GET / HTTP/11\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.10\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / http/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / ICY/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / RTSP/1.0\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET /\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("\x00\x00"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("SSH-2.0-OpenSSH_9.2\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("HTTP/1.1 200 OK\r\n\r\n"), HTTP1_BAD_SYNTAX},
    /* the request line */
    {SLICE_INIT("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET /\x00x HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET a HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET http:// HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("get / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("G@T / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_SYNTAX},
    /* chunks */
    {SLICE_INIT(C "x\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "-1\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "+1\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "0x1\r\na\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C " 1\r\na\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "1 \r\na\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "1\na\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "1\ra\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "1\r\nab\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "2\r\na\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "1\r\na\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "1\r\na0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "0\r\nX : y\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "0\r\nX: y\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "0\r\n\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "1;a\nb\r\na\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "1;a=\x01\r\na\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "10000000000000000\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "10000000000000005\r\nhello\r\n0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "ffffffffffffffff\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "8000000000000000\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "1\r\na\r\n7fffffffffffffff\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT(C "3e9\r\n"), HTTP1_BODY_TOO_LARGE},
    {SLICE_INIT(C "1\r\na\r\n3e8\r\n"), HTTP1_BODY_TOO_LARGE},
    /* what follows a message is the next one */
    {SLICE_INIT(POST "Content-Length: 1\r\n\r\nab\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT(C "0\r\n\r\n0\r\n\r\n"), HTTP1_BAD_SYNTAX},
};

static const struct {
    struct slice bytes;
    enum http1_fault fault;
} bad_responses[] = {
    {SLICE_INIT("HTTP/1.1 OK\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("HTTP/1.1 2000 OK\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("HTTP/1.1 20 OK\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("HTTP/1.1 099 OK\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("HTTP/1.1  200 OK\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("HTTP/2 200\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("HTTP/2.0 200 OK\r\n\r\n"), HTTP1_BAD_VERSION},
    {SLICE_INIT("\r\nHTTP/1.1 200 OK\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("GET / HTTP/1.1\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("HTTP/1.1 200 O\x01K\r\n\r\n"), HTTP1_BAD_SYNTAX},
    {SLICE_INIT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
     HTTP1_BAD_FRAMING},
    {SLICE_INIT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
     HTTP1_BAD_FRAMING},
    {SLICE_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), HTTP1_BAD_FRAMING},
    {SLICE_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), HTTP1_BAD_FRAMING},
};

static void expect_fault(struct feed f, struct slice in, enum http1_fault fault)
{
    struct arena arena;
    arena_init(&arena, NULL, 64u << 20);
    struct slice whole = feed_notes(&arena, &f, in, in.len, in.len);
    if (f.fault != fault) {
        print_error("[%.*s] gave fault %d, not %d\n", SLICE_ARG(slice_head(in, 200)), (int)f.fault,
                    (int)fault);
    }
    assert_int_equal(f.fault, fault);
    assert_true(slice_eq(whole, feed_notes(&arena, &f, in, 1, 1)));
    for (size_t cut = 1; cut < in.len && in.len < 2000; cut++) {
        assert_true(slice_eq(whole, feed_notes(&arena, &f, in, cut, in.len)));
    }
    arena_deinit(&arena);
}

static void framing_attacks_are_refused(void **state)
{
    (void)state;
    _Static_assert(ARRAY_LEN(attacks) + ARRAY_LEN(bad_responses) > 120, "the table has shrunk");
    for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
        expect_fault((struct feed){0}, attacks[i].bytes, attacks[i].fault);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad_responses); i++) {
        expect_fault((struct feed){.is_response = true}, bad_responses[i].bytes,
                     bad_responses[i].fault);
    }
}

/* head + n times part + tail, in the arena. */
static struct slice repeated(struct arena *a, struct slice head, size_t n, struct slice part,
                             struct slice tail)
{
    struct text t = text_growing(a);
    text_add(&t, head);
    for (size_t i = 0; i < n; i++) {
        text_add(&t, part);
    }
    text_add(&t, tail);
    return text_slice(&t);
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, 64u << 20);
    struct feed none = {0};

    struct slice end = SLICE("\r\n\r\n");
    struct slice line = SLICE("X: y\r\n");
    expect_fault(none, repeated(&a, SLICE(G), 10000, line, end), HTTP1_HEAD_TOO_LARGE);
    expect_fault(none, repeated(&a, SLICE(G), 100, line, SLICE("\r\n")), HTTP1_HEAD_TOO_LARGE);
    expect_fault(none, repeated(&a, SLICE(G), 99, line, SLICE("\r\n")), HTTP1_OK);
    expect_fault(none, repeated(&a, SLICE(G "X: "), 70000, SLICE("y"), end), HTTP1_HEAD_TOO_LARGE);
    expect_fault(none, repeated(&a, SLICE(G), 70000, SLICE("y"), end), HTTP1_HEAD_TOO_LARGE);
    expect_fault(none, repeated(&a, SLICE(G "X: "), 60000, SLICE("y"), end), HTTP1_OK);
    expect_fault(none, repeated(&a, SLICE("GET /"), 20000, SLICE("a"), SLICE(" HTTP/1.1\r\n")),
                 HTTP1_URI_TOO_LONG);
    expect_fault(none, repeated(&a, SLICE("GET /"), 70000, SLICE("a"), SLICE_NONE),
                 HTTP1_URI_TOO_LONG);
    expect_fault(
        none,
        repeated(&a, SLICE("GET /"), 10000, SLICE("a"), SLICE(" HTTP/1.1\r\nHost: a\r\n\r\n")),
        HTTP1_OK);
    expect_fault((struct feed){.limits = {.head_max_bytes = 100, .headers_max = 9}},
                 repeated(&a, SLICE("GET /"), 200, SLICE("a"), SLICE_NONE), HTTP1_URI_TOO_LONG);
    expect_fault((struct feed){.limits = {.head_max_bytes = 100, .headers_max = 9}},
                 repeated(&a, SLICE(G "X: "), 200, SLICE("a"), SLICE_NONE), HTTP1_HEAD_TOO_LARGE);
    /* framing that outweighs the body */
    expect_fault(none, repeated(&a, SLICE(C "1;"), 20000, SLICE("a"), SLICE("\r\nx\r\n0\r\n\r\n")),
                 HTTP1_BAD_FRAMING);
    expect_fault(none,
                 repeated(&a, SLICE(C), 900, SLICE("1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n"),
                          SLICE("0\r\n\r\n")),
                 HTTP1_BAD_FRAMING);
    expect_fault(none, repeated(&a, SLICE(C "0\r\n"), 5000, line, SLICE("\r\n")),
                 HTTP1_BAD_FRAMING);
    expect_fault(none, repeated(&a, SLICE(C), 1000, SLICE("1\r\nx\r\n"), SLICE("0\r\n\r\n")),
                 HTTP1_OK);
    expect_fault(none, repeated(&a, SLICE(C), 1001, SLICE("1\r\nx\r\n"), SLICE("0\r\n\r\n")),
                 HTTP1_BODY_TOO_LARGE);
    expect_fault((struct feed){.is_response = true},
                 repeated(&a, SLICE("HTTP/1.1 200 OK\r\n\r\n"), 1001, SLICE("x"), SLICE_NONE),
                 HTTP1_BODY_TOO_LARGE);
    arena_deinit(&a);
}

static void the_head_says_what_was_sent(void **state)
{
    (void)state;
    struct arena a;
    struct http1_parser p;
    struct slice body;
    struct slice in =
        SLICE("POST http://gw/v1/x?key=a%20b&k=v&flag HTTP/1.1\r\nhOsT: gw\r\n"
              "X-Api-Key:  one \r\nCookie: c\r\nx-api-key: two\r\nExpect: 100-Continue\r\n"
              "Connection: TE , close\r\nContent-Length: 3\r\n\r\nabcdef");
    arena_init(&a, NULL, 1u << 20);
    http1_init(&p, false, &a, &small_limits);
    assert_int_equal(http1_next(&p, &in, &body), HTTP1_HEAD);
    const struct http_head *h = &p.head;
    assert_int_equal(h->verb, VERB_POST);
    assert_true(slice_eq(h->path, SLICE("/v1/x")));
    assert_true(slice_eq(h->query, SLICE("key=a%20b&k=v&flag")));
    assert_int_equal(h->header_count, 7);
    assert_true(slice_eq(http_head_get(h, FIELD_X_API_KEY), SLICE("one")));
    assert_null(http_head_get(h, FIELD_AUTHORIZATION).ptr);
    assert_true(slice_eq(http_head_find(h, SLICE("COOKIE")), SLICE("c")));
    assert_null(http_head_find(h, SLICE("cook")).ptr);
    assert_int_equal(h->content_length, 3);
    assert_true(h->expects_continue);
    assert_false(h->is_keep_alive);
    assert_true(slice_eq(http_query_get(&a, h->query, SLICE("key")), SLICE("a b")));
    assert_true(slice_eq(http_query_get(&a, h->query, SLICE("k")), SLICE("v")));
    assert_int_equal(http_query_get(&a, h->query, SLICE("flag")).len, 0);
    assert_non_null(http_query_get(&a, h->query, SLICE("flag")).ptr);
    assert_null(http_query_get(&a, h->query, SLICE("ke")).ptr);
    assert_int_equal(http1_next(&p, &in, &body), HTTP1_BODY);
    assert_true(slice_eq(body, SLICE("abc")));
    assert_int_equal(http1_next(&p, &in, &body), HTTP1_END);
    assert_true(slice_eq(in, SLICE("def"))); /* the next message is left where it is */
    assert_int_equal(http1_next(&p, &in, &body), HTTP1_MORE);
    assert_int_equal(in.len, 3);
    arena_deinit(&a);
}

static void every_known_field_is_found_by_any_case(void **state)
{
    (void)state;
    static const struct slice names[] = {
        SLICE_INIT(""),
#define FIELD(id, text) SLICE_INIT(text),
#include "wire/fields.def"
#undef FIELD
    };
    for (size_t f = 1; f < ARRAY_LEN(names); f++) {
        for (int variant = 0; variant < 3; variant++) {
            struct arena a;
            struct http1_parser p;
            struct slice body;
            arena_init(&a, NULL, 1u << 20);
            char name[64];
            size_t len = names[f].len;
            for (size_t i = 0; i < len; i++) {
                char c = names[f].ptr[i];
                bool is_letter = c >= 'a' && c <= 'z';
                name[i] = (char)(variant && is_letter && (variant == 2 || i % 2) ? c - 32 : c);
            }
            http1_init(&p, true, &a, &small_limits);
            struct slice in =
                arena_printf(&a, "HTTP/1.1 204 No\r\n%.*s: chunked\r\n%.*sx: y\r\n\r\n", (int)len,
                             name, (int)len, name);
            if (f == FIELD_CONTENT_LENGTH) {
                in = arena_printf(&a, "HTTP/1.1 204 No\r\n%.*s: 7\r\n%.*sx: y\r\n\r\n", (int)len,
                                  name, (int)len, name);
            }
            assert_int_equal(http1_next(&p, &in, &body), HTTP1_HEAD);
            assert_int_equal(p.head.first[f], 1);
            assert_int_equal(p.head.headers[0].field, f);
            assert_true(p.head.headers[1].field != f);
            arena_deinit(&a);
        }
    }
}

static void escapes_are_decoded_or_refused(void **state)
{
    (void)state;
    static const struct {
        struct slice in, out; /* out.ptr NULL: refused */
    } cases[] = {
        {SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("abc"), SLICE_INIT("abc")},
        {SLICE_INIT("a%2Fb"), SLICE_INIT("a/b")},
        {SLICE_INIT("%41%4a%5A"), SLICE_INIT("AJZ")},
        {SLICE_INIT("a+b"), SLICE_INIT("a+b")},
        {SLICE_INIT("%e2%82%ac"), SLICE_INIT("\xe2\x82\xac")},
        {SLICE_INIT("%"), {NULL, 0}},
        {SLICE_INIT("%4"), {NULL, 0}},
        {SLICE_INIT("a%zz"), {NULL, 0}},
        {SLICE_INIT("%00"), {NULL, 0}},
        {SLICE_INIT("%2"), {NULL, 0}},
        {SLICE_INIT("%%41"), {NULL, 0}},
        {SLICE_INIT("%25%32%35"), SLICE_INIT("%25")},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        arena_init(&a, NULL, 1u << 16);
        struct slice out = http_percent_decode(&a, cases[i].in);
        assert_int_equal(out.ptr == NULL, cases[i].out.ptr == NULL);
        assert_true(!out.ptr || slice_eq(out, cases[i].out));
        arena_deinit(&a);
    }
}

/* A chunk that lies whole in the input is read here, one that comes byte by byte by llhttp: what
 * comes out is the same, whatever stands in any place of the body. */
static void chunks_are_the_same_whole_and_byte_by_byte(void **state)
{
    (void)state;
    static const struct slice bodies[] = {
        SLICE_INIT(C "5\r\nhello\r\nA\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n"),
        SLICE_INIT(C "1\r\na\r\n2;name=value\r\nbc\r\n02\r\nde\r\n0\r\nX-T: v\r\n\r\n"),
        SLICE_INIT(C "0000002\r\nab\r\n00000002\r\ncd\r\nb\r\n\r\n0\r\n\r\nabcd\r\n0\r\n\r\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        char bytes[256];
        size_t len = bodies[i].len;
        for (size_t at = sizeof(C) - 1; at < len; at++) {
            memcpy(bytes, bodies[i].ptr, len);
            for (int byte = 0; byte < 256; byte++) {
                struct arena a;
                struct feed f = {.limits = small_limits};
                bytes[at] = (char)byte;
                arena_init(&a, NULL, 1u << 20);
                struct text whole = text_growing(&a), apart = text_growing(&a);
                feed_all(&f, slice_of(bytes, len), len, len, &whole);
                feed_all(&f, slice_of(bytes, len), 1, 1, &apart);
                if (!slice_eq(text_slice(&whole), text_slice(&apart))) {
                    fail_msg("body %zu, byte %d at %zu:\n%.*s\nor\n%.*s", i, byte, at,
                             SLICE_ARG(text_slice(&whole)), SLICE_ARG(text_slice(&apart)));
                }
                arena_deinit(&a);
            }
        }
    }
}

/* A smaller and smaller arena ends in HTTP1_NO_MEMORY or in the full result, never in between. */
static void no_memory_is_a_fault(void **state)
{
    (void)state;
    size_t refused = 0;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        for (size_t bytes = 1; bytes < 20000; bytes += bytes < 300 ? 1 : 512) {
            for (size_t step = 1; step < 100; step += 33) {
                struct arena notes_arena;
                arena_init(&notes_arena, NULL, 1u << 20);
                struct feed f = {.arena_bytes = bytes};
                (void)feed_notes(&notes_arena, &f, requests[i].bytes, step, step);
                assert_true(f.fault == HTTP1_OK || f.fault == HTTP1_NO_MEMORY);
                refused += f.fault == HTTP1_NO_MEMORY;
                assert_true(f.fault != HTTP1_OK || f.messages == requests[i].messages);
                arena_deinit(&notes_arena);
            }
        }
    }
    assert_true(refused > 0);
}

/* A typical request: head bytes and header table. */
static void a_usual_head_fits_two_blocks(void **state)
{
    (void)state;
#ifndef ARENA_EMULATE
    struct arena a;
    struct http1_parser p;
    struct slice body;
    arena_init(&a, NULL, 1u << 20);
    struct slice in = repeated(
        &a, SLICE(G), 19, SLICE("X-Some-Header: 01234567890123456789012345\r\n"), SLICE("\r\n"));
    struct arena head;
    arena_init(&head, NULL, 1u << 20);
    http1_init(&p, false, &head, &small_limits);
    assert_int_equal(http1_next(&p, &in, &body), HTTP1_HEAD);
    assert_true(head.held_bytes <= 2 * ARENA_BLOCK_BYTES);
    arena_deinit(&head);
    arena_deinit(&a);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_of_a_request_gives_the_same),
        cmocka_unit_test(every_cut_of_a_response_gives_the_same),
        cmocka_unit_test(every_byte_is_taken_only_where_llhttp_takes_it),
        cmocka_unit_test(framing_attacks_are_refused),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(the_head_says_what_was_sent),
        cmocka_unit_test(every_known_field_is_found_by_any_case),
        cmocka_unit_test(escapes_are_decoded_or_refused),
        cmocka_unit_test(chunks_are_the_same_whole_and_byte_by_byte),
        cmocka_unit_test(no_memory_is_a_fault),
        cmocka_unit_test(a_usual_head_fits_two_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
