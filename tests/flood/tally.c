/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over threads. */
#include "tally.h"

#include "results.h"

void tally_merge(struct tally *to, const struct tally *from)
{
#define TOTAL(name, better, words) TALLY_ADD(to->totals.name, TALLY_GET(from->totals.name));
#include "results_totals.def"
#undef TOTAL
    for (size_t i = 0; i < FAULT_COUNT; i++) {
        TALLY_ADD(to->faults[i], TALLY_GET(from->faults[i]));
    }
    TALLY_ADD(to->in_flight, TALLY_GET(from->in_flight));
    histogram_merge(&to->latency, &from->latency);
    histogram_merge(&to->service, &from->service);
    histogram_merge(&to->lateness, &from->lateness);
    histogram_merge(&to->enrolment, &from->enrolment);
}

void tally_tell(const struct tally *tally, struct results *results)
{
#define TOTAL(name, better, words) results->totals.name = TALLY_GET(tally->totals.name);
#include "results_totals.def"
#undef TOTAL
    for (int i = FAULT_NONE + 1; i < FAULT_COUNT; i++) {
        uint64_t count = TALLY_GET(tally->faults[i]);
        if (count > 0) {
            results_add_failures(results, fault_name((enum fault)i), fault_words((enum fault)i),
                                 count);
        }
    }
    histogram_merge(&results->latency, &tally->latency);
    histogram_merge(&results->service, &tally->service);
    histogram_merge(&results->lateness, &tally->lateness);
    histogram_merge(&results->enrolment, &tally->enrolment);
}

uint64_t tally_failed(const struct tally *tally)
{
    uint64_t sum = 0;
    for (size_t i = FAULT_NONE + 1; i < FAULT_COUNT; i++) {
        sum += TALLY_GET(tally->faults[i]);
    }
    return sum;
}
