/* SPDX-License-Identifier: Apache-2.0 */
/* A member: what the balancer knows of one port of one host. Shared by all threads and counted;
 * what changes is atomic, the rest is constant. */
#ifndef PORTICO_BALANCER_MEMBER_H
#define PORTICO_BALANCER_MEMBER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "counters.h"
#include "health.h"
#include "net/address.h"

struct loop;
struct task;

enum { MEMBER_NAME_SIZE = 128 };

/* How a request went, as far as it tells something about the member. */
enum outcome {
    OUTCOME_ANSWERED, /* a whole, well-formed answer below 500, or one that the client cut short */
    OUTCOME_ERROR,   /* an answer of 500 or more: an application's word, no failure of the member */
    OUTCOME_REFUSED, /* nobody listens: the port is absent at once */
    OUTCOME_UNREACHED, /* no connection in time, or no way to the host */
    OUTCOME_BROKEN,    /* reset, ended too early, or malformed */
    OUTCOME_SILENT,    /* no answer in time */
    OUTCOME_NEUTRAL,   /* the client went away, or a kept connection had simply ended */
    OUTCOME_COUNT,
};

struct member {
    /* Constant. */
    uint32_t id; /* unique in this process, from 1 */
    struct address address;
    char name[MEMBER_NAME_SIZE]; /* "HOST:PORT" with the host as it was configured */
    struct member_counters counters;
    struct loop *board;   /* borrowed: where `changed` runs, the control thread's loop */
    struct task *changed; /* borrowed: posted when a worker changed this member's health, or wants
                           * it probed */

    /* Read for every choice, written when something happens. */
    atomic_uint_least32_t health;    /* health_pack() */
    atomic_bool wants_probe;         /* a worker met a closed or a failing port: look soon */
    atomic_int_least64_t ejected_at; /* monotonic; of the last ejection */

    /* On a line of its own: workers write it for every request. */
    _Alignas(64) atomic_uint in_flight;
    atomic_uint failures; /* in a row; a success forgets them */
    atomic_uint refs;
    atomic_uint outcomes[OUTCOME_COUNT]; /* how requests went, but OUTCOME_ANSWERED and _NEUTRAL */

    /* The control thread's, of what its prober saw; monotonic. */
    usec_t changed_at; /* when the health became what it is */
    usec_t probe_time; /* what the last good probe took; 0: there was none */
};

/* A member with one reference, absent until somebody says otherwise. A name that is too long is
 * cut. In tests `counters`, `board` and `changed` may be NULL. NULL when there is no memory. */
struct member *member_new(const struct address *address, const char *name,
                          struct counters *counters, struct loop *board, struct task *changed);
struct member *member_ref(struct member *member);
void member_unref(struct member *member);

struct health member_health(const struct member *member);

/* Each changes one axis and leaves the others; true when it was another before. They post nothing.
 * Any thread. */
bool member_set_presence(struct member *member, enum presence presence);
bool member_set_ejected(struct member *member, bool is_ejected); /* false forgets failures, too */
bool member_set_wish(struct member *member, enum wish wish);

/* Have it probed soon. Any thread. */
void member_want_probe(struct member *member);

/* Count one more request in flight, unless there are `limit` already. */
MUST_CHECK bool member_enter(struct member *member, unsigned limit);

/* The request left the member; learn from how. REFUSED makes it absent; after `eject_failures` of
 * UNREACHED, BROKEN and SILENT in a row (counted over all workers) it is ejected; after any of the
 * four it wants a probe. Posts `changed` then. Any thread. */
void member_leave(struct member *member, enum outcome outcome, unsigned eject_failures, usec_t now);

#endif
