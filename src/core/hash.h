/* core/hash.h -- digests, checksums, table hashing and the system's random bytes. */
#ifndef CORE_HASH_H
#define CORE_HASH_H

#include "core/slice.h"

enum { SHA256_BYTES = 32 };

struct sha256 {
    uint8_t bytes[SHA256_BYTES];
};

/* FIPS 180-4, by OpenSSL. The context inside is per call; no heap. */
struct sha256 sha256_of(struct slice data);
/* The parts as if they stood one after the other. */
struct sha256 sha256_of_parts(const struct slice *parts, size_t n);
/* RFC 2104. */
struct sha256 hmac_sha256(struct slice key, struct slice data);

/* Takes the same time wherever the first difference is. */
MUST_USE bool bytes_eq_const_time(const void *a, const void *b, size_t len);

/* CRC-32C (Castagnoli, RFC 3720 B.4), by the CPU's instruction where it has one; seed 0 begins. */
uint32_t crc32c(uint32_t seed, const void *data, size_t len);
/* CRC-32 (ISO-HDLC, as in zlib), for key check characters. */
uint32_t crc32_iso(const void *data, size_t len);

/* Keyed 64-bit hash for tables whose keys a peer chooses (SipHash-1-3). */
uint64_t siphash(const uint64_t key[2], struct slice data);

/* Random bytes from the kernel; never fails (aborts if the kernel has none). */
void rand_bytes(void *out, size_t len);

#endif
