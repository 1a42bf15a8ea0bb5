/* SPDX-License-Identifier: Apache-2.0 */
/* The symmetric half of section 4, on contexts that are kept. One thread's. */
#include "wire/cipher.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { DIGESTS = HMAC_SHA256 + 1 };

struct cipher {
    EVP_MAC_CTX *hmac[DIGESTS];
    uint8_t hmac_key[DIGESTS][WIRE_KEY_BYTES]; /* that the context has */
    bool has_hmac_key[DIGESTS];
    EVP_CIPHER_CTX *encrypt;
    EVP_CIPHER_CTX *decrypt;
    EVP_MD_CTX *digest;
    EVP_MD *sha256;
};

static EVP_MAC_CTX *make_hmac(const char *digest)
{
    char *name = NULL;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = mac == NULL ? NULL : EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    /* The parameter is only read; OpenSSL's type just cannot say so. */
    if (context != NULL && (name = strdup(digest)) != NULL) {
        OSSL_PARAM params[] = {OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, name, strlen(name)),
                               OSSL_PARAM_END};
        if (EVP_MAC_CTX_set_params(context, params) != 1) {
            EVP_MAC_CTX_free(context);
            context = NULL;
        }
    }
    free(name);
    return context;
}

/* Fetches AES once; later calls give key and IV only. */
static EVP_CIPHER_CTX *make_aes(bool encrypts)
{
    static const uint8_t zero[WIRE_KEY_BYTES];
    EVP_CIPHER *aes = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (aes == NULL || context == NULL ||
        EVP_CipherInit_ex2(context, aes, zero, zero, encrypts ? 1 : 0, NULL) != 1) {
        EVP_CIPHER_CTX_free(context);
        context = NULL;
    }
    EVP_CIPHER_free(aes);
    return context;
}

int cipher_new(struct cipher **cipher)
{
    struct cipher *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return -ENOMEM;
    }
    made->hmac[HMAC_SHA1] = make_hmac("SHA1");
    made->hmac[HMAC_SHA256] = make_hmac("SHA256");
    made->encrypt = make_aes(true);
    made->decrypt = make_aes(false);
    made->digest = EVP_MD_CTX_new();
    made->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (made->hmac[HMAC_SHA1] == NULL || made->hmac[HMAC_SHA256] == NULL || made->encrypt == NULL ||
        made->decrypt == NULL || made->digest == NULL || made->sha256 == NULL) {
        cipher_free(made);
        ERR_clear_error();
        return -EIO;
    }
    *cipher = made;
    return 0;
}

void cipher_free(struct cipher *cipher)
{
    if (cipher == NULL) {
        return;
    }
    EVP_MAC_CTX_free(cipher->hmac[HMAC_SHA1]);
    EVP_MAC_CTX_free(cipher->hmac[HMAC_SHA256]);
    EVP_CIPHER_CTX_free(cipher->encrypt);
    EVP_CIPHER_CTX_free(cipher->decrypt);
    EVP_MD_CTX_free(cipher->digest);
    EVP_MD_free(cipher->sha256);
    OPENSSL_cleanse(cipher->hmac_key, sizeof cipher->hmac_key);
    free(cipher);
}

/* A sender makes two HMACs with one key; starting over with the same is cheaper than with another.
 */
static bool begin_hmac(struct cipher *cipher, enum hmac_digest digest, const uint8_t *key)
{
    EVP_MAC_CTX *context = cipher->hmac[digest];
    uint8_t *last = cipher->hmac_key[digest];
    if (cipher->has_hmac_key[digest] && CRYPTO_memcmp(last, key, WIRE_KEY_BYTES) == 0) {
        return EVP_MAC_init(context, NULL, 0, NULL) == 1;
    }
    memcpy(last, key, WIRE_KEY_BYTES);
    cipher->has_hmac_key[digest] = EVP_MAC_init(context, key, WIRE_KEY_BYTES, NULL) == 1;
    return cipher->has_hmac_key[digest];
}

int cipher_hmac(struct cipher *cipher, enum hmac_digest digest, const uint8_t *key,
                const struct str *parts, size_t count, uint8_t *out)
{
    EVP_MAC_CTX *context = cipher->hmac[digest];
    size_t size = 0;
    bool fine = begin_hmac(cipher, digest, key);
    for (size_t i = 0; fine && i < count; i++) {
        fine = EVP_MAC_update(context, (const uint8_t *)parts[i].data, parts[i].len) == 1;
    }
    if (!fine || EVP_MAC_final(context, out, &size, HMAC_SHA256_BYTES) != 1) {
        ERR_clear_error();
        return -EIO;
    }
    return (int)size;
}

int cipher_hmac_check(struct cipher *cipher, const uint8_t *key, const struct str *parts,
                      size_t count, struct str received)
{
    uint8_t expected[HMAC_SHA256_BYTES];
    if (received.data == NULL) {
        return -ENODATA;
    }
    if (received.len != HMAC_SHA1_BYTES && received.len != HMAC_SHA256_BYTES) {
        return -EMSGSIZE;
    }
    enum hmac_digest digest = received.len == HMAC_SHA1_BYTES ? HMAC_SHA1 : HMAC_SHA256;
    int size = cipher_hmac(cipher, digest, key, parts, count, expected);
    if (size < 0) {
        return size;
    }
    CHECK((size_t)size == received.len);
    return CRYPTO_memcmp(expected, received.data, received.len) == 0 ? 0 : -EBADMSG;
}

/* 0, -EBADMSG when the end is no padding, -EIO. *written is set on success. */
static int transform(EVP_CIPHER_CTX *context, const uint8_t *key, const uint8_t *iv, struct str in,
                     uint8_t *out, size_t *written)
{
    int body = 0;
    int tail = 0;
    if (EVP_CipherInit_ex2(context, NULL, key, iv, -1, NULL) != 1 ||
        EVP_CipherUpdate(context, out, &body, (const uint8_t *)in.data, (int)in.len) != 1) {
        ERR_clear_error();
        return -EIO;
    }
    if (EVP_CipherFinal_ex(context, out + body, &tail) != 1) {
        ERR_clear_error();
        return -EBADMSG;
    }
    *written = (size_t)body + (size_t)tail;
    return 0;
}

static int append_transformed(EVP_CIPHER_CTX *context, const uint8_t *key, const uint8_t *iv,
                              struct str in, size_t room, struct buffer *out)
{
    size_t written;
    int error = buffer_reserve(out, room);
    if (error < 0) {
        return error;
    }
    error = transform(context, key, iv, in, (uint8_t *)buffer_tail(out), &written);
    if (error == 0) {
        buffer_commit(out, written);
    }
    return error;
}

int cipher_encrypt(struct cipher *cipher, const uint8_t *key, const uint8_t *iv, struct str plain,
                   struct buffer *out)
{
    if (plain.len > INT_MAX - WIRE_BLOCK_BYTES) {
        return -ENOBUFS; /* EVP counts in int */
    }
    return append_transformed(cipher->encrypt, key, iv, plain, cipher_encrypted_size(plain.len),
                              out);
}

int cipher_decrypt(struct cipher *cipher, const uint8_t *key, const uint8_t *iv,
                   struct str encrypted, struct buffer *out)
{
    if (encrypted.len == 0 || encrypted.len % WIRE_BLOCK_BYTES != 0) {
        return -EMSGSIZE;
    }
    if (encrypted.len > INT_MAX - WIRE_BLOCK_BYTES) {
        return -ENOBUFS;
    }
    /* EVP may write one block more before it knows what is padding. */
    return append_transformed(cipher->decrypt, key, iv, encrypted, encrypted.len + WIRE_BLOCK_BYTES,
                              out);
}

int cipher_digest(struct cipher *cipher, struct str bytes, uint8_t *out)
{
    unsigned size = 0;
    if (EVP_DigestInit_ex2(cipher->digest, cipher->sha256, NULL) != 1 ||
        EVP_DigestUpdate(cipher->digest, bytes.data, bytes.len) != 1 ||
        EVP_DigestFinal_ex(cipher->digest, out, &size) != 1) {
        ERR_clear_error();
        return -EIO;
    }
    return 0;
}

int cipher_random(void *out, size_t size)
{
    if (size > INT_MAX || RAND_bytes(out, (int)size) != 1) {
        ERR_clear_error();
        return -EIO;
    }
    return 0;
}
