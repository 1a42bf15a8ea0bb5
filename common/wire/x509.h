/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about certificates share; for those only. Any thread. */
#ifndef PORTICO_WIRE_X509_H
#define PORTICO_WIRE_X509_H

#include <openssl/bio.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/rsa.h"

/* The subject when it is a single common name and nothing else; `out` has room for `size` bytes,
 * the NUL included. 0 or -EINVAL. */
MUST_CHECK int x509_common_name(const X509_NAME *name, char *out, size_t size);

/* A name that is one common name, NULL without memory. Free with X509_NAME_free(). */
X509_NAME *x509_name_new(const char *common_name);

/* What X509_set_pubkey() and X509_REQ_set_pubkey() do, without OpenSSL's encoders and decoders,
 * which take half as long as a signature. False without memory. */
MUST_CHECK bool x509_set_public_key(X509_PUBKEY *field, const struct rsa_key *key);

/* Append what a PEM writer has written to `bio`, which is freed; `fine` says whether it did. 0,
 * -ENOBUFS, -ENOMEM or -EIO. */
MUST_CHECK int x509_append_pem(BIO *bio, bool fine, struct buffer *out);

#endif
