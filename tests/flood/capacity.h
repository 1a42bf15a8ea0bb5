/* SPDX-License-Identifier: Apache-2.0 */
/* The search for the highest rate that meets the SLO: which rate to try next, from what earlier
 * tries said. Pure, any thread. */
#ifndef PORTICO_FLOOD_CAPACITY_H
#define PORTICO_FLOOD_CAPACITY_H

#include <stddef.h>

enum trial_verdict {
    TRIAL_MET,
    TRIAL_MISSED,
    TRIAL_INVALID, /* the generator could not keep that rate */
};

struct trial {
    double rate;
    enum trial_verdict verdict;
};

struct capacity_limits {
    double start;     /* first try */
    double min, max;  /* never outside; min > 0 */
    double precision; /* 0.05: stop when the bounds are within 5 % */
    size_t trials_max;
};

enum capacity_state {
    CAPACITY_TRY,       /* try `rate` */
    CAPACITY_FOUND,     /* `rate` is the highest that is met; it was met twice */
    CAPACITY_NONE,      /* even the lowest is missed */
    CAPACITY_GENERATOR, /* `rate` was met and the generator can do no more: the limit is ours */
    CAPACITY_UNSETTLED, /* trials are used up: between `rate` (0: none was met) and `above` */
};

struct capacity_step {
    enum capacity_state state;
    double rate;
    double above; /* lowest rate that was not met, 0: none */
};

/* Doubles from `start` while it is met (halves while it is missed), then halves the interval
 * between what is met and what is not by the geometric mean, then tries the best once more. A rate
 * that is missed the second time counts as missed. */
struct capacity_step capacity_next(const struct capacity_limits *limits, const struct trial *trials,
                                   size_t count);

#endif
