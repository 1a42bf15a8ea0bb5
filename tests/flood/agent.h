/* SPDX-License-Identifier: Apache-2.0 */
/* A simulated agent while it does nothing: everything that must stay in memory. What its ciphers
 * are is in the vault, what its key is in the identities, what it says in a letter. Owned by the
 * worker of its thread. */
#ifndef PORTICO_FLOOD_AGENT_H
#define PORTICO_FLOOD_AGENT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"
#include "net/timers.h"

struct identities;
struct rsa_key;

/* The server as all agents know it, and who they are. Made before threads start, then only read. */
struct fleet {
    const struct identities *identities;
    uint64_t run;           /* random: marks this run's messages */
    struct rsa_key *server; /* owned by who made it, as the texts */
    char server_name[64];
    struct str server_pem;            /* what /server.pem brought */
    uint64_t server_serial;           /* of that certificate */
    usec_t server_from, server_until; /* wall clock: when it is valid */
    struct rsa_key *authority;        /* who must have signed it; owned likewise. NULL: anybody */
};

/* Messages that wait for the next poll. On the heap, for few agents have any. */
struct outbox {
    size_t len;
    uint64_t nonce; /* of the poll that failed with exactly these; 0: they may go with others */
    size_t unsent;  /* how many of them were never sent */
    char bytes[];
};

enum { OUTBOX_MAX = 48 << 20, AGENT_ASKS_EVERY_S = 600 };

struct agent {
    struct timer timer;    /* fires when the next poll is due */
    usec_t due;            /* when that was planned */
    usec_t first;          /* when it first polled; 0: never */
    usec_t freed;          /* when its last poll ended */
    uint64_t nonce;        /* of its last poll */
    uint64_t former_nonce; /* and of the one before: what a replayed answer would have */
    uint64_t id;           /* client_id_number(); 0: not asked for yet */
    struct outbox *outbox; /* owned */
    uint32_t identity;
    uint32_t sequence; /* messages it has made */
    uint32_t sleep_ms; /* poll timing of real agents */
    uint32_t own_us;   /* by which its last poll was later for what it computed itself */
    uint32_t asked_s;  /* when it last asked to be enrolled, of the loop's clock; 0: never */
    uint8_t group;     /* of the phase */
    bool is_polling;   /* no bit-field: asked for while the crew has the rest of it in hand */
    bool is_enrolled : 1;
    bool is_fast : 1;         /* poll soon: something is going on */
    bool wants_page : 1;      /* /server.pem again, before the next poll */
    bool wants_enrolment : 1; /* with a signing request */
    bool is_known : 1;        /* counted as enrolled */
};
static_assert(sizeof(struct agent) <= 128, "a million of them are to fit anywhere");

#endif
