/* SPDX-License-Identifier: Apache-2.0 */
/* RSA public keys as DER, SubjectPublicKeyInfo (RFC 5280 4.1, RFC 8017 A.1.1): the one shape in
 * which everybody writes them, read and written without OpenSSL's decoders, which take as long for
 * it as a private operation. Pure functions, any thread. */
#ifndef PORTICO_WIRE_SPKI_H
#define PORTICO_WIRE_SPKI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"
#include "wire/rsa.h"

enum { SPKI_BYTES_MAX = RSA_SPKI_BYTES_MAX, SPKI_EXPONENT_BYTES_MAX = 8 };

/* Write the key with this modulus and exponent (big-endian, no leading zeros, neither empty; at
 * most RSA_BYTES_MAX and SPKI_EXPONENT_BYTES_MAX). The number of bytes. */
size_t spki_write(struct str modulus, struct str exponent, uint8_t out[SPKI_BYTES_MAX]);

/* Views of the numbers in `der`. False when it is not byte for byte what spki_write() writes; it
 * may be a key all the same, in another shape. */
MUST_CHECK bool spki_read(struct str der, struct str *modulus, struct str *exponent);

/* The RSAPublicKey (RFC 8017 A.1.1) inside of what spki_write() wrote: a view. */
struct str spki_public_key(struct str der);

#endif
