#include "core/sigv4.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/secret.h"

#include <assert.h>
#include <stdlib.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

struct slice sigv4_date(int64_t now_unix_ns, char *out)
{
    char long_form[CLOCK_RFC3339_BYTES + 1];
    size_t len = 0;
    (void)clock_rfc3339(now_unix_ns, long_form); /* 2015-08-30T12:36:00.000Z */
    for (const char *p = long_form; *p && *p != '.' && len < SIGV4_DATE_BYTES - 1; p++) {
        if (*p != '-' && *p != ':') {
            out[len++] = *p;
        }
    }
    out[len++] = 'Z';
    assert(len == SIGV4_DATE_BYTES);
    return slice_of(out, len);
}

static void add_hex(struct text *t, const struct sha256 *digest)
{
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        text_addf(t, "%02x", (unsigned)digest->bytes[i]);
    }
}

static int by_bytes(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    size_t common = x->len < y->len ? x->len : y->len;
    int order = common ? memcmp(x->ptr, y->ptr, common) : 0;
    return order ? order : x->len < y->len ? -1 : x->len > y->len;
}

/* By name, then by value: as whole texts a name that goes on would sort before one that ends. */
static int by_name(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    struct slice x_name = slice_head(*x, slice_find(*x, '='));
    struct slice y_name = slice_head(*y, slice_find(*y, '='));
    int order = by_bytes(&x_name, &y_name);
    return order ? order : by_bytes(x, y);
}

/* Parameters are encoded as they came, sorted; a name alone gets its '='. */
static enum err add_query(struct text *t, struct slice query)
{
    struct slice parameters[SIGV4_PARAMETERS_MAX];
    size_t count = 0;
    while (query.len) {
        if (count == SIGV4_PARAMETERS_MAX) {
            return E_LIMIT;
        }
        size_t len = slice_find(query, '&');
        parameters[count++] = slice_head(query, len);
        query = slice_from(query, len + 1);
    }
    if (count) {
        qsort(parameters, count, sizeof(parameters[0]), by_name);
    }
    for (size_t i = 0; i < count; i++) {
        text_add(t, i ? SLICE("&") : SLICE_NONE);
        text_add(t, parameters[i]);
        if (slice_find(parameters[i], '=') == parameters[i].len) {
            text_add_char(t, '=');
        }
    }
    return OK;
}

/* Trimmed, and of spaces inside one. */
static void add_value(struct text *t, struct slice value)
{
    struct slice v = slice_trim(value);
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] != ' ' || v.ptr[i - 1] != ' ') {
            text_add_char(t, v.ptr[i]);
        }
    }
}

static void add_names(struct text *t, const struct sigv4_request *r)
{
    for (size_t i = 0; i < r->header_count; i++) {
        text_add(t, i ? SLICE(";") : SLICE_NONE);
        text_add(t, r->headers[i].name);
    }
}

static enum err add_canonical(struct text *t, const struct sigv4_request *r)
{
    struct sha256 body = sha256_of_parts(r->body, r->body_count);
    text_add(t, r->method);
    text_add_char(t, '\n');
    text_add_uri(t, r->path, true);
    text_add_char(t, '\n');
    enum err e = add_query(t, r->query);
    text_add_char(t, '\n');
    for (size_t i = 0; i < r->header_count; i++) {
        assert(!i || by_bytes(&r->headers[i - 1].name, &r->headers[i].name) < 0);
        text_add(t, r->headers[i].name);
        text_add_char(t, ':');
        add_value(t, r->headers[i].value);
        text_add_char(t, '\n');
    }
    text_add_char(t, '\n');
    add_names(t, r);
    text_add_char(t, '\n');
    add_hex(t, &body);
    return e;
}

static struct slice bytes_of(const struct sha256 *digest)
{
    return slice_of((const char *)digest->bytes, SHA256_BYTES);
}

/* "AWS4" + secret, then the day, the region, the service and the end, each by the one before. */
static void derive(const struct sigv4_key *key, struct slice day, struct sha256 *out)
{
    char room[4 + SIGV4_SECRET_MAX_BYTES];
    const struct slice steps[] = {day, key->region, key->service, SLICE("aws4_request")};
    struct text first = text_in(room, sizeof(room));
    TEXT_ADD(&first, "AWS4");
    text_add(&first, key->secret);
    assert(!first.is_full);
    struct sha256 at = hmac_sha256(text_slice(&first), steps[0]);
    for (size_t i = 1; i < ARRAY_LEN(steps); i++) {
        at = hmac_sha256(bytes_of(&at), steps[i]);
    }
    *out = at;
    secret_wipe(room, sizeof(room));
    secret_wipe(&at, sizeof(at));
}

enum err sigv4_sign(const struct sigv4_request *r, const struct sigv4_key *key, struct slice date,
                    struct arena *scratch, struct text *out)
{
    struct text canonical = text_growing(scratch), text = text_growing(scratch);
    struct sha256 derived;
    struct slice day = slice_head(date, 8);
    assert(date.len == SIGV4_DATE_BYTES);
    if (key->secret.len > SIGV4_SECRET_MAX_BYTES) {
        return E_LIMIT;
    }
    struct slice scope = arena_printf(scratch, "%.*s/%.*s/%.*s/aws4_request", SLICE_ARG(day),
                                      SLICE_ARG(key->region), SLICE_ARG(key->service));
    enum err e = add_canonical(&canonical, r);
    if (e || !scope.ptr || canonical.is_full) {
        return e ? e : E_NOMEM;
    }
    struct sha256 digest = sha256_of(text_slice(&canonical));
    text_addf(&text, ALGORITHM "\n%.*s\n%.*s\n", SLICE_ARG(date), SLICE_ARG(scope));
    add_hex(&text, &digest);
    derive(key, day, &derived);
    struct sha256 signature = hmac_sha256(bytes_of(&derived), text_slice(&text));
    secret_wipe(&derived, sizeof(derived));
    text_addf(out, ALGORITHM " Credential=%.*s/%.*s, SignedHeaders=", SLICE_ARG(key->id),
              SLICE_ARG(scope));
    add_names(out, r);
    TEXT_ADD(out, ", Signature=");
    add_hex(out, &signature);
    return text.is_full || out->is_full ? E_NOMEM : OK;
}
