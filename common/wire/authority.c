/* SPDX-License-Identifier: Apache-2.0 */
/* Making certificates, section 9. Any thread. */
#include "wire/authority.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/x509.h"

#define AGENT_BACKDATED (10 * USEC_PER_SEC)
#define AGENT_LIFETIME (52 * 7 * USEC_PER_DAY)

static bool set_times(X509 *x509, const struct certificate_wish *wish)
{
    return ASN1_TIME_set(X509_getm_notBefore(x509), (time_t)(wish->not_before / USEC_PER_SEC)) !=
               NULL &&
           ASN1_TIME_set(X509_getm_notAfter(x509), (time_t)(wish->not_after / USEC_PER_SEC)) !=
               NULL;
}

static bool set_subject(X509 *x509, const char *common_name)
{
    X509_NAME *name = x509_name_new(common_name);
    bool fine = name != NULL && X509_set_subject_name(x509, name) == 1;
    X509_NAME_free(name);
    return fine;
}

/* Everything but issuer, extensions and signature. NULL when it failed. */
static X509 *make_x509(const struct rsa_key *subject, const struct certificate_wish *wish)
{
    X509 *x509 = X509_new();
    if (x509 == NULL || X509_set_version(x509, X509_VERSION_3) != 1 ||
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), wish->serial) != 1 ||
        !set_times(x509, wish) || !set_subject(x509, wish->common_name) ||
        !x509_set_public_key(X509_get_X509_PUBKEY(x509), subject)) {
        X509_free(x509);
        return NULL;
    }
    return x509;
}

static bool add_extension(X509 *x509, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool fine = extension != NULL && X509_add_ext(x509, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return fine;
}

/* Frees `x509`, which may be NULL. */
static int sign_and_write(X509 *x509, bool fine, const struct rsa_key *authority,
                          struct buffer *pem)
{
    BIO *bio = BIO_new(BIO_s_mem());
    fine = fine && bio != NULL && X509_sign(x509, rsa_key_evp(authority), EVP_sha256()) > 0 &&
           PEM_write_bio_X509(bio, x509) == 1;
    X509_free(x509);
    return x509_append_pem(bio, fine, pem);
}

int authority_make(const struct rsa_key *key, const struct certificate_wish *wish,
                   struct buffer *pem)
{
    X509 *x509 = make_x509(key, wish);
    bool fine = x509 != NULL && X509_set_issuer_name(x509, X509_get_subject_name(x509)) == 1 &&
                add_extension(x509, NID_basic_constraints, "critical,CA:TRUE") &&
                add_extension(x509, NID_key_usage, "critical,keyCertSign,cRLSign");
    return sign_and_write(x509, fine, key, pem);
}

/* ---- Signing others' ---- */

struct authority {
    const struct rsa_key *key;
    /* Section 9: the issuer is the issuer of the authority's certificate; GRR's own differs from
     * its subject. */
    X509_NAME *issuer;
};

static X509 *read_certificate(struct str pem, const struct rsa_key *key)
{
    X509 *x509 = NULL;
    BIO *bio = pem.len <= RSA_PEM_BYTES_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
    if (bio != NULL) {
        x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    }
    if (x509 != NULL && X509_check_private_key(x509, rsa_key_evp(key)) != 1) {
        X509_free(x509);
        x509 = NULL;
    }
    BIO_free(bio);
    ERR_clear_error();
    return x509;
}

int authority_open(const struct rsa_key *key, struct str certificate_pem,
                   struct authority **authority)
{
    X509 *x509 = read_certificate(certificate_pem, key);
    if (x509 == NULL) {
        return -EINVAL;
    }
    struct authority *made = calloc(1, sizeof *made);
    X509_NAME *issuer = X509_NAME_dup(X509_get_issuer_name(x509));
    X509_free(x509);
    if (made == NULL || issuer == NULL) {
        X509_NAME_free(issuer);
        free(made);
        return -ENOMEM;
    }
    *made = (struct authority){.key = key, .issuer = issuer};
    *authority = made;
    return 0;
}

void authority_free(struct authority *authority)
{
    if (authority != NULL) {
        X509_NAME_free(authority->issuer);
        free(authority);
    }
}

int authority_certify(const struct authority *authority, const struct rsa_key *subject,
                      const struct certificate_wish *wish, struct buffer *pem)
{
    X509 *x509 = make_x509(subject, wish);
    bool fine = x509 != NULL && X509_set_issuer_name(x509, authority->issuer) == 1;
    return sign_and_write(x509, fine, authority->key, pem);
}

int authority_certify_agent(const struct authority *authority, const struct rsa_key *agent,
                            usec_t now, struct buffer *pem)
{
    char name[64];
    const struct client_id *id = rsa_key_client_id(agent);
    snprintf(name, sizeof name, "aff4:/%s", id->text);
    const struct certificate_wish wish = {
        .common_name = name,
        .serial = client_id_number(id),
        .not_before = now - AGENT_BACKDATED,
        .not_after = now + AGENT_LIFETIME,
    };
    return authority_certify(authority, agent, &wish, pem);
}
