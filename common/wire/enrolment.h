/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment (section 9): the agent's signing request, made and checked. Any thread. */
#ifndef PORTICO_WIRE_ENROLMENT_H
#define PORTICO_WIRE_ENROLMENT_H

#include "base/buffer.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/reason.h"
#include "wire/rsa.h"

/* Append the signing request (PEM) of an agent with that private key. One private operation. 0,
 * -ENOBUFS, -ENOMEM or -EIO. */
MUST_CHECK int csr_make(const struct rsa_key *key, struct buffer *pem);

/* Check a signing request that came in a packet of `source`: an RSA key of a permitted size and
 * exponent, proof that the sender has it, a subject that is nothing but the name which that key
 * gives, and that name is the packet's source. Cheap checks come first; one public operation.
 *
 * The key is then still to be tried on the packet: claim_verify(). 0 with the key, the caller's to
 * free; or -EBADMSG, -ENOMEM, -EIO with *reason. */
MUST_CHECK int csr_check(struct str pem, const struct client_id *source, struct rsa_meter *meter,
                         struct rsa_key **key, enum wire_reason *reason);

#endif
