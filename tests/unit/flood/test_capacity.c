/* SPDX-License-Identifier: Apache-2.0 */
#include "capacity.h"

#include <criterion/criterion.h>
#include <math.h>

static const struct capacity_limits limits = {
    .start = 100, .min = 10, .max = 1e6, .precision = 0.05, .trials_max = 40};

static struct trial trials[64];

/* Search on a machine that can do `capacity`, whose generator can do `own`. */
static struct capacity_step search(const struct capacity_limits *bounds, double capacity,
                                   double own, size_t *count)
{
    struct capacity_step step;
    *count = 0;
    while ((step = capacity_next(bounds, trials, *count)).state == CAPACITY_TRY) {
        cr_assert_lt(*count, bounds->trials_max);
        cr_assert(step.rate >= bounds->min && step.rate <= bounds->max);
        trials[(*count)++] = (struct trial){step.rate, step.rate > own        ? TRIAL_INVALID
                                                       : step.rate > capacity ? TRIAL_MISSED
                                                                              : TRIAL_MET};
    }
    return step;
}

Test(capacity, finds_the_highest_rate_within_the_precision)
{
    for (double capacity = 11; capacity < 1e6; capacity *= 1.37) {
        size_t count;
        struct capacity_step step = search(&limits, capacity, (double)INFINITY, &count);
        cr_assert_eq(step.state, CAPACITY_FOUND, "%g", capacity);
        cr_assert(step.rate <= capacity && step.rate * 1.0501 >= capacity, "%g of %g", step.rate,
                  capacity);
        cr_assert_leq(count, 25);
    }
}

Test(capacity, the_answer_was_met_twice)
{
    size_t count;
    size_t met = 0;
    struct capacity_step step = search(&limits, 3333, (double)INFINITY, &count);
    for (size_t i = 0; i < count; i++) {
        met += trials[i].rate == step.rate && trials[i].verdict == TRIAL_MET;
    }
    cr_assert_eq(met, 2);
}

Test(capacity, says_when_even_the_lowest_is_missed)
{
    size_t count;
    cr_assert_eq(search(&limits, 5, (double)INFINITY, &count).state, CAPACITY_NONE);
}

Test(capacity, stops_at_the_highest_that_is_allowed)
{
    struct capacity_limits low = limits;
    low.max = 700;
    size_t count;
    struct capacity_step step = search(&low, 1e5, (double)INFINITY, &count);
    cr_assert_eq(step.state, CAPACITY_FOUND);
    cr_assert_eq(step.rate, 700);
}

Test(capacity, says_when_the_generator_is_the_limit)
{
    size_t count;
    struct capacity_step step = search(&limits, 1e5, 5000, &count);
    cr_assert_eq(step.state, CAPACITY_GENERATOR);
    cr_assert(step.rate <= 5000 && step.rate * 1.0501 >= 5000);
}

Test(capacity, a_rate_that_is_missed_the_second_time_counts_as_missed)
{
    static const struct trial history[] = {
        {100, TRIAL_MET}, {200, TRIAL_MISSED}, {195, TRIAL_MET}, {195, TRIAL_MISSED}};
    struct capacity_step step = capacity_next(&limits, history, 4);
    cr_assert_eq(step.state, CAPACITY_TRY);
    cr_assert(step.rate > 100 && step.rate < 195);
    cr_assert_eq(step.above, 195);
}

Test(capacity, gives_up_with_its_bounds_when_trials_are_used_up)
{
    static const struct trial history[] = {{100, TRIAL_MET}, {200, TRIAL_MISSED}};
    struct capacity_limits few = limits;
    few.trials_max = 2;
    struct capacity_step step = capacity_next(&few, history, 2);
    cr_assert_eq(step.state, CAPACITY_UNSETTLED);
    cr_assert_eq(step.rate, 100);
    cr_assert_eq(step.above, 200);
}
