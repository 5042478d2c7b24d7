#define _GNU_SOURCE
#include "oauth.h"

#include "digest.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAC_DIGITS = 16, LIFE_DEFAULT_S = 3600, ASSERTION_LIFE_MAX_S = 3600 };

static const char json_type[] = "application/json";

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- tokens --- */

static void put_mac(struct buf *out, struct str text)
{
    unsigned char mac[DIGEST_BYTES];
    digest_hmac(mac, STR("the simulator's own key"), text);
    digest_put_hex(out, mac, MAC_DIGITS / 2);
}

static void put_token(struct buf *out, int64_t life_s)
{
    static atomic_int_fast64_t number;
    size_t begin = out->len;
    buf_printf(out, "sim.%" PRIdFAST64 ".%" PRId64, atomic_fetch_add(&number, 1) + 1,
               now_ms() + life_s * 1000);
    struct buf mac = {0};
    put_mac(&mac, (struct str){out->ptr + begin, out->len - begin});
    buf_str(out, ".");
    buf_put(out, buf_view(&mac));
    buf_free(&mac);
}

bool oauth_is_good(struct str token)
{
    struct buf text = {0};
    struct buf mac = {0};
    bool good = false;
    if (token.len > MAC_DIGITS + 1) {
        buf_put(&text, (struct str){token.ptr, token.len - MAC_DIGITS - 1});
        put_mac(&mac, buf_view(&text));
        buf_add(&text, "", 1);
        const char *number = strchr(text.ptr, '.');
        const char *until = number != NULL ? strchr(number + 1, '.') : NULL;
        good = until != NULL &&
               memcmp(mac.ptr, token.ptr + token.len - MAC_DIGITS, MAC_DIGITS) == 0 &&
               strtoll(until + 1, NULL, 10) > now_ms();
    }
    buf_free(&text);
    buf_free(&mac);
    return good;
}

/* --- the form --- */

static void put_decoded(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char hex[3] = {0};
        char byte = s.ptr[i] == '+' ? ' ' : s.ptr[i];
        if (byte == '%' && i + 2 < s.len) {
            memcpy(hex, s.ptr + i + 1, 2);
            byte = (char)strtol(hex, NULL, 16);
            i += 2;
        }
        buf_add(out, &byte, 1);
    }
}

/* The caller frees it; empty when the field is not there. */
static struct buf field(struct str form, const char *name)
{
    struct buf out = {0};
    size_t len = strlen(name);
    while (form.len > 0) {
        const char *end = memchr(form.ptr, '&', form.len);
        size_t n = end != NULL ? (size_t)(end - form.ptr) : form.len;
        if (n > len && form.ptr[len] == '=' && memcmp(form.ptr, name, len) == 0) {
            put_decoded(&out, (struct str){form.ptr + len + 1, n - len - 1});
            break;
        }
        size_t step = end != NULL ? n + 1 : n;
        form = (struct str){form.ptr + step, form.len - step};
    }
    return out;
}

static bool field_is(struct str form, const char *name, struct str value)
{
    struct buf given = field(form, name);
    bool same = str_same(buf_view(&given), value);
    buf_free(&given);
    return same;
}

/* --- what is proved --- */

static const char *client_fault(const struct ask *a)
{
    const char *colon = a->conf->oauth_client != NULL ? strchr(a->conf->oauth_client, ':') : NULL;
    if (colon == NULL) {
        return "unauthorized_client";
    }
    struct str id = {a->conf->oauth_client, (size_t)(colon - a->conf->oauth_client)};
    struct str secret = {colon + 1, strlen(colon + 1)};
    if (!field_is(a->http->body, "client_id", id) ||
        !field_is(a->http->body, "client_secret", secret)) {
        return "invalid_client";
    }
    struct buf scope = field(a->http->body, "scope");
    bool told = scope.len > 0;
    buf_free(&scope);
    return told ? NULL : "invalid_scope";
}

static struct buf unbase64url(struct str s)
{
    struct buf text = {0};
    struct buf out = {0};
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i] == '-' ? '+' : s.ptr[i] == '_' ? '/' : s.ptr[i];
        buf_add(&text, &c, 1);
    }
    size_t padding = (4 - text.len % 4) % 4;
    buf_repeat(&text, '=', padding);
    buf_room(&out, text.len + 1);
    int n =
        EVP_DecodeBlock((unsigned char *)out.ptr, (const unsigned char *)text.ptr, (int)text.len);
    out.len = n > 0 && (size_t)n >= padding ? (size_t)n - padding : 0;
    buf_free(&text);
    return out;
}

static bool is_signed(const char *key_file, struct str input, struct str signature)
{
    FILE *f = fopen(key_file, "r");
    EVP_PKEY *key = f != NULL ? PEM_read_PUBKEY(f, NULL, NULL, NULL) : NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (f != NULL) {
        (void)fclose(f);
    }
    bool good = key != NULL && ctx != NULL &&
                EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerify(ctx, (const unsigned char *)signature.ptr, signature.len,
                                 (const unsigned char *)input.ptr, input.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return good;
}

static bool are_claims_good(struct str json)
{
    yyjson_doc *doc = yyjson_read(json.ptr, json.len, 0);
    yyjson_val *claims = yyjson_doc_get_root(doc);
    int64_t now_s = now_ms() / 1000;
    int64_t from = yyjson_get_sint(yyjson_obj_get(claims, "iat"));
    int64_t until = yyjson_get_sint(yyjson_obj_get(claims, "exp"));
    struct str audience = json_member(claims, "aud");
    bool good = json_member(claims, "iss").len > 0 && audience.len > 0 &&
                memmem(json_member(claims, "scope").ptr, json_member(claims, "scope").len,
                       "cloud-platform", 14) != NULL &&
                from <= now_s && until > now_s && until - from <= ASSERTION_LIFE_MAX_S;
    yyjson_doc_free(doc);
    return good;
}

static const char *assertion_fault(const struct ask *a)
{
    struct buf jwt = field(a->http->body, "assertion");
    const char *dot = jwt.len > 0 ? memchr(jwt.ptr, '.', jwt.len) : NULL;
    const char *last = jwt.len > 0 ? memrchr(jwt.ptr, '.', jwt.len) : NULL;
    bool good = a->conf->oauth_key != NULL && dot != NULL && last > dot;
    if (good) {
        struct buf header = unbase64url((struct str){jwt.ptr, (size_t)(dot - jwt.ptr)});
        struct buf claims = unbase64url((struct str){dot + 1, (size_t)(last - dot - 1)});
        struct buf signature =
            unbase64url((struct str){last + 1, jwt.len - (size_t)(last + 1 - jwt.ptr)});
        good = memmem(header.ptr, header.len, "\"RS256\"", 7) != NULL &&
               are_claims_good(buf_view(&claims)) &&
               is_signed(a->conf->oauth_key, (struct str){jwt.ptr, (size_t)(last - jwt.ptr)},
                         buf_view(&signature));
        buf_free(&header);
        buf_free(&claims);
        buf_free(&signature);
    }
    buf_free(&jwt);
    return good ? NULL : "invalid_grant";
}

void oauth_answer(struct content *c, const struct ask *a)
{
    struct str form = a->http->body;
    int64_t life_s = a->conf->oauth_life_s > 0 ? a->conf->oauth_life_s : LIFE_DEFAULT_S;
    const char *fault = "unsupported_grant_type";
    if (field_is(form, "grant_type", STR("client_credentials"))) {
        fault = client_fault(a);
    } else if (field_is(form, "grant_type", STR("urn:ietf:params:oauth:grant-type:jwt-bearer"))) {
        fault = assertion_fault(a);
    }
    if (fault != NULL) {
        c->status = strcmp(fault, "invalid_client") == 0 ? 401 : 400;
        buf_printf(&c->bytes,
                   "{\"error\":\"%s\",\"error_description\":\"AADSTS7000215: what was given is not "
                   "good.\"}",
                   fault);
    } else {
        buf_str(&c->bytes, "{\"token_type\":\"Bearer\",\"access_token\":\"");
        put_token(&c->bytes, life_s);
        buf_printf(&c->bytes, "\",\"expires_in\":%" PRId64 "}", life_s);
    }
    content_document(c, json_type);
}
