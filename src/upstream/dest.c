#include "core/check.h"
#include "core/hash.h"
#include "core/text.h"
#include "upstream/attempt.h"

#include <openssl/evp.h>

enum { HTTP_PORT = 80, HTTPS_PORT = 443, USER_INFO_MAX_BYTES = 1024 };

/* scheme://[user@]host[:port][/path], in slices of the text. */
struct url {
    bool is_tls;
    struct slice user_info; /* as written */
    struct slice host;      /* without brackets */
    bool is_bracketed;
    uint16_t port;
    struct slice path; /* from '/' on, or empty */
};

static bool is_host_char(char c, bool is_bracketed)
{
    bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return is_alnum || c == '.' || (is_bracketed ? c == ':' : c == '-' || c == '_');
}

/* Printable, and nothing that would end or split the path in a request line. */
static bool is_path(struct slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '?' || c == '#' || c == '"' || c == '<' || c == '>') {
            return false;
        }
    }
    return true;
}

static bool parse_port(struct slice text, uint16_t *out_port)
{
    int64_t port;
    if (text.len == 0 || !slice_to_i64(text, &port) || port < 1 || port > UINT16_MAX ||
        text.ptr[0] == '-') {
        return false;
    }
    *out_port = (uint16_t)port;
    return true;
}

/* host, [v6] or either with :port. *inout_port stays when none is given. */
static bool parse_host_port(struct slice text, struct url *out_url)
{
    struct slice rest;
    out_url->is_bracketed = text.len && text.ptr[0] == '[';
    if (out_url->is_bracketed) {
        size_t end = slice_find(text, ']');
        if (end == text.len) {
            return false;
        }
        out_url->host = slice_of(text.ptr + 1, end - 1);
        rest = slice_from(text, end + 1);
    } else {
        size_t end = slice_find(text, ':');
        out_url->host = slice_head(text, end);
        rest = slice_from(text, end);
    }
    if (out_url->host.len == 0 || out_url->host.len > DNS_HOST_MAX_BYTES) {
        return false;
    }
    for (size_t i = 0; i < out_url->host.len; i++) {
        if (!is_host_char(out_url->host.ptr[i], out_url->is_bracketed)) {
            return false;
        }
    }
    return rest.len == 0 || (rest.ptr[0] == ':' && parse_port(slice_from(rest, 1), &out_url->port));
}

static bool parse_url(struct slice text, struct url *out_url)
{
    struct slice http = SLICE("http://"), https = SLICE("https://");
    *out_url = (struct url){0};
    if (slice_eq_nocase(slice_head(text, https.len), https)) {
        out_url->is_tls = true;
        text = slice_from(text, https.len);
    } else if (slice_eq_nocase(slice_head(text, http.len), http)) {
        text = slice_from(text, http.len);
    } else {
        return false;
    }
    out_url->port = out_url->is_tls ? HTTPS_PORT : HTTP_PORT;
    size_t end = slice_find(text, '/');
    struct slice authority = slice_head(text, end);
    out_url->path = slice_from(text, end);
    size_t at = slice_find(authority, '@');
    if (at < authority.len) {
        out_url->user_info = slice_head(authority, at);
        authority = slice_from(authority, at + 1);
    }
    return is_path(out_url->path) && parse_host_port(authority, out_url);
}

/* ---- NO_PROXY ---- */

/* "host" and ".host" match the host and what is below it, "*" everything; ":port" narrows. */
static bool matches(struct slice entry, struct slice host, uint16_t port)
{
    struct url u = {.port = port};
    if (slice_eq(entry, SLICE("*"))) {
        return true;
    }
    if (slice_starts(entry, SLICE("*."))) {
        entry = slice_from(entry, 1);
    }
    bool is_bare_v6 = slice_find(entry, ':') < entry.len &&
                      slice_find(slice_from(entry, slice_find(entry, ':') + 1), ':') <
                          slice_from(entry, slice_find(entry, ':') + 1).len &&
                      entry.ptr[0] != '[';
    if (is_bare_v6) {
        return slice_eq_nocase(entry, host);
    }
    if (!parse_host_port(entry, &u) || u.port != port) {
        return false;
    }
    struct slice name = slice_starts(u.host, SLICE(".")) ? slice_from(u.host, 1) : u.host;
    if (name.len == 0 || host.len < name.len) {
        return false;
    }
    struct slice tail = slice_from(host, host.len - name.len);
    return slice_eq_nocase(tail, name) && (tail.ptr == host.ptr || tail.ptr[-1] == '.');
}

static bool is_direct(struct slice no_proxy, struct slice host, uint16_t port)
{
    while (no_proxy.len) {
        size_t end = slice_find(no_proxy, ',');
        struct slice entry = slice_trim(slice_head(no_proxy, end));
        if (entry.len && matches(entry, host, port)) {
            return true;
        }
        no_proxy = slice_from(no_proxy, end + 1);
    }
    return false;
}

/* ---- the destination ---- */

static struct slice lower_case(struct arena *a, struct slice s)
{
    char *copy = arena_alloc(a, s.len + 1);
    if (!copy) {
        return SLICE_NONE;
    }
    for (size_t i = 0; i < s.len; i++) {
        unsigned c = (unsigned char)s.ptr[i];
        copy[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20u : c);
    }
    copy[s.len] = '\0';
    return slice_of(copy, s.len);
}

/* user:password -> "Basic ..." (RFC 7617). */
static enum err make_authorization(struct arena *a, struct slice user_info, struct slice *out_value)
{
    if (user_info.len > USER_INFO_MAX_BYTES) {
        return E_LIMIT;
    }
    struct slice decoded = http_percent_decode(a, user_info);
    if (!decoded.ptr) {
        return E_SYNTAX;
    }
    static const struct slice prefix = SLICE_INIT("Basic ");
    size_t encoded_len = (decoded.len + 2) / 3 * 4;
    char *value = arena_alloc(a, prefix.len + encoded_len + 1);
    if (!value) {
        return E_NOMEM;
    }
    memcpy(value, prefix.ptr, prefix.len);
    (void)EVP_EncodeBlock((unsigned char *)value + prefix.len, (const unsigned char *)decoded.ptr,
                          (int)decoded.len);
    *out_value = slice_of(value, prefix.len + encoded_len);
    return OK;
}

/* A proxy may be given without a scheme, as elsewhere. */
static enum err set_proxy(struct arena *a, struct slice proxy, struct upstream_dest *dest)
{
    struct url u;
    if (slice_search(proxy, SLICE("://")) == proxy.len) {
        proxy = arena_printf(a, "http://%.*s", SLICE_ARG(proxy));
        if (!proxy.ptr) {
            return E_NOMEM;
        }
    }
    if (!parse_url(proxy, &u) || u.path.len > 1) {
        return E_SYNTAX;
    }
    if (u.is_tls) {
        return E_UNSUPPORTED; /* TLS to the proxy itself */
    }
    dest->proxy_host = lower_case(a, u.host);
    dest->proxy_port = u.port;
    if (!dest->proxy_host.ptr) {
        return E_NOMEM;
    }
    return u.user_info.len ? make_authorization(a, u.user_info, &dest->proxy_authorization) : OK;
}

static enum err set_keys(struct arena *a, const struct url *u, struct upstream_dest *dest)
{
    struct text authority = text_growing(a), key = text_growing(a);
    text_add(&authority, u->is_bracketed ? SLICE("[") : SLICE_NONE);
    text_add(&authority, dest->host);
    text_add(&authority, u->is_bracketed ? SLICE("]") : SLICE_NONE);
    if (dest->port != (dest->is_tls ? HTTPS_PORT : HTTP_PORT)) {
        text_add_char(&authority, ':');
        text_add_i64(&authority, dest->port);
    }
    dest->authority = text_slice(&authority);
    struct sha256 secret = sha256_of(dest->proxy_authorization); /* who the proxy takes us for */
    text_addf(&key, "%s://%.*s:%u|%.*s:%u:", dest->is_tls ? "https" : "http", SLICE_ARG(dest->host),
              (unsigned)dest->port, SLICE_ARG(dest->proxy_host), (unsigned)dest->proxy_port);
    for (size_t i = 0; i < 8; i++) {
        text_addf(&key, "%02x", secret.bytes[i]);
    }
    text_addf(&key, "|%.*s", SLICE_ARG(dest->ca_file));
    dest->pool_key = text_slice(&key);
    return authority.is_full || key.is_full ? E_NOMEM : OK;
}

/* NOLINTNEXTLINE(readability-function-size): seven parameters, two of them results */
enum err upstream_dest_parse(struct arena *a, struct slice url, struct slice proxy,
                             struct slice no_proxy, struct slice ca_file,
                             struct upstream_dest *out_dest, struct slice *out_base_path)
{
    struct url u;
    if (!parse_url(url, &u) || u.user_info.len) {
        return E_SYNTAX;
    }
    struct upstream_dest dest = {.is_tls = u.is_tls, .port = u.port};
    while (u.path.len && u.path.ptr[u.path.len - 1] == '/') {
        u.path.len--;
    }
    struct slice path = arena_dup(a, u.path);
    dest.host = lower_case(a, u.host);
    dest.ca_file = arena_dup(a, ca_file);
    if (!dest.host.ptr || !path.ptr || !dest.ca_file.ptr) {
        return E_NOMEM;
    }
    bool is_proxied = u.is_tls && proxy.len && !is_direct(no_proxy, dest.host, dest.port);
    enum err e = is_proxied ? set_proxy(a, proxy, &dest) : OK;
    e = e == OK ? set_keys(a, &u, &dest) : e;
    if (e == OK) {
        *out_dest = dest;
        *out_base_path = path;
    }
    return e;
}
