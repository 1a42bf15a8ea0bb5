/* SPDX-License-Identifier: Apache-2.0 */
/* What can be wrong with a key or a certificate. Pure functions over PEM text, any thread. */
#ifndef PORTICO_CONFIG_KEY_CHECK_H
#define PORTICO_CONFIG_KEY_CHECK_H

#include "base/compiler.h"
#include "base/error.h"

/* 0, or -EINVAL with what is wrong, to be read after the option's name. */
MUST_CHECK int key_check_certificate(const char *pem, struct error *error);

/* The certificate has exactly one common name: agents take it for the server's. */
MUST_CHECK int key_check_common_name(const char *pem, struct error *error);

/* An RSA private key without passphrase; -EACCES: it has one. */
MUST_CHECK int key_check(const char *pem, struct error *error);

/* The key is the certificate's. Both must have passed the checks above. */
MUST_CHECK int key_check_pair(const char *certificate, const char *key, struct error *error);

#endif
