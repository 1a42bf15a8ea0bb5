/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds from the history, then the next rate. No state but the history. */
#include "capacity.h"

#include <math.h>
#include <stdbool.h>

/* What the trials say together. A rate that was missed once counts as missed, and everything above
 * it; trials of the generator's failure end the range without saying anything about the server. */
struct bounds {
    double met;             /* highest rate below the ceiling that was met, 0: none */
    double missed, invalid; /* lowest, INFINITY: none */
    unsigned times_met;     /* of `met` */
};

static double ceiling_of(const struct bounds *bounds)
{
    return fmin(bounds->missed, bounds->invalid);
}

static struct bounds find_bounds(const struct trial *trials, size_t count)
{
    struct bounds bounds = {0, (double)INFINITY, (double)INFINITY, 0};
    for (size_t i = 0; i < count; i++) {
        if (trials[i].verdict == TRIAL_MISSED) {
            bounds.missed = fmin(bounds.missed, trials[i].rate);
        } else if (trials[i].verdict == TRIAL_INVALID) {
            bounds.invalid = fmin(bounds.invalid, trials[i].rate);
        }
    }
    for (size_t i = 0; i < count; i++) {
        bool counts = trials[i].verdict == TRIAL_MET && trials[i].rate < ceiling_of(&bounds);
        if (counts && trials[i].rate > bounds.met) {
            bounds.met = trials[i].rate;
            bounds.times_met = 1;
        } else if (counts && trials[i].rate == bounds.met) {
            bounds.times_met++;
        }
    }
    return bounds;
}

static double clamp(const struct capacity_limits *limits, double rate)
{
    return fmax(limits->min, fmin(limits->max, rate));
}

/* The next rate to learn about; that of `met` when there is nothing left to learn. */
static double next_rate(const struct capacity_limits *limits, const struct bounds *bounds)
{
    double ceiling = ceiling_of(bounds);
    if (bounds->met == 0) {
        return isinf(ceiling) ? clamp(limits, limits->start) : clamp(limits, ceiling / 2);
    }
    if (isinf(ceiling)) {
        return clamp(limits, bounds->met * 2);
    }
    return ceiling <= bounds->met * (1 + limits->precision) ? bounds->met
                                                            : sqrt(bounds->met * ceiling);
}

struct capacity_step capacity_next(const struct capacity_limits *limits, const struct trial *trials,
                                   size_t count)
{
    struct bounds bounds = find_bounds(trials, count);
    double ceiling = ceiling_of(&bounds);
    struct capacity_step step = {CAPACITY_TRY, 0, isinf(ceiling) ? 0 : ceiling};
    if (bounds.met == 0 && ceiling <= limits->min) {
        step.state = bounds.invalid < bounds.missed ? CAPACITY_GENERATOR : CAPACITY_NONE;
        return step;
    }
    step.rate = next_rate(limits, &bounds);
    bool is_settled = step.rate == bounds.met;
    if (is_settled && bounds.times_met > 1) {
        step.state = bounds.invalid < bounds.missed ? CAPACITY_GENERATOR : CAPACITY_FOUND;
    } else if (count >= limits->trials_max) {
        step.state = CAPACITY_UNSETTLED;
        step.rate = bounds.met;
    }
    return step;
}
