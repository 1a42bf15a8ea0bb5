/* SPDX-License-Identifier: Apache-2.0 */
/* The search for the highest rate that meets the SLO, as capacity.h decides: runs it, tells each
 * trial and what limited it, leaves a report. The main thread. */
#ifndef PORTICO_FLOOD_SEARCH_H
#define PORTICO_FLOOD_SEARCH_H

#include "arguments.h"
#include "base/compiler.h"
#include "results.h"
#include "slo.h"

struct search {
    const struct arguments *arguments; /* borrowed, as all here */
    const struct slo *slo;
    double start; /* rate of the first trial */
    /* Run at that rate; fills `results`, judged by engine_judge(). An exit status. */
    int (*run)(void *context, double rate, struct results *results);
    void *context;
};

/* The report (--json, --html, standard output) is the best trial's: the last one that met the SLO
 * at the rate that was found, or the last one when none did. The exit status: FINE when a rate was
 * found. */
MUST_CHECK int search_capacity(const struct search *search);

#endif
