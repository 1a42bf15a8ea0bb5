/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and the four operations. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "support/support.h"
#include "wire/rsa.h"

static struct rsa_meter meter;
static struct rsa_key *key, *other;
static uint8_t out[RSA_BYTES_MAX], back[RSA_BYTES_MAX];

static void set_up(void)
{
    cr_assert_eq(rsa_generate(1024, &meter, &key), 0);
    cr_assert_eq(rsa_generate(1024, &meter, &other), 0);
}

static void tear_down(void)
{
    rsa_key_free(key);
    rsa_key_free(other);
}

TestSuite(rsa, .init = set_up, .fini = tear_down);

static struct str view(const uint8_t *bytes, int len)
{
    return str_make((const char *)bytes, (size_t)len);
}

Test(rsa, only_the_holder_decrypts)
{
    int len = rsa_encrypt(key, STR("secret"), out);
    cr_assert_eq(len, 128);
    cr_expect_eq(rsa_decrypt(key, view(out, len), back), 6);
    cr_expect_arr_eq(back, "secret", 6);
    cr_expect_eq(rsa_decrypt(other, view(out, len), back), -EBADMSG);
    cr_expect_eq(rsa_decrypt(key, view(out, len - 1), back), -EBADMSG);
    out[5] ^= 1;
    cr_expect_eq(rsa_decrypt(key, view(out, len), back), -EBADMSG);
    static const char huge[128];
    cr_expect_eq(rsa_encrypt(key, str_make(huge, sizeof huge), out), -EBADMSG);
}

Test(rsa, only_the_holder_signs)
{
    int len = rsa_sign(key, STR("text"), out);
    cr_assert_eq(len, 128);
    cr_expect_eq(rsa_verify(key, STR("text"), view(out, len)), 0);
    cr_expect_eq(rsa_verify(key, STR("texu"), view(out, len)), -EBADMSG);
    cr_expect_eq(rsa_verify(other, STR("text"), view(out, len)), -EBADMSG);
    cr_expect_eq(rsa_verify(key, STR("text"), view(out, len - 1)), -EBADMSG);
    cr_expect_eq(rsa_verify(key, STR("text"), STR("")), -EBADMSG);
}

static int sign_pss(int salt)
{
    size_t size = sizeof out;
    EVP_PKEY_CTX *settings;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    cr_assert_eq(EVP_DigestSignInit(context, &settings, EVP_sha256(), NULL, rsa_key_evp(key)), 1);
    cr_assert_eq(EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING), 1);
    cr_assert_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, salt), 1);
    cr_assert_eq(EVP_DigestSign(context, out, &size, (const uint8_t *)"text", 4), 1);
    EVP_MD_CTX_free(context);
    return (int)size;
}

Test(rsa, pss_passes_with_the_longest_salt_only)
{
    int len = sign_pss(RSA_PSS_SALTLEN_MAX);
    cr_expect_eq(rsa_verify(key, STR("text"), view(out, len)), 0);
    len = sign_pss(RSA_PSS_SALTLEN_DIGEST);
    cr_expect_eq(rsa_verify(key, STR("text"), view(out, len)), -EBADMSG);
}

Test(rsa, operations_are_counted)
{
    uint64_t before_private = meter.private_operations, before_public = meter.public_operations;
    int len = rsa_encrypt(key, STR("x"), out);
    cr_expect_eq(rsa_decrypt(key, view(out, len), back), 1);
    len = rsa_sign(key, STR("x"), out);
    cr_expect_eq(rsa_verify(key, STR("x"), view(out, len)), 0);
    cr_expect_eq(meter.private_operations, before_private + 2);
    cr_expect_eq(meter.public_operations, before_public + 2);
}

Test(rsa, keys_survive_as_pem)
{
    struct buffer pem;
    struct rsa_key *read;
    buffer_init(&pem, RSA_PEM_BYTES_MAX);
    cr_assert_eq(rsa_private_to_pem(key, &pem), 0);
    cr_assert_eq(rsa_private_from_pem(buffer_view(&pem), &meter, &read), 0);
    cr_expect_arr_eq(rsa_key_fingerprint(read), rsa_key_fingerprint(key), RSA_FINGERPRINT_BYTES);
    int len = rsa_sign(read, STR("x"), out);
    cr_expect_eq(rsa_verify(key, STR("x"), view(out, len)), 0);
    rsa_key_free(read);
    cr_expect_eq(rsa_public_from_pem(buffer_view(&pem), &meter, &read), -EINVAL);
    buffer_clear(&pem);
    cr_assert_eq(rsa_public_to_pem(key, &pem), 0);
    cr_expect_eq(rsa_private_from_pem(buffer_view(&pem), &meter, &read), -EINVAL);
    cr_assert_eq(rsa_public_from_pem(buffer_view(&pem), &meter, &read), 0);
    cr_expect_str_eq(rsa_key_client_id(read)->text, rsa_key_client_id(key)->text);
    cr_expect_eq(rsa_sign(read, STR("x"), out), -EIO, "it has no private part");
    rsa_key_free(read);
    buffer_done(&pem);
}

Test(rsa, what_is_no_permitted_key_is_refused)
{
    struct rsa_key *read;
    struct buffer pem;
    char huge[RSA_PEM_BYTES_MAX + 1] = "-----BEGIN PUBLIC KEY-----\n";
    cr_expect_eq(rsa_public_from_pem(STR(""), NULL, &read), -EINVAL);
    cr_expect_eq(rsa_public_from_pem(STR("hello"), NULL, &read), -EINVAL);
    cr_expect_eq(rsa_public_from_pem(str_make(huge, sizeof huge), NULL, &read), -EINVAL);
    cr_expect_eq(rsa_generate(512, NULL, &read), -EINVAL);
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    cr_expect_eq(rsa_key_from_evp(ec, NULL, &read), -EINVAL);
    EVP_PKEY_free(ec);
    EVP_PKEY *small = EVP_RSA_gen(768);
    cr_expect_eq(rsa_key_from_evp(small, NULL, &read), -EINVAL);
    EVP_PKEY_free(small);
    buffer_init(&pem, 10);
    cr_expect_eq(rsa_public_to_pem(key, &pem), -ENOBUFS);
    buffer_done(&pem);
}

static struct str prime_of(const struct rsa_key *of, const char *name, char *bytes)
{
    BIGNUM *prime = NULL;
    cr_assert_eq(EVP_PKEY_get_bn_param(rsa_key_evp(of), name, &prime), 1);
    int len = BN_bn2bin(prime, (uint8_t *)bytes);
    BN_free(prime);
    return str_make(bytes, (size_t)len);
}

Test(rsa, primes_of_two_keys_make_a_third)
{
    char p[64], q[64];
    struct rsa_key *made;
    cr_assert_eq(rsa_private_from_primes(prime_of(key, OSSL_PKEY_PARAM_RSA_FACTOR1, p),
                                         prime_of(other, OSSL_PKEY_PARAM_RSA_FACTOR1, q), &meter,
                                         &made),
                 0);
    int len = rsa_sign(made, STR("x"), out);
    cr_assert_eq(len, 128);
    cr_expect_eq(rsa_verify(made, STR("x"), view(out, len)), 0);
    len = rsa_encrypt(made, STR("y"), out);
    cr_expect_eq(rsa_decrypt(made, view(out, len), back), 1);
    cr_expect_str_neq(rsa_key_client_id(made)->text, rsa_key_client_id(key)->text);
    rsa_key_free(made);
    cr_expect_eq(rsa_private_from_primes(STR("\x02"), STR("\x03"), &meter, &made), -EINVAL);
    cr_expect_eq(rsa_private_from_primes(STR(""), STR(""), &meter, &made), -EINVAL);
}
