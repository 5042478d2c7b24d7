#define _GNU_SOURCE
#include "sigv4.h"

#include "digest.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PARAMETERS_MAX = 32 };

static const char algorithm[] = "AWS4-HMAC-SHA256";

struct claim { /* of the authorization header; borrowed */
    struct str key_id;
    struct str scope; /* date/region/service/aws4_request */
    struct str signed_headers;
    struct str signature;
};

/* The text after name= up to a comma or the end. */
static struct str field(struct str header, const char *name)
{
    const char *at = memmem(header.ptr, header.len, name, strlen(name));
    if (at == NULL) {
        return STR("");
    }
    at += strlen(name);
    size_t left = header.len - (size_t)(at - header.ptr);
    const char *end = memchr(at, ',', left);
    return (struct str){at, end != NULL ? (size_t)(end - at) : left};
}

static struct str take_until(struct str *rest, char stop)
{
    const char *at = memchr(rest->ptr, stop, rest->len);
    size_t n = at != NULL ? (size_t)(at - rest->ptr) : rest->len;
    struct str taken = {rest->ptr, n};
    n += at != NULL ? 1 : 0;
    *rest = (struct str){rest->ptr + n, rest->len - n};
    return taken;
}

static bool read_claim(const struct request *r, struct claim *out)
{
    struct str header = http_header(r, "authorization");
    size_t n = sizeof(algorithm) - 1;
    if (header.len < n || memcmp(header.ptr, algorithm, n) != 0) {
        return false;
    }
    struct str credential = field(header, "Credential=");
    out->key_id = take_until(&credential, '/');
    out->scope = credential;
    out->signed_headers = field(header, "SignedHeaders=");
    out->signature = field(header, "Signature=");
    return out->key_id.len > 0 && out->scope.len > 0 && out->signed_headers.len > 0 &&
           out->signature.len == 2 * DIGEST_BYTES;
}

/* The path as it came, encoded once more: what was %3A becomes %253A. */
static void put_path(struct buf *out, struct str path)
{
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     strchr("-_.~/", c) != NULL;
        if (plain) {
            buf_add(out, &c, 1);
        } else {
            buf_printf(out, "%%%02X", c);
        }
    }
}

static int by_bytes(const void *a, const void *b)
{
    const struct str *x = a;
    const struct str *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->ptr, y->ptr, n);
    return order != 0 ? order : x->len < y->len ? -1 : x->len > y->len ? 1 : 0;
}

static void put_query(struct buf *out, const struct request *r)
{
    struct str parameters[PARAMETERS_MAX] = {{NULL, 0}};
    size_t n = 0;
    size_t skip = r->path.len + 1;
    struct str rest =
        r->target.len > skip ? (struct str){r->target.ptr + skip, r->target.len - skip} : STR("");
    while (rest.len > 0 && n < PARAMETERS_MAX) {
        parameters[n++] = take_until(&rest, '&');
    }
    qsort(parameters, n, sizeof(parameters[0]), by_bytes);
    for (size_t i = 0; i < n; i++) {
        buf_str(out, i > 0 ? "&" : "");
        buf_put(out, parameters[i]);
        if (memchr(parameters[i].ptr, '=', parameters[i].len) == NULL) {
            buf_str(out, "=");
        }
    }
}

/* Values are trimmed and inner runs of spaces are one; false when a header is missing. */
static bool put_headers(struct buf *out, const struct request *r, struct str names)
{
    while (names.len > 0) {
        char *name = xdup(take_until(&names, ';'));
        struct str value = http_header(r, name);
        buf_str(out, name);
        buf_str(out, ":");
        free(name);
        if (value.ptr == NULL) {
            return false;
        }
        for (size_t i = 0; i < value.len; i++) {
            if (value.ptr[i] != ' ' || (i > 0 && value.ptr[i - 1] != ' ')) {
                buf_add(out, &value.ptr[i], 1);
            }
        }
        buf_str(out, "\n");
    }
    return true;
}

static void sign(struct buf *out_hex, const char *secret, struct str scope, struct str text)
{
    unsigned char key[DIGEST_BYTES];
    struct buf first = {0};
    buf_str(&first, "AWS4");
    buf_str(&first, secret);
    struct str by = buf_view(&first);
    while (scope.len > 0) { /* date, region, service, "aws4_request" */
        unsigned char next[DIGEST_BYTES];
        digest_hmac(next, by, take_until(&scope, '/'));
        memcpy(key, next, sizeof(key));
        by = (struct str){(const char *)key, sizeof(key)};
    }
    unsigned char signature[DIGEST_BYTES];
    digest_hmac(signature, by, text);
    digest_put_hex(out_hex, signature, sizeof(signature));
    buf_free(&first);
}

/* False when a header that was signed is missing or the body is not the one that was signed. */
static bool put_canonical(struct buf *out, const struct request *r, const struct claim *claim)
{
    struct buf hash = {0};
    struct str told = http_header(r, "x-amz-content-sha256");
    digest_hex(&hash, r->body);
    buf_put(out, r->method);
    buf_str(out, "\n");
    put_path(out, r->path);
    buf_str(out, "\n");
    put_query(out, r);
    buf_str(out, "\n");
    bool ok = put_headers(out, r, claim->signed_headers);
    buf_str(out, "\n");
    buf_put(out, claim->signed_headers);
    buf_str(out, "\n");
    buf_put(out, buf_view(&hash));
    ok = ok &&
         (told.ptr == NULL || (told.len == hash.len && memcmp(told.ptr, hash.ptr, hash.len) == 0));
    buf_free(&hash);
    return ok;
}

static bool has_host(struct str signed_headers)
{
    while (signed_headers.len > 0) {
        if (str_is(take_until(&signed_headers, ';'), "host")) {
            return true;
        }
    }
    return false;
}

const char *sigv4_fault(const struct request *r, const char *keys)
{
    const char *colon = strchr(keys, ':');
    size_t id_len = colon != NULL ? (size_t)(colon - keys) : strlen(keys);
    struct claim claim = {0};
    struct str date = http_header(r, "x-amz-date");
    if (!read_claim(r, &claim) || !has_host(claim.signed_headers)) {
        return "Authorization header requires 'Credential', 'SignedHeaders' with host and "
               "'Signature'.";
    }
    if (date.len != 16 || claim.scope.len < 8 || memcmp(date.ptr, claim.scope.ptr, 8) != 0) {
        return "Date in Credential scope does not match x-amz-date.";
    }
    if (claim.key_id.len != id_len || memcmp(claim.key_id.ptr, keys, id_len) != 0) {
        return "The security token included in the request is invalid.";
    }
    struct buf canonical = {0};
    struct buf text = {0};
    struct buf signature = {0};
    bool ok = put_canonical(&canonical, r, &claim);
    buf_printf(&text, "%s\n", algorithm);
    buf_put(&text, date);
    buf_str(&text, "\n");
    buf_put(&text, claim.scope);
    buf_str(&text, "\n");
    digest_hex(&text, buf_view(&canonical));
    sign(&signature, colon != NULL ? colon + 1 : "", claim.scope, buf_view(&text));
    ok = ok && memcmp(signature.ptr, claim.signature.ptr, claim.signature.len) == 0;
    buf_free(&canonical);
    buf_free(&text);
    buf_free(&signature);
    return ok ? NULL
              : "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method.";
}
