/* SPDX-License-Identifier: Apache-2.0 */
/* What worker.c (who polls when) and poll.c (one poll) share. */
#ifndef PORTICO_FLOOD_WORKER_INTERNAL_H
#define PORTICO_FLOOD_WORKER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "client.h"
#include "crew.h"
#include "letter.h"
#include "net/loop.h"
#include "schedule.h"
#include "workbench.h"
#include "worker.h"

/* Where a poll is; see poll.c. */
enum poll_state { POLL_FREE, POLL_PAGE, POLL_WRITE, POLL_SENT, POLL_READ };

struct poll {
    struct exchange exchange;
    struct job job;
    struct letter letter;
    struct list_link link; /* free, or under way */
    struct worker *worker;
    enum poll_state state;
    usec_t origin; /* what latency counts from */
    usec_t own;    /* of what the agent computes for itself, so far */
    usec_t since;  /* when its state began */
    usec_t sent;
    enum fault fault; /* found by the crew */
    bool is_closing;  /* begun when the run was over: it enters no figure but its own */
    int code;
    bool is_skipped; /* by the crew, at the end of the run */
    char *head;      /* of the request; owned, HEAD_BYTES */
};

LIST_DECLARE(poll_list, struct poll, link);

enum { NO_GROUP = UINT8_MAX };

/* Agents first..end of this worker, and when they poll. */
struct group {
    const struct scenario_group *is;
    enum timing timing; /* never TIMING_DEFAULT */
    struct curve curve;
    size_t first, end;
    size_t cursor, busy;
    struct arrivals arrivals; /* TIMING_RATE */
    struct timer timer;       /* fires at the next arrival */
    struct worker *worker;
    usec_t begin, duration; /* of the phase */
    bool is_blocked;        /* an arrival waits for a free agent */
    bool is_ours;           /* an arrival waits for a free poll: the generator's fault */
};

struct worker {
    const struct run_plan *plan;
    unsigned number;
    pthread_t thread;
    struct loop *loop;
    struct client *client;
    struct vault *vault;
    struct workbench bench;
    struct ledger_writer *ledger;
    struct agent *agents;
    size_t agent_count;
    struct poll_list free, busy;
    size_t polls, polls_max;
    char *prefix; /* of every poll's head; owned */
    size_t prefix_len;
    char *page;      /* the request for /server.pem; owned */
    uint64_t serial; /* the highest of the server's certificates so far */
    size_t phase;
    usec_t start;
    struct timer phase_timer, end_timer;
    struct group groups[SCENARIO_GROUPS_MAX];
    size_t group_count;
    size_t fresh_groups; /* so far */
    bool is_outage;
    bool is_ending;      /* the plan is over: what is under way is awaited, what is owed is sent */
    atomic_bool is_over; /* nobody waits any longer; the crew looks, too */
    bool is_settling;
    size_t settled;  /* agents that were looked at for what they owe */
    size_t retrying; /* agents that owe and whose timer is armed, while is_ending */
    struct task stop, hurry;
    uint64_t draws; /* random numbers drawn for messages */
    struct tally tally;
};

/* An agent's poll, planned for `planned`; a closing one when the worker is ending. False: no poll
 * is free. */
bool poll_begin(struct worker *worker, struct agent *agent, usec_t planned);

/* Stop waiting for an answer; what it carried is owed on. */
void poll_abandon(struct poll *poll);

void poll_free(struct poll *poll);

/* worker.c's: the agent is free again; `succeeded`: its poll was answered 200 and believed, or was
 * refused with 406. */
void worker_agent_freed(struct worker *worker, struct agent *agent, bool succeeded,
                        bool polls_again);

/* NULL: it belongs to none in this phase. */
struct group *worker_group(struct worker *worker, const struct agent *agent);

#endif
