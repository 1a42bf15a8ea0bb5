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

struct member {
    /* Constant. */
    uint32_t id; /* unique in this process, from 1 */
    struct address address;
    char name[MEMBER_NAME_SIZE]; /* "HOST:PORT" with the host as it was configured */
    struct member_counters counters;
    struct loop *board; /* borrowed: where `changed` runs, the control thread's loop */
    struct task *changed; /* borrowed: posted when a worker changed this member's health */

    /* On a line of its own: workers write it for every request. */
    _Alignas(64) atomic_uint in_flight;
    atomic_uint failures; /* in a row; a success forgets them */
    atomic_uint_least32_t health; /* health_pack() */
    atomic_uint refs;
    atomic_bool wants_probe; /* a worker met a closed or a failing port: look soon */
    atomic_int_least64_t ejected_at; /* monotonic; of the last ejection */
};

/* A member with one reference, absent until somebody says otherwise. `board` and `changed` may be
 * NULL in tests. NULL when there is no memory. */
struct member *member_new(const struct address *address, const char *name, struct counters *counters,
                          struct loop *board, struct task *changed);
struct member *member_ref(struct member *member);
void member_unref(struct member *member);

struct health member_health(const struct member *member);

/* Each changes one axis and leaves the others; true when it was another before. Any thread. */
bool member_set_presence(struct member *member, enum presence presence);
bool member_set_ejected(struct member *member, bool is_ejected);
bool member_set_wish(struct member *member, enum wish wish);

/* Count one more request in flight, unless there are `limit` already. */
MUST_CHECK bool member_enter(struct member *member, unsigned limit);

/* How a request went, as far as it tells something about the member. */
enum outcome {
    OUTCOME_ANSWERED,  /* a whole, well-formed answer below 500, or one that the client cut short */
    OUTCOME_ERROR,     /* an answer of 500 or more: not counted as a failure, an application's word */
    OUTCOME_REFUSED,   /* nobody listens: the port is absent at once */
    OUTCOME_UNREACHED, /* no connection in time, or no way to the host */
    OUTCOME_BROKEN,    /* reset, ended too early, or malformed */
    OUTCOME_SILENT,    /* no answer in time */
    OUTCOME_NEUTRAL,   /* the client went away, or a kept connection had simply ended */
};

/* The request left the member; learn from how. After `eject_failures` failures in a row (counted
 * over all workers) the member is ejected. Posts `changed` when its health did. */
void member_leave(struct member *member, enum outcome outcome, unsigned eject_failures,
                  usec_t now);

#endif
