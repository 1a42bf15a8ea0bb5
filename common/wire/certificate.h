/* SPDX-License-Identifier: Apache-2.0 */
/* Reading X.509 certificates (section 9): a server's, as an agent checks it; an agent's, as the
 * server keeps it. Any thread. */
#ifndef PORTICO_WIRE_CERTIFICATE_H
#define PORTICO_WIRE_CERTIFICATE_H

#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/reason.h"
#include "wire/rsa.h"

struct certificate_facts {
    char common_name[64]; /* "grr", "aff4:/C.0123456789abcdef" */
    uint64_t serial;
    usec_t not_before, not_after; /* wall clock */
};

/* Read the certificate in `pem`. 0 with its key (the caller's to free) and *facts, or -EBADMSG,
 * -ENOMEM, -EIO with *reason. Signature and dates are not checked. */
MUST_CHECK int certificate_read(struct str pem, struct rsa_meter *meter, struct rsa_key **key,
                                struct certificate_facts *facts, enum wire_reason *reason);

/* The key alone, whoever the certificate says it belongs to: an authority may have any name. As
 * certificate_read(). */
MUST_CHECK int certificate_read_key(struct str pem, struct rsa_key **key, enum wire_reason *reason);

/* What an agent checks of /server.pem: signed with the authority's key, valid at `now`, its serial
 * not below `least_serial`, which the caller then raises to facts->serial. As certificate_read().
 */
MUST_CHECK int certificate_check(struct str pem, const struct rsa_key *authority, usec_t now,
                                 uint64_t least_serial, struct rsa_meter *meter,
                                 struct rsa_key **key, struct certificate_facts *facts,
                                 enum wire_reason *reason);

#endif
