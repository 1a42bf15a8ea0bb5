/* SPDX-License-Identifier: Apache-2.0 */
/* Results as a run might have them, the same for the same arguments. */
#ifndef PORTICO_TESTS_FLOOD_SAMPLE_H
#define PORTICO_TESTS_FLOOD_SAMPLE_H

#include "results.h"

/* `slowness` multiplies all latencies. Aborts without memory; results_free() it. */
struct results *sample_results(size_t seconds, double rate, double slowness, uint64_t seed);

#endif
