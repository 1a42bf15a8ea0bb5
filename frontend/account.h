/* SPDX-License-Identifier: Apache-2.0 */
/* What one poll costs: its time by phase, its bytes, its messages; for the metrics and the access
 * line. Belongs to a poll and to whoever has that. */
#ifndef PORTICO_FRONTEND_ACCOUNT_H
#define PORTICO_FRONTEND_ACCOUNT_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "reply.h"
#include "stats.h"

enum phase { PHASE_PARSE, PHASE_RSA, PHASE_STORE, PHASE_COUNT };

struct account {
    const struct clock *clock;
    usec_t began;    /* the head was there */
    usec_t received; /* the whole body was; 0: not yet */
    usec_t step_began;
    usec_t spent[PHASE_COUNT]; /* negative: the poll never was in that phase */
    uint64_t bytes_in;
    uint64_t bytes_out; /* of the body */
    size_t messages;
    unsigned requests; /* handed out */
};

void account_begin(struct account *account, const struct clock *clock);
void account_receive(struct account *account, size_t bytes);

/* A phase may be entered more than once: its times add up. */
void account_begin_step(struct account *account);
void account_end_step(struct account *account, enum phase phase);

/* Count the poll, which has ended. */
void account_count(const struct account *account, struct stats *stats);

/* The access line. `agent`: who it proved to be; `claimed`: who it says it is, when it did not
 * prove it; either may be NULL or empty. Nothing of a poll's content is told. */
void account_log(const struct account *account, const char *agent, const char *claimed,
                 const char *peer, enum reason reason);

#endif
