/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "support/support.h"
#include "wire/spki.h"

static struct str text_of(const unsigned char *bytes, size_t len)
{
    return str_make((const char *)bytes, len);
}

static struct str encoded_by_openssl(const struct rsa_key *key, unsigned char **der)
{
    *der = NULL;
    int len = i2d_PUBKEY(rsa_key_evp(key), der);
    cr_assert_gt(len, 0);
    return str_make((const char *)*der, (size_t)len);
}

Test(spki, reads_and_writes_what_openssl_writes)
{
    static const unsigned sizes[] = {1024, 1536, 2048, 3072};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct rsa_key *key = NULL;
        unsigned char *der;
        uint8_t again[SPKI_BYTES_MAX];
        struct str n;
        struct str e;
        cr_assert_eq(rsa_generate(sizes[i], NULL, &key), 0);
        struct str text = encoded_by_openssl(key, &der);
        cr_assert(spki_read(text, &n, &e));
        cr_assert_eq(n.len, sizes[i] / 8);
        cr_assert_eq(e.len, 3);
        cr_assert_eq(spki_write(n, e, again), text.len);
        cr_assert(memcmp(again, text.data, text.len) == 0);
        OPENSSL_free(der);
        der = NULL;
        int len = i2d_PublicKey(rsa_key_evp(key), &der);
        cr_assert_gt(len, 0);
        cr_assert(str_equal(spki_public_key(text_of(again, text.len)), text_of(der, (size_t)len)));
        OPENSSL_free(der);
        rsa_key_free(key);
    }
}

/* The short way through PEM and OpenSSL's give the same key. */
Test(spki, gives_the_key_that_openssl_gives)
{
    struct rsa_key *key = NULL;
    struct rsa_key *again = NULL;
    struct buffer pem;
    unsigned char *der;
    uint8_t digest[RSA_FINGERPRINT_BYTES];
    size_t size;
    buffer_init(&pem, RSA_PEM_BYTES_MAX);
    cr_assert_eq(rsa_generate(2048, NULL, &key), 0);
    cr_assert_eq(rsa_public_to_pem(key, &pem), 0);
    cr_assert_eq(rsa_public_from_pem(buffer_view(&pem), NULL, &again), 0);
    cr_assert_eq(EVP_PKEY_eq(rsa_key_evp(key), rsa_key_evp(again)), 1);
    cr_assert_str_eq(rsa_key_client_id(key)->text, rsa_key_client_id(again)->text);
    struct str text = encoded_by_openssl(key, &der);
    cr_assert_eq(EVP_Q_digest(NULL, "SHA256", NULL, text.data, text.len, digest, &size), 1);
    cr_assert(memcmp(digest, rsa_key_fingerprint(again), sizeof digest) == 0);
    cr_assert(memcmp(digest, rsa_key_fingerprint(key), sizeof digest) == 0);
    OPENSSL_free(der);
    rsa_key_free(key);
    rsa_key_free(again);
    buffer_done(&pem);
}

/* Any other byte gives another key or none, and never the same one. */
Test(spki, is_the_only_text_of_its_key)
{
    struct rsa_key *key = NULL;
    unsigned char *der;
    cr_assert_eq(rsa_generate(1024, NULL, &key), 0);
    struct str text = encoded_by_openssl(key, &der);
    struct str n;
    struct str e;
    cr_assert(spki_read(text, &n, &e));
    for (size_t i = 0; i < text.len * 8; i++) {
        struct guarded copy = guarded_copy(text);
        struct str other_n;
        struct str other_e;
        copy.data[i / 8] ^= (char)(1 << i % 8);
        cr_assert(!spki_read(str_make(copy.data, copy.len), &other_n, &other_e) ||
                  !str_equal(n, other_n) || !str_equal(e, other_e));
        guarded_free(&copy);
    }
    for (size_t len = 0; len < text.len; len++) {
        struct guarded copy = guarded_copy(str_first(text, len));
        cr_assert(!spki_read(str_make(copy.data, copy.len), &n, &e));
        guarded_free(&copy);
    }
    OPENSSL_free(der);
    rsa_key_free(key);
}
