/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and certificates by OpenSSL. Any thread. */
#include "config/key_check.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>

/* Without this OpenSSL would ask on the terminal. Its type is OpenSSL's. */
// NOLINTNEXTLINE(readability-non-const-parameter)
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static X509 *certificate_read(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return certificate;
}

static EVP_PKEY *key_read(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return key;
}

int key_check_certificate(const char *pem, struct error *error)
{
    X509 *certificate = certificate_read(pem);
    if (certificate == NULL) {
        return error_set(error, -EINVAL, "%s",
                         strstr(pem, "PRIVATE KEY-----") != NULL
                             ? "this is a private key, not a certificate"
                             : "the PEM block holds no readable certificate");
    }
    X509_free(certificate);
    return 0;
}

int key_check_common_name(const char *pem, struct error *error)
{
    X509 *certificate = certificate_read(pem);
    int names = 0;
    if (certificate != NULL) {
        X509_NAME *subject = X509_get_subject_name(certificate);
        for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;) {
            names++;
        }
    }
    X509_free(certificate);
    return names == 1
               ? 0
               : error_set(error, -EINVAL,
                           "the certificate has %d common names; agents want exactly one", names);
}

int key_check(const char *pem, struct error *error)
{
    if (strstr(pem, "ENCRYPTED") != NULL) {
        return error_set(error, -EACCES, "the private key is encrypted, so it is not usable");
    }
    EVP_PKEY *key = key_read(pem);
    int code = 0;
    if (key == NULL) {
        code = error_set(error, -EINVAL, "%s",
                         strstr(pem, "BEGIN CERTIFICATE") != NULL
                             ? "this is a certificate, not a private key"
                             : "the PEM block holds no readable private key");
    } else if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
        code = error_set(error, -EINVAL, "this is no RSA key; agents speak RSA only");
    }
    EVP_PKEY_free(key);
    return code;
}

int key_check_pair(const char *certificate, const char *key, struct error *error)
{
    X509 *x509 = certificate_read(certificate);
    EVP_PKEY *private = key_read(key);
    bool is_pair = x509 != NULL && private != NULL && X509_check_private_key(x509, private) == 1;
    ERR_clear_error();
    X509_free(x509);
    EVP_PKEY_free(private);
    return is_pair ? 0 : error_set(error, -EINVAL, "the key does not belong to the certificate");
}
