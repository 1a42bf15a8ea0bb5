/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an instance is well (its store can be used: /healthz says it) and alive (its threads get
 * on with their work: the watchdog is told). A thread asks the store, so that nobody who wants to
 * know waits for it. */
#ifndef PORTICO_FRONTEND_HEALTH_H
#define PORTICO_FRONTEND_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"

struct error;
struct frontend;
struct health;

/* Of a frontend that is open but for this; borrowed. Asks the store once before it returns. 0,
 * -ENOMEM or -EAGAIN (no thread). */
MUST_CHECK int health_new(struct frontend *frontend, struct health **health, struct error *error);
/* Waits for a question to the store that is under way. NULL is fine. */
void health_free(struct health *health);

/* Somebody else was told by the store that it failed, with this negative errno: so it is not well
 * until it says otherwise. Any thread; never blocks. */
void health_note(struct health *health, int code);

/* The store could be used when it was asked last, at most half a second ago, and it answers. Any
 * thread; never blocks. */
bool health_is_well(const struct health *health);

/* Nobody has been at the same piece of work for longer than `patience`. When false, *culprit is who
 * has, in words. The main thread. */
MUST_CHECK bool health_is_alive(struct health *health, usec_t patience, const char **culprit);

/* Whether somebody with work to do gets on with it: `done` counts what is finished. Pure, for tests
 * with a time of their own. Zero it first. */
struct pulse {
    uint64_t done;
    usec_t since; /* when it last got on or had nothing to do */
};
MUST_CHECK bool pulse_beats(struct pulse *pulse, uint64_t done, bool has_work, usec_t now,
                            usec_t patience);

#endif
