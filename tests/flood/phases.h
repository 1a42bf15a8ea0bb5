/* SPDX-License-Identifier: Apache-2.0 */
/* What each phase of a run came to, told apart where one ends and the next begins: answers count
 * for the phase in which they came. The engine's watching thread. */
#ifndef PORTICO_FLOOD_PHASES_H
#define PORTICO_FLOOD_PHASES_H

#include "results.h"
#include "scenario.h"
#include "tally.h"

struct phases;

/* `results` get a row for each phase and outlive it. NULL: no memory. The caller's. */
struct phases *phases_new(struct results *results);
void phases_free(struct phases *phases);

/* The run comes to `phase` (NULL: it is over) `elapsed` after its begin, having counted `now`. */
void phases_enter(struct phases *phases, const struct scenario_phase *phase, usec_t elapsed,
                  const struct tally *now);

/* After tally_tell(): when a phase was not to be measured, its times are none of the run's. */
void phases_leave_out(const struct phases *phases);

#endif
