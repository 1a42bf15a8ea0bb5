/* SPDX-License-Identifier: Apache-2.0 */
/* What a key is made of: for the files about keys and certificates only. */
#ifndef PORTICO_WIRE_RSA_KEY_H
#define PORTICO_WIRE_RSA_KEY_H

#include <openssl/evp.h>

#include "wire/rsa.h"

struct rsa_key {
    EVP_PKEY *pkey;          /* owned reference */
    size_t bytes;            /* of the modulus */
    struct rsa_meter *meter; /* borrowed; NULL: nobody counts */
    struct client_id client_id;
    uint8_t fingerprint[EVP_MAX_MD_SIZE];
};

#endif
