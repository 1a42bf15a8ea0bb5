/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made on the spot, for tests. */
#include "support/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"

struct certificate {
    X509 *x509;
    EVP_PKEY *key;
    char *pem;
    char *key_pem;
};

static char *take_text(BIO *bio)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    char *text = str_dup(str_make(data, (size_t)size));
    CHECK(text != NULL);
    BIO_free(bio);
    return text;
}

static void add_extension(X509 *x509, X509V3_CTX *context, int id, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, id, value);
    CHECK(extension != NULL && X509_add_ext(x509, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void add_extensions(X509 *x509, X509 *issuer, const struct certificate_wish *wish)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    add_extension(x509, &context, NID_basic_constraints,
                  wish->is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(x509, &context, NID_subject_key_identifier, "hash");
    if (wish->names != NULL) {
        add_extension(x509, &context, NID_subject_alt_name, wish->names);
    }
}

static void set_common_name(X509 *x509, const char *common_name)
{
    X509_NAME *name = X509_get_subject_name(x509);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name,
                                     -1, -1, 0) == 1);
}

struct certificate *certificate_new(const struct certificate_wish *wish)
{
    static atomic_long serial = 1;
    const long day = 86400;
    struct certificate *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    made->x509 = X509_new();
    made->key = wish->is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    CHECK(made->x509 != NULL && made->key != NULL);
    X509 *issuer = wish->issuer == NULL ? made->x509 : wish->issuer->x509;
    EVP_PKEY *signer = wish->issuer == NULL ? made->key : wish->issuer->key;

    X509_set_version(made->x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made->x509), atomic_fetch_add(&serial, 1));
    /* An hour of grace, for clocks that were set a moment ago. */
    X509_gmtime_adj(X509_getm_notBefore(made->x509), wish->starts_in_days * day - 3600);
    X509_gmtime_adj(X509_getm_notAfter(made->x509), (wish->starts_in_days + 30) * day);
    set_common_name(made->x509, wish->common_name);
    X509_set_issuer_name(made->x509, X509_get_subject_name(issuer));
    X509_set_pubkey(made->x509, made->key);
    add_extensions(made->x509, issuer, wish);
    CHECK(X509_sign(made->x509, signer, EVP_sha256()) > 0);

    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509(bio, made->x509) == 1);
    made->pem = take_text(bio);
    bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_PrivateKey(bio, made->key, NULL, NULL, 0, NULL, NULL) == 1);
    made->key_pem = take_text(bio);
    return made;
}

void certificate_free(struct certificate *certificate)
{
    if (certificate != NULL) {
        X509_free(certificate->x509);
        EVP_PKEY_free(certificate->key);
        free(certificate->pem);
        free(certificate->key_pem);
        free(certificate);
    }
}

const char *certificate_pem(const struct certificate *certificate)
{
    return certificate->pem;
}

const char *certificate_key_pem(const struct certificate *certificate)
{
    return certificate->key_pem;
}

char *certificate_encrypted_key_pem(const struct certificate *certificate)
{
    char password[] = "secret";
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_PrivateKey(bio, certificate->key, EVP_aes_128_cbc(), NULL, 0, NULL,
                                   password) == 1);
    return take_text(bio);
}
