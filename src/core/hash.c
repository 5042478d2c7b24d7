#include "core/hash.h"

#include "core/check.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#ifdef __x86_64__
#    include <immintrin.h>
#endif

/* The low-level calls are deprecated in OpenSSL 3, but EVP's fetch costs more than the digest
 * itself on a 56-byte key and takes the heap; the algorithm is the same code. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

struct sha256 sha256_of_parts(const struct slice *parts, size_t n)
{
    SHA256_CTX ctx;
    struct sha256 out;
    (void)SHA256_Init(&ctx);
    for (size_t i = 0; i < n; i++) {
        (void)SHA256_Update(&ctx, parts[i].ptr, parts[i].len);
    }
    (void)SHA256_Final(out.bytes, &ctx);
    return out;
}

struct sha256 sha256_of(struct slice data)
{
    return sha256_of_parts(&data, 1);
}

struct sha256 hmac_sha256(struct slice key, struct slice data)
{
    struct sha256 out;
    unsigned int len = 0;
    assert(key.len <= INT32_MAX);
    (void)HMAC(EVP_sha256(), key.ptr, (int)key.len, (const unsigned char *)data.ptr, data.len,
               out.bytes, &len);
    assert(len == SHA256_BYTES);
    return out;
}

bool bytes_eq_const_time(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

static uint32_t crc32c_table(uint32_t crc, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1u)));
        }
    }
    return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse(uint32_t crc, const uint8_t *p,
                                                             size_t len)
{
    uint64_t wide = crc;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    for (; len; p++, len--) {
        crc = _mm_crc32_u8(crc, *p);
    }
    return crc;
}
#endif

uint32_t crc32c(uint32_t seed, const void *data, size_t len)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2")) {
        return ~crc32c_sse(~seed, data, len);
    }
#endif
    return ~crc32c_table(~seed, data, len);
}

/* iso_tables[k][b]: what b and k zero bytes behind it do to the remainder. */
static uint32_t iso_tables[4][256];

static void make_iso_tables(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
        }
        iso_tables[0][b] = crc;
    }
    for (size_t k = 1; k < ARRAY_LEN(iso_tables); k++) {
        for (size_t b = 0; b < 256; b++) {
            uint32_t before = iso_tables[k - 1][b];
            iso_tables[k][b] = (before >> 8) ^ iso_tables[0][before & 0xFF];
        }
    }
}

/* Four bytes a step: keys are checked on every request, and Bedrock's events have one each. */
uint32_t crc32_iso(const void *data, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_iso_tables);
    const uint8_t *p = data;
    uint32_t crc = ~0u;
    for (; len >= 4; p += 4, len -= 4) {
        uint32_t word =
            crc ^ (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = iso_tables[3][word & 0xFF] ^ iso_tables[2][word >> 8 & 0xFF] ^
              iso_tables[1][word >> 16 & 0xFF] ^ iso_tables[0][word >> 24];
    }
    for (; len; p++, len--) {
        crc = (crc >> 8) ^ iso_tables[0][(crc ^ *p) & 0xFF];
    }
    return ~crc;
}

static inline uint64_t rotl(uint64_t x, int b)
{
    return (x << b) | (x >> (64 - b));
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

uint64_t siphash(const uint64_t key[2], struct slice data)
{
    uint64_t v[4] = {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
                     key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
    const char *p = data.ptr;
    size_t left = data.len;
    for (; left >= 8; p += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)data.len << 56;
    for (size_t i = 0; i < left; i++) {
        last |= (uint64_t)(uint8_t)p[i] << (8 * i);
    }
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xFF;
    for (int i = 0; i < 3; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void rand_bytes(void *out, size_t len)
{
    char *p = out;
    while (len) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            abort();
        }
        p += n;
        len -= (size_t)n;
    }
}
