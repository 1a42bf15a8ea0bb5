/* SPDX-License-Identifier: Apache-2.0 */
/* The symmetric half of section 4: HMAC, AES-128-CBC, SHA-256, random bytes. A `struct cipher` is
 * one thread's set of OpenSSL contexts, made once and re-keyed for each use, which halves the price
 * of an HMAC. It holds the last keys it was given until it is freed. */
#ifndef PORTICO_WIRE_CIPHER_H
#define PORTICO_WIRE_CIPHER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/envelope.h"

struct cipher;

enum hmac_digest { HMAC_SHA1, HMAC_SHA256 };

enum { HMAC_SHA1_BYTES = 20, HMAC_SHA256_BYTES = 32, SHA256_BYTES = 32 };

/* 0, -ENOMEM or -EIO (an algorithm is missing: a policy of this machine). */
MUST_CHECK int cipher_new(struct cipher **cipher);
void cipher_free(struct cipher *cipher);

/* HMAC of the parts, one behind the other. `out` has room for HMAC_SHA256_BYTES. Its length, or
 * -EIO. */
MUST_CHECK int cipher_hmac(struct cipher *cipher, enum hmac_digest digest, const uint8_t *key,
                           const struct str *parts, size_t count, uint8_t *out);

/* Whether `received` is the parts' HMAC; the digest goes by its length (section 4). 0, -ENODATA
 * (absent), -EMSGSIZE (of no known length), -EBADMSG (another), -EIO. In constant time. */
MUST_CHECK int cipher_hmac_check(struct cipher *cipher, const uint8_t *key, const struct str *parts,
                                 size_t count, struct str received);

/* What cipher_encrypt() appends for `len` bytes: PKCS#7 always adds at least one. */
static inline size_t cipher_encrypted_size(size_t len)
{
    return (len / WIRE_BLOCK_BYTES + 1) * WIRE_BLOCK_BYTES;
}

/* AES-128-CBC with PKCS#7, appended to `out`. 0, -ENOBUFS, -ENOMEM, -EIO; decrypting also -EMSGSIZE
 * (empty, or not whole blocks) and -EBADMSG (bad padding). On failure `out` is as it was. Decrypt
 * only what an HMAC has vouched for, where the protocol allows it: -EBADMSG is an oracle. */
MUST_CHECK int cipher_encrypt(struct cipher *cipher, const uint8_t *key, const uint8_t *iv,
                              struct str plain, struct buffer *out);
MUST_CHECK int cipher_decrypt(struct cipher *cipher, const uint8_t *key, const uint8_t *iv,
                              struct str encrypted, struct buffer *out);

/* SHA-256. 0 or -EIO. */
MUST_CHECK int cipher_digest(struct cipher *cipher, struct str bytes, uint8_t *out);

/* Random bytes fit for keys. 0 or -EIO. */
MUST_CHECK int cipher_random(void *out, size_t size);

#endif
