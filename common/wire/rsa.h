/* SPDX-License-Identifier: Apache-2.0 */
/* RSA keys and the four operations of the protocol (section 4). A key is made once and then only
 * read: any number of threads may use it at the same time. Reference-counted by nobody; its owner
 * frees it when no thread uses it any more. */
#ifndef PORTICO_WIRE_RSA_H
#define PORTICO_WIRE_RSA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/name.h"

struct evp_pkey_st;
struct rsa_key;

enum {
    RSA_BITS_MIN = 1024, /* a CipherProperties still fits (section 4) */
    RSA_BITS_MAX = 8192,
    RSA_BYTES_MAX = RSA_BITS_MAX / 8,
    RSA_FINGERPRINT_BYTES = 32,
    RSA_SPKI_BYTES_MAX = RSA_BYTES_MAX + 64,
    RSA_PEM_BYTES_MAX = 64 * 1024, /* longer text is no key or certificate */
};

/* Operations done, for metrics and for proofs that a warm poll costs none. Private ones (decrypt,
 * sign) cost about thirty times what public ones (encrypt, verify) do. */
struct rsa_meter {
    atomic_uint_fast64_t private_operations;
    atomic_uint_fast64_t public_operations;
};

/* Keys are RSA of RSA_BITS_MIN to RSA_BITS_MAX with an odd public exponent of 2 to 33 bits, so that
 * no peer's key makes us compute for long. `meter` (borrowed, may be NULL) counts what is done with
 * the key. 0, -EINVAL: no such key is in the text; -ENOMEM. *key is the caller's to free. */
MUST_CHECK int rsa_private_from_pem(struct str pem, struct rsa_meter *meter, struct rsa_key **key);
MUST_CHECK int rsa_public_from_pem(struct str pem, struct rsa_meter *meter, struct rsa_key **key);

/* The same of OpenSSL's own object (a CSR's, a certificate's); takes a reference of its own. */
MUST_CHECK int rsa_key_from_evp(struct evp_pkey_st *pkey, struct rsa_meter *meter,
                                struct rsa_key **key);

/* The key that `der` is, as rsa_key_write_spki() writes it; in no other shape. For keys that were
 * read once already: this takes some 20 us. 0, -EINVAL or -ENOMEM. */
MUST_CHECK int rsa_public_from_spki(struct str der, struct rsa_meter *meter, struct rsa_key **key);

/* A fresh key of `bits`. Takes 0.2 s for 2048. 0, -EINVAL (size) or -EIO. */
MUST_CHECK int rsa_generate(unsigned bits, struct rsa_meter *meter, struct rsa_key **key);

/* The key with these two primes (big-endian) and exponent 65537: for load tests that need many
 * identities and cannot wait for them. Not checked for primality. 0, -EINVAL, -ENOMEM or -EIO. */
MUST_CHECK int rsa_private_from_primes(struct str p, struct str q, struct rsa_meter *meter,
                                       struct rsa_key **key);

void rsa_key_free(struct rsa_key *key);

/* Borrowed from the key. */
struct evp_pkey_st *rsa_key_evp(const struct rsa_key *key);
/* The length of its modulus, signatures and ciphertexts. */
size_t rsa_key_bytes(const struct rsa_key *key);
/* Section 3: the agent's name that this key proves. */
const struct client_id *rsa_key_client_id(const struct rsa_key *key);
/* SHA-256 of the public key (SubjectPublicKeyInfo), RSA_FINGERPRINT_BYTES: unlike the client id it
 * covers the exponent and all of the hash. */
const uint8_t *rsa_key_fingerprint(const struct rsa_key *key);

/* Write the public part as SubjectPublicKeyInfo. The number of bytes; 0: OpenSSL failed. */
size_t rsa_key_write_spki(const struct rsa_key *key, uint8_t out[RSA_SPKI_BYTES_MAX]);

/* Append the key as PEM: SubjectPublicKeyInfo, or PKCS#8 without a password (a secret!). 0,
 * -ENOBUFS, -ENOMEM, or -EIO: it has no private part. */
MUST_CHECK int rsa_public_to_pem(const struct rsa_key *key, struct buffer *out);
MUST_CHECK int rsa_private_to_pem(const struct rsa_key *key, struct buffer *out);

/* OAEP with SHA-1 and MGF1-SHA-1, empty label. `out` has room for rsa_key_bytes(). The length of
 * the result; -EBADMSG: not encrypted to this key (decrypt) or too long for it (encrypt); -EIO:
 * OpenSSL failed otherwise. */
MUST_CHECK int rsa_decrypt(const struct rsa_key *key, struct str in, uint8_t *out);
MUST_CHECK int rsa_encrypt(const struct rsa_key *key, struct str in, uint8_t *out);

/* PKCS#1 v1.5 with SHA-256. `out` has room for rsa_key_bytes(), which is returned; or -EIO. */
MUST_CHECK int rsa_sign(const struct rsa_key *key, struct str in, uint8_t *out);

/* PKCS#1 v1.5 with SHA-256, or PSS with SHA-256, MGF1-SHA-256 and the longest salt. 0, -EBADMSG: it
 * is not this key's signature of `in`; -EIO. */
MUST_CHECK int rsa_verify(const struct rsa_key *key, struct str in, struct str signature);

#endif
