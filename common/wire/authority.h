/* SPDX-License-Identifier: Apache-2.0 */
/* Making certificates: the authority's own, a server's, an agent's (section 9). All are X.509 v3,
 * signed with SHA-256. Any thread; one private operation each, and little else, since fleets enrol
 * all at once. */
#ifndef PORTICO_WIRE_AUTHORITY_H
#define PORTICO_WIRE_AUTHORITY_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/rsa.h"

struct certificate_wish {
    const char *common_name; /* at most 63 bytes */
    uint64_t serial;         /* agents refuse a server's that is lower than one they have seen */
    usec_t not_before;       /* wall clock, cut to seconds */
    usec_t not_after;
};

/* Append the authority's self-signed certificate (PEM). `key` has the private part. 0, -ENOBUFS,
 * -ENOMEM or -EIO. */
MUST_CHECK int authority_make(const struct rsa_key *key, const struct certificate_wish *wish,
                              struct buffer *pem);

/* Who signs. Never changes: any number of threads may use it at the same time. */
struct authority;

/* The authority with this `key` (borrowed, with its private part, for as long as the authority
 * lives) and this certificate. 0, -ENOMEM, or -EINVAL: the certificate cannot be read, or is
 * another key's. *authority is the caller's to free. */
MUST_CHECK int authority_open(const struct rsa_key *key, struct str certificate_pem,
                              struct authority **authority);
void authority_free(struct authority *authority);

/* Append a certificate for `subject` signed by the authority. 0, -ENOBUFS, -ENOMEM or -EIO. */
MUST_CHECK int authority_certify(const struct authority *authority, const struct rsa_key *subject,
                                 const struct certificate_wish *wish, struct buffer *pem);

/* The same for an agent whose csr_check() has passed, as section 9 says: the name that its key
 * gives, that id as serial, from ten seconds before `now` for 52 weeks, no extensions. */
MUST_CHECK int authority_certify_agent(const struct authority *authority,
                                       const struct rsa_key *agent, usec_t now, struct buffer *pem);

#endif
