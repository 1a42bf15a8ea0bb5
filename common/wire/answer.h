/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's end: opening what the server answered, trusting nothing. Every lie has a reason of
 * its own. Any thread, each with its own tools. */
#ifndef PORTICO_WIRE_ANSWER_H
#define PORTICO_WIRE_ANSWER_H

#include "wire/packet.h"

struct answer_expectation {
    const struct rsa_key *own;    /* the agent's private key; borrowed. NULL: see -ENOKEY */
    const struct rsa_key *server; /* from the server's certificate; borrowed */
    struct str server_name;       /* the certificate's common name, "grr" */
    uint64_t nonce;               /* the poll's timestamp */
};

/* Open the answer to a poll. *session is what a former answer left here (zeroed: nothing); when the
 * server repeats its cipher byte for byte, no RSA is done, else one private and one public
 * operation, and it is replaced. So keep it per server key, and zero it when that changes.
 *
 * Stricter than real agents: an unsigned answer is refused, where they take it and then refuse its
 * actions (section 4).
 *
 * 0; -ENOKEY: there is no key of our own and the cipher is not the one of *session, nothing was
 * done, and it may be tried again with the key; or -EBADMSG, -ENOMEM, -EIO with *reason:
 * WIRE_REASON_HMAC_MISMATCH, _SIGNATURE, _ANSWER_NONCE,
 * _ANSWER_SOURCE and so on. The bundle is empty then. */
MUST_CHECK int answer_open(struct wire_tools *tools, struct str body,
                           const struct answer_expectation *expectation,
                           const struct packet_limits *limits, struct session *session,
                           struct bundle *bundle, enum wire_reason *reason);

#endif
