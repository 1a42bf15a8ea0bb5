/* SPDX-License-Identifier: Apache-2.0 */
#include "phases.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/check.h"

static struct results *results;
static struct phases *phases;
static struct tally *tally;
static const struct scenario_phase warm_up = {.name = "warm-up", .is_unmeasured = true};
static const struct scenario_phase steady = {.name = "steady"};

static void set_up(void)
{
    results = results_new();
    phases = phases_new(results);
    tally = calloc(1, sizeof *tally);
    CHECK(results != NULL && phases != NULL && tally != NULL);
}

static void tear_down(void)
{
    free(tally);
    phases_free(phases);
    results_free(results);
}

TestSuite(phases, .init = set_up, .fini = tear_down);

static void answer(uint64_t count, usec_t latency)
{
    TALLY_ADD(tally->totals.ok, count);
    histogram_record_many(&tally->latency, latency, count);
    histogram_record_many(&tally->service, latency, count);
    histogram_record_many(&tally->lateness, latency / 10, count);
}

static void finish(usec_t elapsed)
{
    results->run.duration = elapsed;
    phases_enter(phases, NULL, elapsed, tally);
    tally_tell(tally, results);
    phases_leave_out(phases);
}

Test(phases, each_has_what_came_while_it_went_on)
{
    phases_enter(phases, &steady, 0, tally);
    answer(10, 100);
    TALLY_ADD(tally->faults[FAULT_NONE + 1], 3);
    phases_enter(phases, &steady, 2 * USEC_PER_SEC, tally);
    answer(30, 200);
    TALLY_ADD(tally->totals.enrolled, 5);
    finish(5 * USEC_PER_SEC);
    cr_assert_eq(results->phase_count, 2);
    const struct phase_result *first = &results->phases[0];
    const struct phase_result *second = &results->phases[1];
    cr_expect_str_eq(first->name, "steady");
    cr_expect(first->is_measured);
    cr_expect_eq(first->duration, 2 * USEC_PER_SEC);
    cr_expect_eq(first->ok, 10);
    cr_expect_eq(first->failed, 3);
    cr_expect_eq(first->p99, 100);
    cr_expect_eq(second->begin, 2 * USEC_PER_SEC);
    cr_expect_eq(second->duration, 3 * USEC_PER_SEC);
    cr_expect_eq(second->ok, 30);
    cr_expect_eq(second->failed, 0);
    cr_expect_eq(second->enrolled, 5);
    cr_expect_eq(second->p50, 200);
    cr_expect_eq(second->late_p99, 20);
    /* Measured all of it: nothing is left out, extremes stay exact. */
    cr_expect_eq(histogram_count(&results->latency), 40);
    cr_expect_eq(histogram_max(&results->latency), 200);
    cr_expect_float_eq(results_rate(results), 8, 1e-9);
}

Test(phases, a_warm_up_is_counted_and_not_measured)
{
    phases_enter(phases, &warm_up, 0, tally);
    answer(1000, 90 * USEC_PER_MSEC);
    phases_enter(phases, &steady, 10 * USEC_PER_SEC, tally);
    answer(400, 150);
    finish(14 * USEC_PER_SEC);
    cr_expect_eq(results->totals.ok, 1400);
    cr_expect_not(results->phases[0].is_measured);
    cr_expect_eq(results->phases[0].ok, 1000);
    cr_expect_eq(histogram_count(&results->latency), 400);
    cr_expect_eq(histogram_count(&results->service), 400);
    cr_expect_eq(histogram_count(&results->lateness), 400);
    cr_expect_eq(histogram_quantile(&results->latency, 0.99), 150);
    cr_expect_float_eq(results_rate(results), 100, 1e-9);
}

Test(phases, one_without_answers_has_no_times)
{
    phases_enter(phases, &steady, 0, tally);
    phases_enter(phases, &warm_up, USEC_PER_SEC, tally);
    finish(USEC_PER_SEC);
    cr_expect_eq(results->phase_count, 2);
    cr_expect_eq(results->phases[0].ok, 0);
    cr_expect_eq(results->phases[0].max, 0);
    cr_expect_eq(results->phases[1].duration, 0);
    cr_expect_float_eq(results_rate(results), 0, 1e-9);
}
