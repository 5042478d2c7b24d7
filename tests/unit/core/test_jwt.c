/* core/jwt: what is signed is verified by OpenSSL with the public half, over exactly the bytes
 * before the last dot (RFC 7515 section 5.1). The keys are made here: none lies in the tree. */
#include "core/jwt.h"
#include "support/unit.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

enum { PEM_MAX_BYTES = 8192 };

struct fixture {
    EVP_PKEY *key;
    char pem[PEM_MAX_BYTES];
    size_t pem_len;
};

static void make_key(struct fixture *f, unsigned bits, const EVP_CIPHER *cipher)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes;
    f->key = EVP_RSA_gen(bits);
    assert_non_null(f->key);
    assert_int_equal(PEM_write_bio_PrivateKey(bio, f->key, cipher, (const unsigned char *)"word",
                                              cipher ? 4 : 0, NULL, NULL),
                     1);
    long len = BIO_get_mem_data(bio, &bytes);
    assert_in_range(len, 1, PEM_MAX_BYTES);
    f->pem_len = (size_t)len;
    memcpy(f->pem, bytes, f->pem_len);
    BIO_free(bio);
}

static struct slice pem_of(const struct fixture *f)
{
    return slice_of(f->pem, f->pem_len);
}

/* The bytes of one base64url part. */
static size_t decode(struct slice part, unsigned char *out)
{
    char padded[4096];
    size_t len = 0;
    for (size_t i = 0; i < part.len; i++) {
        char c = part.ptr[i];
        assert_true(c != '+' && c != '/' && c != '=');
        padded[len++] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    size_t padding = (4 - len % 4) % 4;
    memset(padded + len, '=', padding);
    int n = EVP_DecodeBlock(out, (const unsigned char *)padded, (int)(len + padding));
    assert_true(n >= (int)padding);
    return (size_t)n - padding;
}

static void what_is_signed_is_verified(void **state)
{
    static struct fixture f;
    unsigned char bytes[4096];
    char room[4096];
    (void)state;
    make_key(&f, 2048, NULL);
    assert_true(jwt_is_key(pem_of(&f)));
    for (size_t extra = 0; extra < 3; extra++) { /* every padding of the claims */
        struct slice claims = slice_head(SLICE("{\"iss\":\"a\"}   "), 11 + extra);
        struct text t = text_in(room, sizeof(room));
        TEXT_ADD(&t, "assertion=");
        assert_int_equal(jwt_sign(pem_of(&f), SLICE("kid-\"1\""), claims, &t), OK);
        struct slice jwt = slice_from(text_slice(&t), strlen("assertion="));
        size_t dot = slice_find(jwt, '.');
        struct slice rest = slice_from(jwt, dot + 1);
        size_t second = slice_find(rest, '.');
        size_t n = decode(slice_head(jwt, dot), bytes);
        struct slice header =
            SLICE("{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"kid-\\\"1\\\"\"}");
        assert_int_equal(n, header.len);
        assert_memory_equal(bytes, header.ptr, n);
        n = decode(slice_head(rest, second), bytes);
        assert_int_equal(n, claims.len);
        assert_memory_equal(bytes, claims.ptr, n);
        n = decode(slice_from(rest, second + 1), bytes);
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, f.key), 1);
        assert_int_equal(
            EVP_DigestVerify(ctx, bytes, n, (const unsigned char *)jwt.ptr, dot + 1 + second), 1);
        EVP_MD_CTX_free(ctx);
    }
    EVP_PKEY_free(f.key);
}

static void other_keys_are_refused(void **state)
{
    static struct fixture locked, small;
    char room[4096];
    struct text t = text_in(room, sizeof(room));
    (void)state;
    make_key(&locked, 2048, EVP_aes_128_cbc());
    make_key(&small, 1024, NULL);
    assert_false(jwt_is_key(pem_of(&locked))); /* and nobody is asked for the passphrase */
    assert_false(jwt_is_key(pem_of(&small)));
    assert_false(jwt_is_key(SLICE_NONE));
    assert_false(
        jwt_is_key(SLICE("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")));
    assert_int_equal(jwt_sign(pem_of(&small), SLICE_NONE, SLICE("{}"), &t), E_SYNTAX);
    EVP_PKEY_free(locked.key);
    EVP_PKEY_free(small.key);
}

static void a_full_room_is_told(void **state)
{
    static struct fixture f;
    char room[400];
    (void)state;
    make_key(&f, 2048, NULL);
    for (size_t cap = 0; cap < sizeof(room); cap += 13) { /* a whole one has 390 bytes */
        struct text t = text_in(room, cap);
        enum err e = jwt_sign(pem_of(&f), SLICE_NONE, SLICE("{\"a\":1}"), &t);
        assert_int_equal(e, cap < 390 ? E_NOMEM : OK);
    }
    EVP_PKEY_free(f.key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_signed_is_verified),
        cmocka_unit_test(other_keys_are_refused),
        cmocka_unit_test(a_full_room_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
