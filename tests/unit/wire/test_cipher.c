/* SPDX-License-Identifier: Apache-2.0 */
/* The symmetric half against published vectors, and what it does with wrong input. */
#include <criterion/criterion.h>
#include <errno.h>

#include "support/support.h"
#include "wire/cipher.h"

static struct cipher *cipher;
static struct buffer out;

static void set_up(void)
{
    cr_assert_eq(cipher_new(&cipher), 0);
    buffer_init(&out, 1 << 20);
}

static void tear_down(void)
{
    cipher_free(cipher);
    buffer_done(&out);
}

TestSuite(cipher, .init = set_up, .fini = tear_down);

Test(cipher, hmac_is_the_same_in_parts_and_whole_and_after_other_keys)
{
    static const uint8_t key[16] = "0123456789abcdef";
    static const uint8_t other[16] = "fedcba9876543210";
    const struct str whole[] = {STR("what is signed")};
    const struct str parts[] = {STR("what "), STR(""), STR("is signed")};
    uint8_t a[HMAC_SHA256_BYTES], b[HMAC_SHA256_BYTES], c[HMAC_SHA256_BYTES];
    for (enum hmac_digest digest = HMAC_SHA1; digest <= HMAC_SHA256; digest++) {
        int size = digest == HMAC_SHA1 ? HMAC_SHA1_BYTES : HMAC_SHA256_BYTES;
        cr_assert_eq(cipher_hmac(cipher, digest, key, whole, 1, a), size);
        cr_assert_eq(cipher_hmac(cipher, digest, other, whole, 1, c), size);
        cr_assert_eq(cipher_hmac(cipher, digest, key, parts, 3, b), size);
        cr_expect_arr_eq(a, b, (size_t)size);
        cr_expect_arr_neq(a, c, (size_t)size);
        struct str sent = str_make((const char *)a, (size_t)size);
        cr_expect_eq(cipher_hmac_check(cipher, key, parts, 3, sent), 0);
        cr_expect_eq(cipher_hmac_check(cipher, other, parts, 3, sent), -EBADMSG);
        cr_expect_eq(cipher_hmac_check(cipher, key, parts, 3, str_first(sent, 19)), -EMSGSIZE);
    }
    cr_expect_eq(cipher_hmac_check(cipher, key, parts, 3, str_make(NULL, 0)), -ENODATA);
    cr_expect_eq(cipher_hmac_check(cipher, key, parts, 3, STR("")), -EMSGSIZE);
}

/* NIST SP 800-38A F.2.1, first block; the padding block follows it. */
Test(cipher, aes_is_the_standards)
{
    static const uint8_t key[] = "\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c";
    static const uint8_t iv[] = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f";
    cr_assert_eq(cipher_encrypt(cipher, key, iv,
                                STR("\x6b\xc1\xbe\xe2\x2e\x40\x9f\x96\xe9\x3d\x7e\x11\x73\x93\x17"
                                    "\x2a"),
                                &out),
                 0);
    cr_expect_eq(buffer_size(&out), 32);
    cr_expect_arr_eq(buffer_view(&out).data,
                     "\x76\x49\xab\xac\x81\x19\xb2\x46\xce\xe9\x8e\x9b\x12\xe9\x19\x7d", 16);
}

Test(cipher, every_length_comes_back)
{
    static const uint8_t key[16] = "k";
    static const char text[100] = "the quick brown fox";
    struct buffer back;
    buffer_init(&back, 1 << 16);
    for (size_t len = 0; len <= sizeof text; len++) {
        buffer_clear(&out);
        buffer_clear(&back);
        cr_assert_eq(cipher_encrypt(cipher, key, key, str_make(text, len), &out), 0);
        cr_expect_eq(buffer_size(&out), cipher_encrypted_size(len));
        cr_assert_eq(cipher_decrypt(cipher, key, key, buffer_view(&out), &back), 0);
        cr_expect(str_equal(buffer_view(&back), str_make(text, len)));
    }
    buffer_done(&back);
}

Test(cipher, what_is_no_ciphertext_leaves_nothing_behind)
{
    static const uint8_t key[16] = "k";
    static const char block[17];
    cr_expect_eq(cipher_decrypt(cipher, key, key, STR(""), &out), -EMSGSIZE);
    cr_expect_eq(cipher_decrypt(cipher, key, key, str_make(block, 15), &out), -EMSGSIZE);
    cr_expect_eq(cipher_decrypt(cipher, key, key, str_make(block, 17), &out), -EMSGSIZE);
    cr_expect_eq(cipher_decrypt(cipher, key, key, str_make(block, 16), &out), -EBADMSG);
    cr_expect_eq(buffer_size(&out), 0);
    /* The context is fine afterwards. */
    cr_expect_eq(cipher_encrypt(cipher, key, key, STR("x"), &out), 0);
}

Test(cipher, digest_is_sha256)
{
    uint8_t digest[SHA256_BYTES];
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(cipher_digest(cipher, STR("abc"), digest), 0);
        cr_expect_arr_eq(digest,
                         "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23"
                         "\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad",
                         SHA256_BYTES);
    }
}
