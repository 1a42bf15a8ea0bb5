/* SPDX-License-Identifier: Apache-2.0 */
/* One thread of the generator: its part of the agents, its part of the schedule, its connections.
 *
 * When the plan is over no poll becomes due, and those under way are awaited; agents that owe
 * messages poll on, outside of all figures, until they owe none or the grace is over.
 *
 * A poll goes: due; /server.pem when the agent wants it again; written (by the crew when that takes
 * RSA); sent; answered; read (by the crew likewise); counted. Lateness is what the generator was
 * behind when a poll was due and its agent free; latency counts from when it was due, less what the
 * agent computed for itself. */
#ifndef PORTICO_FLOOD_WORKER_H
#define PORTICO_FLOOD_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent.h"
#include "base/compiler.h"
#include "base/error.h"
#include "scenario.h"
#include "tally.h"

struct crew;
struct ledger;
struct target;
struct tls_context;
struct worker;

/* What all workers of a run have in common; borrowed, and constant while they run. */
struct run_plan {
    const struct fleet *fleet;
    const struct target *target;
    const struct scenario *scenario;
    struct tls_context *tls; /* NULL: plain */
    struct crew *crew;
    struct ledger *ledger; /* NULL: none */
    size_t agents;
    unsigned threads;
    uint64_t seed;
    uint32_t first_sequence; /* of each agent's messages: what the run's earlier parts have made */
    double rate;             /* base of relative rates, per second of all threads */
    usec_t period;           /* base of relative periods */
    usec_t timeout;
    usec_t grace;           /* at the end: for polls under way, and for what agents owe */
    size_t connections_max; /* of all threads */
    bool closes;            /* CONNECTIONS_DEFAULT: a new connection for each poll */
    bool resumes;
};

/* Thread `number` of the plan's. 0 or a negative errno with words. */
MUST_CHECK int worker_new(const struct run_plan *plan, unsigned number, struct worker **worker,
                          struct error *error);
void worker_free(struct worker *worker);

/* Begin at `start` (monotonic), on a thread of its own; then wait for its end, as long as
 * `patience` at most. False: it goes on. */
MUST_CHECK int worker_start(struct worker *worker, usec_t start, struct error *error);
MUST_CHECK bool worker_join(struct worker *worker, usec_t patience);

/* End before the scenario does. Any thread. */
void worker_stop(struct worker *worker);

/* Once, after that: wait for nothing any longer, neither for answers nor for what is owed. */
void worker_hurry(struct worker *worker);

/* Any thread, while it runs. */
const struct tally *worker_tally(const struct worker *worker);

/* How a group polls when what the command line says is taken into account. */
enum timing group_timing(const struct run_plan *plan, const struct scenario_group *group);
struct curve group_curve(const struct run_plan *plan, const struct scenario_group *group);

/* How many identities a run needs: agents that are replaced by fresh ones need more than one. */
size_t plan_identities(const struct scenario *scenario, size_t agents);

#endif
