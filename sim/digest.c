#include "digest.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

void digest_put_hex(struct buf *out, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%02x", bytes[i]);
    }
}

void digest_hex(struct buf *out, struct str data)
{
    unsigned char hash[DIGEST_BYTES];
    unsigned int n = 0;
    int ok = EVP_Digest(data.ptr, data.len, hash, &n, EVP_sha256(), NULL);
    assert(ok == 1 && n == sizeof(hash));
    digest_put_hex(out, hash, sizeof(hash));
}

void digest_hmac(unsigned char out[DIGEST_BYTES], struct str key, struct str data)
{
    unsigned int n = 0;
    const unsigned char *done = HMAC(EVP_sha256(), key.ptr, (int)key.len,
                                     (const unsigned char *)data.ptr, data.len, out, &n);
    assert(done != NULL && n == DIGEST_BYTES);
}
