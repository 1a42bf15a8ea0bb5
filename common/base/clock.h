/* SPDX-License-Identifier: Apache-2.0 */
/* Time in one unit, microseconds, from a clock that tests can replace. Deadlines and durations are
 * monotonic; wall time is for records and people only and may jump. */
#ifndef PORTICO_BASE_CLOCK_H
#define PORTICO_BASE_CLOCK_H

#include <stdint.h>

/* Microseconds: a duration, or a point on the clock that the context names. */
typedef int64_t usec_t;

#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC ((usec_t)1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
/* A deadline that never comes. */
#define USEC_NEVER INT64_MAX

struct clock {
    usec_t (*monotonic)(const struct clock *clock); /* since some fixed point, never backwards */
    usec_t (*wall)(const struct clock *clock);      /* since 1970-01-01T00:00:00Z */
};

/* The machine's clocks. Any thread. */
extern const struct clock clock_system;

static inline usec_t clock_monotonic(const struct clock *clock)
{
    return clock->monotonic(clock);
}

static inline usec_t clock_wall(const struct clock *clock)
{
    return clock->wall(clock);
}

/* For tests: stands still until it is told to move. Both clocks move together. */
struct clock_fake {
    struct clock clock; /* stays the first member; pass &fake.clock */
    usec_t now;         /* monotonic */
    usec_t epoch;       /* what wall adds to `now` */
};

void clock_fake_init(struct clock_fake *fake, usec_t now, usec_t epoch);
/* `by` is not negative; to let wall time jump, change `epoch`. */
void clock_fake_advance(struct clock_fake *fake, usec_t by);

/* `start` + `length`, or USEC_NEVER where that would overflow. `length` is not negative. */
usec_t usec_add(usec_t start, usec_t length);

#endif
