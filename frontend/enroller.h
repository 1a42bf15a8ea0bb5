/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment in the frontend (protocol sections 9 and 13): an unknown agent's packet that carries a
 * signing request makes it known, and is answered at once. Blocks on RSA and the store: for the
 * work pool's threads. */
#ifndef PORTICO_FRONTEND_ENROLLER_H
#define PORTICO_FRONTEND_ENROLLER_H

#include "base/compiler.h"
#include "frontend.h"
#include "store/store.h"
#include "wire/packet.h"

struct wire_tools;

/* Look for a signing request in `packet`, whose `claim` nobody has vouched for yet, and enrol its
 * agent as the policy says. On success the session is verified.
 *
 * REASON_NONE with *state; or why not: WIRE's SOURCE_UNKNOWN when there was no request or the
 * policy is `closed`. */
enum reason enroller_try(struct frontend *frontend, const struct terms *terms,
                         struct wire_tools *tools, const struct packet *packet,
                         const struct claim *claim, struct session *session,
                         enum store_agent_state *state);

#endif
