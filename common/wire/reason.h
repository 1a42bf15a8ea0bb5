/* SPDX-License-Identifier: Apache-2.0 */
/* Why something of the agents' protocol was refused: one table for status, metric and sentence.
 * Constants and pure functions, any thread. */
#ifndef PORTICO_WIRE_REASON_H
#define PORTICO_WIRE_REASON_H

#include "base/compiler.h"

enum wire_reason {
    WIRE_NO_REASON,
#define WIRE_REASON(id, code, status, sentence) WIRE_REASON_##id,
#include "wire/wire_reasons.def"
#undef WIRE_REASON
    WIRE_REASON_COUNT
};

/* The HTTP status that an agent is answered: 400, 406, 413, 500 or 503; 200 for no reason. */
unsigned wire_reason_status(enum wire_reason reason);
/* Stable short name, "hmac_mismatch"; for logs, metrics and the X-Portico-Reason header. */
const char *wire_reason_code(enum wire_reason reason);
/* For people. */
const char *wire_reason_sentence(enum wire_reason reason);

/* Set *reason (NULL: nobody asks) and return the errno that goes with it, so that refusing is one
 * line: -ENOMEM and -EIO for our own faults, -EBADMSG for everybody else's. */
int wire_refuse(enum wire_reason *reason, enum wire_reason why);

#endif
