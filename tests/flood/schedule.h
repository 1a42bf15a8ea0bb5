/* SPDX-License-Identifier: Apache-2.0 */
/* When requests are due: decided by the seed before anything is sent, so that a slow server cannot
 * make the generator ask less of it. Pure, any thread. */
#ifndef PORTICO_FLOOD_SCHEDULE_H
#define PORTICO_FLOOD_SCHEDULE_H

#include <stdint.h>

#include "base/clock.h"

/* A number that the two decide, evenly spread. */
uint64_t schedule_mix(uint64_t seed, uint64_t number);

/* The same in [0, 1). */
double schedule_draw(uint64_t seed, uint64_t number);

/* Arrivals whose rate goes in a straight line: one in each slot of 1/rate, anywhere in it. The
 * number of arrivals is thus exact, while neighbours are as close as chance has it. */
struct arrivals {
    uint64_t seed;
    double from, to; /* per second */
    usec_t duration;
    uint64_t number; /* of the next one */
};

/* When the next one is, from the beginning; USEC_NEVER: none is left. Does not go on. */
usec_t arrivals_peek(const struct arrivals *arrivals);
void arrivals_advance(struct arrivals *arrivals);

#endif
