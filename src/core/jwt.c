#include "core/jwt.h"

#include "core/base64.h"
#include "core/secret.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

enum { RSA_BITS_MIN = 2048, SIGNATURE_MAX_BYTES = 2048, HEADER_MAX_BYTES = 512 };

/* A key with a passphrase is refused, not asked for on the terminal. */
/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's type */
static int no_passphrase(char *room, int size, int is_writing, void *ctx)
{
    (void)room, (void)size, (void)is_writing, (void)ctx;
    return -1;
}

static EVP_PKEY *read_key(struct slice pem)
{
    BIO *bio = pem.len <= SECRET_MAX_BYTES ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (key && (EVP_PKEY_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_bits(key) < RSA_BITS_MIN)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

bool jwt_is_key(struct slice pem)
{
    EVP_PKEY *key = read_key(pem);
    EVP_PKEY_free(key);
    return key != NULL;
}

static enum err add_signature(EVP_PKEY *key, struct slice input, struct text *out)
{
    unsigned char signature[SIGNATURE_MAX_BYTES];
    size_t len = sizeof(signature);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_signed =
        ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(ctx, signature, &len, (const unsigned char *)input.ptr, input.len) == 1;
    EVP_MD_CTX_free(ctx);
    if (!is_signed) {
        return E_NOMEM;
    }
    text_add_char(out, '.');
    base64url_add(out, slice_of((const char *)signature, len));
    return out->is_full ? E_NOMEM : OK;
}

enum err jwt_sign(struct slice pem, struct slice key_id, struct slice claims, struct text *out)
{
    char room[HEADER_MAX_BYTES];
    struct text header = text_in(room, sizeof(room));
    size_t begin = out->len;
    assert(claims.ptr);
    TEXT_ADD(&header, "{\"alg\":\"RS256\",\"typ\":\"JWT\"");
    if (key_id.len) {
        text_add_json_key(&header, "kid");
        text_add_json_string(&header, key_id);
    }
    TEXT_ADD(&header, "}");
    base64url_add(out, text_slice(&header));
    text_add_char(out, '.');
    base64url_add(out, claims);
    if (out->is_full || header.is_full) {
        return E_NOMEM;
    }
    EVP_PKEY *key = read_key(pem);
    if (!key) {
        return E_SYNTAX;
    }
    /* By its place: a growing text moves as the signature is added. */
    enum err e = add_signature(key, slice_from(text_slice(out), begin), out);
    EVP_PKEY_free(key);
    return e;
}
