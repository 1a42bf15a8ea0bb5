/* SPDX-License-Identifier: Apache-2.0 */
/* See phases.h. Differences of what was counted at the ends of a phase. */
#include "phases.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "base/check.h"

struct phases {
    struct results *results;
    struct phase_result *row; /* of the phase that goes on, NULL: none */
    usec_t cpu;               /* spent when it began */
    bool leaves_out;          /* some phase is not measured */
    struct tally before;      /* counted when it began */
    struct tally measured;    /* histograms: of the phases that are */
    struct histogram scratch;
};

struct phases *phases_new(struct results *results)
{
    struct phases *phases = calloc(1, sizeof *phases);
    if (phases != NULL) {
        phases->results = results;
    }
    return phases;
}

void phases_free(struct phases *phases)
{
    free(phases);
}

static usec_t cpu_spent(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usec_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * USEC_PER_SEC +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* What came into a histogram since the phase began: to the scratch, and to the run's when measured.
 */
static const struct histogram *take(struct phases *phases, const struct histogram *now,
                                    const struct histogram *before, struct histogram *measured)
{
    histogram_difference(now, before, &phases->scratch);
    if (phases->row->is_measured) {
        histogram_merge(measured, &phases->scratch);
    }
    return &phases->scratch;
}

static void close_row(struct phases *phases, usec_t elapsed, const struct tally *now)
{
    static const double quantiles[] = {0.5, 0.99, 1};
    struct phase_result *row = phases->row;
    const struct tally *before = &phases->before;
    struct tally *measured = &phases->measured;
    usec_t values[ARRAY_LEN(quantiles)];
    row->duration = elapsed - row->begin;
    row->ok = TALLY_GET(now->totals.ok) - TALLY_GET(before->totals.ok);
    row->failed = tally_failed(now) - tally_failed(before);
    row->enrolled = TALLY_GET(now->totals.enrolled) - TALLY_GET(before->totals.enrolled);
    row->cpu = cpu_spent() - phases->cpu;
    take(phases, &now->service, &before->service, &measured->service);
    histogram_quantiles(take(phases, &now->latency, &before->latency, &measured->latency),
                        quantiles, ARRAY_LEN(quantiles), values);
    row->p50 = values[0];
    row->p99 = values[1];
    row->max = values[2];
    row->late_p99 = histogram_quantile(
        take(phases, &now->lateness, &before->lateness, &measured->lateness), 0.99);
    phases->row = NULL;
}

void phases_enter(struct phases *phases, const struct scenario_phase *phase, usec_t elapsed,
                  const struct tally *now)
{
    struct results *results = phases->results;
    if (phases->row != NULL) {
        close_row(phases, elapsed, now);
    }
    if (phase == NULL) {
        return;
    }
    CHECK(results->phase_count < RESULTS_PHASES_MAX);
    phases->row = &results->phases[results->phase_count++];
    *phases->row = (struct phase_result){.begin = elapsed, .is_measured = !phase->is_unmeasured};
    RUN_TEXT(phases->row->name, phase->name);
    phases->leaves_out |= phase->is_unmeasured;
    phases->cpu = cpu_spent();
    memset(&phases->before, 0, sizeof phases->before);
    tally_merge(&phases->before, now);
}

static void replace(struct histogram *histogram, const struct histogram *by)
{
    histogram_clear(histogram);
    histogram_merge(histogram, by);
}

void phases_leave_out(const struct phases *phases)
{
    if (phases->leaves_out) {
        replace(&phases->results->latency, &phases->measured.latency);
        replace(&phases->results->service, &phases->measured.service);
        replace(&phases->results->lateness, &phases->measured.lateness);
    }
}
