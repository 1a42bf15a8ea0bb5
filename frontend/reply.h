/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that never change, made once and shared by all connections, and what refusing means. Any
 * thread. */
#ifndef PORTICO_FRONTEND_REPLY_H
#define PORTICO_FRONTEND_REPLY_H

#include <microhttpd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"
#include "wire/reason.h"

/* Reasons of the frontend and of the protocol under one number. */
enum reason {
    REASON_NONE,
#define REASON(id, code, status, sentence) REASON_##id,
#include "frontend_reasons.def"
#undef REASON
    REASON_WIRE, /* REASON_WIRE + n is enum wire_reason n */
    REASON_COUNT = REASON_WIRE + WIRE_REASON_COUNT,
};

static inline enum reason reason_of_wire(enum wire_reason reason)
{
    return (enum reason)(REASON_WIRE + (int)reason);
}

unsigned reason_status(enum reason reason);
const char *reason_code(enum reason reason);
const char *reason_sentence(enum reason reason);
/* What the answer says. */
struct str reason_body(enum reason reason);

struct replies;

/* `certificate` (PEM) is what /server.pem answers; copied. `retry_after`: see replies_refuse().
 * NULL without memory. */
struct replies *replies_new(struct str certificate, usec_t retry_after);
void replies_free(struct replies *replies);

/* Queue the answer that `reason` asks for: its status, its code in X-Portico-Reason, for 503 a
 * Retry-After of one to two times `retry_after`, so that refused agents do not come back at once;
 * for 406 the words that agents wait for. With `closes` the connection ends. */
MUST_CHECK enum MHD_Result replies_refuse(const struct replies *replies,
                                          struct MHD_Connection *connection, enum reason reason,
                                          bool closes);

MUST_CHECK enum MHD_Result replies_certificate(const struct replies *replies,
                                               struct MHD_Connection *connection);
MUST_CHECK enum MHD_Result replies_health(const struct replies *replies,
                                          struct MHD_Connection *connection, bool is_well);

/* 200 with `body`, malloc()ed and taken. */
MUST_CHECK enum MHD_Result reply_packet(struct MHD_Connection *connection, char *body, size_t len);

/* 200 with text for a person or a scraper, malloc()ed and taken. */
MUST_CHECK enum MHD_Result reply_text(struct MHD_Connection *connection, const char *type,
                                      char *body, size_t len);

#endif
