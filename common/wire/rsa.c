/* SPDX-License-Identifier: Apache-2.0 */
/* RSA operations of section 4. Contexts are made for each operation: EVP has none that could be
 * kept across keys, and making one costs less than 2 % of a private operation. Any thread. */
#include "wire/rsa.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "wire/rsa_key.h"

static void count_private(const struct rsa_key *key)
{
    if (key->meter != NULL) {
        atomic_fetch_add_explicit(&key->meter->private_operations, 1, memory_order_relaxed);
    }
}

static void count_public(const struct rsa_key *key)
{
    if (key->meter != NULL) {
        atomic_fetch_add_explicit(&key->meter->public_operations, 1, memory_order_relaxed);
    }
}

/* OAEP's defaults are what the protocol wants: SHA-1, MGF1-SHA-1, empty label. */
static bool set_oaep(EVP_PKEY_CTX *context)
{
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1;
}

int rsa_decrypt(const struct rsa_key *key, struct str in, uint8_t *out)
{
    /* OpenSSL would take a shorter number too. */
    if (in.len != key->bytes) {
        return -EBADMSG;
    }
    size_t size = key->bytes;
    int result = -EIO;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key->pkey, NULL);
    if (context != NULL && EVP_PKEY_decrypt_init(context) == 1 && set_oaep(context)) {
        count_private(key);
        int fine = EVP_PKEY_decrypt(context, out, &size, (const uint8_t *)in.data, in.len);
        result = fine == 1 ? (int)size : -EBADMSG;
    }
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return result;
}

int rsa_encrypt(const struct rsa_key *key, struct str in, uint8_t *out)
{
    size_t size = key->bytes;
    int result = -EIO;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key->pkey, NULL);
    if (context != NULL && EVP_PKEY_encrypt_init(context) == 1 && set_oaep(context)) {
        count_public(key);
        int fine = EVP_PKEY_encrypt(context, out, &size, (const uint8_t *)in.data, in.len);
        result = fine == 1 ? (int)size : -EBADMSG;
    }
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return result;
}

int rsa_sign(const struct rsa_key *key, struct str in, uint8_t *out)
{
    size_t size = key->bytes;
    int result = -EIO;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context != NULL && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->pkey) == 1) {
        count_private(key);
        if (EVP_DigestSign(context, out, &size, (const uint8_t *)in.data, in.len) == 1) {
            result = (int)size;
        }
    }
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return result;
}

static int verify(const struct rsa_key *key, int padding, struct str in, struct str signature)
{
    int result = -EIO;
    EVP_PKEY_CTX *settings; /* the context's own */
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context != NULL &&
        EVP_DigestVerifyInit(context, &settings, EVP_sha256(), NULL, key->pkey) == 1 &&
        EVP_PKEY_CTX_set_rsa_padding(settings, padding) == 1 &&
        (padding != RSA_PKCS1_PSS_PADDING ||
         EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_MAX) == 1)) {
        count_public(key);
        int fine = EVP_DigestVerify(context, (const uint8_t *)signature.data, signature.len,
                                    (const uint8_t *)in.data, in.len);
        result = fine == 1 ? 0 : -EBADMSG;
    }
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return result;
}

int rsa_verify(const struct rsa_key *key, struct str in, struct str signature)
{
    if (signature.len != key->bytes) {
        return -EBADMSG;
    }
    int error = verify(key, RSA_PKCS1_PADDING, in, signature);
    return error == -EBADMSG ? verify(key, RSA_PKCS1_PSS_PADDING, in, signature) : error;
}
