/* SPDX-License-Identifier: Apache-2.0 */
/* Why a request did not come to a believed answer: one table for counting, reports and SLOs.
 * Constants and pure functions, any thread. */
#ifndef PORTICO_FLOOD_FAULT_H
#define PORTICO_FLOOD_FAULT_H

#include "wire/reason.h"

enum fault {
    FAULT_NONE,
#define FAULT(id, name, words) FAULT_##id,
#include "faults.def"
#undef FAULT
    FAULT_COUNT
};

const char *fault_name(enum fault fault);
const char *fault_words(enum fault fault);

/* The names of all, ended by NULL: for slo_parse(). */
const char *const *fault_names(void);

/* What a status other than 200 is. */
enum fault fault_of_status(unsigned status);

/* What refusing an answer came from; WIRE_REASON_ANSWER_NONCE is WRONG_NONCE. */
enum fault fault_of_wire(enum wire_reason reason);

/* What losing a connection with that errno is, before a byte of an answer came. */
enum fault fault_of_errno(int number);

#endif
