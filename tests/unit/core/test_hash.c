#include "core/hash.h"
#include "support/unit.h"

static const char *hex(const void *bytes, size_t len)
{
    static char text[129];
    for (size_t i = 0; i < len; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", ((const uint8_t *)bytes)[i]);
    }
    return text;
}

/* FIPS 180-4 examples. */
static void sha256_has_its_known_values(void **state)
{
    (void)state;
    struct sha256 h = sha256_of(SLICE("abc"));
    assert_string_equal(hex(h.bytes, 32),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    h = sha256_of(SLICE_NONE);
    assert_string_equal(hex(h.bytes, 32),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    const struct slice parts[] = {SLICE("a"), SLICE_NONE, SLICE("b"), SLICE("c")};
    h = sha256_of_parts(parts, 4);
    struct sha256 whole = sha256_of(SLICE("abc"));
    assert_memory_equal(h.bytes, whole.bytes, 32);
    h = sha256_of_parts(NULL, 0);
    whole = sha256_of(SLICE_NONE);
    assert_memory_equal(h.bytes, whole.bytes, 32);
}

/* RFC 4231, cases 1 and 2. */
static void hmac_has_its_known_values(void **state)
{
    (void)state;
    char key[20];
    memset(key, 0x0b, sizeof(key));
    struct sha256 h = hmac_sha256(slice_of(key, 20), SLICE("Hi There"));
    assert_string_equal(hex(h.bytes, 32),
                        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    h = hmac_sha256(SLICE("Jefe"), SLICE("what do ya want for nothing?"));
    assert_string_equal(hex(h.bytes, 32),
                        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

/* "123456789" is the check value of both; RFC 3720 B.4 gives the zeros. */
static void checksums_have_their_known_values(void **state)
{
    (void)state;
    char zeros[32] = {0};
    assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283);
    assert_int_equal(crc32c(0, zeros, 32), 0x8A9136AA);
    assert_int_equal(crc32c(0, "", 0), 0);
    assert_int_equal(crc32_iso("123456789", 9), 0xCBF43926);
    assert_int_equal(crc32_iso("", 0), 0);
}

static void a_checksum_can_be_made_in_pieces(void **state)
{
    (void)state;
    char data[200];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (char)(i * 37);
    }
    uint32_t whole = crc32c(0, data, sizeof(data));
    for (size_t cut = 0; cut <= sizeof(data); cut++) {
        assert_int_equal(crc32c(crc32c(0, data, cut), data + cut, sizeof(data) - cut), whole);
    }
}

static void equality_in_constant_time_is_equality(void **state)
{
    (void)state;
    char a[40];
    char b[40];
    memset(a, 7, sizeof(a));
    memset(b, 7, sizeof(b));
    assert_true(bytes_eq_const_time(a, b, 40));
    assert_true(bytes_eq_const_time(a, b, 0));
    for (size_t i = 0; i < 40; i++) {
        b[i] ^= 0x40;
        assert_false(bytes_eq_const_time(a, b, 40));
        b[i] ^= 0x40;
    }
}

/* SipHash-1-3 of 00 01 02 ... with the key 00..0f, as published with the reference code. */
static void siphash_depends_on_every_byte_and_the_key(void **state)
{
    (void)state;
    uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    char data[64];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (char)i;
    }
    assert_true(siphash(key, SLICE_NONE) == UINT64_C(0xabac0158050fc4dc));
    assert_true(siphash(key, slice_of(data, 1)) == UINT64_C(0xc9f49bf37d57ca93));
    uint64_t whole = siphash(key, slice_of(data, 64));
    for (size_t i = 0; i < 64; i++) {
        data[i] ^= 1;
        assert_true(siphash(key, slice_of(data, 64)) != whole);
        data[i] ^= 1;
        assert_true(siphash(key, slice_of(data, i)) != whole);
    }
    key[1] ^= 1;
    assert_true(siphash(key, slice_of(data, 64)) != whole);
}

static void random_bytes_differ(void **state)
{
    (void)state;
    char a[32];
    char b[32];
    rand_bytes(a, sizeof(a));
    rand_bytes(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    rand_bytes(a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_has_its_known_values),
        cmocka_unit_test(hmac_has_its_known_values),
        cmocka_unit_test(checksums_have_their_known_values),
        cmocka_unit_test(a_checksum_can_be_made_in_pieces),
        cmocka_unit_test(equality_in_constant_time_is_equality),
        cmocka_unit_test(siphash_depends_on_every_byte_and_the_key),
        cmocka_unit_test(random_bytes_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
