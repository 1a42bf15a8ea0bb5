/* SPDX-License-Identifier: Apache-2.0 */
/* The members, as one constant set: hosts times ports. A reload or a changed name makes another
 * set, which takes over the members that stay, with their health and counters. Shared by all
 * threads and counted. */
#ifndef PORTICO_BALANCER_RANGE_H
#define PORTICO_BALANCER_RANGE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "member.h"

enum { TRIED_MAX = 32 };

/* Members that this request has been sent to, so that none gets it twice. Zeroed: none. */
struct tried {
    uint32_t ids[TRIED_MAX];
    unsigned count;
};

struct range;

enum balance_algorithm {
    BALANCE_ROUND_ROBIN,
    BALANCE_LEAST, /* fewest requests in flight; equal ones in turn */
};

struct range_place {        /* one member to be */
    struct address address; /* with port */
    const char *name;
};

/* A set of the members at `places`; those that `old` (may be NULL) has at the same address and
 * under the same name are kept, the others made; one that was there under another name leaves its
 * health to its successor. One reference. `ticket` is borrowed: the round-robin counter, one for
 * the process. NULL when there is no memory. */
struct range *range_new(const struct range_place *places, size_t count, const struct range *old,
                        enum balance_algorithm algorithm, atomic_uint_least64_t *ticket,
                        struct counters *counters, struct loop *board, struct task *changed);
struct range *range_ref(struct range *range);
void range_unref(struct range *range);

size_t range_count(const struct range *range);
struct member *range_at(const struct range *range, size_t index); /* borrowed from the range */
bool range_holds(const struct range *range, const struct member *member);

/* Choose a member for one request and enter it. Equal members that are usable all the time get
 * requests in turn, exactly, over all threads.
 *
 * Last resorts are chosen when no other is there, or a request has tried all others.
 *
 * 0: *member is borrowed from the range and entered; leave it with member_leave(). It was added to
 * `tried`. -EAGAIN: each one that may be used has `in_flight_limit` requests. -EHOSTDOWN: none may
 * be used, or all of those were tried, or TRIED_MAX were. O(members); fine below some thousands.
 * Any thread. */
MUST_CHECK int range_choose(struct range *range, unsigned in_flight_limit, struct tried *tried,
                            struct member **member);

/* Whether range_choose() would find a member for a new request. */
bool range_has_room(const struct range *range, unsigned in_flight_limit);

/* How many are in each state. */
void range_count_states(const struct range *range, size_t counts[HEALTH_WORDS]);

/* How many may be used now, last resorts only when there is nothing better. */
size_t range_usable(const struct range *range);

#endif
