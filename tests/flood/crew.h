/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for RSA: a signature takes as long as thirty polls, and a loop that stops for it would
 * start its polls late. They run at a lower priority than the loops, which thus stay punctual on
 * few cores; what agents compute for themselves is no delay of the server's.
 *
 * Jobs are bounded by the polls that are under way. */
#ifndef PORTICO_FLOOD_CREW_H
#define PORTICO_FLOOD_CREW_H

#include "base/compiler.h"
#include "base/error.h"
#include "net/loop.h"

/* Of a loop with a schedule to keep: a request is late by half of it on average. */
#define LOOP_TICK ((usec_t)100)

struct crew;
struct job;
struct workbench;

/* `run` on a thread of the crew with that thread's tools; then `done`, a task, on `loop`. */
typedef void job_function(struct job *job, struct workbench *bench);

/* Embedded in what it is for; must live until `done` ran. */
struct job {
    struct job *next;
    job_function *run;
    struct loop *loop; /* borrowed */
    struct task done;  /* task_init() it */
};

/* 0, or a negative errno with words. */
MUST_CHECK int crew_start(unsigned threads, struct crew **crew, struct error *error);

/* Any thread. */
void crew_do(struct crew *crew, struct job *job);

/* Finish what was given and end. Loops must live until then. NULL is fine. */
void crew_stop(struct crew *crew);

/* For the thread of a loop that has a schedule to keep: run as soon as it is due, before the crew
 * and others, as far as this user may have it so; and wake up when it is time, not up to 50 us
 * later. Not for one that sends whenever it can: it would take the processor from a server on the
 * same machine. */
void crew_go_first(void);

#endif
