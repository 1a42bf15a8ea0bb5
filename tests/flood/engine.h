/* SPDX-License-Identifier: Apache-2.0 */
/* A run: threads are made and started, watched once a second, joined, summed up. The main thread.
 */
#ifndef PORTICO_FLOOD_ENGINE_H
#define PORTICO_FLOOD_ENGINE_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"
#include "results.h"
#include "worker.h"

struct progress;
struct reaction;

/* Lateness is part of latency. Above this many microseconds and this part of it, in the 99th
 * percentile of either, the run says more about the generator than about the server. */
#define ENGINE_LATENESS_MAX USEC_PER_MSEC
#define ENGINE_LATENESS_PART 0.1

/* Fetch /server.pem of the target, and fill in the fleet's server with it: page_meet(). 0 or a
 * negative errno with words; then page_forget(). */
MUST_CHECK int engine_meet_server(const struct target *target, struct tls_context *tls,
                                  usec_t timeout, struct fleet *fleet, struct error *error);

struct engine_watch {
    struct progress *progress;        /* borrowed; NULL: nobody looks */
    const struct reaction *reactions; /* borrowed: what to run at events */
    size_t reaction_count;
};

/* Run the plan whose crew is not there yet; commands that outlive the run by REACTION_PATIENCE are
 * killed. Fills `results`, of which the description is the
 * caller's but for times and memory. Ends early on SIGINT and SIGTERM; when it has ended, these end
 * the waiting for what is under way. 0 or a negative errno with words. */
MUST_CHECK int engine_run(struct run_plan *plan, const struct engine_watch *watch,
                          struct results *results, struct error *error);

/* The last run, or the waiting at its end, ended early, by SIGINT or SIGTERM. */
bool engine_was_interrupted(void);

/* Declare the run invalid when the generator was the bottleneck. */
void engine_judge(struct results *results);

#endif
