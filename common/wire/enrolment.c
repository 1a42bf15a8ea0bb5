/* SPDX-License-Identifier: Apache-2.0 */
/* Signing requests, section 9. Any thread. */
#include "wire/enrolment.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "wire/x509.h"

enum { NAME_BYTES = 64, CSR_PEM_BYTES_MAX = 16 * 1024 };

static bool fill_request(X509_REQ *request, const struct rsa_key *key)
{
    char text[NAME_BYTES];
    snprintf(text, sizeof text, "aff4:/%s", rsa_key_client_id(key)->text);
    X509_NAME *name = x509_name_new(text);
    bool fine = name != NULL && X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
                X509_REQ_set_subject_name(request, name) == 1 &&
                x509_set_public_key(X509_REQ_get_X509_PUBKEY(request), key) &&
                X509_REQ_sign(request, rsa_key_evp(key), EVP_sha256()) > 0;
    X509_NAME_free(name);
    return fine;
}

int csr_make(const struct rsa_key *key, struct buffer *pem)
{
    X509_REQ *request = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());
    bool fine = request != NULL && bio != NULL && fill_request(request, key) &&
                PEM_write_bio_X509_REQ(bio, request) == 1;
    X509_REQ_free(request);
    return x509_append_pem(bio, fine, pem);
}

static X509_REQ *read_request(struct str pem)
{
    X509_REQ *request = NULL;
    if (pem.len > CSR_PEM_BYTES_MAX) {
        return NULL;
    }
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (bio != NULL) {
        request = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
        BIO_free(bio);
    }
    ERR_clear_error();
    return request;
}

static enum wire_reason find_name_fault(const X509_REQ *request, const struct rsa_key *key,
                                        const struct client_id *source)
{
    char name[NAME_BYTES];
    char expected[NAME_BYTES];
    const struct client_id *id = rsa_key_client_id(key);
    if (x509_common_name(X509_REQ_get_subject_name(request), name, sizeof name) < 0) {
        return WIRE_REASON_CSR_SUBJECT;
    }
    snprintf(expected, sizeof expected, "aff4:/%s", id->text);
    if (strcmp(name, expected) != 0) {
        return WIRE_REASON_CSR_NAME;
    }
    return strcmp(id->text, source->text) == 0 ? WIRE_NO_REASON : WIRE_REASON_CSR_SOURCE;
}

static enum wire_reason find_fault(X509_REQ *request, const struct rsa_key *key,
                                   const struct client_id *source)
{
    enum wire_reason fault = find_name_fault(request, key, source);
    if (fault != WIRE_NO_REASON) {
        return fault;
    }
    int fine = X509_REQ_verify(request, rsa_key_evp(key));
    ERR_clear_error();
    return fine == 1 ? WIRE_NO_REASON : WIRE_REASON_CSR_SIGNATURE;
}

static int check_request(X509_REQ *request, const struct client_id *source, struct rsa_meter *meter,
                         struct rsa_key **key, enum wire_reason *reason)
{
    struct rsa_key *found = NULL;
    EVP_PKEY *pkey = X509_REQ_get0_pubkey(request);
    int error = pkey == NULL ? -EINVAL : rsa_key_from_evp(pkey, meter, &found);
    ERR_clear_error();
    if (error < 0) {
        return wire_refuse(reason, error == -ENOMEM ? WIRE_REASON_NO_MEMORY : WIRE_REASON_CSR_KEY);
    }
    enum wire_reason fault = find_fault(request, found, source);
    if (fault != WIRE_NO_REASON) {
        rsa_key_free(found);
        return wire_refuse(reason, fault);
    }
    *key = found;
    return 0;
}

int csr_check(struct str pem, const struct client_id *source, struct rsa_meter *meter,
              struct rsa_key **key, enum wire_reason *reason)
{
    X509_REQ *request = read_request(pem);
    if (request == NULL) {
        return wire_refuse(reason, WIRE_REASON_CSR_FORM);
    }
    int error = check_request(request, source, meter, key, reason);
    X509_REQ_free(request);
    return error;
}
