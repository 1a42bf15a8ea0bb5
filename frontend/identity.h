/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are to agents: our key, our certificate, and the authority that enrols them. Immutable;
 * any thread. */
#ifndef PORTICO_FRONTEND_IDENTITY_H
#define PORTICO_FRONTEND_IDENTITY_H

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"
#include "wire/rsa.h"

struct authority;
struct config;

struct identity {
    struct rsa_key *key;           /* owned */
    struct rsa_key *authority_key; /* owned; NULL with `authority` */
    struct authority *authority;   /* owned; NULL: nobody can be enrolled here */
    char *certificate;             /* PEM, owned: /server.pem */
    char name[64];                 /* the certificate's common name: our source on the wire */
    uint64_t serial;               /* the certificate's */
    /* Of key and name: what agents take for one server, whatever certificate says so. */
    uint8_t fingerprint[RSA_FINGERPRINT_BYTES];
};

/* Read keys and certificates from the configuration. `meter` is borrowed for good. 0, -EINVAL or
 * -ENOMEM with words. */
MUST_CHECK int identity_load(struct identity *identity, const struct config *config,
                             struct rsa_meter *meter, struct error *error);
void identity_done(struct identity *identity);

#endif
