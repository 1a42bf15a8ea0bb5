/* SPDX-License-Identifier: Apache-2.0 */
/* What one thread of the generator counts: it alone writes, others read meanwhile. */
#ifndef PORTICO_FLOOD_TALLY_H
#define PORTICO_FLOOD_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

#include "fault.h"
#include "histogram.h"

struct results;

struct tally {
    struct {
#define TOTAL(name, better, words) _Atomic uint64_t name;
#include "results_totals.def"
#undef TOTAL
    } totals;
    _Atomic uint64_t faults[FAULT_COUNT];
    _Atomic uint64_t in_flight;
    struct histogram latency, service, lateness, enrolment;
};

/* No locked instruction: the thread is the only writer. */
#define TALLY_ADD(counter, n)                                                                     \
    atomic_store_explicit(&(counter),                                                             \
                          atomic_load_explicit(&(counter), memory_order_relaxed) + (uint64_t)(n), \
                          memory_order_relaxed)
#define TALLY_SET(counter, n) atomic_store_explicit(&(counter), (uint64_t)(n), memory_order_relaxed)
#define TALLY_GET(counter) atomic_load_explicit(&(counter), memory_order_relaxed)

/* Add one thread's to another's; `to` belongs to the caller. */
void tally_merge(struct tally *to, const struct tally *from);

/* Fill what a tally knows of the results: totals, failures, histograms. */
void tally_tell(const struct tally *tally, struct results *results);

/* Failures of all kinds. */
uint64_t tally_failed(const struct tally *tally);

#endif
