/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made on the spot, for tests; they abort on failure. */
#ifndef PORTICO_TESTS_CERTIFICATES_H
#define PORTICO_TESTS_CERTIFICATES_H

#include <stdbool.h>

struct certificate;

struct certificate_wish {
    const char *common_name;
    const char *names;                /* "DNS:a.test,IP:127.0.0.1", NULL for none */
    const struct certificate *issuer; /* NULL: signs itself */
    bool is_authority;
    bool is_rsa;        /* RSA-2048, else P-256, which is made in no time */
    int starts_in_days; /* from now, may be negative; it is valid for 30 days */
};

/* Free with certificate_free(). */
struct certificate *certificate_new(const struct certificate_wish *wish);
void certificate_free(struct certificate *certificate);

/* PEM, owned by the certificate. */
const char *certificate_pem(const struct certificate *certificate);
const char *certificate_key_pem(const struct certificate *certificate);

/* The key, encrypted with some password. Caller frees. */
char *certificate_encrypted_key_pem(const struct certificate *certificate);

#endif
