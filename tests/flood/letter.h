/* SPDX-License-Identifier: Apache-2.0 */
/* One poll's content, from what the agent has to say to what it was told: sealed, opened, verified.
 * Functions that take a workbench may run on any thread, one at a time for each letter; the rest is
 * the worker's. Used again for one poll after another. */
#ifndef PORTICO_FLOOD_LETTER_H
#define PORTICO_FLOOD_LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent.h"
#include "base/buffer.h"
#include "base/compiler.h"
#include "base/str.h"
#include "fault.h"
#include "vault.h"

struct ledger_writer;
struct workbench;

enum { LETTER_MESSAGES_MAX = 64 };

struct letter {
    const struct fleet *fleet; /* borrowed */
    struct agent *agent;       /* borrowed */
    struct vault_record record;
    bool record_changed;                 /* to be written back */
    uint64_t sizes[LETTER_MESSAGES_MAX]; /* of the fresh messages that it is to bring */
    size_t fresh;
    size_t unsent;          /* messages in it that are sent for the first time */
    uint64_t now;           /* wall clock, when it was begun */
    bool is_enrolment;      /* it carries a signing request */
    bool is_repeated;       /* it carries what a failed poll carried */
    struct buffer list;     /* MessageList, as sent */
    struct buffer packet;   /* the same, sealed */
    struct buffer answer;   /* a copy for another thread */
    struct buffer arrivals; /* struct ledger_record: requests that the answer brought */
    struct rsa_key *key;    /* the agent's, when writing took it: reading will; owned */
};

void letter_init(struct letter *letter, const struct fleet *fleet);
void letter_done(struct letter *letter);

/* Begin one for the agent, whose record is filled in by the caller; `sizes` and `fresh` likewise.
 * `wall` is the wall clock. */
void letter_begin(struct letter *letter, struct agent *agent, usec_t wall);

/* Writing it takes RSA, or is long: not for the loop's thread. */
bool letter_is_heavy(const struct letter *letter);

/* Fill list and packet. 0, or a negative errno: this machine's fault. */
MUST_CHECK int letter_write(struct letter *letter, struct workbench *bench);

/* Open the answer and believe nothing of it. On FAULT_NONE the agent's worker has executed what it
 * brought, and the responses are in the outbox. */
MUST_CHECK enum fault letter_read(struct letter *letter, struct workbench *bench,
                                  struct str answer);

/* The same on the loop's thread. False: it takes RSA, or is long, and nothing was done. */
MUST_CHECK bool letter_read_at_once(struct letter *letter, struct workbench *bench,
                                    struct str answer, enum fault *fault);

/* Give back what makes reading cheaper, when many letters are under way. */
void letter_forget_key(struct letter *letter);

struct letter_counts {
    uint64_t messages, delivered, answered;
};

/* It was answered 200 and that was believed: record it. */
struct letter_counts letter_acknowledge(struct letter *letter, struct ledger_writer *ledger);

/* It failed: what it brought goes back. After `was_refused` (406: the server did not look at it) or
 * when it was never sent it may go with other messages; else the same bytes go again under the same
 * nonce, as real agents do, so that the server can tell that it has them. */
void letter_return(struct letter *letter, bool was_sent, bool was_refused);

/* Messages that the agent has and no answer acknowledged. */
size_t agent_owes(const struct agent *agent);

/* Make the agent's client id known to the letter's agent. */
MUST_CHECK int agent_find_id(struct agent *agent, const struct fleet *fleet);

#endif
