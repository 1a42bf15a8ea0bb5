/* SPDX-License-Identifier: Apache-2.0 */
/* A million deadlines. Arming, moving and disarming one is O(1) and allocates nothing: timers are
 * embedded in what they guard. Owned by one thread, usually through its loop. Knows no clock; the
 * owner says what time it is.
 *
 * Time is cut into ticks. A timer never fires early, and at most one tick late when timers_run() is
 * called as often as timers_next() asks. */
#ifndef PORTICO_NET_TIMERS_H
#define PORTICO_NET_TIMERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/compiler.h"

struct timer;
struct timers;

/* The timer is disarmed when its function runs. The function may arm, disarm or free any timer,
 * its own included; what it arms for `now` or earlier fires in a later timers_run(). */
typedef void timer_function(struct timer *timer, usec_t now);

struct timer_link {
    struct timer_link *next, *previous;
};

struct timer {
    struct timer_link link; /* next is NULL: disarmed */
    usec_t deadline;        /* of an armed timer */
    timer_function *fire;
};

/* A quarter of a millisecond: deadlines kept to 1 ms leave three quarters for all other delays,
 * while a thread that sleeps from tick to tick still wakes at most 4,000 times a second. */
#define TIMERS_TICK ((usec_t)250)

/* An empty set that counts from `now`. NULL when there is no memory. */
struct timers *timers_new(usec_t tick, usec_t now);

/* Timers that are still armed are forgotten, not touched. */
void timers_free(struct timers *timers);

static inline void timer_init(struct timer *timer, timer_function *fire)
{
    *timer = (struct timer){.deadline = USEC_NEVER, .fire = fire};
}

static inline bool timer_is_armed(const struct timer *timer)
{
    return timer->link.next != NULL;
}

/* Have it fire at `deadline`, instead of the deadline it may have had. One in the past fires in the
 * next timers_run(); USEC_NEVER disarms. */
void timers_arm(struct timers *timers, struct timer *timer, usec_t deadline);

/* It will not fire, even when it was due already. Disarming twice is fine. */
void timers_disarm(struct timers *timers, struct timer *timer);

/* Fire what is due at `now`, in order of ticks, but not more than `max` timers: the rest stays due
 * for the next call. Returns how many fired. A `now` before that of an earlier call counts as that
 * one. */
size_t timers_run(struct timers *timers, usec_t now, size_t max);

/* No timer fires before this time, and timers_run() should be called then; USEC_NEVER when none is
 * armed. May be earlier than the first deadline when that is far away: then the call only sorts. */
usec_t timers_next(const struct timers *timers);

size_t timers_count(const struct timers *timers);

#endif
