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

/* For the thread of a loop: go before the crew and others where the user may have it so, and wake
 * up when it is time, not up to 50 us later. */
void crew_go_first(void);

#endif
