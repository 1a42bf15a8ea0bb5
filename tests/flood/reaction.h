/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that are run when a scenario comes to an event: started without a shell, in process
 * groups of their own, watched, and killed when they outlive the run. What became of each is in the
 * results. The main thread. */
#ifndef PORTICO_FLOOD_REACTION_H
#define PORTICO_FLOOD_REACTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "scenario.h"

struct progress;
struct results;

/* For commands to end by themselves after the run. */
#define REACTION_PATIENCE (5 * USEC_PER_SEC)

struct reaction {
    enum scenario_event event;
    const char *command; /* words between spaces */
};

struct reactions;

/* All is borrowed; `progress` may be NULL. NULL: no memory. */
struct reactions *reactions_new(const struct reaction *list, size_t count,
                                struct progress *progress, struct results *results);

/* The event begins, `elapsed` into the run: run its commands, or tell a person what to do when it
 * has none. */
void reactions_begin(struct reactions *reactions, enum scenario_event event, usec_t elapsed);

/* The run ended before it came to the event, planned for `elapsed`: its commands are told as not
 * run. */
void reactions_miss(struct reactions *reactions, enum scenario_event event, usec_t elapsed);

/* Learn which commands have ended. Never blocks. */
void reactions_watch(struct reactions *reactions);

/* Wait for them as long as `patience`, kill the rest, and free. NULL is fine. */
void reactions_end(struct reactions *reactions, usec_t patience);

#endif
