/* SPDX-License-Identifier: Apache-2.0 */
/* Reading certificates, section 9. Any thread. */
#include "wire/certificate.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

#include "wire/x509.h"

static X509 *read_x509(struct str pem)
{
    X509 *x509 = NULL;
    if (pem.len > RSA_PEM_BYTES_MAX) {
        return NULL;
    }
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (bio != NULL) {
        x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        BIO_free(bio);
    }
    ERR_clear_error();
    return x509;
}

static int read_time(const ASN1_TIME *from, usec_t *to)
{
    struct tm tm = {.tm_sec = 0};
    if (ASN1_TIME_to_tm(from, &tm) != 1) {
        return -EINVAL;
    }
    *to = (usec_t)timegm(&tm) * USEC_PER_SEC;
    return 0;
}

static int read_facts(const X509 *x509, struct certificate_facts *facts)
{
    if (x509_common_name(X509_get_subject_name(x509), facts->common_name,
                         sizeof facts->common_name) < 0 ||
        ASN1_INTEGER_get_uint64(&facts->serial, X509_get0_serialNumber(x509)) != 1 ||
        read_time(X509_get0_notBefore(x509), &facts->not_before) < 0 ||
        read_time(X509_get0_notAfter(x509), &facts->not_after) < 0) {
        ERR_clear_error();
        return -EINVAL;
    }
    return 0;
}

static int read_key(X509 *x509, struct rsa_meter *meter, struct rsa_key **key,
                    enum wire_reason *reason)
{
    EVP_PKEY *pkey = X509_get0_pubkey(x509);
    int error = pkey == NULL ? -EINVAL : rsa_key_from_evp(pkey, meter, key);
    ERR_clear_error();
    switch (error) {
    case 0:
        return 0;
    case -ENOMEM:
        return wire_refuse(reason, WIRE_REASON_NO_MEMORY);
    case -EIO:
        return wire_refuse(reason, WIRE_REASON_CRYPTO);
    default:
        return wire_refuse(reason, WIRE_REASON_CERTIFICATE_FORM);
    }
}

static int check_signature(X509 *x509, const struct rsa_key *authority)
{
    int fine = X509_verify(x509, rsa_key_evp(authority));
    ERR_clear_error();
    return fine == 1 ? 0 : -EBADMSG;
}

static enum wire_reason find_fault(const struct certificate_facts *facts, usec_t now,
                                   uint64_t least_serial)
{
    if (now < facts->not_before || now > facts->not_after) {
        return WIRE_REASON_CERTIFICATE_DATES;
    }
    return facts->serial < least_serial ? WIRE_REASON_CERTIFICATE_SERIAL : WIRE_NO_REASON;
}

int certificate_read(struct str pem, struct rsa_meter *meter, struct rsa_key **key,
                     struct certificate_facts *facts, enum wire_reason *reason)
{
    struct certificate_facts found;
    X509 *x509 = read_x509(pem);
    int error;
    if (x509 == NULL || read_facts(x509, &found) < 0) {
        error = wire_refuse(reason, WIRE_REASON_CERTIFICATE_FORM);
    } else if ((error = read_key(x509, meter, key, reason)) == 0) {
        *facts = found;
    }
    X509_free(x509);
    return error;
}

int certificate_read_key(struct str pem, struct rsa_key **key, enum wire_reason *reason)
{
    X509 *x509 = read_x509(pem);
    int error = x509 == NULL ? wire_refuse(reason, WIRE_REASON_CERTIFICATE_FORM)
                             : read_key(x509, NULL, key, reason);
    X509_free(x509);
    return error;
}

int certificate_check(struct str pem, const struct rsa_key *authority, usec_t now,
                      uint64_t least_serial, struct rsa_meter *meter, struct rsa_key **key,
                      struct certificate_facts *facts, enum wire_reason *reason)
{
    struct certificate_facts found;
    X509 *x509 = read_x509(pem);
    int error;
    if (x509 == NULL || read_facts(x509, &found) < 0) {
        error = wire_refuse(reason, WIRE_REASON_CERTIFICATE_FORM);
    } else if (check_signature(x509, authority) < 0) {
        error = wire_refuse(reason, WIRE_REASON_CERTIFICATE_SIGNATURE);
    } else {
        enum wire_reason fault = find_fault(&found, now, least_serial);
        error = fault == WIRE_NO_REASON ? read_key(x509, meter, key, reason)
                                        : wire_refuse(reason, fault);
    }
    if (error == 0) {
        *facts = found;
    }
    X509_free(x509);
    return error;
}
