/* SPDX-License-Identifier: Apache-2.0 */
/* Why a request was answered by us, or a connection ended: one list of reasons, those of the HTTP
 * parser (net/http1_reasons.def) among them. A reason's code is stable and the same in
 * X-Portico-Reason, the access log, metrics and `explain`. Constants; any thread. */
#ifndef PORTICO_BALANCER_REASON_H
#define PORTICO_BALANCER_REASON_H

#include <stdbool.h>

#include "net/http1.h"

enum reason {
    REASON_NONE,
#define REASON(id, code, status, is_error, sentence) REASON_##id,
#include "reasons.def"
#undef REASON
#define HTTP1_REASON(id, code, status, sentence) REASON_##id,
#include "net/http1_reasons.def"
#undef HTTP1_REASON
    REASON_COUNT
};

enum reason reason_from_http1(enum http1_reason reason);

const char *reason_code(enum reason reason); /* "" for REASON_NONE */
const char *reason_sentence(enum reason reason);
unsigned reason_status(enum reason reason); /* what a client is answered; 0: it is not */
bool reason_is_error(enum reason reason);   /* false: an ordinary end */

#endif
